from __future__ import annotations

from typing import Any

import orjson
import pytest

from detectors.contract.load import load_contract
from detectors.decode import Decoder
from detectors.records import StoredRecord
from streams.sender import keys_from_columns, keys_from_contract
from tests.streams.worker.shop import SAMPLES


@pytest.mark.parametrize(
    "fields",
    [
        {"supplier": "north", "sku": 552},
        {"supplier": "north", "sku": 552.0},
        {"supplier": " north ", "sku": " 552 "},
    ],
)
def test_a_key_says_the_identity_that_the_worker_reads(fields: dict[str, Any]) -> None:
    contract = load_contract(SAMPLES / "products.yaml")
    decoded = Decoder(contract).decode([StoredRecord("products", 0, 0, 0, None, orjson.dumps(fields))])
    assert [keys_from_contract(contract, "file")(fields)] == [identity.encode() for identity in decoded.identities]


@pytest.mark.parametrize("sku", [None, "", " ", True, 1.5, ["1"], "x" * 2_000])
def test_what_is_no_id_makes_no_key(sku: Any) -> None:
    contract = load_contract(SAMPLES / "products.yaml")
    assert keys_from_contract(contract, "file")({"supplier": "north", "sku": sku}) is None


def test_keys_by_columns() -> None:
    assert keys_from_columns("{shop}-{sku}")({"shop": "a", "sku": 3.0}) == b"a-3"
