from __future__ import annotations

import pytest

from customhouse.contracts.governance import Direction, Severity
from customhouse.governance.checks.base import MAX_CANDIDATES, MAX_FINDINGS, Passage
from customhouse.governance.checks.secrets import SecretsCheck
from tests.governance.samples import PRIVATE_KEY, SECRETS, SPACED_SECRETS

CHECK = SecretsCheck()


def spans(text: str) -> list[tuple[str, str]]:
    """Kind and text of all that is found."""
    return [
        (finding.kind, text[finding.span.start : finding.span.end])
        for finding in CHECK.inspect(Passage("p", text, "user"), Direction.INPUT)
        if finding.span is not None
    ]


@pytest.mark.parametrize("kind", SECRETS)
@pytest.mark.parametrize("around", [("", ""), ("Ünïcödé 漢字 ", " 🙂"), ('{"key": "', '"}'), ("Use ", ", please.")])
def test_each_kind_is_found_where_it_lies(kind: str, around: tuple[str, str]) -> None:
    secret = SECRETS[kind]
    found = spans(around[0] + secret + around[1])
    assert kind in [name for name, _ in found]
    if kind == "basic_auth":
        assert found == [("basic_auth", "://bob:hunter2hunter2@")]
    else:
        assert secret in [text for _, text in found]


def test_a_finding_is_critical_and_never_holds_the_secret() -> None:
    for secret in SECRETS.values():
        for finding in CHECK.inspect(Passage("messages.0.content", secret, "user"), Direction.OUTPUT):
            assert finding.severity is Severity.CRITICAL
            assert finding.direction is Direction.OUTPUT
            assert secret not in finding.model_dump_json()


def test_forms_that_white_space_interrupts_are_found() -> None:
    for secret in SPACED_SECRETS:
        assert [kind for kind, _ in spans(f"set {secret} now")] == ["aws_access_key"]


def test_a_private_key_is_found_up_to_its_end() -> None:
    assert spans(f"Here:\n{PRIVATE_KEY}\nkeep it") == [("private_key", PRIVATE_KEY)]


def test_a_private_key_without_an_end_reaches_to_the_end_of_the_text() -> None:
    cut = PRIVATE_KEY[:200]
    assert spans(cut) == [("private_key", cut)]


@pytest.mark.parametrize(
    "text",
    [
        "The public key of a certificate begins with BEGIN CERTIFICATE.",
        "CTTCTGTGATCCACGTACTAATAGTACCACTTGGTTGCGACTAGCAGGT",
        "postgresql://user:password@localhost/db and https://<user>:<password>@host/ and http://a:${PASS}@b",
        "https://example.com/path?query=1#fragment",
        "eyJhbGciOi is how a token begins; eyJub3Q.anDwt says nothing",
        "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        "commit 0123456789abcdef0123456789abcdef01234567 in a UUID 123e4567-e89b-12d3-a456-426614174000",
    ],
)
def test_what_only_looks_like_a_secret_is_let_be(text: str) -> None:
    assert spans(text) == []


def test_a_token_is_found_among_other_parts() -> None:
    token = SECRETS["jwt"]
    assert spans(f"eyJunk.x{token}.{token}") == [("jwt", token), ("jwt", token)]


def test_lone_surrogates_do_not_move_spans() -> None:
    secret = SECRETS["github_token"]
    assert spans(f"\ud83d {secret} \ude00") == [("github_token", secret)]


def test_the_number_of_findings_of_one_text_is_bounded() -> None:
    text = (SECRETS["github_token"] + " ") * (MAX_FINDINGS + 100)
    assert len(spans(text)) == MAX_FINDINGS + 1


@pytest.mark.parametrize("text", ["AKIA" * 6 + ",", "eyJa.b ", "https://user:password@x "])
def test_a_text_made_to_cost_is_given_up_on_and_said_so(text: str) -> None:
    findings = CHECK.inspect(Passage("p", "x" + text * (MAX_CANDIDATES + 2), "user"), Direction.INPUT)
    assert ("too_many", None) in [(finding.kind, finding.span) for finding in findings]
    assert len(findings) <= MAX_FINDINGS + 1


def test_headers_within_a_key_are_not_looked_at_without_end() -> None:
    text = "-----BEGIN RSA PRIVATE KEY-----" * (MAX_CANDIDATES * 2)
    assert CHECK.inspect(Passage("p", text, "user"), Direction.INPUT)[-1].kind == "too_many"
