from __future__ import annotations

from structlog.testing import capture_logs

from detectors.records import Dimension, Evidence, Finding, Rule, Severity
from sinks.metrics import Metrics
from streams.progress import ProgressLog


def test_a_line_a_minute_of_what_was_done_since_the_last() -> None:
    metrics, now = Metrics("1", "static"), [100.0]
    progress = ProgressLog(metrics.registry, clock=lambda: now[0])
    rule = Rule("price.scale", Dimension.ACCURACY, Severity.ERROR, "why")
    metrics.records("products", "corrected", 5)
    metrics.records("events", "corrected", 2)
    metrics.records("products", "dead_letter", 1)
    metrics.findings("products", [Finding(0, rule, "price", 1, 0.9, Evidence("why"))])
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
