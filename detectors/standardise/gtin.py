"""Article numbers (GTIN: EAN, UPC, ISBN): one form, and the check digit.

The standard form is text: GTIN-13, to which UPC (12 digits) is padded with a zero and ISBN-10 is converted; GTIN-8 and
a GTIN-14 of a trade unit stay. Zeros that a spreadsheet dropped are put back only where the check digit then fits. Of
`4006381333931.0`, which a table makes of a number where others are missing, the part before the point is the number. A
wrong check digit is never repaired: which digit is wrong cannot be known.
"""

from __future__ import annotations

import re
from typing import Any

from stdnum import ean, isbn

from detectors.standardise.memoised import memoised
from detectors.standardise.outcome import GTIN_CHECK_DIGIT, GTIN_FORMAT, Fault, Outcome, Step
from detectors.standardise.text import ordinary_characters

__all__ = ["standardise_gtin"]

_NUMBER = "given as a number, written as text"
_SEPARATORS = re.compile(r"[\s\u2010-\u2015\u2212.-]+")
_PREFIX = re.compile(r"(?:GTIN|EAN|UPC|ISBN)(?:-?1[0234]|-?8)?[:：\s]+", re.IGNORECASE)
_DECIMAL = re.compile(r"([0-9]{1,14})\.0{1,2}")
_DIGITS = re.compile(r"[0-9]{1,14}")
_ISBN10 = re.compile(r"[0-9]{9}[0-9Xx]")


def standardise_gtin(value: Any) -> Outcome | None:
    """A GTIN in standard form; None where it is that already. Any JSON value is fine."""
    if isinstance(value, str):
        return _standardise(value, "")
    if isinstance(value, float) and value.is_integer() and 0 < value < 1e15:
        value = int(value)
    if isinstance(value, int) and not isinstance(value, bool) and 0 < value < 10**15:
        return _standardise(str(value), _NUMBER)
    return Outcome(faults=(Fault(GTIN_FORMAT, "the value is neither a text nor a number of up to 14 digits", 0.95),))


@memoised(16_384, 60)
def _standardise(text: str, habit: str) -> Outcome | None:
    if len(text) > 60:
        return Outcome(faults=(Fault(GTIN_FORMAT, f"the value has {len(text)} characters", 0.95),))
    digits = _PREFIX.sub("", ordinary_characters(text).strip(), count=1)
    if decimal := _DECIMAL.fullmatch(digits):
        digits, habit = decimal[1], "written as a decimal number"
    digits = _SEPARATORS.sub("", digits)
    if not habit and digits != text:
        habit = "separators removed"
    if _ISBN10.fullmatch(digits) and isbn.is_valid(digits):
        after = ean.compact(isbn.to_isbn13(digits.upper()))
        return _outcome(text, after, "ISBN-10 converted to the EAN that stands for it")
    if not _DIGITS.fullmatch(digits):
        return Outcome(faults=(Fault(GTIN_FORMAT, f"“{text:.40}” is not a number of 8, 12, 13 or 14 digits", 0.95),))
    if not digits.strip("0"):
        return Outcome(faults=(Fault(GTIN_FORMAT, "the number is all zeros", 0.95),))
    if len(digits) == 8 and ean.is_valid(digits):
        return _outcome(text, digits, habit)
    if len(digits) == 14 and not digits.startswith("0"):
        return _checked(text, digits, habit)
    padded = digits.removeprefix("0").zfill(13) if len(digits) == 14 else digits.zfill(13)
    if len(digits) in (12, 13, 14):
        return _checked(text, padded, habit or "written with 13 digits")
    if len(digits) in (9, 10, 11) and ean.is_valid(padded):
        return _outcome(text, padded, "leading zeros that were dropped put back", 0.9)
    if len(digits) == 8:
        return Outcome(faults=(_wrong_digit(digits),))
    return Outcome(faults=(Fault(GTIN_FORMAT, f"the number has {len(digits)} digits, not 8, 12, 13 or 14", 0.95),))


def _wrong_digit(digits: str) -> Fault:
    wanted = ean.calc_check_digit(digits[:-1])
    return Fault(GTIN_CHECK_DIGIT, f"the check digit of {digits} is {digits[-1]}, by the other digits {wanted}", 0.99)


def _checked(text: str, digits: str, habit: str) -> Outcome | None:
    if ean.is_valid(digits):
        return _outcome(text, digits, habit)
    return Outcome(faults=(_wrong_digit(digits),))


def _outcome(text: str, after: str, habit: str, confidence: float = 1.0) -> Outcome | None:
    if after == text and habit != _NUMBER:
        return None
    return Outcome((Step(after, "gtin.notation", f"article number: {habit}", confidence),))
