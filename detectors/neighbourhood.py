"""What several detectors read from the neighbours of a product."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from detectors.records import Facts

__all__ = ["codes", "fold", "same_product", "softmax_weights", "source_of", "text"]

TEMPERATURE: Final = 0.07

_WORD: Final = re.compile(r"[a-z0-9]+(?:[-/._][a-z0-9]+)*")
_SEPARATORS: Final = re.compile(r"[-/._]")
_MEASURE: Final = re.compile(
    r"\d+(gb|g|kg|mg|mb|tb|ml|l|cl|oz|lb|inch|in|ft|mm|cm|m|km|w|watt|kw|hz|khz|mhz|ghz|mp|pack|pk|v|x|k|rpm|mah|"
    r"users?|pcs?|pieces?|bit|st|nd|rd|th|d|p|i|ports?|ch|way|channel|pages?|s|sets?|years?|yrs?|hours?|days?|months?)"
    r"|\d+x\d+\w*"
)


def text(value: Any) -> str:
    """The value if it is a text, else the empty text."""
    return value if isinstance(value, str) else ""


@lru_cache(1 << 16)
def fold(value: str) -> str:
    """For comparison only: NFKC, case folded, letters and digits alone."""
    return "".join(c for c in unicodedata.normalize("NFKC", value).casefold() if c.isalnum())


@lru_cache(1 << 15)
def codes(title: str) -> frozenset[str]:
    """Model numbers in a title: tokens of 4-18 characters that mix letters and digits, or runs of 5-14 digits.

    Separators are taken out, measures (`500ml`, `3x4`) are none.
    """
    found = set()
    for word in _WORD.findall(unicodedata.normalize("NFKC", title).lower()):
        token = _SEPARATORS.sub("", word)
        digits = sum(c.isdigit() for c in token)
        if not digits or _MEASURE.fullmatch(token) or re.fullmatch(r"\d+(\.\d+)+", word):
            continue
        if 4 <= len(token) <= 18 and (digits < len(token) or len(token) >= 5) and digits <= 14:
            found.add(token)
    return frozenset(found)


def same_product(title_codes: frozenset[str], gtin: Any, mpn: Any, score: float, other: Facts) -> bool:
    """Whether a neighbour is surely another offer of the same product: the same GTIN, maker's number or model number.

    Model numbers count only for close titles (score above .8) where neither names a number that the other lacks.
    """
    if gtin and gtin == other.gtin:
        return True
    if mpn and mpn == other.mpn and score > 0.6:
        return True
    return bool(score > 0.8 and title_codes and title_codes == codes(other.title))


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
