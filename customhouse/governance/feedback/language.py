"""The language of a text by its script alone, as the training data's `language` has it."""

from __future__ import annotations

import re
from collections import Counter

_SCRIPTS = {
    "ja": r"[\u3040-\u30ff]",
    "ko": r"[\uac00-\ud7af\u1100-\u11ff]",
    "zh": r"[\u4e00-\u9fff\u3400-\u4dbf]",
    "ru": r"[\u0400-\u04ff]",
    "el": r"[\u0370-\u03ff]",
    "he": r"[\u0590-\u05ff]",
    "ar": r"[\u0600-\u06ff\u0750-\u077f]",
    "hi": r"[\u0900-\u097f]",
    "bn": r"[\u0980-\u09ff]",
    "ta": r"[\u0b80-\u0bff]",
    "te": r"[\u0c00-\u0c7f]",
    "th": r"[\u0e00-\u0e7f]",
    "am": r"[\u1200-\u137f]",
    "en": r"[A-Za-z\u00c0-\u024f]",
}
"""Of languages that share a script, the most frequent; every Latin-script text is `en`."""

_PATTERNS = {language: re.compile(script) for language, script in _SCRIPTS.items()}

_LOOKED_AT = 5_000
"""Characters: enough for a script."""

_MIXED = 0.1
"""Share of letters in Japanese kana from which Chinese characters beside them are Japanese, too."""


def language_of(text: str) -> str:
    """Such as `zh`; `und` for a text without letters of a script that is known here."""
    seen = text[:_LOOKED_AT]
    counts = Counter({language: len(pattern.findall(seen)) for language, pattern in _PATTERNS.items()})
    total = counts.total()
    if total == 0:
        return "und"
    if counts["ja"] / total >= _MIXED:
        return "ja"
    return counts.most_common(1)[0][0]
