from hypothesis import given
from hypothesis import strategies as st

from customhouse.governance.abuse.deep_tier import MAX_PIECES, MAX_TOKENS, pieces_of


@given(st.integers(0, 2_000))
def test_pieces_are_few_short_and_hold_both_ends(count: int) -> None:
    ids = list(range(count))
    pieces = pieces_of(ids)
    assert 1 <= len(pieces) <= MAX_PIECES
    assert all(len(piece) <= MAX_TOKENS - 2 for piece in pieces)
    assert pieces[0][:1] == ids[:1]
    assert any(piece[-1:] == ids[-1:] for piece in pieces)


@given(st.integers(0, (MAX_TOKENS - 2) * MAX_PIECES))
def test_a_window_of_usual_length_is_read_whole(count: int) -> None:
    ids = list(range(count))
    assert {each for piece in pieces_of(ids) for each in piece} == set(ids)
