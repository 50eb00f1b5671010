"""The catalogue topic: written by the owners of records, followed by every worker into its view."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import orjson
import structlog
from aiokafka import ConsumerRecord, TopicPartition
from numpy.typing import NDArray

from detectors.duplicates.entry import Entry, Skipped, decode_entries, encode_entry
from detectors.duplicates.epoch import Epoch, EpochPolicy, epoch_chunks
from detectors.records import Rejection
from sinks.publisher import Publisher
from streams.errors import InfrastructureError
from streams.kafka.clients import brief_consumer
from streams.worker.delivery import Compute
from streams.worker.follower import Follower
from streams.worker.generations import GENERATION_KEY, Generation, read_generation
from streams.worker.rebuild import REBUILD_KEY, Rebuild, read_rebuild
from streams.worker.snapshot import Snapshot, SnapshotError, SnapshotHead, SnapshotWriter, load_snapshot

if TYPE_CHECKING:
    from detectors.duplicates.view import CatalogueView, EpochDraft

__all__ = ["Catalogue"]

log = structlog.get_logger(__name__)

_SNAPSHOT_SECONDS = 600.0
_SAVED_AT_ONCE = 2048  # rows
_TOLD_SECONDS = 2.0
SKETCHED_AT_ONCE = 256  # rows, between other work
_NAMED_SECONDS = 5.0
_NO_ENTRY = (GENERATION_KEY, REBUILD_KEY)


class Catalogue:
    """One worker's hold on the catalogue topic.

    The view is only ever touched on the compute thread. Entries that do not decode are handed to `dead_letter`.

    rebuild: the newest that is wanted or was made, None for none.
    wait: seconds after which a view that does not come up to a published entry stops the worker.
    snapshot: where the view is written now and then. about: Kafka's id of the topic and its delete.retention.ms.
    """

    def __init__(
        self,
        topic: str,
        options: Mapping[str, Any],
        view: CatalogueView,
        compute: Compute,
        publisher: Publisher,
        dead_letter: Callable[[Sequence[Rejection]], Awaitable[None]],
        wait: float,
        snapshot: Path,
        about: Callable[[], Awaitable[tuple[str, int]]],
    ) -> None:
        self._topic = topic
        self._options = dict(options)
        self._view = view
        self._compute = compute
        self._publisher = publisher
        self._dead_letter = dead_letter
        self._wait = wait
        self._generations: dict[str, Generation] = {}
        self.rebuild: Rebuild | None = None
        self._beside: asyncio.Task[None] | None = None
        self._snapshot = snapshot
        self._about = about
        self._topic_id = ""
        self._saving: asyncio.Task[None] | None = None
        self._saved_at, self._saved_position = time.monotonic(), -1
        self.follower = Follower(topic, options, self._apply)

    async def follow(self) -> None:
        """Follow the topic until cancelled, from where the snapshot ends if there is one that fits."""
        await self._load()
        await self.follower.run()

    async def _load(self) -> None:
        started = time.monotonic()
        self._topic_id, keeps = await self._about()
        beginning, end = await self.follower.bounds()
        oldest = time.time_ns() // 1_000_000 - keeps
        view = self._view
        try:
            found = await asyncio.to_thread(
                load_snapshot, self._snapshot, self._topic_id, view.encoder, view.dense_dim, beginning, end, oldest
            )
        except SnapshotError as error:
            log.warning("snapshot.not_used", file=str(self._snapshot), reason=str(error))
            return
        if found is None:
            return
        try:
            await self._compute.run(self._restore, found)
        except (ValueError, KeyError, TypeError, IndexError) as error:
            await asyncio.to_thread(self._snapshot.unlink)
            raise InfrastructureError(
                f"The snapshot {self._snapshot} has its checksum but does not read: {type(error).__name__}.",
                "It is removed. Start again: the catalogue is read from its topic.",
            ) from error
        self.follower.position = self._saved_position = found.head.position
        log.info(
            "snapshot.loaded",
            products=len(view),
            position=found.head.position,
            seconds=round(time.monotonic() - started, 2),
        )

    def _restore(self, found: Snapshot) -> None:
        (tables, *arrays), cells = found.rest
        known = orjson.loads(tables.tobytes())
        for key, value in known["generations"]:
            generation = read_generation(bytes.fromhex(key), bytes.fromhex(value))
            self._generations[generation.topic] = generation
        if known["rebuild"] is not None:
            self.rebuild = read_rebuild(bytes.fromhex(known["rebuild"]))
        self._view.restore(found.head.position, known, arrays, _told(found.blocks), cells)

    async def save(self) -> None:
        """Write a snapshot, a few rows at a time between other work. What goes wrong is logged, not raised."""
        writer: SnapshotWriter | None = None
        try:
            view = self._view
            position, epochs = await self._compute.run(lambda: (view.position, view.epochs))
            head = SnapshotHead.now(self._topic_id, view.encoder, view.dense_dim, position)
            writer = await asyncio.to_thread(SnapshotWriter, self._snapshot, head)
            first = 0
            while first < view.rows:
                block = await self._compute.run(view.block, first, first + _SAVED_AT_ONCE)
                await asyncio.to_thread(writer.block, block)
                first += _SAVED_AT_ONCE
            rest = await self._compute.run(view.rest)
            if rest is None or view.epochs != epochs:
                return  # another time: the rows are of two epochs
            cells = view.cells
            dumped = await asyncio.to_thread(cells.dump) if cells is not None else []
            generations = [[part.hex() for part in one.encode()] for one in self._generations.values()]
            rebuild = None if self.rebuild is None else self.rebuild.encode()[1].hex()
            known = {**rest[0], "generations": generations, "rebuild": rebuild}
            tables = np.frombuffer(orjson.dumps(known), np.uint8)
            writer.rest()
            await asyncio.to_thread(writer.block, [tables, *rest[1]])
            await asyncio.to_thread(writer.block, dumped)
            await asyncio.to_thread(writer.finish)
            self._saved_position = position
            log.info("snapshot.written", products=len(view), position=position, bytes=writer.size)
            writer = None
        except (OSError, InfrastructureError) as error:
            log.warning("snapshot.not_written", file=str(self._snapshot), reason=str(error))
        finally:
            self._saved_at = time.monotonic()
            if writer is not None:
                writer.give_up()

    async def stop(self) -> None:
        """Write a last snapshot, if the catalogue went on since the one before."""
        if self._saving is not None and not self._saving.done():
            await self._saving
        if self.follower.recovered and self._view.position > self._saved_position:
            await self.save()

    def generation(self, topic: str) -> Generation | None:
        """What the catalogue knows of a source topic's generation."""
        return self._generations.get(topic)

    async def publish(self, entries: Sequence[Entry]) -> int:
        """Write entries in order; returns the catalogue offset after the last, once the broker confirmed it.

        Raises: EntryError, PublishError.
        """
        return await self._publisher.publish_in_order(self._topic, 0, [encode_entry(entry) for entry in entries])

    async def publish_epoch(self, epoch: Epoch) -> None:
        """Write an epoch, part by part: each fits into a record, not all into a batch."""
        for chunk in epoch_chunks(epoch):
            await self._publisher.publish_in_order(self._topic, 0, [(*chunk.encode(), ())])

    async def finish_epoch(self, draft: EpochDraft) -> None:
        """Finish an epoch beside the stream, which may take a minute, and write it."""
        epoch = await asyncio.to_thread(draft.finish, 0)
        margin = EpochPolicy.margin(len(self._view), cells=bool(draft.lists))
        await self.publish_epoch(replace(epoch, switch_at=self.follower.position + margin))
        log.info("epoch.published", number=epoch.number, products=epoch.n, lists=draft.lists)

    async def settle(self) -> None:
        """Return when nothing waits to be computed: after the first reading of the topic, before lookups."""
        await self._work_beside()

    async def publish_generation(self, generation: Generation) -> None:
        """Write a source topic's generation and wait until the view knows it."""
        end = await self._publisher.publish_in_order(self._topic, 0, [(*generation.encode(), ())])
        await self.reached(end)

    async def publish_rebuild(self, rebuild: Rebuild) -> None:
        """Write how far a rebuild has come, and wait until the view knows it."""
        end = await self._publisher.publish_in_order(self._topic, 0, [(*rebuild.encode(), ())])
        await self.reached(end)

    async def reached(self, position: int) -> None:
        """Return when the view holds everything below this catalogue offset. Raises: InfrastructureError."""
        await self.follower.reached(position, self._wait)

    async def known(self, position: int) -> None:
        """As `reached`, of a position that somebody else names: of a topic that was made anew it may never come."""
        try:
            await self.follower.reached(position, min(self._wait, _NAMED_SECONDS))
        except InfrastructureError:
            await self.caught_up()

    async def caught_up(self) -> None:
        """Return when the view holds everything that is in the topic now. Raises: InfrastructureError."""
        partition = TopicPartition(self._topic, 0)
        async with brief_consumer(self._options) as consumer:
            end = (await consumer.end_offsets([partition]))[partition]
        await self.reached(end)

    async def reassert(self, partitions: frozenset[tuple[str, int]]) -> int:
        """Write again what a paused worker's late write has hidden; returns how many entries.

        Its old version became the newest log entry, which is the one that compaction would keep. partitions: the
        source partitions that this worker owns.
        """
        entries = await self._compute.run(self._stale, partitions)
        if entries:
            await self.publish(entries)
            log.warning("catalogue.reasserted", entries=len(entries))
        return len(entries)

    def _stale(self, partitions: frozenset[tuple[str, int]]) -> list[Entry]:
        return [entry for entry in self._view.stale_entries() if (entry.topic, entry.partition) in partitions]

    async def _apply(self, records: Sequence[ConsumerRecord], position: int) -> None:
        entries: Sequence[ConsumerRecord] = records
        rejections: list[Rejection] = []
        if any(record.key is not None and record.key.startswith(_NO_ENTRY) for record in records):
            entries = []
            for record in records:
                if record.key is None or not record.key.startswith(_NO_ENTRY):
                    entries.append(record)
                    continue
                try:
                    self._note(record.key, record.value or b"")
                except (ValueError, KeyError, TypeError) as error:
                    kind = "rebuild" if record.key == REBUILD_KEY else "generation"
                    rejections.append(Rejection(record, "catalogue", f"{kind}_unreadable", str(error)))
        decoded = await self._compute.run(self._apply_to_view, entries, position)
        by_offset = {record.offset: record for record in entries} if decoded else {}
        rejections += [
            Rejection(by_offset[skipped.offset], "catalogue", "entry_unreadable", skipped.reason) for skipped in decoded
        ]
        self._go_on_beside()
        if rejections and self.follower.recovered:  # those of an earlier start are dead letters already
            log.error("catalogue.entries_skipped", entries=len(rejections))
            await self._dead_letter(rejections)

    def _note(self, key: bytes, value: bytes) -> None:
        if key == REBUILD_KEY:
            rebuild = read_rebuild(value)
            if rebuild.follows(self.rebuild):
                self.rebuild = rebuild
            return
        generation = read_generation(key, value)
        known = self._generations.get(generation.topic)
        # Two workers may notice at once, with other ends: the first one's word holds.
        if known is None or generation.number > known.number:
            self._generations[generation.topic] = generation

    def _go_on_beside(self) -> None:
        """See to it that what an epoch needs is computed while the stream goes on."""
        cells = self._view.cells
        if not self.follower.recovered:
            return
        due = time.monotonic() - self._saved_at > _SNAPSHOT_SECONDS
        if due and self._view.position > self._saved_position and (self._saving is None or self._saving.done()):
            self._saving = asyncio.create_task(self.save())
        if not (self._view.switching or (cells is not None and cells.behind)):
            return
        if self._beside is None or self._beside.done():
            if self._beside is not None and not self._beside.cancelled():
                self._beside.result()  # raises what it raised
            self._beside = asyncio.create_task(self._work_beside())

    async def _work_beside(self) -> None:
        while await self._compute.run(self._view.prepare, SKETCHED_AT_ONCE):
            pass
        cells = self._view.cells
        if cells is not None and cells.behind:
            await asyncio.to_thread(cells.work)

    def _apply_to_view(self, records: Sequence[ConsumerRecord], position: int) -> Sequence[Skipped]:
        decoded = decode_entries(records)
        self._view.apply(decoded.items, position)
        for skipped in decoded.skipped:
            if skipped.key is not None:
                self._view.shadowed(skipped.key.decode("utf-8", "replace"), skipped.offset)
        return decoded.skipped


def _told(blocks: Iterable[Sequence[NDArray[Any]]]) -> Iterator[Sequence[NDArray[Any]]]:
    """The blocks, and now and then a word in the log of how far they have come."""
    told, rows = time.monotonic(), 0
    for block in blocks:
        yield block
        rows += len(block[0])
        if time.monotonic() - told > _TOLD_SECONDS:
            told = time.monotonic()
            log.info("snapshot.loads", products=rows)
