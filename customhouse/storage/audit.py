"""The audit log: what people and keys changed, as one hash chain an organization.

Each row's hash is SHA-256 over the hash before it and the row as canonical JSON (sorted keys), so that an edit, a row
taken out and a change of order all break the chain where they happened.

What a chain cannot show by itself: that its *last* rows were cut off, or that all of it was computed anew by someone
who may write to the table. Both show when `verify` is given a head that was noted earlier somewhere else.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

import orjson
from pydantic import BaseModel, ConfigDict
from sqlalchemy import Row, bindparam, cast, func, insert, select
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncConnection

from customhouse.storage.ids import new_id
from customhouse.storage.models import AuditLog

GENESIS = bytes(32)
"""What stands for the hash before the first row."""

_BATCH = 1000
"""Rows read at a time while verifying."""

_MOST_PROBLEMS = 100
"""A report names this many and counts the rest: one row taken from a chain may break many."""


class AuditHead(BaseModel):
    """The end of a chain. Note it elsewhere (a ticket, a print) to be able to see later that rows were cut off."""

    model_config = ConfigDict(frozen=True)

    sequence: int
    hash: str
    """Hexadecimal."""


class ProblemKind(StrEnum):
    EDITED = "edited"
    """The row is not what was hashed."""
    MISSING = "missing"
    """Rows are gone before this one."""
    UNLINKED = "unlinked"
    """The row does not follow from the row before it."""
    HEAD_LOST = "head_lost"
    """The noted head is not in the chain: the last rows were cut off, or the chain was computed anew."""


class AuditProblem(BaseModel):
    model_config = ConfigDict(frozen=True)

    sequence: int
    kind: ProblemKind
    explanation: str


class VerifyReport(BaseModel):
    """What `verify` found. The chain is sound if there are no problems."""

    model_config = ConfigDict(frozen=True)

    organization_id: UUID
    entries: int
    head: AuditHead | None
    """None for an empty chain."""
    problems: list[AuditProblem]
    problem_count: int
    """All of them; `problems` names the first 100."""

    @property
    def is_sound(self) -> bool:
        return self.problem_count == 0


async def append(
    connection: AsyncConnection,
    organization_id: UUID,
    *,
    actor: str,
    action: str,
    target: str,
    details: Mapping[str, Any] | None = None,
    event_type: str | None = None,
    policy: str | None = None,
) -> AuditHead:
    """Add a row to the chain, in the caller's transaction: the change and its record stand or fall as one.

    Other writers of the same organization wait until this transaction ends (an advisory lock), so that the sequence
    has no gap and no two rows follow the same one. The transaction must be READ COMMITTED, as ours all are: the row
    before is read after the lock is held.
    """
    await lock(connection, organization_id)
    # The details are hashed as Postgres gives them back, since `jsonb` keeps values, not their spelling.
    prepared = (
        await connection.execute(
            _PREPARE, {"organization_id": organization_id, "details": dict(details) if details else {}}
        )
    ).one()
    row = {
        "id": new_id(),
        "organization_id": organization_id,
        "sequence": (prepared.sequence or 0) + 1,
        "actor": actor,
        "action": action,
        "target": target,
        "event_type": event_type,
        "policy": policy,
        "details": prepared.details,
        "created_at": prepared.created_at,
    }
    previous = prepared.hash or GENESIS
    digest = _digest(previous, row)
    await connection.execute(insert(AuditLog), {**row, "previous_hash": previous, "hash": digest})
    return AuditHead(sequence=row["sequence"], hash=digest.hex())


async def lock(connection: AsyncConnection, organization_id: UUID) -> None:
    """Until the transaction ends nobody else adds to the chain of the organization. Taken again, it costs nothing."""
    await connection.execute(select(func.pg_advisory_xact_lock(_lock_key(organization_id))))


async def verify(
    connection: AsyncConnection, organization_id: UUID, *, expected_head: AuditHead | None = None
) -> VerifyReport:
    """Walk the whole chain of an organization. `expected_head`: one noted earlier, which must still be there."""
    walk = _Walk(expected_head)
    columns = AuditLog.__table__.columns
    while True:
        rows = (
            await connection.execute(
                select(*columns)
                .where(AuditLog.organization_id == organization_id, AuditLog.sequence > walk.sequence)
                .order_by(AuditLog.sequence)
                .limit(_BATCH)
            )
        ).all()
        for row in rows:
            walk.step(row)
        if len(rows) < _BATCH:
            return walk.report(organization_id)


class _Walk:
    """The state of one verification: what the next row must follow."""

    def __init__(self, expected_head: AuditHead | None) -> None:
        self.sequence = 0
        self._hash = GENESIS
        self._entries = 0
        self._expected = expected_head
        self._expected_seen = expected_head is None
        self._problems: list[AuditProblem] = []
        self._count = 0

    def step(self, row: Row[*tuple[Any, ...]]) -> None:
        if row.sequence != self.sequence + 1:
            gap = f"{self.sequence + 1} to {row.sequence - 1}"
            self._problem(row.sequence, ProblemKind.MISSING, f"The rows {gap} before this one are gone.")
        elif row.previous_hash != self._hash:
            self._problem(
                row.sequence, ProblemKind.UNLINKED, "The hash it follows is not the hash of the row before it."
            )
        if _digest(row.previous_hash, row._asdict()) != row.hash:
            self._problem(row.sequence, ProblemKind.EDITED, "Its content does not give its hash: the row was changed.")
        if self._expected is not None and row.sequence == self._expected.sequence:
            self._expected_seen = row.hash.hex() == self._expected.hash
        self.sequence, self._hash = row.sequence, row.hash
        self._entries += 1

    def report(self, organization_id: UUID) -> VerifyReport:
        if self._expected is not None and not self._expected_seen:
            self._problem(
                self._expected.sequence,
                ProblemKind.HEAD_LOST,
                f"The chain no longer holds the noted head {self._expected.hash[:16]}…: its last rows were cut off, or "
                "it was computed anew.",
            )
        return VerifyReport(
            organization_id=organization_id,
            entries=self._entries,
            head=AuditHead(sequence=self.sequence, hash=self._hash.hex()) if self._entries else None,
            problems=self._problems,
            problem_count=self._count,
        )

    def _problem(self, sequence: int, kind: ProblemKind, explanation: str) -> None:
        self._count += 1
        if len(self._problems) < _MOST_PROBLEMS:
            self._problems.append(AuditProblem(sequence=sequence, kind=kind, explanation=explanation))


_HASHED = (
    "id",
    "organization_id",
    "sequence",
    "actor",
    "action",
    "target",
    "event_type",
    "policy",
    "details",
    "created_at",
)

_LAST = (
    select(AuditLog.sequence, AuditLog.hash)
    .where(AuditLog.organization_id == bindparam("organization_id"))
    .order_by(AuditLog.sequence.desc())
    .limit(1)
    .subquery()
)
_GIVEN = select(
    cast(bindparam("details", type_=JSONB), JSONB).label("details"), func.clock_timestamp().label("created_at")
).subquery()
_PREPARE = select(_GIVEN.c.details, _GIVEN.c.created_at, _LAST.c.sequence, _LAST.c.hash).select_from(
    _GIVEN.outerjoin(_LAST, onclause=_GIVEN.c.created_at.is_not(None))
)


def _lock_key(organization_id: UUID) -> int:
    """64 bits of the organization's id, signed as `bigint` is: two organizations that share one only wait more."""
    return int.from_bytes(hashlib.sha256(b"audit:" + organization_id.bytes).digest()[:8], "big", signed=True)


def _digest(previous: bytes, row: Mapping[str, Any]) -> bytes:
    hashed = {name: row[name] for name in _HASHED}
    created_at: datetime = row["created_at"]
    hashed["created_at"] = created_at.astimezone(UTC).isoformat(timespec="microseconds")
    return hashlib.sha256(previous + orjson.dumps(hashed, option=orjson.OPT_SORT_KEYS)).digest()
