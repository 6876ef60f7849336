"""Shows how far the start has come: a live table on a terminal, one line a change elsewhere."""

from __future__ import annotations

from types import TracebackType

from rich.console import Console
from rich.live import Live
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text


class Progress:
    """A context manager for the time of starting; afterwards each change is a line."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._states: dict[str, str] = {}
        self._live: Live | None = None

    def __enter__(self) -> Progress:
        if self._console.is_terminal:
            self._live = Live(console=self._console, get_renderable=self._table, refresh_per_second=12)
            self._live.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None

    def report(self, name: str, state: str) -> None:
        self._states[name] = state
        if self._live is None:
            self._console.print(f"{name}: {state}", markup=False, highlight=False, soft_wrap=True)

    def _table(self) -> Table:
        table = Table.grid(padding=(0, 1))
        for name, state in self._states.items():
            done = state.startswith("ready")
            mark = Text("✓", style="green") if done else Spinner("dots")
            table.add_row(mark, Text(name, style="bold"), Text(state, style="" if done else "dim"))
        return table
