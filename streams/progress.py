"""A line in the log now and then that says what a worker has done since the last one."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable

import structlog
from prometheus_client import CollectorRegistry

__all__ = ["ProgressLog"]

log = structlog.get_logger(__name__)

_RECORDS, _FINDINGS = "streamgauge_records_total", "streamgauge_findings_total"


class ProgressLog:
    """Reads a worker's counters; says nothing where nothing happened.

    clock: seconds that only rise.
    """

    def __init__(
        self,
        registry: CollectorRegistry,
        every_seconds: float = 60.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._registry = registry
        self._every = every_seconds
        self._clock = clock
        self._said_at = clock()
        self._before: Counter[str] = Counter()

    def tick(self) -> None:
        """To be called often: says what was done where it is time for that."""
        if self._clock() - self._said_at >= self._every:
            self.say()

    def say(self) -> None:
        """Say what was done since the last line."""
        now, totals = self._clock(), self._totals()
        done = totals - self._before
        if done:
            log.info(
                "worker.progress",
                corrected=done["corrected"],
                dead_letters=done["dead_letter"],
                deleted=done["deleted"],
                findings=done["findings"],
                seconds=round(now - self._said_at),
            )
        self._said_at, self._before = now, totals

    def _totals(self) -> Counter[str]:
        totals: Counter[str] = Counter()
        for family in self._registry.collect():
            for sample in family.samples:
                if sample.name == _RECORDS:
                    totals[sample.labels["outcome"]] += int(sample.value)
                elif sample.name == _FINDINGS:
                    totals["findings"] += int(sample.value)
        return totals
