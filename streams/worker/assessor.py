"""What is done with product records by themselves: taken in, and judged beside their neighbours.

It needs nothing that the stream's threads hold but the neighbours, so it has a process of its own: see `assessing`.
What goes there and comes back is here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from operator import attrgetter
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from detectors.anomalies import AnomalyScorer
from detectors.contract.model import Contract
from detectors.decode import Limits
from detectors.duplicates.offer import facts_of
from detectors.duplicates.texts import facts_from
from detectors.intake import Intake, Taken
from detectors.records import Facts, Finding, Neighbours, SourceRecord, StoredRecord, Version
from detectors.repair import RepairPolicy
from detectors.suite import product_detectors
from streams.errors import InfrastructureError
from streams.settings import TopicNames
from streams.worker.judge import Judge, Told
from streams.worker.rekey import PassedOn

if TYPE_CHECKING:
    from sinks.publisher import Item

__all__ = ["Accepted", "Assessor", "Question", "Sent", "Standards", "Verdict", "sent"]

Sent = tuple[tuple[Any, ...], tuple[Any, ...] | None]
"""A source record on its way to the assessor: its fields, and those of the record that carried it, if any did."""

_fields_of = attrgetter(*(each.name for each in fields(StoredRecord)))


@dataclass(frozen=True, slots=True)
class Standards:
    """What product records are judged by.

    contracts: by source topic. auto_apply: see `RepairPolicy`. encoder: whose neighbours they have. scorer: the anomaly
    classifier, where there is one.
    """

    contracts: Mapping[str, Contract]
    limits: Limits
    auto_apply: Mapping[str, float]
    topics: TopicNames
    encoder: str
    scorer: AnomalyScorer | None


@dataclass(frozen=True, slots=True)
class Accepted:
    """What became of records that were taken, each by its place among them.

    places: of those in the batch. facts: what the catalogue keeps of each of those, as `facts_of` gives it.
    rejections: (place, stage, error, message). tombstones: (place, identity).
    """

    places: Sequence[int]
    facts: Sequence[Facts]
    rejections: Sequence[tuple[int, str, str, str]]
    tombstones: Sequence[tuple[int, str]]


@dataclass(frozen=True, slots=True)
class Question:
    """What a batch that was taken is to be judged by.

    kept: the rows of it that are judged; all below is of these. versions: (generation, offset).
    offsets: (n, k), the catalogue offset of each neighbour's newest entry, of which the assessor was told; -1 for none.
    scores, dense: as in `Neighbours`. beside: findings that no detector makes.
    """

    kept: Sequence[int]
    versions: Sequence[tuple[int, int]]
    offsets: NDArray[np.int64]
    scores: NDArray[np.float32]
    dense: NDArray[np.float32]
    canonical: Sequence[str]
    beside: Sequence[Finding]
    catalogue_size: int


@dataclass(frozen=True, slots=True)
class Verdict:
    """What follows from a batch.

    outputs, rows: as in `Judgement`. repaired: by row, the facts of products that a repair changed. told: how much.
    """

    outputs: dict[str, list[Item]]
    rows: dict[str, list[int]]
    repaired: dict[int, Facts]
    told: Told


def sent(record: SourceRecord) -> Sent:
    """A record in a form that is quickly made and quickly read."""
    return _fields_of(record), _fields_of(record.carrier) if isinstance(record, PassedOn) else None


def _arrived(record: Sent) -> SourceRecord:
    own, carrier = record
    return StoredRecord(*own) if carrier is None else PassedOn(*own, carrier=StoredRecord(*carrier))


class Assessor:
    """Takes records in and judges them, for all product topics of a worker.

    kept: how many batches of a topic are taken, at most, before one is judged; what is older is forgotten.
    """

    def __init__(self, standards: Standards, kept: int) -> None:
        s = standards
        policy = RepairPolicy(s.auto_apply)
        self._intakes = {topic: Intake(contract, s.limits, s.auto_apply) for topic, contract in s.contracts.items()}
        self._judges = {
            topic: Judge(contract, product_detectors(contract, s.scorer), policy, s.topics, topic, s.encoder)
            for topic, contract in s.contracts.items()
        }
        self._taken: dict[str, dict[int, Taken]] = {topic: {} for topic in s.contracts}
        self._kept = kept
        self._facts: dict[int, Facts] = {}
        self._before: dict[int, Facts] = {}

    def take(self, topic: str, number: int, records: Sequence[Sent]) -> Accepted:
        """Decode and standardise records of one topic, and keep them under this number until they are judged.

        number: one more than that of the topic's batch before.
        """
        sources = [*map(_arrived, records)]
        taken = self._intakes[topic].take(sources)
        kept = self._taken[topic]
        kept[number] = taken
        for dropped in [other for other in kept if other <= number - self._kept]:
            del kept[dropped]
        place = {id(source): i for i, source in enumerate(sources)}
        return Accepted(
            [place[id(record.source)] for record in taken.batch.records],
            facts_of(taken.batch),
            [(place[id(r.source)], r.stage, r.error, r.message) for r in taken.rejections],
            [(place[id(t.source)], t.identity) for t in taken.tombstones],
        )

    def learn(self, told: Sequence[tuple[int, str, bytes]], *, afresh: bool) -> None:
        """Be told of products that questions will speak of: catalogue offset, identity, and facts as they are packed.

        afresh: whoever tells begins anew, and will speak no more of what was told before the last time that it did.
        """
        if afresh:
            self._before, self._facts = self._facts, {}
        for offset, identity, packed in told:
            self._facts[offset] = facts_from(identity, packed)

    def judge(self, topic: str, number: int, question: Question) -> Verdict:
        """Everything that follows from a batch that was taken."""
        taken = self._taken[topic].pop(number, None)
        if taken is None:
            raise _untold("a batch")
        q, batch = question, taken.batch
        if len(q.kept) < len(batch):
            taken = _without(taken, q.kept)
            batch = taken.batch
        records = [
            record if record.version == version else replace(record, version=Version(*version))
            for record, version in zip(batch.records, q.versions, strict=True)
        ]
        facts = [self._known([offset for offset in line if offset >= 0]) for line in q.offsets.tolist()]
        whole = replace(
            batch,
            records=records,
            neighbours=Neighbours(facts, q.scores, q.dense),
            catalogue_size=q.catalogue_size,
        )
        judgement = self._judges[topic].judge(taken, whole, q.canonical, q.beside)
        repaired: dict[int, Facts] = {}
        if judgement.repaired:
            now = facts_of(judgement.batch)
            repaired = {row: now[row] for row in sorted(judgement.repaired)}
        return Verdict(judgement.outputs, judgement.rows, repaired, judgement.told)

    def rehearse(self, topic: str, record: Sent) -> None:
        """Judge a record without any consequence: raises where a record that went well before does not any more."""
        self._judges[topic].rehearse(self._intakes[topic], _arrived(record))

    def _known(self, offsets: Sequence[int]) -> list[Facts]:
        facts, before = self._facts, self._before
        try:
            return [facts[offset] if offset in facts else before[offset] for offset in offsets]
        except KeyError as error:
            raise _untold("a product") from error


def _untold(what: str) -> InfrastructureError:
    """No fault of the records, which are not to be given up for it."""
    return InfrastructureError(
        f"The assessor of records was not told of {what} that it was asked about.",
        "Nothing of this batch was acknowledged. Start the worker again, and report it: the fault is ours.",
    )


def _without(taken: Taken, kept: Sequence[int]) -> Taken:
    """What was taken, without some of its rows."""
    place = {row: i for i, row in enumerate(kept)}
    return replace(
        taken,
        batch=replace(taken.batch, records=[taken.batch.records[row] for row in kept]),
        findings=[replace(f, row=place[f.row]) for f in taken.findings if f.row in place],
        corrections=[replace(c, row=place[c.row]) for c in taken.corrections if c.row in place],
        keep_original=frozenset(place[row] for row in taken.keep_original if row in place),
    )
