"""Loading in processes of its own: what cannot be loaded, and what the library is kept from."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from customhouse.contracts.errors import ConfigurationError
from customhouse.integrations.guardrails.check import GuardrailsCheck
from customhouse.integrations.guardrails.process import ValidatorsProcess, _environment
from customhouse.integrations.guardrails.quiet import NETWORK
from customhouse.integrations.guardrails.settings import parse_rules
from tests.integrations.guardrails.conftest import OWN, SETTINGS, loaders

HERE = Path(__file__).parent

FAULTY = f"""\
rules:
- {{validator: guardrails/no_such, name: a}}
- {{validator: own/no_such, module: {OWN}, name: b}}
- {{validator: own/no_word, module: no.such.module, name: c}}
- {{validator: own/no_word, module: {OWN}, name: d, arguments: {{wrod: x}}}}
- {{validator: own/no_word, module: {OWN}, name: e}}
- {{validator: own/no_word, module: {OWN}, name: f, arguments: {{word: x, use_local: false}}}}
- {{validator: own/polite, module: {OWN}, name: g, on_fail: reask}}
- {{validator: own/no_verdict, module: {OWN}, name: h}}
- {{validator: own/coroutine, module: {OWN}, name: i}}
- {{validator: own/asks_around, module: {OWN}, name: j, arguments: {{at_once: true}}}}
- {{validator: own/no_word, module: {OWN}, name: k, arguments: {{word: 7}}}}
- {{validator: own/raises, module: {OWN}, name: l, sample: raise}}
- {{name: m, module: {OWN}, guard: {{validators: [{{id: own/missing, "on": "$"}}]}}}}
- {{validator: own/no_word, module: tests.integrations.guardrails.needs_more, name: n}}
"""

EXPECTED = """\
The guardrails file cannot be used.
f.yaml:2: rules[0].validator: guardrails/no_such is not installed: there is no module guardrails_ai.no_such. \
Install guardrails-ai-no-such, or name in `module` what registers it
f.yaml:3: rules[1].validator: tests.integrations.guardrails.own registers no validator own/no_such; known are own/
f.yaml:4: rules[2].validator: own/no_word is not installed: there is no module no.such.module. Mend `module`
f.yaml:5: rules[3].arguments: there is no argument wrod; there are: word
f.yaml:6: rules[4].arguments: word must be given; there are: word
f.yaml:7: rules[5].arguments: use_local leads to a server, and validators have no network. Take it out
f.yaml:8: rules[6].metadata: own/polite wants please in it; add them
f.yaml:9: rules[7].validator: it cannot judge a text here: TypeError: it returned NoneType, which is no verdict.
f.yaml:10: rules[8].validator: its `validate` is a coroutine; call it `async_validate`
f.yaml:11: rules[9].validator: it has tried to reach the network, and validators have none. Leave the rule out
f.yaml:12: rules[10].validator: it cannot judge a text here: TypeError:
f.yaml:13: rules[11].validator: it cannot judge a text here: LookupError: raise. Give it what it lacks, or in `sample`
f.yaml:14: rules[12].guard: tests.integrations.guardrails.own registers no validator own/missing;
f.yaml:15: rules[13].validator: own/no_word needs the package no_such_package, which is not installed. Install it
"""


def test_every_rule_that_cannot_be_loaded_is_named_at_the_start() -> None:
    before = loaders()
    with pytest.raises(ConfigurationError) as caught:
        GuardrailsCheck.load(parse_rules(FAULTY, "f.yaml", HERE), os.environ)
    said = caught.value.message.splitlines()
    expected = EXPECTED.splitlines()
    assert len(said) == len(expected)
    for line, begins in zip(said, expected, strict=True):
        assert line.startswith(begins)
    assert loaders() == before


def test_a_module_that_ends_the_process_is_a_clear_error() -> None:
    rules = parse_rules("rules: [{validator: a/b, module: tests.integrations.guardrails.exits}]", "f.yaml", HERE)
    with pytest.raises(ConfigurationError, match=r"ended with code 3\. Is guardrails-ai whole\?"):
        GuardrailsCheck.load(rules, os.environ)


def test_the_library_keeps_to_itself(tmp_path: Path) -> None:
    """No network, no telemetry, no thread, one call of history; and a file that would switch all on is not read."""
    (tmp_path / ".guardrailsrc").write_text("enable_metrics=true\nuse_remote_inferencing=true\ntoken=t\nid=i\n")
    environ = _environment({**os.environ, "HOME": str(tmp_path), "LANGCHAIN_TRACING_V2": "true"})
    assert "LANGCHAIN_TRACING_V2" not in environ
    program = HERE / "quiet_program.py"
    done = subprocess.run([sys.executable, "-P", program], env=environ, capture_output=True, text=True, check=True)
    told = json.loads(done.stdout.splitlines()[-1])
    assert [what for what in told["touched"] if str(tmp_path) in what or what in NETWORK] == []
    assert told["attempts"] == 0
    assert told["threads"] == 1
    assert told["tracer"] == "None"
    assert told["history"] == 1
    assert told["verdicts"] == 60


def test_its_processes_end_with_it() -> None:
    process = ValidatorsProcess(SETTINGS.model_copy(update={"rules": SETTINGS.rules[:1]}), os.environ)
    loader = psutil.Process(process._process.pid)
    copies = [process.copy(), process.copy()]
    judging = [psutil.Process(copy.pid) for copy in copies]
    process.close()
    _gone, alive = psutil.wait_procs(judging, timeout=60)
    assert not alive
    assert not loader.is_running()
    for copy in copies:
        copy.close()


def test_the_worker_itself_never_imports_the_library() -> None:
    """It costs 160 MB and 5 s, and changes the event loop's policy where it runs."""
    program = (
        "import sys, customhouse.integrations.guardrails.check as check;"
        "assert check.GuardrailsCheck.name == 'guardrails'; print('guardrails' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
