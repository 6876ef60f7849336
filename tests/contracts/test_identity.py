from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from customhouse.contracts.chat import ChatRequest
from customhouse.contracts.errors import UnprocessableField
from customhouse.contracts.identity import fingerprint, trace_id, workflow_id
from customhouse.contracts.invocation import Caller

ORGANIZATION = UUID("0190c6e0-0000-7000-8000-000000000001")

keys = st.text(st.characters(), min_size=1, max_size=255)


@given(key=keys, other=keys)
def test_workflow_ids_are_safe_and_never_collide(key: str, other: str) -> None:
    identity = workflow_id(ORGANIZATION, key)
    assert identity.isascii()
    assert identity.isprintable()
    assert " " not in identity
    assert len(identity) < 1000
    assert (identity == workflow_id(ORGANIZATION, other)) == (key == other)
    assert identity != workflow_id(UUID(int=2), key)


def test_a_plain_key_stays_readable_and_a_long_one_fits() -> None:
    assert workflow_id(ORGANIZATION, "order-42") == f"{ORGANIZATION}:order-42"
    assert workflow_id(ORGANIZATION, "漢" * 255) != workflow_id(ORGANIZATION, "漢" * 254 + "字")


def body(**fields: Any) -> ChatRequest:
    return ChatRequest.model_validate({"model": "m", "messages": [{"role": "user", "content": "hi"}], **fields})


def caller(**fields: Any) -> Caller:
    return Caller(organization_id=ORGANIZATION, **fields)


def test_the_fingerprint_is_of_the_meaning() -> None:
    base = fingerprint(body(), caller())
    assert base == fingerprint(ChatRequest.model_validate(body().wire()), caller(agent_id="a", node_id="n"))
    others = [
        fingerprint(body(temperature=0.5), caller()),
        fingerprint(body(model="n"), caller()),
        fingerprint(body(new_parameter=1), caller()),
        fingerprint(body(stream=True), caller()),
        fingerprint(body(), caller(region="eu")),
        fingerprint(body(), caller(plan="pro")),
    ]
    assert len({base, *others}) == len(others) + 1


def test_the_order_of_fields_means_nothing() -> None:
    assert fingerprint(body(seed=1, top_p=0.5), caller()) == fingerprint(body(top_p=0.5, seed=1), caller())


def test_half_a_surrogate_pair_is_refused() -> None:
    request = ChatRequest.model_construct(model="m\ud83d", messages=[])
    with pytest.raises(UnprocessableField, match="surrogate"):
        fingerprint(request, caller())


def test_the_trace_has_the_invocations_own_id() -> None:
    assert trace_id(ORGANIZATION) == "0190c6e0000070008000000000000001"
