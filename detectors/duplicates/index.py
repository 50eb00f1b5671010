"""Nearest rows by inner product: exact while the catalogue is small, then proposed by cells and scored exactly.

A row has two parts, the encoder's vector and the sketch, each as whole numbers in 8 bits. A product of two parts stays
below 2**24, so float32 holds it exactly whatever the order of summation: any BLAS on any machine gives the same scores.
The 8-bit rows are the truth; what FAISS keeps is a view of them that only proposes which rows to score.

Cells are an inverted file with product-quantised codes of half or a quarter of a bit a dimension in FAISS's fast-scan
layout (Andre, Kermarrec and Le Scouarnec, Quicker ADC, 2019). Its centroids and codebook come with an epoch, the same
for every worker. Rows are only ever added to it: what it proposes is scored with the rows as they are now, so a row
that moved or went costs a place in the pool, nothing else.
"""

from __future__ import annotations

import math
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

from detectors.duplicates.epoch import FEW_ROWS, MAX_LISTS
from detectors.duplicates.kernels import add_products
from detectors.duplicates.room import grown

__all__ = [
    "FLAT_ROWS",
    "Cells",
    "InnerProducts",
    "Part",
    "RowIndex",
    "centroids_of",
    "float_inner_products",
    "lists_for",
    "probes_for",
    "quantised",
    "sample_for",
    "unit_rows",
]

FLAT_ROWS = 16_384  # products up to which an epoch has no centroids, and every search is exact
POOL = 128  # rows that a search scores exactly, of those that cells propose
_FEW_LISTS = 128
_LEAST_PROBES, _PROBES_TIMES_LISTS = 32, 3 << 16  # 48 of 4,096 lists, which hold up to a million products
_CODEBOOK_ROWS = 8192  # it is trained on
_POINTS, _ITERATIONS = 24, 4  # of the training: rows per centroid, and how often they are assigned
# Compared with a list together. FAISS has loops of their own for up to 12, which are slower by a sixth than the one for
# more; it can do 23. What it finds is the same.
_QUERIES = 22
_STEP = 128  # rows added to cells at once: what a search may have to wait for
_BLOCK = 4096  # rows turned into float32 at once

InnerProducts = Callable[[NDArray[np.int8], NDArray[np.int8]], NDArray[np.float32]]
"""Whole numbers (b, dim) and (n, dim) -> (b, n), exact below 2**24."""

# FAISS compares with its centroids by BLAS from so many queries times dimensions on, in the whole process. By default
# that is more than a batch of a hundred has, for which its own loops are much slower. The last bits of what it compares
# depend on which of the two did it: it only proposes what is scored then.
faiss.cvar.distance_compute_blas_threshold = 2048


def float_inner_products(queries: NDArray[np.int8], rows: NDArray[np.int8]) -> NDArray[np.float32]:
    """(b, n) inner products of whole numbers (b, dim) and (n, dim)."""
    product: NDArray[np.float32] = queries.astype(np.float32) @ rows.astype(np.float32).T
    return product


class Part:
    """One part of every row: whole numbers in 8 bits, and for each row sqrt(share) / length.

    The score of two rows is the sum over their parts of product * weight * weight.
    """

    def __init__(self, dim: int, share: float) -> None:
        self.dim = dim
        self._share = share
        self.values = np.zeros((0, dim), np.int8)
        self.weights = np.zeros(0, np.float32)

    def room(self, rows: int) -> None:
        """Have room for this many rows."""
        self.values, self.weights = grown(self.values, rows), grown(self.weights, rows)

    def put(self, rows: NDArray[np.intp], values: NDArray[np.int8]) -> None:
        """Set these rows."""
        self.room(int(rows.max()) + 1)
        self.values[rows] = values
        x = values.astype(np.float32)
        square = np.einsum("ij,ij->i", x, x).astype(np.float64)  # whole numbers: exact in float32
        self.weights[rows] = math.sqrt(self._share) / np.sqrt(np.where(square > 0, square, 1.0))

    def clear(self, rows: NDArray[np.intp]) -> None:
        """Make these rows all zeros."""
        self.values[rows[rows < len(self.values)]] = 0

    def taken(self, rows: NDArray[np.intp]) -> Part:
        """A copy of these rows."""
        part = Part(self.dim, self._share)
        part.values, part.weights = self.values[rows], self.weights[rows]
        return part

    def unit(self, rows: NDArray[np.intp]) -> NDArray[np.float32]:
        """(m, dim) these parts times their weights."""
        x = self.values[rows].astype(np.float32)
        x *= self.weights[rows][:, None]
        return x

    def add_products(
        self,
        queries: NDArray[np.int8],
        weights: NDArray[np.float32],
        out: NDArray[np.float32],
        inner_products: InnerProducts,
    ) -> None:
        """Add to out (b, n) the scores of whole-number queries (b, dim) with the first n rows."""
        n = min(out.shape[1], len(self.values))
        for i in range(0, n, _BLOCK):
            j = min(n, i + _BLOCK)
            product = inner_products(queries, self.values[i:j])
            product *= weights[:, None] * self.weights[i:j]
            out[:, i:j] += product

    def add_products_with(self, mine: NDArray[np.intp], others: NDArray[np.intp], out: NDArray[np.float32]) -> None:
        """Add to out (b, m) the scores of rows (b,) with others (b, m); -1e9 where that is negative."""
        queries = self.values[mine].astype(np.float32)
        add_products(self.values, self.weights, queries, self.weights[mine], others, out)


def unit_rows(*parts: Part) -> NDArray[np.float32]:
    """(n, d + s) all rows of these parts as vectors of unit length."""
    return np.hstack([part.unit(np.arange(len(part.weights))) for part in parts])


def quantised(unit: NDArray[np.float64]) -> NDArray[np.int8]:
    """(m, dim) rows in 8 bits, each divided by its largest component."""
    largest = np.abs(unit).max(axis=1, keepdims=True, initial=0.0)
    return np.rint(unit * (127.0 / np.where(largest > 0, largest, 1.0))).astype(np.int8)


def lists_for(rows: int) -> int:
    """How many centroids a catalogue of this size is given, until the next epoch."""
    return min(_FEW_LISTS if rows < FEW_ROWS else MAX_LISTS, 1 << max(4, math.floor(math.log2(8 * math.sqrt(rows)))))


def probes_for(lists: int) -> int:
    """How many lists a search looks into. Half of few costs less than as good a search among many, while they hold one
    or two hundred thousand rows. Where there are more lists, those looked into hold as many rows whatever the size of
    the catalogue.
    """
    if lists <= _FEW_LISTS:
        return min(lists, max(_LEAST_PROBES, lists // 2))
    return max(_LEAST_PROBES, _PROBES_TIMES_LISTS // lists)


def sample_for(lists: int) -> int:
    """How many rows `centroids_of` learns from; none for no lists."""
    return max(_POINTS * lists, _CODEBOOK_ROWS) if lists else 0


def centroids_of(sample: NDArray[np.float32], lists: int) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Of unit rows (m, dim): (lists, dim) centroids by spherical k-means, and a codebook, as in `Epoch`."""
    faiss.omp_set_num_threads(1)  # of this thread: beside the stream, not instead of it
    dim = sample.shape[1]
    kmeans = faiss.Kmeans(
        dim,
        lists,
        niter=_ITERATIONS,
        spherical=True,
        seed=1,
        min_points_per_centroid=1,
        max_points_per_centroid=_POINTS,
    )
    kmeans.train(sample)
    # Of fewer rows more come into the pool, so that coarser codes do.
    size = 16 if lists <= _FEW_LISTS and dim % 16 == 0 else 8
    codes = faiss.ProductQuantizer(dim, dim // size, 4)
    codes.cp.min_points_per_centroid = 1
    codes.train(sample[:: max(1, len(sample) // _CODEBOOK_ROWS)])
    codebook = faiss.vector_to_array(codes.centroids).reshape(-1, 16, size)
    return quantised(np.asarray(kmeans.centroids, np.float64)), codebook


class Cells:
    """An inverted file over given centroids, filled from the rows that wait in it.

    `work` may run on another thread than everything else. centroids, codebook: of an epoch, as `centroids_of` gives
    them. unit: rows by number -> (m, dim) unit vectors.
    """

    def __init__(
        self,
        centroids: NDArray[np.int8],
        codebook: NDArray[np.float32],
        unit: Callable[[NDArray[np.intp]], NDArray[np.float32]],
    ) -> None:
        lists, dim = centroids.shape
        x = centroids.astype(np.float32)
        x /= np.maximum(np.sqrt((x * x).sum(axis=1, keepdims=True)), 1e-9)
        coarse: Any = faiss.IndexFlatIP(dim)
        coarse.add(x)
        if faiss.get_num_gpus():  # the centroids, which are much of the work of a search; never run so far
            coarse = faiss.index_cpu_to_all_gpus(coarse)
        self._coarse = coarse  # FAISS does not own it
        index: Any = faiss.IndexIVFPQFastScan(coarse, dim, lists, len(codebook), 4, faiss.METRIC_INNER_PRODUCT)
        index.by_residual = False
        faiss.copy_array_to_vector(np.ascontiguousarray(codebook).reshape(-1), index.pq.centroids)
        index.is_trained = True
        self._index = index
        self._unit = unit
        self._waiting: deque[NDArray[np.intp]] = deque()
        self._turn, self._lock = threading.Lock(), threading.Lock()
        self.added = self._offered = 0  # rows, each of the two set on one thread at a time

    def offer(self, rows: NDArray[np.intp]) -> None:
        """Let these rows wait to be added; a row that is there already is there once more."""
        self._offered += len(rows)
        for i in range(0, len(rows), _STEP):
            self._waiting.append(rows[i : i + _STEP])

    @property
    def behind(self) -> bool:
        """Whether rows wait."""
        return bool(self._waiting)

    @property
    def steps(self) -> int:
        """How many steps of `work` wait."""
        return len(self._waiting)

    def work(self, steps: int | None = None) -> None:
        """Add the rows that wait, a few at a time, until none does. Two threads may do so together, by turns."""
        while steps is None or steps > 0:
            with self._alone():
                if not self._waiting:
                    return
                rows = self._waiting.popleft()
                threads = faiss.omp_get_max_threads()
                faiss.omp_set_num_threads(1)  # beside the stream, not instead of it
                self._index.add_with_ids(self._unit(rows), rows.astype(np.int64))
                faiss.omp_set_num_threads(threads)
                self.added += len(rows)
            steps = None if steps is None else steps - 1

    def keep_pace(self, share: float, rows: int) -> None:
        """Add what waits too long where so many rows are to be there in the end, and this share of them by now."""
        while self.behind and self._offered - self.added > (1 - share) * rows:
            self.work(1)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Hold FAISS's index. Who asks gets it before who has just had it, which a lock alone does not see to."""
        with self._turn:
            self._lock.acquire()
        try:
            yield
        finally:
            self._lock.release()

    def dump(self) -> list[NDArray[Any]]:
        """What `load` takes back; nothing where a GPU holds a part. May run on another thread."""
        if faiss.get_num_gpus():
            return []
        self.work()
        with self._alone():
            waiting = [np.zeros(0, np.intp), *self._waiting]
            return [faiss.serialize_index(self._index), np.concatenate(waiting), np.array([self.added])]

    def load(self, dumped: Sequence[NDArray[Any]]) -> None:
        """Take back what `dump` gave. Raises: ValueError."""
        index, waiting, added = dumped
        try:
            self._index = faiss.deserialize_index(index)
        except RuntimeError as error:
            raise ValueError(f"cells that do not read: {error}") from error
        self.added = self._offered = int(added[0])
        self.offer(waiting)

    def propose(self, queries: NDArray[np.float32], pool: int = POOL) -> NDArray[np.intp]:
        """(b, pool) rows near unit queries (b, dim), some of them perhaps twice; -1 for none."""
        self.work()
        with self._alone():
            self._index.nprobe = probes_for(self._index.nlist)
            self._index.qbs2 = _QUERIES
            _, rows = self._index.search(queries, pool)
        found: NDArray[np.intp] = rows.astype(np.intp, copy=False)
        return found


class RowIndex:
    """Rows by number. A row that was never put or was dropped is all zeros; callers hide it.

    dense, sketch: the two parts. cells: None while every search is exact. inner_products: for processors that have a
    faster way than float32; it must be exact.
    """

    def __init__(self, dense: Part, sketch: Part, inner_products: InnerProducts | None = None) -> None:
        self.dense, self.sketch = dense, sketch
        self._inner_products = inner_products or float_inner_products
        self.cells: Cells | None = None
        self._n = 0

    def __len__(self) -> int:
        return self._n

    @property
    def exact(self) -> bool:
        """Whether a search looks at every row."""
        return self.cells is None

    def put(self, rows: NDArray[np.intp], dense: NDArray[np.int8], sketches: NDArray[np.int8]) -> None:
        """Set these rows."""
        if len(rows) == 0:
            return
        self._n = max(self._n, int(rows.max()) + 1)
        self.dense.put(rows, dense)
        self.sketch.put(rows, sketches)
        if self.cells is not None:
            self.cells.offer(rows)

    def resize(self, rows: int) -> None:
        """Have this many rows, whose parts were set from outside."""
        self._n = rows
        self.dense.room(rows)
        self.sketch.room(rows)

    def drop(self, rows: NDArray[np.intp]) -> None:
        """Forget these rows."""
        self.dense.clear(rows)
        self.sketch.clear(rows)

    def products(self, rows: NDArray[np.intp], before: Part | None = None) -> NDArray[np.float32]:
        """(b, n) scores of these rows with every row. before: the sketches to use instead."""
        sketch = self.sketch if before is None else before
        out = np.zeros((len(rows), self._n), np.float32)
        for part in (self.dense, sketch):
            part.add_products(part.values[rows], part.weights[rows], out, self._inner_products)
        return out

    def propose(
        self, rows: NDArray[np.intp], cells: Cells, before: Part | None = None
    ) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
        """(b, pool) rows near these rows, as `Cells.propose` gives them, and their scores. before: the sketches to use
        instead.
        """
        found = cells.propose(self.unit(rows, before))
        return found, self.scores(rows, found, before)

    def scores(
        self, rows: NDArray[np.intp], others: NDArray[np.intp], before: Part | None = None
    ) -> NDArray[np.float32]:
        """(b, m) scores of these rows with others (b, m); -1e9 where that is negative."""
        if before is not None:
            before.room(self._n)
        out = np.zeros(others.shape, np.float32)
        for part in (self.dense, self.sketch if before is None else before):
            part.add_products_with(rows, others, out)
        return out

    def unit(self, rows: NDArray[np.intp], sketch: Part | None = None) -> NDArray[np.float32]:
        """(m, dim) the one vector of each row, of unit length. sketch: the sketches to use instead."""
        return np.hstack((self.dense.unit(rows), (sketch or self.sketch).unit(rows)))
