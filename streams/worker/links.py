"""The owner of links: one worker at a time turns everybody's statements into links, retractions and the mapping.

Findings and the mapping, which is also the owner's state, are written in one transaction under a fixed transactional
id: whoever takes over fences the former owner first, then reads the mapping as committed, then writes. A worker that
was fenced stops; it does not fence back.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import orjson
import structlog
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import ProducerFenced

from detectors.duplicates.epoch import EpochPolicy
from detectors.duplicates.links import LinkChange, LinkOwner, LinkStatus
from detectors.duplicates.statement import Statement, StatementError, decode_statement
from detectors.records import Rejection, SourceRecord
from sinks.publisher import BATCH_BYTES
from sinks.wire import LINK_RULES, Versions, link_message
from streams.errors import InfrastructureError
from streams.worker.patience import patiently

if TYPE_CHECKING:
    from detectors.duplicates.view import CatalogueView
    from sinks.metrics import Metrics
    from streams.settings import TopicNames
    from streams.worker.catalogue import Catalogue
    from streams.worker.delivery import Compute
    from streams.worker.outlet import Outlet

__all__ = ["LinkWay"]

log = structlog.get_logger(__name__)


class LostPartitionError(Exception):
    """The links topic went to another worker while a batch was decided; the batch is that worker's."""


_EPOCH_MARGIN = 500  # catalogue offsets between the making of an epoch and its start
_READ_SECONDS = 120.0


class LinkWay:
    """Handles micro-batches of the links topic.

    options: of aiokafka's clients. transactional_id: the same in all workers of one deployment. gone_seconds: how
    long the broker may be gone.
    """

    def __init__(
        self,
        options: Mapping[str, Any],
        transactional_id: str,
        topics: TopicNames,
        versions: Mapping[str, Versions],
        view: CatalogueView,
        catalogue: Catalogue,
        outlet: Outlet,
        compute: Compute,
        metrics: Metrics,
        gone_seconds: float,
        current_generation: Callable[[], int],
        membership_seconds: float,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._options = dict(options)
        self._transactional_id = transactional_id
        self._topics = topics
        self._versions = versions
        self._view = view
        self._catalogue = catalogue
        self._outlet = outlet
        self._compute = compute
        self._metrics = metrics
        self._gone_seconds = gone_seconds
        self._current_generation = current_generation
        self._membership_seconds = membership_seconds
        self._fenced_for: int | None = None
        self._clock = clock
        self._epochs = EpochPolicy()
        self._producer: AIOKafkaProducer | None = None
        self._owner: LinkOwner | None = None
        self._generation: int | None = None
        self._epoch_asked = 0
        self._links = 0

    async def __call__(self, records: Sequence[SourceRecord], generation: int) -> Awaitable[None]:
        """Decide; the returned awaitable is done when findings and mapping are committed."""
        return patiently(lambda: self._decide(records, generation), self._gone_seconds, "links are decided")

    async def stop(self) -> None:
        """Close the producer."""
        producer, self._producer = self._producer, None
        self._owner = self._generation = None
        if producer is not None:
            await producer.stop()

    async def _decide(self, records: Sequence[SourceRecord], generation: int) -> None:
        owner, self._generation, was = self._owner, None, self._generation
        # After a failure too: what was half said is taken back by reading the mapping as committed.
        if owner is None or was != generation:
            owner = self._owner = await self._take_over(generation)
        statements, rejections = _decoded(records)
        if rejections:
            await self._outlet.bury(rejections)
        changes, mapping = await self._compute.run(_apply, owner, statements)
        now = int(self._clock() * 1000)
        assert self._producer is not None
        try:
            async with self._producer.transaction():
                sent = [
                    await self._producer.send(self._topics.named("findings"), value, key)
                    for key, value in (self._message(change, now) for change in changes)
                ]
                # The mapping's one partition is named: finding it out costs more than sending.
                named = self._topics.named("mapping")
                sent += [await self._producer.send(named, value, key, partition=0) for key, value in mapping]
                for future in sent:
                    await future
        except ProducerFenced as error:
            raise InfrastructureError(
                "Another worker has become the owner of links.",
                "This worker was away for longer than the session timeout; start it again.",
            ) from error
        for change in changes:
            retracted = change.status is LinkStatus.RETRACTED
            self._links += -1 if retracted else 1
            rule = LINK_RULES[change.link.rule]
            self._metrics.links(
                change.link.topic,
                rule.name,
                rule.dimension.value,
                rule.severity.value,
                retracted=retracted,
            )
        self._metrics.owned_links(self._links)
        self._generation = generation
        await self._make_epoch()

    def _message(self, change: LinkChange, now: int) -> tuple[bytes, bytes]:
        link = change.link
        later, earlier = self._view.facts(link.later), self._view.facts(link.earlier)
        return link_message(change, self._versions.get(link.topic), later, earlier, now)

    async def _take_over(self, generation: int) -> LinkOwner:
        if self._fenced_for == generation:
            # Something failed since. Perhaps others have taken us for dead: the group tells us so within a few
            # heartbeats, and then the owner is another, who must not be fenced back.
            await asyncio.sleep(self._membership_seconds)
        if self._current_generation() != generation:
            raise LostPartitionError(f"{self._topics.named('links')} belongs to another worker now")
        await self.stop()
        self._fenced_for = generation
        self._producer = AIOKafkaProducer(
            **self._options,
            transactional_id=self._transactional_id,
            acks="all",
            max_batch_size=BATCH_BYTES,
            linger_ms=2,
        )
        await self._producer.start()  # fences the owner before us
        owner, products = LinkOwner(), 0
        for key, value in (await self._committed_mapping()).items():
            try:
                owner.load(key.decode("utf-8"), orjson.loads(value))
                products += 1
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                log.error("mapping.unreadable", kind=type(error).__name__)
        self._links = len(owner.links())
        log.info("links.taken_over", products=products, links=self._links)
        return owner

    async def _committed_mapping(self) -> dict[bytes, bytes]:
        """The newest value of every product in the mapping."""
        partition = TopicPartition(self._topics.named("mapping"), 0)
        consumer = AIOKafkaConsumer(
            **self._options,
            isolation_level="read_committed",
            enable_auto_commit=False,
            max_partition_fetch_bytes=8 << 20,
        )
        await consumer.start()
        newest: dict[bytes, bytes] = {}
        try:
            consumer.assign([partition])
            await consumer.seek_to_beginning(partition)
            end = (await consumer.end_offsets([partition]))[partition]
            deadline = self._clock() + _READ_SECONDS
            while await consumer.position(partition) < end:
                for record in (await consumer.getmany(timeout_ms=200)).get(partition, ()):
                    if record.value is None:
                        newest.pop(record.key, None)
                    else:
                        newest[record.key] = record.value
                if self._clock() > deadline:
                    raise InfrastructureError(
                        f"{partition.topic} could not be read within {_READ_SECONDS:g} s.",
                        "See whether its partition has a leader: streamgauge doctor.",
                    )
        finally:
            await consumer.stop()
        return newest

    async def _make_epoch(self) -> None:
        """At each growth of the catalogue the sketch's weights are counted anew, here for all workers."""
        products = len(self._view)
        if not self._epochs.due(products, max(self._view.counted, self._epoch_asked)):
            return
        epoch = await self._compute.run(self._view.make_epoch, _EPOCH_MARGIN)
        self._epoch_asked = products  # it comes back through the catalogue
        await self._catalogue.publish_epoch(epoch)
        log.info("epoch.published", number=epoch.number, products=epoch.n)


def _apply(owner: LinkOwner, statements: Sequence[Statement]) -> tuple[Sequence[LinkChange], list[tuple[bytes, bytes]]]:
    applied = owner.apply(statements)
    mapping = [(p.encode("utf-8"), orjson.dumps(owner.state_of(p))) for p in sorted(applied.touched)]
    return applied.changes, mapping


def _decoded(records: Sequence[SourceRecord]) -> tuple[list[Statement], list[Rejection]]:
    statements: list[Statement] = []
    rejections: list[Rejection] = []
    for record in records:
        try:
            statements.append(decode_statement(record.key, record.value))
        except StatementError as error:
            rejections.append(Rejection(record, "links", "statement_unreadable", str(error)))
    return statements, rejections
