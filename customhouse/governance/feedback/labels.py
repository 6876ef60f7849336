"""What a mark says of a text, and which of several marks on one text counts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Protocol, TypeVar

from customhouse.contracts.errors import UnprocessableField
from customhouse.contracts.feedback import Category, Label, Mark
from customhouse.contracts.governance import Finding

ABUSE_CHECK = "abuse"
"""The check that labels are for: marks on other checks' findings are kept, and train nothing."""


def find(findings: Sequence[Finding], *, index: int | None, check: str | None, kind: str | None) -> int | None:
    """Which finding is meant; None where none is named. Raises UnprocessableField where there is none such."""
    if index is not None:
        if index >= len(findings):
            raise UnprocessableField(
                f"finding: the invocation has {len(findings)} findings, so there is none with the index {index} (the "
                "first is 0). Read them at GET /api/v1/invocations/{invocation_id}.",
                param="finding",
            )
        found = findings[index]
        if (check is not None and check != found.check) or (kind is not None and kind != found.kind):
            raise UnprocessableField(
                f"check: finding {index} is {found.check}.{found.kind}. Leave `check` and `kind` out, or `finding`.",
                param="check",
            )
        return index
    if check is None and kind is None:
        return None
    for place, finding in enumerate(findings):
        if check in (None, finding.check) and kind in (None, finding.kind):
            return place
    named = ".".join(part for part in (check, kind) if part is not None)
    raise UnprocessableField(f"check: the invocation has no finding of {named}.", param="check")


def labelled(
    mark: Mark, label: Label | None, category: Category | None, finding: Finding | None
) -> tuple[Label | None, Category | None]:
    """The label and category that a mark amounts to; both None where it says nothing about abuse.

    Raises UnprocessableField where it contradicts itself, or says too little.
    """
    on_abuse = finding is not None and finding.check == ABUSE_CHECK
    if label is None and category is not None:
        label = category.label
    if label is None and on_abuse:
        label = Label.ABUSE if mark is Mark.RIGHT else Label.BENIGN
    if label is None:
        if finding is None:
            raise UnprocessableField(
                "label: say what the text is, `abuse` or `benign`, where no finding is named.", param="label"
            )
        return None, None
    if category is not None and category.label is not label:
        raise UnprocessableField(
            f"category: {category} is a category of {category.label}, not of {label}.", param="category"
        )
    if on_abuse and finding is not None:
        _agree(mark, label, category, finding)
    return label, category or _category(label, finding if on_abuse else None)


def _agree(mark: Mark, label: Label, category: Category | None, finding: Finding) -> None:
    if mark is Mark.RIGHT and label is Label.BENIGN:
        raise UnprocessableField(
            "mark: a finding of abuse in a benign text is not right. Send `wrong`, or the label `abuse`.", param="mark"
        )
    if mark is Mark.WRONG and label is Label.ABUSE and category in (None, finding.kind):
        raise UnprocessableField(
            f"category: if the text is abuse, and {finding.kind} is wrong, say which category it is.", param="category"
        )


def _category(label: Label, finding: Finding | None) -> Category:
    if label is Label.BENIGN:
        return Category.BENIGN_ASSISTANT if finding is None else Category.BENIGN_HARD
    if finding is not None and finding.kind in tuple(Category) and Category(finding.kind).label is Label.ABUSE:
        return Category(finding.kind)
    abuse = ", ".join(each for each in Category if each.label is Label.ABUSE)
    raise UnprocessableField(f"category: say which kind of abuse it is: {abuse}.", param="category")


class Marked(Protocol):
    """What the choice between marks goes by."""

    @property
    def by_operator(self) -> bool: ...
    @property
    def created_at(self) -> datetime: ...


M = TypeVar("M", bound=Marked)


def counting(marks: Iterable[M]) -> M:
    """Of one or more marks on the same text: an operator's before a customer's, then the latest."""
    return max(marks, key=lambda each: (each.by_operator, each.created_at))
