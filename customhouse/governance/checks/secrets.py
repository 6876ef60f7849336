"""Finds credentials by their shape: the patterns of `detect-secrets`, run by RE2, and a few that it lacks."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import cast

import re2
from detect_secrets.plugins.aws import AWSKeyDetector
from detect_secrets.plugins.azure_storage_key import AzureStorageKeyDetector
from detect_secrets.plugins.base import RegexBasedDetector
from detect_secrets.plugins.basic_auth import BasicAuthDetector
from detect_secrets.plugins.discord import DiscordBotTokenDetector
from detect_secrets.plugins.github_token import GitHubTokenDetector
from detect_secrets.plugins.gitlab_token import GitLabTokenDetector
from detect_secrets.plugins.jwt import JwtTokenDetector
from detect_secrets.plugins.mailchimp import MailchimpDetector
from detect_secrets.plugins.openai import OpenAIDetector
from detect_secrets.plugins.private_key import PrivateKeyDetector
from detect_secrets.plugins.pypi_token import PypiTokenDetector
from detect_secrets.plugins.sendgrid import SendGridDetector
from detect_secrets.plugins.slack import SlackDetector
from detect_secrets.plugins.square_oauth import SquareOAuthDetector
from detect_secrets.plugins.stripe import StripeDetector
from detect_secrets.plugins.telegram_token import TelegramBotTokenDetector
from detect_secrets.plugins.twilio import TwilioKeyDetector

from customhouse.contracts.governance import Severity
from customhouse.governance.checks.base import MAX_CANDIDATES
from customhouse.governance.checks.pattern_check import PatternCheck
from customhouse.governance.checks.patterns import Match
from customhouse.governance.text.form import SEPARATOR

DETECTORS: tuple[tuple[str, type[RegexBasedDetector]], ...] = (
    ("aws_access_key", AWSKeyDetector),
    ("azure_storage_key", AzureStorageKeyDetector),
    ("basic_auth", BasicAuthDetector),
    ("discord_token", DiscordBotTokenDetector),
    ("github_token", GitHubTokenDetector),
    ("gitlab_token", GitLabTokenDetector),
    ("mailchimp_key", MailchimpDetector),
    ("openai_key", OpenAIDetector),
    ("private_key", PrivateKeyDetector),
    ("pypi_token", PypiTokenDetector),
    ("sendgrid_key", SendGridDetector),
    ("slack_token", SlackDetector),
    ("square_secret", SquareOAuthDetector),
    ("stripe_key", StripeDetector),
    ("telegram_token", TelegramBotTokenDetector),
    ("twilio_key", TwilioKeyDetector),
)
"""Left out on purpose: entropy, keyword and public-IP detectors, which fire on ordinary prose; Artifactory (`AKC…` and
`AP…` are words and tickets); Cloudant, IBM and SoftLayer, which are keyword detectors (`key: <any 44 characters>`);
npm, whose pattern runs over whole lines, and JWT, whose pattern leaves the signature out: both are replaced below."""

ADDITIONS: tuple[tuple[str, str], ...] = (
    ("anthropic_key", r"sk-ant-[a-z]{3,8}[0-9]{2}-[A-Za-z0-9_\-]{80,}"),
    ("customhouse_key", r"\bck_[A-Za-z0-9_\-]{43}"),
    ("github_token", r"github_pat_[A-Za-z0-9_]{82}"),
    ("google_api_key", r"AIza[A-Za-z0-9_\-]{35}"),
    ("huggingface_token", r"\bhf_[A-Za-z]{34}"),
    ("jwt", r"eyJ[A-Za-z0-9_=\-]+(?:\.[A-Za-z0-9_+/=\-]+)+"),
    ("npm_token", r"\bnpm_[A-Za-z0-9]{36}"),
    ("openai_key", r"sk-(?:proj|svcacct|admin)-[A-Za-z0-9_\-]{20,}T3BlbkFJ[A-Za-z0-9_\-]{20,}"),
)
"""Token forms as their issuers document them (prefix and length); ours is the one that `storage/keys.py` makes."""

PLACEHOLDERS = re.compile(r"(?i)(?:pass(?:word|wd)?|pwd|pw|secret|token|changeme|example|postgres|x+|\*+|\.+|[<{$%].*)")
"""Passwords in URLs that stand for one: examples in documentation and templates."""

PRIVATE_KEY_END = re2.compile(r"-{4,5} ?END [A-Z0-9 ]{1,40}-{4,5}|Private-MAC: ?[0-9a-f]{40,64}")
"""Where a private key ends: PEM's and SSH2's last line, and PuTTY's."""

MAX_PRIVATE_KEY_CHARS = 16_384
"""What follows a header is taken for the key up to its end, and for this long where no end comes: an RSA key of 16,384
bits has 12,500 characters in PEM."""


class SecretsCheck(PatternCheck):
    """Reports credentials. Severity critical: whoever reads one can use it."""

    name = "secrets"
    version = "2"
    severity = Severity.CRITICAL
    window = 96
    """The longest pattern that spans white space is AWS's: `aws`, 20 characters, `password`, 20 more, 40 in quotes."""

    def __init__(self) -> None:
        library = [
            (kind, original)
            for kind, detector in DETECTORS
            for original in cast("Iterable[re.Pattern[str]]", detector.denylist)
        ]
        super().__init__(
            [*(_for_re2(original) for _, original in library), *(source for _, source in ADDITIONS)],
            [kind for kind, _ in (*library, *ADDITIONS)],
        )
        self._exact: list[re.Pattern[str] | None] = [*(original for _, original in library), *(None for _ in ADDITIONS)]

    def _matches(self, index: int, text: str, *, is_form: bool) -> Iterator[Match | None]:
        left = MAX_CANDIDATES
        for found in self._looked_at(index, text, is_form=is_form):
            if found is not None:
                yield found
            elif left:
                left -= 1
            else:
                yield None
                return

    def _looked_at(self, index: int, text: str, *, is_form: bool) -> Iterator[Match | None]:
        """What each candidate turned out to be; None for nothing."""
        kind = self._kinds[index]
        exact = self._exact[index]
        key_end = 0
        for start, end in self._patterns.matches(index, text):
            if kind == "jwt":
                yield from _tokens(text, start, end)
            elif exact is None:
                yield start, end
            else:
                # The library's own pattern has the last word, look-arounds included, on the few characters found.
                match = exact.search(text, start, min(end + 1, len(text))) if start >= key_end else None
                if match is None or not _is_real(kind, match):
                    yield None
                elif kind != "private_key":
                    yield match.span()
                else:
                    begin, key_end = _whole_private_key(text, *match.span(), is_form=is_form)
                    yield begin, key_end

    def _says(self, kind: str) -> str:
        return f"a credential: {kind.replace('_', ' ')}"

    def _most_misses(self, kind: str) -> int:  # noqa: ARG002 - the same for all
        return MAX_CANDIDATES


def _is_real(kind: str, match: re.Match[str]) -> bool:
    if kind == "aws_access_key":
        # The library looks within words, too. In a longer run of letters it finds DNA, which has no digits.
        around = match.string[max(match.start() - 1, 0) : match.start()] + match.string[match.end() : match.end() + 1]
        return not any(character.isalnum() for character in around) or any(map(str.isdigit, match.group()))
    if kind == "basic_auth":
        return PLACEHOLDERS.fullmatch(match.group(1)) is None
    return True


def _tokens(text: str, start: int, end: int) -> Iterator[Match | None]:
    """The JSON Web Tokens among parts joined by dots: a header and a payload that are JSON, and a signature. None for
    each part that only looks like a header."""
    parts = text[start:end].split(".")
    position, taken = start, start
    for number, part in enumerate(parts[:-1]):
        head = part.find("eyJ")
        if head >= 0 and position >= taken:
            if JwtTokenDetector.is_formally_valid(f"{part[head:]}.{parts[number + 1]}"):
                taken = min(end, position + len(".".join(parts[number : number + 3])))
                yield position + head, taken
            else:
                yield None
        position += len(part) + 1


def _whole_private_key(text: str, start: int, end: int, *, is_form: bool) -> tuple[int, int]:
    """The library finds the header alone; the secret is what follows: up to the text's end until its own is seen."""
    before = text[max(start - 5, 0) : start]
    dashes = len(before) - len(before.rstrip("-"))
    limit = min(len(text), start + MAX_PRIVATE_KEY_CHARS)
    if is_form and (apart := text.find(SEPARATOR, end, limit)) >= 0:
        limit = apart
    last = PRIVATE_KEY_END.search(text[end:limit])
    return start - dashes, end + last.end() if last else limit


def _for_re2(pattern: re.Pattern[str]) -> str:
    """The same pattern for RE2: a look-ahead at the end becomes one more character, which the exact pattern drops."""
    source = pattern.pattern.replace(r"(?!\w)", r"(?:\W|\z)")
    # RE2 counts to 1000 at most; here, too, the exact pattern has the last word.
    source = source.replace(",1024}", ",}")
    # URLs: no CJK character, so that text written without spaces is not taken for one long run.
    source = source.replace(r"\s]+", r"\s\x{2e80}-\x{10ffff}]+")
    return f"(?i){source}" if pattern.flags & re.IGNORECASE else source
