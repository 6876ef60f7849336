"""The abuse model's scores of live traffic, out of the traces."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

from sqlalchemy import Interval, bindparam, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from customhouse.governance.alerts.drift import BINS
from customhouse.storage.engine import in_transaction, reader

MOST_SCORES = 20_000
"""Of the newest ones: more would make the comparison no surer, and reading them slower."""


class AbuseScores:
    """Reads an organization's scores: attribute `probability` of the step `check.abuse`."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = reader(engine)

    async def histogram(self, organization_id: UUID, span: timedelta) -> list[int]:
        """How many of the last `span`'s scores lie in each of the 20 bins, at most 20,000 in all."""
        parameters = {"organization_id": organization_id, "span": span, "most": MOST_SCORES, "bins": BINS}

        async def read(connection: AsyncConnection) -> list[int]:
            counts = [0] * BINS
            for row in await connection.execute(_HISTOGRAM, parameters):
                counts[row.bin - 1] = row.scores
            return counts

        return await in_transaction(self._engine, read)


# width_bucket puts what lies at the upper bound or beyond into a bin of its own, hence `least`.
_HISTOGRAM = text(
    """
    SELECT least(greatest(width_bucket(probability, 0, 1, :bins), 1), :bins) AS bin, count(*) AS scores
    FROM (
        SELECT CAST(attributes ->> 'probability' AS double precision) AS probability
        FROM trace_spans
        WHERE name = 'check.abuse' AND organization_id = :organization_id AND created_at > now() - :span
            AND jsonb_typeof(attributes -> 'probability') = 'number'
        ORDER BY created_at DESC
        LIMIT :most
    ) AS newest
    GROUP BY 1
    """
).bindparams(bindparam("span", type_=Interval))
