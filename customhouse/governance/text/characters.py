"""Classes of characters, each the inside of a character class of a regular expression."""

from __future__ import annotations

INVISIBLE = (
    "\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f\xad\u034f\u061c\u115f-\u1160\u17b4-\u17b5\u180b-\u180f\u200b-\u200f"
    "\u202a-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb"
)
"""Nobody sees them: control, format and filler characters, variation selectors. White space is none of them."""

INVISIBLE_ASTRAL = "\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e001f\U000e007f-\U000e0fff"
"""The same, beyond U+FFFF: regular expressions search classes that reach there ten times as slowly."""

TAGS = "\U000e0020-\U000e007e"
"""Invisible, too, and each stands for one of ASCII."""

SURROGATES = "\ud800-\udfff"
"""Half a character each, where they stand alone."""

MARKS = (
    "\u0300-\u034e\u0350-\u036f\u0653-\u0655\u1161-\u11ff\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\u302a-\u302f"
    "\u3099-\u309a\ufe20-\ufe2f\uff9e-\uff9f"
)
"""Accents and vowels that NFKC joins to the character before them, or that are heaped on one to hide it."""

BREAKS = (
    "\u2e80-\u2fff\u3001-\u3029\u3030-\u3098\u309d-\u3130\u3190-\u31ff\u3400-\ua4cf\uac00-\ud7a3\ue000-\ufaff"
    "\U0001f000-\U0001f0ff\U0001f200-\U0001fbef\U00020000-\U0003ffff"
)
"""CJK and emoji: each ends a word, though no space stands before it, and stays one of these when a text is normalized.
So a stream may be cut before them."""
