"""`/api/v1/blocks`: who is kept out, who never is, and who alone is let in."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Body, Query
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, WithJsonSchema

from api.bodies import NUMBER, without_nul
from api.doors import Operator, TheDoors
from api.examples import problems
from api.problems import field_error
from customhouse.contracts.rate_limits import BlockEffect, BlockKind
from customhouse.governance.limits.networks import parse_network
from customhouse.storage.blocks import BlockFilter, BlockRecord, NewBlock
from customhouse.storage.pages import Page, PageRequest

router = APIRouter(prefix="/api/v1/blocks", tags=["Limits and blocks"])

LONGEST_S = 10 * 366 * 86_400


def _network(text: str) -> str:
    return str(parse_network(text))


_OCTET = r"(25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"

Network = Annotated[
    str,
    Field(max_length=64),
    AfterValidator(_network),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "format": "ipv4"},
                {"type": "string", "format": "ipv6"},
                {"type": "string", "pattern": rf"^({_OCTET}\.){{3}}{_OCTET}/(3[0-2]|[12]?[0-9])$"},
                {"type": "string", "pattern": r"^([0-9a-f]{1,4}:){7}[0-9a-f]{1,4}/(12[0-8]|1[01][0-9]|[1-9]?[0-9])$"},
            ]
        }
    ),
]
"""An address or CIDR. Bits beyond the prefix are dropped, and IPv4-mapped IPv6 is IPv4."""

Id = Annotated[str, Field(min_length=1, max_length=256), AfterValidator(without_nul)]


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid")

    effect: BlockEffect = BlockEffect.DENY
    """`deny` refuses, `allow` is refused by no `deny`, `only` lets nobody else in."""
    reason: Annotated[str, Field(min_length=1, max_length=500), AfterValidator(without_nul)]
    """For the operators; it is not told to whoever is refused."""
    expires_in_s: Annotated[int, Field(ge=1, le=LONGEST_S), NUMBER] | None = None
    """Null, or left out: until it is taken away."""


class AddressBlock(_Entry):
    kind: Literal["ip"]
    subject: Network


class _OfCaller(_Entry):
    network: Network | None = None
    """Only where the call comes from there."""


class UserBlock(_OfCaller):
    kind: Literal["user"]
    subject: Id


class AgentBlock(_OfCaller):
    kind: Literal["agent"]
    subject: Id


class KeyBlock(_OfCaller):
    kind: Literal["key"]
    subject: UUID


BlockBody = Annotated[
    AddressBlock | UserBlock | AgentBlock | KeyBlock,
    Body(
        discriminator="kind",
        examples=[{"kind": "ip", "subject": "192.0.2.0/24", "reason": "scraping", "expires_in_s": 86_400}],
    ),
]


def parse_block(values: Mapping[str, Any]) -> NewBlock:
    """For whoever blocks otherwise than by REST. Raises UnprocessableField as the API does."""
    try:
        return entry_of(TypeAdapter[BlockBody](BlockBody).validate_python(values))
    except ValidationError as error:
        raise field_error(error) from error


def entry_of(entry: BlockBody) -> NewBlock:
    return NewBlock(
        effect=entry.effect,
        kind=BlockKind(entry.kind),
        subject=str(entry.subject),
        network=None if isinstance(entry, AddressBlock) else entry.network,
        reason=entry.reason,
        lasts=None if entry.expires_in_s is None else timedelta(seconds=entry.expires_in_s),
    )


class BlockQuery(BlockFilter):
    """Filters and page."""

    limit: Annotated[int, Field(ge=1, le=200)] = 50
    cursor: str | None = None


@router.get("", summary="List blocks", responses=problems(401, 403, 422))
async def list_blocks(doors: TheDoors, principal: Operator, query: Annotated[BlockQuery, Query()]) -> Page[BlockRecord]:
    """Newest first, in keyset pages: those that hold now, or with `past` all that ever did. For operators."""
    narrowed = BlockFilter.model_validate(query.model_dump(exclude={"limit", "cursor"}))
    page = PageRequest.of(query.limit, query.cursor)
    return await doors.blocks.list_page(principal.organization_id, narrowed, page)


@router.post("", summary="Add a block", status_code=201, responses=problems(400, 401, 403, 422))
async def add(entry: BlockBody, doors: TheDoors, principal: Operator) -> BlockRecord:
    """Holds in every process within two seconds. Who blocks or lists others can do so to themselves: the command
    `customhouse blocks remove` passes no door. For operators; audited.
    """
    return await doors.blocks.add(principal.organization_id, entry_of(entry), actor=principal.actor)


@router.delete("/{block_id}", summary="Take a block away", responses=problems(401, 403, 404, 422))
async def remove(block_id: UUID, doors: TheDoors, principal: Operator) -> BlockRecord:
    """It stays in the list of the past. One that is gone already stays as it is. For operators; audited."""
    return await doors.blocks.remove(principal.organization_id, block_id, actor=principal.actor)
