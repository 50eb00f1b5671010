"""The newest records of a topic, for people and for checks; nothing is committed and no group is joined."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from streams.errors import KafkaUnavailableError
from streams.kafka.clients import kafka_python_options

if TYPE_CHECKING:
    from streams.settings import KafkaSettings

__all__ = ["Reader"]

_SILENCE = 30.0  # seconds without an answer
_POLL_MS = 500
_PIECE = 100  # records that are read at least

Wanted = Callable[[Any], bool]


class Reader:
    """Reads records of one topic: the newest ones, then those that come.

    topic: must exist. partitions: how many it has. A context manager; not safe for threads.

    Raises: KafkaUnavailableError where Kafka does not answer.
    """

    def __init__(self, settings: KafkaSettings, topic: str, partitions: int) -> None:
        from kafka import KafkaConsumer, TopicPartition

        self._topic = topic
        self._places = [TopicPartition(topic, partition) for partition in range(partitions)]
        self._consumer = KafkaConsumer(
            **kafka_python_options(settings),
            enable_auto_commit=False,
            isolation_level="read_committed",
            max_poll_records=2000,
        )
        self._consumer.assign(self._places)
        self._ends: dict[Any, int] = {}

    def __enter__(self) -> Reader:
        return self

    def __exit__(self, *_: object) -> None:
        self._consumer.close()

    def newest(self, count: int, wanted: Wanted = lambda record: True) -> list[Any]:
        """The newest `count` wanted records of the whole topic, the oldest of them first."""
        found = self.newest_of_each(count, wanted)
        return sorted(found, key=lambda r: (r.timestamp, r.partition, r.offset))[-count:] if count else []

    def newest_of_each(self, count: int, wanted: Wanted = lambda record: True) -> list[Any]:
        """The newest `count` wanted records of each partition, by partition and offset.

        Reads backwards in growing pieces, for compaction and `wanted` leave gaps: as far as it takes.
        """
        ends = self._ends = self._consumer.end_offsets(self._places)
        begins = self._consumer.beginning_offsets(self._places)
        found: list[Any] = []
        for place in self._places:
            of_place: list[Any] = []
            piece, until = max(count, _PIECE), ends[place]
            while until > begins[place] and len(of_place) < count:
                start = max(begins[place], until - piece)
                of_place = [r for r in self._between(place, start, until) if wanted(r)] + of_place
                until, piece = start, 4 * piece
            found += of_place[-count:]
        return found

    def follow(self, wanted: Wanted = lambda record: True) -> Iterator[Any]:
        """Wanted records that come after those that `newest` saw, as they come, without end."""
        self._consumer.assign(self._places)
        for place in self._places:
            self._consumer.seek(place, self._ends[place])
        while True:
            for batch in self._consumer.poll(timeout_ms=_POLL_MS).values():
                yield from filter(wanted, batch)

    def _between(self, place: Any, start: int, until: int) -> list[Any]:
        self._consumer.assign([place])
        self._consumer.seek(place, start)
        records: list[Any] = []
        heard = time.monotonic()
        while self._consumer.position(place) < until:
            batches = self._consumer.poll(timeout_ms=_POLL_MS)
            records += [record for batch in batches.values() for record in batch if record.offset < until]
            if batches:
                heard = time.monotonic()
            elif time.monotonic() - heard > _SILENCE:
                raise KafkaUnavailableError(
                    f"The records of {self._topic} do not come: nothing for {_SILENCE:.0f} s.",
                    "`streamgauge doctor` looks at Kafka.",
                )
        return records
