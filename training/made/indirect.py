"""Documents with an instruction to the model inside, and the same sorts of documents without one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from random import Random

from training.made import payloads
from training.made.carriers import Carriers
from training.made.draw import Draw, Example, distinct

_KINDS = {"plain": "text", "web": "page", "tool": "tool result", "log": "log file", "chat": "conversation"}


def examples(random: Random, count: int) -> Iterator[Example]:
    """`count` documents with an injection, and `count` without."""
    carriers = Carriers(random)
    draw = Draw(random, payloads.SLOTS)

    def request(kind: str) -> str:
        name = _KINDS.get(kind, kind)
        asks = Draw(random, {"kind": (name,), "question": payloads.QUESTIONS, "language": payloads.SLOTS["language"]})
        return asks.one(payloads.REQUESTS)

    def framed(kind: str, document: str) -> str:
        ask = request(kind)
        if not ask:
            return document
        fence = random.choice(
            ("\n\n", "\n", '\n"""\n', "\n---\n", "\n```\n", "\n<data>\n", "\n\n" + kind.upper() + ":\n")
        )
        return f"{document}\n\n{ask}" if random.random() < 0.2 else f"{ask}{fence}{document}"

    focus: dict[str, str] = {}

    def poisoned() -> str:
        kind, parts, glue = carriers.one()
        payload = draw.one(payloads.PLAIN if random.random() < 0.35 else payloads.LOUD)
        if random.random() < 0.15:
            payload += " " + draw.one(payloads.LOUD)
        roll = random.random()
        if roll < 0.35 or len(parts) < 2:
            parts = [*parts, payload]
        elif roll < 0.5:
            parts = [payload, *parts]
        elif roll < 0.75:
            at = random.randrange(1, len(parts))
            parts = [*parts[:at], payload, *parts[at:]]
        else:
            at = random.randrange(len(parts))
            parts = [*parts[:at], _within(kind, parts[at], payload), *parts[at + 1 :]]
        text = framed(kind, glue.join(parts))
        focus[text] = payload
        return text

    def clean() -> str:
        kind, parts, glue = carriers.one()
        return framed(kind, glue.join(parts))

    for example in distinct(poisoned, count, "abuse", "prompt_injection_indirect", "made_indirect"):
        yield {**example, "focus": focus[example["text"]]}
    yield from distinct(clean, count, "benign", "benign_context", "made_documents")


def _within(kind: str, part: str, payload: str) -> str:
    """The payload where such a document has room for it: a cell, a comment, a paragraph."""
    if kind == "table" and "|" in part:
        head, _, rest = part.rpartition(" |")
        return f"{head} {payload} |{rest}"
    if kind == "table" and "</td>" in part:
        return part.replace("</td>", f" {payload}</td>", 1)
    if kind == "code":
        return f"{part}\n{'    # ' if 'def ' in part or '#' in part else '  // '}{payload}"
    if kind == "web" and "</p>" in part:
        return part.replace("</p>", f" {payload}</p>", 1)
    return f"{part} {payload}"


def onto(random: Random, documents: Sequence[tuple[str, str]], count: int) -> Iterator[Example]:
    """Injections in real documents, which stand among the benign rows without them. Each document comes with its
    source's family, and the injected one stays in it: else a model would learn what it is then judged by."""
    draw = Draw(random, payloads.SLOTS)
    for document, family in random.sample(list(documents), min(count, len(documents))):
        payload = draw.one(payloads.PLAIN if random.random() < 0.3 else payloads.LOUD)
        breaks = [at + 1 for at, char in enumerate(document[:2500]) if char in "\n.!?|"] or [len(document)]
        at = random.choice((0, len(document), random.choice(breaks), random.choice(breaks)))
        text = f"{document[:at]} {payload} {document[at:]}".strip()
        yield {
            "text": text,
            "label": "abuse",
            "category": "prompt_injection_indirect",
            "source": "made_indirect_onto",
            "focus": payload,
            "family": family,
        }
