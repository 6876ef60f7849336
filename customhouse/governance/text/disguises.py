"""Ways to hide a text that cross white space or show only over a stretch of words. Of requests alone: a stream of which
a part has left cannot be read in these ways any more.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator

from customhouse.governance.text.codecs import MIN_CHARS, Piece, decode_base64, readable
from customhouse.governance.text.language import (
    REVERSED_GAINS,
    ROT13_GAINS,
    Floats,
    mean,
    mean_of_word,
    pairs,
    stretches,
)

_LEAST_GAIN = 18.0
"""Nats. Among 2,652 benign texts of the training data 1% have a stretch that gains this much by ROT13 and 1.4% by being
reversed, and four in five of these are such texts."""

_LEAST_MEAN = -2.75
"""Nats a pair, for what comes out: English has -2.3."""

_LONG_WORD = 64

_LINES = re.compile(
    r"(?<![A-Za-z0-9+/])[A-Za-z0-9+/]{16,128}(?:(?:\r?\n|\\n)[ \t>]{0,8}[A-Za-z0-9+/]{2,128}){1,}+={0,2}"
)
_NEWLINE = re.compile(r"(?:\r?\n|\\n)[ \t>]{0,8}")

_DIGIT = re.compile("[0-9]")

_HEX_BYTES = re.compile(
    r"(?<![0-9A-Za-z])(?:0[xX])?[0-9a-fA-F]{2}(?:[ ,:;]{1,2}(?:0[xX])?[0-9a-fA-F]{2}(?![0-9A-Za-z])){7,}+"
)
_HEX_BYTE = re.compile(r"[0-9a-fA-F]{2}(?![xX])")
_BINARY = re.compile(r"(?<![0-9A-Za-z])[01]{8}(?:[ ,]{0,2}[01]{8}){7,}+")
_CODES = re.compile(r"(?<![0-9A-Za-z])[0-9]{2,3}(?:[ ,;]{1,2}[0-9]{2,3}(?![0-9A-Za-z])){7,}+")

_SPACED = re.compile(
    r"(?<!\S)\S(?:[ ]{1,4}\S(?!\S)){7,}+"
    r"|(?<![^\W_])[^\W_](?P<sign>[.*|~_\-])[^\W_](?:(?P=sign)[^\W_](?![^\W_])){6,}+"
)
_THREE_ALONE = re.compile(r" \S {1,4}\S {1,4}\S(?!\S)")
_ONE_BETWEEN = re.compile(r"[.*|~_-][^\W_][.*|~_-]")
_SPACES = re.compile(" +")

_MORSE = re.compile(r"(?<!\S)[.\-]{1,6}(?:(?: {1,3}| ?[/|] ?)[.\-]{1,6}(?![^\s/|])){7,}+")
_MORSE_CODE = (
    ".- -... -.-. -.. . ..-. --. .... .. .--- -.- .-.. -- -. --- .--. --.- .-. ... - ..- ...- .-- -..- -.-- --.. "
    "----- .---- ..--- ...-- ....- ..... -.... --... ---.. ----."
)
_MORSE_LETTERS = dict(zip(_MORSE_CODE.split(), "abcdefghijklmnopqrstuvwxyz0123456789", strict=True))

_LEET_WORD = re.compile(r"[A-Za-z0-9@$!|]{3,24}")
_LEET = str.maketrans("01345789@$!|", "oieastbgasil")
_LEET_L = str.maketrans("1", "l")
_MAY_BE_LEET = re.compile(r"[013457@$!|][A-Za-z]")
_LEET_SIGNS = re.compile(r"[013457@$!|]")


def rot13(text: str) -> Iterator[Piece]:
    """Where ROT13 makes English of what is none."""
    for start, end in _stretches(text, ROT13_GAINS):
        if mean(decoded := codecs.encode(text[start:end], "rot13")) >= _LEAST_MEAN:
            yield Piece(start, end, decoded)


def mirrored(text: str) -> Iterator[Piece]:
    """Where English is written from right to left."""
    for start, end in _stretches(text, REVERSED_GAINS):
        if mean(decoded := text[start:end][::-1]) >= _LEAST_MEAN:
            yield Piece(start, end, decoded)


def _stretches(text: str, gains: Floats) -> Iterator[tuple[int, int]]:
    return _widened(text, stretches(text, pairs(text), gains, _LEAST_GAIN)) if len(text) >= MIN_CHARS else iter(())


def _widened(text: str, found: list[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """To whole words, but for very long ones; where a space is the first to gain, the word before it is one of them."""
    taken = 0
    for start, end in found:
        if start >= taken:
            low, high = max(taken, start - _LONG_WORD), min(len(text), end + _LONG_WORD)
            while start > low and not text[start - 1].isspace():
                start -= 1
            while end < high and not text[end].isspace():
                end += 1
            yield start, end
            taken = end


def wrapped_base64(text: str) -> Iterator[Piece]:
    """Over several lines, as mail and PEM have it."""
    if "\n" not in text and "\\n" not in text:
        return
    for match in _LINES.finditer(text):
        if decoded := decode_base64(_NEWLINE.sub("", match.group())):
            yield Piece(match.start(), match.end(), decoded)


def spaced_hexadecimal(text: str) -> Iterator[Piece]:
    """Bytes apart: `69 67 6e`, `0x69, 0x67`."""
    if _DIGIT.search(text) is None:
        return
    for match in _HEX_BYTES.finditer(text):
        digits = _HEX_BYTE.findall(match.group())
        if decoded := readable(bytes.fromhex("".join(digits))):
            yield Piece(match.start(), match.end(), decoded)


def binary(text: str) -> Iterator[Piece]:
    """Eight digits a byte."""
    if "0" not in text:
        return
    for match in _BINARY.finditer(text):
        digits = re.sub("[^01]", "", match.group())
        data = bytes(int(digits[at : at + 8], 2) for at in range(0, len(digits) - 7, 8))
        if decoded := readable(data):
            yield Piece(match.start(), match.end(), decoded)


def character_codes(text: str) -> Iterator[Piece]:
    """Decimal: `105 103 110`. Only what reads like English, for numbers are everywhere."""
    if _DIGIT.search(text) is None:
        return
    for match in _CODES.finditer(text):
        codes = [int(code) for code in re.findall("[0-9]+", match.group())]
        if max(codes) < 127 and min(codes) >= 32:
            decoded = "".join(map(chr, codes))
            if mean(decoded) >= _LEAST_MEAN:
                yield Piece(match.start(), match.end(), decoded)


def morse(text: str) -> Iterator[Piece]:
    """Letters apart by a space, words by a slash or more spaces."""
    if "-" not in text:
        return
    for match in _MORSE.finditer(text):
        words = re.split(r" ?[/|] ?| {2,3}", match.group())
        letters = [[_MORSE_LETTERS.get(each, "") for each in word.split()] for word in words]
        decoded = " ".join("".join(word) for word in letters)
        if len(decoded) >= MIN_CHARS and not any("" in word for word in letters):
            yield Piece(match.start(), match.end(), decoded)


def spaced_letters(text: str) -> Iterator[Piece]:
    """`i g n o r e   a l l`, `i.g.n.o.r.e`: the shortest gap stands between letters, a longer one between words."""
    if _THREE_ALONE.search(text) is None and _ONE_BETWEEN.search(text) is None:
        return
    for match in _SPACED.finditer(text):
        spread = match.group()
        if spread[1] == " ":
            least = min(map(len, _SPACES.findall(spread)))
            words = re.split(f" {{{least + 1},}}", spread)
            decoded = " ".join(word[:: least + 1] for word in words)
        else:
            decoded = spread[::2]
        # Rows of tables are more often digits.
        if len(decoded) >= MIN_CHARS and sum(map(str.isalpha, decoded)) * 2 > len(decoded):
            yield Piece(match.start(), match.end(), decoded)


def leetspeak(text: str) -> Iterator[Piece]:
    """Words with digits and signs for letters, where what comes out reads like a word. Nothing where there is only one,
    unless it has several.
    """
    if _MAY_BE_LEET.search(text) is None:
        return
    found = [
        (piece, signs)
        for match in _LEET_WORD.finditer(text)
        if (signs := len(_LEET_SIGNS.findall(match.group()))) and (piece := _leet_word(match))
    ]
    if len(found) > 1 or any(signs > 1 for _, signs in found):
        yield from (piece for piece, _ in found)


def _leet_word(match: re.Match[str]) -> Piece | None:
    word = match.group()
    # Identifiers and encodings mix the cases.
    if not (word.islower() or word.isupper() or word.istitle()):
        return None
    readings = {word.translate(_LEET), word.translate(_LEET_L).translate(_LEET)}
    score, best = max((mean_of_word(each), each) for each in readings)
    return Piece(match.start(), match.end(), best) if best.isalpha() and score >= _LEAST_MEAN else None
