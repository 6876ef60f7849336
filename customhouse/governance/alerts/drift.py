"""Whether the abuse model's scores of live traffic still look like those it was made with.

Compared are two histograms of the probability of abuse, 20 equal bins from 0 to 1, by the population stability index:
the sum over the bins of (live - reference) x ln(live / reference). The usual reading: below 0.1 nothing has changed,
above 0.2 it has. Fewer than 500 scores say nothing: chance alone makes an index of (bins - 1) / samples.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from customhouse.contracts.alerts import Alert, AlertKind
from customhouse.contracts.errors import ConfigurationError
from customhouse.contracts.governance import Severity
from customhouse.governance.alerts.keys import dedup_key, subject

BINS = 20

MIN_SAMPLES = 500

ALARM = 0.2

SEVERE = 0.5

DAY_S = 86_400.0

_LEAST_MASS = 0.005
"""Of the reference, in one bin: sparser neighbours are taken together, since their ratio would be noise."""

_KEY = "score_histogram"


def bin_of(probability: float) -> int:
    """The bin of a probability: 0 to 19. 1.0 is in the last one."""
    return min(BINS - 1, max(0, int(probability * BINS)))


def reference_of(manifest: Mapping[str, Any]) -> list[float] | None:
    """The training's histogram out of the model's manifest, as shares that sum to 1: benign texts as the model scored
    them while it was left out of their source. None where the manifest has none.

    Raises ConfigurationError for one that is no histogram.
    """
    raw = manifest.get(_KEY)
    if raw is None:
        return None
    wrong = ConfigurationError(
        f"`{_KEY}` in the abuse model's manifest must be a list of {BINS} numbers, none negative and not all zero. "
        "Make the model anew, or take the field out to do without the drift alarm."
    )
    if not isinstance(raw, list) or len(raw) != BINS:
        raise wrong
    if any(isinstance(each, bool) or not isinstance(each, int | float) for each in raw):
        raise wrong
    total = math.fsum(raw)
    if not math.isfinite(total) or total <= 0 or min(raw) < 0:
        raise wrong
    return [each / total for each in raw]


def stability_index(reference: Sequence[float], counts: Sequence[int]) -> float:
    """PSI of live counts against the reference's shares; 0 where they are the same. Both have BINS entries, and there
    is at least one count. Half a sample is added to each bin, so that an empty one makes no infinity."""
    groups = _groups(reference)
    live = [sum(counts[start:end]) + 0.5 for start, end in groups]
    expected = [sum(reference[start:end]) + _LEAST_MASS / 100 for start, end in groups]
    live_total, expected_total = math.fsum(live), math.fsum(expected)
    shares = zip(live, expected, strict=True)
    return math.fsum(
        (here / live_total - there / expected_total) * math.log((here / live_total) / (there / expected_total))
        for here, there in shares
    )


def drift_alert(
    organization_id: UUID, counts: Sequence[int], reference: Sequence[float], model_version: str
) -> Alert | None:
    """The alert, where there are enough scores and they have drifted. Told once a day for each version of the model."""
    samples = sum(counts)
    if samples < MIN_SAMPLES:
        return None
    index = stability_index(reference, counts)
    if index <= ALARM:
        return None
    live_mean, reference_mean = _mean([count / samples for count in counts]), _mean(reference)
    way = "higher" if live_mean > reference_mean else "lower"
    return Alert(
        organization_id=organization_id,
        kind=AlertKind.DRIFT,
        severity=Severity.HIGH if index > SEVERE else Severity.MEDIUM,
        title=f"The abuse model's scores have drifted (PSI {index:.2f})",
        text=f"Over the last day {samples} prompts were scored, on average {way} than in training "
        f"({live_mean:.3f} against {reference_mean:.3f}). The traffic has changed or an attack is on: look at recent "
        "findings, mark wrong ones (POST /api/v1/feedback), and train anew with what `customhouse feedback export` "
        "writes.",
        subject=subject("model", f"abuse@{model_version}"),
        dedup_key=dedup_key("drift", "abuse", model_version),
        dedup_window_s=DAY_S,
        details={
            "psi": round(index, 4),
            "samples": samples,
            "counts": list(counts),
            "reference": [round(share, 6) for share in reference],
            "model_version": model_version,
        },
    )


def _groups(reference: Sequence[float]) -> list[tuple[int, int]]:
    """Neighbouring bins taken together until each group holds enough of the reference."""
    groups: list[tuple[int, int]] = []
    start, mass = 0, 0.0
    for index, share in enumerate(reference):
        mass += share
        if mass >= _LEAST_MASS:
            groups.append((start, index + 1))
            start, mass = index + 1, 0.0
    if start < len(reference):
        groups.append((start, len(reference)))  # the sparse top stays by itself: that is where attacks show
    return groups


def _mean(shares: Sequence[float]) -> float:
    return math.fsum(share * (index + 0.5) / BINS for index, share in enumerate(shares))
