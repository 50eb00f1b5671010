"""Nearest rows by inner product, exact while the catalogue is small.

Rows are whole numbers: unit vectors times `SCALE`, rounded. Every partial sum of a product of two rows stays below
2**24, so float32 holds it exactly whatever the order of summation: any BLAS on any machine gives the same scores.
Up to `FLAT_ROWS` rows the search is exact. Beyond that FAISS (IVF with 8-bit rows, trained anew in place at each
fourfold growth) proposes candidates, whose scores are then computed from the same whole numbers: scores stay exact,
but which candidates are proposed can differ between workers for a few records in a thousand.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import faiss
import numpy as np
from numpy.typing import NDArray

__all__ = ["FLAT_ROWS", "SCALE", "RowIndex"]

SCALE = 4000
FLAT_ROWS = 50_000
_NPROBE = 16
_POOL = 100
_NONE = np.float32(-1e9)


class RowIndex:
    """Rows by number. A row that was never put or was dropped is all zeros; callers hide it by `hidden`."""

    def __init__(self, dim: int, *, flat_rows: int = FLAT_ROWS) -> None:
        self.dim = dim
        self._flat_rows = flat_rows
        self._rows = np.zeros((0, dim), np.float32)
        self._n = 0
        self._ivf: faiss.Index | None = None
        self._retrain_at = flat_rows

    def __len__(self) -> int:
        return self._n

    def put(self, rows: NDArray[np.intp], vectors: NDArray[np.float64]) -> None:
        """Set these rows to these vectors, (m, dim) of length at most 1."""
        if len(rows) == 0:
            return
        top = int(rows.max()) + 1
        if top > len(self._rows):
            grown = np.zeros((max(1024, top + top // 2), self.dim), np.float32)
            grown[: self._n] = self._rows[: self._n]
            self._rows = grown
        self._n = max(self._n, top)
        self._rows[rows] = np.rint(vectors * SCALE)
        if self._ivf is not None:
            self._ivf.remove_ids(faiss.IDSelectorBatch(rows.astype(np.int64)))
            self._ivf.add_with_ids(self._rows[rows] / np.float32(SCALE), rows.astype(np.int64))
        if self._n > self._retrain_at:
            self.retrain()

    def drop(self, row: int) -> None:
        """Forget this row."""
        self._rows[row] = 0
        if self._ivf is not None:
            self._ivf.remove_ids(faiss.IDSelectorBatch(np.array([row], np.int64)))

    def retrain(self) -> None:
        """Build the IVF index from the rows, if there are enough of them."""
        if self._n <= self._flat_rows:
            return
        lists = 1 << round(math.log2(4 * math.sqrt(self._n)))
        index = faiss.IndexIVFScalarQuantizer(
            faiss.IndexFlatIP(self.dim), self.dim, lists, faiss.ScalarQuantizer.QT_8bit, faiss.METRIC_INNER_PRODUCT
        )
        index.cp.niter, index.cp.max_points_per_centroid, index.cp.spherical, index.cp.seed = 6, 40, True, 1
        rng = np.random.default_rng(1)
        sample = np.sort(rng.choice(self._n, min(self._n, 40 * lists), replace=False))
        index.train(self._rows[sample] / np.float32(SCALE))
        for i in range(0, self._n, 8192):
            ids = np.arange(i, min(self._n, i + 8192))
            index.add_with_ids(self._rows[ids] / np.float32(SCALE), ids.astype(np.int64))
        index.nprobe = _NPROBE
        self._ivf, self._retrain_at = index, 4 * self._n

    def rows(self, rows: NDArray[np.intp]) -> NDArray[np.float32]:
        """These rows as they are stored: whole numbers."""
        return self._rows[rows]

    def products(self, queries: NDArray[np.float32]) -> NDArray[np.float32]:
        """(b, rows) inner products of stored-form queries with every row."""
        return np.asarray(queries @ self._rows[: self._n].T)

    @property
    def exact(self) -> bool:
        """Whether a search looks at every row."""
        return self._ivf is None

    def propose(self, queries: NDArray[np.float32]) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
        """Beyond `FLAT_ROWS`: (b, pool) rows, -1 for none, and their inner products."""
        assert self._ivf is not None
        _, rows = self._ivf.search(queries / np.float32(SCALE), _POOL)
        scores = np.matmul(self._rows[np.maximum(rows, 0)], queries[:, :, None])[:, :, 0]
        return rows.astype(np.intp), np.where(rows >= 0, scores, _NONE)


def best(
    scores: NDArray[np.float32], k: int, ranked: Callable[[int, NDArray[np.intp]], NDArray[np.intp]]
) -> NDArray[np.intp]:
    """(b, min(k, n)) columns of the largest scores of each line, not sorted.

    ranked: (line, columns of one score) -> the same columns, those first that are to be taken first. Asked only where
    not all of them fit; not for scores at or below -1e9, which stand for none.

    Maxima of blocks first: what is among the best k lies in one of the k best blocks.
    """
    b, n = scores.shape
    if n <= k:
        return np.broadcast_to(np.arange(n), scores.shape).copy()
    block = 32
    if n <= 8 * k or n <= 4 * block:
        chosen, kth, tied = _top(scores, k)
    else:
        whole = n // block * block
        maxima = scores[:, :whole].reshape(b, -1, block).max(axis=2)
        blocks, _, _ = _top(maxima, k)
        columns = (blocks[:, :, None] * block + np.arange(block)).reshape(b, -1)
        columns = np.hstack((columns, np.broadcast_to(np.arange(whole, n), (b, n - whole))))
        within, kth, tied = _top(np.take_along_axis(scores, columns, axis=1), k)
        chosen = np.take_along_axis(columns, within, axis=1)
        tied |= (maxima >= kth).sum(axis=1) > k  # the k-th score stands in a block that was left out, too
    for line in np.flatnonzero(tied & (kth[:, 0] > _NONE)).tolist():
        above, equal = np.flatnonzero(scores[line] > kth[line]), np.flatnonzero(scores[line] == kth[line])
        chosen[line] = np.concatenate((above, ranked(line, equal)[: k - len(above)]))
    return chosen


def _top(scores: NDArray[np.float32], k: int) -> tuple[NDArray[np.intp], NDArray[np.float32], NDArray[np.bool_]]:
    """Of each line k columns of the largest scores, the k-th score (b, 1), and whether more than k reach it."""
    n = scores.shape[1]
    if n <= k:
        chosen = np.broadcast_to(np.arange(n), scores.shape).copy()
    else:
        chosen = np.argpartition(scores, n - k, axis=1)[:, n - k :]
    kth = np.take_along_axis(scores, chosen, axis=1).min(axis=1, keepdims=True)
    return chosen, kth, (scores >= kth).sum(axis=1) > k
