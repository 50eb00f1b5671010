"""Behaviour events that were seen before."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Final, NamedTuple

import orjson

from detectors.contract.model import Role
from detectors.records import Batch, Dimension, Evidence, Finding, Record, Rule, Severity

__all__ = ["REPEAT", "REPLAY", "RepeatDetector"]

REPEAT: Final = Rule(
    "behavior.repeat",
    Dimension.UNIQUENESS,
    Severity.WARNING,
    "The same event arrived again, with the same id and content, at another place of the topic.",
)
REPLAY: Final = Rule(
    "behavior.replay",
    Dimension.UNIQUENESS,
    Severity.WARNING,
    "Old events were sent again: the same user, product, type and time under a new id, or the same id long after.",
)


_WHO_AND_WHEN: Final = (Role.USER, Role.TIME)
_WHAT: Final = (Role.TYPE, Role.PRODUCT, Role.PRICE, Role.QUERY, Role.REVIEW)


class _Seen(NamedTuple):
    """Where an event was first seen."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    content: bytes

    def before(self, other: _Seen) -> bool:
        """Whether this place comes earlier in the same partition: after a rebalance it can be seen later."""
        return self.offset < other.offset and self[:2] == other[:2]

    @property
    def where(self) -> str:
        return f"{self.topic}/{self.partition}/{self.offset}"


class RepeatDetector:
    """Knows events by their id and by their content: user, product, type, time, price, query and review.

    Same id and same content at another place: `behavior.repeat`, or `behavior.replay` where the first one is more than
    `replay_after` older (Kafka's timestamps, milliseconds). Same content with the user and the time known, under
    another id or none: `behavior.replay`. Same id and other content is neither. The very same place of the topic once
    more is Kafka's redelivery and no repeat, so a batch that is processed again says what it said before.

    Stateful and bounded: remembers at least the `capacity // 2` events seen last, at most `capacity` (about 0.5 KB
    each), per worker and since it started. An event that comes again after more events than that is not recognised.

    Raises: ValueError for a capacity below 2.
    """

    rules: tuple[Rule, ...] = (REPEAT, REPLAY)

    def __init__(self, *, capacity: int = 200_000, replay_after: int = 600_000) -> None:
        if capacity < 2:
            raise ValueError(f"capacity is {capacity}; at least 2 events must be remembered")
        self.capacity = capacity
        self.replay_after = replay_after
        self._reset()

    def _reset(self) -> None:
        # Two generations instead of one queue: dropping the older half at once costs nothing per event.
        self._ids: dict[str, _Seen] = {}
        self._old_ids: dict[str, _Seen] = {}
        self._contents: dict[bytes, _Seen] = {}
        self._old_contents: dict[bytes, _Seen] = {}

    def detect(self, batch: Batch) -> list[Finding]:
        """Findings of this batch, ordered by row."""
        findings: list[Finding] = []
        has_id = batch.contract.column_of(Role.EVENT_ID) is not None
        for row, (record, (content, whole)) in enumerate(zip(batch.records, _contents(batch), strict=True)):
            source = record.source
            here = _Seen(source.topic, source.partition, source.offset, source.timestamp, content)
            found = self._by_id(row, record, here) if has_id else None
            if found is None and whole:
                found = self._by_content(row, record, here, has_id)
            if found is not None:
                findings.append(found)
        if max(len(self._ids), len(self._contents)) >= self.capacity // 2:
            self._old_ids, self._ids = self._ids, {}
            self._old_contents, self._contents = self._contents, {}
        return findings

    def _by_id(self, row: int, record: Record, here: _Seen) -> Finding | None:
        seen = self._ids.get(record.identity) or self._old_ids.get(record.identity)
        if seen is None or here.before(seen):
            self._ids[record.identity] = here
            return None
        if seen.offset == here.offset and seen[:2] == here[:2]:
            return None
        if seen.content != here.content:
            return None
        if here.timestamp - seen.timestamp > self.replay_after:
            reason = f"The same event was seen long before at {seen.where}: old events were sent again."
            return _finding(row, REPLAY, record, seen, 0.95, reason)
        return _finding(row, REPEAT, record, seen, 0.99, f"The same event was seen before at {seen.where}.")

    def _by_content(self, row: int, record: Record, here: _Seen, has_id: bool) -> Finding | None:
        seen = self._contents.get(here.content) or self._old_contents.get(here.content)
        if seen is None or here.before(seen):
            self._contents[here.content] = here
            return None
        if seen.offset == here.offset and seen[:2] == here[:2]:
            return None
        how = "under another id" if has_id else "at another place"
        reason = f"The same user did the same with the same product at the same time {how}: see {seen.where}."
        return _finding(row, REPLAY, record, seen, 0.95 if has_id else 0.8, reason)


def _contents(batch: Batch) -> Iterator[tuple[bytes, bool]]:
    """Of each event a digest of what it says, and whether it says enough to be known by it: who, when and what."""
    columns = [batch.column(role) for role in _WHO_AND_WHEN + _WHAT]
    blake2b = hashlib.blake2b
    for said in zip(*columns, strict=True):
        try:
            body = orjson.dumps(said)  # NaN, which it would write as null, is null since decoding
        except TypeError:  # an integer beyond 64 bits, half a character
            body = repr(said).encode("utf-8", "replace")
        digest = blake2b(body, digest_size=8).digest()
        yield digest, said[0] is not None and said[1] is not None and said.count(None) < len(_WHAT)


def _finding(row: int, rule: Rule, record: Record, seen: _Seen, confidence: float, reason: str) -> Finding:
    return Finding(
        row=row,
        rule=rule,
        column=None,
        observed=record.identity,
        confidence=confidence,
        evidence=Evidence(
            reason,
            statistics={
                "first_offset": float(seen.offset),
                "seconds_between": round((record.source.timestamp - seen.timestamp) / 1000, 3),
            },
        ),
    )
