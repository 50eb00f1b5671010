from __future__ import annotations

import json
from pathlib import Path

import pytest

from detectors.contract.load import load_contract, sample_contract
from detectors.contract.model import Kind
from detectors.contract.rules import ContractRules
from detectors.intake import Intake
from detectors.records import StoredRecord, Version
from streams.files import read_rows

_CONTRACTS = Path(__file__).parents[1] / "contracts"


def test_a_batch_of_products() -> None:
    values = [
        b'{"supplier":"acme","sku":"1","title":"Lamp","price":"US$1,299.00","updated_at":"2024-05-01 10:00:00 UTC"}',
        b"{",
        b'{"supplier":"acme","sku":"2","title":"Desk","price":12.5}',
    ]
    records = [StoredRecord("products", 0, 10 + i, 1_000 + i, None, value) for i, value in enumerate(values)]
    taken = Intake(sample_contract(Kind.PRODUCTS)).take(
        [*records, StoredRecord("products", 0, 13, 0, b"acme/3", None)], 4
    )
    lamp, desk = taken.batch.records
    assert (lamp.identity, lamp.version) == ("acme/1", Version(4, 10))
    assert lamp.original["price"] == "US$1,299.00"
    assert lamp.values["price"] == 1299.0
    assert lamp.values["currency"] == "USD"
    assert lamp.event_time == 1_714_557_600_000
    assert desk.event_time == 1_002  # Kafka's, where the record has no time of its own
    assert {correction.row for correction in taken.corrections} == {0}
    assert [rejection.error for rejection in taken.rejections] == ["not_json"]
    assert [tombstone.identity for tombstone in taken.tombstones] == ["acme/3"]
    assert taken.keep_original == frozenset()


def test_an_empty_batch() -> None:
    taken = Intake(sample_contract(Kind.BEHAVIORS)).take([])
    assert len(taken.batch) == 0
    assert taken.findings == taken.corrections == taken.rejections == []


def test_every_rule_is_named_once() -> None:
    names = [rule.name for rule in Intake(sample_contract(Kind.PRODUCTS)).rules]
    assert "decode.huge_number" in names
    assert "price.unparseable" in names
    assert len(names) == len(set(names))


@pytest.mark.shared_data
@pytest.mark.parametrize(
    ("name", "file", "delimiter", "records"),
    [
        ("abt-buy", "products-abt-buy/abtbuy.csv", ",", 2_161),
        ("amazon-google", "products-amazon-google/amazon.csv", "#", 1_354),
        ("amazon-google", "products-amazon-google/gp.csv", "#", 3_039),
        ("rees46", "behaviors/rees46-2019-10-01.csv", ",", 17_434),
        ("tmall", "chinese/tmall-cosmetics.csv", ",", 15_860),
    ],
)
def test_real_feeds(shared_data: Path, name: str, file: str, delimiter: str, records: int) -> None:
    contract = load_contract(_CONTRACTS / f"{name}.yaml")
    rows = list(read_rows(shared_data / file, delimiter))
    sources = [StoredRecord(name, 0, row.number - 1, 0, None, row.value) for row in rows]
    taken = Intake(contract).take(sources)
    assert len(taken.batch) == records
    assert len(taken.batch) + len(taken.rejections) == len(rows)
    assert ContractRules(contract).detect(taken.batch) == []
    assert not taken.keep_original
    assert dict(taken.batch.records[0].original) == json.loads(rows[0].value)
    for rejection in taken.rejections:  # the cut-off last line of rees46
        assert rejection.source.offset == len(rows) - 1
        assert "a line of 8 fields separated by ','; the contract lists 9 columns" in rejection.message
