"""The check `guardrails`: GuardrailsAI's validators and Guards, by the rules of a file."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from typing import Self

from customhouse.contracts.errors import ConfigurationError
from customhouse.contracts.governance import Direction, Finding
from customhouse.governance.checks.base import Cost, Need, Passage
from customhouse.governance.validators import CHECK, GuardrailsSettings
from customhouse.integrations.guardrails.jury import Jury, Piece
from customhouse.integrations.guardrails.pool import Pool
from customhouse.integrations.guardrails.process import LoadFailed, ValidatorsProcess
from customhouse.integrations.guardrails.sentences import sentences
from customhouse.integrations.guardrails.settings import RulesFile, unusable
from customhouse.integrations.guardrails.stream import SentenceStream


class GuardrailsCheck:
    """Blocks for as long as validators take, and never longer than the rules' deadline: for a thread.

    The same text has the same findings whole and streamed: a rule that streams judges sentence by sentence either way,
    and all others see a text only when it is whole.
    """

    name = CHECK
    cost = Cost.HEAVY
    needs: frozenset[Need] = frozenset()
    window = 0
    """Not for `HeldText`: a rule that streams has its own sentences, and all others want the whole."""

    def __init__(self, settings: GuardrailsSettings, pool: Pool) -> None:
        self.version = _library_version()
        self.directions = settings.directions
        self.holds_streams = settings.holds_streams
        """True where a streamed answer must be held to its end for some rule."""
        self._settings = settings
        self._pool = pool
        self._jury = Jury(settings, pool)

    @classmethod
    def load(cls, rules: RulesFile, environ: Mapping[str, str]) -> Self:
        """Starts the processes and loads the validators, some 5 s. `close` it in the end.

        Raises ConfigurationError, with one line for every rule that cannot be loaded.
        """
        if platform.system() != "Linux":
            raise ConfigurationError("CUSTOMHOUSE_GUARDRAILS needs Linux, for its processes are forked. Unset it here.")
        _library_version()
        try:
            pool = Pool(partial(ValidatorsProcess, rules.settings, environ), rules.settings.processes)
        except LoadFailed as error:
            raise unusable([rules.fault(*fault) for fault in error.faults]) from None
        return cls(rules.settings, pool)

    def close(self) -> None:
        self._pool.close()

    def inspect(self, passage: Passage, direction: Direction) -> list[Finding]:
        chosen = [(index, rule) for index, rule in enumerate(self._settings.rules) if rule.looks_at(passage, direction)]
        if not chosen:
            return []
        pieces = [Piece(passage.text)]
        if any(rule.streams for _, rule in chosen):
            pieces += [Piece(each, start) for start, each in sentences(passage.text) if not each.isspace()]
        parts = range(1, len(pieces))
        jobs = [(index, parts if rule.streams else (0,)) for index, rule in chosen]
        return self._jury.judge(passage.path, direction, pieces, [(rule, list(each)) for rule, each in jobs])

    def stream(self, path: str) -> SentenceStream | None:
        """For one text of a streamed answer, what judges it while it comes; None where no rule does."""
        sample = Passage(path, "", "assistant")
        rules = [
            index
            for index, rule in enumerate(self._settings.rules)
            if rule.streams and rule.looks_at(sample, Direction.OUTPUT)
        ]
        return SentenceStream(self._jury, rules, path) if rules else None


def _library_version() -> str:
    try:
        return version("guardrails-ai")
    except PackageNotFoundError:
        raise ConfigurationError(
            "CUSTOMHOUSE_GUARDRAILS is set, but guardrails-ai is not installed. Install it (it comes with "
            "`customhouse[server]`), or unset the variable."
        ) from None
