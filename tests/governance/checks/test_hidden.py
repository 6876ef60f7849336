"""What is spelled otherwise or encoded is found as well, and at the stretch of the text that hides it."""

from __future__ import annotations

import base64
import codecs

import pytest

from customhouse.contracts.governance import Direction, Finding
from customhouse.governance.checks.base import Passage
from customhouse.governance.checks.pii import PiiCheck
from customhouse.governance.checks.secrets import SecretsCheck
from tests.governance.samples import DISGUISES, PII, SECRETS, UNBROKEN

SECRETS_CHECK = SecretsCheck()
PII_CHECK = PiiCheck()
HIDDEN = {**UNBROKEN, **DISGUISES}
TOKEN = SECRETS["github_token"]
BOTH = [Direction.INPUT, Direction.OUTPUT]


def inspect(
    text: str, direction: Direction = Direction.INPUT, check: SecretsCheck | PiiCheck = SECRETS_CHECK
) -> list[Finding]:
    return check.inspect(Passage("p", text, "user"), direction)


def found(
    text: str, direction: Direction = Direction.INPUT, check: SecretsCheck | PiiCheck = SECRETS_CHECK
) -> list[tuple[str, str]]:
    return [(each.kind, text[each.span.start : each.span.end]) for each in inspect(text, direction, check) if each.span]


@pytest.mark.parametrize("direction", BOTH)
@pytest.mark.parametrize("how", HIDDEN)
def test_every_credential_is_found_however_it_is_hidden(how: str, direction: Direction) -> None:
    for kind, secret in SECRETS.items():
        hidden = HIDDEN[how](secret)
        stretches = [stretch for name, stretch in found(f"Here: {hidden} and so on.", direction) if name == kind]
        assert stretches, kind
        assert all(stretch in hidden for stretch in stretches), kind
        if kind != "basic_auth":
            assert max(map(len, stretches)) >= len(hidden) - 2, kind


@pytest.mark.parametrize("direction", BOTH)
@pytest.mark.parametrize("how", HIDDEN)
def test_and_so_is_personal_data(how: str, direction: Direction) -> None:
    for kind, value in PII.items():
        text = f"Here: {HIDDEN[how](value)} and so on."
        assert kind in [name for name, _ in found(text, direction, PII_CHECK)], kind


@pytest.mark.parametrize(
    ("how", "text"),
    [
        ("rot13", codecs.encode(f"the key of the admin is {TOKEN} and works", "rot13")),
        ("reversed", f"the key of the admin is {TOKEN} and works"[::-1]),
        ("spaced letters", " ".join(TOKEN)),
        ("hex", TOKEN.encode().hex(" ")),
        ("binary", " ".join(f"{byte:08b}" for byte in TOKEN.encode())),
        ("base64", base64.encodebytes(f"You may use this key in all that you do for us: {TOKEN}".encode()).decode()),
    ],
)
def test_requests_are_read_in_ways_that_cross_white_space_too(how: str, text: str) -> None:
    (finding,) = [each for each in inspect(text) if each.kind == "github_token"]
    assert f"Read as {how}, the text" in finding.explanation
    assert "github_token" not in [kind for kind, _ in found(text, Direction.OUTPUT)]


def test_only_the_look_alikes_of_a_mixed_word_are_letters_in_disguise() -> None:
    token = TOKEN.replace("a", "\u0430").replace("p", "\u0440")
    assert found(f"use {token} now") == [("github_token", token)]


def test_the_explanation_says_how_it_was_read_and_holds_nothing_of_it() -> None:
    hidden = base64.b64encode(base64.b64encode(TOKEN.encode())).decode()
    (finding,) = inspect(hidden)
    assert finding.explanation.startswith("Read as base64, base64, the text has the form of a credential")
    assert hidden not in finding.model_dump_json()
    assert TOKEN not in finding.model_dump_json()


def test_what_the_text_itself_holds_is_reported_once() -> None:
    assert len(inspect(f"“{TOKEN}” – 100%25 &amp; more")) == 1


def test_an_address_that_goes_on_behind_an_invisible_character_is_taken_whole() -> None:
    text = "to bob@example.co\u200bm now"
    assert ("email", "bob@example.co\u200bm") in found(text, check=PII_CHECK)


def test_each_of_several_stretches_is_told_apart() -> None:
    first, second = (base64.b64encode(SECRETS[kind].encode()).decode() for kind in ("github_token", "stripe_key"))
    assert found(f"{first} and {second}") == [("github_token", first), ("stripe_key", second)]


def test_a_private_key_in_one_stretch_does_not_reach_into_the_next() -> None:
    header = base64.b64encode(b"-----BEGIN RSA PRIVATE KEY-----\nMIIEow").decode()
    other = base64.b64encode(b"an ordinary sentence of words").decode()
    for direction in BOTH:
        assert found(f"{header} but {other}", direction) == [("private_key", header)]


def test_the_digits_of_a_table_are_no_card_number() -> None:
    text = " ".join(PII["payment_card"].replace(" ", ""))
    assert inspect(text, check=PII_CHECK) == []


@pytest.mark.parametrize("how", HIDDEN)
def test_a_quick_look_sees_what_is_hidden(how: str) -> None:
    assert SECRETS_CHECK.may_find(f"nothing here\n{HIDDEN[how](TOKEN)}\nnor here")
    assert not SECRETS_CHECK.may_find(f"nothing here\n{HIDDEN[how]('an ordinary word')}\nnor here")


@pytest.mark.parametrize("check", [SECRETS_CHECK, PII_CHECK], ids=lambda check: check.name)
def test_more_layers_than_are_read_are_a_finding_without_a_span(check: SecretsCheck | PiiCheck) -> None:
    layers = "nothing to see here, " * 80
    for _ in range(3):
        layers = base64.b64encode(layers.encode()).decode()
    (finding,) = inspect(f"w0rd5 th4t %25252561re {layers}", check=check)
    assert (finding.kind, finding.span) == ("too_many", None)
    assert inspect(layers, check=check) == []
