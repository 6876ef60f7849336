"""Money on the wire: US dollars as a plain decimal string, which no reader turns into a binary fraction."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated

from pydantic import PlainSerializer


def plain(amount: Decimal) -> str:
    """`0.0012`, never `1.2E-3` or `0E-10`, as `str` has it for what NUMERIC(20, 10) gives back."""
    digits = f"{amount:f}"
    return digits.rstrip("0").rstrip(".") if "." in digits else digits


Usd = Annotated[Decimal, PlainSerializer(plain, return_type=str, when_used="json")]
