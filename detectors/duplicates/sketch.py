"""Sketch of a title: signed feature hashing of its grams.

All arithmetic is on integers until one division by the norm, so every machine gets the same bits.
Source: Weinberger et al., Feature Hashing for Large Scale Multitask Learning (2009).
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from detectors.duplicates.grams import BASE, BUCKETS, GramCounts, mixed
from detectors.duplicates.kernels import summed

__all__ = ["SKETCH_DIM", "document_weights", "flat_weights", "sketch"]

SKETCH_DIM = 256
_STEPS = 16  # weights are sixteenths

_spread = mixed(np.arange(7, 7 + BUCKETS, dtype=np.uint64) * np.uint64(BASE))
_COLUMN = (_spread % np.uint64(SKETCH_DIM)).astype(np.uint16)
_SIGN = np.where(_spread >> np.uint64(63), 1, -1).astype(np.int8)
del _spread
# round(16 (1 + ln tf)), the weight of a gram that stands tf times in a title
_TF = np.array([0] + [round(_STEPS * (1 + math.log(tf))) for tf in range(1, 256)], np.int64)


def sketch(counts: GramCounts, weights: NDArray[np.uint8]) -> NDArray[np.float64]:
    """(n, SKETCH_DIM) unit rows (zero for a text without a gram), the same bits on every machine.

    weights: (BUCKETS,) uint8, of an epoch.
    """
    z = summed(counts.bucket, counts.row, counts.times, weights, _TF, _COLUMN, _SIGN, counts.n, SKETCH_DIM)
    norm = np.sqrt((z * z).sum(axis=1))  # sums of integers below 2**53: exact in whatever order
    z /= np.where(norm > 0, norm, 1.0)[:, None]
    return z


def flat_weights() -> NDArray[np.uint8]:
    """Equal weights, for the time before the first epoch: that of a gram that one text in 150 has."""
    return np.full(BUCKETS, 5 * _STEPS, np.uint8)


def document_weights(frequencies: NDArray[np.int32], n: int) -> NDArray[np.uint8]:
    """(BUCKETS,) weights from document frequencies among n texts: sixteenths of log((n + 20) / (df + 1))."""
    idf = math.log(n + 20) - np.log(frequencies + 1.0)
    weights: NDArray[np.uint8] = np.clip(np.rint(idf * _STEPS), 1, 255).astype(np.uint8)
    return weights
