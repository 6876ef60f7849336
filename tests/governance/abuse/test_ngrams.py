import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from customhouse.governance.abuse.ngrams import BUCKETS, Floats, bucket_counts, codepoints, window_sums
from customhouse.governance.abuse.windows import windows_of

WEIGHTS = np.random.default_rng(5).normal(size=(BUCKETS, 2)).astype(np.float32)


def alone(text: str) -> Floats:
    buckets, values = bucket_counts(text)
    return values @ WEIGHTS[buckets] if len(buckets) else np.zeros(2, dtype=np.float32)


@settings(max_examples=50, deadline=None)
@given(st.text(max_size=300))
def test_one_window_weighs_what_training_counted(text: str) -> None:
    np.testing.assert_allclose(window_sums(text, [(0, len(text))], WEIGHTS)[0], alone(text), atol=1e-4)


def test_a_window_between_white_space_weighs_the_same_within_a_text_and_alone() -> None:
    text = "The mail says nothing new. Please call me, today or tomorrow! " * 30
    windows = windows_of(text)
    sums = window_sums(text, windows, WEIGHTS)
    assert len(windows) > 5
    for (start, end), row in zip(windows, sums, strict=True):
        np.testing.assert_allclose(row, alone(text[start:end]), atol=1e-4)


def test_case_digits_and_kinds_of_white_space_make_no_difference() -> None:
    assert codepoints("Room 12\tA").tolist() == codepoints("room 98 a").tolist()


@given(st.text(max_size=200))
def test_code_points_are_as_many_as_characters(text: str) -> None:
    assert len(codepoints(text)) == len(text)
