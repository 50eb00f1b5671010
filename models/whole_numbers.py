"""Inner products of whole numbers in 8 bits by instructions of the processor, where it has them and they are exact.

With VNNI or its like they take a fraction of the time of float32. torch has no public name for this multiplication
(`torch._int_mm`, as torchao uses it), and on processors without those instructions what computes it may cut off what
does not fit in 16 bits. So it is tried before it is used, and whoever asks has another way.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import structlog
import torch
from numpy.typing import NDArray

from detectors.duplicates.index import InnerProducts, float_inner_products
from models.threads import one_thread

__all__ = ["exact_inner_products"]

log = structlog.get_logger(__name__)

_ROWS, _QUERIES, _DIM = 4096, 64, 256
_ROUNDS = 3


def exact_inner_products() -> InnerProducts | None:
    """By such instructions; None where they are not exact or not faster than float32. Takes about .1 s."""
    try:
        refused = _refused(_int_inner_products)
    except (AttributeError, RuntimeError, TypeError) as error:  # another torch, another processor
        refused = type(error).__name__
    if refused:
        log.info("whole_numbers.in_float32", reason=refused)
        return None
    return _int_inner_products


def _int_inner_products(queries: NDArray[np.int8], rows: NDArray[np.int8]) -> NDArray[np.float32]:
    multiply: Any = torch._int_mm  # type: ignore[no-untyped-call,unused-ignore]
    with one_thread():  # it works for the stream, and the other cores have their own work
        product = multiply(torch.from_numpy(queries), torch.from_numpy(rows).T).numpy()
    return np.asarray(product, np.float32)


def _refused(inner_products: InnerProducts) -> str:
    """Why they are not to be used; empty where they are."""
    rng = np.random.default_rng(0)
    queries, rows = (rng.integers(-127, 128, (n, _DIM)).astype(np.int8) for n in (_QUERIES, _ROWS))
    # Numbers as large as they can be, of one sign and of both: there sums are cut off first.
    queries[0], queries[1], queries[2, ::2] = 127, -127, 127
    rows[0], rows[1], rows[2, 1::2] = 127, -127, -127
    there, here = _seconds(float_inner_products, queries, rows), _seconds(inner_products, queries, rows)
    exact = np.array_equal(inner_products(queries, rows), queries.astype(np.int64) @ rows.astype(np.int64).T)
    return "not exact" if not exact else "not faster" if here >= there else ""


def _seconds(inner_products: InnerProducts, queries: NDArray[np.int8], rows: NDArray[np.int8]) -> float:
    taken = []
    for _ in range(_ROUNDS):
        began = time.perf_counter()
        inner_products(queries, rows)
        taken.append(time.perf_counter() - began)
    return min(taken)
