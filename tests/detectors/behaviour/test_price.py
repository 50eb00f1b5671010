from __future__ import annotations

from typing import Any

import pytest

from detectors.behaviour.price import CataloguePriceDetector
from detectors.money import RATES
from detectors.records import Facts, Finding
from tests.detectors.products import behaviour_batch, facts

KNOWN = facts("p1", price=100.0, currency="USD")


def _detector(*, confirmed: bool = True) -> CataloguePriceDetector:
    detector = CataloguePriceDetector()
    if confirmed:
        assert detector.detect(behaviour_batch([_event(100.0)] * 2, [KNOWN] * 2)) == []
    return detector


def _event(price: Any, currency: Any = "USD", event_id: str = "e1") -> dict[str, Any]:
    return {"event_id": event_id, "product": "p1", "price": price, "currency": currency}


def _one(price: Any, currency: Any = "USD", product: Facts | None = KNOWN, *, confirmed: bool = True) -> Finding | None:
    found = _detector(confirmed=confirmed).detect(behaviour_batch([_event(price, currency)], [product]))
    return found[0] if found else None


@pytest.mark.parametrize("price", [100.0, 100, 99.5, 50.0, 200.0, "100.0", None, "free", 0, -1, True, [100]])
def test_sales_price_changes_and_what_is_no_price_are_no_contradiction(price: Any) -> None:
    assert _one(price) is None


@pytest.mark.parametrize(("price", "confidence"), [(1000.0, 0.98), (1.0, 0.98), (10_000, 0.98), (49.0, 0.9)])
def test_a_contradiction_of_a_confirmed_price(price: float, confidence: float) -> None:
    found = _one(price)
    assert found is not None
    assert found.suggestion is not None
    assert (found.rule.name, found.column, found.suggestion.value) == ("behavior.price", "price", 100)
    assert type(found.suggestion.value) is type(price)
    assert found.confidence == confidence


def test_while_nothing_confirms_the_catalogue_it_may_be_wrong_itself() -> None:
    found = _one(1000.0, confirmed=False)
    assert found is not None
    assert found.confidence == 0.7
    detector = _detector(confirmed=False)
    rows = [_event(1000.0, event_id=f"e{n}") for n in range(4)]
    assert [f.row for f in detector.detect(behaviour_batch(rows, [KNOWN] * 4))] == [0]


def test_a_new_price_in_the_catalogue_has_to_be_confirmed_anew() -> None:
    found = _one(1000.0, product=facts("p1", price=90.0, currency="USD"))
    assert found is not None
    assert found.confidence == 0.7


def test_the_price_before_the_catalogue_changed_is_no_contradiction() -> None:
    changed = facts("p1", price=10_000.0, currency="USD")
    assert _one(100.0, product=changed) is None
    detector = _detector()
    rows = [_event(10_000.0), _event(100.0)]
    assert detector.detect(behaviour_batch(rows, [changed] * 2)) == []


def test_other_currencies_are_compared_over_reference_rates() -> None:
    assert _one(100 * RATES["CNY"], "CNY") is None
    assert _one(100.0, "GBP") is None
    found = _one(100.0, "JPY")
    assert found is not None
    assert found.suggestion is None
    assert _one(100.0, "XAU") is None


def test_an_event_without_a_currency_may_be_in_a_widely_used_one() -> None:
    assert _one(720.0, None) is None
    assert _one(1000.0, None) is not None


def test_nothing_is_said_without_a_known_price() -> None:
    assert _one(1.0, product=None) is None
    assert _one(1.0, product=facts("p1")) is None


def test_bounds_must_hold_one() -> None:
    with pytest.raises(ValueError, match="around 1"):
        CataloguePriceDetector(low=2.0)
