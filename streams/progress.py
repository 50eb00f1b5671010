"""Lines in the log now and then: what a worker has done since the last one, and how long what waits will take."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable, Set
from typing import Any

import structlog
from prometheus_client import CollectorRegistry

__all__ = ["LoadLog", "ProgressLog", "duration"]

log = structlog.get_logger(__name__)

_WINDOW_SECONDS = 60.0  # over which the speed is taken
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


class LoadLog:
    """Says how long the products that wait will take, where they are many: at a first load, and after a long stop.

    many: products from which it speaks. first_seconds: after which it speaks first. clock: seconds that only rise.
    """

    def __init__(
        self,
        many: int = 5_000,
        first_seconds: float = 10.0,
        every_seconds: float = 30.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._many = many
        self._first = first_seconds
        self._every = every_seconds
        self._clock = clock
        self._seen: deque[tuple[float, int]] = deque()  # when, and how many were committed
        self._began: tuple[float, int] | None = None
        self._partitions: Set[Any] = frozenset()
        self._said_at = 0.0

    def note(self, waiting: int, done: int, partitions: Set[Any]) -> None:
        """To be called often. partitions: this worker's. waiting: their products that wait. done: a sum that rises as
        they are done, and that means nothing more when the partitions are others.
        """
        now = self._clock()
        if self._began is None:
            if waiting < self._many:
                return
            self._began, self._said_at, self._partitions = (now, done), now + self._first - self._every, partitions
        if partitions != self._partitions:
            self._partitions, self._began = partitions, (now, done)
            self._seen.clear()
        self._seen.append((now, done))
        while self._seen[0][0] < now - _WINDOW_SECONDS:
            self._seen.popleft()
        if waiting == 0:
            seconds = round(now - self._began[0])
            log.info("products.loaded", products=done - self._began[1], seconds=seconds)
            self._began = None
            self._seen.clear()
        elif now - self._said_at >= self._every:
            self._said_at = now
            since, before = self._seen[0]
            per_second = (done - before) / (now - since) if now > since else 0.0
            left = duration(waiting / per_second) if per_second else "not known yet"
            log.info("products.loading", waiting=waiting, per_second=round(per_second), time_left=left)


def duration(seconds: float) -> str:
    """In words: "about 40 s", "about 3 min", "about 2.5 h"."""
    if seconds < 90:
        return f"about {max(1, round(seconds))} s"
    if seconds < 5400:
        return f"about {round(seconds / 60)} min"
    return f"about {seconds / 3600:.1f} h"
