from __future__ import annotations

import threading
import time

import numpy as np
import pytest

from detectors.duplicates.index import Cells, Part, RowIndex, centroids_of, lists_for, probes_for, quantised
from detectors.duplicates.room import grown


def _index(x: np.ndarray, y: np.ndarray) -> RowIndex:
    index = RowIndex(Part(x.shape[1], 0.3), Part(y.shape[1], 0.7))
    index.put(np.arange(len(x)), quantised(x), quantised(y))
    return index


def test_scores_are_cosines_and_the_same_bits_however_they_are_asked() -> None:
    rng = np.random.default_rng(3)
    x, y = rng.standard_normal((300, 256)), rng.standard_normal((300, 256))
    index = _index(x, y)
    got = index.products(np.arange(300))
    assert got.dtype == np.float32
    unit = [
        z / np.linalg.norm(z, axis=1, keepdims=True) for z in (quantised(x).astype(float), quantised(y).astype(float))
    ]
    np.testing.assert_allclose(got, 0.3 * unit[0] @ unit[0].T + 0.7 * unit[1] @ unit[1].T, atol=1e-6)
    np.testing.assert_array_equal(got, got.T)
    np.testing.assert_array_equal(got[7], index.products(np.array([7]))[0])
    others = rng.integers(-1, 300, (300, 9))
    scores = index.scores(np.arange(300), others)
    want = np.take_along_axis(got, np.maximum(others, 0), axis=1)
    np.testing.assert_array_equal(scores, np.where(others < 0, np.float32(-1e9), want))


def test_dropped_rows_are_like_nothing() -> None:
    rng = np.random.default_rng(3)
    index = _index(rng.standard_normal((5, 8)), rng.standard_normal((5, 8)))
    index.drop(np.array([2]))
    products = index.products(np.array([1]))
    assert products[0, 2] == 0
    assert products[0, 1] == pytest.approx(1)


def _crowd(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """500 groups of four rows that are near each other."""
    rng = np.random.default_rng(seed)
    x, y = (np.repeat(rng.standard_normal((500, 32)), 4, axis=0) for _ in range(2))
    return x + 0.2 * rng.standard_normal(x.shape), y + 0.2 * rng.standard_normal(y.shape)


def test_cells_propose_what_is_near() -> None:
    x, y = _crowd(4)
    index = _index(x, y)
    rows = np.arange(2000)
    cells = Cells(*centroids_of(index.unit(rows), 64), index.unit)
    cells.offer(rows)
    cells.work(1)
    assert cells.behind
    worker = threading.Thread(target=cells.work)
    worker.start()
    index.cells = cells
    asked = np.arange(0, 2000, 40)
    found, scores = index.propose(asked, cells)
    worker.join()
    assert cells.added == 2000
    exact = index.products(asked)
    hit = 0
    for line, row, score, true in zip(asked, found, scores, exact, strict=True):
        np.testing.assert_array_equal(score[row >= 0], true[row[row >= 0]])
        hit += len(set(range(line // 4 * 4, line // 4 * 4 + 4)) & set(row.tolist()))
    assert hit >= 195


def test_who_asks_for_cells_waits_for_one_step_of_whoever_fills_them() -> None:
    x, y = _crowd(6)
    index = _index(x, y)
    begun, asked = threading.Event(), threading.Event()
    done: list[int] = []

    def unit(rows: np.ndarray) -> np.ndarray:
        begun.set()
        asked.wait(10)
        done.append(threading.get_ident())
        return index.unit(rows)

    cells = Cells(*centroids_of(index.unit(np.arange(2000)), 64), unit)
    cells.offer(np.arange(2000))
    beside = threading.Thread(target=cells.work)
    beside.start()
    assert begun.wait(10)
    mine = threading.Thread(target=lambda: cells.work(1))
    mine.start()
    deadline = time.monotonic() + 10
    while not cells._turn.locked() and time.monotonic() < deadline:
        pass
    asked.set()
    mine.join()
    beside.join()
    assert done.index(mine.ident or 0) == 1
    assert cells.added == 2000


def test_a_row_that_moved_is_scored_as_it_is() -> None:
    x, y = _crowd(5)
    index = _index(x, y)
    rows = np.arange(2000)
    index.cells = Cells(*centroids_of(index.unit(rows), 64), index.unit)
    index.cells.offer(rows)
    x[9], y[9] = x[1000], y[1000]
    for _ in range(3):
        index.put(np.array([9]), quantised(x[9:10]), quantised(y[9:10]))
    found, scores = index.propose(np.array([1000, 8]), index.cells)
    assert (found[0] == 9).any()
    np.testing.assert_allclose(scores[0][found[0] == 9], 1, rtol=1e-6)
    assert all(scores[1][found[1] == 9] < 0.5)


def test_cells_are_filled_by_whoever_waits_only_where_they_are_late() -> None:
    x, y = _crowd(5)
    index = _index(x, y)
    rows = np.arange(1280)
    cells = Cells(*centroids_of(index.unit(rows), 32), index.unit)
    cells.offer(rows)
    waiting = []
    for share in (0, 0.25, 0.5, 0.3, 1):
        cells.keep_pace(share, len(rows))
        waiting.append(cells.steps)
    assert waiting == [10, 7, 5, 5, 0]
    assert cells.added == 1280


def test_room_is_given_ahead() -> None:
    array = grown(np.zeros((0, 3), np.int8), 5)
    array[4] = 7
    wider = grown(array, 9_000)
    assert len(array) == 1024
    assert len(wider) == 1 << 22
    assert len(grown(wider, 5_000_000)) == 10_000_000
    assert wider[4].tolist() == [7, 7, 7]
    assert not wider[5:2000].any()


def test_sketches_of_before_are_given_no_room_beyond_the_rows() -> None:
    rng = np.random.default_rng(3)
    index = _index(rng.standard_normal((300, 16)), rng.standard_normal((300, 16)))
    before = index.sketch.taken(np.arange(200))
    index.sketch.room(100_000)  # of which nobody knows how much is rows
    index.scores(np.arange(2), np.full((2, 1), 250), before)
    assert 300 <= len(before.values) <= 1024


def test_lists_grow_with_the_catalogue_up_to_what_an_epoch_may_bring() -> None:
    sizes = (16, 16_384, 65_535, 65_536, 262_144, 1_048_576)
    assert [lists_for(rows) for rows in sizes] == [32, 128, 128, 2048, 4096, 8192]
    assert [probes_for(lists_for(rows)) for rows in sizes] == [32, 64, 64, 96, 48, 32]
    assert lists_for(100_000_000) == 32_768


def test_products_of_another_kind_give_the_same_scores() -> None:
    x, y = _crowd(8)
    index = _index(x, y)
    other = RowIndex(index.dense, index.sketch, lambda a, b: np.asarray(a.astype(int) @ b.astype(int).T, np.float32))
    other.resize(len(x))
    rows = np.arange(0, 2000, 100)
    np.testing.assert_array_equal(other.products(rows), index.products(rows))
