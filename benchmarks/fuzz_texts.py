"""Texts made to break a check or to cost it time: each kind at any size, the same for the same seed. Pure."""

from __future__ import annotations

import base64
import codecs
import json
import random
import string
from collections.abc import Callable, Mapping

Make = Callable[[random.Random, int], str]
"""Given a source of chance and a length in characters: a text of about that length."""

_WORDS = [
    *(
        "please",
        "write",
        "a",
        "short",
        "summary",
        "of",
        "the",
        "report",
        "for",
        "our",
        "team",
        "and",
        "mention",
        "risks",
    ),
    *("ignore", "all", "previous", "instructions", "system", "prompt", "password", "key", "token", "call", "me", "at"),
    *("home", "to", "in", "is", "was", "not"),
]
_EMOJI = [*"😀🔥🚀🎉🧨", "👨‍👩‍👧‍👦", "👍🏽", "🏴\U000e0067\U000e0062\U000e007f", "🇩🇪", "❤️"]
_BIDI = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f\u061c"
_ZERO_WIDTH = "\u200b\u200c\u200d\u2060\ufeff\u00ad\u034f\ufe0f"
_KEYS = (
    "ghp_", "sk-proj-", "sk-ant-api03-", "AKIA", "xoxb-", "eyJhbGci", "AIza", "hf_", "npm_", "glpat-", "SG.",
    "sk_live_", "-----BEGIN RSA PRIVATE KEY-----", "https://user:", "AccountKey=", "aws secret key = '", "ck_",
    "T3BlbkFJ", "://a:b@",
)  # fmt: skip


def prose(chance: random.Random, size: int) -> str:
    return " ".join(chance.choices(_WORDS, k=size // 5 + 1))[:size]


def _of(alphabet: str | list[str]) -> Make:
    return lambda chance, size: "".join(chance.choices(alphabet, k=size))[:size]


def _joined(make: Callable[[random.Random], str]) -> Make:
    """One piece after another until there is enough."""

    def made(chance: random.Random, size: int) -> str:
        pieces, length = [], 0
        while length < size:
            pieces.append(make(chance))
            length += max(len(pieces[-1]), 1)
        return "".join(pieces)[:size]

    return made


def _repeated(chance: random.Random, size: int) -> str:
    unit = "".join(chance.choices("a1A%&#;\\ux=-_+@.:/ \n<>{}[]\"'0", k=chance.randint(1, 6)))
    return (unit * (size // len(unit) + 1))[:size]


def _random_unicode(chance: random.Random, size: int) -> str:
    return "".join(chr(chance.randrange(0x110000)) for _ in range(size))


def _nested(chance: random.Random, size: int) -> str:
    text = prose(chance, max(size // 6, 8))
    for _ in range(chance.randint(1, 6)):
        text = _ENCODERS[chance.choice([*_ENCODERS])](text)[: max(size, 16)]
    return text[:size]


def _layers_of_base64(chance: random.Random, size: int) -> str:
    text = prose(chance, max(size // 4, 8))
    while len(text) < size:
        text = base64.b64encode(text.encode()).decode()
    return text[:size]


_ENCODERS: Mapping[str, Callable[[str], str]] = {
    "base64": lambda text: base64.b64encode(text.encode("utf-8", "ignore")).decode(),
    "lines of base64": lambda text: base64.encodebytes(text.encode("utf-8", "ignore")).decode(),
    "hex": lambda text: text.encode("utf-8", "ignore").hex(),
    "percent": lambda text: "".join(f"%{byte:02x}" for byte in text.encode("utf-8", "ignore")),
    "percent signs": lambda text: text.replace("%", "%25").replace(" ", "%20"),
    "entities": lambda text: "".join(f"&#{ord(each)};" for each in text),
    "escapes": lambda text: "".join(f"\\u{ord(each) & 0xFFFF:04x}" for each in text),
    "rot13": lambda text: codecs.encode(text, "rot13"),
    "reversed": lambda text: text[::-1],
    "spaced": " ".join,
    "zero width": "\u200b".join,
    "codes": lambda text: " ".join(str(ord(each)) for each in text),
}


def _json(chance: random.Random, size: int) -> str:
    rows = [
        {
            "id": chance.randrange(10**12),
            "text": prose(chance, 40),
            "tags": ["\u200b", None, 1.5],
            chance.choice(_KEYS): {},
        }
        for _ in range(size // 100 + 1)
    ]
    return json.dumps(rows)[:size]


def _near_key(chance: random.Random) -> str:
    body = "".join(chance.choices(string.ascii_letters + string.digits + "-_/+.", k=chance.randint(0, 60)))
    return chance.choice(_KEYS) + body + chance.choice(" \n,;'\"@.")


def _near_number(chance: random.Random) -> str:
    digits = "".join(chance.choices("0123456789 -.()/", k=chance.randint(5, 30)))
    return (
        chance.choice(["+1 ", "+44", "+", "4111", "5555 ", "DE89 ", "GB82 WEST ", "(415) ", "536-90-", ""])
        + digits
        + " "
    )


def _url(chance: random.Random) -> str:
    path = "/".join("".join(chance.choices(string.ascii_letters + "%20.&=?#@:;", k=12)) for _ in range(4))
    return f"{chance.choice(['http', 'https', 'data', 'postgres'])}://{path}?q=%2{chance.randrange(10)}&amp;x "


def _homoglyphs(chance: random.Random, size: int) -> str:
    swapped = str.maketrans({"a": "\u0430", "e": "\u0435", "o": "\u03bf", "i": "\u0456", "c": "\u0441"})
    text = prose(chance, size)
    return "".join(each.translate(swapped) if chance.random() < 0.3 else each for each in text)


KINDS: Mapping[str, Make] = {
    "prose": prose,
    "repeated": _repeated,
    "one letter": lambda chance, size: chance.choice(string.printable + "漢\u200b\u0301🙂") * size,
    "one word": _of(string.ascii_letters + string.digits),
    "random unicode": _random_unicode,
    "emoji": _of(_EMOJI),
    "bidi overrides": _of(_BIDI + "ab \u05d0\u0627"),
    "controls": _of("\x00\x07\x1b\x7f\x85 ab\n"),
    "lone surrogates": _of("\ud800\udfff\ud83d ab1@."),
    "invisible": _of(_ZERO_WIDTH + "ab1 "),
    "tags": lambda chance, size: "".join(chr(0xE0000 + chance.randrange(0x80)) for _ in range(size)),
    "selectors": lambda chance, size: "".join(chr(0xE0100 + chance.randrange(0xF0)) for _ in range(size)),
    "zalgo": _joined(
        lambda chance: (
            chance.choice("abe k1") + "".join(chr(0x300 + chance.randrange(0x70)) for _ in range(chance.randint(0, 40)))
        )
    ),
    "right to left": _of("\u0627\u0644\u0645\u05d0\u05d1 \u064b\u0650\u0661\u0662\ufdfa\u200f"),
    "han and kana": _of("漢字かなカナﾊﾞﾟ㎏㈱。、１Ａ"),
    "full width": _of("".join(map(chr, range(0xFF01, 0xFF5F)))),
    "mathematical": lambda chance, size: "".join(chr(0x1D400 + chance.randrange(0x400)) for _ in range(size)),
    "look-alikes": _homoglyphs,
    "nested encodings": _nested,
    "layers of base64": _layers_of_base64,
    "base64 alphabet": _of(string.ascii_letters + string.digits + "+/-_=\n"),
    "hex digits": _of("0123456789abcdef ,:x"),
    "bits": _of("01 "),
    "character codes": _joined(lambda chance: f"{chance.randrange(32, 127)}{chance.choice([' ', ', ', ''])}"),
    "percent": _of("%2520aE/?=&"),
    "entities": _joined(lambda chance: chance.choice(["&#x41;", "&amp;", "&#", "&", "&lt", "&#999999;", "a", " "])),
    "backslashes": _joined(
        lambda chance: chance.choice(["\\u00", "41", "\\x4", "1", "\\", "\\ud83d", "\\u{41}", "\\n", " "])
    ),
    "dots and dashes": _of(".- /|"),
    "leetspeak": _of("13370 45$@!|abtesl"),
    "letters apart": _of("a b c d e_f.g*"),
    "rot13": lambda chance, size: codecs.encode(prose(chance, size), "rot13"),
    "mirrored": lambda chance, size: prose(chance, size)[::-1],
    "near keys": _joined(_near_key),
    "key beginnings": _joined(lambda chance: chance.choice(_KEYS)),
    "near numbers": _joined(_near_number),
    "addresses": _joined(lambda chance: chance.choice(["a@b.co ", "@", "a@", "x.y@", ".co", "git@", "a@b..c"])),
    "URL soup": _joined(_url),
    "JSON": _json,
    "brackets": _of("[]{}()<>\"'`,:"),
    "lines": _of("ab \n\r\t\x0b\x0c\u2028\u3000"),
}
"""By what they are made of."""


def fuzzed(seed: int, size: int) -> tuple[str, str]:
    """A kind, or a mixture, and a text of it."""
    chance = random.Random(seed)
    if chance.random() < 0.25:
        parts = [KINDS[chance.choice([*KINDS])](chance, max(size // 5, 1)) for _ in range(5)]
        return "mixture", chance.choice(["", " ", "\n"]).join(parts)[:size]
    kind = chance.choice([*KINDS])
    return kind, KINDS[kind](chance, size)
