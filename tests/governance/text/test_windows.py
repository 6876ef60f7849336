from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from customhouse.governance.text.windows import sentence_windows


@given(
    st.text(alphabet="ab .!?\n\t。漢", max_size=300),
    st.integers(4, 40).flatmap(lambda most: st.tuples(st.just(most), st.integers(0, most // 4))),
)
def test_windows_cover_everything_and_go_on(text: str, sizes: tuple[int, int]) -> None:
    most, overlap = sizes
    windows = sentence_windows(text, most, overlap)
    assert windows[0][0] == 0
    assert windows[-1][1] == len(text)
    assert all(end - start <= most for start, end in windows)
    for (start, end), (following, last) in pairwise(windows):
        assert start < following <= end < last
        assert end - following <= overlap


def test_windows_are_of_whole_sentences_and_begin_with_one() -> None:
    text = "One is here. Two is here. Three is here. Four is here."
    windows = sentence_windows(text, 30, 0)
    assert [text[start:end].strip() for start, end in windows] == [
        "One is here. Two is here.",
        "Three is here. Four is here.",
    ]


def test_what_stands_on_a_border_is_whole_in_one_of_them() -> None:
    text = "word " * 100
    windows = sentence_windows(text, 60, 15)
    assert any(text[start:end].startswith("word") for start, end in windows[1:])
    borders = [end for _, end in windows[:-1]]
    assert all(any(start < border - 5 and border + 5 <= end for start, end in windows) for border in borders)


def test_a_word_that_is_too_long_is_split() -> None:
    assert sentence_windows("x" * 10, 4) == [(0, 4), (4, 8), (8, 10)]


def test_a_short_text_is_one_window() -> None:
    assert sentence_windows("", 100, 10) == [(0, 0)]
    assert sentence_windows("a. b.", 100, 10) == [(0, 5)]


@pytest.mark.parametrize(("most", "overlap"), [(3, 0), (100, 26), (100, -1)])
def test_sizes_that_cannot_be_are_refused(most: int, overlap: int) -> None:
    with pytest.raises(ValueError, match="at most a quarter"):
        sentence_windows("text", most, overlap)
