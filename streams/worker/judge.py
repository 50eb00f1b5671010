"""From a batch to everything that is said of it: findings, repairs, corrected records, review items."""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from detectors.anomalies import AnomalyDetector
from detectors.contract.model import Contract
from detectors.intake import Intake, Taken
from detectors.protocol import Detector
from detectors.records import Batch, Correction, Finding, Rule, SourceRecord
from detectors.repair import RepairPolicy
from sinks.wire import Versions, corrected_record, finding_id, finding_message
from streams.settings import TopicNames
from streams.worker.rekey import carrier_of

if TYPE_CHECKING:
    from sinks.metrics import Metrics
    from sinks.publisher import Item

__all__ = ["Judge", "Judgement", "Told"]


@dataclass(frozen=True, slots=True)
class Told:
    """How much was said of a batch's records.

    findings: by rule. standardised, repaired, suggested: changes that were made, or left to people, by the rule's name.
    """

    records: int
    findings: Mapping[Rule, int]
    standardised: Mapping[str, int]
    repaired: Mapping[str, int]
    suggested: Mapping[str, int]

    def count(self, metrics: Metrics, topic: str, refused: int) -> None:
        """Add this to the metrics; called once it is confirmed.

        refused: records whose outputs a topic did not take, so that they are dead letters.
        """
        metrics.records(topic, "corrected", self.records - refused)
        metrics.records(topic, "dead_letter", refused)
        metrics.findings(topic, self.findings)
        metrics.corrections(topic, self.standardised, "standardised")
        metrics.corrections(topic, self.repaired, "repaired")
        metrics.corrections(topic, self.suggested, "suggested")


@dataclass(frozen=True, slots=True)
class Judgement:
    """What a batch causes.

    outputs: per topic. rows: per topic, the row of the batch behind each of the items.
    batch: with the repaired values. repaired: rows of which a repair changed a field.
    """

    outputs: dict[str, list[Item]]
    rows: dict[str, list[int]]
    batch: Batch
    repaired: frozenset[int]
    told: Told


def _now() -> int:
    return time.time_ns() // 1_000_000


class Judge:
    """Runs the detectors and the repair policy of one topic and writes what comes out.

    source_topic: after which the topic of corrected records is named.
    clock: milliseconds since 1970, UTC.
    """

    def __init__(
        self,
        contract: Contract,
        detectors: Sequence[Detector],
        policy: RepairPolicy,
        topics: TopicNames,
        source_topic: str,
        encoder: str | None = None,
        clock: Callable[[], int] = _now,
    ) -> None:
        self._detectors = tuple(detectors)
        self._policy = policy
        self._topics = topics
        self._corrected = topics.corrected(source_topic)
        self._versions = Versions(contract.name, contract.version, encoder)
        self._clock = clock

    def judge(
        self,
        taken: Taken,
        batch: Batch,
        canonical: Sequence[str | None] | None = None,
        beside: Iterable[Finding] = (),
    ) -> Judgement:
        """Everything that follows from a batch. `batch` is `taken.batch` with vectors, neighbours or products.

        beside: findings about its rows that no detector makes.
        """
        findings = [*taken.findings, *beside]
        for detector in self._detectors:
            found = detector.detect(batch)
            if found and isinstance(detector, AnomalyDetector):
                # The classifier speaks of fields that no rule speaks of: a rule can say better what is wrong.
                said = {(finding.row, finding.column) for finding in findings}
                found = [finding for finding in found if (finding.row, finding.column) not in said]
            findings += found
        done = self._policy.repair(batch, findings, taken.corrections)
        named = self._name(batch, findings)
        corrections: dict[int, list[Correction]] = defaultdict(list)
        for correction in (*taken.corrections, *done.corrections):
            corrections[correction.row].append(correction)
        now = self._clock()
        outputs: dict[str, list[Item]] = {}
        behind: dict[str, list[int]] = {}
        if batch.records:
            behind[self._corrected] = [*range(len(batch))]
            outputs[self._corrected] = [
                (
                    _key(carrier_of(record.source).key, record.identity),
                    corrected_record(
                        record,
                        record.values,
                        named.get(row, ()),
                        corrections.get(row, ()),
                        None if canonical is None else canonical[row],
                        self._versions,
                        now,
                        keep_original=row in taken.keep_original or "_quality" in record.original,
                    ),
                    (),
                )
                for row, record in enumerate(done.batch.records)
            ]
        ids = {id(finding): identifier for rows in named.values() for identifier, finding in rows}
        for name, told in (("findings", findings), ("review", done.reviews)):
            if told:
                behind[self._topics.named(name)] = [f.row for f in told]
                outputs[self._topics.named(name)] = [
                    (
                        batch.records[f.row].identity.encode("utf-8", "replace"),
                        finding_message(batch.records[f.row], f, ids[id(f)], self._versions, now),
                        (),
                    )
                    for f in told
                ]
        return Judgement(
            outputs=outputs,
            rows=behind,
            batch=done.batch,
            repaired=frozenset(correction.row for correction in done.corrections),
            told=Told(
                records=len(batch),
                findings=Counter(finding.rule for finding in findings),
                standardised=Counter(correction.rule for correction in taken.corrections),
                repaired=Counter(correction.rule for correction in done.corrections),
                suggested=Counter(finding.rule.name for finding in done.reviews),
            ),
        )

    def rehearse(self, intake: Intake, record: SourceRecord) -> None:
        """Judge a record without any consequence: raises where a record that went well before does not any more."""
        taken = intake.take([record])
        self.judge(taken, taken.batch)

    @staticmethod
    def _name(batch: Batch, findings: Sequence[Finding]) -> dict[int, list[tuple[str, Finding]]]:
        """Each row's findings with their ids."""
        named: dict[int, list[tuple[str, Finding]]] = defaultdict(list)
        ordinals: dict[tuple[int, str, str | None], int] = defaultdict(int)
        for finding in findings:
            source, place = batch.records[finding.row].source, (finding.row, finding.rule.name, finding.column)
            which = ordinals[place] if finding.other is None else finding.other
            identifier = finding_id(
                source.topic, source.partition, source.offset, finding.rule.name, finding.column, which
            )
            ordinals[place] += 1
            named[finding.row].append((identifier, finding))
        return named


def _key(key: bytes | None, identity: str) -> bytes:
    """The source's own key; a compacted topic refuses a record without one, so the identity stands in."""
    return identity.encode("utf-8", "replace") if key is None else key
