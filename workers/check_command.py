"""`customhouse check`: what the checks of this installation find in a text, and what the policy makes of it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import orjson
from rich.console import Console
from rich.table import Table

from activities.inspection import Inspected, Inspector
from customhouse.contracts.governance import Direction, InspectionContext, Verdict
from customhouse.governance.checks.base import Passage
from customhouse.governance.verdict import action_for, decide

PATH = "messages.0.content"
"""The text is taken for the first message of a request."""


@dataclass(frozen=True, slots=True)
class Checked:
    inspected: Inspected
    verdict: Verdict


async def check(inspector: Inspector, text: str, direction: Direction) -> Checked:
    """As an invocation would, thorough looks included; what is alongside a call there is waited for here."""
    passages = [Passage(PATH, text, "user", is_untrusted=direction is Direction.TOOL_RESULT)]
    if direction is Direction.OUTPUT:
        inspected = Inspected(inspector.suite.inspect(passages, direction))
        inspected.add(await inspector.answer(passages))
    else:
        context = InspectionContext()
        inspected = await inspector.request(passages, context, is_short=False)
        inspected.add(await inspector.alongside(inspected.alongside, passages, context))
    return Checked(inspected, decide(inspected.findings, inspector.policy, direction.side))


def show(console: Console, checked: Checked, inspector: Inspector) -> None:
    """A table for people, and on the last line one JSON object for programs."""
    policy = inspector.policy
    table = Table("check", "kind", "severity", "score", "place", "action", "explanation")
    for finding in checked.inspected.findings:
        place = "" if finding.span is None else f"{finding.span.start}–{finding.span.end}"
        action = action_for(finding, policy).value
        table.add_row(
            finding.check,
            finding.kind,
            finding.severity.value,
            f"{finding.score:.2f}",
            place,
            action,
            finding.explanation,
        )
    if checked.inspected.findings:
        console.print(table)
    console.print(f"Verdict under policy {policy.version}: [bold]{checked.verdict.value}[/bold]")
    document = {
        "verdict": checked.verdict,
        "policy_version": policy.version,
        "findings": [
            finding.model_dump(mode="json") | {"action": action_for(finding, policy)}
            for finding in checked.inspected.findings
        ],
        "steps": [step.model_dump(mode="json", exclude={"started_at"}) for step in checked.inspected.steps],
    }
    console.print(orjson.dumps(document).decode(), soft_wrap=True, markup=False, highlight=False)


def run(inspector: Inspector, text: str, direction: Direction, console: Console) -> Verdict:
    """Checks and shows; returns the verdict."""
    checked = asyncio.run(check(inspector, text, direction))
    show(console, checked, inspector)
    return checked.verdict
