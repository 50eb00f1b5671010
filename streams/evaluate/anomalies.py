"""How well faults in products are found and repaired: faults are put into a file's records, and the detectors run.

The file's own records are taken for sound. They are not quite: some of what counts as a false alarm here is a real
fault of the file.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from detectors.anomalies import KINDS, RULES, AnomalyDetector, AnomalyScorer
from detectors.contract.model import Contract, Role
from detectors.duplicates.offer import facts_of
from detectors.protocol import Detector
from detectors.records import Batch, Facts, Finding
from detectors.repair import RepairPolicy
from detectors.suite import product_detectors
from models.corruption import FAULTS, corrupt, possible_faults

__all__ = ["AnomaliesReport", "FaultReport", "KindReport", "RepairReport", "evaluate_anomalies", "split"]

_ROUNDS = 3
_MISSING = {"brand_missing": Role.BRAND, "category_missing": Role.CATEGORY}
_TYPO = "brand_typo"


@dataclass(frozen=True, slots=True)
class FaultReport:
    """planted: how many. recall: share that the classifier found. recall_all: that any detector found."""

    planted: int
    recall: float
    recall_all: float


@dataclass(frozen=True, slots=True)
class KindReport:
    """Of the classifier's findings of one kind. precision: share that name a planted fault, at `fault_rate`; None
    where it found nothing. recall: share of the planted. false_alarms: share of sound records that were accused."""

    precision: float | None
    recall: float
    false_alarms: float


@dataclass(frozen=True, slots=True)
class RepairReport:
    """Repairs of one rule. applied: those whose true value is known. precision: share of them that gave it back; None
    where there are none. unjudged: fields that were empty in the file and were filled: nobody knows their true value.
    """

    applied: int
    precision: float | None
    unjudged: int


@dataclass(frozen=True, slots=True)
class AnomaliesReport:
    """records: of the file; held_out: those that were not learned from. fault_rate: share of records given a fault.

    faults, kinds: by name. repairs: by the rule whose suggestion was applied. rules_precision: by rule, of all
    detectors' findings, the share that name a planted fault.
    """

    records: int
    held_out: int
    fault_rate: float
    faults: Mapping[str, FaultReport]
    kinds: Mapping[str, KindReport]
    repairs: Mapping[str, RepairReport]
    rules_precision: Mapping[str, float]


def split(batches: Sequence[Batch], share: float = 0.3, seed: int = 7) -> tuple[list[Batch], list[Batch]]:
    """(to learn from, held out): `share` of the records, drawn by `seed`, are held out."""
    rng = np.random.default_rng(seed)
    learn: list[Batch] = []
    held: list[Batch] = []
    for batch in batches:
        out = rng.random(len(batch)) < share
        for rows, part in ((np.flatnonzero(~out), learn), (np.flatnonzero(out), held)):
            if len(rows):
                part.append(_rows(batch, rows.tolist()))
    return learn, held


def evaluate_anomalies(
    contract: Contract,
    learned: Sequence[Batch],
    held_out: Sequence[Batch],
    scorer: AnomalyScorer,
    *,
    fault_rate: float = 0.02,
    seed: int = 1_000_003,
    auto_apply: Mapping[str, float] | None = None,
    progress: Callable[[float], None] | None = None,
) -> AnomaliesReport:
    """Plant faults in a share of the held-out records, run every detector of products and the repair policy.

    Three rounds with other records and faults. The detectors that keep state see the learned records first, and a
    planted fault is also what the record's neighbours see. seed: must not be the one of training.
    """
    count = _Count()
    policy = RepairPolicy(auto_apply)
    for number in range(_ROUNDS):
        rng = np.random.default_rng((seed, number))
        detectors: list[Detector] = [*product_detectors(contract), AnomalyDetector(scorer)]
        for batch in learned:
            for detector in detectors[:-1]:
                detector.detect(batch)
        planted = [_plant(batch, fault_rate, rng) for batch in held_out]
        seen = {f.identity: f for batch, faults in planted for f in facts_of(_rows(batch, list(faults)))}
        for batch, faults in planted:
            batch = _with_neighbours_seen(batch, seen)
            findings = [finding for detector in detectors for finding in detector.detect(batch)]
            count.add(batch, faults, findings, policy)
        if progress is not None:
            progress((number + 1) / _ROUNDS)
    records = sum(len(batch) for batch in (*learned, *held_out))
    return count.report(records, sum(len(batch) for batch in held_out), fault_rate)


@dataclass(frozen=True, slots=True)
class _Planted:
    """A fault of one record: its name, the column that it changed, the true value, the columns it may be seen in."""

    fault: str
    column: str
    truth: Any
    columns: frozenset[str]


def _plant(batch: Batch, rate: float, rng: np.random.Generator) -> tuple[Batch, dict[int, _Planted]]:
    names = [str(fault) for fault in possible_faults(batch)]
    names += [name for name, role in _MISSING.items() if batch.contract.column_of(role)]
    names += [_TYPO] if batch.contract.column_of(Role.BRAND) else []
    wanted = np.flatnonzero(rng.random(len(batch)) < rate).tolist()
    chosen = {row: names[int(rng.integers(len(names)))] for row in wanted}
    records = list(batch.records)
    planted: dict[int, _Planted] = {}
    for fault in sorted(set(chosen.values())):
        for row, value, role in _faulty(batch, fault, rng):
            column = batch.contract.column_of(role)
            if chosen.get(row) != fault or column is None:
                continue
            truth = records[row].values.get(column)
            records[row] = replace(records[row], values={**records[row].values, column: value})
            roles = (Role.PRICE, Role.CURRENCY) if role in (Role.PRICE, Role.CURRENCY) else (role,)
            columns = frozenset(name for r in roles if (name := batch.contract.column_of(r)) is not None)
            planted[row] = _Planted(fault, column, truth, columns)
    return replace(batch, records=records), planted


def _faulty(batch: Batch, fault: str, rng: np.random.Generator) -> list[tuple[int, Any, Role]]:
    """(row, wrong value, role) of every record that can have this fault."""
    role = _MISSING.get(fault)
    if role is not None:
        return [(row, None, role) for row, value in enumerate(batch.column(role)) if value]
    if fault == _TYPO:
        brands = enumerate(batch.column(Role.BRAND))
        return [
            (row, _typo(value, rng), Role.BRAND) for row, value in brands if isinstance(value, str) and len(value) > 4
        ]
    name = next(name for name in FAULTS if name == fault)
    role = FAULTS[name][1]
    corrupted = corrupt(batch, name, rng)
    column = batch.contract.column_of(role)
    return [
        (row, record.values[column], role)
        for row, record in zip(corrupted.rows, corrupted.batch.records, strict=True)
        if column is not None
    ]


def _typo(value: str, rng: np.random.Generator) -> str:
    """Two neighbouring letters swapped, one left out, or one doubled, after the first."""
    at = int(rng.integers(1, len(value) - 1))
    swapped = value[:at] + value[at + 1] + value[at] + value[at + 2 :]
    return (swapped, value[:at] + value[at + 1 :], value[:at] + value[at] + value[at:])[int(rng.integers(3))]


def _with_neighbours_seen(batch: Batch, seen: Mapping[str, Facts]) -> Batch:
    near = batch.neighbours
    if near is None:
        return batch
    facts = [[seen.get(other.identity, other) for other in others] for others in near.facts]
    return replace(batch, neighbours=replace(near, facts=facts))


def _rows(batch: Batch, rows: Sequence[int]) -> Batch:
    near = batch.neighbours
    return replace(
        batch,
        records=[batch.records[row] for row in rows],
        vectors=None if batch.vectors is None else batch.vectors[rows],
        neighbours=None
        if near is None
        else replace(near, facts=[near.facts[row] for row in rows], scores=near.scores[rows], dense=near.dense[rows]),
    )


@dataclass(slots=True)
class _Count:
    sound: int = 0
    planted: Counter[str] = field(default_factory=Counter)
    found: Counter[str] = field(default_factory=Counter)
    found_by_any: Counter[str] = field(default_factory=Counter)
    said: Counter[str] = field(default_factory=Counter)
    right: Counter[str] = field(default_factory=Counter)
    applied: Counter[str] = field(default_factory=Counter)
    restored: Counter[str] = field(default_factory=Counter)
    unjudged: Counter[str] = field(default_factory=Counter)

    def add(
        self, batch: Batch, faults: Mapping[int, _Planted], findings: Sequence[Finding], policy: RepairPolicy
    ) -> None:
        self.sound += len(batch) - len(faults)
        by_row: dict[int, list[Finding]] = defaultdict(list)
        for finding in findings:
            planted = faults.get(finding.row)
            right = planted is not None and finding.column in planted.columns
            if not right and _is_empty(finding.observed):
                continue  # empty in the file itself: nobody knows what is right
            self.said[finding.rule.name] += 1
            self.right[finding.rule.name] += right
            if right:
                by_row[finding.row].append(finding)
        ours = {rule.name for rule in RULES.values()}
        for row, planted in faults.items():
            self.planted[planted.fault] += 1
            self.found_by_any[planted.fault] += bool(by_row[row])
            self.found[planted.fault] += any(f.rule.name in ours for f in by_row[row])
        for correction in policy.repair(batch, findings).corrections:
            planted = faults.get(correction.row)
            if _is_empty(correction.before) and (planted is None or planted.column != correction.column):
                self.unjudged[correction.rule] += 1
                continue
            self.applied[correction.rule] += 1
            self.restored[correction.rule] += (
                planted is not None and planted.column == correction.column and _equal(planted.truth, correction.after)
            )

    def report(self, records: int, held_out: int, fault_rate: float) -> AnomaliesReport:
        faults = {
            name: FaultReport(n, round(self.found[name] / n, 4), round(self.found_by_any[name] / n, 4))
            for name, n in sorted(self.planted.items())
        }
        kinds = {}
        for kind in KINDS:
            names = [str(name) for name, (of, _) in FAULTS.items() if of is kind and self.planted[name]]
            rule = RULES[kind].name
            total = sum(self.planted[name] for name in names)
            if total:
                kinds[kind.value] = KindReport(
                    round(self.right[rule] / self.said[rule], 4) if self.said[rule] else None,
                    round(sum(self.found[name] for name in names) / total, 4),
                    round((self.said[rule] - self.right[rule]) / max(1, self.sound), 5),
                )
        repairs = {
            rule: RepairReport(n, round(self.restored[rule] / n, 4) if n else None, self.unjudged[rule])
            for rule in sorted({*self.applied, *self.unjudged})
            for n in (self.applied[rule],)
        }
        precision = {rule: round(self.right[rule] / n, 4) for rule, n in sorted(self.said.items())}
        return AnomaliesReport(records, held_out, fault_rate, faults, kinds, repairs, precision)


def _is_empty(value: Any) -> bool:
    return value is None or value == ""


def _equal(a: Any, b: Any) -> bool:
    if isinstance(a, str) and isinstance(b, str):
        return a.strip().casefold() == b.strip().casefold()
    if isinstance(a, int | float) and isinstance(b, int | float):
        return abs(a - b) <= 1e-6 * max(abs(a), abs(b))
    return bool(a == b)
