from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest

from detectors.anomalies import FEATURES, KINDS
from detectors.contract.model import Column, Constraint, ConstraintKind
from detectors.records import Batch, Dimension, Severity
from detectors.repair import DEFAULT_AUTO_APPLY
from detectors.standardise.outcome import TEXT_DAMAGE
from models.anomaly_training import train_anomalies
from models.corruption import FaultName
from models.notation import DamageName
from streams.evaluate.anomalies import evaluate_anomalies, split
from tests.detectors.products import PRODUCTS
from tests.models.synthetic import catalogue

_LISTED = Constraint(ConstraintKind.ENUM, Dimension.CONFORMITY, Severity.ERROR, {"values": ("new", "used")})
LISTING = dataclasses.replace(
    PRODUCTS,
    columns=(*PRODUCTS.columns, Column("condition", constraints=(_LISTED,))),
    known_columns=PRODUCTS.known_columns | {"condition"},
)


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
    whole = catalogue(900, seed=1)
    records = [dataclasses.replace(r, values={**r.values, "condition": "new"}) for r in whole.records]
    learned, held_out = split([dataclasses.replace(whole, contract=LISTING, records=records)])
    told: list[float] = []
    report = evaluate_anomalies(
        LISTING, learned, held_out, train_anomalies(learned), fault_rate=0.2, progress=told.append
    )
    assert report.records == 900
    assert report.held_out == sum(map(len, held_out))
    assert set(report.faults) == {
        *(fault.value for fault in FaultName),
        *(damage.value for damage in DamageName if damage is not DamageName.TITLE_MOJIBAKE),  # all titles are ASCII
        *("brand_missing", "brand_typo", "category_missing", "event_price"),
    }
    planted = sum(fault.planted for name, fault in report.faults.items() if name != "event_price")
    assert planted == pytest.approx(0.2 * report.held_out * 3, rel=0.3)
    assert report.faults["event_price"].planted == pytest.approx(0.2 * report.held_out * 3 * 5, rel=0.3)
    for name in ("title_html", "title_control", "title_repeated", "price_as_text", "listed_value", "event_price"):
        assert report.faults[name].recall_all >= 0.8, name
    for fault in report.faults.values():
        assert 0 <= fault.recall <= fault.recall_all <= 1
    assert report.faults["price_times_100"].recall >= 0.9
    assert report.faults["category_swap"].recall >= 0.8
    assert set(report.kinds) == {kind.value for kind in KINDS}
    assert all(kind.false_alarms <= 0.01 for kind in report.kinds.values())
    assert {*DEFAULT_AUTO_APPLY, *(rule.name for rule in TEXT_DAMAGE), "price.notation"} <= set(report.repairs)
    for rule, repair in report.repairs.items():
        assert repair.unjudged == 0
        assert (repair.precision is None) is (repair.applied == 0), rule
        assert repair.precision is None or repair.precision >= 0.9, rule
    for rule in ("contract.enum", "behavior.price", "text.html", "text.repeated_phrase", "price.notation"):
        assert report.repairs[rule].applied > 5, rule
    assert told == pytest.approx([1 / 3, 2 / 3, 1])


class _Accuser:
    """Accuses every brand."""

    name = "accuser/1"
    thresholds = np.array([2, 2, 0.5, 2], np.float32)
    typical = np.zeros(len(FEATURES), np.float32)

    def score(self, features: np.ndarray) -> np.ndarray:  # type: ignore[type-arg]  # a test's double
        return np.full((len(features), len(KINDS)), 0.9, np.float32)


def test_thresholds_of_the_settings_hold_for_standardising() -> None:
    learned, held_out = split([catalogue(300, seed=1)])
    never = {"text.html": 2.0, "behavior.price": 2.0}
    report = evaluate_anomalies(PRODUCTS, learned, held_out, _Accuser(), fault_rate=0.3, auto_apply=never)
    assert [report.repairs[rule].applied for rule in never] == [0, 0]
    assert report.repairs["text.control_characters"].applied > 0
    assert report.faults["title_html"].recall_all == 1


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
