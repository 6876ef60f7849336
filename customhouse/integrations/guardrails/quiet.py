"""Imports GuardrailsAI so that it keeps to itself: no network, no telemetry, nothing read from a home directory.

Only for the processes of validators. What is changed here is changed for the whole process.
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import Any

NETWORK = frozenset(
    {
        "socket.connect",
        "socket.sendto",
        "socket.sendmsg",
        "socket.getaddrinfo",
        "socket.gethostbyname",
        "socket.gethostbyaddr",
    }
)
"""What Python tells its audit hooks before a socket leads anywhere. Our own sockets are inherited, and need none; that
urllib3 binds one, to see whether there is IPv6, is nobody's business."""


class NoNetwork(PermissionError):
    """A validator has tried to reach the network."""


class Offline:
    """From `start` on, for this process and its children by fork, opening a connection or looking up a name raises."""

    def __init__(self) -> None:
        self.attempts = 0
        """How often the network was tried: libraries often swallow the error and give a wrong answer instead."""

    def start(self) -> None:
        sys.addaudithook(self._hook)

    def _hook(self, event: str, _arguments: tuple[Any, ...]) -> None:
        if event in NETWORK:
            self.attempts += 1
            raise NoNetwork(f"validators have no network, and this one has tried {event}")


def import_guardrails() -> ModuleType:
    """The library, with its telemetry taken out. Takes 5 s.

    Its tracer to the vendor's collector is on unless a file in the home directory says otherwise, and is made anew
    wherever it is missing. So there is one, and it has neither tracer nor exporter.
    """
    library = importlib.import_module("guardrails")
    telemetry: Any = importlib.import_module("guardrails.utils.hub_telemetry_utils").HubTelemetry
    telemetry._instance = object.__new__(telemetry)  # noqa: SLF001 - there is no public way to have none
    rc: Any = importlib.import_module("guardrails.classes.rc").RC
    quiet = rc.from_dict({"enable_metrics": False, "use_remote_inferencing": False})
    rc.load = staticmethod(lambda *_arguments, **_names: quiet)
    settings: Any = library.settings
    settings.rc = quiet
    settings.use_server = False
    # Its spans bear the texts. With no tracer provider they go nowhere; they need not be made.
    settings.disable_tracing = True
    return library
