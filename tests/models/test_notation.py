from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from detectors.contract.model import Column, Constraint, ConstraintKind, Contract
from detectors.records import Batch, Dimension, Severity
from detectors.standardise.standardiser import Standardiser
from models.notation import DAMAGE, DamageName, damaged, possible_damage
from tests.detectors.products import PRODUCTS, product_batch
from tests.models.synthetic import catalogue


def with_list() -> Contract:
    listed = Constraint(ConstraintKind.ENUM, Dimension.CONFORMITY, Severity.ERROR, {"values": ("EUR", "USD", "new", 7)})
    column = Column("condition", constraints=(listed,))
    return replace(PRODUCTS, columns=(*PRODUCTS.columns, column), known_columns=PRODUCTS.known_columns | {"condition"})


def batch_of(*rows: dict[str, Any]) -> Batch:
    return product_batch(rows, [[] for _ in rows], with_list())


def test_what_can_happen_depends_on_the_contract() -> None:
    assert set(possible_damage(batch_of({"title": "a"}))) == set(DamageName) == set(DAMAGE)
    assert DamageName.LISTED_VALUE not in possible_damage(catalogue(10, seed=1))


@pytest.mark.parametrize("name", list(DamageName))
def test_damage_changes_one_field_and_leaves_the_batch_as_it_is(name: DamageName) -> None:
    rows = [
        {"title": f"索尼 WH-{n} 降噪耳机 头戴式", "price": n + 0.99, "currency": "CNY", "condition": "new"}
        for n in range(200)
    ]
    batch = batch_of(*rows)
    made = damaged(batch, name, np.random.default_rng(0))
    assert len(made) >= 50
    assert [dict(record.values) for record in batch.records] == rows
    for row, column, value in made:
        assert value != rows[row][column]


def test_most_of_it_is_repaired_by_standardising() -> None:
    batch = catalogue(300, seed=1)
    for name in (DamageName.TITLE_HTML, DamageName.TITLE_CONTROL, DamageName.TITLE_REPEATED, DamageName.PRICE_AS_TEXT):
        made = damaged(batch, name, np.random.default_rng(0))
        rows = [{**batch.records[row].values, column: value} for row, column, value in made]
        done = Standardiser(PRODUCTS).standardise(rows).values
        right = [
            values[column] == batch.records[row].values[column]
            for values, (row, column, _) in zip(done, made, strict=True)
        ]
        assert sum(right) >= 0.9 * len(right), name


def test_an_empty_field_is_left_alone() -> None:
    batch = batch_of({"title": None, "price": None, "condition": None}, {"title": "", "price": "N/A", "condition": 7})
    assert [damaged(batch, name, np.random.default_rng(0)) for name in DamageName] == [[]] * len(DamageName)
