"""What a caller's record comes to."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from customhouse.governance.limits.behaviour import LONGEST_RECORD, WINDOW_S, AutoBlock, Record, is_to_block, score

NOW = 1_000_000.0


def record(*, calls: int = 0, offences: int = 0, near: int = 0, ago: float = 1.0, every: float = 1.0) -> Record:
    """The last of each `ago` seconds before, the ones before it `every` seconds apart."""
    made = Record()
    moments = [NOW - ago - every * (calls - number - 1) for number in range(calls)]
    made.calls.extend(moments)
    made.offences.extend(moments[-offences:] if offences else [])
    for number in range(near):
        made.probed(f"prompt {number}", NOW - ago)
    return made


def of_user(made: Record) -> float:
    return score(made, NOW, shared=False)


def of_key(made: Record) -> float:
    return score(made, NOW, shared=True)


def test_nothing_is_held_against_a_stranger_or_a_steady_caller() -> None:
    assert of_user(Record()) == 0
    assert of_user(record(calls=60, every=1.0)) == 0
    assert of_key(record(calls=1000, every=0.1)) == 0


def test_offences_add_up() -> None:
    scores = [of_user(record(calls=10, offences=count, every=10)) for count in range(11)]
    assert scores == sorted(scores)
    assert len(set(scores)) == len(scores)
    assert abs(scores[3] - 0.5) < 0.01
    assert scores[10] > 0.85


def test_what_is_long_ago_is_forgotten() -> None:
    assert of_user(record(calls=10, offences=10, near=9, ago=WINDOW_S + 1, every=0)) == 0


def test_several_different_prompts_near_the_threshold_are_probing() -> None:
    assert of_user(record(calls=1, near=1)) == 0
    assert of_user(record(calls=20, near=20, every=10)) > 0.6


def test_the_same_prompt_again_is_no_probing() -> None:
    made = record(calls=20, every=10)
    for _ in range(20):
        made.probed("the same", NOW)
    assert of_user(made) == 0


def test_haste_alone_makes_no_abuser() -> None:
    hasty = of_user(record(calls=900, every=0.05))
    assert 0 < hasty < 0.16


def test_a_shared_address_is_judged_by_its_share() -> None:
    """A thousand calls of many people, ten of them bad, are another thing than ten bad calls of ten."""
    assert of_key(record(calls=1000, offences=10, every=0.3)) < 0.05
    assert of_key(record(calls=10, offences=10, every=10)) > 0.6


@given(
    calls=st.integers(0, 2000),
    offences=st.integers(0, 2000),
    near=st.integers(0, 50),
    every=st.floats(0, 10),
    shared=st.booleans(),
)
def test_a_score_is_a_probability(calls: int, offences: int, near: int, every: float, shared: bool) -> None:
    made = record(calls=calls, offences=min(offences, calls), near=near, every=every)
    assert 0 <= score(made, NOW, shared=shared) <= 1
    assert len(made.calls) <= LONGEST_RECORD


def test_repeated_abuse_leads_to_a_block() -> None:
    rule = AutoBlock(after=10, window_s=600)
    assert not is_to_block(record(calls=9, offences=9), NOW, rule)
    assert is_to_block(record(calls=10, offences=10), NOW, rule)
    assert not is_to_block(record(calls=10, offences=10, every=70), NOW, rule), "not within ten minutes"


def test_no_block_where_none_is_wanted() -> None:
    assert not is_to_block(record(calls=500, offences=500, every=0.1), NOW, AutoBlock(after=0))
