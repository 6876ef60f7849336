import pytest
from hypothesis import given
from hypothesis import strategies as st

from customhouse.governance.abuse.combine import Calibration, Curve, logistic

CALIBRATION = Calibration(
    curves={"fast": Curve(-1.0, {"fast": 0.5, "windows": -0.1}), "deep+fast": Curve(-1.0, {"fast": 0.2, "deep": 0.9})},
    flag=0.5,
    sure_benign=0.1,
    sure_abuse=0.9,
)
shares = st.floats(0, 1)


@given(st.floats(-800, 800), st.floats(-800, 800))
def test_the_logistic_curve_rises_and_stays_a_probability(first: float, second: float) -> None:
    low, high = sorted((first, second))
    assert 0 <= logistic(low) <= logistic(high) <= 1


@given(st.floats(-20, 20), shares, shares)
def test_more_behaviour_or_similarity_never_lowers_the_probability(fast: float, one: float, other: float) -> None:
    low, high = sorted((one, other))
    for name in ("behaviour", "similarity"):
        assert CALIBRATION.combine({"fast": fast, name: low}) <= CALIBRATION.combine({"fast": fast, name: high}) + 1e-12


@given(st.floats(-20, 20), shares, shares)
def test_the_result_is_a_probability(fast: float, similarity: float, behaviour: float) -> None:
    assert 0 <= CALIBRATION.combine({"fast": fast, "similarity": similarity, "behaviour": behaviour}) <= 1


def test_a_copy_of_known_abuse_is_abuse_whatever_the_model_says() -> None:
    assert CALIBRATION.combine({"fast": -9.0, "similarity": 1.0}) == 1.0


def test_behaviour_alone_condemns_nobody() -> None:
    assert CALIBRATION.combine({"fast": -4.0, "behaviour": 1.0}) < CALIBRATION.flag


def test_the_deep_tiers_score_has_a_curve_of_its_own() -> None:
    assert CALIBRATION.combine({"fast": 1.0, "deep": 2.0}) == pytest.approx(logistic(-1 + 0.2 + 1.8))


def test_layers_without_a_curve_are_an_error() -> None:
    with pytest.raises(KeyError):
        CALIBRATION.combine({"deep": 1.0})
