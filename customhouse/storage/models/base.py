"""What all tables share: names of constraints, types of columns."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any, ClassVar
from uuid import UUID

from sqlalchemy import (
    DateTime,
    MetaData,
    Numeric,
    Text,
    func,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.dialects.postgresql import UUID as PgUUID  # noqa: N811 - it is a type
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

MONEY = Numeric(20, 10)
"""US dollars: a token may cost less than a millionth of one."""

PARTITIONED = {"postgresql_partition_by": "RANGE (created_at)"}


class Base(DeclarativeBase):
    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map: ClassVar = {
        UUID: PgUUID(as_uuid=True),
        datetime: DateTime(timezone=True),
        Decimal: MONEY,
        str: Text,
        dict[str, Any]: JSONB,
        list[Any]: JSONB,
    }


def created_at(*, primary_key: bool = False) -> Mapped[datetime]:
    return mapped_column(DateTime(timezone=True), server_default=func.now(), primary_key=primary_key)
