"""docs/guides/limits.md says what limits and blocks are made of."""

from __future__ import annotations

from decimal import Decimal
from uuid import UUID

from api.blocks import AddressBlock, KeyBlock, UserBlock
from api.limits import AddressLimit
from customhouse.contracts.invocation import Caller
from customhouse.contracts.rate_limits import BlockEffect, LimitMetric, LimitRule, LimitScope
from customhouse.governance.limits import behaviour
from customhouse.governance.limits.rules import Rules, headers
from customhouse.governance.limits.windows import Standing
from tests.docs.pages import code, page, table
from workers.settings import Settings

GUIDE = page("docs/guides/limits.md")


def test_every_field_of_a_limit_is_documented() -> None:
    rows = table(GUIDE.section("Rate limits"))
    assert {name for row in rows[:4] for name in code(row[0])} == set(AddressLimit.model_fields)
    assert {scope.value for scope in LimitScope} <= set(code(rows[0][1]))


def test_every_field_of_a_block_is_documented() -> None:
    rows = table(GUIDE.section("Block lists"))
    fields = {*AddressBlock.model_fields, *UserBlock.model_fields, *KeyBlock.model_fields}
    assert {name for row in rows for name in code(row[0])} == fields
    assert {effect.value for effect in BlockEffect} <= {name for row in rows for name in code(row[1])}


def test_every_header_is_documented() -> None:
    rules = [
        LimitRule(scope=LimitScope.ORGANIZATION, metric=metric, amount=Decimal(5), window_s=60)
        for metric in LimitMetric
    ]
    laid = Rules(UUID(int=1), rules)
    charges = laid.charges(laid.applying(Caller(organization_id=UUID(int=1)), None), 1)
    shown = headers(charges, [Standing(1, 0, 1)] * 3)
    documented = {name for row in table(GUIDE.section("What a caller sees")) for name in code(row[0])}
    assert documented == {*shown, "retry-after", "retry-after-ms"}


def test_what_is_said_of_behaviour_is_so() -> None:
    text = GUIDE.section("Behaviour")
    numbers = {3: "three make a half", 4: "four weigh as one", 60: "more than 60 calls a minute", 0.15: "up to 0.15"}
    assert numbers.keys() == {
        int(behaviour.HALFWAY),
        int(behaviour.PROBES_AN_OFFENCE),
        behaviour.STEADY_PER_MINUTE,
        behaviour.HASTE_WEIGHT,
    }
    assert all(words in text for words in numbers.values())
    fields = Settings.model_fields
    assert (fields["auto_block_after"].default, fields["auto_block_window_minutes"].default) == (10, 10)
    assert "Ten prompts of one user blocked as abuse within ten minutes" in text
    assert fields["auto_block_minutes"].default == 60
    assert "for an\nhour" in text
