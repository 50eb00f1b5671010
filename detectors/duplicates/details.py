"""Details: what else a trained matcher looks at in a pair of products. The rule does without them.

Most say what the features leave open: whether the prices, a brand or a version are known at all, how much both titles
say, and whether they say it in the same order.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from detectors.duplicates.evidence import EvidenceRows
from detectors.duplicates.features import STEP
from detectors.duplicates.words import GROUPS, WORD_MASK

__all__ = ["DETAILS", "pair_details"]

DETAILS = (
    "words_fewest",  # of the two titles
    "words_most",
    "weight_least",  # of all words of a title, in units of ln(products / products that say it)
    "weight_most",
    "shared_words",
    "cosine",  # of the words, each by its weight
    "first_word",  # both titles begin alike
    "run",  # the longest run of words that both say, as a share of the shorter title
    "versions_same",  # how many versions both name
    "years_same",
    *(f"{group}_same" for group in GROUPS),  # how much both name
    "brand_named",  # the brand of one is that of the other, or stands in its title; NaN where neither has one
    "codes_fewest",  # model codes of the two
    "codes_most",
    "prices_known",  # 0, 1 or 2
    "dense",  # likeness of the encoder's vectors alone
)


def pair_details(
    evidence: EvidenceRows,
    rows: NDArray[np.intp],
    candidates: NDArray[np.intp],
    dense: NDArray[np.float32],
    weights: NDArray[np.uint8],
    epoch: NDArray[np.intp],
) -> NDArray[np.float64]:
    """(b, k, len(DETAILS)) of rows (b,) against candidates (b, k), -1 for none; zeros where there is none.

    dense: (b, k). weights, epoch: as in `pair_features`.
    """
    there = (candidates >= 0) & (rows >= 0)[:, None]
    i, j = np.nonzero(there)
    a, b = evidence.parsed(rows[i]), evidence.parsed(candidates[i, j])
    x, y = a.tokens, b.tokens
    width = max(1, int(((x != 0) | (y != 0)).sum(axis=1).max(initial=1)))
    x, y = x[:, :width], y[:, :width]
    same = (x[:, :, None] == y[:, None, :]) & (x != 0)[:, :, None]
    of = weights[epoch[i][:, None], np.stack((x, y)) & WORD_MASK].astype(np.int64) * (np.stack((x, y)) != 0)
    words_x, words_y = (x != 0).sum(axis=1), (y != 0).sum(axis=1)
    heavy_x, heavy_y = of.sum(axis=2)
    both = same.any(axis=2)
    length = np.sqrt(((of[0] ** 2).sum(axis=1) * (of[1] ** 2).sum(axis=1)).astype(np.float64))
    fewest = np.minimum(words_x, words_y)
    alike = (a.numbers[:, :, None] == b.numbers[:, None, :]).any(axis=2) & (a.numbers != 0)
    branded_a, branded_b = a.brand != 0, b.brand != 0
    named = (a.brand == b.brand) | (branded_a & (y == a.brand[:, None]).any(axis=1))
    named |= branded_b & (x == b.brand[:, None]).any(axis=1)
    columns: list[NDArray[np.generic]] = [
        fewest,
        np.maximum(words_x, words_y),
        np.minimum(heavy_x, heavy_y) / 16,
        np.maximum(heavy_x, heavy_y) / 16,
        both.sum(axis=1),
        (of[0] ** 2 * both).sum(axis=1) / np.maximum(length, 1),
        (x[:, 0] == y[:, 0]) & (x[:, 0] != 0),
        _longest_run(same) / np.maximum(fewest, 1),
        (alike & ((a.numbers & 1) == 0)).sum(axis=1),
        (alike & ((a.numbers & 1) == 1)).sum(axis=1),
        *np.bitwise_count(a.traits & b.traits).T,
        np.where(branded_a | branded_b, named, np.nan),
        np.minimum(a.codes, b.codes),
        np.maximum(a.codes, b.codes),
        a.priced.astype(np.intp) + b.priced,
        dense[i, j],
    ]
    values = np.zeros((*there.shape, len(DETAILS)))
    values[i, j] = np.rint(np.stack([np.asarray(column, np.float64) for column in columns], axis=1) * STEP) / STEP
    return values


def _longest_run(same: NDArray[np.bool_]) -> NDArray[np.intp]:
    """(p,) the most words that follow one another in both titles. same: (p, words, words)."""
    run = np.zeros((len(same), same.shape[2] + 1), np.intp)  # that ends at each word of the second title
    longest = np.zeros(len(same), np.intp)
    for word in range(same.shape[1]):
        run[:, 1:] = np.where(same[:, word], run[:, :-1] + 1, 0)
        longest = np.maximum(longest, run.max(axis=1))
    return longest
