from __future__ import annotations

from pathlib import Path

import pytest

from detectors.contract.load import load_contract, parse_contract
from detectors.contract.presence import absent_columns

CONTRACTS = Path(__file__).resolve().parents[2] / "contracts"
TEXT = """\
apiVersion: v3.1.0
kind: DataContract
id: shop
name: shop
version: 1.0.0
status: active
schema:
  - name: shop
    logicalType: object
    properties:
      - {name: 货号, logicalType: string, customProperties: [{property: role, value: id}]}
      - {name: 商品标题, logicalType: string, customProperties: [{property: role, value: title}]}
      - {name: price, logicalType: number, customProperties: [{property: role, value: price}]}
      - {name: stock, logicalType: integer, required: true}
      - {name: note}
"""


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        (["货号", "商品标题", "price", "stock", "note"], []),
        (["货号", "标题", "price", "stock", "note"], [("商品标题", True, "标题")]),
        (["货号", "商品标题", "售价", "stock", "note"], [("price", False, "售价")]),  # a usual name of the role
        (["货号", "商品标题", "prices", "stock", "note"], [("price", False, "prices")]),
        (["货号", "商品标题", "price"], [("stock", True, None), ("note", False, None)]),
        (["sku", "商品标题", "price", "stock", "note"], [("货号", True, "sku")]),
    ],
)
def test_what_is_absent_and_what_was_meant(seen: list[str], expected: list[tuple[str, bool, str | None]]) -> None:
    absent = absent_columns(parse_contract(TEXT, "shop"), seen)
    assert [(column.name, column.needed, column.meant) for column in absent] == expected


def test_it_is_told_in_a_sentence() -> None:
    absent = absent_columns(parse_contract(TEXT, "shop"), ["货号", "标题", "price", "stock"])
    assert [str(column) for column in absent] == [
        "The column '商品标题' (role title) of the contract is in none of the rows. Did you mean '标题'?",
        "The column 'note' of the contract is in none of the rows.",
    ]


def test_a_contract_that_fits_its_data() -> None:
    seen = ["id", "name", "description", "price", "manufacturer"]
    assert absent_columns(load_contract(CONTRACTS / "abt-buy.yaml"), seen) == []
