from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.standardise.time import all_standard, standardise_date, standardise_time, to_millis


def after(value: Any) -> Any:
    outcome = standardise_time(value)
    if outcome is None:
        return value
    return outcome.steps[-1].after if outcome.steps else None


@pytest.mark.parametrize(
    ("value", "right"),
    [
        ("2019-10-01T00:00:00Z", "2019-10-01T00:00:00Z"),
        ("2019-10-01T00:00:00.123Z", "2019-10-01T00:00:00.123Z"),
        ("2020-02-29T00:00:00Z", "2020-02-29T00:00:00Z"),
        ("2019-10-01 00:00:00 UTC", "2019-10-01T00:00:00Z"),
        ("2019-10-01 00:00:00", "2019-10-01T00:00:00Z"),
        ("2019-10-01T08:00:00+08:00", "2019-10-01T00:00:00Z"),
        ("2019-10-01 08:00:00 +0800", "2019-10-01T00:00:00Z"),
        ("2019-10-01T00:00:00.500000+00:00", "2019-10-01T00:00:00.500Z"),
        ("2019-10-01T00:00:00.123456789Z", "2019-10-01T00:00:00.123456Z"),
        ("2019-10-01T12:30", "2019-10-01T12:30:00Z"),
        ("2019-10-01", "2019-10-01T00:00:00Z"),
        ("2016/11/9", "2016-11-09T00:00:00Z"),
        ("2016.11.09 7:05", "2016-11-09T07:05:00Z"),
        ("01.10.2019", "2019-10-01T00:00:00Z"),
        ("01-10-2019", "2019-10-01T00:00:00Z"),
        ("01/10/2019", "2019-01-10T00:00:00Z"),
        ("31/10/2019", "2019-10-31T00:00:00Z"),
        ("10.31.2019", "2019-10-31T00:00:00Z"),
        ("10/31/2019 3:04 PM", "2019-10-31T15:04:00Z"),
        ("31.10.2019 15:04:05", "2019-10-31T15:04:05Z"),
        ("2019年10月1日", "2019-10-01T00:00:00Z"),
        ("２０１９年１０月１日", "2019-10-01T00:00:00Z"),
        ("2019年10月1日 下午3点20分", "2019-10-01T15:20:00Z"),
        ("2019年10月1日 08:20:30", "2019-10-01T08:20:30Z"),
        ("Tue, 01 Oct 2019 00:00:00 +0800", "2019-09-30T16:00:00Z"),
        ("Tue, 01 Oct 2019 00:00:00 GMT", "2019-10-01T00:00:00Z"),
        ("Oct 1, 2019 3:04 PM", "2019-10-01T15:04:00Z"),
        ("1 October 2019", "2019-10-01T00:00:00Z"),
        ("20191001", "2019-10-01T00:00:00Z"),
        ("20191001T123000Z", "2019-10-01T12:30:00Z"),
        ("20191001123000", "2019-10-01T12:30:00Z"),
        (20191001, "2019-10-01T00:00:00Z"),
        ("1569888000", "2019-10-01T00:00:00Z"),
        ("1569888000.25", "2019-10-01T00:00:00.250Z"),
        (1569888000, "2019-10-01T00:00:00Z"),
        (1569888000.5, "2019-10-01T00:00:00.500Z"),
        (1569888000123, "2019-10-01T00:00:00.123Z"),
        (1569888000123456, "2019-10-01T00:00:00.123456Z"),
        (1569888000123456789, "2019-10-01T00:00:00.123456Z"),
    ],
)
def test_notations(value: Any, right: str) -> None:
    assert after(value) == right
    if isinstance(value, str):
        at = datetime.fromisoformat(right)
        assert to_millis(value) == int((at - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds() * 1000)


@pytest.mark.parametrize(
    "value",
    [
        *("", "now", "10", "12:30", "2019-02-30", "2019-13-01T00:00:00Z", "2019-10-01T25:00:00Z", "May", "Oct 1"),
        *("0000-01-01T00:00:00Z", "0001-01-01T00:00:00+14:00", "Oct 1, 2019 3:04 PM XYZ", "99999999999999999999999"),
        *(0, 5, -1, 10**30, 1e300, True, [], {}, 12345.5),
    ],
)
def test_what_is_no_time(value: Any) -> None:
    outcome = standardise_time(value)
    assert outcome is not None
    assert [fault.rule.name for fault in outcome.faults] == ["time.unparseable"]
    assert not outcome.steps
    if isinstance(value, str):
        assert to_millis(value) is None


def test_day_or_month_first_is_a_guess_and_says_so() -> None:
    guess, sure = standardise_time("01/10/2019"), standardise_time("31/10/2019")
    assert guess is not None
    assert sure is not None
    assert guess.steps[0].confidence == 0.6
    assert sure.steps[0].confidence == 0.95


@pytest.mark.parametrize(
    ("text", "right"),
    [("2016/11/9", "2016-11-09"), ("2019年10月1日", "2019-10-01"), ("2019-10-01 12:30:00", None), ("x", None)],
)
def test_dates(text: str, right: str | None) -> None:
    outcome = standardise_date(text)
    assert (outcome.steps[0].after if outcome else None) == right


def test_dates_in_standard_form_stay() -> None:
    assert standardise_date("2019-10-01") is None
    assert standardise_date(20191001) is None


def test_a_column_is_standard_as_a_whole() -> None:
    assert all_standard(["2019-10-01T00:00:00Z", "2019-10-31T23:59:59.5Z"])
    assert not all_standard(["2019-10-01T00:00:00Z", "2019-10-01 00:00:00 UTC"])
    assert not all_standard(["2019-02-30T00:00:00Z"])
    assert not all_standard(["2019-10-01T00:00:00Z\n2019-10-01T00:00:00Z", "x"])
    assert not all_standard([])


@given(st.datetimes(timezones=st.just(UTC)))
def test_iso_gives_the_time_back(at: datetime) -> None:
    text = after(at.isoformat())
    assert datetime.fromisoformat(text) == at
    assert standardise_time(text) is None
    assert to_millis(text) == (at - datetime(1970, 1, 1, tzinfo=UTC)) // datetime.resolution // 1000


@given(st.text(max_size=90) | st.text(alphabet="0123456789-/.: TZ年月日+APMOctober,", max_size=40))
def test_any_text_is_fine(text: str) -> None:
    result = after(text)
    assert (result is None) == (to_millis(text) is None)
    assert result is None or standardise_time(result) is None


@given(st.integers() | st.floats() | st.booleans() | st.none() | st.lists(st.integers()))
def test_any_value_is_fine(value: Any) -> None:
    result = after(value)
    assert result is None or isinstance(result, str)
