"""Encodings whose every stretch stands in one unbroken run of characters: Base64, hexadecimal, escapes and the bytes
that variation selectors smuggle. So a stream comes to the same, however it is cut.
"""

from __future__ import annotations

import binascii
import html
import re
from collections.abc import Iterator
from typing import NamedTuple

MIN_CHARS = 8
"""Less than this decodes to printable text by chance."""

_MIN_PRINTABLE = 0.9
_UNPRINTABLE = re.compile(r"[\x00-\x08\x0e-\x1f\x7f-\x9f\ufffd]")

_BASE64 = re.compile(r"(?<![A-Za-z0-9+/_\-])[A-Za-z0-9+/_\-]{11,}+={0,2}")
_BASE64_PART = re.compile(r"[A-Za-z0-9]{11,}+={0,2}")
_URL_SAFE = str.maketrans("-_", "+/")
_LOOK = 32
"""Characters of Base64 that tell whether more is worth decoding."""

_HEX = re.compile(r"(?<![0-9A-Za-z])(?:0[xX])?([0-9a-fA-F]{16,}+)")

_PERCENT = re.compile(r"%[0-9A-Fa-f]{2}(?:%[0-9A-Fa-f]{2})*+")
_ENTITY = re.compile(r"&(?:#[0-9]{1,7}|#[xX][0-9A-Fa-f]{1,6}|[A-Za-z][A-Za-z0-9]{1,24});")
_BACKSLASH = re.compile(
    r"\\(?:u(?P<utf16>[0-9A-Fa-f]{4}(?:\\u[0-9A-Fa-f]{4})*+)|x(?P<utf8>[0-9A-Fa-f]{2}(?:\\x[0-9A-Fa-f]{2})*+)"
    r"|u\{(?P<braced>[0-9A-Fa-f]{1,6})\}|U(?P<long>[0-9A-Fa-f]{8}))"
)

_NOTHING = "\ufffd"
"""What stands for bytes that are no character."""

_SELECTORS = re.compile("[\ufe00-\ufe0f\U000e0100-\U000e01ef]{8,}+")


class Piece(NamedTuple):
    """A stretch of a text, and what it says."""

    start: int
    end: int
    text: str


def readable(data: bytes) -> str | None:
    """What the bytes say, where they are text: UTF-8 or UTF-16, mostly printable; its cut-off end is left out. None
    where they are something else.
    """
    if len(data) < MIN_CHARS:
        return None
    if data[1::2].count(0) > len(data) // 4:
        text = data.decode("utf-16-le", "ignore")
    else:
        try:
            text = data.decode()
        except UnicodeDecodeError as error:
            if error.start < len(data) - 3:
                return None
            text = data[: error.start].decode()
    text = text.strip("\0")
    if len(text) < MIN_CHARS or len(_UNPRINTABLE.findall(text)) > (1 - _MIN_PRINTABLE) * len(text):
        return None
    return text


def base64(text: str) -> Iterator[Piece]:
    """Standard and URL-safe, padded or not, also behind a few characters that do not belong to it."""
    for match in _BASE64.finditer(text):
        word = match.group()
        if not _is_mixed(word):
            continue
        if decoded := decode_base64(word):
            yield Piece(match.start(), match.end(), decoded)
        elif not word.rstrip("=").isalnum():
            for part in _BASE64_PART.finditer(word):
                if _is_mixed(part.group()) and (decoded := decode_base64(part.group())):
                    yield Piece(match.start() + part.start(), match.start() + part.end(), decoded)


def _is_mixed(word: str) -> bool:
    """Words and identifiers in one case are no Base64: eight characters of text come to both."""
    return not (word.islower() or word.isupper() or word[1:].islower())


def decode_base64(word: str) -> str | None:
    """What a run of Base64 characters says, from one of its first four on."""
    word = word.rstrip("=").translate(_URL_SAFE)
    for skipped in range(4):
        if len(word) - skipped < 11:
            break
        if readable(_from_base64(word[skipped : skipped + _LOOK])) is not None:
            return readable(_from_base64(word[skipped:]))
    return None


def _from_base64(word: str) -> bytes:
    whole = word[: len(word) - 1] if len(word) % 4 == 1 else word
    return binascii.a2b_base64(whole + "=" * (-len(whole) % 4))


def hexadecimal(text: str) -> Iterator[Piece]:
    """Two digits a byte, in one piece."""
    for match in _HEX.finditer(text):
        digits = match.group(1)
        if decoded := readable(bytes.fromhex(digits[: len(digits) // 2 * 2])):
            yield Piece(match.start(), match.end(), decoded)


def escapes(text: str) -> Iterator[Piece]:
    """Each character or sequence of bytes that is escaped: as in URLs, in HTML, and in program texts and JSON."""
    pieces: list[Piece] = []
    for sign, pattern, read in (("%", _PERCENT, _percent), ("&", _ENTITY, _entity), ("\\", _BACKSLASH, _backslash)):
        if sign in text:
            pieces += (Piece(match.start(), match.end(), read(match)) for match in pattern.finditer(text))
    # What makes no character, as in `100%de`, is no escape.
    yield from sorted(piece for piece in pieces if _NOTHING not in piece.text)


def _percent(match: re.Match[str]) -> str:
    return bytes.fromhex(match.group().replace("%", "")).decode("utf-8", "replace")


def _entity(match: re.Match[str]) -> str:
    character = html.unescape(match.group())
    return character if character != match.group() else _NOTHING


def _backslash(match: re.Match[str]) -> str:
    kind = match.lastgroup or ""
    digits = match.group(kind)
    if kind == "utf16":
        return bytes.fromhex(digits.replace("\\u", "")).decode("utf-16-be", "replace")
    if kind == "utf8":
        return bytes.fromhex(digits.replace("\\x", "")).decode("utf-8", "replace")
    code = int(digits, 16)
    return chr(code) if code < 0x110000 else _NOTHING


def variation_selectors(text: str) -> Iterator[Piece]:
    """A byte each, hidden behind any character. For the text as it was sent: normalization leaves them out."""
    if text.isascii():
        return
    for match in _SELECTORS.finditer(text):
        data = bytes(_selector(ord(each)) for each in match.group())
        if decoded := readable(data):
            yield Piece(match.start(), match.end(), decoded)


def _selector(code: int) -> int:
    return code - 0xFE00 if code < 0xE0000 else code - 0xE0100 + 16
