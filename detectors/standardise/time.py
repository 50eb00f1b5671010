"""Times in any common notation as ISO 8601 in UTC: `2019-10-01T00:00:00Z`.

Documented choices:

- A time without a zone is of the zone that the contract names (`timezone`), else UTC. A date without a time is its
  midnight there.
- Dots mean day first: 01.10.2019 is 1 October. Where day and month are set apart by slashes or hyphens and neither is
  above 12, nothing is taken for sure: slashes suggest the month first (01/10/2019 is 10 January), hyphens the day, at
  a confidence of 0.6. Another date of the same source may settle it, see `day_first`.
- 24:00 is the next day's midnight, 23:59:60 UTC the second after 23:59:59. Twelve or zero o'clock in the evening
  (晚上12点) suggests the midnight that ends the day, at 0.6.
- Epoch numbers are seconds, milliseconds, microseconds or nanoseconds by their size, from 1973 (1e8 s) on; smaller
  numbers are no times, except dates written 20191001.
- Fractions of a second are kept to the microsecond.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from email.utils import parsedate_to_datetime
from typing import Any, NamedTuple

from dateutil import parser as dateutil_parser

from detectors.records import Suggestion
from detectors.standardise.memoised import memoised
from detectors.standardise.numerals import with_digits
from detectors.standardise.outcome import SURE, TIME_AMBIGUOUS, TIME_UNPARSEABLE, Fault, Outcome, Step
from detectors.standardise.text import ordinary_characters

__all__ = [
    "all_standard",
    "ambiguous_mark",
    "day_first",
    "is_time",
    "standardise_date",
    "standardise_time",
    "to_millis",
]

_DAY = (  # a day that exists, but for 29 February
    r"[0-9]{4}-(?:(?:0[1-9]|1[0-2])-(?:0[1-9]|1[0-9]|2[0-8])|(?:0[13-9]|1[0-2])-(?:29|30)|(?:0[13578]|1[02])-31)"
)
_CLOCK = r"(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]"
_STANDARD = rf"(?!0000){_DAY}T{_CLOCK}(?:\.[0-9]{{1,6}})?Z"
_ALL_STANDARD = re.compile(rf"{_STANDARD}(?:\n{_STANDARD})*")
_ONE_STANDARD = re.compile(_STANDARD)
_SPACED_UTC = re.compile(rf"(?!0000)({_DAY})[ T]({_CLOCK})(?: ?UTC| ?GMT|\+00:?00)")

_ISO_LIKE = re.compile(
    r"(\d{4})[-/.](\d{1,2})[-/.](\d{1,2})"
    r"(?:(?:\s*T\s*|\s+)(\d{1,2}):(\d{2})(?::(\d{2})(?:[.,](\d{1,9}))?)?(?:\s*([AP])\.?M\.?)?)?"
    r"\s*(Z|UTC|GMT|[+-]\d{2}(?::?\d{2})?)?",
    re.IGNORECASE | re.ASCII,
)
_DAY_OR_MONTH_FIRST = re.compile(
    r"(\d{1,2})([-/.])(\d{1,2})\2(\d{4})"
    r"(?:(?:\s*T\s*|,?\s+)(\d{1,2}):(\d{2})(?::(\d{2})(?:[.,](\d{1,9}))?)?(?:\s*([AP])\.?M\.?)?)?"
    r"\s*(Z|UTC|GMT|[+-]\d{2}(?::?\d{2})?)?",
    re.IGNORECASE | re.ASCII,
)
_HAN = re.compile(
    r"(\d{4})\s*[-/.年]\s*(\d{1,2})\s*[-/.月]\s*(\d{1,2})\s*[日号號]?"
    r"(?:\s*(上午|下午|晚上|中午|凌晨)?\s*(\d{1,2})\s*[:时時点點]\s*(?:(\d{1,2})\s*[:分]?\s*(?:(\d{1,2})\s*秒?)?)?)?",
    re.ASCII,
)
_HAN_CLOCK_FIRST = re.compile(
    r"((?:上午|下午|晚上|中午|凌晨)?\s*\d{1,2}\s*[:时時点點]\s*(?:\d{1,2}\s*[:分]?\s*(?:\d{1,2}\s*秒?)?)?)"
    r"\s+(\d{4}[-/.年].{3,9})",
    re.ASCII,
)
_CALENDAR = re.compile("[年月日号號国國时時点點]|[上下中]午|晚上|凌晨")
_WEEKDAY = re.compile(r"[(\s]*(?:星期|周|週|礼拜|禮拜)[一二三四五六日天][)\s]*")
_REPUBLIC = re.compile(r"(?:中[华華])?民[国國]\s*(\d{1,3}|元)(?=\s*[-/.年])", re.ASCII)  # its first year is 1912
_COMPACT = re.compile(r"(\d{4})(\d{2})(\d{2})(?:T?(\d{2})(\d{2})(\d{2})Z?)?", re.ASCII)
_EPOCH = re.compile(r"(\d{9,20})(?:\.(\d{1,9}))?", re.ASCII)
_MONTH_NAME = re.compile(r"\b(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)", re.IGNORECASE)
_RFC_2822 = re.compile(
    r"(?:[A-Za-z]{3}, ?)?\d{1,2} [A-Za-z]{3} \d{4} \d{2}:\d{2}(?::\d{2})? [+-]\d{4}(?: \([A-Z]+\))?|"
    r"(?:[A-Za-z]{3}, ?)?\d{1,2} [A-Za-z]{3} \d{4} \d{2}:\d{2}(?::\d{2})? (?:GMT|UTC?)",
    re.ASCII,
)
_FOUR_DIGITS = re.compile(r"(?<!\d)(?:1[89]|2[01])\d{2}(?!\d)", re.ASCII)
_WRITTEN_OUT = re.compile(r"[A-Za-z0-9 ,.:+()-]{8,60}")
_MAX_LENGTH = 80
_EPOCH_START = datetime(1970, 1, 1, tzinfo=UTC)


_MERIDIEM: dict[str | None, str | None] = {None: None, "A": "上午", "a": "上午", "P": "下午", "p": "下午"}


class _Moment(NamedTuple):
    at: datetime  # with a zone
    confidence: float
    notation: str


def all_standard(texts: Sequence[str]) -> bool:
    """Whether every text is in standard form; said of a whole column at once. May say no of 29 February."""
    return bool(texts) and _ALL_STANDARD.fullmatch("\n".join(texts)) is not None


@memoised(65_536, _MAX_LENGTH)
def to_millis(text: str) -> int | None:
    """Milliseconds since 1970 of a time in any notation that this module reads, None where it cannot or is not sure."""
    if _ONE_STANDARD.fullmatch(text):
        return _millis(datetime.fromisoformat(text))
    moment = _read_text(text)
    return None if moment is None or moment.confidence < SURE else _millis(moment.at)


def is_time(text: str) -> bool:
    """Whether the text is a time in any notation, be it one that can be read in two ways."""
    return _read_text(text) is not None


def day_first(text: Any) -> tuple[str, bool] | None:
    """The mark between day and month, and whether the day is first, where the date itself tells: 31/10/2019 does."""
    found = _DAY_OR_MONTH_FIRST.fullmatch(text.strip()) if isinstance(text, str) and len(text) <= _MAX_LENGTH else None
    if found is None:
        return None
    first, mark, second = int(found.group(1)), found.group(2), int(found.group(3))
    return (mark, first > 12) if (first > 12) != (second > 12) else None


def ambiguous_mark(text: Any) -> str | None:
    """The mark between day and month of a date that does not tell them apart, None of any other value."""
    found = _DAY_OR_MONTH_FIRST.fullmatch(text.strip()) if isinstance(text, str) and len(text) <= _MAX_LENGTH else None
    return found.group(2) if found is not None and day_first(text) is None else None


def _millis(at: datetime) -> int:
    return (at - _EPOCH_START) // timedelta(milliseconds=1)


def standardise_time(value: Any, day_is_first: bool | None = None, local: tzinfo = UTC) -> Outcome | None:
    """A time as ISO 8601 text in UTC; None where it is that already. Any JSON value is fine.

    day_is_first: how this source writes dates, where that is known. local: the zone of times that name none.
    """
    if isinstance(value, str):
        return _standardise_text(value, day_is_first, local)
    moment = _read_number(value, local)
    if moment is None:
        return _unreadable(str(value) if isinstance(value, int | float) and abs(value) < 1e20 else "the value")
    return _changed(value, _iso(moment.at), moment, "time.notation")


def standardise_date(value: Any, day_is_first: bool | None = None) -> Outcome | None:
    """A date as `2019-10-01`; None where it is that already, or no date: the contract's type check says so."""
    if not isinstance(value, str) or re.fullmatch(_DAY, value):
        return None
    moment = _read_text(value, day_is_first)
    if moment is None:
        return None
    after = moment.at.date().isoformat()
    if (moment.at.hour, moment.at.minute, moment.at.second, moment.at.microsecond) != (0, 0, 0, 0):
        return None  # a time of day would be lost
    return _changed(value, after, moment, "date.notation")


@memoised(65_536, _MAX_LENGTH)
def _standardise_text(text: str, day_is_first: bool | None, local: tzinfo) -> Outcome | None:
    if _ONE_STANDARD.fullmatch(text):
        return None
    spaced = _SPACED_UTC.fullmatch(text)
    if spaced:
        after = f"{spaced.group(1)}T{spaced.group(2)}Z"
        return Outcome((Step(after, "time.notation", "time in another notation, written as ISO 8601 UTC"),))
    moment = _read_text(text, day_is_first, local)
    if moment is None:
        return _unreadable(f"“{text:.40}”")
    return _changed(text, _iso(moment.at), moment, "time.notation")


def _changed(before: Any, after: str, moment: _Moment, rule: str) -> Outcome | None:
    if before == after:
        return None
    if moment.confidence < SURE:
        reason = f"“{before!s:.40}” can be read in two ways: {moment.notation} it is {after}"
        return Outcome(faults=(Fault(TIME_AMBIGUOUS, reason, moment.confidence, suggestion=Suggestion(after)),))
    return Outcome((Step(after, rule, f"{moment.notation}, written as ISO 8601 UTC", moment.confidence),))


def _unreadable(what: str) -> Outcome:
    return Outcome(faults=(Fault(TIME_UNPARSEABLE, f"{what} cannot be read as a time", 0.99),))


def _iso(at: datetime) -> str:
    precision = "auto" if at.microsecond % 1000 else "milliseconds" if at.microsecond else "seconds"
    return at.astimezone(UTC).isoformat(timespec=precision).replace("+00:00", "Z")


def _read_number(value: Any, local: tzinfo) -> _Moment | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1e20:
        return None
    whole = int(value)
    fraction = 0 if isinstance(value, int) else round((value - whole) * 1e9)
    return _read_compact(str(whole), local) or _epoch(whole, fraction)


def _read_compact(digits: str, local: tzinfo) -> _Moment | None:
    found = _COMPACT.fullmatch(digits)
    if found is None or not 1900 <= int(found.group(1)) < 2200:
        return None
    return _moment(found.groups(), None, "date written without separators", 0.9, local=local)


def _epoch(number: int, nanoseconds: int = 0) -> _Moment | None:
    """Seconds, milliseconds, microseconds or nanoseconds since 1970. nanoseconds: of the fraction, for seconds only."""
    for limit, per_second, name in (
        (10**11, 1, "seconds"),
        (10**14, 10**3, "milliseconds"),
        (10**17, 10**6, "microseconds"),
        (10**20, 10**9, "nanoseconds"),
    ):
        if number < limit:
            if number < 10**8 * per_second:
                return None
            micros = number * 10**6 // per_second + (nanoseconds // 1000 if per_second == 1 else 0)
            try:
                at = _EPOCH_START + timedelta(microseconds=micros)
            except OverflowError:
                return None
            return _Moment(at, 0.98, f"{name} since 1970")
    return None


def _read_text(text: str, day_is_first: bool | None = None, local: tzinfo = UTC) -> _Moment | None:
    if len(text) > _MAX_LENGTH:
        return None
    line = " ".join(ordinary_characters(text).split())
    found = _ISO_LIKE.fullmatch(line)
    if found:
        *parts, half, zone = found.groups()
        sure = 1.0 if zone or local is not UTC else 0.95
        return _moment(parts, zone, "time in another notation", sure, _MERIDIEM[half], local)
    epoch = _EPOCH.fullmatch(line)
    if epoch:
        compact = _read_compact(epoch.group(1), local) if epoch.group(2) is None else None
        return compact or _epoch(int(epoch.group(1)), int((epoch.group(2) or "0").ljust(9, "0")))
    if _COMPACT.fullmatch(line):
        return _read_compact(line.rstrip("Z").replace("T", ""), UTC if line.endswith("Z") else local)
    found = _DAY_OR_MONTH_FIRST.fullmatch(line)
    if found:
        return _day_or_month_first(found, day_is_first, local)
    if _CALENDAR.search(line):
        found = _HAN.fullmatch(_in_digits(line))
        if found:
            year, month, day, half, hour, minute, second = found.groups()
            parts = [year, month, day, hour, minute, second]
            return _moment(parts, None, "date in Chinese notation", 0.95, half, local)
    return _read_written_out(line, local)


def _in_digits(line: str) -> str:
    """A date in Chinese with its numerals as digits, its year counted from our era, its clock behind the day."""
    line = with_digits(_WEEKDAY.sub(" ", line).strip())
    line = _REPUBLIC.sub(lambda m: str(1911 + (1 if m.group(1) == "元" else int(m.group(1)))), line)
    return _HAN_CLOCK_FIRST.sub(r"\2 \1", line)


def _day_or_month_first(found: re.Match[str], day_is_first: bool | None, local: tzinfo) -> _Moment | None:
    first, mark, second, year, hour, minute, seconds, fraction, half, zone = found.groups()
    confidence, how = 0.95, "date with"
    if (int(first) > 12) != (int(second) > 12):
        day_is_first = int(first) > 12
    elif mark == "." or int(first) == int(second):
        day_is_first = True
    elif day_is_first is not None:
        confidence, how = 0.92, "date, as others of this source and batch, with"
    else:
        day_is_first, confidence, how = mark == "-", 0.6, "as a date with"
    day, month = (first, second) if day_is_first else (second, first)
    notation = f"{how} the {'day' if day_is_first else 'month'} first"
    parts = (year, month, day, hour, minute, seconds, fraction)
    return _moment(parts, zone, notation, confidence, _MERIDIEM[half], local)


def _moment(
    parts: Sequence[str | None],
    zone: str | None,
    notation: str,
    confidence: float,
    half: str | None = None,
    local: tzinfo = UTC,
) -> _Moment | None:
    """parts: year, month, day, hour, minute, second, fraction; the last may lack. half: of the day, in Chinese.

    local: the zone where none is named.
    """
    if zone is None and local is not UTC:
        notation = f"{notation}, in the time of {local}"
    year, month, day, hour, minute, second, fraction = (*parts, *(None,) * 7)[:7]
    hours, seconds = int(hour or 0), int(second or 0)
    micros = int((fraction or "0").ljust(6, "0")[:6])
    later = timedelta()
    if half in ("上午", "凌晨") and hours >= 12:
        if hours > 12:
            return None
        hours = 0
    elif half == "晚上" and hours in (0, 12):
        hours, later = 0, timedelta(days=1)
        notation, confidence = "as the midnight that ends the day", 0.6
    elif (half in ("下午", "晚上") and hours < 12) or (half == "中午" and 1 <= hours <= 2):
        hours += 12
    elif hours == 24 and int(minute or 0) == seconds == micros == 0:
        hours, later = 0, timedelta(days=1)
    if seconds == 60:
        seconds, later = 59, timedelta(seconds=1)
    try:
        at = datetime(
            int(year or 0),
            int(month or 0),
            int(day or 0),
            hours,
            int(minute or 0),
            seconds,
            micros,
            local if zone is None else _zone(zone),
        )
        if second == "60" and (at.astimezone(UTC).minute != 59 or half == "晚上"):
            return None  # a leap second ends an hour
        at += later
        at.astimezone(UTC)
    except (ValueError, OverflowError):  # OverflowError: the first or last year, moved out of the calendar by its zone
        return None
    return _Moment(at, confidence, notation)


def _zone(zone: str) -> timezone:
    if zone.upper() in ("Z", "UTC", "GMT"):
        return UTC
    sign = -1 if zone[0] == "-" else 1
    digits = zone[1:].replace(":", "").ljust(4, "0")
    return timezone(sign * timedelta(hours=int(digits[:2]), minutes=int(digits[2:])))


def _unknown_zone(name: str | None, offset: int | None) -> timezone | None:
    if offset is None and name not in (None, "UTC", "GMT", "Z"):
        raise ValueError(f"unknown time zone {name}")
    return None if name is None and offset is None else timezone(timedelta(seconds=offset or 0))


def _read_written_out(line: str, local: tzinfo) -> _Moment | None:
    """RFC 2822, and dates with the month in English words."""
    if not (_WRITTEN_OUT.fullmatch(line) and _MONTH_NAME.search(line) and _FOUR_DIGITS.search(line)):
        return None
    try:
        if _RFC_2822.fullmatch(line):
            at = parsedate_to_datetime(line)
            at = at.replace(tzinfo=UTC) if at.tzinfo is None else at
            return _Moment(at.astimezone(UTC), 0.98, "time in RFC 2822 notation")
        at = dateutil_parser.parse(line, default=datetime(1, 1, 1), tzinfos=_unknown_zone)  # noqa: DTZ001 -- zone below
        at = at.replace(tzinfo=local) if at.tzinfo is None else at
        return _Moment(at.astimezone(UTC), 0.9, "date written out in words")
    except (ValueError, TypeError, OverflowError, AttributeError):
        return None
