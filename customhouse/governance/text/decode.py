"""What is encoded in a text, and what is encoded in that: one form an encoding, however many stretches have it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from customhouse.governance.text import codecs, disguises
from customhouse.governance.text.characters import BREAKS
from customhouse.governance.text.codecs import MIN_CHARS, Piece
from customhouse.governance.text.form import SEPARATOR, Form, How, Maker
from customhouse.governance.text.normalize import fold_words, normalize

MAX_DEPTH = 3
MAX_FORMS = 64
MAX_CHARS = 2_000_000
MAX_TIMES_LONGER = 6
"""All forms of a text together are at most so many times as long as it is, and no longer than MAX_CHARS."""

_SMALL = 4096
"""Characters: as much is decoded of any text, however short."""

_RUN = re.compile(f"[^ \\t\\n\\r\\f{BREAKS}]+")
"""What a stream is never cut within, but for what one finding covers."""


@dataclass(frozen=True, slots=True)
class _Encoding:
    how: How
    find: Callable[[str], Iterable[Piece]]
    is_within: bool = False
    """Single characters are encoded, so what is around them belongs to what they say."""


LOCAL: Sequence[_Encoding] = (
    _Encoding(How.BASE64, codecs.base64),
    _Encoding(How.HEX, codecs.hexadecimal),
    _Encoding(How.ESCAPES, codecs.escapes, is_within=True),
)
"""Those that no white space interrupts: for streams as well."""

ALL: Sequence[_Encoding] = (
    *LOCAL,
    _Encoding(How.BASE64, disguises.wrapped_base64),
    _Encoding(How.HEX, disguises.spaced_hexadecimal),
    _Encoding(How.BINARY, disguises.binary),
    _Encoding(How.CHARACTER_CODES, disguises.character_codes),
    _Encoding(How.MORSE, disguises.morse),
    _Encoding(How.ROT13, disguises.rot13),
    _Encoding(How.REVERSED, disguises.mirrored),
    _Encoding(How.SPACED_LETTERS, disguises.spaced_letters),
    _Encoding(How.LEETSPEAK, disguises.leetspeak, is_within=True),
)

_ONCE = frozenset({How.ROT13, How.REVERSED, How.SPACED_LETTERS})
"""Applied to what they have made, they give back what was there, or nothing new."""


@dataclass(slots=True)
class Decoded:
    """The forms of one text, the shallow ones first."""

    forms: list[Form] = field(default_factory=list)
    is_whole: bool = True
    """False where there is more than is decoded: no honest text has that."""


def forms_of(
    text: str,
    normalized: Form,
    *,
    is_local: bool = False,
    max_depth: int = MAX_DEPTH,
    max_forms: int = MAX_FORMS,
    max_chars: int = MAX_CHARS,
) -> Decoded:
    """What is encoded in `text`, whose normalized form is `normalized`. Linear in the text's length.

    `is_local`: only what a stream can be inspected for, each finding's stretch being one unbroken run of characters.
    """
    decoded = Decoded()
    encodings = LOCAL if is_local else ALL
    left = min(max(MAX_TIMES_LONGER * len(text), _SMALL), max_chars)
    hidden = _apart(How.VARIATION_SELECTORS, codecs.variation_selectors(text), None)
    layer = [*_made(encodings, normalized, is_local=is_local), *hidden]
    for depth in range(max_depth):
        below: list[Form] = []
        for form in layer:
            if len(decoded.forms) == max_forms or len(form.text) > left:
                decoded.is_whole = False
                continue
            decoded.forms.append(form)
            left -= len(form.text)
            if depth + 1 < max_depth:
                below += _made(encodings, form, is_local=is_local)
        layer = below
    return decoded


def _made(encodings: Sequence[_Encoding], source: Form, *, is_local: bool) -> Iterator[Form]:
    """The forms of one form."""
    for encoding in encodings:
        if not _may_follow(encoding.how, source.path):
            continue
        pieces = encoding.find(source.text)
        if not encoding.is_within:
            yield from _apart(encoding.how, pieces, source)
        elif is_local:
            yield from _runs(encoding.how, list(pieces), source)
        else:
            yield from _in_place(encoding.how, list(pieces), source)


def _may_follow(how: How, path: Sequence[How]) -> bool:
    """Whether an encoding is looked for in what others have made. Leetspeak is the last layer, for it makes words; and
    where a text has escapes, it is looked for beside them.
    """
    if How.LEETSPEAK in path or (how is How.LEETSPEAK and How.ESCAPES in path):
        return False
    return how not in _ONCE or how not in path


def _apart(how: How, pieces: Iterable[Piece], source: Form | None) -> Iterator[Form]:
    """What was decoded, one stretch after the other and apart."""
    maker = Maker()
    first = last = 0
    for piece in pieces:
        text = normalize(piece.text).text
        if len(text) >= MIN_CHARS:
            if maker.has_text:
                maker.put(SEPARATOR, piece.start, piece.start)
            else:
                first = piece.start
            maker.put(text, piece.start, piece.end)
            last = piece.end
    yield from _form(how, maker, first, last, source)


def _in_place(how: How, pieces: Sequence[Piece], source: Form) -> Iterator[Form]:
    """The whole text with what was decoded where it stood."""
    if not pieces:
        return
    maker = Maker()
    _replace(source.text, 0, len(source.text), pieces, maker)
    yield from _form(how, maker, 0, len(source.text), source)


def _runs(how: How, pieces: Sequence[Piece], source: Form) -> Iterator[Form]:
    """The runs of characters that hold something decoded, in its place, one after the other and apart."""
    if not pieces:
        return
    maker = Maker()
    at = first = last = 0
    for run in _RUN.finditer(source.text):
        held = at
        while at < len(pieces) and pieces[at].start < run.end():
            at += 1
        if at > held:
            if maker.has_text:
                maker.put(SEPARATOR, run.start(), run.start())
            else:
                first = run.start()
            _replace(source.text, run.start(), run.end(), pieces[held:at], maker)
            last = run.end()
    yield from _form(how, maker, first, last, source)


def _replace(text: str, start: int, end: int, pieces: Sequence[Piece], maker: Maker) -> None:
    for piece in pieces:
        maker.copy(text[start : piece.start], start)
        maker.put(normalize(piece.text).text, piece.start, piece.end)
        start = piece.end
    maker.copy(text[start:end], start)


def _form(how: How, maker: Maker, start: int, end: int, source: Form | None) -> Iterator[Form]:
    if len(text := fold_words(maker.text)) >= MIN_CHARS:
        if source is not None:
            start, end = source.span(start, end)
        yield Form(text, how, start, end, maker.offsets, source)
