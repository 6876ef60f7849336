"""Near-copies made by seeded edits: what people and scripts do to a prompt that they send again."""

from __future__ import annotations

import random
import re
from collections.abc import Callable

Edit = Callable[[str, random.Random], str]

_SYNONYMS = {
    "make": "create", "create": "make", "write": "compose", "big": "large", "large": "big", "help": "assist",
    "explain": "describe", "describe": "explain", "show": "display", "tell": "inform", "find": "locate",
    "use": "employ",
    "get": "obtain", "give": "provide", "provide": "give", "start": "begin", "begin": "start", "stop": "halt",
    "quick": "fast", "fast": "quick", "important": "essential", "good": "great", "bad": "poor", "many": "numerous",
    "build": "construct", "fix": "repair", "buy": "purchase", "need": "require", "want": "wish", "answer": "reply",
    "question": "query", "people": "persons", "about": "regarding", "best": "finest", "list": "enumerate",
    "ways": "methods", "steps": "stages", "also": "additionally", "because": "since", "ignore": "disregard",
    "instructions": "directions", "previous": "earlier", "hidden": "secret", "secret": "hidden", "rules": "guidelines",
}  # fmt: skip

_NAMES = ("Anna", "Omar", "Li Wei", "Priya", "Jonas", "Fatima", "Carlos", "Mei", "Tom", "Olga", "Kwame", "Sara")
_NAME = re.compile(r"(?<=[a-z,] )[A-Z][a-z]{2,11}\b")
_NUMBER = re.compile(r"\b\d{1,6}\b")
_WORD = re.compile(r"[A-Za-z]+")
_BEFORE = ("Please ", "Hi, ", "Hello! ", "Quick question: ", "Could you help? ", "ok so ", "Hey there, ")
_AFTER = (" Thanks!", " Thank you.", " please", " Please be brief.", " asap", " Answer in English.", " :)")


def _case(text: str, rng: random.Random) -> str:
    return rng.choice((str.lower, str.upper, str.title, str.swapcase))(text)


def _punctuation(text: str, rng: random.Random) -> str:
    if rng.random() < 0.5:
        return re.sub(r"[.,!?;:'\"]", "", text)
    return text.rstrip(".?!") + rng.choice(("?", "!!", "...", "?!", ""))


def _spaces(text: str, rng: random.Random) -> str:
    return re.sub(r" ", lambda _: rng.choice((" ", " ", "  ", "\n")), text)


def _swap(text: str, rng: random.Random) -> str:
    words = text.split(" ")
    for _ in range(max(1, len(words) // 12)):
        if len(words) > 2:
            place = rng.randrange(len(words) - 1)
            words[place], words[place + 1] = words[place + 1], words[place]
    return " ".join(words)


def _synonyms(text: str, rng: random.Random) -> str:
    def other(match: re.Match[str]) -> str:
        found = _SYNONYMS.get(match[0].lower())
        if found is None or rng.random() < 0.3:
            return match[0]
        return found.capitalize() if match[0][0].isupper() else found

    return _WORD.sub(other, text)


def _names(text: str, rng: random.Random) -> str:
    text = _NAME.sub(lambda match: rng.choice(_NAMES) if rng.random() < 0.7 else match[0], text)
    return _NUMBER.sub(lambda match: str(rng.randrange(1, 10 ** len(match[0]))), text)


def _typos(text: str, rng: random.Random) -> str:
    letters = list(text)
    for _ in range(max(1, len(letters) // 60)):
        place = rng.randrange(max(1, len(letters) - 1))
        if place + 1 < len(letters) and letters[place].isalpha():
            if rng.random() < 0.5:
                letters[place], letters[place + 1] = letters[place + 1], letters[place]
            else:
                letters[place] = ""
    return "".join(letters)


def _drop(text: str, rng: random.Random) -> str:
    words = text.split(" ")
    for _ in range(max(1, len(words) // 15)):
        if len(words) > 5:
            del words[rng.randrange(len(words))]
    return " ".join(words)


def _before(text: str, rng: random.Random) -> str:
    return rng.choice(_BEFORE) + text


def _after(text: str, rng: random.Random) -> str:
    return text + rng.choice(_AFTER)


def _sentences(text: str, rng: random.Random) -> str:
    parts = re.split(r"(?<=[.!?]) ", text)
    rng.shuffle(parts)
    return " ".join(parts)


EDITS: tuple[Edit, ...] = (
    _names, _synonyms, _sentences, _swap, _typos, _drop, _before, _after, _spaces, _punctuation, _case,
)  # fmt: skip


def near_copy(text: str, rng: random.Random) -> str:
    """The text after one to three edits, chosen at random; never the same text."""
    for _ in range(20):
        changed = text
        for number in sorted(rng.sample(range(len(EDITS)), rng.randint(1, 3))):
            changed = EDITS[number](changed, rng)
        if changed != text and changed.strip():
            return changed
    return text + "!"
