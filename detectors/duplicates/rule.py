"""The decision whether two products are the same, without labels: a sum of evidence with fixed weights."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from detectors.duplicates.evidence import Comparison, codes_of, measures_in_words, names_of
from detectors.records import Dimension, Facts, Rule, Severity
from detectors.standardise.chinese import fold

__all__ = ["DUPLICATE_EXACT", "DUPLICATE_NEAR", "THRESHOLD", "confidence", "reason", "rule_scores"]

THRESHOLD = -1.0
UNNAMED_PRICE = 0.34  # |ln price ratio| (1.4 times) from which Chinese titles without a code are of two products
_NEUTRAL_SIMILARITY = 0.62

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


def rule_scores(similarity: NDArray[np.float32], c: Comparison) -> NDArray[np.float64]:
    """(b, k) scores of candidates from their similarity and evidence; at `THRESHOLD` and above they are accepted.

    6 (similarity - .62) + 1.5 code in common - 2.5 codes in conflict - 1 codes left over on both sides
    - kinds of unit or colours in conflict - 2 min(|ln price ratio|, 1.5) + 2.5 same GTIN - 2 other GTIN
    - 2 other part number; rounded to four places.
    """
    scores: NDArray[np.float64] = np.round(
        6 * (similarity.astype(np.float64) - _NEUTRAL_SIMILARITY)
        + 1.5 * c.code_in
        - 2.5 * c.code_conflict
        - c.units.astype(np.float64)
        - 2 * np.minimum(c.price.astype(np.float64), 1.5)
        - 1.0 * (c.code_left & ~c.code_conflict)
        - 2.0 * (c.mpn < 0)
        + np.where(c.gtin > 0, 2.5, np.where(c.gtin < 0, -2.0, 0.0)),
        4,
    )
    return scores


def confidence(score: float, *, certain: bool) -> float:
    """Probability that a link with this score is right: one of two fixed logistic curves, rounded to three places.

    Of certain pairs it rises from .65 at the threshold to .99. Of the others the score says little: .69 to .80, which
    is about what was right among electronics and software offered by two shops.
    """
    logit = 0.6 + 0.9 * (score - THRESHOLD) if certain else 0.8 + 0.15 * (score - THRESHOLD)
    return round(1 / (1 + math.exp(-logit)), 3)


def certain(c: Comparison) -> NDArray[np.bool_]:
    """Which pairs name one product by themselves: the same GTIN, or the same code and nothing that contradicts."""
    contradicted = c.code_left | (c.units > 0) | (c.mpn < 0) | (c.gtin < 0)
    return np.asarray((c.gtin > 0) | ((c.code_equal | c.same_text) & ~contradicted))


def exact(c: Comparison) -> NDArray[np.bool_]:
    """Which candidates are exact duplicates: the same text and the same code or GTIN."""
    return np.asarray(c.same_text & ((c.code_in & (c.gtin >= 0)) | (c.gtin > 0)))


def reason(a: Facts, b: Facts, prices: tuple[float | None, float | None], similarity: float) -> str:
    """Why two products are taken for one, in words: what they share, then what the prices are."""
    text_a, text_b = fold(a.title), fold(b.title)
    parts = []
    if a.gtin and b.gtin and a.gtin.lstrip("0") == b.gtin.lstrip("0"):
        parts.append(f"same GTIN {a.gtin}")
    codes_b = codes_of(text_b, b.mpn, names_of(b))
    shared = [code for code in codes_of(text_a, a.mpn, names_of(a)) if code in codes_b]
    if shared:
        parts.append(f"same model code {shared[0].upper()}")
    if text_a == text_b:
        parts.append("same title")
    elif not shared:
        parts.append(f"titles {similarity:.0%} alike")
    amounts = [m for m in measures_in_words(text_a) if m in measures_in_words(text_b)]
    if amounts:
        parts.append(f"both {amounts[0]}")
    if prices[0] is not None and prices[1] is not None:
        parts.append(f"{_money(prices[0], a.currency)} and {_money(prices[1], b.currency)}")
    return "; ".join(parts)


def _money(price: float, currency: str | None) -> str:
    return f"{price:.2f} {currency}" if currency else f"{price:.2f}"
