from __future__ import annotations

import re
import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from customhouse.governance.text.characters import BREAKS, INVISIBLE, INVISIBLE_ASTRAL, MARKS, SURROGATES, TAGS
from customhouse.governance.text.normalize import normalize


@pytest.mark.parametrize(
    ("text", "normalized"),
    [
        ("ｇｈｐ＿ａ", "ghp_a"),
        ("𝐡𝐞𝐥𝐥𝐨 ⓗⓔⓨ", "hello hey"),
        ("g\u200bh\ufe0fp\u2060_\u00adx\ufeff", "ghp_x"),
        ("\u202eabc\u202c", "abc"),
        ("a\x00b\x7fc", "abc"),
        ("ign\u043er\u0435 \u0430ll", "ignore all"),
        ("z\u0337\u0338\u0321a\u0335l\u0336go", "zalgo"),
        ("e\u0301te\u0301", "été"),
        ("\u1d00\u0299\u1d04 \U0001f170\U0001f171", "abc AB"),
        ("hi\U000e0069\U000e0067you", "hi ig you"),
        ("“It’s” – so…", '"It\'s" - so...'),
        ("٤١١١ ４１", "4111 41"),
        ("\ud83dx", "x"),
        ("ｶﾞ", "ガ"),
    ],
)
def test_one_text_for_many_spellings(text: str, normalized: str) -> None:
    assert normalize(text).text == normalized


@pytest.mark.parametrize(
    "text",
    [
        "Plain ASCII, with\ttabs\r\nand lines.",
        "Überärger déjà vu, năm 2024, Ğüneş ışığı",
        "Привет, мир: ёлка и СОР-21, IT-отдел",
        "Καλημέρα κόσμε",
        "漢字かな交じり文、そして。",
        "한국어 문장입니다",
        "हिन्दी में एक वाक्य",
        "مرحبا بالعالم",
        "שלום עולם",
        "🙂 fine",
    ],
)
def test_prose_stays_what_it_is(text: str) -> None:
    assert normalize(text).text == text


def test_a_ligature_that_is_a_sentence_is_not_spelled_out() -> None:
    assert normalize("\ufdfa" * 3).text == "\ufdfa" * 3


@given(st.text())
@example("a\u0301\u200b\u0301b\U000e0041 \ufdfa㎏ﾊﾟ")
@example("\u200b" * 5)
def test_every_character_comes_from_a_place_of_the_original(text: str) -> None:
    form = normalize(text)
    places = [form.span(at, at + 1) for at in range(len(form.text))]
    assert all(0 <= start <= end <= len(text) for start, end in places)
    assert places == sorted(places)
    # And what stands there reads the same.
    for (start, end), character in zip(places, form.text, strict=True):
        if character.isalnum() and end - start == 1 and character != text[start]:
            assert character in normalize(f"{text[start]}").text or normalize(text[start]).text == text[start]


@given(st.text(alphabet=st.characters(max_codepoint=0x2E7F)))
def test_a_second_time_changes_nothing(text: str) -> None:
    once = normalize(text).text
    assert normalize(once).text == once


@pytest.mark.parametrize("spelled", ["ｇｈｐ", "g\u200bh\u200bp", "g\u0335h\u0336p", "\U0001d420\U0001d421\U0001d429"])
def test_a_span_leads_back_to_what_is_to_be_redacted(spelled: str) -> None:
    text = f"über \u200b{spelled} ﬁn"
    form = normalize(text)
    at = form.text.index("ghp")
    start, end = form.span(at, at + 3)
    assert text[start:end].rstrip("\u0335\u0336") == spelled.rstrip("\u0335\u0336")


def test_a_stream_is_cut_only_before_what_stays_as_it_is() -> None:
    """HeldText relies on it: a character before which it cuts is never left out, nor joined, nor made a letter."""
    breaks = re.compile(f"[{BREAKS}]")
    for code in range(0x2E80, 0x110000):
        if breaks.match(chr(code)):
            made = normalize(chr(code)).text
            assert made, hex(code)
            assert all(breaks.match(each) for each in made), hex(code)


def test_the_classes_of_characters_do_not_overlap() -> None:
    classes = [INVISIBLE + INVISIBLE_ASTRAL, TAGS, SURROGATES, MARKS, BREAKS, " \\t\\n\\r\\f"]
    patterns = [re.compile(f"[{each}]") for each in classes]
    for code in range(0x110000):
        assert sum(pattern.match(chr(code)) is not None for pattern in patterns) <= 1, hex(code)


def test_format_characters_are_invisible_unless_they_are_written_around_a_number() -> None:
    unseen = re.compile(f"[{INVISIBLE}{INVISIBLE_ASTRAL}{TAGS}]")
    shown = {
        unicodedata.name(chr(code), "")
        for code in range(0x110000)
        if unicodedata.category(chr(code)) == "Cf" and not unseen.match(chr(code))
    }
    assert all(re.search("NUMBER|SIGN|ARABIC|SYRIAC|HIEROGLYPH|FOOTNOTE|PAGE", name) for name in shown), shown
