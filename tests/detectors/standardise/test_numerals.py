from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.standardise.numerals import with_digits


@pytest.mark.parametrize(
    ("text", "digits"),
    [
        ("十", "10"),
        ("十五", "15"),
        ("二十", "20"),
        ("一百零五", "105"),
        ("一百五", "150"),
        ("一百五十", "150"),
        ("一百十五", "115"),
        ("两千三", "2300"),
        ("三万五", "35000"),
        ("三万零五", "30005"),
        ("一万二千三百四十五", "12345"),
        ("一亿二千万", "120000000"),
        ("十万", "100000"),
        ("壹仟贰佰叁拾肆", "1234"),
        ("貳萬", "20000"),
        ("二〇二四", "2024"),
        ("1万2千", "12000"),
        ("1万2千5百", "12500"),
        ("3千5", "3500"),
        ("1万零5", "10005"),
        ("1.2万", "1.2万"),
        ("2万", "2万"),
        ("万", "万"),
        ("百万", "百万"),
        ("一万亿亿", "一万亿亿"),
        ("二〇二四年三月五日", "2024年3月5日"),
        ("no numeral 12", "no numeral 12"),
    ],
)
def test_numerals(text: str, digits: str) -> None:
    assert with_digits(text) == digits


@given(st.text(alphabet="零〇一二三九两十百千万亿壹拾0123. 元", max_size=80) | st.text(max_size=80))
def test_any_text_is_fine(text: str) -> None:
    assert len(with_digits(text)) <= 200
