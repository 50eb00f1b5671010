from __future__ import annotations

import pytest

from detectors.behaviour.times import TimeDetector
from tests.detectors.products import NOW, behaviour_batch

DAY = 86_400_000


def _found(*event_times: int) -> list[tuple[int, str]]:
    batch = behaviour_batch([{"time": "as told"}] * len(event_times), event_times=event_times)
    return [(finding.row, finding.evidence.reason) for finding in TimeDetector().detect(batch)]


def test_usual_delays_and_clocks_that_are_a_little_fast_are_fine() -> None:
    assert _found(NOW, NOW - DAY, NOW + 300_000, NOW - 20 * DAY) == []


def test_the_future_and_times_before_the_shop() -> None:
    assert _found(NOW, NOW + 3 * DAY, 0, NOW) == [
        (1, "The event says it happened 3 days after the event was sent."),
        (2, "The event says it happened before the year 2000."),
    ]


def test_stale_only_among_new_ones() -> None:
    assert _found(NOW, NOW - 400 * DAY, NOW) == [
        (1, "The event says it happened 400 days before it was sent, while the events around it are new.")
    ]
    assert _found(NOW - 400 * DAY, NOW - 401 * DAY, NOW) == []


def test_an_event_without_a_time_of_its_own_is_never_wrong() -> None:
    batch = behaviour_batch([{"time": None}], event_times=[0])
    assert TimeDetector().detect(batch) == []


def test_limits_are_not_negative() -> None:
    with pytest.raises(ValueError, match="milliseconds"):
        TimeDetector(skew=-1)
