from __future__ import annotations

import base64
from datetime import UTC, datetime

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from customhouse.contracts.errors import UnprocessableField
from customhouse.storage.ids import new_id
from customhouse.storage.pages import LARGEST_LIMIT, Cursor, PageRequest


def encoded(value: object) -> str:
    return base64.urlsafe_b64encode(orjson.dumps(value)).rstrip(b"=").decode()


@given(st.datetimes(timezones=st.just(UTC)), st.uuids())
def test_a_cursor_comes_back_as_it_was(created_at: datetime, identity: object) -> None:
    cursor = Cursor(created_at, identity)  # type: ignore[arg-type]
    assert Cursor.decode(cursor.encode()) == cursor


@pytest.mark.parametrize(
    "cursor",
    [
        "",
        "not base64!",
        "é",
        "AAAA",
        "x" * 10_000,
        encoded([]),
        encoded("text"),
        encoded(None),
        encoded({}),
        encoded({"created_at": "2026-01-01T00:00:00+00:00"}),
        encoded({"created_at": "yesterday", "id": str(new_id())}),
        encoded({"created_at": "2026-01-01T00:00:00", "id": str(new_id())}),
        encoded({"created_at": 5, "id": str(new_id())}),
        encoded({"created_at": "2026-01-01T00:00:00+00:00", "id": "7"}),
        encoded({"created_at": "2026-01-01T00:00:00+00:00", "id": 7}),
    ],
)
def test_a_bad_cursor_names_the_field(cursor: str) -> None:
    with pytest.raises(UnprocessableField, match="cursor") as caught:
        PageRequest.of(cursor=cursor)
    assert caught.value.param == "cursor"


@given(st.text())
def test_any_text_is_a_cursor_or_refused(text: str) -> None:
    with pytest.raises(UnprocessableField):
        Cursor.decode(text)


@pytest.mark.parametrize("limit", [-1, 0, LARGEST_LIMIT + 1, 10**9])
def test_a_bad_limit_names_the_field(limit: int) -> None:
    with pytest.raises(UnprocessableField, match="1 to 200") as caught:
        PageRequest.of(limit=limit)
    assert caught.value.param == "limit"


def test_the_default_page_has_fifty() -> None:
    assert PageRequest.of() == PageRequest(50, None)
