from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.records import Suggestion
from detectors.standardise.time import (
    all_standard,
    ambiguous_mark,
    day_first,
    is_time,
    standardise_date,
    standardise_time,
    to_millis,
)


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
        ("2024-03-05T24:00:00Z", "2024-03-06T00:00:00Z"),
        ("2024-12-31 24:00", "2025-01-01T00:00:00Z"),
        ("2016-12-31T23:59:60Z", "2017-01-01T00:00:00Z"),
        ("2017-01-01T07:59:60+08:00", "2017-01-01T00:00:00Z"),
        ("2017-01-01T05:29:60+05:30", "2017-01-01T00:00:00Z"),
        ("2024-03-05 10:30:00 AM", "2024-03-05T10:30:00Z"),
        ("2024-03-05 10:30:00 pm", "2024-03-05T22:30:00Z"),
        ("2024-03-05 12:30 AM", "2024-03-05T00:30:00Z"),
        ("2024-03-05 12:30 PM", "2024-03-05T12:30:00Z"),
        ("上午10:30 2024-03-05", "2024-03-05T10:30:00Z"),
        ("下午2:05 2024年3月5日", "2024-03-05T14:05:00Z"),
        ("2024-03-05 下午2:05", "2024-03-05T14:05:00Z"),
        ("2024年3月5日 下午2:05", "2024-03-05T14:05:00Z"),
        ("2024年3月5日 星期二 10:30", "2024-03-05T10:30:00Z"),
        ("民国113年3月5日", "2024-03-05T00:00:00Z"),
        ("民國113/03/05 下午2:05", "2024-03-05T14:05:00Z"),
        ("民國一百一十三年三月五日", "2024-03-05T00:00:00Z"),
        ("中华民国元年1月1日", "1912-01-01T00:00:00Z"),
        ("二〇二四年三月五日", "2024-03-05T00:00:00Z"),
        ("二零二四年十二月二十五日 下午三点二十分", "2024-12-25T15:20:00Z"),
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
        *("2024-03-05T24:00:01Z", "2024-03-05T10:30:60Z", "2024-03-05 13:30 AM", "9999-12-31T24:00:00Z"),
        *("113年3月5日", "二〇二四年十三月五日", "13/13/2024", "2019-10-01 5:"),
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


@pytest.mark.parametrize(
    ("text", "likeliest"),
    [
        ("01/10/2019", "2019-01-10T00:00:00Z"),
        ("01-10-2019", "2019-10-01T00:00:00Z"),
        ("05/03/2024 10:30", "2024-05-03T10:30:00Z"),
        ("2024年3月5日晚上12点", "2024-03-06T00:00:00Z"),
    ],
)
def test_what_can_be_read_in_two_ways_is_only_suggested(text: str, likeliest: str) -> None:
    outcome = standardise_time(text)
    assert outcome is not None
    assert outcome.steps == ()
    (fault,) = outcome.faults
    assert (fault.rule.name, fault.confidence, fault.suggestion) == ("time.ambiguous", 0.6, Suggestion(likeliest))
    assert to_millis(text) is None
    assert is_time(text)


def test_a_day_above_twelve_tells_the_order() -> None:
    sure = standardise_time("31/10/2019")
    assert sure is not None
    assert sure.steps[0].confidence == 0.95
    assert day_first("31/10/2019") == ("/", True)
    assert day_first("10-31-2019 12:00") == ("-", False)
    assert day_first("10/11/2019") is None
    assert day_first("31/31/2019") is None
    assert [ambiguous_mark(text) for text in ("01/10/2019", "01-10-2019", "31/10/2019", "x", 7)] == [
        "/",
        "-",
        None,
        None,
        None,
    ]


def test_how_the_source_writes_dates_settles_it() -> None:
    for day_is_first, right in ((True, "2019-10-01T00:00:00Z"), (False, "2019-01-10T00:00:00Z")):
        outcome = standardise_time("01/10/2019", day_is_first)
        assert outcome is not None
        assert outcome.faults == ()
        assert (outcome.steps[0].after, outcome.steps[0].confidence) == (right, 0.92)
    assert standardise_time("31/10/2019", day_is_first=False) == standardise_time("31/10/2019")


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


@given(st.text(max_size=90) | st.text(alphabet="0123456789-/.: TZ年月日+APMOctober,民国二十〇上下午晚点", max_size=40))
def test_any_text_is_fine(text: str) -> None:
    result = after(text)
    assert (result is None) == (to_millis(text) is None)
    assert result is None or standardise_time(result) is None


@given(st.integers() | st.floats() | st.booleans() | st.none() | st.lists(st.integers()))
def test_any_value_is_fine(value: Any) -> None:
    result = after(value)
    assert result is None or isinstance(result, str)


@pytest.mark.parametrize(
    ("value", "right"),
    [
        ("2026-11-26 07:30:00", "2026-11-25T23:30:00Z"),
        ("2026年11月26日 上午7点30分", "2026-11-25T23:30:00Z"),
        ("26/11/2026 07:30", "2026-11-25T23:30:00Z"),
        ("26 November 2026 07:30", "2026-11-25T23:30:00Z"),
        ("20261126073000", "2026-11-25T23:30:00Z"),
        (20261126, "2026-11-25T16:00:00Z"),
        ("2026-11-26 07:30:00 UTC", "2026-11-26T07:30:00Z"),
        ("2026-11-26T07:30:00+02:00", "2026-11-26T05:30:00Z"),
        ("2026-11-26T07:30:00Z", "2026-11-26T07:30:00Z"),
        ("20261126T073000Z", "2026-11-26T07:30:00Z"),
        (1764113400, "2025-11-25T23:30:00Z"),
    ],
)
def test_a_time_that_names_no_zone_is_of_the_contracts(value: Any, right: str) -> None:
    outcome = standardise_time(value, local=ZoneInfo("Asia/Shanghai"))
    assert (value if outcome is None else outcome.steps[-1].after) == right


def test_the_reason_names_the_zone_that_was_supposed() -> None:
    outcome = standardise_time("2026-07-01 12:00", local=ZoneInfo("Europe/Berlin"))
    assert outcome is not None
    (step,) = outcome.steps
    assert step.after == "2026-07-01T10:00:00Z", "summer time"
    assert step.reason == "time in another notation, in the time of Europe/Berlin, written as ISO 8601 UTC"
