from __future__ import annotations

import numpy as np
import pytest

from detectors.contract.model import Column, Contract, Kind, Role
from detectors.money import RATES
from detectors.standardise.chinese import fold
from models.corruption import FAULTS, FaultName, corrupt, possible_faults
from tests.detectors.products import product_batch
from tests.models.synthetic import catalogue


@pytest.mark.parametrize("fault", list(FaultName))
def test_a_fault_changes_its_column_and_nothing_else(fault: FaultName) -> None:
    batch = catalogue(120, seed=1)
    before = [dict(record.values) for record in batch.records]
    corrupted = corrupt(batch, fault, np.random.default_rng(0))
    assert len(corrupted.rows) >= 100
    column = FAULTS[fault][1].value
    for row, record in zip(corrupted.rows, corrupted.batch.records, strict=True):
        changed = {name for name in before[row] if record.values[name] != before[row][name]}
        assert changed == {column}
    assert [dict(record.values) for record in batch.records] == before
    assert len(corrupted.batch.neighbours.facts) == len(corrupted.rows)  # type: ignore[union-attr]  # has them


@pytest.mark.parametrize(
    ("fault", "after"),
    [
        (FaultName.PRICE_TIMES_10, 199.9),
        (FaultName.PRICE_TIMES_100, 1999.0),
        (FaultName.PRICE_TENTH, 1.999),
        (FaultName.PRICE_HUNDREDTH, 0.1999),
    ],
)
def test_scales_are_exact(fault: FaultName, after: float) -> None:
    batch = product_batch([{"title": "a", "price": 19.99}, {"title": "b", "price": None}, {"title": "c"}], [[], [], []])
    corrupted = corrupt(batch, fault, np.random.default_rng(0))
    assert list(corrupted.rows) == [0]
    assert corrupted.batch.records[0].values["price"] == after


def test_another_currency_is_one_whose_prices_look_different() -> None:
    corrupted = corrupt(catalogue(120, seed=1), FaultName.CURRENCY_SWAP, np.random.default_rng(0))
    for record in corrupted.batch.records:
        ratio = RATES[record.values["currency"]] / RATES["EUR"]
        assert not 1 / 1.5 < ratio < 1.5


def test_a_swapped_value_comes_from_an_unlike_product() -> None:
    batch = catalogue(120, seed=1)
    corrupted = corrupt(batch, FaultName.BRAND_SWAP, np.random.default_rng(0))
    for row, record in zip(corrupted.rows, corrupted.batch.records, strict=True):
        assert fold(record.values["brand"]) not in fold(batch.records[row].values["title"])


def test_the_same_seed_gives_the_same_faults() -> None:
    batch = catalogue(60, seed=1)
    first, second = (
        [r.values for r in corrupt(batch, FaultName.DESCRIPTION_SWAP, np.random.default_rng(5)).batch.records]
        for _ in range(2)
    )
    assert first == second


def test_a_contract_without_the_column_cannot_have_the_fault() -> None:
    columns = (Column("title", role=Role.TITLE), Column("price", role=Role.PRICE))
    contract = Contract("t", "1", "t", Kind.PRODUCTS, columns, frozenset({"title", "price"}))
    batch = product_batch([{"title": "a", "price": 1.5}], [[]], contract)
    assert {FAULTS[fault][1] for fault in possible_faults(batch)} == {Role.PRICE}
    assert not corrupt(batch, FaultName.BRAND_SWAP, np.random.default_rng(0)).rows
