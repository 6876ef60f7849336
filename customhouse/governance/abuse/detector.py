"""The abuse detector: a fast tier that judges every text, and a deep one for what the fast one is not sure of."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from customhouse.governance.abuse.combine import Calibration
from customhouse.governance.abuse.deep_tier import DeepTier
from customhouse.governance.abuse.fast_tier import FastTier, Windowed
from customhouse.governance.abuse.manifest import SHIPPED, read_manifest
from customhouse.governance.abuse.patterns import CATEGORIES, PATTERNS
from customhouse.governance.text.form import Form
from customhouse.governance.text.view import view_of

PARTS = frozenset({"patterns", "fast", "deep", "decoding"})
"""What `judge` can be asked to do without."""

MAX_DEEP = 3
"""Windows of one text that the deep tier reads: those that the fast tier finds the most suspicious, over all forms."""

_NOTHING: frozenset[str] = frozenset()
_OBFUSCATED = CATEGORIES.index("obfuscated")
_DIRECT, _INDIRECT = CATEGORIES.index("prompt_injection_direct"), CATEGORIES.index("prompt_injection_indirect")


@dataclass(frozen=True, slots=True)
class Reading:
    """What the fast tier saw in the text itself, or in one of its decoded forms."""

    text: str
    form: Form | None
    seen: Windowed


@dataclass(frozen=True, slots=True)
class Judgement:
    probability: float
    """Of abuse, calibrated on sources that the model had not seen, abuse and benign being equally frequent."""
    category: str | None
    """The likeliest sort of abuse; None where the text is surely benign."""
    flagged: bool
    """The probability is at or over the model's own bar. A policy may have another."""
    is_sure: bool
    """The deep tier would not change the verdict, or has judged already."""
    layers: Mapping[str, float]
    span: tuple[int, int] | None = None
    """Start and end (exclusive), in characters of the text, of the most suspicious window."""
    patterns: tuple[str, ...] = ()
    """Ids of the patterns that match in that window."""
    readings: tuple[Reading, ...] = field(default=(), repr=False, compare=False)
    """Handed from the fast tier to the deep one, so that no text is read twice."""


class AbuseDetector:
    """Loaded once, then used from any thread. Pure: the same text gets the same judgement, whoever asks."""

    def __init__(self, version: str, calibration: Calibration, fast_tier: FastTier, deep_tier: DeepTier | None) -> None:
        self.version = version
        self.calibration = calibration
        self._fast = fast_tier
        self._deep = deep_tier

    @classmethod
    def load(cls, directory: Path | None = None) -> AbuseDetector:
        """Reads and verifies the model's files: some 0.5 s. Raises ModelDamaged where they are not as the manifest
        says."""
        folder = directory or SHIPPED
        manifest = read_manifest(folder)
        deep = DeepTier(folder) if any(name.startswith("deep") for name in manifest.files) else None
        return cls(manifest.version, manifest.calibration, FastTier(folder / "fast.npz"), deep)

    def fast(
        self,
        text: str,
        forms: Sequence[Form | str] = (),
        *,
        untrusted: bool = False,
        similarity: float | None = None,
        behaviour: float | None = None,
    ) -> Judgement:
        """The fast tier's judgement of a normalized text and its decoded forms. Some 2 ms for a prompt, linear beyond.

        `similarity`: cosine to the nearest known abuse, 0 to 1. `behaviour`: how much this caller has offended, 0 to 1.
        """
        readings = tuple(self._read(text, forms, _NOTHING))
        return self._judge(readings, untrusted=untrusted, context=_context(similarity, behaviour))

    def deep(
        self,
        text: str,
        forms: Sequence[Form | str] = (),
        *,
        untrusted: bool = False,
        fast: Judgement | None = None,
    ) -> Judgement:
        """Both tiers' judgement. `fast` is what `fast` said of the same text: it is not read again.

        Reads MAX_DEEP windows: some 50 ms each on one core. Without a deep tier it is the fast one's judgement.
        """
        readings = fast.readings if fast and fast.readings else tuple(self._read(text, forms, _NOTHING))
        kept = {name: fast.layers[name] for name in ("similarity", "behaviour") if name in fast.layers} if fast else {}
        return self._judge(readings, untrusted=untrusted, context=kept, is_deep=True)

    def judge(self, text: str, *, untrusted: bool = False, without: frozenset[str] = _NOTHING) -> Judgement:
        """Both tiers as they are run for a request: normalized, decoded, fast, and deep where fast is not sure.

        `without` takes away some of PARTS, to see what each is worth. Raises ValueError for any other name.
        """
        if unknown := without - PARTS:
            raise ValueError(
                f"No such part of the detector: {', '.join(sorted(unknown))}. There are {', '.join(sorted(PARTS))}."
            )
        view = view_of(text)
        forms = () if "decoding" in without else view.forms
        readings = tuple(self._read(view.normalized, forms, without))
        judged = self._judge(readings, untrusted=untrusted, context={}, without=without)
        if self._deep and "deep" not in without and (not judged.is_sure or "fast" in without):
            judged = self._judge(readings, untrusted=untrusted, context={}, is_deep=True, without=without)
        return replace(judged, span=view.plain.span(*judged.span)) if judged.span else judged

    def _read(self, text: str, forms: Sequence[Form | str], without: frozenset[str]) -> Iterator[Reading]:
        yield Reading(text, None, self._fast.read(text, without=without))
        for form in forms:
            decoded = form if isinstance(form, str) else form.text
            kept = None if isinstance(form, str) else form
            yield Reading(decoded, kept, self._fast.read(decoded, is_decoded=True, without=without))

    def _judge(
        self,
        readings: Sequence[Reading],
        *,
        untrusted: bool,
        context: Mapping[str, float],
        is_deep: bool = False,
        without: frozenset[str] = _NOTHING,
    ) -> Judgement:
        if not any(each.text.strip() for each in readings):
            return Judgement(0.0, None, flagged=False, is_sure=True, layers=dict(context), readings=tuple(readings))
        best, place = _most_suspicious(readings)[0]
        top, index = readings[best], place
        count = math.log(sum(len(each.seen.windows) for each in readings))
        layers: dict[str, float] = {**context, "windows": count}
        name = "patterns" if "fast" in without else "fast"
        if not ("fast" in without and "patterns" in without):
            layers[name] = float(top.seen.logits[index])
        scores = top.seen.categories[index]
        if is_deep and self._deep:
            best, index, layers["deep"], scores = self._look_deep(readings)
            top = readings[best]
        known = any(each in layers for each in ("fast", "deep", "patterns"))
        probability = self.calibration.combine(layers) if known else 0.5
        is_sure = is_deep or not self.calibration.sure_benign < probability < self.calibration.sure_abuse
        flagged = probability >= self.calibration.flag
        is_benign = is_sure and not flagged
        return Judgement(
            probability=probability,
            category=None if is_benign else _category(scores, is_decoded=best > 0, untrusted=untrusted),
            flagged=flagged,
            is_sure=is_sure,
            layers=layers,
            span=_span(top, index),
            patterns=tuple(PATTERNS[each].id for each in top.seen.patterns[index]),
            readings=tuple(readings),
        )

    def _look_deep(self, readings: Sequence[Reading]) -> tuple[int, int, float, np.ndarray]:
        """The reading and window that the deep tier finds worst, its logit there, and the categories of both tiers."""
        assert self._deep is not None  # noqa: S101
        places = _most_suspicious(readings)[:MAX_DEEP]
        texts = [readings[reading].text[slice(*readings[reading].seen.windows[window])] for reading, window in places]
        logits, categories = self._deep.read(texts)
        worst = int(np.argmax(logits))
        reading, window = places[worst]
        return reading, window, float(logits[worst]), categories[worst] + readings[reading].seen.categories[window]


def _most_suspicious(readings: Sequence[Reading]) -> list[tuple[int, int]]:
    """(reading, window), from the highest logit of the fast tier on; no more than MAX_DEEP of one reading."""
    ranked = [
        (-float(reading.seen.logits[window]), number, window)
        for number, reading in enumerate(readings)
        for window in reading.seen.order()[:MAX_DEEP]
    ]
    return [(number, window) for _, number, window in sorted(ranked)]


def _category(scores: np.ndarray, *, is_decoded: bool, untrusted: bool) -> str:
    if is_decoded:
        return CATEGORIES[_OBFUSCATED]
    best = int(np.argmax(scores))
    if untrusted and best == _DIRECT:
        best = _INDIRECT
    return CATEGORIES[best]


def _span(reading: Reading, index: int) -> tuple[int, int] | None:
    window = reading.seen.windows[index]
    if reading.form is not None:
        return reading.form.span(*window)
    return window


def _context(similarity: float | None, behaviour: float | None) -> dict[str, float]:
    given = {"similarity": similarity, "behaviour": behaviour}
    return {name: value for name, value in given.items() if value is not None}
