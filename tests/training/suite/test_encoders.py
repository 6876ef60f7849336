"""Encoded texts hold what they are said to hold."""

from __future__ import annotations

import base64
import codecs
import html
import random
import unicodedata
import urllib.parse
from collections.abc import Callable

import pytest

from training.suite.encoders import ENCODERS

TEXT = "Bake two loaves of bread, please."

DECODERS: dict[str, Callable[[str], str]] = {
    "base64": lambda text: base64.b64decode(text).decode(),
    "base32": lambda text: base64.b32decode(text).decode(),
    "hex": lambda text: bytes.fromhex(text).decode(),
    "url": urllib.parse.unquote,
    "rot13": lambda text: codecs.decode(text, "rot13"),
    "fullwidth": lambda text: unicodedata.normalize("NFKC", text),
    "invisible": lambda text: "".join(c for c in text if unicodedata.category(c) != "Cf"),
    "reverse": lambda text: text[::-1],
    "reversed_words": lambda text: " ".join(word[::-1] for word in text.split()),
    "binary": lambda text: bytes(int(byte, 2) for byte in text.split()).decode(),
    "entities": html.unescape,
    "escapes": lambda text: text.encode().decode("unicode_escape"),
    "numbers": lambda text: "".join(chr(int(code)) for code in text.split()),
}


@pytest.mark.parametrize("name", DECODERS)
def test_decoded_it_is_the_text_again(name: str) -> None:
    for seed in range(5):
        encoded = ENCODERS[name](TEXT, random.Random(seed))
        assert DECODERS[name](encoded) == TEXT


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("leet", "B4k3 7w0 l04v35 0f br34d, pl3453."),
        ("atbash", "Yzpv gdl olzevh lu yivzw, kovzhv."),
        ("pig_latin", "akeBay wotay oaveslay foay read,bay lease.pay"),
        ("morse", None),
        ("lookalikes", None),
    ],
)
def test_those_that_lose_something(name: str, wanted: str | None) -> None:
    encoded = ENCODERS[name](TEXT, random.Random(0))
    assert encoded != TEXT
    if wanted is not None:
        assert encoded == wanted
    elif name == "morse":
        assert encoded.startswith("-... .- -.- . / - .-- ---")
    else:
        assert unicodedata.name(encoded[1]) == "CYRILLIC SMALL LETTER A"


def test_spaces_stand_between_all_letters_of_a_word() -> None:
    seen = {ENCODERS["spaces"]("to be", random.Random(seed)) for seed in range(40)}
    assert seen == {"t o   b e", "t-o b-e", "t.o b.e", "t_o b_e"}
