"""Behaviour events at times that cannot be."""

from __future__ import annotations

from typing import Final

import numpy as np

from detectors.contract.model import Role
from detectors.records import Batch, Dimension, Evidence, Finding, Rule, Severity

__all__ = ["TIME", "TimeDetector"]

TIME: Final = Rule(
    "behavior.time",
    Dimension.TIMELINESS,
    Severity.WARNING,
    "The event says it happened after it was sent, before 2000, or long before all the events around it.",
)

_YEAR_2000: Final = 946_684_800_000
_DAY: Final = 86_400_000


class TimeDetector:
    """Compares an event's own time with the time that Kafka noted. All in milliseconds.

    In the future: more than `skew` after Kafka's timestamp (a shopper's clock may be a little fast). Impossible:
    before 2000. Stale: more than `stale` before Kafka's timestamp while half of the batch is less than a day old, so
    that a history that is loaded late is no fault. An event without a time of its own has Kafka's and is never wrong.
    """

    rules: tuple[Rule, ...] = (TIME,)

    def __init__(self, *, skew: int = 300_000, stale: int = 30 * _DAY) -> None:
        if skew < 0 or stale < 0:
            raise ValueError(f"skew is {skew} and stale is {stale}; both are milliseconds and not negative")
        self.skew = skew
        self.stale = stale

    def detect(self, batch: Batch) -> list[Finding]:
        """Findings of this batch, ordered by row."""
        column = batch.contract.column_of(Role.TIME)
        n = len(batch)
        if column is None or not n:
            return []
        own = np.fromiter((record.event_time for record in batch.records), np.float64, n)
        sent = np.fromiter((record.source.timestamp for record in batch.records), np.float64, n)
        age = np.where(sent > 0, sent - own, 0.0)
        future = age < -self.skew
        ancient = own < _YEAR_2000
        stale = (age > self.stale) & bool(np.median(age) < _DAY)
        findings = []
        for row in np.flatnonzero(future | ancient | stale).tolist():
            value = batch.records[row].values.get(column)
            if value is None:
                continue
            if future[row]:
                reason, confidence = f"{_span(-age[row])} after the event was sent.", 0.98
            elif ancient[row]:
                reason, confidence = "before the year 2000.", 0.98
            else:
                reason, confidence = f"{_span(age[row])} before it was sent, while the events around it are new.", 0.8
            findings.append(
                Finding(
                    row=row,
                    rule=TIME,
                    column=column,
                    observed=value,
                    confidence=confidence,
                    evidence=Evidence(
                        f"The event says it happened {reason}",
                        statistics={"age_seconds": round(float(age[row]) / 1000, 3)},
                    ),
                )
            )
        return findings


def _span(milliseconds: float) -> str:
    seconds = milliseconds / 1000
    for unit, size in (("years", 31_557_600), ("days", 86_400), ("hours", 3_600), ("minutes", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} seconds"
