"""The suite's own cases of each category, drawn from files of alternatives by a seed. Pure but for their reading."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass

from training.suite.carriers import CARRIERS, Maker
from training.suite.encoders import ASCII_ONLY, ENCODERS
from training.suite.grammar import read_grammar

LABELS = {
    "harmful_request": "abuse", "jailbreak": "abuse", "prompt_injection_direct": "abuse",
    "prompt_injection_indirect": "abuse", "system_prompt_extraction": "abuse", "obfuscated": "abuse",
    "benign_assistant": "benign", "benign_coding": "benign", "benign_multilingual": "benign",
    "benign_agent": "benign", "benign_context": "benign", "benign_system_prompt": "benign",
    "benign_roleplay": "benign", "benign_encoded": "benign", "benign_hard": "benign",
}  # fmt: skip

GRAMMARS = {
    "harmful_request": "harmful_request", "jailbreak": "jailbreak", "prompt_injection_direct": "injection",
    "system_prompt_extraction": "extraction", "benign_assistant": "benign_assistant",
    "benign_coding": "benign_coding", "benign_multilingual": "benign_multilingual", "benign_agent": "benign_agent",
    "benign_system_prompt": "benign_system_prompt", "benign_roleplay": "benign_roleplay",
    "benign_hard": "benign_hard",
}  # fmt: skip

HIDDEN = {
    "obfuscated": ("harmful_request", "prompt_injection_direct", "system_prompt_extraction", "harmful_request"),
    "benign_encoded": ("benign_assistant", "benign_multilingual", "benign_agent", "benign_roleplay", "benign_hard"),
}
"""Of what an encoded text is made. Hard benign texts are encoded, too, except those that quote an attack."""

LONGEST_HIDDEN = 400
OTHER_LANGUAGES = ("de", "fr", "es", "it", "pl", "ru", "tr", "zh", "ja")
WAYS = {
    "invisible": "oddly written", "lookalikes": "oddly written", "fullwidth": "wide", "spaces": "spaced-out",
    "reverse": "reversed", "reversed_words": "word by word reversed", "nested": "doubly encoded",
    "entities": "HTML-encoded", "escapes": "Unicode-escaped", "numbers": "character code", "caesar": "Caesar cipher",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Case:
    text: str
    category: str
    family: str
    """What made it: with the category the row's source."""
    language: str

    @property
    def label(self) -> str:
        return LABELS[self.category]


def cases(category: str, seed: str) -> Iterator[Case]:
    """Without end; every shape of the category takes its turn. The same seed gives the same cases."""
    chance = random.Random(f"{seed}:{category}")  # noqa: S311
    if category in GRAMMARS:
        return _plain(category, chance)
    if category in HIDDEN:
        return _encoded(category, chance)
    return _documents(category, chance)


def _plain(category: str, chance: random.Random) -> Iterator[Case]:
    grammar = read_grammar(GRAMMARS[category])
    shapes = list(grammar.shapes)
    while True:
        chance.shuffle(shapes)
        for shape in shapes:
            text = grammar.draw(shape, chance).strip()
            yield Case(_worn(text, shape.language, chance), category, shape.family, shape.language)


def _worn(text: str, language: str, chance: random.Random) -> str:
    """As people type: some in small letters, some with a slip of two letters."""
    draw = chance.random()
    if language != "en" or "\n" in text or draw > 0.12:
        return text
    if draw < 0.07:
        return text.lower()
    places = [n for n in range(1, len(text) - 1) if text[n].isalpha() and text[n + 1].isalpha()]
    place = chance.choice(places)
    return text[:place] + text[place + 1] + text[place] + text[place + 2 :]


def _encoded(category: str, chance: random.Random) -> Iterator[Case]:
    grammar = read_grammar()
    payloads = [_plain(name, random.Random(chance.random())) for name in HIDDEN[category]]  # noqa: S311
    names = list(ENCODERS)
    while True:
        chance.shuffle(names)
        for name in names:
            payload = _payload(chance.choice(payloads), name)
            hidden = ENCODERS[name](payload.text, chance)
            wrap = chance.choice(grammar.words["wrap"])
            text = grammar.text(wrap.replace("{code_text}", "\x03").replace("{@way}", WAYS.get(name, name)), chance)
            yield Case(text.replace("\x03", hidden), category, name, payload.language)


def _payload(source: Iterator[Case], encoder: str) -> Case:
    while True:
        case = next(source)
        fits = len(case.text) <= LONGEST_HIDDEN and case.family not in ("quoted", "policy")
        if fits and not (encoder in ASCII_ONLY and case.language not in ("en", "de", "es", "it", "nl", "fr", "pt")):
            return case


def _documents(category: str, chance: random.Random) -> Iterator[Case]:
    make = Maker(read_grammar(), chance)
    names = list(CARRIERS)
    while True:
        chance.shuffle(names)
        for name in names:
            language = "en" if chance.random() < 0.7 else chance.choice(OTHER_LANGUAGES)
            sentences = _sentences(make, language)
            if category == "prompt_injection_indirect":
                sentences.insert(chance.randint(0, len(sentences)), _plant(make, language))
            document = CARRIERS[name](make, sentences)
            yield Case(_asked(make, document, language), category, name, language)


def _sentences(make: Maker, language: str) -> list[str]:
    """From one to some pages of them; of the English ones a quarter are orders to people."""
    count = make.chance.choice((2, 3, 4, 5, 6, 8, 12, 30))
    if language != "en":
        words = make.grammar.words[f"fact_{language}"]
        return [make.fill(each) for each in make.chance.sample(words, min(count, len(words)))]
    facts, orders = make.grammar.words["fact"], make.grammar.words["human"]
    drawn = make.chance.sample(facts, min(count, len(facts)))
    return [make.fill(make.chance.choice(orders) if make.chance.random() < 0.25 else each) for each in drawn]


def _plant(make: Maker, language: str) -> str:
    """In the document's language, or at times in English whatever that is."""
    return make.fill("{plant}" if language == "en" or make.chance.random() < 0.2 else f"{{plant_{language}}}")


def _asked(make: Maker, document: str, language: str) -> str:
    """The document with the user's task before or after it, or by itself."""
    task = make.fill("{ask}" if language == "en" else f"{{ask_{language}}}")
    return make.chance.choice(
        (document, document, f"{task}\n\n{document}", f'{task}\n\n"""\n{document}\n"""', f"{document}\n\n{task}")
    )
