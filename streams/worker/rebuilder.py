"""Re-embedding what the catalogue holds of another encoder, beside the stream.

Each worker gives a vector of its own encoder to the products of its own partitions, a few at a time. What it writes is
a revision of the entry that its view holds: a newer version that somebody writes meanwhile stays newer, and one that
lands behind it in the log is written again by its owner, as any stale entry is. Links stay what they were meanwhile.
When no product is left, the owner of links looks all of them up once more. Where that has come is kept in the
catalogue and in the mapping, so whoever is stopped or killed goes on where it was.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import structlog
from numpy.typing import NDArray

from detectors.duplicates.entry import Entry, quantise
from streams.worker.links import LostPartitionError

if TYPE_CHECKING:
    from detectors.duplicates.view import CatalogueView
    from models.protocol import Encoder
    from streams.worker.catalogue import Catalogue
    from streams.worker.delivery import Compute
    from streams.worker.links import LinkWay
    from streams.worker.rebuild import Rebuild

__all__ = ["Rebuilder"]

log = structlog.get_logger(__name__)

_PIECE_SECONDS = 0.1  # for which the stream waits at most, as far as it can be foretold
_MOST = 1024  # products encoded at once
_IDLE_SECONDS = 0.5
_FAILED_SECONDS = 5.0
_SAID_SECONDS = 2.0
_LOGGED_SECONDS = 60.0


class _SupersededError(Exception):
    """Somebody asked for another rebuild while this one was at work."""


class Rebuilder:
    """Does a worker's part of a rebuild that the catalogue asks for, if it asks for this worker's encoder.

    may_write: whether this worker may write entries of a source topic's partition. links_generation: the generation
    of the consumer group in which this worker is the owner of links; None where it is not. flat: products up to which
    the index needs no training.
    """

    def __init__(
        self,
        view: CatalogueView,
        catalogue: Catalogue,
        encoder: Encoder,
        links: LinkWay,
        compute: Compute,
        encoding: Compute,
        may_write: Callable[[str, int], bool],
        links_generation: Callable[[], int | None],
        flat: int,
    ) -> None:
        self._view = view
        self._catalogue = catalogue
        self._encoder = encoder
        self._links = links
        self._compute = compute
        self._encoding = encoding
        self._may_write = may_write
        self._links_generation = links_generation
        self._flat = flat
        self._size = 8
        self._trained_for = 0
        self._logged = 0.0

    async def run(self) -> None:
        """Work until cancelled. Raises: PublishError, InfrastructureError."""
        while True:
            wanted = self._catalogue.rebuild
            for_us = wanted is not None and not wanted.done and wanted.encoder == self._encoder.name
            if wanted is None or not for_us or not (await self._embed_ours() or await self._finish(wanted)):
                await asyncio.sleep(_IDLE_SECONDS)

    async def _embed_ours(self) -> bool:
        """Give vectors to the products that wait now and that this worker may write; whether there were some."""
        waiting = await self._compute.run(self._view.foreign_rows)
        waiting.reverse()  # the next are taken from its end
        some = False
        while waiting:
            began = time.perf_counter()
            try:
                entries = await self._compute.run(self._next_of_ours, waiting)
                if entries:
                    entries = await self._encoding.run(self._embed, entries)
            except Exception as error:
                # Whether a worker can go on without its encoder is for the stream to decide, which needs it, too.
                log.error("rebuild.failed", kind=type(error).__name__)
                await asyncio.sleep(_FAILED_SECONDS)
                return True
            if not entries:
                break
            some = True
            rest = time.perf_counter() - began  # as long as that took, waiting for its turn included
            await self._catalogue.reached(await self._catalogue.publish(entries))
            await self._train()
            self._tell()
            await asyncio.sleep(rest)
        return some

    def _next_of_ours(self, waiting: list[int]) -> list[Entry]:
        """The next few that this worker may write. waiting: rows; those that were looked at are taken away."""
        view = self._view
        entries: list[Entry] = []
        while waiting and len(entries) < self._size:
            row = waiting.pop()
            if not view.is_foreign(row):
                continue
            entry = view.entry(view.identity_at(row))
            if entry is not None and self._may_write(entry.topic, entry.partition):
                entries.append(entry)
        return entries

    def _embed(self, entries: Sequence[Entry]) -> list[Entry]:
        """Revisions of these with their new vectors."""
        began = time.perf_counter()
        vectors = quantise(self._encode([entry.facts.title for entry in entries]))
        took = time.perf_counter() - began
        self._size = max(1, min(_MOST, int(len(entries) * _PIECE_SECONDS / took), 2 * self._size))
        return [
            replace(entry, revision=entry.revision + 1, encoder=self._encoder.name, vector=vector)
            for entry, vector in zip(entries, vectors, strict=True)
        ]

    def _encode(self, titles: Sequence[str]) -> NDArray[np.float32]:
        try:
            return self._encoder.encode(titles)
        except Exception as error:
            if len(titles) > 1:
                return np.concatenate([self._encode([title]) for title in titles])
            # The product is still known by its words; without any vector it would hold up the rebuild for ever.
            log.error("rebuild.title_not_encoded", kind=type(error).__name__)
            return self._encoder.encode([""])

    async def _train(self) -> None:
        """The owner of links renews a large index as soon as half of the vectors are new, so that what is written
        after it brings the new one into force."""
        rebuild, foreign = self._catalogue.rebuild, self._view.foreign
        ours = len(self._view) - foreign
        due = ours >= self._flat and ours >= foreign and 4 * foreign > ours
        if rebuild is None or self._trained_for == rebuild.number or not due or self._links_generation() is None:
            return
        self._trained_for = rebuild.number
        await self._links.renew_epoch()

    def _tell(self) -> None:
        if time.monotonic() - self._logged > _LOGGED_SECONDS:
            self._logged = time.monotonic()
            log.info("rebuild.embeds", left=self._view.foreign, products=len(self._view))

    async def _finish(self, wanted: Rebuild) -> bool:
        """Look all products up again, if that is this worker's to do and the time for it; whether it was."""
        generation = self._links_generation()
        if generation is None or self._view.foreign:
            return False
        told = 0.0

        async def said(looked_up: int, products: int) -> None:
            nonlocal told
            if self._catalogue.rebuild is not None and self._catalogue.rebuild.number != wanted.number:
                raise _SupersededError
            if time.monotonic() - told > _SAID_SECONDS:
                told = time.monotonic()
                await self._catalogue.publish_rebuild(replace(wanted, looked_up=looked_up, products=products))

        log.info("rebuild.looks_up", products=len(self._view))
        try:
            await self._links.look_again(wanted.number, generation, said)
        except (LostPartitionError, _SupersededError):
            return False
        products = len(self._view)
        await self._catalogue.publish_rebuild(replace(wanted, looked_up=products, products=products, done=True))
        log.info("rebuild.done", products=products)
        return True
