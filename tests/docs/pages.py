"""The Markdown pages of the repository, taken apart."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#{1,6} (.+)$", re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """One fenced block of code."""

    page: Page
    language: str
    text: str
    line: int

    def __str__(self) -> str:
        return f"{self.page.name}:{self.line}"


@dataclass(frozen=True)
class Page:
    path: Path

    @property
    def name(self) -> str:
        return self.path.relative_to(ROOT).as_posix()

    @property
    def text(self) -> str:
        return self.path.read_text(encoding="utf-8")

    @property
    def prose(self) -> str:
        """The text without fenced blocks."""
        return _FENCE.sub("", self.text)

    @property
    def links(self) -> list[str]:
        return _LINK.findall(self.prose)

    @property
    def anchors(self) -> set[str]:
        """As GitHub makes them of headings: lower case, punctuation dropped, spaces to hyphens."""
        return {re.sub(r"[^\w\- ]", "", h.lower()).replace(" ", "-") for h in _HEADING.findall(self.prose)}

    @property
    def blocks(self) -> Iterator[Block]:
        text = self.text
        for match in _FENCE.finditer(text):
            yield Block(self, match[1], match[2], text.count("\n", 0, match.start()) + 1)

    def section(self, heading: str) -> str:
        """What stands under a heading, up to the next of any level."""
        match = re.search(rf"^#+ {re.escape(heading)}\n(.*?)(?=^#+ |\Z)", self.text, re.MULTILINE | re.DOTALL)
        assert match is not None, f"{self.name} has no heading {heading!r}"
        return match[1]

    def __str__(self) -> str:
        return self.name


def pages() -> list[Page]:
    return [Page(path) for path in (*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md")))]


def page(name: str) -> Page:
    return Page(ROOT / name)


def blocks(*languages: str) -> list[Block]:
    return [block for each in pages() for block in each.blocks if block.language in languages]


def table(text: str) -> list[list[str]]:
    """The cells of a section's tables, without heads and rules; code marks are taken off the first cell."""
    rows = [line.strip("|").split(" | ") for line in text.splitlines() if line.startswith("| ")]
    bodies = [[cell.strip() for cell in row] for row in rows]
    rules = [index for index, row in enumerate(bodies) if row[0].startswith("---")]
    heads = {index - 1 for index in rules}
    return [row for index, row in enumerate(bodies) if index not in heads and index not in rules]


def code(cell: str) -> list[str]:
    """What is marked as code in a cell."""
    return re.findall(r"`([^`]+)`", cell)
