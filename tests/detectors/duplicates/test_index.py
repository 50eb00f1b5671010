from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors.duplicates.index import SCALE, RowIndex, best


@settings(deadline=None, max_examples=60)
@given(st.integers(1, 4), st.integers(1, 700), st.integers(1, 30), st.integers(0, 2**32 - 1))
def test_best_are_the_largest_and_ties_go_to_the_first_ranked(b: int, n: int, k: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    scores = rng.integers(0, 40, (b, n)).astype(np.float32)
    rank = rng.permuted(np.tile(np.arange(n), (b, 1)), axis=1)
    got = np.sort(best(scores, k, lambda line, tied: tied[np.argsort(rank[line, tied])]), axis=1)
    want = np.sort(np.lexsort((rank, -scores))[:, :k], axis=1)
    np.testing.assert_array_equal(got, want)


def test_products_are_exact_whole_numbers() -> None:
    rng = np.random.default_rng(3)
    x = rng.standard_normal((300, 512))
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    index = RowIndex(512)
    index.put(np.arange(300), x)
    got = index.products(index.rows(np.arange(300)))
    whole = np.rint(x * SCALE).astype(np.int64)
    np.testing.assert_array_equal(got.astype(np.int64), whole @ whole.T)
    np.testing.assert_array_equal(got[7], index.products(index.rows(np.array([7])))[0])


def test_beyond_the_flat_rows_the_scores_stay_exact() -> None:
    rng = np.random.default_rng(4)
    centre = rng.standard_normal((500, 64))
    x = np.repeat(centre, 4, axis=0) + 0.2 * rng.standard_normal((2000, 64))
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    index = RowIndex(64, flat_rows=1000)
    for i in range(0, 2000, 250):
        index.put(np.arange(i, i + 250), x[i : i + 250])
    assert not index.exact
    index.drop(5)
    queries = index.rows(np.arange(0, 2000, 40))
    rows, scores = index.propose(queries)
    exact = index.products(queries)
    hit = 0
    for line, row, score, true in zip(range(50), rows, scores, exact, strict=True):
        np.testing.assert_array_equal(score[row >= 0], true[row[row >= 0]])
        hit += len(set(np.argsort(-true)[:4].tolist()) & set(row.tolist()))
        assert 5 not in row or line != 0
    assert hit >= 190
