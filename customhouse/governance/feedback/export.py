"""From marks to labelled texts, as training takes them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from hashlib import sha256
from uuid import UUID

from pydantic import ValidationError

from customhouse.contracts.chat import ChatRequest, Json
from customhouse.contracts.feedback import Category, Label, LabelledText
from customhouse.governance.feedback.labels import counting
from customhouse.governance.feedback.language import language_of
from customhouse.governance.passages import message_texts

SOURCE = "feedback"

_PLACEHOLDER = re.compile(r"<[A-Z][A-Z_]*_\d+>")


@dataclass(frozen=True, slots=True)
class StoredMark:
    """A mark that labels a text, with the request that the text is in."""

    invocation_id: UUID
    path: str | None
    """Of the text; None for what the user said last."""
    label: Label
    category: Category
    by_operator: bool
    created_at: datetime
    request: Json | None
    """As it is stored: with redactions. None where it was too much to be kept."""


@dataclass(frozen=True, slots=True)
class Export:
    rows: list[LabelledText]
    without_text: int
    """Marks whose text is not stored, or has nothing left beside placeholders."""


class Collector:
    """Takes marks one by one, and keeps no more of each request than the marked text."""

    def __init__(self) -> None:
        self._by_text: dict[str, list[StoredMark]] = {}
        self._without_text = 0

    def add(self, mark: StoredMark) -> None:
        text = text_of(mark.request, mark.path)
        if text is None:
            self._without_text += 1
        else:
            self._by_text.setdefault(text, []).append(replace(mark, request=None))

    def export(self) -> Export:
        """One row for each text, however often it was marked, in the order of their first marks."""
        return Export([_row(text, marks) for text, marks in self._by_text.items()], self._without_text)


def text_of(request: Json | None, path: str | None) -> str | None:
    """The text at `path` of a stored request; None where there is none, or nothing of it is left."""
    if request is None:
        return None
    try:
        passages = list(message_texts(ChatRequest.model_validate(request)))
    except ValidationError:  # of an older version, which took what this one does not
        return None
    if path is None:
        said = [passage for passage in passages if passage.role == "user"] or passages
        text = said[-1].text if said else ""
    else:
        text = next((passage.text for passage in passages if passage.path == path), "")
    return text if _PLACEHOLDER.sub("", text).strip() else None


def _row(text: str, marks: Sequence[StoredMark]) -> LabelledText:
    mark = counting(marks)
    return LabelledText(
        id=f"{SOURCE}-{sha256(text.encode('utf-8', 'surrogatepass')).hexdigest()[:12]}",
        text=text,
        label=mark.label,
        category=mark.category,
        source=SOURCE,
        language=language_of(text),
    )
