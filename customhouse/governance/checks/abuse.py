"""Abuse: injected instructions, jailbreaks, extraction of the system prompt, harmful requests, also in disguise.

The model is in `customhouse/governance/abuse`; here it is asked about the texts of a request.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from hashlib import blake2b
from threading import Lock

from cachetools import LRUCache

from customhouse.contracts.governance import Direction, Finding, InspectionContext, Severity, Span
from customhouse.governance.abuse.detector import AbuseDetector, Judgement
from customhouse.governance.checks.base import Cost, Glance, Need, Passage

OWN_INSTRUCTIONS = frozenset({"system", "developer"})
"""Roles of whoever built the agent: instructions to a model are what these messages are for."""

MIN_CHARS = 12
"""Less says nothing that could be judged: an id, a yes."""

MIN_TOOL_CHARS = 60
"""Of texts beside the messages (tools, metadata): shorter ones are titles and descriptions of parameters."""

REPORTED = 0.5
"""Probabilities under this are no finding; they stand in the trace alone."""

REMEMBERED = 4_096
"""Judgements that are kept: a conversation comes back whole with each turn, and an agent's tools with each call."""

REREAD_CHARS = 4_096
"""Of longer texts what the quick look read is not kept, so that what is remembered stays small."""

_EXPLANATIONS = {
    "prompt_injection_direct": "The text tells the model to disregard its instructions",
    "prompt_injection_indirect": "The text, which comes from elsewhere, holds an instruction to the model",
    "jailbreak": "The text tries to talk the model out of its rules",
    "system_prompt_extraction": "The text asks for the model's own instructions",
    "harmful_request": "The text asks for help with something harmful",
    "obfuscated": "The text hides in an encoding what it asks for",
}


class AbuseCheck:
    """Quick at first: n-grams, embedding and patterns. What that leaves open goes to the transformer."""

    name = "abuse"
    directions = frozenset({Direction.INPUT, Direction.TOOL_RESULT})
    cost = Cost.LIGHT
    needs = frozenset({Need.FORMS})

    def __init__(self, detector: AbuseDetector) -> None:
        self._detector = detector
        self.version = detector.version
        self._quick: LRUCache[bytes, Judgement] = LRUCache(REMEMBERED)
        self._thorough: LRUCache[bytes, Judgement] = LRUCache(REMEMBERED)
        self._lock = Lock()  # quick looks at long texts are taken in threads

    def glance(self, passages: Sequence[Passage], context: InspectionContext) -> Glance:
        judged = [(passage, self._judge_quickly(passage)) for passage in passages if _is_judged(passage)]
        doubtful = [passage for passage, judgement in judged if not judgement.is_sure]
        sure = [(passage, judgement) for passage, judgement in judged if judgement.is_sure]
        return Glance(self._findings(sure, context), doubtful, self._figures(judged, context))

    def study(self, doubtful: Sequence[Passage], context: InspectionContext) -> Glance:
        judged = [(passage, self._judge_thoroughly(passage)) for passage in doubtful]
        return Glance(self._findings(judged, context), attributes=self._figures(judged, context))

    def _judge_quickly(self, passage: Passage) -> Judgement:
        key = _key(passage)
        with self._lock:
            known = self._quick.get(key)
        if known is None:
            view = passage.view
            known = self._detector.fast(view.normalized, view.forms, untrusted=passage.is_untrusted)
            with self._lock:
                self._quick[key] = _kept(passage, known)
        return known

    def _judge_thoroughly(self, passage: Passage) -> Judgement:
        key = _key(passage)
        with self._lock:
            known = self._thorough.get(key)
        if known is None:
            view, quick = passage.view, self._judge_quickly(passage)
            known = self._detector.deep(view.normalized, view.forms, untrusted=passage.is_untrusted, fast=quick)
            with self._lock:
                self._thorough[key] = replace(known, readings=())
        return known

    def _findings(self, judged: Iterable[tuple[Passage, Judgement]], context: InspectionContext) -> list[Finding]:
        found: list[Finding] = []
        for passage, judgement in judged:
            probability = self._weighed(judgement, context)
            if probability < REPORTED or judgement.category is None:
                continue
            start, end = passage.view.plain.span(*judgement.span) if judgement.span else (0, len(passage.text))
            found.append(
                Finding(
                    check=self.name,
                    kind=judgement.category,
                    severity=Severity.HIGH,
                    score=probability,
                    direction=passage.direction(Direction.INPUT),
                    span=Span(path=passage.path, start=start, end=end),
                    explanation=f"{_EXPLANATIONS[judgement.category]} (probability {probability:.2f}).",
                    may_be_kept=True,
                )
            )
        return found

    def _weighed(self, judgement: Judgement, context: InspectionContext) -> float:
        """The probability, with what is known of the prompt's likeness and of its caller."""
        known = {"behaviour": context.behaviour, "similarity": max(context.known_abuse or 0.0, 0.0)}
        return self._detector.calibration.with_context(judgement.probability, known)

    def _figures(self, judged: Sequence[tuple[Passage, Judgement]], context: InspectionContext) -> dict[str, float]:
        if not judged:
            return {}
        return {"probability": round(max(self._weighed(judgement, context) for _, judgement in judged), 4)}


def _kept(passage: Passage, judgement: Judgement) -> Judgement:
    if not judgement.is_sure and len(passage.text) <= REREAD_CHARS:
        return judgement  # the thorough look goes on from it
    return replace(judgement, readings=())


def _is_judged(passage: Passage) -> bool:
    if passage.is_name or (passage.role in OWN_INSTRUCTIONS and not passage.is_untrusted):
        return False
    is_message = passage.path.startswith("messages.")
    return len(passage.text) >= (MIN_CHARS if is_message else MIN_TOOL_CHARS)


def _key(passage: Passage) -> bytes:
    digest = blake2b(passage.text.encode("utf-8", "surrogatepass"), digest_size=16)
    digest.update(b"1" if passage.is_untrusted else b"0")
    return digest.digest()
