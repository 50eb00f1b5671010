from __future__ import annotations

from structlog.testing import capture_logs

from detectors.records import Dimension, Rule, Severity
from sinks.metrics import Metrics
from streams.progress import LoadLog, ProgressLog, duration


def test_a_line_a_minute_of_what_was_done_since_the_last() -> None:
    metrics, now = Metrics("1", "static"), [100.0]
    progress = ProgressLog(metrics.registry, clock=lambda: now[0])
    rule = Rule("price.scale", Dimension.ACCURACY, Severity.ERROR, "why")
    metrics.records("products", "corrected", 5)
    metrics.records("events", "corrected", 2)
    metrics.records("products", "dead_letter", 1)
    metrics.findings("products", {rule: 1})
    with capture_logs() as lines:
        now[0] = 159.0
        progress.tick()
        assert lines == []
        now[0] = 160.5
        progress.tick()
        now[0] = 300.0
        progress.tick()  # nothing happened
        metrics.records("products", "corrected", 4)
        now[0] = 310.0
        progress.say()  # at the end
    said = {"event": "worker.progress", "log_level": "info", "deleted": 0}
    assert lines == [
        said | {"corrected": 7, "dead_letters": 1, "findings": 1, "seconds": 60},
        said | {"corrected": 4, "dead_letters": 0, "findings": 0, "seconds": 10},
    ]


def test_how_long_what_waits_takes_is_said_where_it_is_much() -> None:
    now = [0.0]
    loading = LoadLog(many=1000, clock=lambda: now[0])
    with capture_logs() as lines:
        loading.note(900, 0, {0, 1})  # not worth a word
        for second in range(0, 44, 2):
            now[0] = float(second)
            loading.note(100_000 - 50 * second, 50 * second, {0, 1})
        for second in range(44, 60, 2):  # a partition came, with its own sum
            now[0] = float(second)
            loading.note(40_000 - 100 * second, 1_000_000 + 100 * second, {0, 1, 2})
        now[0] = 100.0
        loading.note(0, 1_010_000, {0, 1, 2})
        loading.note(5, 1_010_000, {0, 1, 2})
    said = {"event": "products.loading", "log_level": "info"}
    assert lines == [
        said | {"waiting": 99_500, "per_second": 50, "time_left": "about 33 min"},
        said | {"waiting": 98_000, "per_second": 50, "time_left": "about 33 min"},
        {"event": "products.loaded", "log_level": "info", "products": 5600, "seconds": 56},
    ]


def test_a_backlog_that_does_not_move_has_no_time_left_to_tell() -> None:
    now = [0.0]
    loading = LoadLog(many=1000, clock=lambda: now[0])
    with capture_logs() as lines:
        for second in (0.0, 10.0):
            now[0] = second
            loading.note(5000, 7, {0})
    assert [(line["waiting"], line["time_left"]) for line in lines] == [(5000, "not known yet")]


def test_durations_in_words() -> None:
    assert [duration(s) for s in (0.1, 40, 200, 9000)] == ["about 1 s", "about 40 s", "about 3 min", "about 2.5 h"]
