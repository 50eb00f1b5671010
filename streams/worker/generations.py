"""Generations: a topic made anew, given more partitions or re-keyed starts its offsets again; versions must not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import orjson

from sinks.partitioner import partitions_of

__all__ = ["GENERATION_KEY", "Generation", "next_generation", "read_generation"]

GENERATION_KEY = b"\x00generation/"  # no identity begins with it
_MOST_PARTITIONS = 1 << 31  # a number that Kafka's protocol does not hold is none


@dataclass(frozen=True, slots=True)
class Generation:
    """Which life of a source topic the catalogue's versions speak of.

    topic_id: Kafka's own id of the topic, another one when the topic was made anew.
    starts: per partition the offset from which this generation holds; what lies before belongs to the one before,
    unless its key says that it came after the growth: between that and our noticing, producers send to the new
    places already. grown_from: partitions before the growth; 0 for a topic that did not grow.
    """

    topic: str
    topic_id: str
    partitions: int
    number: int
    starts: Mapping[int, int]
    grown_from: int = 0

    def of(self, partition: int, offset: int, key: bytes | None) -> int:
        """The generation of a record."""
        if offset >= self.starts.get(partition, 0) or self._has_moved(partition, key):
            return self.number
        return self.number - 1

    def _has_moved(self, partition: int, key: bytes | None) -> bool:
        """Whether Kafka's partitioner puts this key into this partition now, and into another one before."""
        if key is None or not self.grown_from:
            return False
        (now,), (before,) = partitions_of([key], self.partitions), partitions_of([key], self.grown_from)
        return now == partition != before

    def encode(self) -> tuple[bytes, bytes]:
        """(key, value) for the catalogue topic."""
        body = {
            "topic_id": self.topic_id,
            "partitions": self.partitions,
            "number": self.number,
            "grown_from": self.grown_from,
            "starts": {str(partition): offset for partition, offset in self.starts.items()},
        }
        return GENERATION_KEY + self.topic.encode(), orjson.dumps(body)


def read_generation(key: bytes, value: bytes) -> Generation:
    """The generation that `encode` wrote. Raises: ValueError."""
    try:
        body = orjson.loads(value)
        partitions, grown_from = int(body["partitions"]), int(body["grown_from"])
        if not 0 < partitions < _MOST_PARTITIONS or not 0 <= grown_from < _MOST_PARTITIONS:
            raise ValueError(f"it has {partitions} partitions, and had {grown_from}")
        return Generation(
            key[len(GENERATION_KEY) :].decode(),
            str(body["topic_id"]),
            partitions,
            int(body["number"]),
            {int(partition): int(offset) for partition, offset in body["starts"].items()},
            grown_from,
        )
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError) as error:
        raise ValueError(f"The generation of a topic does not read: {type(error).__name__} {error}.") from error


def next_generation(
    known: Generation | None,
    topic: str,
    topic_id: str,
    partitions: int,
    ends: Mapping[int, int],
    sibling: Generation | None = None,
) -> Generation:
    """The generation of a topic as it is now; `known` itself where nothing changed.

    ends: offset after the last record of each partition. sibling: of the topic that carried the same records before,
    when they began or ceased to be re-keyed.
    """
    if sibling is not None and (known is None or known.number <= sibling.number):
        return Generation(topic, topic_id, partitions, sibling.number + 1, {})
    if known is None:
        return Generation(topic, topic_id, partitions, 0, {})
    if known.topic_id != topic_id:
        return Generation(topic, topic_id, partitions, known.number + 1, {})
    if known.partitions != partitions:
        old = {p: end for p, end in ends.items() if p < known.partitions}
        return Generation(topic, topic_id, partitions, known.number + 1, old, known.partitions)
    return known
