"""Checks together: deadlines, failures and what policy makes of them, and which texts each sees."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from activities.check_threads import CheckThreads
from activities.inspection import Inspected, Inspector
from customhouse.contracts.governance import CheckFailure, Direction, InspectionContext, Verdict
from customhouse.governance.checks.base import Cost, Passage
from customhouse.governance.checks.suite import CheckSuite
from customhouse.governance.policy import DEFAULT_POLICY, CheckRule, OnFailure, Policy, Threshold, When
from customhouse.governance.verdict import decide
from tests.doubles.checks import DoubtingCheck, WordCheck, in_force
from tests.doubles.house import House, Tenant
from tests.doubles.provider import ProviderDouble, calling_tool, stream, whole

NOTHING_KNOWN = InspectionContext()


def under(*checks: Any, threads: int = 4, **rules: CheckRule) -> Inspector:
    policy = DEFAULT_POLICY.model_copy(update={"checks": rules})
    return Inspector(CheckSuite(checks), policy, CheckThreads(threads))


async def request(inspector: Inspector, text: str = "an offence", *, is_short: bool = True) -> Inspected:
    return await inspector.request([Passage("p", text, "user")], NOTHING_KNOWN, is_short=is_short)


async def test_a_check_that_hangs_is_late_and_the_others_are_heard() -> None:
    forever = threading.Event()
    slow = WordCheck("slow", cost=Cost.HEAVY, first=forever.wait)
    seen = await request(under(slow, WordCheck("quick"), slow=CheckRule(deadline_ms=50)))
    assert sorted((each.check, each.kind) for each in seen.findings) == [
        ("quick", "word"),
        ("slow", CheckFailure.TIMED_OUT),
    ]
    forever.set()


async def test_a_check_that_always_hangs_loses_no_more_than_its_threads() -> None:
    forever, begun = threading.Event(), []

    def hang() -> None:
        begun.append(threading.current_thread())
        forever.wait()

    inspector = under(WordCheck("slow", cost=Cost.HEAVY, first=hang), threads=2, slow=CheckRule(deadline_ms=20))
    for _ in range(5):
        (late,) = (await request(inspector)).findings
        assert late.kind == CheckFailure.TIMED_OUT
    assert len(begun) == 2
    forever.set()


@pytest.mark.parametrize("cost", Cost)
@pytest.mark.parametrize(
    ("meaning", "verdict"),
    [(OnFailure.OPEN, Verdict.ALLOW), (OnFailure.CLOSED, Verdict.BLOCK), (OnFailure.REVIEW, Verdict.REVIEW)],
)
async def test_what_a_failure_means_is_policy(cost: Cost, meaning: OnFailure, verdict: Verdict) -> None:
    def fall_over() -> None:
        raise RuntimeError("an offence, word for word")

    inspector = under(WordCheck("broken", cost=cost, first=fall_over), broken=CheckRule(on_failure=meaning))
    seen = await request(inspector)
    (failed,) = seen.findings
    assert failed.kind == CheckFailure.FAILED
    assert "word for word" not in failed.explanation
    assert decide(seen.findings, inspector.policy, Direction.INPUT) is verdict


async def test_scores_are_measured_by_the_thresholds_of_their_kind() -> None:
    policy = Policy(
        version="v",
        actions={},
        checks={
            "doubting": CheckRule(thresholds={"*": Threshold(review=0.8, block=0.95), "word": Threshold(block=0.9)})
        },
    )
    seen = await Inspector(CheckSuite([DoubtingCheck()]), policy, CheckThreads()).request(
        [Passage("p", "an offence", "user")], NOTHING_KNOWN, is_short=True
    )
    (found,) = seen.findings
    assert policy.action(found) is Verdict.BLOCK
    assert policy.action(found.model_copy(update={"kind": "other"})) is Verdict.REVIEW
    assert policy.action(found.model_copy(update={"score": 0.5})) is Verdict.ALLOW


async def test_secrets_cannot_be_looked_for_alongside() -> None:
    with pytest.raises(ValueError, match=r"checks\.secrets\.when must be 'before'"):
        Policy(version="v", actions={}, checks={"secrets": CheckRule(when=When.ALONGSIDE)})


async def test_tool_results_and_documents_are_looked_at_as_what_they_are(
    house: House, tenant: Tenant, provider: ProviderDouble
) -> None:
    provider.always(whole("Fine."))
    check = WordCheck("word", word="never said")
    messages: list[Any] = [
        {"role": "user", "content": "Read it."},
        {
            "role": "assistant",
            "tool_calls": [{"id": "1", "type": "function", "function": {"name": "f", "arguments": ""}}],
        },
        {"role": "tool", "tool_call_id": "1", "content": "from a tool"},
        {"role": "user", "content": [{"type": "file", "file": {"filename": "a file", "file_data": "in a document"}}]},
    ]
    with in_force(house, check):
        await tenant.openai.chat.completions.create(model="solo", messages=messages)
    seen = dict(check.seen)
    assert seen["Read it."] is Direction.INPUT
    assert seen["from a tool"] is Direction.TOOL_RESULT
    assert seen["in a document"] is Direction.TOOL_RESULT
    assert seen["Fine."] is Direction.OUTPUT


async def test_a_failure_leaves_an_event_also_where_it_lets_pass(
    house: House, tenant: Tenant, provider: ProviderDouble
) -> None:
    def fall_over() -> None:
        raise RuntimeError

    provider.always(whole("Fine."))
    check = WordCheck("broken", first=fall_over, directions=frozenset({Direction.INPUT}))
    with in_force(house, check, broken=CheckRule(on_failure=OnFailure.OPEN)):
        await tenant.openai.chat.completions.create(model="solo", messages=[{"role": "user", "content": "hi"}])
    assert await tenant.events() == ["check_failed"]


@pytest.mark.parametrize("is_streamed", [False, True])
async def test_heavy_checks_of_answers_hold_streams_back(
    house: House, tenant: Tenant, provider: ProviderDouble, *, is_streamed: bool
) -> None:
    provider.always(stream("A long way ", "to an ", "offence.") if is_streamed else whole("A long way to an offence."))
    body = {"model": "solo", "messages": [{"role": "user", "content": "hi"}], "stream": is_streamed}
    with in_force(house, WordCheck("heavy", cost=Cost.HEAVY, directions=frozenset({Direction.OUTPUT}))):
        response = await tenant.http.post("/v1/chat/completions", json=body)
    assert "long way" not in response.text
    assert "blocked_by_policy" in response.text
    (row,) = await tenant.ended()
    assert row["status"] == "blocked"
    assert len(await tenant.costs()) == 1


async def test_tool_calls_are_answers_too(house: House, tenant: Tenant, provider: ProviderDouble) -> None:
    provider.always(calling_tool("f", '{"x": "an offence"}'))
    with in_force(house, WordCheck("word", directions=frozenset({Direction.OUTPUT}))):
        response = await tenant.http.post(
            "/v1/chat/completions", json={"model": "solo", "messages": [{"role": "user", "content": "hi"}]}
        )
    assert response.status_code == 403
