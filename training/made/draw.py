"""Filling templates: `{slot}` is replaced by a random phrase of that slot, which may have slots of its own."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from random import Random

Example = dict[str, str]
"""As in the project's data: `text`, `label`, `category`, `source`; now and then `focus`, the part that is abuse."""

_SLOT = re.compile(r"\{(\w+)\}")


class Draw:
    """Random phrases from a grammar."""

    def __init__(self, random: Random, slots: Mapping[str, Sequence[str]]) -> None:
        self.random = random
        self._slots = slots

    def fill(self, template: str) -> str:
        """The template with every slot filled. Raises KeyError for a slot that the grammar lacks."""
        return _SLOT.sub(lambda match: self.fill(self.random.choice(self._slots[match[1]])), template)

    def one(self, templates: Sequence[str]) -> str:
        return self.fill(self.random.choice(templates))


def distinct(make: Callable[[], str], count: int, label: str, category: str, source: str) -> Iterator[Example]:
    """Up to `count` different texts; fewer where the grammar gives no more in four times as many draws."""
    seen: set[str] = set()
    for _ in range(count * 4):
        text = make()
        if text and text not in seen:
            seen.add(text)
            yield {"text": text, "label": label, "category": category, "source": source}
        if len(seen) == count:
            return


def varied(text: str, random: Random) -> str:
    """The text as people type it: now and then without capitals, stop or manners, or with a slip."""
    roll = random.random()
    if roll < 0.18:
        return text.lower()
    if roll < 0.24:
        return text.rstrip("?.!")
    if roll < 0.28:
        return text.upper()
    if roll < 0.36:
        return (
            random.choice(("Please ", "Hi, ", "Hello! ", "Hey, ", "Quick question: ", "So, "))
            + text[0].lower()
            + text[1:]
        )
    if roll < 0.42:
        return text + random.choice(
            (
                " Thanks!",
                " Thank you.",
                " Please be brief.",
                " Be detailed.",
                " Explain step by step.",
                " In 3 sentences.",
            )
        )
    if roll < 0.48 and len(text) > 20:
        at = random.randrange(5, len(text) - 2)
        return text[:at] + text[at + 1] + text[at] + text[at + 2 :]
    return text
