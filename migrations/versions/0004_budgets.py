"""Budgets, their periods, and what attempts hold of them. The rules are functions here, beside the rows that they lock;
docs/decisions/0012-budgets-in-postgres.md says why.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

TIME = sa.DateTime(timezone=True)
MONEY = sa.Numeric(20, 10)

# Whose budget it is, of all that a call says of its caller. NULL: the call names none.
SUBJECT = """
CREATE FUNCTION budget_subject(
    scope text, organization_id uuid, key_id uuid, agent_id text, user_id text, workflow_execution_id text
) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE scope
        WHEN 'organization' THEN organization_id::text
        WHEN 'key' THEN key_id::text
        WHEN 'agent' THEN agent_id
        WHEN 'user' THEN user_id
        WHEN 'workflow_execution' THEN workflow_execution_id
    END
$$
"""

# The period that a moment falls into: 2026-11-24, 2026-11, or the run. NULL: the call belongs to no run.
PERIOD = """
CREATE FUNCTION budget_period(period text, at timestamptz, workflow_execution_id text) RETURNS text
LANGUAGE sql STABLE AS $$
    SELECT CASE period
        WHEN 'day' THEN to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD')
        WHEN 'month' THEN to_char(at AT TIME ZONE 'UTC', 'YYYY-MM')
        WHEN 'run' THEN workflow_execution_id
    END
$$
"""

# The thresholds in percent that have been reached, sorted; 0, which stands for a refusal, is kept as it is.
CROSSED = """
CREATE FUNCTION budget_crossed(before integer[], soft_percent integer[], amount_usd numeric, used_usd numeric)
RETURNS integer[] LANGUAGE sql IMMUTABLE AS $$
    SELECT coalesce(array_agg(t ORDER BY t), '{}') FROM (
        SELECT unnest(before) AS t UNION
        SELECT s FROM unnest(soft_percent || 100) AS s WHERE used_usd > 0 AND used_usd * 100 >= amount_usd * s
    ) AS reached
$$
"""

# Locks the periods in the order of their budgets, which all do, and lists the hard budgets that have no room.
ROOM = """
CREATE FUNCTION budget_room(ids uuid[], subjects text[], periods text[], needed numeric) RETURNS jsonb
LANGUAGE plpgsql AS $$
DECLARE
    v record;
    kind text;
    refused jsonb := '[]';
BEGIN
    FOR v IN
        SELECT b.*, p.subject, p.period AS current, p.ends_at, p.used_usd, p.reserved_usd, p.crossed
        FROM unnest(ids, subjects, periods) AS x(id, subject, period)
        JOIN budget_periods p ON p.budget_id = x.id AND p.subject = x.subject AND p.period = x.period
        JOIN budgets b ON b.id = x.id
        ORDER BY b.id FOR UPDATE OF p
    LOOP
        CONTINUE WHEN NOT v.hard;
        kind := CASE
            WHEN needed IS NULL THEN CASE WHEN v.unpriced = 'refuse' THEN 'unpriced' END
            WHEN needed = 0 THEN NULL
            WHEN v.used_usd + needed > v.amount_usd THEN 'spent'
            WHEN v.used_usd + v.reserved_usd + needed > v.amount_usd THEN 'reserved'
        END;
        CONTINUE WHEN kind IS NULL;
        refused := refused || jsonb_build_object(
            'kind', kind, 'budget_id', v.id, 'name', v.name, 'scope', v.scope, 'subject', v.subject,
            'period', v.period, 'current', v.current, 'resets_at', v.ends_at, 'amount_usd', v.amount_usd::text,
            'used_usd', v.used_usd::text, 'reserved_usd', v.reserved_usd::text, 'needed_usd', needed::text);
        IF kind = 'spent' AND NOT v.crossed @> '{0}' THEN
            UPDATE budget_periods SET crossed = '{0}' || crossed
            WHERE budget_id = v.id AND subject = v.subject AND period = v.current;
            PERFORM pg_notify('customhouse_budgets', v.id::text);
        END IF;
    END LOOP;
    RETURN CASE WHEN refused = '[]' THEN NULL ELSE refused END;
END
$$
"""

# NULL where no budget applies; {"refused": [...]}; or {"reserved": true}.
RESERVE = """
CREATE FUNCTION budget_reserve(p_invocation_id uuid, p_number integer, p_usd numeric) RETURNS jsonb
LANGUAGE plpgsql AS $$
DECLARE
    needed numeric := round(p_usd, 10);
    owner uuid;
    ids uuid[];
    subjects text[];
    periods text[];
    spans text[];
    refused jsonb;
BEGIN
    -- An attempt that the same statement closes has its trigger run at the statement's end: too late for this one.
    PERFORM budget_settle(a.invocation_id, a.number, a.usd_cost)
    FROM attempts a WHERE a.invocation_id = p_invocation_id AND a.is_budgeted AND a.status = 'unknown';

    SELECT min(i.organization_id::text)::uuid, array_agg(b.id ORDER BY b.id), array_agg(w.subject ORDER BY b.id),
        array_agg(w.period ORDER BY b.id), array_agg(b.period ORDER BY b.id)
    INTO owner, ids, subjects, periods, spans
    FROM invocations i
    JOIN budgets b ON b.organization_id = i.organization_id AND b.deleted_at IS NULL
        AND b.scope_id IN ('*', i.key_id::text, i.agent_id, i.user_id, i.workflow_execution_id)
    CROSS JOIN LATERAL (
        SELECT budget_subject(b.scope, i.organization_id, i.key_id, i.agent_id, i.user_id, i.workflow_execution_id)
            AS subject, budget_period(b.period, now(), i.workflow_execution_id) AS period
    ) AS w
    WHERE i.id = p_invocation_id AND w.subject IS NOT NULL AND w.period IS NOT NULL
        AND b.scope_id IN ('*', w.subject);
    IF ids IS NULL THEN
        RETURN NULL;
    END IF;

    INSERT INTO budget_periods (budget_id, subject, period, organization_id, starts_at, ends_at)
    SELECT x.id, x.subject, x.period, owner, date_trunc(t.span, now(), 'UTC'),
        date_trunc(t.span, now(), 'UTC') + ('1 ' || t.span)::interval
    FROM unnest(ids, subjects, periods, spans) AS x(id, subject, period, span)
    CROSS JOIN LATERAL (SELECT nullif(x.span, 'run') AS span) AS t
    WHERE NOT EXISTS (
        SELECT FROM budget_periods p WHERE p.budget_id = x.id AND p.subject = x.subject AND p.period = x.period)
    ORDER BY x.id
    ON CONFLICT DO NOTHING;

    refused := budget_room(ids, subjects, periods, needed);
    IF refused IS NOT NULL THEN
        RETURN jsonb_build_object('refused', refused);
    END IF;

    UPDATE budget_periods p SET reserved_usd = p.reserved_usd + coalesce(needed, 0)
    FROM unnest(ids, subjects, periods) AS x(id, subject, period)
    WHERE p.budget_id = x.id AND p.subject = x.subject AND p.period = x.period;
    INSERT INTO budget_reservations (invocation_id, attempt_number, budget_id, organization_id, subject, period, usd)
    SELECT p_invocation_id, p_number, x.id, owner, x.subject, x.period, coalesce(needed, 0)
    FROM unnest(ids, subjects, periods) AS x(id, subject, period);
    RETURN '{"reserved": true}';
END
$$
"""

# More for an attempt that goes on. NULL where there is room, or nothing left to hold it for; else as in `refused`.
EXTEND = """
CREATE FUNCTION budget_extend(p_invocation_id uuid, p_number integer, p_usd numeric) RETURNS jsonb
LANGUAGE plpgsql AS $$
DECLARE
    needed numeric := round(p_usd, 10);
    ids uuid[];
    subjects text[];
    periods text[];
    refused jsonb;
BEGIN
    SELECT array_agg(r.budget_id ORDER BY r.budget_id), array_agg(r.subject ORDER BY r.budget_id),
        array_agg(r.period ORDER BY r.budget_id)
    INTO ids, subjects, periods
    FROM (
        SELECT budget_id, subject, period FROM budget_reservations
        WHERE invocation_id = p_invocation_id AND attempt_number = p_number AND settled_usd IS NULL
        ORDER BY budget_id FOR UPDATE
    ) AS r;
    IF ids IS NULL THEN
        RETURN NULL;
    END IF;
    refused := budget_room(ids, subjects, periods, needed);
    IF refused IS NOT NULL THEN
        RETURN refused;
    END IF;
    UPDATE budget_periods p SET reserved_usd = p.reserved_usd + coalesce(needed, 0)
    FROM unnest(ids, subjects, periods) AS x(id, subject, period)
    WHERE p.budget_id = x.id AND p.subject = x.subject AND p.period = x.period;
    UPDATE budget_reservations SET usd = usd + coalesce(needed, 0)
    WHERE invocation_id = p_invocation_id AND attempt_number = p_number;
    RETURN NULL;
END
$$
"""

# What an attempt has come to replaces what it held, or what it was last said to have come to. Again: changes nothing.
SETTLE = """
CREATE FUNCTION budget_settle(p_invocation_id uuid, p_number integer, p_usd numeric) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    v record;
    cost numeric := coalesce(p_usd, 0);
    used numeric;
    reached integer[];
BEGIN
    PERFORM FROM budget_reservations
    WHERE invocation_id = p_invocation_id AND attempt_number = p_number ORDER BY budget_id FOR UPDATE;
    FOR v IN
        SELECT r.budget_id, r.subject, r.period, r.usd, r.settled_usd, p.used_usd, p.crossed, b.amount_usd,
            b.soft_percent
        FROM budget_reservations r
        JOIN budget_periods p ON p.budget_id = r.budget_id AND p.subject = r.subject AND p.period = r.period
        JOIN budgets b ON b.id = r.budget_id
        WHERE r.invocation_id = p_invocation_id AND r.attempt_number = p_number
            AND r.settled_usd IS DISTINCT FROM cost
        ORDER BY r.budget_id FOR UPDATE OF p
    LOOP
        used := v.used_usd + cost - coalesce(v.settled_usd, 0);
        reached := budget_crossed(v.crossed, v.soft_percent, v.amount_usd, used);
        UPDATE budget_periods SET used_usd = used, crossed = reached,
            reserved_usd = reserved_usd - CASE WHEN v.settled_usd IS NULL THEN v.usd ELSE 0 END
        WHERE budget_id = v.budget_id AND subject = v.subject AND period = v.period;
        UPDATE budget_reservations SET settled_usd = cost
        WHERE invocation_id = p_invocation_id AND attempt_number = p_number AND budget_id = v.budget_id;
        IF reached <> v.crossed THEN
            PERFORM pg_notify('customhouse_budgets', v.budget_id::text);
        END IF;
    END LOOP;
END
$$
"""

ON_SETTLEMENT = """
CREATE FUNCTION attempts_settle_budgets() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM budget_settle(NEW.invocation_id, NEW.number, NEW.usd_cost);
    RETURN NULL;
END
$$
"""

# Whatever closes an attempt settles what it held, in the same transaction. Not called where no budget applied.
TRIGGER = """
CREATE TRIGGER settle_budgets AFTER UPDATE OF status, usd_cost ON attempts
FOR EACH ROW WHEN (NEW.is_budgeted AND NEW.status <> 'started') EXECUTE FUNCTION attempts_settle_budgets()
"""

FUNCTIONS = (
    "attempts_settle_budgets()",
    "budget_extend(uuid, integer, numeric)",
    "budget_reserve(uuid, integer, numeric)",
    "budget_room(uuid[], text[], text[], numeric)",
    "budget_settle(uuid, integer, numeric)",
    "budget_crossed(integer[], integer[], numeric, numeric)",
    "budget_period(text, timestamptz, text)",
    "budget_subject(text, uuid, uuid, text, text, text)",
)


def upgrade() -> None:
    op.create_table(
        "budgets",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("organization_id", sa.UUID(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("scope_id", sa.Text(), nullable=False),
        sa.Column("period", sa.Text(), nullable=False),
        sa.Column("amount_usd", MONEY, nullable=False),
        sa.Column("hard", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.Column("soft_percent", ARRAY(sa.Integer()), server_default=sa.text("'{80}'::integer[]"), nullable=False),
        sa.Column("unpriced", sa.Text(), server_default=sa.text("'refuse'::text"), nullable=False),
        sa.Column("created_at", TIME, server_default=sa.text("now()"), nullable=False),
        sa.Column("counts_from", TIME, nullable=False),
        sa.Column("counted_at", TIME),
        sa.Column("deleted_at", TIME),
        sa.ForeignKeyConstraint(
            ["organization_id"], ["organizations.id"], name="fk_budgets_organization_id_organizations"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_budgets"),
    )
    op.create_index(
        "ix_budgets_organization_id_scope_id",
        "budgets",
        ["organization_id", "scope_id"],
        postgresql_where=sa.text("deleted_at IS NULL"),
    )
    op.create_table(
        "budget_periods",
        sa.Column("budget_id", sa.UUID(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("period", sa.Text(), nullable=False),
        sa.Column("organization_id", sa.UUID(), nullable=False),
        sa.Column("starts_at", TIME),
        sa.Column("ends_at", TIME),
        sa.Column("used_usd", MONEY, server_default=sa.text("0"), nullable=False),
        sa.Column("reserved_usd", MONEY, server_default=sa.text("0"), nullable=False),
        sa.Column("crossed", ARRAY(sa.Integer()), server_default=sa.text("'{}'::integer[]"), nullable=False),
        sa.Column("alerted", ARRAY(sa.Integer()), server_default=sa.text("'{}'::integer[]"), nullable=False),
        sa.Column("created_at", TIME, server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(["budget_id"], ["budgets.id"], name="fk_budget_periods_budget_id_budgets"),
        sa.PrimaryKeyConstraint("budget_id", "period", "subject", name="pk_budget_periods"),
        postgresql_with={"fillfactor": 50},
    )
    op.create_index(
        "ix_budget_periods_due",
        "budget_periods",
        ["budget_id"],
        postgresql_where=sa.text("NOT (crossed <@ alerted)"),
    )
    op.create_table(
        "budget_reservations",
        sa.Column("invocation_id", sa.UUID(), nullable=False),
        sa.Column("attempt_number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("budget_id", sa.UUID(), nullable=False),
        sa.Column("organization_id", sa.UUID(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("period", sa.Text(), nullable=False),
        sa.Column("usd", MONEY, nullable=False),
        sa.Column("settled_usd", MONEY),
        sa.Column("created_at", TIME, server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("invocation_id", "attempt_number", "budget_id", name="pk_budget_reservations"),
    )
    op.create_index(
        "ix_budget_reservations_open",
        "budget_reservations",
        ["budget_id"],
        postgresql_where=sa.text("settled_usd IS NULL"),
    )
    op.add_column("attempts", sa.Column("is_budgeted", sa.Boolean(), server_default=sa.text("false"), nullable=False))
    for function in (SUBJECT, PERIOD, CROSSED, ROOM, SETTLE, RESERVE, EXTEND, ON_SETTLEMENT, TRIGGER):
        op.execute(function)


def downgrade() -> None:
    op.execute("DROP TRIGGER settle_budgets ON attempts")
    for function in FUNCTIONS:
        op.execute(f"DROP FUNCTION {function}")
    op.drop_column("attempts", "is_budgeted")
    for table in ("budget_reservations", "budget_periods", "budgets"):
        op.drop_table(table)
