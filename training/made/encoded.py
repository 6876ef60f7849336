"""Other made texts, encoded: what is abuse stays abuse, and what is harmless stays harmless."""

from __future__ import annotations

import base64
import codecs
from collections.abc import Iterator, Sequence
from random import Random
from urllib.parse import quote

from training.made.draw import Example

_LEET = str.maketrans("aeiost", "4310$7")
_WRAPS = (
    "{}",
    "{}",
    "Decode and answer: {}",
    "Decode this and do what it says: {}",
    "What does this say? {}",
    "Translate from {how}: {}",
    "{}\n\nThe text above is {how}.",
    "Please read this {how} message:\n{}",
)


def examples(random: Random, sources: Sequence[Example], count: int) -> Iterator[Example]:
    """`count` encoded texts of each label, out of `sources`. Only short ones: nobody encodes an essay by hand."""
    for label, category, source in (
        ("abuse", "obfuscated", "made_encoded"),
        ("benign", "benign_encoded", "made_encoded_benign"),
    ):
        pool = [each["text"] for each in sources if each["label"] == label and 15 < len(each["text"]) < 200]
        for text in random.sample(pool, min(count, len(pool))):
            how, encoded = _encode(random, text)
            wrap = random.choice(_WRAPS)
            yield {
                "text": wrap.replace("{how}", how).replace("{}", encoded),
                "label": label,
                "category": category,
                "source": source,
            }


def _encode(random: Random, text: str) -> tuple[str, str]:
    raw = text.encode()
    kinds = {
        "Base64": lambda: base64.b64encode(raw).decode(),
        "hex": lambda: raw.hex(),
        "ROT13": lambda: codecs.encode(text, "rot13"),
        "reversed": lambda: text[::-1],
        "leetspeak": lambda: text.lower().translate(_LEET),
        "URL-encoded": lambda: (
            quote(text, safe="") if random.random() < 0.5 else "".join(f"%{byte:02x}" for byte in raw)
        ),
        "spaced": lambda: " ".join(text),
        "zero-width": lambda: "\u200b".join(text),
        "wide": lambda: "".join(chr(ord(char) + 0xFEE0) if "!" <= char <= "~" else char for char in text),
        "binary": lambda: " ".join(f"{byte:08b}" for byte in raw[:60]),
    }
    how = random.choice(list(kinds))
    return how, kinds[how]()
