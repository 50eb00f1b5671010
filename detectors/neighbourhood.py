"""What several detectors read from the neighbours of a product."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from detectors.contract.model import Role
from detectors.duplicates.codes import codes_of
from detectors.duplicates.entry import TITLE_CHARS
from detectors.records import Batch, Facts, Neighbour
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


def same_product(batch: Batch, asked: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Which neighbours are surely other offers of the same product: the same GTIN, maker's number or model number.

    Model numbers count only for close titles (score above `CLOSE`) where neither names a number that the other lacks.
    asked: (n, k), the neighbours in question. Returns (n, k).
    """
    assert batch.neighbours is not None
    facts, places = batch.neighbours.distinct
    scores = batch.neighbours.scores.astype(np.float64)
    found = _shared(batch.column(Role.GTIN), [other.gtin for other in facts], places)
    found |= _shared(batch.column(Role.MPN), [other.mpn for other in facts], places) & (scores > 0.6)
    close = asked & ~found & (scores > CLOSE)
    in_question = set(np.flatnonzero(close.any(axis=1)).tolist())
    titles = enumerate(batch.column(Role.TITLE))
    ours = [codes(text(title)) if row in in_question else None for row, title in titles]
    theirs: list[frozenset[str] | None] = [None] * len(facts)
    for place in np.unique(places[close]).tolist():
        theirs[place] = codes(facts[place].title)
    return asked & (found | (close & _shared(ours, theirs, places)))


def _shared(ours: Sequence[Any], theirs: Sequence[Hashable], places: NDArray[np.intp]) -> NDArray[np.bool_]:
    """(n, k) where a record's value is its neighbour's. ours: (n,); what is empty or no text or set is nobody's.

    theirs: of the distinct products. places: of (n, k) neighbours among them, -1 for none.
    """
    number: dict[Hashable, int] = {}
    usable = (value if isinstance(value, str | frozenset) else None for value in ours)
    mine = np.array([number.setdefault(value, len(number) + 1) if value else 0 for value in usable], np.intp)
    if not number:
        return np.zeros(places.shape, np.bool_)
    yours = np.array([number.get(value, 0) for value in theirs] + [0], np.intp)[places]
    return np.asarray((mine[:, None] == yours) & (yours > 0))


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
