"""One text for many spellings: compatibility forms, look-alikes, and characters that nobody sees.

Unicode NFKC, but for sequences that only some scripts of India write; digits of all scripts as ASCII's; typographic
quotes and dashes as ASCII's; letters of other scripts as Latin ones where they hide in a Latin word; invisible and
bidirectional controls, lone surrogates and stacks of stray accents left out; tag characters, which spell ASCII
invisibly, spelled out. Prose in any script stays what it is.
"""

from __future__ import annotations

import re
import unicodedata

from customhouse.governance.text.characters import BREAKS, INVISIBLE, INVISIBLE_ASTRAL, MARKS, SURROGATES, TAGS
from customhouse.governance.text.confusables import ALWAYS, IN_MIXED_WORDS
from customhouse.governance.text.form import Form, How, Maker

_DASHES = "\u2010\u2011\u2012\u2013\u2014\u2015\u2212\u2043\ufe58\uff0d"
_QUOTES = {"'": "\u2018\u2019\u201a\u201b\u02bc\u2032", '"': "\u201c\u201d\u201e\u201f\u2033\u00ab\u00bb"}
_REGIONAL_A = 0x1F1E6

_LOOKS: dict[int, str] = {
    **{ord(letter): plain for plain, letters in ALWAYS.items() for letter in letters},
    **{_REGIONAL_A + number: chr(ord("A") + number) for number in range(26)},
    **dict.fromkeys(map(ord, _DASHES), "-"),
    **{ord(quote): plain for plain, quotes in _QUOTES.items() for quote in quotes},
    0x2044: "/",
    0x2800: " ",
}
_FOREIGN: dict[int, str] = {ord(letter): plain for plain, letters in IN_MIXED_WORDS.items() for letter in letters}

_ASTRAL = re.compile("[\U00010000-\U0010ffff]")
_LOOKING = re.compile(f"[{''.join(re.escape(chr(code)) for code in _LOOKS if code < 0x10000)}]")
_ODD = re.compile(f"[{INVISIBLE}{SURROGATES}{MARKS}]")
_ODD_ASTRAL = re.compile(f"[{INVISIBLE_ASTRAL}{TAGS}]")
_FOREIGN_DIGIT = re.compile(r"[^\D0-9]")
"""What NFKC leaves as it is, and this module does not."""

_CONTROL = re.compile(r"[\x00-\x08\x0e-\x1f\x7f]")
_STRETCH = re.compile(r"[\x20-\x7e]?[^\t\n\x0b\f\r\x20-\x7e]+")
"""Where there may be something to do: all that is not plain ASCII, and the character before it, for accents join."""

_HIDDEN = INVISIBLE + INVISIBLE_ASTRAL + SURROGATES
_CLUSTER = re.compile(f"[{TAGS}]+|[{_HIDDEN}]+|[^{_HIDDEN}{TAGS}][{MARKS}{_HIDDEN}]*")
_UNSEEN = re.compile(f"[{_HIDDEN}]+")
_STRAY = re.compile(f"[{MARKS}]+")
_LATIN_END = "\u0250"
_WORDY = re.compile(r"\w")

_MOST_TIMES_LONGER = 4
"""A few Arabic ligatures become a sentence of up to 18 characters: they are left as they are."""

_LETTERS = "".join(re.escape(chr(code)) for code in _FOREIGN)
_MIXED = re.compile(f"[A-Za-z][0-9_]*[{_LETTERS}]|[{_LETTERS}][0-9_]*[A-Za-z]")
_WORD = re.compile(f"[^\\W{BREAKS}]+")
_MIN_WORD = 3


def normalize(text: str) -> Form:
    """The form of `text` that is the same however it was spelled. Linear; next to nothing for plain ASCII."""
    if text.isascii():
        if _CONTROL.search(text) is None:
            return Form(text, How.NORMALIZED, 0, len(text))
    else:
        text = _LOOKING.sub(_look, text) if _ASTRAL.search(text) is None else text.translate(_LOOKS)
        if unicodedata.is_normalized("NFKC", text) and _is_plain(text):
            return Form(fold_words(text), How.NORMALIZED, 0, len(text))
    maker = Maker()
    known: dict[str, str] = {}
    end = 0
    for stretch in _STRETCH.finditer(text):
        maker.copy(text[end : stretch.start()], end)
        _normalize_stretch(text, stretch.start(), stretch.end(), maker, known)
        end = stretch.end()
    maker.copy(text[end:], end)
    return Form(fold_words(maker.text), How.NORMALIZED, 0, len(text), maker.offsets)


def _look(match: re.Match[str]) -> str:
    return _LOOKS[ord(match.group())]


def _is_plain(text: str) -> bool:
    if _ODD.search(text) is not None or _FOREIGN_DIGIT.search(text) is not None:
        return False
    return _ASTRAL.search(text) is None or _ODD_ASTRAL.search(text) is None


def _normalize_stretch(text: str, start: int, end: int, maker: Maker, known: dict[str, str]) -> None:
    for match in _CLUSTER.finditer(text, start, end):
        cluster, at = match.group(), match.start()
        if (made := known.get(cluster)) is None:
            made = known[cluster] = _tags(cluster) or _fold(cluster)
        if "\U000e0020" <= cluster[0] <= "\U000e007e":
            # Apart from the words around, as a reader of the hidden text would take it.
            before, after = _WORDY.match(text, max(at - 1, 0)), _WORDY.match(text, match.end())
            maker.put(" " if before and at else "", at, at + 1)
            maker.copy(made, at)
            maker.put(" " if after else "", match.end() - 1, match.end())
        elif len(made) == len(cluster):
            maker.copy(made, at)
        else:
            maker.put(made, at, match.end())


def _tags(cluster: str) -> str:
    return "".join(chr(ord(tag) - 0xE0000) for tag in cluster) if "\U000e0020" <= cluster[0] <= "\U000e007e" else ""


def _fold(cluster: str) -> str:
    """What a reader sees of one character and all that is heaped on it."""
    seen = _UNSEEN.sub("", cluster)
    made = unicodedata.normalize("NFKC", seen)
    if len(made) > _MOST_TIMES_LONGER * len(seen):
        return seen
    made = made.translate(_LOOKS)
    if made and (made[0] < _LATIN_END or "\u1e00" <= made[0] < "\u1f00"):
        # What has not become one with its letter is no accent of a language, or none that a check reads.
        made = _STRAY.sub("", made)
    if not made.isascii():
        made = "".join(str(unicodedata.decimal(each)) if each.isdecimal() else each for each in made)
    return made


def fold_words(text: str) -> str:
    """Words in which Latin letters and their look-alikes are mixed, as Latin ones. Of the same length."""
    if text.isascii() or _MIXED.search(text) is None:
        return text
    return _WORD.sub(_fold_word, text)


def _fold_word(match: re.Match[str]) -> str:
    word = match.group()
    if word.isascii() or len(word) < _MIN_WORD:
        return word
    made = word.translate(_FOREIGN)
    # Words of another script that were joined to Latin letters ("SMS" and a Russian ending) keep a letter of their own.
    is_latin = made.isascii() or all(each < _LATIN_END or "\u1e00" <= each < "\u1f00" for each in made)
    return made if is_latin and any("A" <= each <= "z" for each in word) else word
