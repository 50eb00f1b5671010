"""The way out of a batch: everything is sent at once, and what a topic refuses becomes a dead letter."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

import structlog

from detectors.records import Rejection, SourceRecord
from sinks.dead_letters import dead_letter
from sinks.errors import RecordRefused
from sinks.publisher import Item, Publisher

__all__ = ["Outlet"]

log = structlog.get_logger(__name__)


class Outlet:
    """Sends what a batch caused and waits until the broker has confirmed all of it."""

    def __init__(self, publisher: Publisher, dead_letters: str) -> None:
        self._publisher = publisher
        self._dead_letters = dead_letters

    async def send(
        self,
        outputs: Mapping[str, Sequence[Item]],
        rejections: Sequence[Rejection] = (),
        sources: Mapping[str, Sequence[SourceRecord]] | None = None,
    ) -> int:
        """Send items by topic, and rejections as dead letters; returns how many source records became dead letters
        because something of theirs was refused.

        sources: per topic, the source record behind each item. What the topic refuses (too large, no key) becomes a
        dead letter of that source record.

        Raises: PublishError, PublishInterrupted; RecordRefused for a refused item without a source.
        """
        futures = [(topic, await self._publisher.send(topic, items)) for topic, items in outputs.items() if items]
        letters = [dead_letter(rejection) for rejection in rejections]
        if letters:
            futures.append((self._dead_letters, await self._publisher.send(self._dead_letters, letters)))
        results = await asyncio.gather(*(future for _, future in futures), return_exceptions=True)
        refused: list[Rejection] = []
        for (topic, _), result in zip(futures, results, strict=True):
            if isinstance(result, RecordRefused) and sources is not None and topic in sources:
                for index, reason in result.refused.items():
                    refused.append(Rejection(sources[topic][index], "publish", "output_refused", reason))
            elif isinstance(result, BaseException):
                raise result
        if refused:
            log.warning("outputs.refused", records=len(refused))
            once = {(r.source.topic, r.source.partition, r.source.offset): r for r in refused}
            await (await self._publisher.send(self._dead_letters, [dead_letter(r) for r in once.values()]))
            return len(once)
        return 0

    async def bury(self, rejections: Sequence[Rejection]) -> None:
        """Dead letters, confirmed."""
        await self.send({}, rejections)
