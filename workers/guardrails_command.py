"""`customhouse guardrails check`: can the validators of a file be loaded, and what does a failure of each lead to?"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from rich.console import Console
from rich.table import Table

from customhouse.integrations.guardrails.check import GuardrailsCheck
from customhouse.integrations.guardrails.settings import read_rules


def check(path: Path, environ: Mapping[str, str], console: Console) -> None:
    """Load everything as a worker would, and print it. Raises ConfigurationError where that fails."""
    rules = read_rules(path)
    loaded = GuardrailsCheck.load(rules, environ)
    loaded.close()
    actions = rules.settings.actions()
    table = Table("rule", "directions", "on_fail", "verdict", "streams", title=f"{path} is sound")
    for rule in rules.settings.rules:
        verdict = actions[rule.directions[0]][f"{loaded.name}.{rule.name}"]
        directions = ", ".join(rule.directions)
        table.add_row(rule.name, directions, rule.on_fail, verdict.value, "yes" if rule.streams else "no")
    console.print(table)
    console.print(f"guardrails-ai {loaded.version}", highlight=False)
