from __future__ import annotations

import numpy as np
import pytest

from detectors.duplicates.evidence import EvidenceRows, codes_of, compounds, measures
from detectors.records import Facts
from detectors.standardise.chinese import fold


@pytest.mark.parametrize(
    ("title", "codes"),
    [
        ("bose acoustimass 5 series iii speaker system - am53bk", ("am53bk",)),
        ("sony turntable - ps-lx350h", ("pslx350h",)),
        ("logitech mouse 910-000298 blue", ("910000298",)),
        ("canon 50 mm f/1.8 lens 10 megapixel 500ml", ()),
        ("小米无线耳机am53bk黑色", ("am53bk",)),
        ("windows 98 and 2000", ()),
    ],
)
def test_codes(title: str, codes: tuple[str, ...]) -> None:
    assert codes_of(title) == codes


def test_a_part_number_comes_first() -> None:
    assert codes_of("kettle nk-2450", "NK-2450-BK") == ("nk2450bk", "nk2450")
    assert codes_of("kettle", "none") == ()


def test_compounds_lose_their_separators() -> None:
    assert compounds("sony ps-lx350h version 1.2.3") == ["pslx350h"]


@pytest.mark.parametrize(
    ("one", "other"),
    [("0.5 l", "500ml"), ("500毫升", "500 ml"), ("1.5kg bag", "1500 g"), ("black", "黑色"), ("grey", "gray")],
)
def test_equal_measures(one: str, other: str) -> None:
    assert measures(one) == measures(other) != ()


def _rows(*facts: Facts) -> EvidenceRows:
    rows = EvidenceRows()
    rows.put(range(len(facts)), [fold(f.title) for f in facts], facts, [f.price for f in facts])
    return rows


def _pair(a: Facts, b: Facts) -> dict[str, float]:
    c = _rows(a, b).compare(np.array([1]), np.array([[0]]))
    return {name: float(getattr(c, name)[0, 0]) for name in c.__slots__}


def test_comparison_of_one_product_in_two_words() -> None:
    a = Facts("a/1", "Bose Acoustimass 5 Speaker System - AM53BK", price=399.0, currency="USD")
    b = Facts("b/1", "Bose AM-53BK speakers, black", price=379.95, currency="USD")
    got = _pair(a, b)
    assert got["code_in"] == got["code_equal"] == 1
    assert got["code_conflict"] == got["code_left"] == got["units"] == got["gtin"] == got["same_text"] == 0
    assert got["price"] == pytest.approx(np.log(399 / 379.95), abs=1e-4)


def test_a_code_inside_the_description_counts() -> None:
    got = _pair(Facts("a/1", "Bose speakers - AM53BK"), Facts("b/1", "Bose speakers", "model AM 53 BK, black"))
    assert (got["code_in"], got["code_equal"], got["code_conflict"]) == (1, 0, 0)


def test_variants_differ() -> None:
    got = _pair(
        Facts("a/1", "Canon S550 camera 26109 blue 10 mm", gtin="4006381333931", mpn="S550-BL"),
        Facts("b/1", "Canon S550 camera 26110 black 12 mm", gtin="96385074", mpn="S550-BK"),
    )
    assert got["code_left"] == 1
    assert got["units"] == 2  # colour and length
    assert (got["mpn"], got["gtin"]) == (-1, -1)


def test_prices_in_two_currencies_are_exchanged() -> None:
    same = _pair(Facts("a/1", "x", price=100.0, currency="USD"), Facts("b/1", "x", price=700.0, currency="CNY"))
    other = _pair(Facts("a/1", "x", price=100.0, currency="USD"), Facts("b/1", "x", price=7.0, currency="CNY"))
    assert same["price"] < 0.2
    assert other["price"] > 4


def test_who_shares_a_code_is_found_until_dropped() -> None:
    facts = [Facts(f"a/{i}", title) for i, title in enumerate(("tv AM53BK", "电视 AM53BK", "tv XY99Z"))]
    rows = _rows(*facts)
    assert rows.sharing(0) == {1: 2}
    rows.drop(1)
    assert rows.sharing(0) == {}
