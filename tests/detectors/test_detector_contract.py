"""One suite that every detector must pass."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import structlog
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from detectors.anomalies import FEATURES, KINDS
from detectors.contract.model import Contract, Kind
from detectors.protocol import Detector
from detectors.records import Batch, Facts, Finding
from detectors.suite import all_rules, behavior_detectors, product_detectors
from tests.detectors.products import BEHAVIORS, PRODUCTS, behaviour_batch, facts, product_batch


class _Doubter:
    """A classifier that doubts the price and the brand of every record."""

    name = "doubter/1"
    thresholds = np.array([0.5] * len(KINDS), np.float32)
    typical = np.zeros(len(FEATURES), np.float32)

    def score(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.tile(np.array([0.9, 0.1, 0.7, 0.2], np.float32), (len(features), 1))


def _with_doubter(contract: Contract) -> list[Detector]:
    return product_detectors(contract, _Doubter())


Make = Callable[[Contract], Detector]


def _makers() -> list[Any]:
    cases = []
    for contract, suite in ((PRODUCTS, _with_doubter), (BEHAVIORS, behavior_detectors)):
        for place, detector in enumerate(suite(contract)):

            def make(given: Contract, suite: Any = suite, place: int = place) -> Detector:
                detector: Detector = suite(given)[place]
                return detector

            cases.append(pytest.param(contract, make, id=f"{contract.kind}-{type(detector).__name__}"))
    return cases


EVERY = pytest.mark.parametrize(("contract", "make"), _makers())

_ODD = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=30),
    st.decimals(),
    st.binary(max_size=5),
    st.lists(st.integers(), max_size=3),
    st.dictionaries(st.text(max_size=3), st.integers(), max_size=2),
    st.sampled_from(["USD", "EUR", "Nokia 3310", "A > B", "小米 手机 12", "\ud800", "9999.99", "0.01"]),
)
_FACTS = st.builds(
    Facts,
    identity=st.sampled_from(["shop/1", "shop/2", "other/1", "plain", ""]),
    title=st.sampled_from(["", "Nokia 3310 phone", "小米 手机", "case for Nokia 3310"]),
    description=st.sampled_from(["", "a phone by Nokia, the 3310 of old"]),
    brand=st.one_of(st.none(), st.sampled_from(["", "Nokia", "Nokai", "小米", "Xiaomi/小米", "!!"])),
    category=st.one_of(st.none(), st.sampled_from(["", "Phones", "Toys > Cars"])),
    price=st.one_of(st.none(), st.floats()),
    currency=st.one_of(st.none(), st.sampled_from(["", "USD", "EUR", "XXX", "usd"])),
    gtin=st.one_of(st.none(), st.just("4006381333931")),
    mpn=st.one_of(st.none(), st.just("3310")),
)


@st.composite
def _batches(draw: st.DrawFn, contract: Contract) -> Batch:
    names = sorted(contract.known_columns)
    rows = draw(st.lists(st.dictionaries(st.sampled_from(names), _ODD), max_size=4))
    if contract.kind is Kind.PRODUCTS:
        lines = [draw(st.lists(st.tuples(st.floats(-1, 1, width=32), _FACTS), max_size=8)) for _ in rows]
        return product_batch(rows, [sorted(line, key=lambda n: -n[0]) for line in lines])
    times = draw(st.lists(st.integers(-(2**40), 2**45), min_size=len(rows), max_size=len(rows)))
    products = [draw(st.one_of(st.none(), _FACTS)) for _ in rows]
    return behaviour_batch(rows, products, event_times=times, catalogue_size=draw(st.integers(0, 3)))


def _tell(batch: Batch) -> list[Any]:
    """Everything a detector is given, in a form that can be compared, NaN included."""
    told: list[Any] = [repr([dict(r.values) for r in batch.records]), repr([dict(r.original) for r in batch.records])]
    if batch.neighbours is not None:
        told += [repr(batch.neighbours.facts), batch.neighbours.scores.tobytes(), batch.neighbours.dense.tobytes()]
    return [*told, repr(batch.products)]


def _check(detector: Detector, batch: Batch, findings: list[Finding]) -> None:
    rows = [finding.row for finding in findings]
    assert rows == sorted(rows)
    assert all(0 <= row < len(batch) for row in rows)
    for finding in findings:
        assert finding.rule in detector.rules
        assert 0 <= finding.confidence <= 1
        assert finding.evidence.reason.strip()
        assert finding.column is None or finding.column in batch.contract.known_columns
        assert all(0 <= neighbour.score <= 1 for neighbour in finding.evidence.neighbours)
        assert all(type(value) is float for value in finding.evidence.statistics.values())


@EVERY
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_any_value_anywhere_is_no_error_and_leaves_the_input_untouched(
    contract: Contract, make: Make, data: st.DataObject
) -> None:
    detector, again = make(contract), make(contract)
    for _ in range(2):
        batch = data.draw(_batches(contract))
        before = copy.deepcopy(_tell(batch))
        findings = detector.detect(batch)
        assert _tell(batch) == before
        _check(detector, batch, findings)
        assert repr(again.detect(batch)) == repr(findings)


@EVERY
def test_it_is_a_detector_with_rules(contract: Contract, make: Make) -> None:
    detector = make(contract)
    assert isinstance(detector, Detector)
    named = {rule.name for rule in all_rules()}
    assert {rule.name for rule in detector.rules} <= named


@EVERY
def test_it_can_be_pickled_with_its_state(contract: Contract, make: Make) -> None:
    detector = make(contract)
    batch = _ordinary(contract)
    detector.detect(batch)
    copied = pickle.loads(pickle.dumps(detector))
    assert repr(copied.detect(batch)) == repr(detector.detect(batch))


@EVERY
def test_an_empty_batch_has_no_findings(contract: Contract, make: Make) -> None:
    empty = product_batch([], [], contract) if contract.kind is Kind.PRODUCTS else behaviour_batch([], [])
    assert make(contract).detect(empty) == []


@EVERY
def test_columns_that_the_contract_lacks_are_no_error(contract: Contract, make: Make) -> None:
    bare = Contract("bare", "1", contract.topic, contract.kind, (), frozenset())
    ordinary = _ordinary(contract)
    batch = Batch(bare, ordinary.records, neighbours=ordinary.neighbours, products=ordinary.products, catalogue_size=9)
    assert make(bare).detect(batch) == []


@EVERY
def test_without_neighbours_or_products_it_says_nothing_about_them(contract: Contract, make: Make) -> None:
    ordinary = _ordinary(contract)
    assert make(contract).detect(Batch(contract, ordinary.records)) == []


@EVERY
def test_it_logs_no_body_of_an_event(contract: Contract, make: Make) -> None:
    secret = "Kx9-not-to-be-logged"
    row = dict.fromkeys(contract.known_columns, secret)
    other = facts("9", title=secret, brand="Brand", category="Category", price=3.0)
    if contract.kind is Kind.PRODUCTS:
        batch = product_batch([row] * 3, [[(0.9, other)] * 8] * 3)
    else:
        batch = behaviour_batch([row] * 3, [other, None, other])
    with structlog.testing.capture_logs() as logs:
        make(contract).detect(batch)
    assert secret not in repr(logs)


def _ordinary(contract: Contract) -> Batch:
    """Records with nothing wrong."""
    if contract.kind is Kind.PRODUCTS:
        row = {"id": "1", "title": "Nokia 3310 phone blue", "brand": "Nokia", "category": "Phones", "price": 50.0}
        row |= {"currency": "EUR", "description": "A blue phone of Nokia, the 3310, as good as it ever was in 2000"}
        others = [
            (0.9 - 0.05 * n, facts(str(n), title="Nokia 3310 phone", brand="Nokia", category="Phones", price=48.0 + n))
            for n in range(8)
        ]
        return product_batch([row, {**row, "price": 52.0}], [others, others])
    rows = [
        {"event_id": f"e{n}", "user": f"u{n}", "product": "1", "type": "view", "time": "2025-10-09T08:53:20Z"}
        for n in range(4)
    ]
    return behaviour_batch(rows, [facts("1", price=9.99, currency="EUR")] * 4)
