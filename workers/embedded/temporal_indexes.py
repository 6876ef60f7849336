"""The embedded Temporal's list of workflows, without the indexes that nobody here searches by.

Its SQLite schema has 58 indexes, most of them on columns that stay empty here, and every one of them is written with
each start and each end of a workflow: a quarter of the server's CPU. 37 are dropped. A search by a column without its
index still finds everything; it reads the list from end to end.
"""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from pathlib import Path

PATIENCE_S = 10.0
"""How long to wait for the server's own writes."""

_TABLE = "executions_visibility"

_UNUSED = re.compile(
    # Temporal's spare columns, of types that none of our search attributes has (`customhouse/contracts`).
    r"by_(temporal_)?(bool|datetime|int)_\d+"
    r"|by_temporal_(double|keyword|low_cardinality_keyword)_\d+"
    # Versioned workers, batch jobs and paused workflows: features that are not used here.
    r"|by_temporal_(worker_deployment|worker_deployment_version|workflow_versioning_behavior|pause_info)"
    r"|by_(batcher_user|temporal_scheduled_start_time|temporal_schedule_paused|temporal_namespace_division)"
    # Sizes and counts, and what is looked up by its workflow's id instead.
    r"|by_(history_length|history_size_bytes|execution_duration|state_transition_count|task_queue)"
    r"|by_(parent_run_id|root_run_id)"
)
"""What is dropped, named: an index that a later version adds, or that our search attributes use, stays."""


def drop_unused_indexes(database: Path) -> int:
    """Drop them, beside the running server, and say how many there were. Raises sqlite3.Error."""
    with closing(sqlite3.connect(database, timeout=PATIENCE_S)) as connection:
        rows = connection.execute("SELECT name FROM sqlite_master WHERE type = 'index' AND tbl_name = ?", (_TABLE,))
        unused = [name for (name,) in rows if _UNUSED.fullmatch(name)]
        with connection:
            for name in unused:
                connection.execute(f'DROP INDEX "{name}"')
    return len(unused)
