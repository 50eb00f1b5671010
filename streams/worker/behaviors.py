"""The way of a behaviour event: decode, standardise, join with what is known of its product, check, correct."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from detectors.contract.model import Contract, Role
from detectors.intake import Intake, Taken
from detectors.records import Batch, Facts, SourceRecord, identity_of
from streams.worker.judge import Judge, Judgement
from streams.worker.outlet import Outlet

if TYPE_CHECKING:
    from detectors.duplicates.view import CatalogueView
    from sinks.metrics import Metrics
    from streams.worker.delivery import Compute
    from streams.worker.mapping import Mapping

__all__ = ["BehaviorWay"]


class BehaviorWay:
    """Handles micro-batches of one behaviour topic.

    Nothing of it depends on another batch but what the detectors remember, so it has no read-back.

    catching_up: whether products wait to be read; a product that is not in the catalogue then may come in a moment.
    """

    def __init__(
        self,
        contract: Contract,
        intake: Intake,
        judge: Judge,
        view: CatalogueView,
        mapping: Mapping,
        outlet: Outlet,
        compute: Compute,
        metrics: Metrics,
        catching_up: Callable[[], bool],
    ) -> None:
        self._contract = contract
        self._intake = intake
        self._judge = judge
        self._view = view
        self._mapping = mapping
        self._outlet = outlet
        self._compute = compute
        self._metrics = metrics
        self._catching_up = catching_up

    async def __call__(self, records: Sequence[SourceRecord], generation: int) -> Awaitable[None]:
        """Judge the batch; the returned awaitable is done when everything it caused is confirmed."""
        started = time.perf_counter()
        taken, judgement = await self._compute.run(self._work, records)
        judged = time.perf_counter()

        async def confirmed() -> None:
            ours = taken.batch.records
            sources = {topic: [ours[row].source for row in rows] for topic, rows in judgement.rows.items()}
            refused = await self._outlet.send(judgement.outputs, taken.rejections, sources)
            topic, now = records[0].topic, time.perf_counter()
            judgement.told.count(self._metrics, topic, refused)
            self._metrics.records(topic, "dead_letter", len(taken.rejections))
            self._metrics.batch(topic, len(records), {"judge": judged - started, "publish": now - judged})
            stamps = np.fromiter((record.timestamp for record in records), np.float64, len(records))
            self._metrics.end_to_end(topic, time.time() - stamps / 1e3)

        return confirmed()

    async def rehearse(self, record: SourceRecord) -> None:
        """Judge a record without any consequence: raises where a record that went well before does not any more."""
        await self._compute.run(self._judge.rehearse, self._intake, record)

    def _work(self, records: Sequence[SourceRecord]) -> tuple[Taken, Judgement]:
        taken = self._intake.take(records)
        batch, canonical = self._join(taken.batch)
        return taken, self._judge.judge(taken, batch, canonical)

    def _join(self, batch: Batch) -> tuple[Batch, list[str | None]]:
        """What the catalogue knows of each event's product, and that product's canonical identity."""
        view, mapping = self._view, self._mapping
        ids, sources = batch.column(Role.PRODUCT), batch.column(Role.SOURCE)
        fixed = self._contract.source
        facts: list[Facts | None] = []
        canonical: list[str | None] = []
        for product, source in zip(ids, sources, strict=True):
            if product is None:
                facts.append(None)
                canonical.append(None)
                continue
            source = source if source is not None else fixed
            identity = view.by_product_id(str(product)) if source is None else identity_of(str(source), str(product))
            known = None if identity is None else view.facts(identity)
            facts.append(known)
            canonical.append(None if identity is None else mapping.canonical(identity))
        joined = replace(
            batch, products=facts, canonical=canonical, catalogue_size=0 if self._catching_up() else len(view)
        )
        return joined, canonical
