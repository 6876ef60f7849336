from __future__ import annotations

from pathlib import Path

from tests.workers.test_cli import customhouse

RULES = """\
rules:
- validator: own/no_word
  module: tests.integrations.guardrails.own
  arguments: {word: swordfish}
  on_fail: fix
  streams: true
"""


def test_it_loads_the_validators_and_says_what_a_failure_leads_to(tmp_path: Path) -> None:
    (tmp_path / "rules.yaml").write_text(RULES)
    done = customhouse("guardrails", "check", "rules.yaml", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "no_word │ output     │ fix     │ redact  │ yes" in done.stdout


def test_what_cannot_be_loaded_is_one_message(tmp_path: Path) -> None:
    (tmp_path / "rules.yaml").write_text(RULES.replace("word:", "wrod:"))
    done = customhouse("guardrails", "check", "rules.yaml", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert "rules.yaml:4: rules[0].arguments: there is no argument wrod; there are: word" in done.stderr
