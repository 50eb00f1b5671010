"""Prices as numbers, and currencies as magnitudes."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from importlib import resources
from typing import Any, Final

__all__ = ["RATES", "RATES_DATE", "number", "rescale", "show"]

_TABLE: Final = json.loads(resources.files("detectors").joinpath("exchange_rates.json").read_text(encoding="utf-8"))

RATES: Final[Mapping[str, float]] = {code: float(rate) for code, rate in _TABLE["rates"].items()}
"""Units of each currency for one US dollar; for comparing magnitudes only."""

RATES_DATE: Final[str] = _TABLE["date"]


def number(value: Any) -> float | None:
    """A positive, finite price as a number; None for everything else (texts are read as plain decimals)."""
    if type(value) is not float:
        if isinstance(value, bool) or not isinstance(value, int | float | str | Decimal):
            return None
        try:
            value = float(value)
        except (ValueError, OverflowError):
            return None
    return value if 0 < value < math.inf else None


def rescale(value: Any, factor: Decimal) -> Any:
    """`value` times `factor`, exactly, in the type that `value` has.

    Raises: ValueError if the value is no number.
    """
    try:
        scaled = Decimal(str(value)) * factor
    except InvalidOperation as error:
        raise ValueError("only a number can be rescaled") from error
    if isinstance(value, Decimal):
        return scaled
    if isinstance(value, str):
        return f"{scaled.normalize():f}"
    if isinstance(value, int) and scaled == scaled.to_integral_value():
        return int(scaled)
    return float(scaled)


def show(price: float) -> str:
    """A price as people write it: `199`, `19.99`, `0.0021`."""
    return f"{price:.2f}".rstrip("0").rstrip(".") if price >= 0.1 else f"{price:.4g}"
