from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.standardise.units import amount_in, is_unit, measures


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("自然堂精华水（滋润型135ml 补水", [("volume", 135, "ml")]),
        ("洁面乳 125g 125G", [("mass", 125, "g"), ("mass", 125, "g")]),
        ("5G 全网通 64G 8GB+1TB", [("storage", 64, "GB"), ("storage", 8, "GB"), ("storage", 1024, "GB")]),
        (
            "１２５ｇ 3斤装 2两 1.5千克",
            [("mass", 125, "g"), ("mass", 1500, "g"), ("mass", 100, "g"), ("mass", 1500, "g")],
        ),
        ("50毫升 1.5升 2L", [("volume", 50, "ml"), ("volume", 1500, "ml"), ("volume", 2000, "ml")]),
        ("8 fl oz 3.5 oz 2lbs", [("volume", 236.588236, "ml"), ("mass", 99.223331, "g"), ("mass", 907.18474, "g")]),
        ('Sony 32" 15.6in 27-inch 55英寸', [("length", v, "mm") for v in (812.8, 396.24, 685.8, 1397)]),
        ("10cm x 2 m 5mm", [("length", 100, "mm"), ("length", 2000, "mm"), ("length", 5, "mm")]),
        ("10000mAh 65W 5V/2A", [("charge", 10000, "mAh"), ("power", 65, "W"), ("voltage", 5, "V")]),
        ("2.4GHz 144Hz 1.5kW", [("frequency", 2.4e9, "Hz"), ("frequency", 144, "Hz"), ("power", 1500, "W")]),
        ("12MP 4800万像素 10 Megapixel", [("resolution", v, "MP") for v in (12, 48, 10)]),
        ("面膜5片 10 pcs 1,000 g", [("count", 5, "pcs"), ("count", 10, "pcs"), ("mass", 1000, "g")]),
        ("7-in-1 hub, 5 in 1, XBR-52W, A125g, 33-1/3 12M 2XL", []),
        ("", []),
    ],
)
def test_measures(text: str, expected: list[Any]) -> None:
    wanted: list[Any] = [(kind, pytest.approx(value), unit) for kind, value, unit in expected]
    assert [(m.kind, m.value, m.unit) for m in measures(text)] == wanted


@given(st.text(max_size=60) | st.text(alphabet='0123456789., gGmlcL克毫升inch"万像素１ｇ', max_size=40))
def test_spans_point_into_the_text(text: str) -> None:
    for measure in measures(text):
        assert text[measure.span.start : measure.span.end] == measure.span.text
        assert measure.value >= 0


@pytest.mark.parametrize(
    ("text", "unit", "amount"),
    [
        ("0.5 kg", "g", 500),
        (" 500克 ", "kg", 0.5),
        ("５００ｇ", "g", 500),
        ("15.6in", "cm", 39.624),
        ("1TB", "GB", 1024),
        ("500 ml", "g", None),
        ("2 x 500 g", "g", None),
        ("1,5 kg", "g", None),
        ("about 500 g", "g", None),
        ("500", "g", None),
    ],
)
def test_the_amount_that_a_text_is(text: str, unit: str, amount: float | None) -> None:
    assert amount_in(text, unit) == amount


def test_units_by_word_and_sign() -> None:
    assert [is_unit(word) for word in ("KG", "毫升", '"', "kilogramme", "")] == [True, True, True, False, False]
