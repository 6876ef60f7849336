"""Ways to write a text so that a filter does not see it. Pure; each takes a text and gives it encoded."""

from __future__ import annotations

import base64
import codecs
import random
import urllib.parse
from collections.abc import Callable

Encoder = Callable[[str, random.Random], str]

_CODES = """.- -... -.-. -.. . ..-. --. .... .. .--- -.- .-.. -- -. --- .--. --.- .-. ... - ..- ...- .-- -..- -.-- --..
----- .---- ..--- ...-- ....- ..... -.... --... ---.. ----. .-.-.- --..-- ..--.."""
_MORSE = dict(zip("abcdefghijklmnopqrstuvwxyz0123456789.,?", _CODES.split(), strict=True))
_LEET = str.maketrans("aeiostgAEIOSTG", "43105794310579")
_LOOKALIKES = str.maketrans("aceopxyiACEHOPTXB", "асеорхуіАСЕНОРТХВ")
_INVISIBLE = ("\u200b", "\u200c", "\u200d", "\u2060")


def in_base64(text: str, _: random.Random) -> str:
    return base64.b64encode(text.encode()).decode()


def in_base32(text: str, _: random.Random) -> str:
    return base64.b32encode(text.encode()).decode()


def in_hex(text: str, chance: random.Random) -> str:
    return text.encode().hex(*chance.choice(((), (" ",))))


def in_url(text: str, chance: random.Random) -> str:
    return "".join(f"%{byte:02X}" for byte in text.encode()) if chance.random() < 0.5 else urllib.parse.quote(text)


def in_rot13(text: str, _: random.Random) -> str:
    return codecs.encode(text, "rot13")


def in_caesar(text: str, chance: random.Random) -> str:
    shift = chance.choice((1, 3, 5, 7, 11))
    return "".join(_shifted(letter, shift) for letter in text)


def in_leet(text: str, _: random.Random) -> str:
    return text.translate(_LEET)


def in_invisible(text: str, chance: random.Random) -> str:
    return "".join(letter + (chance.choice(_INVISIBLE) if chance.random() < 0.5 else "") for letter in text)


def in_lookalikes(text: str, _: random.Random) -> str:
    return text.translate(_LOOKALIKES)


def in_fullwidth(text: str, _: random.Random) -> str:
    return "".join(chr(ord(letter) + 0xFEE0) if "!" <= letter <= "~" else letter for letter in text)


def in_reverse(text: str, _: random.Random) -> str:
    return text[::-1]


def in_reversed_words(text: str, _: random.Random) -> str:
    return " ".join(word[::-1] for word in text.split())


def in_spaces(text: str, chance: random.Random) -> str:
    gap = chance.choice((" ", "-", ".", "_"))
    return (gap * 3 if gap == " " else " ").join(gap.join(word) for word in text.split())


def in_morse(text: str, _: random.Random) -> str:
    return " / ".join(" ".join(_MORSE[c] for c in word if c in _MORSE) for word in text.lower().split())


def in_binary(text: str, _: random.Random) -> str:
    return " ".join(f"{byte:08b}" for byte in text.encode())


def in_entities(text: str, _: random.Random) -> str:
    return "".join(f"&#{ord(letter)};" for letter in text)


def in_escapes(text: str, _: random.Random) -> str:
    return "".join(f"\\u{ord(letter):04x}" for letter in text)


def in_numbers(text: str, _: random.Random) -> str:
    return " ".join(str(ord(letter)) for letter in text)


def in_atbash(text: str, _: random.Random) -> str:
    return "".join(_mirrored(letter) for letter in text)


def in_pig_latin(text: str, _: random.Random) -> str:
    return " ".join(word[1:] + word[0] + "ay" if word[:1].isalpha() else word for word in text.split())


def nested(text: str, chance: random.Random) -> str:
    first, second = chance.sample((in_base64, in_hex, in_rot13, in_url, in_reverse), 2)
    return second(first(text, chance), chance)


def _shifted(letter: str, shift: int) -> str:
    if not (letter.isascii() and letter.isalpha()):
        return letter
    base = ord("a") if letter.islower() else ord("A")
    return chr((ord(letter) - base + shift) % 26 + base)


def _mirrored(letter: str) -> str:
    if not (letter.isascii() and letter.isalpha()):
        return letter
    return chr(ord("a") + ord("z") - ord(letter)) if letter.islower() else chr(ord("A") + ord("Z") - ord(letter))


ENCODERS: dict[str, Encoder] = {
    "base64": in_base64, "base32": in_base32, "hex": in_hex, "url": in_url, "rot13": in_rot13, "caesar": in_caesar,
    "leet": in_leet, "invisible": in_invisible, "lookalikes": in_lookalikes, "fullwidth": in_fullwidth,
    "reverse": in_reverse, "reversed_words": in_reversed_words, "spaces": in_spaces, "morse": in_morse,
    "binary": in_binary, "entities": in_entities, "escapes": in_escapes, "numbers": in_numbers,
    "atbash": in_atbash, "pig_latin": in_pig_latin, "nested": nested,
}  # fmt: skip

ASCII_ONLY = frozenset({"rot13", "caesar", "leet", "lookalikes", "fullwidth", "morse", "atbash", "pig_latin"})
"""Encodings that leave other scripts as they are."""
