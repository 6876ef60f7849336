"""The ring of the latest prompts, campaigns among them, and what all of it is said to mean."""

from __future__ import annotations

from uuid import UUID

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from customhouse.contracts.governance import Direction, Finding, Severity, Verdict
from customhouse.governance.policy import Policy
from customhouse.governance.similarity.campaign import Campaign, CampaignRule, campaign_of
from customhouse.governance.similarity.embedder import DIMENSIONS, Vector, unit
from customhouse.governance.similarity.judging import Nearness, findings_of, is_abuse
from customhouse.governance.similarity.recent import Match, RecentPrompts, SeenPrompt
from customhouse.governance.similarity.thresholds import Band

NOBODY = UUID(int=0)


def seen(number: int, *, at: float = 0.0, user: str | None = None, blocked: bool = False) -> SeenPrompt:
    return SeenPrompt(UUID(int=number), f"hash-{number}", at, user, "agent", blocked)


def axis(number: int, tilt: float = 0.0) -> Vector:
    vector = np.zeros(DIMENSIONS, np.float32)
    vector[number % DIMENSIONS], vector[(number + 1) % DIMENSIONS] = 1, tilt
    return unit(vector)


class TestRing:
    def test_the_nearest_is_found_but_not_oneself(self) -> None:
        recent = RecentPrompts.of(8, [(seen(1), axis(1)), (seen(2), axis(1, 0.5)), (seen(3), axis(9))])
        scores = recent.scores(axis(1))
        first = recent.nearest(scores, other_than=NOBODY)
        assert first is not None
        assert first.invocation_id == UUID(int=1)
        assert first.score == pytest.approx(1)
        second = recent.nearest(scores, other_than=UUID(int=1))
        assert second is not None
        assert second.prompt_hash == "hash-2"

    def test_nothing_is_near_in_an_empty_one(self) -> None:
        recent = RecentPrompts(4)
        assert recent.nearest(recent.scores(axis(1)), other_than=NOBODY) is None

    def test_by_whether_it_was_blocked(self) -> None:
        recent = RecentPrompts.of(8, [(seen(1, blocked=True), axis(1)), (seen(2), axis(1, 0.5))])
        scores = recent.scores(axis(1))
        through = recent.nearest(scores, other_than=NOBODY, blocked=False)
        blocked = recent.nearest(scores, other_than=NOBODY, blocked=True)
        assert (through and through.prompt_hash, blocked and blocked.prompt_hash) == ("hash-2", "hash-1")

    @given(st.lists(st.integers(1, 30), max_size=120), st.integers(1, 20))
    def test_it_holds_the_newest_and_no_more(self, numbers: list[int], capacity: int) -> None:
        recent = RecentPrompts(capacity)
        held: dict[int, None] = {}
        for number in numbers:
            recent.add(seen(number), axis(number))
            if number not in held:
                held[number] = None
                if len(held) > capacity:
                    del held[next(iter(held))]
        assert len(recent) == len(held)
        assert all(UUID(int=number) in recent for number in held)
        for number in held:
            match = recent.nearest(recent.scores(axis(number)), other_than=NOBODY)
            assert match is not None
            assert match.invocation_id == UUID(int=number)

    def test_what_is_removed_is_found_no_more(self) -> None:
        recent = RecentPrompts.of(8, [(seen(1), axis(1)), (seen(2), axis(2))])
        recent.remove_hash("hash-1")
        recent.remove(UUID(int=77))
        assert not recent.has_hash("hash-1")
        match = recent.nearest(recent.scores(axis(1)), other_than=NOBODY)
        assert match is not None
        assert match.invocation_id == UUID(int=2)
        recent.remove(UUID(int=2))
        assert recent.nearest(recent.scores(axis(1)), other_than=NOBODY) is None

    def test_copies_are_those_in_time(self) -> None:
        recent = RecentPrompts.of(8, [(seen(n, at=n), axis(1)) for n in range(1, 6)])
        found = recent.copies(recent.scores(axis(1)), 0.9, since=3, other_than=UUID(int=5))
        assert {each.at for each in found} == {3, 4}


class TestCampaign:
    RULE = CampaignRule(window_s=60, from_one=5, from_many=4, users=3)

    def campaign(self, *users: str | None, blocked: bool = False, known: bool = False) -> Campaign | None:
        *copies, latest = [seen(n, user=user, blocked=blocked and n == 0) for n, user in enumerate(users)]
        return campaign_of(latest, copies, self.RULE, near_known_abuse=known)

    def test_from_one_user(self) -> None:
        assert self.campaign(*["u"] * 4) is None
        found = self.campaign(*["u"] * 5)
        assert found is not None
        assert (found.copies, found.users, found.is_suspicious) == (5, 1, False)

    def test_from_many(self) -> None:
        assert self.campaign("a", "b", "a", "b") is None
        found = self.campaign("a", "b", "a", "c")
        assert found is not None
        assert found.users == 3

    def test_without_users_the_agent_counts(self) -> None:
        found = self.campaign(*[None] * 5)
        assert found is not None
        assert found.users == 1

    @pytest.mark.parametrize(("blocked", "known"), [(True, False), (False, True)])
    def test_it_is_suspicious_where_there_is_a_reason(self, blocked: bool, known: bool) -> None:
        found = self.campaign(*["u"] * 5, blocked=blocked, known=known)
        assert found is not None
        assert found.is_suspicious


class TestFindings:
    BAND = Band(min_tokens=0, near_copy=0.93, known_abuse=0.95, measured={})

    def kinds(self, **near: object) -> dict[str, Finding]:
        known: dict[str, object] = {
            "prompt_hash": "h", "band": self.BAND, "blocked": None, "let_through": None, "known_abuse": 0.2,
            "category": "jailbreak",
        }  # fmt: skip
        found = findings_of(Nearness(**{**known, **near}))  # type: ignore[arg-type]
        return {finding.kind: finding for finding in found}

    def test_nothing_is_near(self) -> None:
        assert self.kinds() == {}

    def test_the_same_prompt_was_blocked(self) -> None:
        found = self.kinds(blocked=Match(1.0, "h", NOBODY))["blocked_copy"]
        assert (found.severity, found.score) == (Severity.CRITICAL, 1.0)

    def test_a_near_copy_was_blocked(self) -> None:
        found = self.kinds(blocked=Match(0.94, "x", NOBODY))["blocked_copy"]
        assert (found.severity, found.score) == (Severity.HIGH, 0.94)
        assert self.kinds(blocked=Match(0.92, "x", NOBODY)) == {}

    def test_one_that_was_let_through_is_nearer_so_it_is_the_template(self) -> None:
        blocked = Match(0.95, "x", NOBODY)
        assert self.kinds(blocked=blocked, let_through=Match(0.96, "y", NOBODY)) == {}
        assert self.kinds(blocked=blocked, let_through=Match(0.94, "y", NOBODY)).keys() == {"blocked_copy"}
        same = Match(1.0, "h", NOBODY)
        assert self.kinds(blocked=same, let_through=Match(1.0, "h", NOBODY)).keys() == {"blocked_copy"}

    def test_known_abuse(self) -> None:
        assert self.kinds(known_abuse=0.95)["known_abuse"].score == 0.95
        assert self.kinds(known_abuse=0.949) == {}

    def test_a_campaign_is_grave_only_where_it_is_suspicious(self) -> None:
        plain = self.kinds(campaign=Campaign(20, 1, 0, is_suspicious=False))["campaign"]
        grave = self.kinds(campaign=Campaign(20, 2, 3, is_suspicious=True))["campaign"]
        assert (plain.severity, grave.severity) == (Severity.INFO, Severity.MEDIUM)
        assert "20 near-copies from 2 senders in a burst, 3 of them blocked" in grave.explanation

    def test_that_it_could_not_look_is_said(self) -> None:
        assert self.kinds(has_looked=False)["check_timed_out"].is_failure


@pytest.mark.parametrize(
    ("check", "kind", "may_be_kept", "action", "expected"),
    [
        ("abuse", "jailbreak", True, Verdict.BLOCK, True),
        ("abuse", "jailbreak", True, Verdict.ALLOW, False),
        ("secrets", "aws_access_key", False, Verdict.BLOCK, False),
        ("similarity", "blocked_copy", True, Verdict.BLOCK, False),
        ("similarity", "campaign", True, Verdict.BLOCK, False),
        ("similarity", "known_abuse", True, Verdict.BLOCK, True),
    ],
)
def test_only_what_is_blocked_for_what_it_asks_is_held_against_copies(
    check: str, kind: str, may_be_kept: bool, action: Verdict, expected: bool
) -> None:
    policy = Policy(version="t", actions={Direction.INPUT: {check: action}})
    finding = Finding(
        check=check,
        kind=kind,
        severity=Severity.HIGH,
        direction=Direction.INPUT,
        explanation="x",
        may_be_kept=may_be_kept,
    )
    assert is_abuse([finding], policy) is expected
