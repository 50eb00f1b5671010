"""A producer that takes whole batches and says when the broker has confirmed them.

aiokafka's own `create_batch` and `send_batch`, idempotent and with acks=all, used for lists of records: a task per
batch instead of several per record. Nothing here knows of Faust; a consumer acknowledges what it read once the
awaitable that it got from here has ended well.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import structlog
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError, KafkaTimeoutError, OutOfOrderSequenceNumber

from sinks.errors import PublishError, PublishInterrupted, RecordRefused
from sinks.partitioner import by_partition, partitions_of

__all__ = ["BATCH_BYTES", "Confirmation", "Headers", "Item", "Publisher"]

log = structlog.get_logger(__name__)

Headers = Sequence[tuple[str, bytes | None]]
Item = tuple[bytes | None, bytes | None, Headers]  # key, value, headers

BATCH_BYTES = 512 * 1024
_BATCH_OVERHEAD = 61  # bytes of a record batch before its first record
_DEFAULT_MAX_BYTES = 1_048_588  # Kafka's own default of max.message.bytes
_LIMITS_SECONDS = 30.0
# What a broker answers about the records themselves: too large (10, 18), bad time (32), or 87, "invalid record",
# which the client library has no name for.
_REFUSALS = frozenset({10, 18, 32, 87})


@dataclass(frozen=True, slots=True)
class Confirmation:
    """What the broker confirmed.

    ends: per partition, the offset after the last record of this send. -1 where the broker did not say: it then
    confirmed a batch that it had already.
    """

    records: int
    ends: Mapping[int, int]


@dataclass(frozen=True, slots=True)
class _Limits:
    """What a topic takes. `read_at`: monotonic seconds."""

    partitions: int
    max_bytes: int
    compacted: bool
    read_at: float


@dataclass(slots=True)
class _Sent:
    """One record batch on its way. rows: of the items given by the caller."""

    partition: int
    rows: list[int]
    future: asyncio.Future[Any] = field(repr=False)


class Publisher:
    """Sends items, (key, value, headers), and lets the caller await the broker's confirmation of all of them.

    options: of aiokafka's clients (bootstrap_servers, security_protocol ...). confirm_seconds: how long a broker may
    be gone; a shorter absence is bridged, in order and without repeats.

    Items of one partition are written in the order of the calls of `send`, as long as no call raised.
    """

    def __init__(
        self, options: Mapping[str, Any], *, confirm_seconds: float = 60.0, linger_ms: int = 0, **producer: Any
    ) -> None:
        self._options = dict(options)
        self._producer_options = {
            "enable_idempotence": True,
            "acks": "all",
            "max_batch_size": BATCH_BYTES,
            "linger_ms": linger_ms,
            **producer,
        }
        self._confirm_seconds = confirm_seconds
        self._producer: AIOKafkaProducer | None = None
        self._limits: dict[str, _Limits] = {}
        self._renewing = asyncio.Lock()
        self._keyless = count()
        self._retired: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Connect. Raises: PublishError where no broker answers."""
        self._producer = await self._started()

    async def stop(self) -> None:
        """Send what waits, for at most `confirm_seconds`, and close."""
        producer, self._producer = self._producer, None
        if producer is not None:
            await self._close(producer)
        if self._retired:
            await asyncio.wait(self._retired)

    async def send(self, topic: str, items: Sequence[Item]) -> asyncio.Future[Confirmation]:
        """Queue these items, each in the partition of its key; the future returned is done when all are confirmed.

        Waits itself only while the batch before has not left yet. Items without a key go to one partition, another
        one at each call.

        The future raises, once everything else is confirmed:
            RecordRefused: the topic does not take some items; `refused` names all of them.
            PublishInterrupted: something before these was refused, so that they were not written. Send them again.
            PublishError: no confirmation within `confirm_seconds`. Whether they were written is unknown.
        """
        limits = await self._limits_of(topic)
        refused: dict[int, str] = {}
        if None in {item[0] for item in items} or limits.partitions == 1:
            loose = next(self._keyless) % limits.partitions
            keyed = [row for row, item in enumerate(items) if item[0] is not None]
            places = dict(
                zip(keyed, partitions_of([items[row][0] or b"" for row in keyed], limits.partitions), strict=True)
            )
            rows: dict[int, list[int]] = {}
            for row in range(len(items)):
                rows.setdefault(places.get(row, loose), []).append(row)
        else:
            rows = by_partition([item[0] or b"" for item in items], limits.partitions)
        return await self._submit(topic, items, rows, refused)

    async def publish_in_order(self, topic: str, partition: int, items: Sequence[Item]) -> int:
        """Write these items to one partition, in this order, and wait for it. The offset after the last one.

        Raises what the future of `send` raises.
        """
        confirmed = await (await self._submit(topic, items, {partition: list(range(len(items)))}, {}))
        end = confirmed.ends.get(partition, -1)
        return end if end >= 0 else await self._end_of(topic, partition)

    async def _submit(
        self, topic: str, items: Sequence[Item], rows: Mapping[int, list[int]], refused: dict[int, str]
    ) -> asyncio.Future[Confirmation]:
        deadline = time.monotonic() + self._confirm_seconds
        producer = self._running()
        sent: list[_Sent] = []
        for partition, wanted in rows.items():
            for builder, chunk in await self._builders(topic, items, wanted, refused):
                sent.append(_Sent(partition, chunk, await self._queue(producer, topic, partition, builder, deadline)))
        return asyncio.ensure_future(self._confirmed(producer, topic, items, sent, refused, deadline))

    async def _builders(
        self, topic: str, items: Sequence[Item], rows: Sequence[int], refused: dict[int, str]
    ) -> list[tuple[Any, list[int]]]:
        """Record batches of these rows, in order. What the topic would refuse goes to `refused` instead."""
        limits = await self._limits_of(topic)
        producer = self._running()
        largest = min(limits.max_bytes, BATCH_BYTES)
        built: list[tuple[Any, list[int]]] = []
        builder, chunk = producer.create_batch(), list[int]()
        # A topic that takes less than we put into a batch has its batches cut by their size, record by record.
        narrow = limits.max_bytes < BATCH_BYTES
        for row in rows:
            key, value, given = items[row]
            headers = given if type(given) is list else list(given)  # the client takes lists alone
            if key is None and (limits := await self._fresh(topic, limits, limits.compacted)).compacted:
                refused[row] = f"topic {topic} is compacted and takes no record without a key"
                continue
            size = _size(key, value, headers)
            if size > limits.max_bytes:
                limits = await self._fresh(topic, limits, True)
                if size > limits.max_bytes:
                    refused[row] = f"{size} bytes are more than topic {topic} takes ({limits.max_bytes})"
                    continue
            full = narrow and chunk and builder.size() + size > largest
            if full or builder.append(key=key, value=value, timestamp=None, headers=headers) is None:
                built.append((builder, chunk))
                builder, chunk = producer.create_batch(), []
                builder.append(key=key, value=value, timestamp=None, headers=headers)
            chunk.append(row)
        if chunk:
            built.append((builder, chunk))
        return built

    async def _queue(
        self, producer: AIOKafkaProducer, topic: str, partition: int, builder: Any, deadline: float
    ) -> asyncio.Future[Any]:
        builder.close()
        while True:
            try:
                future: asyncio.Future[Any] = await producer.send_batch(builder, topic, partition=partition)
            except KafkaTimeoutError:
                # The batch before has not left yet: the broker is gone, but perhaps not for long.
                if time.monotonic() >= deadline:
                    raise _unconfirmed(topic, self._confirm_seconds) from None
            except KafkaError as error:
                raise PublishInterrupted(f"{topic} took nothing: {error!r}") from error
            else:
                return future

    async def _confirmed(
        self,
        producer: AIOKafkaProducer,
        topic: str,
        items: Sequence[Item],
        sent: Sequence[_Sent],
        refused: dict[int, str],
        deadline: float,
    ) -> Confirmation:
        if sent:
            _, late = await asyncio.wait([one.future for one in sent], timeout=max(0.0, deadline - time.monotonic()))
            if late:
                raise _unconfirmed(topic, self._confirm_seconds)
        ends: dict[int, int] = {}
        failed: list[tuple[_Sent, BaseException]] = []
        for one in sent:
            error = one.future.exception()
            if error is not None:
                failed.append((one, error))
                continue
            first = one.future.result().offset
            ends[one.partition] = first + len(one.rows) if first >= 0 else -1
        if failed:
            await self._renew(producer)
            await self._search(topic, items, failed, refused, ends)
        if refused:
            raise RecordRefused(min(refused), refused[min(refused)], refused)
        return Confirmation(len(items), ends)

    async def _search(
        self,
        topic: str,
        items: Sequence[Item],
        failed: Sequence[tuple[_Sent, BaseException]],
        refused: dict[int, str],
        ends: dict[int, int],
    ) -> None:
        """Send again what the broker would not have, one by one, to find what it is that it refuses.

        Rare: what a topic takes is known before sending, so this happens only after it was changed.
        """
        self._limits.pop(topic, None)
        for one, error in failed:
            if isinstance(error, OutOfOrderSequenceNumber):
                raise PublishInterrupted(f"{topic} took nothing after a record that it refused") from error
            if getattr(error, "errno", None) not in _REFUSALS:
                raise PublishError(f"{topic} did not take {len(one.rows)} records: {error!r}") from error
        log.warning("publish.searching", topic=topic, records=sum(len(one.rows) for one, _ in failed))
        for one, _ in failed:
            for row in one.rows:
                deadline = time.monotonic() + self._confirm_seconds
                producer = self._running()
                for builder, _ in await self._builders(topic, items, [row], refused):
                    future = await self._queue(producer, topic, one.partition, builder, deadline)
                    try:
                        metadata = await asyncio.wait_for(future, self._confirm_seconds)
                    except TimeoutError:
                        raise _unconfirmed(topic, self._confirm_seconds) from None
                    except KafkaError as error:
                        if error.errno not in _REFUSALS:
                            raise PublishError(f"{topic} did not take a record: {error!r}") from error
                        refused[row] = f"topic {topic} refuses it: {error!r}"
                        await self._renew(producer)
                    else:
                        ends[one.partition] = metadata.offset + 1

    async def _renew(self, failed: AIOKafkaProducer) -> None:
        """Another producer: the sequence numbers of one that was refused something have a gap for ever."""
        async with self._renewing:
            if self._producer is failed:
                self._producer = await self._started()
                task = asyncio.ensure_future(self._close(failed))
                self._retired.add(task)
                task.add_done_callback(self._retired.discard)

    async def _started(self) -> AIOKafkaProducer:
        producer = AIOKafkaProducer(**self._options, **self._producer_options)
        try:
            await asyncio.wait_for(producer.start(), self._confirm_seconds)
        except (KafkaError, TimeoutError, OSError) as error:
            await producer.stop()
            raise PublishError(f"no broker answers at {self._options.get('bootstrap_servers')}") from error
        return producer

    async def _close(self, producer: AIOKafkaProducer) -> None:
        try:
            await asyncio.wait_for(producer.stop(), self._confirm_seconds)
        except (KafkaError, TimeoutError, OSError) as error:
            log.warning("publish.close", error=repr(error))

    def _running(self) -> AIOKafkaProducer:
        if self._producer is None:
            raise PublishError("the publisher is not running")
        return self._producer

    async def _fresh(self, topic: str, limits: _Limits, needed: bool) -> _Limits:
        """The limits read again before something is refused because of them, unless that was just done."""
        if needed and time.monotonic() - limits.read_at > _LIMITS_SECONDS:
            self._limits.pop(topic, None)
            return await self._limits_of(topic)
        return limits

    async def _limits_of(self, topic: str) -> _Limits:
        limits = self._limits.get(topic)
        if limits is None:
            limits = self._limits[topic] = await self._read_limits(topic)
        return limits

    async def _read_limits(self, topic: str) -> _Limits:
        try:
            partitions = len(await self._running().partitions_for(topic))
        except KafkaError as error:
            raise PublishError(f"topic {topic} is not known to the broker") from error
        values: dict[str, str] = {}
        admin = AIOKafkaAdminClient(**self._options)
        try:
            await admin.start()
            for response in await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic)]):
                for _, _, _, _, entries in response.resources:
                    values.update((entry[0], entry[1]) for entry in entries)
        except KafkaError as error:
            # Not allowed to read them, or no time: the broker's own refusal is the second line.
            log.warning("publish.limits", topic=topic, error=repr(error))
        finally:
            await admin.close()
        return _Limits(
            partitions=partitions,
            max_bytes=int(values.get("max.message.bytes", _DEFAULT_MAX_BYTES)),
            compacted="compact" in values.get("cleanup.policy", "delete"),
            read_at=time.monotonic(),
        )

    async def _end_of(self, topic: str, partition: int) -> int:
        consumer = AIOKafkaConsumer(**self._options)
        place = TopicPartition(topic, partition)
        try:
            await consumer.start()
            ends: dict[TopicPartition, int] = await consumer.end_offsets([place])
            return ends[place]
        except KafkaError as error:
            raise PublishError(f"the end of {topic} {partition} is not known") from error
        finally:
            await consumer.stop()


def _size(key: bytes | None, value: bytes | None, headers: Headers) -> int:
    """Bytes of a record batch with this record alone, at most a few too many."""
    size = _BATCH_OVERHEAD + 24 + len(key or b"") + len(value or b"")
    if headers:
        size += sum(10 + 4 * len(name) + len(content or b"") for name, content in headers)
    return size


def _unconfirmed(topic: str, seconds: float) -> PublishError:
    return PublishError(f"the broker did not confirm what was sent to {topic} within {seconds:g} s")
