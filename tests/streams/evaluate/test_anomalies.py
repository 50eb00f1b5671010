from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest

from detectors.anomalies import FEATURES, KINDS
from detectors.records import Batch
from models.anomaly import train_anomalies
from models.corruption import FaultName
from streams.evaluate.anomalies import evaluate_anomalies, split
from tests.detectors.products import PRODUCTS
from tests.models.synthetic import catalogue


def test_a_split_takes_every_record_once() -> None:
    batches = [catalogue(100, seed=1), catalogue(50, seed=2)]
    learned, held_out = split(batches, share=0.3)
    count = sum(map(len, held_out))
    assert sum(map(len, learned)) + count == 150
    assert 30 <= count <= 60
    for batch in (*learned, *held_out):
        assert batch.neighbours is not None
        assert len(batch.neighbours.facts) == len(batch.neighbours.scores) == len(batch)
    assert split(batches)[1][0].records == held_out[0].records


def test_what_is_planted_is_counted() -> None:
    learned, held_out = split([catalogue(900, seed=1)])
    told: list[float] = []
    report = evaluate_anomalies(
        PRODUCTS, learned, held_out, train_anomalies(learned), fault_rate=0.2, progress=told.append
    )
    assert report.records == 900
    assert report.held_out == sum(map(len, held_out))
    assert set(report.faults) == {fault.value for fault in FaultName} | {
        "brand_missing",
        "brand_typo",
        "category_missing",
    }
    planted = sum(fault.planted for fault in report.faults.values())
    assert planted == pytest.approx(0.2 * report.held_out * 3, rel=0.3)
    for fault in report.faults.values():
        assert 0 <= fault.recall <= fault.recall_all <= 1
    assert report.faults["price_times_100"].recall >= 0.9
    assert report.faults["category_swap"].recall >= 0.8
    assert set(report.kinds) == {kind.value for kind in KINDS}
    assert all(kind.false_alarms <= 0.01 for kind in report.kinds.values())
    for repair in report.repairs.values():
        assert repair.unjudged == 0
        assert repair.precision is not None
        assert repair.precision >= 0.9
    assert told == pytest.approx([1 / 3, 2 / 3, 1])


class _Accuser:
    """Accuses every brand."""

    name = "accuser/1"
    thresholds = np.array([2, 2, 0.5, 2], np.float32)
    typical = np.zeros(len(FEATURES), np.float32)

    def score(self, features: np.ndarray) -> np.ndarray:  # type: ignore[type-arg]  # a test's double
        return np.full((len(features), len(KINDS)), 0.9, np.float32)


def test_false_accusations_are_counted() -> None:
    learned, held_out = split([catalogue(300, seed=1)])
    report = evaluate_anomalies(PRODUCTS, learned, held_out, _Accuser(), fault_rate=0.1)
    brand = report.kinds["brand"]
    assert brand.recall == 1
    assert brand.precision is not None
    assert brand.precision < 0.1
    assert brand.false_alarms > 0.9
    assert report.kinds["price"].precision is None
    assert report.kinds["price"].recall == 0


def test_a_brand_that_the_file_itself_lacks_is_not_judged() -> None:
    learned, held_out = split([catalogue(600, seed=1)])
    emptied = [_without_brand(batch) for batch in held_out]
    report = evaluate_anomalies(PRODUCTS, learned, emptied, _Accuser(), fault_rate=0.01)
    repair = report.repairs["brand.missing"]
    assert repair.unjudged > 100
    assert repair.applied == 0
    assert repair.precision is None
    assert "brand.missing" not in report.rules_precision
    assert not math.isnan(report.kinds["price"].false_alarms)


def _without_brand(batch: Batch) -> Batch:
    records = [dataclasses.replace(r, values={**r.values, "brand": None}) for r in batch.records]
    return dataclasses.replace(batch, records=records)
