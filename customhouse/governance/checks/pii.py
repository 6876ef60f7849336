"""Finds personal data by its shape: e-mail addresses, phone numbers, payment cards, IBANs, US SSNs."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from string import ascii_uppercase

import phonenumbers
from stdnum import iban, luhn, numdb
from stdnum.us import ssn

from customhouse.contracts.governance import Severity
from customhouse.governance.checks.base import MAX_CANDIDATES
from customhouse.governance.checks.pattern_check import PatternCheck
from customhouse.governance.checks.patterns import Match
from customhouse.governance.text.form import How

EMAIL = r"[A-Za-z0-9._%+\-]{1,64}@(?:[A-Za-z0-9](?:[A-Za-z0-9\-]{0,61}[A-Za-z0-9])?\.){1,8}[A-Za-z]{2,24}"
"""ASCII addresses; lengths of the local part and of a label are those of RFC 5321 and RFC 1035. `git@host` is how
repositories are cloned, and nobody's address."""

PHONE = r"\+[0-9](?:[ .\-/()]{0,2}[0-9]){6,14}"
"""International numbers (E.164: at most 15 digits), written with a plus. `phonenumbers` has the last word."""

NANP_PHONE = r"(?:\([2-9][0-9]{2}\) ?|[2-9][0-9]{2}[ .\-])[2-9][0-9]{2}[ .\-][0-9]{4}"
"""North American numbers as people write them, by the plan's own form (NXX NXX XXXX). Digits without separators are as
often an order number, and `phonenumbers` says little more at 0.2 ms a number."""

MAX_PHONE_CANDIDATES = 2000
"""As MAX_CANDIDATES, for numbers with a plus: `phonenumbers` takes some 0.05 ms each."""

CARD = (
    r"(?:[0-9]{13,19}|(?:[0-9]{4} ){3}[0-9]{4}(?: [0-9]{3})?|(?:[0-9]{4}-){3}[0-9]{4}(?:-[0-9]{3})?"
    r"|[0-9]{4} [0-9]{6} [0-9]{4,5}|[0-9]{4}-[0-9]{6}-[0-9]{4,5})"
)
"""13 to 19 digits (ISO/IEC 7812), in one piece or in the groups that cards print."""

CARD_ISSUERS = (
    r"(?:4|5[1-5]|2(?:22[1-9]|2[3-9]|[3-6]|7[01]|720)|3[47]|3(?:0[0-5]|[689])|35(?:2[89]|[3-8])"
    r"|6(?:011|4[4-9]|5)|62|81)"
)
"""First digits of Visa, Mastercard, American Express, Diners, JCB, Discover and UnionPay: a tenth of all numbers pass
the Luhn check alone."""

IBAN = r"[A-Z]{2}[0-9]{2}(?: ?[A-Z0-9]){11,30}"
"""ISO 13616: 15 to 34 characters, often in groups of four. The checksum and the country's own form decide."""

SSN = r"[0-9]{3}-[0-9]{2}-[0-9]{4}"
"""Written with dashes; nine digits alone mean too many other things."""

_LABELS = {
    "email": "an e-mail address",
    "phone": "a phone number",
    "payment_card": "a payment card number",
    "iban": "an IBAN",
    "us_ssn": "a US social security number",
}

Trim = Callable[[str], int]
"""Length of the longest valid number at the start of a candidate; 0 where there is none."""


class PiiCheck(PatternCheck):
    """Reports personal data."""

    name = "pii"
    version = "2"
    severity = Severity.MEDIUM
    window = 66
    """The longest forms with spaces are IBANs: 34 characters, 30 spaces, and a look beyond."""
    unread = frozenset({How.ROT13, How.REVERSED, How.LEETSPEAK, How.SPACED_LETTERS, How.MORSE})
    """They make digits of letters, or letters of digits, or join the digits of tables."""

    def __init__(self) -> None:
        super().__init__([EMAIL, f"{PHONE}|{NANP_PHONE}", CARD, IBAN, SSN], tuple(_LABELS))
        self._candidates: tuple[tuple[re.Pattern[str], Trim] | None, ...] = (
            None,
            (re.compile(rf"(?<![\w+]){PHONE}(?![0-9])|(?<![\w+\-.]){NANP_PHONE}(?!\w|-\w)"), _phone),
            (re.compile(rf"(?<![\w\-.,])(?={CARD_ISSUERS}){CARD}(?!\w|-\w)"), _card),
            (re.compile(rf"(?<!\w){IBAN}(?!\w)"), _Ibans().trim),
            (re.compile(rf"(?<![\w\-]){SSN}(?!\w|-\w)"), _ssn),
        )

    def _matches(self, index: int, text: str, *, is_form: bool) -> Iterator[Match | None]:  # noqa: ARG002 - all the same
        candidate = self._candidates[index]
        if candidate is None:
            yield from (found for found in self._patterns.matches(index, text) if not text.startswith("git@", found[0]))
            return
        pattern, trim = candidate
        left = self._most_misses(self._kinds[index])
        position = 0
        while match := pattern.search(text, position):
            start = match.start()
            length = trim(match.group())
            if length:
                yield start, start + length
            elif left:
                left -= 1
            else:
                yield None
                return
            # A candidate that is no number must not hide one that begins within it.
            position = start + (length or 1)

    def _says(self, kind: str) -> str:
        return _LABELS[kind]

    def _most_misses(self, kind: str) -> int:
        return MAX_PHONE_CANDIDATES if kind == "phone" else MAX_CANDIDATES


def _groups_longest_first(candidate: str) -> Iterator[str]:
    """The candidate, then without its last group of characters, and so on."""
    yield candidate
    for match in reversed(list(re.finditer(r"[ .\-/()]+", candidate))):
        yield candidate[: match.start()]


def _phone(candidate: str) -> int:
    if not candidate.startswith("+"):
        return len(candidate)
    if candidate.startswith("+1"):
        # The one country code whose numbers all have the same length, and the dearest to look up.
        wanted = 11
    elif any(int(digits) in phonenumbers.COUNTRY_CODE_TO_REGION_CODE for digits in _country_codes(candidate)):
        wanted = 0
    else:
        return 0
    for text in _groups_longest_first(candidate):
        count = sum(character.isdigit() for character in text)
        if count < max(wanted, 7):
            return 0
        if wanted in (0, count) and _is_phone(text):
            return len(text)
    return 0


def _is_phone(text: str) -> bool:
    try:
        return phonenumbers.is_valid_number(phonenumbers.parse(text, None))
    except phonenumbers.NumberParseException:
        # It has a country code, and behind it what no number has: the library tells that only so.
        return False


def _country_codes(candidate: str) -> Iterator[str]:
    digits = re.sub(r"[^0-9]", "", candidate[:9])
    return (digits[:length] for length in (1, 2, 3))


def _card(candidate: str) -> int:
    for text in _groups_longest_first(candidate):
        digits = text.replace(" ", "").replace("-", "")
        if len(digits) < 13:
            return 0
        if luhn.is_valid(digits):
            return len(text)
    return 0


class _Ibans:
    """How long each country's IBANs are, so that words after one are not taken for a part of it."""

    def __init__(self) -> None:
        registry = numdb.get("iban")
        countries = (first + second for first in ascii_uppercase for second in ascii_uppercase)
        found = ((country, registry.info(country)[0][1].get("bban")) for country in countries)
        self._lengths = {
            country: 4 + sum(int(length) for length in re.findall(r"(\d+)!", form)) for country, form in found if form
        }

    def trim(self, candidate: str) -> int:
        left = self._lengths.get(candidate[:2], 0)
        if not left:
            return 0
        for position, character in enumerate(candidate):
            left -= character != " "
            if not left:
                end = position + 1
                is_whole = not candidate[end : end + 1].isalnum()
                return end if is_whole and iban.is_valid(candidate[:end]) else 0
        return 0


def _ssn(candidate: str) -> int:
    return len(candidate) if ssn.is_valid(candidate) else 0
