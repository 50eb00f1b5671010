"""What the stream's threads ask of the assessor, and what it was told already.

Its questions speak of neighbours by catalogue offsets. What such an entry says is told once, as the view keeps it: most
neighbours were somebody's neighbours before.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Sequence
from concurrent.futures import Future
from typing import TYPE_CHECKING

import numpy as np
import structlog
from numpy.typing import NDArray

from detectors.duplicates.room import grown
from streams.worker.assessor import Accepted, Assessor, Question, Standards, Verdict, sent
from streams.worker.own_process import OwnProcess

if TYPE_CHECKING:
    from detectors.duplicates.view import CatalogueView
    from detectors.records import SourceRecord
    from streams.worker.delivery import DeliveryOptions

__all__ = ["Assessing"]

# Entries, before it is told afresh, so that it can forget; more where more can be under way. It knows up to twice as
# many, of about a kilobyte each.
_TOLD = 1 << 15

log = structlog.get_logger(__name__)


class Assessing:
    """The assessor's process, and what it knows of the view. `shown` is called where the view is.

    neighbours: of a product. delivery: how much may be under way.
    """

    def __init__(self, standards: Standards, view: CatalogueView, neighbours: int, delivery: DeliveryOptions) -> None:
        under_way = delivery.inflight + 2  # the batch that is taken, and the one that is repeated
        self._standards = standards
        self._kept = 2 * under_way
        self._view = view
        self._numbers = {topic: itertools.count() for topic in standards.contracts}
        self._process: OwnProcess[Assessor] | None = None
        self._told = np.zeros(0, np.int64)  # by row of the view, 1 + the offset of the entry that was told
        self._count = 0
        self._most = max(_TOLD, len(standards.contracts) * under_way * delivery.batch_records * neighbours)

    def start(self) -> None:
        """Start the process, where there are topics of products. Raises: InfrastructureError where none can be had."""
        if self._standards.contracts:
            self._process = OwnProcess("the assessor of records", Assessor, self._standards, self._kept)

    async def stop(self) -> None:
        """End the process."""
        process, self._process = self._process, None
        if process is not None:
            await asyncio.to_thread(process.close)

    def check(self) -> None:
        """Raises: InfrastructureError where the process has ended."""
        if self._process is not None:
            self._process.check()

    async def take(self, topic: str, records: Sequence[SourceRecord]) -> tuple[int, Accepted]:
        """Records of a topic taken in, and the number under which they can be judged."""
        number = next(self._numbers[topic])
        return number, await self._running.call(Assessor.take, topic, number, [*map(sent, records)])

    def shown(self, rows: NDArray[np.intp]) -> NDArray[np.int64]:
        """(n, k) rows of the view, -1 for none -> the offsets by which to speak of them to the assessor."""
        there = rows >= 0
        offsets = np.full(rows.shape, -1, np.int64)
        offsets[there] = self._view.offsets_at(rows[there])
        if not there.any():
            return offsets
        self._told = grown(self._told, int(rows.max()) + 1)
        new = np.unique(rows[there & (self._told[rows] != offsets + 1)])
        if afresh := self._count + len(new) > self._most:
            self._told, self._count = np.zeros(len(self._told), np.int64), 0
            new = np.unique(rows[there])
        if len(new):
            view, lines = self._view, new.tolist()
            at = view.offsets_at(new)
            identities = map(view.identity_at, lines)
            told = [*zip(at.tolist(), identities, view.packed_at(lines), strict=True)]
            self._running.begin(Assessor.learn, told, afresh=afresh).add_done_callback(_learned)
            self._told[new] = at + 1
            self._count += len(new)
        return offsets

    def judge(self, topic: str, number: int, question: Question) -> Future[Verdict]:
        """What follows from records that were taken under this number."""
        return self._running.begin(Assessor.judge, topic, number, question)

    async def rehearse(self, topic: str, record: SourceRecord) -> None:
        """Judge a record without any consequence: raises where a record that went well before does not any more."""
        await self._running.call(Assessor.rehearse, topic, sent(record))

    @property
    def _running(self) -> OwnProcess[Assessor]:
        assert self._process is not None, "not started"
        return self._process


def _learned(done: Future[None]) -> None:
    """The question that speaks of what was not learned fails; here is why."""
    if not done.cancelled() and (error := done.exception()) is not None:
        log.warning("assessor.not_told", kind=type(error).__name__)
