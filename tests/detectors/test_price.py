from __future__ import annotations

import math
from dataclasses import replace
from decimal import Decimal
from typing import Any

import numpy as np
import pytest

from detectors.money import RATES, number, rescale, show
from detectors.neighbourhood import softmax_weights
from detectors.price import PriceDetector, log_price, price_table
from detectors.records import Facts, Finding
from tests.detectors.products import facts, product_batch

PRICES = (199.0, 205.5, 209.99, 215.0, 219.0, 201.0)


def _similar(prices: tuple[float, ...] = PRICES, currency: str = "USD") -> list[tuple[float, Facts]]:
    return [
        (0.7 - 0.01 * n, facts(str(n), title=f"Digital camera {n}", price=price, currency=currency))
        for n, price in enumerate(prices)
    ]


def _offers(prices: tuple[float, ...] = PRICES, currency: str = "USD") -> list[tuple[float, Facts]]:
    return [
        (0.9, facts(f"s{n}/1", title="Canon EOS-2000D camera", mpn="EOS-2000D", price=price, currency=currency))
        for n, price in enumerate(prices)
    ]


def _one(price: Any, neighbours: list[tuple[float, Facts]], **more: Any) -> Finding | None:
    row = {"title": "Digital camera", "price": price, "currency": "USD", **more}
    found = PriceDetector().detect(product_batch([row], [neighbours]))
    assert len(found) <= 1
    return found[0] if found else None


@pytest.mark.parametrize("price", [149.0, 199.99, 210, 260.0, "205.00", 95.0, 420.0])
def test_a_plausible_price_is_no_finding(price: Any) -> None:
    assert _one(price, _similar()) is None


@pytest.mark.parametrize(("price", "right"), [(20999, 209.99), (20999.0, 209.99), (2.1, 210.0), (2.0599, 205.99)])
def test_a_lost_decimal_point_is_found_and_suggested_but_not_sure_among_similar_products(
    price: float, right: float
) -> None:
    found = _one(price, _similar())
    assert found is not None
    assert found.rule.name == "price.scale"
    assert found.suggestion is not None
    assert found.suggestion.value == pytest.approx(right)
    assert 0.6 < found.confidence <= 0.9
    assert found.evidence.reason.startswith("5 of the most similar products cost 199-219 USD; this one says")


def test_a_neighbour_that_changed_between_two_lookups_is_read_as_each_shows_it() -> None:
    shown = [facts("s/1", gtin=gtin, price=price, currency="USD") for gtin, price in (("1", 10.0), ("2", 1000.0))]
    rows = [{"title": "Camera", "gtin": other.gtin, "price": other.price, "currency": "USD"} for other in shown]
    batch = product_batch(rows, [[(0.5, other)] for other in shown])
    logs = np.array([log_price(other.price, "USD") for other in shown])
    table = price_table(batch, ["USD", "USD"], logs, 0.3)
    assert table.same.tolist() == [[True], [True]]
    assert table.logs[:, 0].tolist() == logs.tolist()


def test_agreeing_offers_of_the_same_product_make_it_sure() -> None:
    found = _one(2.05, _offers(), title="Canon EOS-2000D camera", mpn="EOS-2000D")
    assert found is not None
    assert found.suggestion is not None
    assert (found.rule.name, found.suggestion.value) == ("price.scale", 205.0)
    assert found.confidence >= 0.95
    assert found.evidence.reason == (
        "5 offers of the same product cost 199-219 USD; this one says 2.05 USD, and 205 USD would fit."
    )
    assert [n.value for n in found.evidence.neighbours] == [199.0, 205.5, 209.99, 215.0, 219.0]


def _near(price: float, mpn: str | None = None) -> tuple[float, Facts]:
    """A near-duplicate of the record of `_one`, from another source."""
    return 0.93, facts("other/1", title="Digital camera", mpn=mpn, price=price, currency="USD")


@pytest.mark.parametrize("mpn", [None, "X-1"])
def test_one_near_duplicate_with_a_fault_accuses_no_sound_price(mpn: str | None) -> None:
    for score in (0.3, 0.5, 0.7):
        others = [(score, other) for _, other in _similar()]
        assert _one(209.99, [_near(20999.0, mpn), *others], mpn=mpn) is None
        assert _one(209.99, [_near(2.1, mpn), *others], mpn=mpn) is None
        found = _one(20999.0, [_near(209.99, mpn), *others], mpn=mpn)  # and where they side with the near-duplicate
        assert found is not None
        assert found.suggestion is not None
        assert (found.rule.name, found.suggestion.value) == ("price.scale", 209.99)


def test_a_price_that_is_usual_nowhere_is_found_and_none_suggested_where_one_neighbour_alone_has_one() -> None:
    others = [
        (0.5, facts(f"n/{i}", title="Camera", price=p, currency="USD"))
        for i, p in enumerate((250.0, 240.0, 260.0, 255.0))
    ]
    found = _one(1999.0, [_near(19.99), *others])
    assert found is not None
    assert (found.rule.name, found.suggestion, found.confidence) == ("price.neighbours", None, 0.9)


def test_one_near_duplicate_and_nobody_else_is_no_evidence() -> None:
    assert _one(209.99, [_near(20999.0, "X-1")], mpn="X-1") is None
    two = [_near(20999.0, "X-1"), _near(209.0, "X-1")]
    assert _one(209.99, two, mpn="X-1") is None
    found = _one(209.99, [_near(20999.0, "X-1"), _near(20500.0, "X-1")], mpn="X-1")
    assert found is not None
    assert found.evidence.reason == (
        "2 offers of the same product cost 20500-20999 USD; this one says 209.99 USD, and 20999 USD would fit."
    )


def test_the_type_of_the_price_is_kept() -> None:
    for price, right in (("20999", "209.99"), (Decimal(20999), Decimal("209.99")), (21000, 210)):
        found = _one(price, _similar())
        assert found is not None
        assert found.suggestion is not None
        assert found.suggestion.value == right
        assert type(found.suggestion.value) is type(right)


def test_a_wrong_currency_label_is_found() -> None:
    found = _one(209.0, _similar(), currency="IDR")
    assert found is not None
    assert found.suggestion is not None
    assert (found.rule.name, found.column, found.observed, found.suggestion.value) == (
        "price.currency",
        "currency",
        "IDR",
        "USD",
    )
    assert found.confidence > 0.95


def test_the_same_price_in_another_currency_is_no_finding() -> None:
    assert _one(209.0 * RATES["JPY"], _similar(), currency="JPY") is None


@pytest.mark.parametrize("price", [0.01, 1.0, 99999.0])
def test_a_placeholder_is_found_and_no_price_is_made_up(price: float) -> None:
    found = _one(price, _similar())
    assert found is not None
    assert found.rule.name == "price.placeholder"
    assert found.suggestion is not None
    assert found.suggestion.value is None


def test_a_price_that_people_type_without_having_one_is_fine_where_it_fits() -> None:
    assert _one(1.0, _similar((1.0, 1.2, 0.9, 1.1, 1.0))) is None


def test_far_from_the_same_product_for_no_known_reason() -> None:
    found = _one(1033.0, _offers((199.0, 205.0, 210.0, 199.99)), title="Canon EOS-2000D camera", mpn="EOS-2000D")
    assert found is not None
    assert (found.rule.name, found.suggestion) == ("price.neighbours", None)


@pytest.mark.parametrize("price", [None, "call us", 0, -5.0, float("nan"), float("inf"), True])
def test_what_is_no_price_is_left_alone(price: Any) -> None:
    assert _one(price, _similar()) is None


def test_silent_without_enough_or_comparable_neighbours() -> None:
    assert _one(2.05, _similar()[:3]) is None
    assert _one(2.05, _similar(currency="XAU")) is None
    assert _one(2.05, _similar(), currency="XAU") is None
    assert _one(2.05, _similar(), currency=None) is None
    assert _one(2.05, [(0.1, other) for _, other in _similar()]) is None


def test_silent_among_products_of_another_category() -> None:
    phones = [(score, replace(other, category="Phones")) for score, other in _similar()]
    assert _one(2.05, phones, category="Cases") is None
    assert _one(2.05, phones, category="Phones") is not None


def test_prices_without_any_currency_are_compared_as_they_are() -> None:
    alike = [(0.7, facts(str(n), price=price)) for n, price in enumerate(PRICES)]
    found = _one(20999.0, alike, currency=None)
    assert found is not None
    assert found.rule.name == "price.scale"


def test_the_posterior_by_hand() -> None:
    found = _one(20999.0, _similar())
    assert found is not None
    scores = [0.7 - 0.01 * n for n in range(6)]
    weights = [math.exp(score / 0.07) for score in scores]
    logs = [math.log(price) for price in PRICES]

    def density(x: float) -> float:
        total = 0.0
        for weight, score, log in zip(weights, scores, logs, strict=True):
            width = 0.12 + 0.65 * (1 - score)
            z = (x - log) / width
            total += weight * 2 / (math.pi * math.sqrt(3)) / (1 + z * z / 3) ** 2 / width
        return total / sum(weights)

    # 199, 215, 219 and 201 end at 0, 205.5 at -1, 209.99 at -2; eleven places have half a vote each
    x, ends_at_0, ends_at_minus_2, ends_at_minus_1 = math.log(20999), 4.5 / 11.5, 1.5 / 11.5, 1.5 / 11.5
    masses = {
        "clean": density(x) * ends_at_0,
        "x100": 0.003 * density(x - math.log(100)) * ends_at_minus_2,
        "/100": 0.003 * density(x + math.log(100)) * 0.5 / 11.5,
        "x10": 0.001 * density(x - math.log(10)) * ends_at_minus_1,
        "/10": 0.001 * density(x + math.log(10)) * 0.5 / 11.5,
        "other": 0.001 / 16 / 2,
    }
    assert found.evidence.statistics["posterior"] == pytest.approx(masses["x100"] / sum(masses.values()), abs=1e-5)
    assert found.evidence.statistics["posterior_clean"] == pytest.approx(
        masses["clean"] / sum(masses.values()), abs=1e-5
    )


def test_weights_leave_out_what_cannot_be_used() -> None:
    scores = np.array([[0.9, 0.83, 0.5], [0.9, -1, -1]], np.float32)
    usable = np.array([[True, True, False], [False, False, False]])
    weights = softmax_weights(scores, usable)
    assert weights[0] == pytest.approx([np.e / (np.e + 1), 1 / (np.e + 1), 0], abs=1e-5)
    assert weights[1].tolist() == [0, 0, 0]


def test_numbers_in_and_out() -> None:
    assert [number(v) for v in (1, "2.5", Decimal(3), True, "x", None, -1, "1e400")] == [
        *(1.0, 2.5, 3.0),
        *(None, None, None, None, None),
    ]
    assert rescale(19.99, Decimal(100)) == 1999.0
    assert rescale(1999, Decimal("0.01")) == 19.99
    assert [show(v) for v in (199.0, 19.9, 0.0021)] == ["199", "19.9", "0.0021"]


def test_at_least_two_neighbours_must_agree() -> None:
    with pytest.raises(ValueError, match="at least 2"):
        PriceDetector(min_neighbours=1)
