from __future__ import annotations

import io
import shlex
from pathlib import Path

import pytest
from rich.console import Console

from workers.embedded.panel import Welcome, show
from workers.embedded.progress import Progress

AWKWARD_KEY = 'it\'s-a-"key"-$HOME-`id`-[bold]'


def _welcome(key: str) -> Welcome:
    return Welcome("http://127.0.0.1:8080", "http://127.0.0.1:8233", key, "smollm2-135m", Path("/data"))


def _shown(key: str, *, terminal: bool) -> str:
    out = io.StringIO()
    console = Console(file=out, force_terminal=terminal, width=60, color_system=None)
    show(console, _welcome(key))
    return out.getvalue()


@pytest.mark.parametrize("terminal", [True, False])
def test_addresses_key_and_snippets_are_shown_whole(terminal: bool) -> None:
    text = _shown("ck_" + "x" * 43, terminal=terminal)
    welcome = _welcome("ck_" + "x" * 43)
    assert "http://127.0.0.1:8080" in text
    assert "http://127.0.0.1:8233" in text
    assert welcome.curl in text
    assert welcome.python in text


@pytest.mark.parametrize("terminal", [True, False])
def test_markup_in_a_key_is_shown_as_it_is(terminal: bool) -> None:
    assert "[bold]" in _shown(AWKWARD_KEY, terminal=terminal)


def test_curl_snippet_survives_the_shell() -> None:
    words = shlex.split(_welcome(AWKWARD_KEY).curl)
    assert words[:2] == ["curl", "http://127.0.0.1:8080/v1/chat/completions"]
    assert f"Authorization: Bearer {AWKWARD_KEY}" in words


def test_python_snippet_is_python() -> None:
    code = compile(_welcome(AWKWARD_KEY).python, "snippet", "exec")
    assert AWKWARD_KEY in code.co_consts


def test_progress_without_a_terminal_is_plain_lines() -> None:
    out = io.StringIO()
    with Progress(Console(file=out, force_terminal=False)) as progress:
        progress.report("Postgres", "starting")
        progress.report("Postgres", "ready in 0.3 s")
    assert out.getvalue() == "Postgres: starting\nPostgres: ready in 0.3 s\n"


def test_progress_on_a_terminal_is_a_table() -> None:
    out = io.StringIO()
    with Progress(Console(file=out, force_terminal=True, color_system=None)) as progress:
        progress.report("Postgres", "ready in 0.3 s")
    assert "✓ Postgres ready in 0.3 s" in out.getvalue()
