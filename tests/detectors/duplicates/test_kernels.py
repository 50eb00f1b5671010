"""Compiled loops against the same in numpy or plain Python."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors.duplicates import kernels
from detectors.duplicates.kernels import add_products, looked_through, nearest


@settings(deadline=None, max_examples=100)
@given(
    st.integers(1, 4), st.integers(1, 60), st.integers(1, 12), st.booleans(), st.booleans(), st.integers(0, 2**32 - 1)
)
def test_nearest_are_the_best_of_those_that_may_be_found(
    b: int, m: int, k: int, others_only: bool, all_rows: bool, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    n = 30
    columns = rng.integers(-1, n, (b, m))
    rows, limit, visible = rng.integers(0, n, b), rng.integers(0, 40, b), rng.integers(0, 30, n)
    source, first_seen = rng.integers(0, 4, n).astype(np.int32), rng.integers(0, 3, n)
    digest = rng.permutation(n)
    score_of = rng.integers(0, 8, (b, n)).astype(np.float32)
    score_of[rng.random((b, n)) < 0.1] = -1e9
    if all_rows:
        columns = np.arange(n)[None]
    lines = np.broadcast_to(columns, (b, columns.shape[1]))
    scores = np.take_along_axis(score_of, np.maximum(lines, 0), axis=1)
    found, near = np.full((b, k), -1), np.full((b, k), -1, np.float32)
    nearest(columns, scores, rows, limit, visible, source, others_only, first_seen, digest, found, near)
    for i, row in enumerate(rows.tolist()):
        may = [
            (-float(score_of[i, c]), first_seen[c], digest[c], c)
            for c in {*lines[i].tolist()}
            if c >= 0
            and c != row
            and visible[c] < limit[i]
            and score_of[i, c] > -1e9
            and not (others_only and source[c] == source[row])
        ]
        want = sorted(may)[:k]
        assert found[i].tolist() == [c for *_, c in want] + [-1] * (k - len(want))
        assert near[i].tolist() == [-score for score, *_ in want] + [-1] * (k - len(want))


def test_products_are_exact_where_whole_numbers_are_largest() -> None:
    rng = np.random.default_rng(1)
    values = rng.integers(-127, 128, (50, 384), dtype=np.int8)
    values[:2] = 127
    weights = rng.random(50).astype(np.float32)
    mine, others = np.array([0, 1, 7]), np.array([[0, 1, 2, -1], [0, 1, 2, 3], [9, -1, 7, 8]])
    out = np.ones((3, 4), np.float32)
    add_products(values, weights, values[mine].astype(np.float32), weights[mine], others, out)
    whole = np.einsum("id,ijd->ij", values[mine].astype(np.int64), values[others].astype(np.int64))
    want = 1 + whole.astype(np.float32) * (weights[mine][:, None] * weights[others])
    np.testing.assert_array_equal(out, np.where(others < 0, np.float32(-1e9), want))


def test_where_nothing_can_be_kept_they_are_compiled_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """As where neither the installation nor the home is writable: Numba then raises what it raises here."""
    real = kernels.njit

    def nowhere(*arguments: object, **options: object) -> object:
        if options.pop("cache", False):
            raise RuntimeError("cannot cache function: no locator available")
        return real(*arguments, **options)

    monkeypatch.setattr(kernels, "njit", nowhere)

    def doubled(x: int) -> int:
        return 2 * x

    made = kernels._compiled(kernels.types.int64)(doubled)
    assert made is not doubled
    assert made(21) == 42


def test_what_is_not_there_is_an_error_or_none() -> None:
    """Never a read beyond an array."""
    values, weights, out = np.ones((3, 8), np.int8), np.ones(3, np.float32), np.zeros((1, 3), np.float32)
    add_products(values, weights, np.ones((1, 8), np.float32), weights[:1], np.array([[2, 3, -1]]), out)
    assert out.tolist() == [[8, -1e9, -1e9]]
    with pytest.raises(IndexError):
        looked_through(np.zeros(8, np.uint8), np.array([8, 8]))
    with pytest.raises(IndexError):
        looked_through(np.array([200, 0, 0, 0, 0, 0, 0, 0], np.uint8), np.array([8]))
