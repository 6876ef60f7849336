"""Texts drawn from files of alternatives. Pure but for the reading of the files.

A file has sections. `[word]` lists alternatives for `{word}`, one a line. `[rows LANGUAGE FAMILY]` lists whole texts.
In a line, `{word}` draws an alternative, `{@word}` draws once for each text and repeats it, `{^word}` begins with a
capital, `{a|b}` draws one of those, `{#2-9}` a whole number. Slots may stand within slots. `\\n` is a line break, `\\{`
and `\\}` are braces. Lines that begin with `#` are notes.
"""

from __future__ import annotations

import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

TEXTS = Path(__file__).parent / "texts"
DEEPEST = 12

_SLOT = re.compile(r"\{([^{}]*)\}")
_ESCAPES = (("\\n", "\n"), ("\\{", "\x01"), ("\\}", "\x02"))


class BadGrammar(ValueError):
    """A file of alternatives is wrong; says where and how."""


@dataclass(frozen=True, slots=True)
class Shape:
    """A whole text before its slots are filled."""

    language: str
    family: str
    template: str


@dataclass(frozen=True, slots=True)
class Grammar:
    words: Mapping[str, Sequence[str]]
    shapes: Sequence[Shape]

    def draw(self, shape: Shape, chance: random.Random) -> str:
        return self.text(shape.template, chance)

    def text(self, template: str, chance: random.Random) -> str:
        """A template that is not in the file, filled from it."""
        return Drawing(self, chance).fill(template)


@dataclass(slots=True)
class Drawing:
    """One text in the making: remembers what was drawn for `{@word}`."""

    grammar: Grammar
    chance: random.Random
    kept: dict[str, str] = field(default_factory=dict)

    def fill(self, template: str, depth: int = 0) -> str:
        if depth > DEEPEST:
            raise BadGrammar(f"Alternatives lead back to themselves: {template!r}.")
        text = template
        for written, meant in _ESCAPES:
            text = text.replace(written, meant)
        while _SLOT.search(text):
            text = _SLOT.sub(lambda found: self._slot(found, depth), text)
        return text if depth else text.replace("\x01", "{").replace("\x02", "}")

    def _slot(self, found: re.Match[str], depth: int) -> str:
        name = found.group(1)
        if name.startswith("#"):
            low, high = name[1:].split("-")
            return str(self.chance.randint(int(low), int(high)))
        if name.startswith("@"):
            if name not in self.kept:
                self.kept[name] = self._draw(name[1:], depth)
            return self.kept[name]
        if name.startswith("^"):
            drawn = self._draw(name[1:], depth)
            return drawn[:1].upper() + drawn[1:]
        return self._draw(name, depth)

    def _draw(self, name: str, depth: int) -> str:
        if "|" in name:
            return self.fill(self.chance.choice(name.split("|")), depth + 1)
        if name not in self.grammar.words:
            raise BadGrammar(f"No alternatives for {{{name}}}.")
        return self.fill(self.chance.choice(self.grammar.words[name]), depth + 1)


def read_grammar(name: str | None = None) -> Grammar:
    """The alternatives of all files in `texts/`, and the whole texts of one of them. Raises BadGrammar."""
    words: dict[str, list[str]] = {}
    shapes: list[Shape] = []
    for path in sorted(TEXTS.glob("*.txt")):
        _read(path, words, shapes if path.stem == name else [])
    return Grammar(words, shapes)


def _read(path: Path, words: dict[str, list[str]], shapes: list[Shape]) -> None:
    section: list[str] | None = None
    language = family = ""
    for number, raw in enumerate(path.read_text("utf-8").splitlines(), start=1):
        line = raw.strip()
        if not line or line.startswith("#"):
            continue
        if line.startswith("[") and line.endswith("]"):
            head = line[1:-1].split()
            if head[0] == "rows" and len(head) == 3:
                section, (_, language, family) = None, head
            elif len(head) == 1:
                section = words.setdefault(head[0], [])
                language = ""
            else:
                raise BadGrammar(f"{path.name}, line {number}: {line} is neither [word] nor [rows LANGUAGE FAMILY].")
        elif section is not None:
            section.append(line)
        elif language:
            shapes.append(Shape(language, family, line))
        else:
            raise BadGrammar(f"{path.name}, line {number}: stands before any section.")
