"""Loads and uses the library as the processes of validators do, and prints what it was up to, as JSON."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

TOUCHED: list[str] = []


def watch(event: str, arguments: tuple[Any, ...]) -> None:
    if event.startswith("socket.") and event not in ("socket.__new__", "socket.getservbyname"):
        TOUCHED.append(event)
    if event == "open" and "guardrailsrc" in str(arguments[0]):
        TOUCHED.append(f"open {arguments[0]}")


def main() -> None:
    sys.addaudithook(watch)
    from customhouse.governance.validators import ValidatorRule
    from customhouse.integrations.guardrails.judge import build
    from customhouse.integrations.guardrails.quiet import Offline, import_guardrails
    from tests.integrations.guardrails.conftest import OWN, PERSON

    offline = Offline()
    offline.start()
    library = import_guardrails()
    word = {"validator": "own/no_word", "module": OWN, "arguments": {"word": "w"}, "on_fail": "fix"}
    units = [build(ValidatorRule.model_validate(rule), library, offline) for rule in (word, {"json_schema": PERSON})]
    verdicts = [unit.judge(text) is None for unit in units for text in ("a w", "a", '{"name": "a"}') for _ in range(20)]
    from guardrails.utils.hub_telemetry_utils import HubTelemetry  # type: ignore[import-untyped]

    guard: Any = units[1]
    print(
        json.dumps(
            {
                "touched": TOUCHED,
                "attempts": offline.attempts,
                "threads": len(list(Path("/proc/self/task").iterdir())),
                "tracer": repr(HubTelemetry()._tracer),
                "history": len(guard._guard.history),
                "verdicts": verdicts.count(True),
            }
        )
    )


if __name__ == "__main__":
    main()
