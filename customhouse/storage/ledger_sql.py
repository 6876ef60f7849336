"""The ledger's statements. Each is one transaction; `ledger.py` says why and fills them."""

from __future__ import annotations

from customhouse.storage.statements import statement

ACCEPT = statement(
    """
    INSERT INTO invocations (
        id, organization_id, idempotency_key, fingerprint, workflow_id, key_id, agent_id, user_id,
        workflow_execution_id, node_id, region, plan, labels, model, stream, status, created_at
    ) VALUES (
        :id, :organization_id, :idempotency_key, :fingerprint, :workflow_id, :key_id, :agent_id, :user_id,
        :workflow_execution_id, :node_id, :region, :plan, CAST(:labels AS jsonb), :model, :stream, 'accepted',
        to_timestamp(:accepted_at)
    )
    ON CONFLICT (organization_id, idempotency_key) DO NOTHING
    RETURNING id
    """
)

_CLEAR = """
    INSERT INTO invocations AS i (
        id, organization_id, idempotency_key, fingerprint, workflow_id, key_id, agent_id, user_id,
        workflow_execution_id, node_id, region, plan, labels, model, stream, status, created_at,
        request, verdict, policy_version, decision
    ) VALUES (
        :id, :organization_id, :idempotency_key, :fingerprint, :workflow_id, :key_id, :agent_id, :user_id,
        :workflow_execution_id, :node_id, :region, :plan, CAST(:labels AS jsonb), :model, :stream, 'running',
        to_timestamp(:accepted_at), CAST(:request AS jsonb), :verdict, :policy_version, CAST(:decision AS jsonb)
    )
    ON CONFLICT (organization_id, idempotency_key) DO UPDATE SET
        status = CASE WHEN i.status = 'accepted' THEN 'running' ELSE i.status END,
        request = CASE WHEN i.decision IS NULL THEN excluded.request ELSE i.request END,
        verdict = CASE WHEN i.decision IS NULL THEN excluded.verdict ELSE i.verdict END,
        policy_version = CASE WHEN i.decision IS NULL THEN excluded.policy_version ELSE i.policy_version END,
        decision = coalesce(i.decision, excluded.decision)
    WHERE i.fingerprint = excluded.fingerprint
    RETURNING i.id, i.status,
        CASE WHEN i.decision = CAST(:decision AS jsonb) THEN NULL ELSE i.decision END AS earlier
"""

# What the prompt was near to: a row for each, and its vector, for later ones to be compared with.
_PROMPT_CTES = """
    near AS (
        INSERT INTO prompt_sim_logs (id, organization_id, invocation_id, user_id, agent_id, prompt_hash,
            similarity_score, matched_prompt_hash, matched_invocation_id, threshold, blocked)
        SELECT :sim_id, :organization_id, c.id, :user_id, :agent_id, :prompt_hash, :similarity_score,
            :matched_prompt_hash, :matched_invocation_id, :threshold, :prompt_blocked
        FROM cleared c WHERE c.earlier IS NULL AND CAST(:prompt_hash AS text) IS NOT NULL
    ), staged AS (
        INSERT INTO prompt_vectors_staged (id, organization_id, prompt_hash, vector, user_id, agent_id, blocked)
        SELECT c.id, :organization_id, :prompt_hash, :prompt_vector, :user_id, :agent_id, :prompt_blocked
        FROM cleared c WHERE c.earlier IS NULL AND CAST(:prompt_vector AS bytea) IS NOT NULL
        ON CONFLICT DO NOTHING
    ), condemned AS (
        INSERT INTO blocked_prompts (id, organization_id, prompt_hash, vector)
        SELECT c.id, :organization_id, :prompt_hash, :prompt_vector
        FROM cleared c WHERE c.earlier IS NULL AND CAST(:is_abuse AS boolean)
        ON CONFLICT DO NOTHING
    )
"""

CLEAR = statement(f"WITH cleared AS ({_CLEAR}), {_PROMPT_CTES} SELECT id, status, earlier FROM cleared")

# What an attempt holds of the budgets that apply to it. An organization without any pays for one look into an index.
_RESERVE = """
    CASE WHEN EXISTS (SELECT FROM budgets WHERE organization_id = :organization_id AND deleted_at IS NULL)
        THEN budget_reserve({invocation_id}, {number}, CAST(:usd_worst AS numeric)) END AS room
"""

# The usual case in one round trip: an attempt is opened with the decision, unless an earlier decision stands already,
# or a budget has no room; `open_attempt`, which follows then, says so.
CLEAR_AND_OPEN = statement(
    f"""
    WITH cleared AS ({_CLEAR}), {_PROMPT_CTES}, room AS MATERIALIZED (
        SELECT c.id, {_RESERVE.format(invocation_id="c.id", number="1")}
        FROM cleared c WHERE c.earlier IS NULL AND c.status = 'running'
    ), opened AS (
        INSERT INTO attempts (
            invocation_id, number, organization_id, deployment_id, model, provider, region, lane, status,
            tokens_input_estimate, usd_cost_estimate, is_budgeted)
        SELECT r.id, 1, :organization_id, :deployment_id, :step_model, :provider, :step_region, :lane, 'started',
            :tokens_input_estimate, :usd_cost_estimate, r.room IS NOT NULL
        FROM room r WHERE r.room->'refused' IS NULL
        RETURNING is_budgeted
    )
    SELECT c.id, c.status, c.earlier, (SELECT is_budgeted FROM opened) AS is_budgeted FROM cleared c
    """
)

# A row that is `started` while nobody works on it belongs to a process that died: it costs what was estimated for it.
_CLOSE_CTES = """
    closed AS (
        UPDATE attempts SET status = 'unknown', settled_at = now(), usage_estimated = true,
            tokens_input = tokens_input_estimate, tokens_output = 0, usd_cost = usd_cost_estimate,
            price_source = 'estimate', error = CAST(:unknown_error AS jsonb)
        WHERE invocation_id = :invocation_id AND status = 'started'
        RETURNING *
    ), cost AS (
        INSERT INTO model_cost_logs (
            id, created_at, organization_id, invocation_id, attempt_number, agent_id, user_id, workflow_execution_id,
            node_id, model, provider, region, deployment_id, attempt_status, tokens_input, tokens_output,
            usage_estimated, usd_cost, price_source)
        SELECT :closing_cost_id, c.started_at, c.organization_id, c.invocation_id, c.number, i.agent_id, i.user_id,
            i.workflow_execution_id, i.node_id, c.model, c.provider, c.region, c.deployment_id, c.status,
            c.tokens_input, c.tokens_output, true, c.usd_cost, c.price_source
        FROM closed c JOIN invocations i ON i.id = c.invocation_id
    ), event AS (
        INSERT INTO governance_events (id, event_type, action, user_id, organization_id, invocation_id, details)
        SELECT :closing_event_id, 'attempt_unknown', 'charged_estimate', i.user_id, c.organization_id, c.invocation_id,
            jsonb_build_object('attempt', c.number, 'deployment_id', c.deployment_id, 'usd_cost', c.usd_cost)
        FROM closed c JOIN invocations i ON i.id = c.invocation_id
    )
"""

# What a crash has left open is closed first (`first` makes it so): it gives back what it held of the budgets.
OPEN = statement(
    f"""
    WITH {_CLOSE_CTES}, settled AS (
        SELECT number, answer, outcome FROM attempts
        WHERE invocation_id = :invocation_id AND status IN ('succeeded', 'cancelled') AND number > :after_attempt
        ORDER BY number LIMIT 1
    ), room AS MATERIALIZED (
        SELECT next.number, {_RESERVE.format(invocation_id=":invocation_id", number="next.number")}
        FROM (
            SELECT coalesce(max(number), 0) + 1 AS number FROM attempts WHERE invocation_id = :invocation_id
        ) AS next, (SELECT count(*) FROM closed) AS first
        WHERE NOT EXISTS (SELECT FROM settled)
            AND NOT EXISTS (SELECT FROM invocations WHERE id = :invocation_id AND finished_at IS NOT NULL)
    ), opened AS (
        INSERT INTO attempts (
            invocation_id, number, organization_id, deployment_id, model, provider, region, lane, status,
            tokens_input_estimate, usd_cost_estimate, is_budgeted)
        SELECT :invocation_id, r.number, :organization_id, :deployment_id, :step_model, :provider, :step_region, :lane,
            'started', :tokens_input_estimate, :usd_cost_estimate, r.room IS NOT NULL
        FROM room r WHERE r.room->'refused' IS NULL
        RETURNING number, is_budgeted
    )
    SELECT opened.number AS opened, opened.is_budgeted, settled.number AS settled, settled.answer, settled.outcome,
        (SELECT room->'refused' FROM room) AS refused
    FROM (SELECT) AS one LEFT JOIN settled ON true LEFT JOIN opened ON true
    """
)

_SETTLE_CTES = """
    settled AS (
        UPDATE attempts SET status = :attempt_status, settled_at = now(), usage = CAST(:usage AS jsonb),
            tokens_input = :tokens_input, tokens_output = :tokens_output, usage_estimated = :usage_estimated,
            usd_cost = :usd_cost, price_source = :price_source, answer = CAST(:answer AS jsonb),
            outcome = CAST(:outcome AS jsonb), error = CAST(:attempt_error AS jsonb), provider_ms = :provider_ms,
            time_to_first_token_ms = :time_to_first_token_ms
        WHERE invocation_id = :invocation_id AND number = :number AND status = 'started'
        RETURNING *
    ), cost AS (
        INSERT INTO model_cost_logs (
            id, created_at, organization_id, invocation_id, attempt_number, agent_id, user_id, workflow_execution_id,
            node_id, model, provider, region, deployment_id, attempt_status, tokens_input, tokens_output,
            usage_estimated, usd_cost, price_source)
        SELECT :cost_id, s.started_at, s.organization_id, s.invocation_id, s.number, :agent_id, :user_id,
            :workflow_execution_id, :node_id, s.model, s.provider, s.region, s.deployment_id, s.status,
            coalesce(s.tokens_input, 0), coalesce(s.tokens_output, 0), s.usage_estimated, s.usd_cost, s.price_source
        FROM settled s
    )
"""

# The attempt had been closed as unknown, and now the truth has come. It replaces the estimate, in place.
_LATE_CTES = """
    late AS (
        UPDATE attempts SET usage = CAST(:usage AS jsonb), tokens_input = :tokens_input,
            tokens_output = :tokens_output, usage_estimated = :usage_estimated, usd_cost = :usd_cost,
            price_source = :price_source, provider_ms = :provider_ms
        WHERE invocation_id = :invocation_id AND number = :number AND status = 'unknown' AND outcome IS NULL
        RETURNING *
    ), late_cost AS (
        UPDATE model_cost_logs m SET tokens_input = l.tokens_input, tokens_output = l.tokens_output,
            usage_estimated = l.usage_estimated, usd_cost = l.usd_cost, price_source = l.price_source
        FROM late l WHERE m.invocation_id = l.invocation_id AND m.attempt_number = l.number
            AND m.created_at = l.started_at
    )
"""

SETTLE = statement(
    f"""
    WITH {_SETTLE_CTES}, {_LATE_CTES}
    SELECT (SELECT count(*) FROM settled) AS settled, (SELECT count(*) FROM late) AS late,
        (SELECT finished_at IS NOT NULL FROM invocations WHERE id = :invocation_id) AS has_ended,
        (SELECT status FROM attempts WHERE invocation_id = :invocation_id AND number = :number) AS status
    """
)

_FINISH_CTES = """
    before AS (
        SELECT count(*) AS attempts, sum(usd_cost) AS usd_cost, coalesce(sum(tokens_input), 0) AS tokens_input,
            coalesce(sum(tokens_output), 0) AS tokens_output, coalesce(sum(provider_ms), 0) AS provider_ms
        FROM attempts WHERE invocation_id = :invocation_id AND number <> :number
    ), finished AS (
        UPDATE invocations i SET status = :status, verdict = :verdict, deployment_id = :deployment_id,
            result = CAST(:result AS jsonb) || jsonb_build_object(
                'attempts', b.attempts + :attempts_here,
                'answer_ref', CAST(:answer_ref AS jsonb),
                'provider_ms', b.provider_ms + :provider_ms,
                'overhead_ms', :elapsed_ms - b.provider_ms - :provider_ms,
                'usd_cost', CASE WHEN b.usd_cost IS NULL AND CAST(:usd_cost AS numeric) IS NULL THEN NULL
                    ELSE (coalesce(b.usd_cost, 0) + coalesce(CAST(:usd_cost AS numeric), 0))::text END),
            error = CAST(:error AS jsonb),
            usd_cost = CASE WHEN b.usd_cost IS NULL AND CAST(:usd_cost AS numeric) IS NULL THEN NULL
                ELSE coalesce(b.usd_cost, 0) + coalesce(CAST(:usd_cost AS numeric), 0) END,
            tokens_input = b.tokens_input + coalesce(CAST(:tokens_input AS bigint), 0),
            tokens_output = b.tokens_output + coalesce(CAST(:tokens_output AS bigint), 0),
            overhead_ms = :elapsed_ms - b.provider_ms - :provider_ms, provider_ms = b.provider_ms + :provider_ms,
            finished_at = now()
        FROM before b
        WHERE i.id = :invocation_id AND i.organization_id = :organization_id
            AND i.status IN ('accepted', 'running') {condition}
        RETURNING i.result
    ), events AS (
        INSERT INTO governance_events (
            id, event_type, policy, action, user_id, organization_id, invocation_id, details)
        SELECT e.id, e.event_type, e.policy, e.action, :user_id, :organization_id, :invocation_id, e.details
        FROM finished, jsonb_to_recordset(CAST(:events AS jsonb))
            AS e(id uuid, event_type text, policy text, action text, details jsonb)
    ), spans AS (
        INSERT INTO trace_spans (organization_id, invocation_id, name, started_at, duration_ms, attributes)
        SELECT :organization_id, :invocation_id, s.name, to_timestamp(s.started_at), s.duration_ms, s.attributes
        FROM finished, jsonb_to_recordset(CAST(:spans AS jsonb))
            AS s(name text, started_at double precision, duration_ms double precision, attributes jsonb)
    )
"""

# A CTE that nothing reads is not run, so the notification is counted in the answer. It is sent only where another
# process waits, because NOTIFY takes a lock that makes commits queue.
_FINISH_END = """
    , told AS (
        SELECT pg_notify(
            CAST(:channel AS text), concat(CAST(:organization_id AS uuid), ':', CAST(:invocation_id AS uuid)))
        FROM finished
        WHERE CAST(:notify AS boolean)
    )
    SELECT coalesce(
        (SELECT result FROM finished),
        (SELECT result FROM invocations WHERE id = :invocation_id AND status NOT IN ('accepted', 'running'))
    ) AS result, (SELECT count(*) FROM finished) AS finished, (SELECT count(*) FROM told) AS told, (
        SELECT count(*) FROM attempts WHERE invocation_id = :invocation_id AND number <> :number AND status = 'started'
    ) AS left_open
"""

FINISH = statement("WITH " + _FINISH_CTES.replace("{condition}", "") + _FINISH_END)
# An attempt that another worker has closed as unknown ends nothing: that worker goes on, with an attempt of its own.
SETTLE_AND_FINISH = statement(
    f"WITH {_SETTLE_CTES}, "
    + _FINISH_CTES.replace("{condition}", "AND EXISTS (SELECT FROM settled)")
    + f"{_FINISH_END}, (SELECT count(*) FROM settled) AS settled"
)

CLOSE = statement(f"WITH {_CLOSE_CTES} SELECT count(*) FROM closed")

# The process died between an invocation's end and the closing of what it had left open.
LEFT_OPEN = statement(
    """
    SELECT a.invocation_id AS id FROM attempts a JOIN invocations i ON i.id = a.invocation_id
    WHERE a.status = 'started' AND i.finished_at < now() - CAST(:older_than AS interval)
    LIMIT 1
    """
)

RESULT = statement(
    "SELECT status, result FROM invocations WHERE organization_id = :organization_id AND id = :invocation_id"
)

BY_KEY = statement(
    """
    SELECT id, fingerprint, status FROM invocations
    WHERE organization_id = :organization_id AND idempotency_key = :idempotency_key
    """
)

# An attempt came to its truth after its invocation had ended (a stalled worker woke up): sum its rows anew.
RETOTAL = statement(
    """
    UPDATE invocations i SET usd_cost = t.usd_cost, tokens_input = t.tokens_input, tokens_output = t.tokens_output,
        result = i.result || jsonb_build_object('attempts', t.attempts, 'usd_cost', t.usd_cost::text)
    FROM (
        SELECT count(*) AS attempts, sum(usd_cost) AS usd_cost, sum(tokens_input) AS tokens_input,
            sum(tokens_output) AS tokens_output
        FROM attempts WHERE invocation_id = :invocation_id
    ) t
    WHERE i.id = :invocation_id AND i.finished_at IS NOT NULL
    """
)

ABANDON = statement(
    f"""
    WITH {_CLOSE_CTES}, ended AS (
        UPDATE invocations SET status = :status, error = CAST(:error AS jsonb), finished_at = now(),
            verdict = coalesce(verdict, 'allow'),
            result = jsonb_build_object(
                'invocation_id', id, 'organization_id', organization_id, 'trace_id', replace(id::text, '-', ''),
                'fingerprint', fingerprint,
                'status', CAST(:status AS text), 'verdict', coalesce(verdict, 'allow'),
                'policy_version', coalesce(policy_version, 'none'), 'error', CAST(:error AS jsonb))
        WHERE id = :invocation_id AND organization_id = :organization_id AND status IN ('accepted', 'running')
        RETURNING *
    )
    INSERT INTO governance_events (id, event_type, action, user_id, organization_id, invocation_id, details)
    SELECT :event_id, 'invocation_abandoned', 'closed', user_id, organization_id, id, CAST(:error AS jsonb) FROM ended
    """
)

EXTEND = statement("SELECT budget_extend(:invocation_id, :number, :usd) AS refused")
