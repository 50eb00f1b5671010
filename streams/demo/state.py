"""What the demo's screen shows: a snapshot, so that the screen needs no Kafka."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from streams.marketplace.truth import Report

__all__ = ["DemoState", "Phase"]


class Phase(StrEnum):
    """Where the demo is."""

    KAFKA = "starting Apache Kafka"
    WORKER = "starting the worker"
    LOADING = "loading the catalogue"
    LIVE = "live"
    DRAINING = "waiting for the last results"
    DONE = "done"


@dataclass(frozen=True, slots=True)
class DemoState:
    """One moment of the demo.

    seconds: since the first event was sent. limit: when the demo ends, None: never. sent: events given to Kafka.
    rate: events per second that came out lately. p50_ms, p99_ms: from the broker's confirmation of an event to its
    corrected record being read here, over the last thousands; None before the first. encoder: in words.
    waiting: events sent that nothing accounts for yet. note: a sentence for the person watching.
    """

    phase: Phase
    report: Report
    seconds: float = 0.0
    limit: float | None = None
    sent: int = 0
    rate: float = 0.0
    p50_ms: float | None = None
    p99_ms: float | None = None
    waiting: int = 0
    metrics_url: str | None = None
    encoder: str | None = None
    note: str = ""
