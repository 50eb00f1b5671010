"""The catalogue topic: written by the owners of records, followed by every worker into its view."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import structlog
from aiokafka import ConsumerRecord

from detectors.duplicates.entry import Entry, Skipped, decode_entries, encode_entry
from detectors.duplicates.epoch import Epoch, epoch_chunks
from detectors.records import Rejection
from sinks.publisher import Publisher
from streams.worker.delivery import Compute
from streams.worker.follower import Follower
from streams.worker.generations import GENERATION_KEY, Generation, read_generation

if TYPE_CHECKING:
    from detectors.duplicates.view import CatalogueView, EpochDraft

__all__ = ["Catalogue"]

log = structlog.get_logger(__name__)

_SKETCHED_AT_ONCE = 1024  # rows: some ten milliseconds between other work
_EPOCH_MARGIN = 500  # catalogue offsets between the publishing of an epoch and its start
_EPOCH_SHARE = 0.25  # the same of a large catalogue, as a share of its products: their rows are computed meanwhile


class Catalogue:
    """One worker's hold on the catalogue topic.

    The view is only ever touched on the compute thread. Entries that do not decode are handed to `dead_letter`.

    wait: seconds after which a view that does not come up to a published entry stops the worker.
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
    ) -> None:
        self._topic = topic
        self._view = view
        self._compute = compute
        self._publisher = publisher
        self._dead_letter = dead_letter
        self._wait = wait
        self._generations: dict[str, Generation] = {}
        self._beside: asyncio.Task[None] | None = None
        self.follower = Follower(topic, options, self._apply)

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
        margin = max(_EPOCH_MARGIN, int(_EPOCH_SHARE * epoch.n)) if draft.lists else _EPOCH_MARGIN
        await self.publish_epoch(replace(epoch, switch_at=self.follower.position + margin))
        log.info("epoch.published", number=epoch.number, products=epoch.n, lists=draft.lists)

    async def settle(self) -> None:
        """Return when nothing waits to be computed: after the first reading of the topic, before lookups."""
        await self._work_beside()

    async def publish_generation(self, generation: Generation) -> None:
        """Write a source topic's generation and wait until the view knows it."""
        end = await self._publisher.publish_in_order(self._topic, 0, [(*generation.encode(), ())])
        await self.reached(end)

    async def reached(self, position: int) -> None:
        """Return when the view holds everything below this catalogue offset. Raises: InfrastructureError."""
        await self.follower.reached(position, self._wait)

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
        if any(record.key is not None and record.key.startswith(GENERATION_KEY) for record in records):
            entries = []
            for record in records:
                if record.key is None or not record.key.startswith(GENERATION_KEY):
                    entries.append(record)
                    continue
                try:
                    generation = read_generation(record.key, record.value or b"")
                except (ValueError, KeyError, TypeError) as error:
                    rejections.append(Rejection(record, "catalogue", "generation_unreadable", str(error)))
                    continue
                known = self._generations.get(generation.topic)
                # Two workers may notice at once, with other ends: the first one's word holds.
                if known is None or generation.number > known.number:
                    self._generations[generation.topic] = generation
        decoded = await self._compute.run(self._apply_to_view, entries, position)
        by_offset = {record.offset: record for record in entries} if decoded else {}
        rejections += [
            Rejection(by_offset[skipped.offset], "catalogue", "entry_unreadable", skipped.reason) for skipped in decoded
        ]
        self._go_on_beside()
        if rejections and self.follower.recovered:  # those of an earlier start are dead letters already
            log.error("catalogue.entries_skipped", entries=len(rejections))
            await self._dead_letter(rejections)

    def _go_on_beside(self) -> None:
        """See to it that what an epoch needs is computed while the stream goes on."""
        cells = self._view.cells
        if not self.follower.recovered or not (self._view.switching or (cells is not None and cells.behind)):
            return
        if self._beside is None or self._beside.done():
            if self._beside is not None and not self._beside.cancelled():
                self._beside.result()  # raises what it raised
            self._beside = asyncio.create_task(self._work_beside())

    async def _work_beside(self) -> None:
        while await self._compute.run(self._view.prepare, _SKETCHED_AT_ONCE):
            pass
        cells = self._view.cells
        if cells is not None and cells.behind:
            await asyncio.to_thread(cells.work)

    def _apply_to_view(self, records: Sequence[ConsumerRecord], position: int) -> Sequence[Skipped]:
        decoded = decode_entries(records)
        self._view.apply(decoded.items, position)
        return decoded.skipped
