"""The owner of links: one worker at a time turns everybody's statements into links, the mapping and golden records.

Findings, the mapping, which is also the owner's state, and golden records are written in one transaction under a fixed
transactional id: whoever takes over fences the former owner first, then reads the mapping and what was said in golden
records as committed, then writes. A worker that was fenced gives the group time to say that the links are another's
now. It fences back only where the group says that they are still its own, and stops when it is fenced once more.

Every entry of the catalogue is followed by a statement, also where matching does not read what changed. The owner waits
until its own view holds the entry, and then says the product anew: so the golden records are in the end those of the
last entries, whoever said them and in whatever order.

What follows is computed in a process of its own, see `ledger`, so that it takes no time from the stream.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import structlog
from aiokafka import AIOKafkaProducer, ConsumerRecord, TopicPartition
from aiokafka.errors import ProducerFenced

from detectors.contract.model import Contract, Feed
from detectors.duplicates.candidates import statements
from detectors.duplicates.epoch import EpochPolicy
from detectors.duplicates.golden import SurvivorRules
from detectors.duplicates.statement import Statement
from detectors.duplicates.view import CANDIDATES
from detectors.records import Rejection, SourceRecord
from sinks.partitioner import by_partition
from sinks.publisher import BATCH_BYTES
from sinks.wire import LINK_RULES, Versions
from streams.errors import InfrastructureError
from streams.kafka.clients import brief_consumer
from streams.worker.ledger import Follows, Item, Ledger, Read
from streams.worker.own_process import OwnProcess
from streams.worker.patience import patiently

if TYPE_CHECKING:
    from detectors.duplicates.view import CatalogueView, EpochDraft
    from sinks.metrics import Metrics
    from streams.settings import TopicNames
    from streams.worker.catalogue import Catalogue
    from streams.worker.delivery import Compute
    from streams.worker.outlet import Outlet

__all__ = ["LinkWay", "LostPartitionError"]

log = structlog.get_logger(__name__)


class LostPartitionError(Exception):
    """The links topic went to another worker while a batch was decided; the batch is that worker's."""


_READ_SECONDS = 120.0
_ANEW = 256  # statements made anew at once
_AGAIN = 64  # the same, beside the stream: it waits for no more
_ASKED = 10_000  # products about which the ledger is asked at once: to send them all would hold up the stream
_PROGRESS = 10_000  # products, after which the log says how far that has come


class LinkWay:
    """Handles micro-batches of the links topic.

    options: of aiokafka's clients. transactional_id: the same in all workers of one deployment. contracts: of the
    product topics, and of the internal ones that carry their records. gone_seconds: how long the broker may be gone.
    committed: the offset of the links topic from which this worker reads.
    """

    def __init__(
        self,
        options: Mapping[str, Any],
        transactional_id: str,
        topics: TopicNames,
        contracts: Mapping[str, Contract],
        view: CatalogueView,
        catalogue: Catalogue,
        outlet: Outlet,
        compute: Compute,
        metrics: Metrics,
        gone_seconds: float,
        current_generation: Callable[[], int],
        committed: Callable[[], int],
        membership_seconds: float,
    ) -> None:
        self._options = dict(options)
        self._transactional_id = transactional_id
        self._topics = topics
        self._clean = {topic: contract.feed is Feed.CLEAN for topic, contract in contracts.items()}
        self._versions = {
            topic: Versions(contract.name, contract.version, view.encoder) for topic, contract in contracts.items()
        }
        self._rules = {topic: SurvivorRules.of(contract) for topic, contract in contracts.items()}
        self._view = view
        self._catalogue = catalogue
        self._outlet = outlet
        self._compute = compute
        self._metrics = metrics
        self._gone_seconds = gone_seconds
        self._current_generation = current_generation
        self._committed = committed
        self._membership_seconds = membership_seconds
        self._taken_over_in: int | None = None  # the generation in which the owner before us was fenced
        self._fenced_in: int | None = None  # the generation in which we were
        self._epochs = EpochPolicy()
        self._producer: AIOKafkaProducer | None = None
        self._ledger: OwnProcess[Ledger] | None = None
        self._generation: int | None = None
        self._deciding = asyncio.Lock()
        self._epoch_asked = 0
        self._drafting: asyncio.Task[None] | None = None

    async def __call__(self, records: Sequence[SourceRecord], generation: int) -> Awaitable[None]:
        """Decide; the returned awaitable is done when findings, mapping and golden records are committed."""
        return patiently(lambda: self._decide(records, generation), self._gone_seconds, "links are decided")

    def start(self) -> None:
        """Start the ledger's process. Raises: InfrastructureError where none can be had."""
        self._ledger = OwnProcess("the ledger of links", Ledger, self._rules, self._versions)

    def check(self) -> None:
        """Raises: InfrastructureError where the ledger's process has ended."""
        if self._ledger is not None:
            self._ledger.check()

    async def stop(self) -> None:
        """Close the producer, and end the ledger's process."""
        ledger, self._ledger = self._ledger, None
        try:
            await self._let_go()
        finally:
            if ledger is not None:
                await asyncio.to_thread(ledger.close)

    async def _let_go(self) -> None:
        producer, self._producer = self._producer, None
        self._generation = None
        if producer is not None:
            await producer.stop()

    async def _decide(self, records: Sequence[SourceRecord], generation: int) -> None:
        async with self._owning(generation) as ledger:
            read = await ledger.call(Ledger.read, [(record.key, record.value) for record in records])
            if read.unreadable:
                await self._outlet.bury(
                    [Rejection(records[n], "links", "statement_unreadable", why) for n, why in read.unreadable]
                )
            await self._conclude(ledger, read)
        await self._make_epoch()

    @contextlib.asynccontextmanager
    async def _owning(self, generation: int) -> AsyncIterator[OwnProcess[Ledger]]:
        """What this worker knows as the owner of links, to be changed by nobody else meanwhile."""
        async with self._deciding:
            if self._generation != generation:
                self._still_ours(generation)
            self._generation, was = None, self._generation
            assert self._ledger is not None
            # After a failure too: what was half said is taken back by reading the mapping as committed.
            if was != generation:
                await self._take_over(self._ledger, generation)
            yield self._ledger
            self._generation = generation

    async def look_again(self, rebuild: int, generation: int, said: Callable[[int, int], Awaitable[None]]) -> None:
        """Look every product up once more, after all of them have their vector of another encoder, and decide.

        Each sees those that came before it when it came itself, so the links are those that the other encoder would
        have given from the start, in whatever order the vectors were made. Who was looked up for this rebuild already
        is left out: it goes on where another owner stopped.

        rebuild: its number. generation: of the consumer group. said: called now and then with how many products were
        looked up, of how many. Raises: LostPartitionError when the links belong to another worker.
        """
        async with self._owning(generation) as ledger:
            feeds, products = await self._compute.run(lambda: (self._products_by_feed(held=True), len(self._view)))
            waiting = {
                clean: [
                    identity
                    for i in range(0, len(those), _ASKED)
                    for identity in await ledger.call(Ledger.not_rebuilt, those[i : i + _ASKED], rebuild)
                ]
                for clean, those in feeds.items()
            }
        left = sum(map(len, waiting.values()))
        for clean, identities in waiting.items():
            for i in range(0, len(identities), _AGAIN):
                began = time.perf_counter()
                part = identities[i : i + _AGAIN]
                await patiently(
                    partial(self._decide_again, part, clean, rebuild, generation),
                    self._gone_seconds,
                    "links are decided",
                )
                left -= len(part)
                await said(max(0, products - left), products)
                await asyncio.sleep(time.perf_counter() - began)  # the stream's half

    async def _decide_again(self, identities: Sequence[str], clean: bool, rebuild: int, generation: int) -> None:
        async with self._owning(generation) as ledger:
            found = await self._compute.run(_statements_after, self._view, identities, clean, rebuild)
            await self._conclude(ledger, await ledger.call(Ledger.take, found))

    async def renew_epoch(self) -> None:
        """Count and train anew while the vectors become another encoder's: what was trained on the old ones is of
        little use to the new."""
        if self._drafting is None or self._drafting.done():
            self._draft(await self._compute.run(self._view.draft_epoch))

    async def _conclude(self, ledger: OwnProcess[Ledger], read: Read) -> None:
        """Decide over statements, and write what follows from them in one transaction."""
        await self._catalogue.known(1 + read.position)
        follows = await self._followed(ledger, await ledger.call(Ledger.decide))
        await self._write(follows.outputs)
        for (topic, name, retracted), count in Counter(follows.links).items():
            self._metrics.links(topic, LINK_RULES[name], count, retracted=retracted)
        owned = follows.owned
        self._metrics.golden(len(follows.outputs["golden"]) - follows.ended, follows.ended)
        self._metrics.owned(owned.links, owned.clusters, owned.golden, owned.caution)

    async def _followed(self, ledger: OwnProcess[Ledger], identities: Sequence[str]) -> Follows:
        """What follows from the ledger's last decision. identities: the products of which it is to be told."""
        offers = await self._compute.run(self._view.packed, identities)
        return await ledger.call(Ledger.follow, dict(zip(identities, offers, strict=True)))

    async def _write(self, outputs: Mapping[str, Sequence[Item]]) -> None:
        """Write items, by the names of our topics, in one transaction."""
        assert self._producer is not None
        try:
            async with self._producer.transaction():
                sent = [future for name, items in outputs.items() for future in await self._batches(name, items)]
                await asyncio.gather(*sent)
        except ProducerFenced as error:
            if self._fenced_in != self._taken_over_in:
                self._fenced_in = self._taken_over_in
                log.warning("links.fenced", generation=self._fenced_in)
                raise LostPartitionError("Another worker has become the owner of links.") from error
            raise InfrastructureError(
                "Another worker writes links under this one's transactional id, though the group gave it the links.",
                "Give every deployment an app_id of its own; if this is the only one, start the worker again.",
            ) from error

    async def _batches(self, name: str, items: Sequence[Item]) -> list[asyncio.Future[Any]]:
        """Queue items for the partitions of their keys: in whole batches, which costs a tenth of one by one.

        An empty batch takes an item of any size; what the topic does not take fails when it is sent.
        """
        if not items:
            return []
        producer, topic = self._producer, self._topics.named(name)
        assert producer is not None
        count = len(await producer.partitions_for(topic))
        sent: list[asyncio.Future[Any]] = []
        for partition, places in by_partition([key for key, _, _ in items], count).items():
            builder = producer.create_batch()
            for key, value, headers in (items[place] for place in places):
                if builder.append(key=key, value=value, timestamp=None, headers=headers) is None:
                    sent.append(await producer.send_batch(builder, topic, partition=partition))
                    builder = producer.create_batch()
                    builder.append(key=key, value=value, timestamp=None, headers=headers)
            sent.append(await producer.send_batch(builder, topic, partition=partition))
        return sent

    async def _take_over(self, ledger: OwnProcess[Ledger], generation: int) -> None:
        if self._taken_over_in == generation:
            # Something failed since. Perhaps others have taken us for dead: the group tells us so within a few
            # heartbeats, and then the owner is another, who must not be fenced back.
            await asyncio.sleep(self._membership_seconds)
        self._still_ours(generation)
        await self._let_go()
        self._taken_over_in = generation
        self._producer = AIOKafkaProducer(
            **self._options,
            transactional_id=self._transactional_id,
            acks="all",
            max_batch_size=BATCH_BYTES,
            linger_ms=2,
        )
        await self._producer.start()  # fences the owner before us
        await ledger.call(Ledger.begin)
        await self._read("mapping", lambda read: ledger.call(Ledger.load_mapping, [(r.key, r.value) for r in read]))
        await self._read("golden", lambda read: ledger.call(Ledger.load_golden, [(r.key, _headers(r)) for r in read]))
        owned = await ledger.call(Ledger.owned)
        log.info("links.taken_over", products=owned.products, links=owned.links, golden=owned.golden)
        if await self._missed_some():
            await self._say_anew(ledger, generation)
        amiss = await ledger.call(Ledger.amiss)
        if amiss:
            log.info("golden.say_anew", products=len(amiss))
        for i in range(0, len(amiss), _ANEW):
            self._still_ours(generation)
            follows = await self._followed(ledger, await ledger.call(Ledger.renew, amiss[i : i + _ANEW]))
            await self._write(follows.outputs)

    async def _missed_some(self) -> bool:
        """Whether statements are gone that nobody decided over: by their age, or with a topic that was made anew."""
        partition = TopicPartition(self._topics.named("links"), 0)
        async with brief_consumer(self._options) as consumer:
            first = (await consumer.beginning_offsets([partition]))[partition]
            end = (await consumer.end_offsets([partition]))[partition]
        return not first <= self._committed() <= end

    async def _say_anew(self, ledger: OwnProcess[Ledger], generation: int) -> None:
        """Decide over all that the catalogue says: each product's lookup gives what it gave when it came.

        Of a product whose price changed since, compaction may have taken the offset at which it was looked up; that of
        its newest entry stands in. So does the oldest epoch that the view knows, for products that came before it. What
        a statement still to be read says is said twice, which changes nothing.
        """
        feeds = await self._compute.run(self._products_by_feed)
        products, said = sum(map(len, feeds.values())), 0
        log.warning("links.say_anew", products=products)
        for clean, identities in feeds.items():
            for i in range(0, len(identities), _ANEW):
                self._still_ours(generation)
                part = identities[i : i + _ANEW]
                found = await self._compute.run(_statements_of, self._view, part, clean)
                await self._conclude(ledger, await ledger.call(Ledger.take, found))
                said += len(part)
                if said % _PROGRESS < len(part):
                    log.info("links.saying_anew", products=said, of=products)
        log.info("links.all_said", products=products)

    def _products_by_feed(self, *, held: bool = False) -> dict[bool, list[str]]:
        """The products that the catalogue holds, and those that it knows to be deleted unless `held`, by whether they
        are of a clean feed.
        """
        feeds: dict[bool, list[str]] = {False: [], True: []}
        for identity in sorted({*self._view.identities(), *(() if held else self._view.deleted())}):
            entry = self._view.peek(identity)
            if entry is not None:
                feeds[self._clean.get(entry.topic, False)].append(identity)
        return feeds

    def _still_ours(self, generation: int) -> None:
        if self._current_generation() != generation:
            raise LostPartitionError(f"{self._topics.named('links')} belongs to another worker now")

    async def _read(
        self, name: str, load: Callable[[Sequence[ConsumerRecord]], Awaitable[Sequence[tuple[int, str]]]]
    ) -> None:
        """Hand on everything that is in a topic of ours, as committed: of one key the newest comes last.

        load: takes records; the places of those that do not read, and what is wrong.
        """
        partition = TopicPartition(self._topics.named(name), 0)
        async with brief_consumer(
            self._options, isolation_level="read_committed", max_partition_fetch_bytes=8 << 20
        ) as consumer:
            consumer.assign([partition])
            await consumer.seek_to_beginning(partition)
            end = (await consumer.end_offsets([partition]))[partition]
            deadline = time.monotonic() + _READ_SECONDS
            while await consumer.position(partition) < end:
                fetched = (await consumer.getmany(timeout_ms=200)).get(partition, ())
                records = [*{record.key: record for record in fetched}.values()]  # what is superseded says nothing
                for place, kind in await load(records) if records else ():
                    log.error(f"{name}.unreadable", offset=records[place].offset, kind=kind)
                if time.monotonic() > deadline:
                    raise InfrastructureError(
                        f"{partition.topic} could not be read within {_READ_SECONDS:g} s.",
                        "See whether its partition has a leader: streamgauge doctor.",
                    )

    async def _make_epoch(self) -> None:
        """At each growth of the catalogue the sketch's weights are counted anew, here for all workers."""
        products = len(self._view)
        if not self._epochs.due(products, max(self._view.counted, self._epoch_asked)):
            return
        if self._drafting is not None and not self._drafting.done():
            return
        draft = await self._compute.run(self._view.draft_epoch)
        self._epoch_asked = products  # it comes back through the catalogue
        self._draft(draft)

    def _draft(self, draft: EpochDraft) -> None:
        # Beside the links: of a large catalogue it takes a minute.
        self._drafting = asyncio.create_task(self._catalogue.finish_epoch(draft))
        self._drafting.add_done_callback(self._drafted)

    def _drafted(self, drafting: asyncio.Task[None]) -> None:
        if not drafting.cancelled() and (error := drafting.exception()) is not None:
            log.warning("epoch.not_published", error=str(error))
            self._epoch_asked = 0


def _statements_of(view: CatalogueView, identities: Sequence[str], clean: bool) -> list[Statement]:
    return statements(view, view.search(identities, CANDIDATES, clean=clean, as_matched=True), clean=clean)


def _statements_after(view: CatalogueView, identities: Sequence[str], clean: bool, rebuild: int) -> list[Statement]:
    hits = view.search(identities, CANDIDATES, clean=clean, as_matched=True, newest_epoch=True)
    return [replace(s, rebuild=rebuild) for s in statements(view, hits, clean=clean) if not s.deleted]


def _headers(record: ConsumerRecord) -> Mapping[str, bytes] | None:
    """Of a golden record, None of a tombstone."""
    return None if record.value is None else dict(record.headers)
