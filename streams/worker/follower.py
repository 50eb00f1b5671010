"""Following one compacted topic, from its beginning or from where a snapshot ended, in every worker."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition

from streams.errors import InfrastructureError
from streams.kafka.clients import brief_consumer

__all__ = ["LIVE_RECORDS", "Follower"]

log = structlog.get_logger(__name__)

LIVE_RECORDS = 128
"""Applied at once while the stream goes on; what is in the topic at the start is read in larger pieces."""

Apply = Callable[[Sequence[ConsumerRecord], int], Awaitable[None]]


class Follower:
    """Reads partition 0 of a topic, all of it and for ever, and hands it on in order.

    apply: called with the records of a fetch and the position after them; its end is awaited before the next fetch.
    position: the offset after what has been applied; set before `run`, it is where that begins.
    options: of the aiokafka client. committed: skip records of transactions that were not committed.
    """

    def __init__(
        self,
        topic: str,
        options: Mapping[str, Any],
        apply: Apply,
        *,
        committed: bool = False,
        fetch_records: int = 4000,
    ) -> None:
        self._topic = topic
        self._apply = apply
        self._options = {
            **options,
            "isolation_level": "read_committed" if committed else "read_uncommitted",
            "max_partition_fetch_bytes": 8 << 20,
            "fetch_max_wait_ms": 50,
        }
        self._fetch_records = fetch_records
        self._waiters: list[tuple[int, asyncio.Future[None]]] = []
        self._recovered = asyncio.Event()
        self.position = 0
        self.target = 0

    @property
    def recovered(self) -> bool:
        """Whether everything that was in the topic at the start has been applied."""
        return self._recovered.is_set()

    async def bounds(self) -> tuple[int, int]:
        """The offsets at which the topic begins and ends now."""
        partition = TopicPartition(self._topic, 0)
        async with brief_consumer(self._options) as consumer:
            first = (await consumer.beginning_offsets([partition]))[partition]
            return first, (await consumer.end_offsets([partition]))[partition]

    async def run(self) -> None:
        """Follow until cancelled, from `position` on. Raises what `apply` raises, and the client's errors."""
        try:
            async with brief_consumer(self._options) as consumer:
                await self._follow(consumer)
        finally:
            for _, waiter in self._waiters:
                waiter.cancel()

    async def _follow(self, consumer: AIOKafkaConsumer) -> None:
        partition = TopicPartition(self._topic, 0)
        consumer.assign([partition])
        if self.position:
            consumer.seek(partition, self.position)
        else:
            await consumer.seek_to_beginning(partition)
        self.target = (await consumer.end_offsets([partition]))[partition]
        while True:
            records_at_once = LIVE_RECORDS if self.recovered else self._fetch_records
            fetched = await consumer.getmany(timeout_ms=200, max_records=records_at_once)
            # Not the last record's offset + 1: transaction markers and compacted records leave gaps.
            position = await consumer.position(partition)
            records = fetched.get(partition, ())
            if records or position > self.position:
                await self._apply(records, position)
                self._advance(position)
            if not self.recovered and position >= self.target:
                self._recovered.set()
                log.info("topic.recovered", topic=self._topic, position=position)

    async def wait_recovered(self) -> None:
        """Return when everything that was in the topic at the start has been applied."""
        await self._recovered.wait()

    async def reached(self, position: int, within: float) -> None:
        """Return when everything below `position` has been applied.

        Raises: InfrastructureError after `within` seconds.
        """
        if self.position >= position:
            return
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters.append((position, waiter))
        try:
            await asyncio.wait_for(waiter, within)
        except TimeoutError as error:
            raise InfrastructureError(
                f"{self._topic} was not read up to {position} within {within:g} s (it is at {self.position}).",
                "See whether its partition has a leader and whether this worker keeps up: streamgauge doctor.",
            ) from error

    def _advance(self, position: int) -> None:
        self.position = position
        waiting = []
        for wanted, waiter in self._waiters:
            if wanted > position:
                waiting.append((wanted, waiter))
            elif not waiter.done():
                waiter.set_result(None)
        self._waiters = waiting
