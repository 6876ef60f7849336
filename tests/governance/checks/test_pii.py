from __future__ import annotations

import pytest

from customhouse.contracts.governance import Direction
from customhouse.governance.checks.base import MAX_CANDIDATES, Passage
from customhouse.governance.checks.pii import MAX_PHONE_CANDIDATES, PiiCheck
from tests.governance.samples import PII

CHECK = PiiCheck()


def spans(text: str) -> list[tuple[str, str]]:
    return [
        (finding.kind, text[finding.span.start : finding.span.end])
        for finding in CHECK.inspect(Passage("p", text, "user"), Direction.INPUT)
        if finding.span is not None
    ]


@pytest.mark.parametrize("kind", PII)
@pytest.mark.parametrize("around", [("", ""), ("Ünïcödé 漢字 ", " 🙂"), ("(", ")"), ("It is ", ", and no other.")])
def test_each_kind_is_found_where_it_lies(kind: str, around: tuple[str, str]) -> None:
    assert spans(around[0] + PII[kind] + around[1]) == [(kind, PII[kind])]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("call (415) 555-2671 today", [("phone", "(415) 555-2671")]),
        ("call +1 415-555-2671 today", [("phone", "+1 415-555-2671")]),
        ("+49 30 901820 or +33 1 42 68 53 00", [("phone", "+49 30 901820"), ("phone", "+33 1 42 68 53 00")]),
        ("card 4111 1111 1111 1111 123 exp", [("payment_card", "4111 1111 1111 1111")]),
        ("amex 3782-822463-10005", [("payment_card", "3782-822463-10005")]),
        ("IBAN DE89 3704 0044 0532 0130 00 IS MINE", [("iban", "DE89 3704 0044 0532 0130 00")]),
        ("DE89370400440532013000.", [("iban", "DE89370400440532013000")]),
        ("a@b.co,c@d.org", [("email", "a@b.co"), ("email", "c@d.org")]),
    ],
)
def test_forms_and_their_limits(text: str, found: list[tuple[str, str]]) -> None:
    assert spans(text) == found


@pytest.mark.parametrize(
    "text",
    [
        "git clone git@github.com:owner/name.git",
        "on 2023-10-05 at 12:30:00, version 1.2.3.4, order 4155552671, price 1,234,567.89",
        "4111 1111 1111 1112 fails Luhn, 9999999999999995 has no issuer",
        "DE00 3704 0044 0532 0130 00 has a wrong checksum, XX12 3456 7890 1234 5678 no country",
        "000-12-3456 and 666-12-3456 were never issued",
        "+999 123 456 789 and +1 23 45 are no numbers",
        "timestamp 1700000000123456789, id 123e4567-e89b-12d3-a456-426614174000, 3.14159265358979323",
        "@mention and user@localhost",
        "+0869220 has a zero where no country's code has one, and +1 (800) 0 is cut off",
    ],
)
def test_what_only_looks_like_personal_data_is_let_be(text: str) -> None:
    assert spans(text) == []


def test_a_text_made_to_cost_is_given_up_on_and_said_so() -> None:
    findings = CHECK.inspect(Passage("p", "+44 1 23 45 6 " * (MAX_PHONE_CANDIDATES + 2), "user"), Direction.INPUT)
    assert [(finding.kind, finding.span) for finding in findings] == [("too_many", None)]


@pytest.mark.parametrize(
    "text", ["4111 1111 1111 1112 ", "4111111111111112;", "GB82 WEST 1234 5698 7654 33 ", "GB82 ", "000-12-3456 "]
)
def test_so_is_every_form_that_can_be_made_to_cost(text: str) -> None:
    """However long: it is looked at up to a number of candidates."""
    findings = CHECK.inspect(Passage("p", text * (MAX_CANDIDATES + 20), "user"), Direction.INPUT)
    assert [(finding.kind, finding.span) for finding in findings] == [("too_many", None)]


@pytest.mark.parametrize("text", ["1700000000000 ", "1234 5678 ", "AB12,", "2023-10-05 "])
def test_numbers_that_no_issuer_gives_out_are_no_candidates(text: str) -> None:
    assert CHECK.inspect(Passage("p", text * (2 * MAX_CANDIDATES), "user"), Direction.INPUT) == []
