"""From the layers' own scales to one probability: logistic curves, fitted on sources that the layers had not seen."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

Layers = Mapping[str, float]
"""`fast`, `deep`: logits; `windows`: the log of their number. `similarity` (0 to 1, cosine to the nearest known abuse)
and `behaviour` (0 to 1, how much the caller has offended of late) are optional."""


@dataclass(frozen=True, slots=True)
class Curve:
    """A logistic curve over layers: sigmoid(bias + sum of weight times layer)."""

    bias: float
    weights: Mapping[str, float]

    def probability(self, layers: Layers) -> float:
        total = self.bias + sum(weight * layers.get(name, 0.0) for name, weight in self.weights.items())
        return logistic(total)


@dataclass(frozen=True, slots=True)
class Calibration:
    """`curves` by the layers that are there, such as `fast` or `deep+fast`; thresholds are probabilities."""

    curves: Mapping[str, Curve]
    flag: float
    sure_benign: float
    sure_abuse: float

    def combine(self, layers: Layers) -> float:
        """The probability of abuse. Raises KeyError where no curve was fitted for these layers."""
        known = "+".join(sorted(name for name in ("fast", "deep", "patterns") if name in layers))
        return self.with_context(self.curves[known].probability(layers), layers)

    @staticmethod
    def with_context(probability: float, layers: Layers) -> float:
        """Moves the text's own probability by what is known beside the text.

        A near-copy of known abuse (similarity over SIMILAR) is abuse as surely as it is a copy. Behaviour alone
        condemns nobody: it moves the odds by a factor of up to MOST_BY_BEHAVIOUR.
        """
        similarity = layers.get("similarity", 0.0)
        if similarity > SIMILAR:
            probability = max(probability, 0.5 + 0.5 * (similarity - SIMILAR) / (1 - SIMILAR))
        behaviour = min(max(layers.get("behaviour", 0.0), 0.0), 1.0)
        if behaviour and 0 < probability < 1:
            odds = probability / (1 - probability) * MOST_BY_BEHAVIOUR**behaviour
            probability = odds / (1 + odds)
        return min(probability, 1.0)


SIMILAR = 0.9
MOST_BY_BEHAVIOUR = 3.0


def logistic(value: float) -> float:
    """1 / (1 + e^-value), for any value."""
    if value >= 0:
        return 1 / (1 + math.exp(-value)) if value < 700 else 1.0
    return (grown := math.exp(value)) / (1 + grown) if value > -700 else 0.0
