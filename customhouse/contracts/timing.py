"""Every timeout, interval and retry policy of the product, named once."""

from __future__ import annotations

from datetime import timedelta

from temporalio.common import RetryPolicy

# --- Workflow -------------------------------------------------------------------------------------------------------

WORKFLOW_TASK_TIMEOUT = timedelta(seconds=10)
"""After a worker's death another one takes over when this has passed: Temporal's default, and its floor for us."""

START_TIMEOUT = timedelta(seconds=10)
"""Temporal takes milliseconds to start a workflow; where it hangs, the caller is told so and can try again."""

# --- Local activities that touch only Postgres and memory -------------------------------------------------------------

DATABASE_STEP_TIMEOUT = timedelta(seconds=10)
"""One try of `clear` or `record`."""

DATABASE_STEP_RETRY = RetryPolicy(
    initial_interval=timedelta(milliseconds=50),
    backoff_coefficient=2.0,
    maximum_interval=timedelta(seconds=5),
    maximum_attempts=0,
)
"""Postgres may be restarting; the step is idempotent, so it is tried until the invocation's deadline."""

RECORD_PATIENCE = timedelta(hours=24)
"""How long `record` waits for Postgres to come back: an answer that was paid for is not dropped."""

# --- Provider calls ---------------------------------------------------------------------------------------------------

CALL_RETRY = RetryPolicy(
    initial_interval=timedelta(milliseconds=250),
    backoff_coefficient=2.0,
    maximum_interval=timedelta(seconds=10),
    maximum_attempts=3,
)
"""Per deployment. A provider's Retry-After replaces the interval."""

CALL_MARGIN = timedelta(seconds=5)
"""Beyond the provider's own time-out, so that the provider client, which knows more, times out first."""

LOCAL_BACKOFF_LIMIT = timedelta(seconds=2)
"""A longer pause between attempts in the local lane is a durable timer, so that it holds no workflow task."""

QUEUE_PATIENCE = timedelta(seconds=30)
"""How long an attempt waits for a worker to take it before the next deployment of the route is tried."""

CALL_HEARTBEAT = timedelta(seconds=1)
"""The regular lane beats this often while the provider works."""

CALL_HEARTBEAT_TIMEOUT = timedelta(seconds=5)

LOCAL_LANE_P95_LIMIT = timedelta(seconds=4)
"""Past 5 s in a local activity the SDK warns and cancels reach the workflow late: calls expected to be longer go the
regular lane (measured; see docs/decisions)."""

LONGEST_RETRY_AFTER = timedelta(seconds=60)
"""A provider that asks for a longer pause is left for the next deployment."""

CONNECT_TIMEOUT_S = 10.0
"""Seconds to open a connection to a provider."""

# --- The doors --------------------------------------------------------------------------------------------------------

ANSWER_POLL = timedelta(seconds=2)
"""How often a waiting request looks into Postgres by itself, should a notification be lost."""

WORKFLOW_CHECK = timedelta(seconds=10)
"""How often a waiting request asks Temporal whether the workflow still runs (terminated by hand, say)."""

AUTH_CACHE_TTL = timedelta(seconds=2)
"""A revoked key is refused everywhere after this long."""

SSE_KEEPALIVE = timedelta(seconds=15)
"""A comment is sent on a silent stream this often, so that proxies keep it open."""

DRAIN_TIMEOUT = timedelta(seconds=30)
"""On SIGTERM, calls in flight get this long; what is left goes on in another worker."""

READINESS_TIMEOUT = timedelta(seconds=2)
"""One part's probe in `GET /readyz`."""

# --- Postgres ---------------------------------------------------------------------------------------------------------

DATABASE_CONNECT_TIMEOUT = timedelta(seconds=5)
"""To open one connection, and to wait for a free one of the pool."""

STATEMENT_TIMEOUT = timedelta(seconds=8)
"""One statement; shorter than `DATABASE_STEP_TIMEOUT`, so that Postgres, which knows more, gives up first."""

LOCK_TIMEOUT = timedelta(seconds=5)
"""To wait for one lock: a migration or a stuck writer costs an error, not a queue behind it."""

IDLE_IN_TRANSACTION_TIMEOUT = timedelta(seconds=30)
"""A transaction that a frozen process left open is ended by Postgres, with the locks it holds."""

DATABASE_PATIENCE = timedelta(seconds=5)
"""How long one unit of database work is tried again while Postgres restarts; then `NotReady`."""

BUS_RECONNECT = (timedelta(milliseconds=100), timedelta(seconds=5))
"""First and longest pause between tries to reconnect the notification bus."""

BUS_PROBE = timedelta(seconds=15)
"""A silent bus connection is probed this often, so that one that died without a word is noticed."""

STREAM_BATCH = timedelta(milliseconds=200)
"""Chunks that are read through the workflow go in batches: each costs a signal in its history."""

# --- Housekeeping -----------------------------------------------------------------------------------------------------

HOUSEKEEPING_INTERVAL = timedelta(minutes=10)

HOUSEKEEPING_STEP_TIMEOUT = timedelta(minutes=10)

HOUSEKEEPING_STEP_HEARTBEAT = timedelta(minutes=1)

HOUSEKEEPING_RETRY = RetryPolicy(
    initial_interval=timedelta(seconds=5),
    maximum_interval=timedelta(minutes=1),
    maximum_attempts=5,
)
"""What fails five times has its next turn an hour later."""

ABANDONED_AFTER = timedelta(minutes=10)
"""Younger invocations may be between their row and their workflow."""

# --- Alerts -----------------------------------------------------------------------------------------------------------

ALERT_DESK_PAUSE = timedelta(seconds=1)
"""Between two rounds of writing alerts down: repeats meanwhile become one statement."""

ALERT_DESK_DRAIN = timedelta(seconds=5)
"""How long a process that stops may take to write down what waits."""

ALERT_POLL = timedelta(seconds=5)
"""How often the sender looks for alerts that other processes have raised, and for those to be tried again."""

ALERT_SEND_TIMEOUT = timedelta(seconds=30)
"""To one place."""

ALERT_LEASE = timedelta(minutes=5)
"""A sender that took alerts and is not heard of for so long has died, and another one takes them; longer than a full
round to places that hang."""

ALERT_RETRY = (timedelta(seconds=10), timedelta(minutes=15))
"""First and longest pause before a place that failed is tried again."""

ALERT_GIVE_UP = timedelta(hours=24)
"""Older news is not sent any more; it stays in the list."""

DRIFT_INTERVAL = timedelta(hours=1)

DRIFT_STEP_TIMEOUT = timedelta(minutes=10)

DRIFT_STEP_HEARTBEAT = timedelta(minutes=1)

DRIFT_SPAN = timedelta(days=1)
"""Scores of so long are compared with the training's."""

# --- Limits and blocks ------------------------------------------------------------------------------------------------

RATE_LIMIT_TIMEOUT = timedelta(milliseconds=50)
"""The longest that a call waits for Valkey to count it."""

RATE_LIMIT_PAUSE = timedelta(seconds=1)
"""While Valkey is away it is asked this often, not by each call: those would all wait out the time-out."""

RULES_RETRY = (timedelta(milliseconds=100), timedelta(seconds=5))
"""First and longest pause between tries to read changed limits and blocks, while Postgres is away."""

REFUSALS_TOLD_AFTER = timedelta(seconds=1)
"""A refusal becomes an event this soon; the same one again is counted, and told once in REFUSALS_TOLD_EVERY."""

REFUSALS_TOLD_EVERY = timedelta(minutes=1)

SETTLE_PATIENCE = timedelta(seconds=30)
"""Beyond an invocation's deadline: by then its tokens have been counted, or count as they were estimated."""

# --- Validators -------------------------------------------------------------------------------------------------------

VALIDATORS_LOAD_TIMEOUT = timedelta(minutes=3)
"""GuardrailsAI takes 5 s to import on an idle machine, and some validators read models."""

VALIDATORS_COPY_TIMEOUT = timedelta(seconds=5)
"""A new process of the loaded validators takes some 20 ms."""

VALIDATOR_SET_ASIDE = timedelta(seconds=30)
"""How long a validator that hangs again and again is not asked."""

# --- Similarity -------------------------------------------------------------------------------------------------------

SIMILARITY_STATEMENT_TIMEOUT = timedelta(milliseconds=15)
"""Postgres gives a search up by itself: the prompt goes on without, and the connection is good for the next one."""

SIMILARITY_REFRESH = timedelta(seconds=1)
"""How often a process asks for prompts that others have taken, and for those that were blocked."""

SIMILARITY_OVERLAP = timedelta(seconds=10)
"""Asked for again each time: what was begun before the last look, and committed after it."""

SIMILARITY_SETTLED = timedelta(seconds=10)
"""Staged prompts go into the index when they are this old, so when every process has seen them."""

SIMILARITY_INDEX_PAUSE = (timedelta(milliseconds=100), timedelta(seconds=5))
"""Between two batches into the index while there is work, and while there is none."""

SIMILARITY_AGE_OUT_EVERY = timedelta(hours=1)

# --- Budgets ----------------------------------------------------------------------------------------------------------

BUDGET_WATCH_INTERVAL = timedelta(minutes=1)
"""How often each process looks for thresholds that budgets have passed, should a notification be lost."""
