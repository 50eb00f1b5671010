from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from models import whole_numbers
from models.whole_numbers import exact_inner_products


def _numbers(seed: int, *shape: int) -> NDArray[np.int8]:
    return np.random.default_rng(seed).integers(-127, 128, shape).astype(np.int8)


@pytest.mark.parametrize(("b", "n", "dim"), [(1, 1, 8), (3, 17, 256), (100, 4096, 256), (0, 5, 48), (4, 0, 48)])
def test_products_are_exact_or_refused(b: int, n: int, dim: int) -> None:
    products = exact_inner_products()
    if products is None:
        pytest.skip("this processor has no faster way than float32")
    queries, rows = _numbers(1, b, dim), _numbers(2, n, dim)
    found = products(queries, rows)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, queries.astype(np.int64) @ rows.astype(np.int64).T)


def test_what_cuts_off_large_sums_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def cut_off(queries: NDArray[np.int8], rows: NDArray[np.int8]) -> NDArray[np.float32]:
        pairs = queries.astype(np.int64)[:, None, :] * rows.astype(np.int64)
        pairs = pairs.reshape(*pairs.shape[:2], -1, 2).sum(axis=3).clip(-(2**15) + 600, 2**15 - 600)
        return np.asarray(pairs.sum(axis=2), np.float32)

    queries, rows = np.full((1, 8), 127, np.int8), np.full((1, 8), 127, np.int8)
    assert cut_off(queries, rows)[0, 0] == 4 * (2**15 - 600) != 8 * 127 * 127
    monkeypatch.setattr(whole_numbers, "_QUERIES", 3)
    monkeypatch.setattr(whole_numbers, "_ROWS", 3)
    monkeypatch.setattr(whole_numbers, "_int_inner_products", cut_off)
    assert exact_inner_products() is None


def test_what_is_slower_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        whole_numbers, "_seconds", lambda products, *_: float(products is whole_numbers._int_inner_products)
    )
    assert exact_inner_products() is None


def test_a_torch_without_the_operation_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(torch, "_int_mm")
    assert exact_inner_products() is None


def test_the_number_of_threads_is_as_before() -> None:
    before = torch.get_num_threads()
    exact_inner_products()
    assert torch.get_num_threads() == before
