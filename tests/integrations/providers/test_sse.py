from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from customhouse.integrations.providers.sse import EventParser, ServerSentEvent

BODY = (
    ': hello\n\nevent: start\ndata: {"a": 1}\n\ndata:no space\n\ndata: two\ndata: lines\nid: 7\n\n\n'
    "event: ping\n\ndata: Grüße 🌍\nretry: 5\n\ndata:\n\ndata: [DONE]"
).encode()
EVENTS = [
    ServerSentEvent("start", b'{"a": 1}'),
    ServerSentEvent("", b"no space"),
    ServerSentEvent("", b"two\nlines"),
    ServerSentEvent("", "Grüße 🌍".encode()),
    ServerSentEvent("", b"[DONE]"),
]


def parse(pieces: list[bytes]) -> list[ServerSentEvent]:
    parser = EventParser()
    return [event for piece in pieces for event in parser.feed(piece)] + parser.close()


@given(st.lists(st.integers(0, len(BODY) * 2)), st.sampled_from([b"\n", b"\r\n", b"\r"]))
def test_pieces_and_line_ends_make_no_difference(cuts: list[int], newline: bytes) -> None:
    body = BODY.replace(b"\n", newline)
    places = [0, *sorted(min(cut, len(body)) for cut in cuts), len(body)]
    assert parse([body[a:b] for a, b in pairwise(places)]) == EVENTS


def test_a_byte_order_mark() -> None:
    assert parse([b"\xef\xbb\xbfdata: x\n\n"]) == [ServerSentEvent("", b"x")]


def test_events_come_as_soon_as_they_are_whole() -> None:
    parser = EventParser()
    assert parser.feed(b"data: x\n") == []
    assert parser.pending_bytes == 8
    assert parser.feed(b"\ndata: y") == [ServerSentEvent("", b"x")]


@given(st.lists(st.binary()))
def test_takes_any_bytes(pieces: list[bytes]) -> None:
    parse(pieces)
