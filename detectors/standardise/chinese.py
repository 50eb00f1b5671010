"""Folding for comparison: simplified and traditional Chinese, full width, case. Never for the record itself."""

from __future__ import annotations

import unicodedata
from functools import cache

from opencc import OpenCC

from detectors.standardise.memoised import memoised

__all__ = ["fold"]


@cache
def _to_simplified() -> OpenCC:
    return OpenCC("t2s")


@memoised(65_536, 200)
def fold(text: str) -> str:
    """The text as two texts are compared: NFKC, lower case, simplified Chinese. ASCII is only lowered."""
    if text.isascii():
        return text.lower()
    folded = unicodedata.normalize("NFKC", text).lower()
    try:
        return str(_to_simplified().convert(folded))
    except UnicodeEncodeError:  # a lone surrogate
        return folded
