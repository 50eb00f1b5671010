from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from zlib import crc32

import numpy as np
import pytest
from numpy.typing import NDArray

from detectors.contract.load import load_contract
from detectors.records import SourceRecord, StoredRecord
from streams.errors import InputError
from streams.sample import read_sample, with_neighbours

CONTRACTS = Path(__file__).parents[1] / "contracts"
ABT_BUY = load_contract(CONTRACTS / "abt-buy.yaml")


class Words:
    """A fixed random vector for each word."""

    name, dim, description = "words-32", 32, "words"

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        out = np.zeros((len(texts), self.dim), np.float32)
        for row, text in enumerate(texts):
            for word in text.lower().split():
                out[row] += np.random.default_rng(crc32(word.encode())).standard_normal(self.dim)
        return out / np.maximum(np.linalg.norm(out, axis=1, keepdims=True), 1e-9)


def _records(rows: Sequence[dict[str, object]]) -> list[SourceRecord]:
    return [
        StoredRecord("products", 0, n, 1_760_000_000_000, None, json.dumps(row).encode()) for n, row in enumerate(rows)
    ]


def test_the_first_sees_the_last_and_nobody_itself() -> None:
    rows = [{"id": str(n), "name": f"brown wooden chair number {n}", "price": 10.0 + n} for n in range(600)]
    batches = with_neighbours(ABT_BUY, _records(rows), Words(), k=5)
    assert sum(map(len, batches)) == 600
    assert {batch.catalogue_size for batch in batches} == {600}
    for batch in batches:
        assert batch.neighbours is not None
        for record, facts in zip(batch.records, batch.neighbours.facts, strict=True):
            identities = [other.identity for other in facts]
            assert len(identities) == 5
            assert record.identity not in identities
    first = batches[0].neighbours
    assert first is not None
    assert max(int(other.identity.split("/")[1]) for other in first.facts[0]) > 0


def test_of_each_product_the_last_record_counts() -> None:
    rows = [{"id": str(n % 300), "name": f"lamp {n % 300}", "price": float(n + 1)} for n in range(700)]
    batches = with_neighbours(ABT_BUY, _records(rows), Words())
    prices = {record.identity: record.values["price"] for batch in batches for record in batch.records}
    assert len(prices) == sum(map(len, batches)) == 300
    assert prices["abt-buy/0"] == 601.0
    assert prices["abt-buy/299"] == 600.0
    known = {
        other.identity: other.price
        for batch in batches
        if batch.neighbours
        for facts in batch.neighbours.facts
        for other in facts
    }
    assert known.items() <= prices.items()


def test_rows_of_files_become_records(tmp_path: Path) -> None:
    file = tmp_path / "shop.csv"
    file.write_text("id,name,price\n1,chair,10\n2,table,20\n3,lamp,30\n")
    records = read_sample(ABT_BUY, [file, file], limit=4)
    assert [(r.partition, r.offset) for r in records] == [(0, 0), (0, 1), (0, 2), (1, 3)]
    assert records[0].headers == (("source", b"shop"),)
    assert read_sample(ABT_BUY, [file], limit=None)[2].value is not None


def test_behaviour_events_are_no_sample() -> None:
    with pytest.raises(InputError, match="for products"):
        read_sample(load_contract(CONTRACTS / "rees46.yaml"), [])
