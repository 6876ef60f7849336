"""Sends alerts by apprise: e-mail, chat, pagers, webhooks, each place an apprise URL.

URLs bear tokens and passwords, so a place is only ever named by its number and scheme.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import re
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import TYPE_CHECKING, Self

from customhouse.contracts.errors import ConfigurationError
from customhouse.contracts.governance import Severity
from customhouse.contracts.timing import ALERT_SEND_TIMEOUT
from customhouse.governance.alerts.sending import Notice, Place

if TYPE_CHECKING:
    from apprise.plugins.base import NotifyBase

VARIABLE = "CUSTOMHOUSE_ALERT_URLS"

_SENDERS = 4
"""Places that are told at once, each in a thread, since apprise waits for answers."""

_ENTRY = re.compile(r"\s*,\s*(?=(?:[a-z]+=)?[a-zA-Z][a-zA-Z0-9+.\-]*://)")
"""A comma that an entry begins after; others belong to a URL."""

_MINIMUM = re.compile(r"^([a-z]+)=(?=[a-zA-Z][a-zA-Z0-9+.\-]*://)")

_SECRET_PART = re.compile(r"[^/:@?&=,\s]{4,}")

_LONGEST_REASON = 300

_TYPES = {
    Severity.INFO: "info",
    Severity.LOW: "info",
    Severity.MEDIUM: "warning",
    Severity.HIGH: "failure",
    Severity.CRITICAL: "failure",
}


class Places:
    """The configured places. Use as an async context manager: leaving it waits for nothing that hangs."""

    def __init__(self, urls: str, minimum: Severity) -> None:
        """`urls`: apprise URLs, separated by commas; each may begin with a severity of its own, as in
        `high=slack://…`, where `minimum` does otherwise. Imports apprise, 0.4 s.

        Raises ConfigurationError for an entry that apprise does not know; the message shows no more than its scheme.
        """
        import apprise

        self._plugins: dict[str, NotifyBase] = {}
        self._urls: dict[str, str] = {}
        places: list[Place] = []
        entries = [entry for entry in _ENTRY.split(urls.strip().strip(",")) if entry]
        for number, entry in enumerate(entries, start=1):
            url, own = _parted(entry, number)
            scheme = _scheme(url, number)
            plugin = apprise.Apprise.instantiate(url, suppress_exceptions=True)
            if plugin is None:
                raise ConfigurationError(_refusal(number, scheme))
            fingerprint = hashlib.sha256(url.encode()).hexdigest()[:16]
            if fingerprint not in self._plugins:
                self._plugins[fingerprint], self._urls[fingerprint] = plugin, url
                places.append(Place(number, scheme, own or minimum, fingerprint))
        self.all: Sequence[Place] = tuple(places)
        self._threads = ThreadPoolExecutor(_SENDERS, thread_name_prefix="alerts")

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def send(self, place: Place, notice: Notice) -> str | None:
        """None once the place has taken it, else what is wrong, without the URL's secrets. Never raises for a place."""
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(ALERT_SEND_TIMEOUT.total_seconds()):
                return await loop.run_in_executor(self._threads, self._send, place, notice)
        except TimeoutError:
            return f"{place.name} has not answered for {ALERT_SEND_TIMEOUT.total_seconds():g} s"

    def _send(self, place: Place, notice: Notice) -> str | None:
        with _reasons() as reasons:
            try:
                taken = self._plugins[place.fingerprint].notify(
                    title=notice.title, body=notice.body, notify_type=_TYPES[notice.severity], body_format="text"
                )
            except Exception as error:  # noqa: BLE001 - one of a hundred plugins; what it raises is that place's failure
                reasons.append(type(error).__name__)
                taken = False
        if taken:
            return None
        reason = " ".join(dict.fromkeys(reasons)) or "apprise says no more"
        return f"{place.name} did not take it: {_without_secrets(reason, self._urls[place.fingerprint])}"


class _reasons:  # noqa: N801 - used as a function is
    """What apprise logs in this thread meanwhile: it answers with no more than True or False."""

    def __init__(self) -> None:
        self._found: list[str] = []
        self._handler = _Listener(self._found)

    def __enter__(self) -> list[str]:
        logging.getLogger("apprise").addHandler(self._handler)
        return self._found

    def __exit__(self, *_: object) -> None:
        logging.getLogger("apprise").removeHandler(self._handler)


class _Listener(logging.Handler):
    def __init__(self, found: list[str]) -> None:
        super().__init__(logging.WARNING)
        self._found = found
        self._thread = threading.get_ident()

    def emit(self, record: logging.LogRecord) -> None:
        if record.thread == self._thread:
            self._found.append(record.getMessage().strip())


def _parted(entry: str, number: int) -> tuple[str, Severity | None]:
    found = _MINIMUM.match(entry)
    if found is None:
        return entry, None
    try:
        return entry[found.end() :], Severity(found[1])
    except ValueError:
        known = ", ".join(Severity)
        raise ConfigurationError(
            f"Entry {number} of {VARIABLE} begins with {found[1]}=, which is no severity. There are {known}."
        ) from None


def _scheme(url: str, number: int) -> str:
    scheme, separator, _ = url.partition("://")
    if not separator or not re.fullmatch(r"[a-zA-Z][a-zA-Z0-9+.\-]*", scheme):
        raise ConfigurationError(
            f"Entry {number} of {VARIABLE} is no URL. Write scheme://…, such as mailtos://user:password@host or "
            "jsons://host/path; several are separated by commas."
        )
    return scheme.lower()


def _refusal(number: int, scheme: str) -> str:
    where = f"Entry {number} of {VARIABLE} ({scheme}://…)"
    if scheme not in _known_schemes():
        return f"{where}: apprise knows no scheme {scheme!r}. See apprise's list of services for the right one."
    return (
        f"{where}: apprise cannot use it: a part is missing or has the wrong form. See apprise's page on {scheme} for "
        "how its URL is written; special characters in passwords are percent-encoded."
    )


def _known_schemes() -> frozenset[str]:
    from apprise import Apprise

    details = Apprise().details()
    return frozenset(
        name
        for service in details["schemas"]
        for kind in ("protocols", "secure_protocols")
        for name in service[kind] or ()
    )


def _without_secrets(reason: str, url: str) -> str:
    """Whatever stands in the URL beside its scheme is masked, should apprise have repeated it."""
    for part in sorted(set(_SECRET_PART.findall(url.partition("://")[2])), key=len, reverse=True):
        reason = reason.replace(part, "****")
    return reason[:_LONGEST_REASON]
