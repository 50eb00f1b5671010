from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stdnum import ean

from detectors.standardise.gtin import standardise_gtin


@pytest.mark.parametrize(
    ("value", "right"),
    [
        ("5901234123457", "5901234123457"),
        ("590-1234-123457", "5901234123457"),
        (" 5901234123457 ", "5901234123457"),
        ("EAN: 5901234123457", "5901234123457"),
        ("５９０１２３４１２３４５７", "5901234123457"),
        (5901234123457, "5901234123457"),
        (5901234123457.0, "5901234123457"),
        ("4006381333931.0", "4006381333931"),
        ("EAN 4006381333931.00", "4006381333931"),
        ("36000291452.0", "0036000291452"),
        ("96385074.0", "96385074"),
        ("10012345678902.0", "10012345678902"),
        ("05901234123457", "5901234123457"),
        ("6901234567892", "6901234567892"),
        ("036000291452", "0036000291452"),
        (36000291452, "0036000291452"),
        ("96385074", "96385074"),
        (96385074, "96385074"),
        ("10012345678902", "10012345678902"),
        ("0-306-40615-2", "9780306406157"),
        ("080442957x", "9780804429573"),
    ],
)
def test_one_form(value: Any, right: str) -> None:
    outcome = standardise_gtin(value)
    assert (value if outcome is None else outcome.steps[0].after) == right
    assert outcome is None or not outcome.faults


@pytest.mark.parametrize(
    "value",
    # The last one's digits, the zero behind the point among them, are those of a sound GTIN-14.
    ["5901234123450", "036000291453", "96385075", "10012345678903", 5901234123450, "4006381333939.0"],
)
def test_a_wrong_check_digit_is_found_and_nothing_invented(value: Any) -> None:
    outcome = standardise_gtin(value)
    assert outcome is not None
    assert [fault.rule.name for fault in outcome.faults] == ["gtin.check_digit"]
    assert outcome.faults[0].suggestion is None
    assert not outcome.steps


def test_a_number_that_a_table_wrote_with_a_point_keeps_its_check_digit() -> None:
    outcome = standardise_gtin("4006381333931.0")
    assert outcome is not None
    assert (outcome.steps[0].rule, outcome.steps[0].reason) == (
        "gtin.notation",
        "article number: written as a decimal number",
    )
    wrong = standardise_gtin("4006381333930.0")
    assert wrong is not None
    assert wrong.faults[0].reason == "the check digit of 4006381333930 is 0, by the other digits 1"


@pytest.mark.parametrize(
    "value",
    ["1234567", "5.90E+12", "none", "0000000000000", "5901234123457 / 5901234123464", "1" * 70, True, [], {}, -1, 0.5],
)
def test_what_is_no_gtin(value: Any) -> None:
    outcome = standardise_gtin(value)
    assert outcome is not None
    assert [fault.rule.name for fault in outcome.faults] == ["gtin.format"]


@given(st.from_regex(r"[0-9]{12}", fullmatch=True))
def test_valid_numbers_stay_valid(body: str) -> None:
    code = body + ean.calc_check_digit(body)
    outcome = standardise_gtin(code)
    assert outcome is None or (not body.strip("0") and outcome.faults)


@given(st.text(max_size=80) | st.integers() | st.floats() | st.none() | st.booleans())
def test_any_value_is_fine(value: Any) -> None:
    outcome = standardise_gtin(value)
    assert outcome is None or outcome.steps or outcome.faults
