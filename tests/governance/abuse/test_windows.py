from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from customhouse.governance.abuse.windows import TARGET, windows_of


@given(st.text(alphabet=st.sampled_from("ab .\n|,。"), max_size=4_000))
def test_windows_cover_the_text_in_order_and_none_is_long(text: str) -> None:
    windows = windows_of(text)
    assert windows[0][0] == 0
    assert windows[-1][1] == len(text)
    assert all(later[0] <= earlier[1] for earlier, later in pairwise(windows))
    assert all(later[0] > earlier[0] for earlier, later in pairwise(windows))
    assert all(end - start <= TARGET * 3 // 2 for start, end in windows)


def test_a_short_text_is_one_window() -> None:
    assert windows_of("How are you?") == [(0, 12)]


def test_windows_begin_at_sentences_where_there_are_any() -> None:
    text = "The quick brown fox jumps over the lazy dog. " * 40
    assert all(text[start : start + 3] == "The" for start, _ in windows_of(text))


def test_a_text_without_boundaries_gets_as_many_windows_as_its_length_asks_for() -> None:
    assert len(windows_of("x" * 100_000)) <= 100_000 // (TARGET // 2) + 1
