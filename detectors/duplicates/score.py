"""What the score of a pair means: from which on two products are the same, how sure that is, how it is called."""

from __future__ import annotations

import math

from detectors.records import Dimension, Rule, Severity

__all__ = ["DUPLICATE_EXACT", "DUPLICATE_NEAR", "DUPLICATE_VARIANT", "THRESHOLD", "confidence"]

THRESHOLD = -3.0

DUPLICATE_EXACT = Rule(
    "duplicate.exact",
    Dimension.UNIQUENESS,
    Severity.WARNING,
    "The product is listed already, with the same text and the same code.",
)
DUPLICATE_NEAR = Rule(
    "duplicate.near",
    Dimension.UNIQUENESS,
    Severity.INFO,
    "The product is very probably listed already, in other words.",
)
DUPLICATE_VARIANT = Rule(
    "duplicate.variant",
    Dimension.UNIQUENESS,
    Severity.INFO,
    "The product is no duplicate, but another colour, size, pack, version or licence of one that is listed.",
)


def confidence(score: float, *, certain: bool) -> float:
    """Probability that a link with this score is right: one of two fixed logistic curves, rounded to three places.

    Of certain pairs it rises from .54 at the threshold to .99. Of the others the score says little: .67 to .80, which
    is about what was right among software offered by two shops (of electronics more was).
    """
    above = score - THRESHOLD
    logit = 0.15 + 0.9 * above if certain else 0.725 + 0.15 * above
    return round(1 / (1 + math.exp(-logit)), 3)
