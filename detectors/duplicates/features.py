"""Features: what is compared of two products, each a number with a name.

A title says what a product is, in words of very different weight. So words count by how rare they are in the catalogue
(the weights of the epoch, the same for every worker), and a word also counts as said where it stands inside the other
product's text: `printshop` and `print shop`, or a size that one shop puts into the title and the other into the
description. What matters most is the share of the shorter title that the other one says too: one shop may say more
than another, but where each says what the other does not, they sell different things.

All values are multiples of 1/1024, so that sums over them are exact in whatever order they are added.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from detectors.duplicates.evidence import Comparison, EvidenceRows
from detectors.duplicates.words import GROUPS

__all__ = ["FEATURES", "MOST_PRICE", "PairFeatures", "pair_features"]

STEP = 1024
MOST_PRICE = 3.0

FEATURES = (
    "similarity",  # of the two vectors, 0-1
    "contained",  # share of the lighter title that the other product says too, by the weight of its words
    "overlap",  # words that both say, as a share of all that either says
    "shared_weight",  # of what both say, in units of ln(products / products that say it)
    "own_least",  # weight of what only one of them says, of the one that says less of its own
    "own_most",  # the same of the other one
    "own_rarest",  # the rarest word that only one says, of the one whose rarest is more common
    "exchanged",  # the titles are the same but for few words that stand for others
    "code_shared",  # a model code is equal, or one stands inside the other's text
    "code_equal",
    "code_conflict",  # both have model codes, none agrees
    "code_left",  # both have a code that the other does not know, though another agrees
    "code_stem",  # codes differ in a few letters at the end only, where colours and countries stand
    "mpn_conflict",
    "gtin_same",
    "gtin_conflict",
    "units",  # kinds of amounts and colours that both state with no common value
    "price",  # |ln price ratio|, at most `MOST_PRICE`
    "version_conflict",  # both name versions, none agrees
    "version_missing",  # one alone names a version
    "year_conflict",
    "year_missing",
    "numbers_left",  # each has a bare number that the other has not
    *(f"{group}_{what}" for group in GROUPS for what in ("conflict", "differs")),
    "brand_conflict",
    "same_text",
)


@dataclass(frozen=True, slots=True)
class PairFeatures:
    """there: (b, k), where there is a candidate. values: (b, k, len(FEATURES)) float64; zeros where there is none."""

    there: NDArray[np.bool_]
    values: NDArray[np.float64]

    @property
    def named(self) -> NDArray[np.bool_]:
        """(b, k) where a code or GTIN speaks, or the text is the same, so that other words do not matter."""
        return (self.of("code_shared") + self.of("gtin_same") + self.of("same_text")) > 0

    def of(self, name: str) -> NDArray[np.float64]:
        """(b, k), one feature."""
        column: NDArray[np.float64] = self.values[:, :, FEATURES.index(name)]
        return column


def pair_features(
    evidence: EvidenceRows,
    rows: NDArray[np.intp],
    candidates: NDArray[np.intp],
    similarity: NDArray[np.float32],
    comparison: Comparison,
    weights: NDArray[np.uint8],
    epoch: NDArray[np.intp],
) -> PairFeatures:
    """rows (b,) against candidates (b, k), -1 for none. comparison: of the same.

    weights: (epochs, buckets) of words. epoch: (b,) which of them holds for a row.
    """
    there = (candidates >= 0) & (rows >= 0)[:, None]
    i, j = np.nonzero(there)
    a, b = rows[i], candidates[i, j]
    c = comparison
    said = evidence.said_of_both(a, b, weights, epoch[i], c.searched)
    total = said.shared + said.own_a + said.own_b
    least, most = np.minimum(said.own_a, said.own_b), np.maximum(said.own_a, said.own_b)
    columns: list[NDArray[np.generic]] = [
        similarity[i, j],
        said.shared / np.maximum(said.shared + least, 1),
        said.shared / np.maximum(total, 1),
        said.shared / 16,
        least / 16,
        most / 16,
        np.minimum(said.rarest_a, said.rarest_b) / 16,
        said.exchanged,
        c.code_in[i, j],
        c.code_equal[i, j],
        c.code_conflict[i, j],
        c.code_left[i, j] & ~c.code_conflict[i, j],
        c.code_stem[i, j] & ~c.code_in[i, j],
        c.mpn[i, j] < 0,
        c.gtin[i, j] > 0,
        c.gtin[i, j] < 0,
        c.units[i, j],
        np.minimum(c.price[i, j], MOST_PRICE),
        *evidence.names_of_both(a, b).T,  # version_conflict to brand_conflict, in the order of `FEATURES`
        c.same_text[i, j],
    ]
    values = np.zeros((*there.shape, len(FEATURES)))
    values[i, j] = np.rint(np.stack([np.asarray(column, np.float64) for column in columns], axis=1) * STEP) / STEP
    return PairFeatures(there, values)
