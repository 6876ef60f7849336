"""What `customhouse up` prints once all is ready: addresses, the key, and snippets that work when pasted."""

from __future__ import annotations

import json
import shlex
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.panel import Panel
from rich.table import Table


@dataclass(frozen=True)
class Welcome:
    """What there is to say."""

    api_url: str
    temporal_ui_url: str
    api_key: str
    model: str
    """One that the catalog serves, for the snippets."""
    data_dir: Path

    @property
    def addresses(self) -> dict[str, str]:
        return {
            "API": self.api_url,
            "Temporal Web UI": self.temporal_ui_url,
            "API key": self.api_key,
            "Data and logs": str(self.data_dir),
        }

    @property
    def curl(self) -> str:
        body = {"model": self.model, "messages": [{"role": "user", "content": "Say hello."}]}
        return (
            f"curl {self.api_url}/v1/chat/completions \\\n"
            f"  -H {shlex.quote('Authorization: Bearer ' + self.api_key)} \\\n"
            f"  -H 'Content-Type: application/json' \\\n"
            f"  -d {shlex.quote(json.dumps(body))}"
        )

    @property
    def python(self) -> str:
        return (
            "from openai import OpenAI\n"
            f"client = OpenAI(base_url={self.api_url + '/v1'!r}, api_key={self.api_key!r})\n"
            "answer = client.chat.completions.create(\n"
            f'    model={self.model!r}, messages=[{{"role": "user", "content": "Say hello."}}]\n'
            ")\n"
            "print(answer.choices[0].message.content)"
        )


def show(console: Console, welcome: Welcome) -> None:
    """Snippets stand outside the frame and are never wrapped: a frame or a line break would be pasted with them."""
    if console.is_terminal:
        table = Table.grid(padding=(0, 2))
        for name, value in welcome.addresses.items():
            table.add_row(f"[bold]{name}[/bold]", _literal(value))
        console.print(Panel(table, title="Customhouse is ready", border_style="green", expand=False))
    else:
        _plain(console, "Customhouse is ready")
        for name, value in welcome.addresses.items():
            _plain(console, f"{name}: {value}")
    _plain(console, f"\nWith curl:\n\n{welcome.curl}\n\nWith Python (pip install openai):\n\n{welcome.python}\n")
    _plain(console, "Ctrl-C stops everything; calls in flight are finished first.")


def _plain(console: Console, text: str) -> None:
    console.print(text, markup=False, highlight=False, soft_wrap=True)


def _literal(value: str) -> str:
    return value.replace("[", r"\[")
