"""What several detectors read from the neighbours of a product."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from detectors.duplicates.entry import TITLE_CHARS
from detectors.duplicates.evidence import codes_of
from detectors.records import Facts, Neighbour
from detectors.standardise.chinese import fold
from detectors.standardise.memoised import memoised

__all__ = ["CLOSE", "TEMPERATURE", "codes", "named", "same_product", "softmax_weights", "source_of", "text"]

TEMPERATURE: Final = 0.07
CLOSE: Final = 0.8  # a score above which two titles with the same model numbers name one product


def text(value: Any) -> str:
    """The value if it is a text, else the empty text."""
    return value if isinstance(value, str) else ""


@memoised(1 << 15, 300, cut=TITLE_CHARS)
def codes(title: str) -> frozenset[str]:
    """The model codes in a title, as matching reads them: in as many characters as the catalogue keeps."""
    return frozenset(codes_of(fold(title)))


def same_product(title_codes: frozenset[str], gtin: Any, mpn: Any, score: float, other: Facts) -> bool:
    """Whether a neighbour is surely another offer of the same product: the same GTIN, maker's number or model number.

    Model numbers count only for close titles (score above `CLOSE`) where neither names a number that the other lacks.
    """
    if gtin and gtin == other.gtin:
        return True
    if mpn and mpn == other.mpn and score > 0.6:
        return True
    return bool(score > CLOSE and title_codes and title_codes == codes(other.title))


def softmax_weights(scores: NDArray[np.float32], usable: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Weights of neighbours, softmax(similarity / .07) over the usable ones.

    scores: (n, k), usable: (n, k). Returns (n, k), rows sum to 1, or to 0 where nothing is usable.
    """
    logits = np.where(usable, scores.astype(np.float64) / TEMPERATURE, -np.inf)
    top = logits.max(axis=1, initial=-1e300, keepdims=True)
    weights = np.exp(logits - top)
    total = weights.sum(axis=1, keepdims=True)
    result: NDArray[np.float64] = np.divide(weights, total, out=np.zeros_like(weights), where=total > 0)
    return result


def source_of(identity: str) -> str:
    """The source's part of an identity, as written."""
    return identity.partition("/")[0]


def named(facts: Facts, score: float, value: Any) -> Neighbour:
    """A neighbour as evidence, with the value of it that matters."""
    return Neighbour(facts.identity, round(min(max(float(score), 0.0), 1.0), 4), value)
