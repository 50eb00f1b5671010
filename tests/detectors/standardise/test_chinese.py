from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.standardise.chinese import fold


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("華為手機殼", "华为手机壳"),
        ("蘋果 ＩＰＨＯＮＥ", "苹果 iphone"),
        ("SONY TV", "sony tv"),
        ("Größe ㎏", "größe kg"),
    ],
)
def test_what_compares_equal(one: str, other: str) -> None:
    assert fold(one) == fold(other)


@given(st.text())
def test_any_text_is_fine(text: str) -> None:
    assert isinstance(fold(text), str)
    assert fold("\ud800" + text)
