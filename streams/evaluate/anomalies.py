"""How well faults in products are found and repaired: faults are put into a file's records, and the detectors run.

The file's own records are taken for sound. They are not quite: some of what counts as a false alarm here is a real
fault of the file. What is planted:

- what the classifier learns from (`models.corruption`): prices, currencies, brands, categories, descriptions;
- brands and categories taken away, brands mistyped;
- values in another notation or damaged on their way (`models.notation`), which standardising and the contract's rules
  repair. They leave vectors and neighbours as they were;
- behaviour events of the held-out products, whose prices are a power of ten off.

Each kind of repair that is applied unseen has a fault here that it should repair, so its precision is measured.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from detectors.anomalies import KINDS, RULES, AnomalyDetector, AnomalyScorer
from detectors.contract.model import Column, Contract, Kind, Role
from detectors.duplicates.offer import facts_of
from detectors.money import number
from detectors.protocol import Detector
from detectors.records import Batch, Correction, Facts, Finding, Record, StoredRecord
from detectors.repair import DEFAULT_AUTO_APPLY, RepairPolicy
from detectors.standardise.outcome import TEXT_DAMAGE
from detectors.standardise.standardiser import Standardiser
from detectors.suite import behavior_detectors, product_detectors
from models.corruption import FAULTS, corrupt, possible_faults
from models.notation import DamageName, damaged, possible_damage

__all__ = ["AnomaliesReport", "FaultReport", "KindReport", "RepairReport", "evaluate_anomalies", "split"]

_ROUNDS = 3
_MISSING = {"brand_missing": Role.BRAND, "category_missing": Role.CATEGORY}
_TYPO = "brand_typo"
_EVENT = "event_price"
_EVENTS = 5  # of each product
_EVENT_BATCH = 512
_SALE = 0.2  # share of events at a lower price than the catalogue's
_AUTO_APPLIED = (*DEFAULT_AUTO_APPLY, *(rule.name for rule in TEXT_DAMAGE), "price.notation")


@dataclass(frozen=True, slots=True)
class FaultReport:
    """planted: how many. recall: share that the classifier found. recall_all: that anything found or repaired."""

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
    """Repairs of one rule, those of standardising too. applied: those whose true value is known. precision: share of
    them after which the field had it; None where there are none. unjudged: fields that were empty in the file and were
    filled: nobody knows their true value.
    """

    applied: int
    precision: float | None
    unjudged: int


@dataclass(frozen=True, slots=True)
class AnomaliesReport:
    """records: of the file; held_out: those that were not learned from. fault_rate: share of records given a fault.

    faults, kinds: by name. repairs: by rule; those that are applied by default, and any other that was applied.
    rules_precision: by rule, of all detectors' findings, the share that name a planted fault.
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
    """Plant faults in a share of the held-out records, standardise, run every detector and the repair policy.

    Three rounds with other records and faults. The detectors that keep state see the learned records first, and a
    planted fault is also what the record's neighbours see. In each round the held-out products have five events each,
    a fifth of them at a sale's price, `fault_rate` of them with a price that is a power of ten off; the catalogue that
    they are held against has the planted faults. seed: must not be the one of training.
    """
    count = _Count()
    policy = RepairPolicy(auto_apply)
    standardiser = Standardiser(contract, auto_apply)
    for done in range(_ROUNDS):
        rng = np.random.default_rng((seed, done))
        detectors: list[Detector] = [*product_detectors(contract), AnomalyDetector(scorer)]
        event_detectors = behavior_detectors(_EVENT_CONTRACT)
        for batch in learned:
            for detector in detectors[:-1]:
                detector.detect(batch)
        planted = [_plant(batch, fault_rate, rng, standardiser) for batch in held_out]
        seen = {f.identity: f for one in planted for f in facts_of(_rows(one.batch, list(one.faults)))}
        for one in planted:
            batch = _with_neighbours_seen(one.batch, seen)
            findings = [*one.findings, *(finding for detector in detectors for finding in detector.detect(batch))]
            count.add(batch, one.faults, findings, one.corrections, policy)
        for batch, faults in _events(held_out, seen, fault_rate, rng):
            findings = [finding for detector in event_detectors for finding in detector.detect(batch)]
            count.add(batch, faults, findings, (), policy, of_products=False)
        if progress is not None:
            progress((done + 1) / _ROUNDS)
    records = sum(len(batch) for batch in (*learned, *held_out))
    return count.report(records, sum(len(batch) for batch in held_out), fault_rate)


@dataclass(frozen=True, slots=True)
class _Planted:
    """A fault of one record: its name, the column that it changed, the true value, the columns it may be seen in."""

    fault: str
    column: str
    truth: Any
    columns: frozenset[str]


@dataclass(frozen=True, slots=True)
class _Spoiled:
    """A batch with faults, by row, after standardising; what standardising found and changed."""

    batch: Batch
    faults: Mapping[int, _Planted]
    findings: Sequence[Finding]
    corrections: Sequence[Correction]


def _plant(batch: Batch, rate: float, rng: np.random.Generator, standardiser: Standardiser) -> _Spoiled:
    names = [str(fault) for fault in (*possible_faults(batch), *possible_damage(batch))]
    names += [name for name, role in _MISSING.items() if batch.contract.column_of(role)]
    names += [_TYPO] if batch.contract.column_of(Role.BRAND) else []
    priced = frozenset(name for role in (Role.PRICE, Role.CURRENCY) if (name := batch.contract.column_of(role)))
    wanted = np.flatnonzero(rng.random(len(batch)) < rate).tolist()
    chosen = {row: names[int(rng.integers(len(names)))] for row in wanted}
    rows = [record.values for record in batch.records]
    planted: dict[int, _Planted] = {}
    for fault in sorted(set(chosen.values())):
        for row, column, value in _faulty(batch, fault, rng):
            if chosen.get(row) != fault or row in planted:
                continue
            planted[row] = _Planted(
                fault, column, rows[row].get(column), priced if column in priced else frozenset([column])
            )
            rows[row] = {**rows[row], column: value}
    standard = standardiser.standardise(rows)
    records = [
        replace(record, original=row, values=values)
        for record, row, values in zip(batch.records, rows, standard.values, strict=True)
    ]
    return _Spoiled(replace(batch, records=records), planted, standard.findings, standard.corrections)


def _faulty(batch: Batch, fault: str, rng: np.random.Generator) -> list[tuple[int, str, Any]]:
    """(row, column, wrong value) of every record that can have this fault."""
    if fault in list(DamageName):
        return damaged(batch, DamageName(fault), rng)
    role = Role.BRAND if fault == _TYPO else _MISSING.get(fault)
    name = None if role is not None else next(name for name in FAULTS if name == fault)
    column = batch.contract.column_of(FAULTS[name][1] if role is None and name is not None else role or Role.BRAND)
    assert column is not None  # only faults that the contract has room for are drawn
    if name is not None:
        corrupted = corrupt(batch, name, rng)
        return [
            (row, column, record.values[column])
            for row, record in zip(corrupted.rows, corrupted.batch.records, strict=True)
        ]
    values = [(row, value) for row, record in enumerate(batch.records) if (value := record.values.get(column))]
    if fault == _TYPO:
        return [(row, column, _typo(value, rng)) for row, value in values if isinstance(value, str) and len(value) > 4]
    return [(row, column, None) for row, _ in values]


_EVENT_CONTRACT = Contract(
    "events",
    "1",
    "events",
    Kind.BEHAVIORS,
    (Column("product", role=Role.PRODUCT), Column("price", role=Role.PRICE), Column("currency", role=Role.CURRENCY)),
    frozenset(("product", "price", "currency")),
)


def _events(
    held_out: Sequence[Batch], seen: Mapping[str, Facts], rate: float, rng: np.random.Generator
) -> list[tuple[Batch, dict[int, _Planted]]]:
    """Behaviour events of the products, in batches, and those whose price is a power of ten off.

    seen: what the catalogue has of the products that were given a fault.
    """
    known = [fact for batch in held_out for fact in facts_of(batch) if number(fact.price) is not None]
    order = rng.permutation(np.repeat(np.arange(len(known)), _EVENTS))
    found: list[tuple[Batch, dict[int, _Planted]]] = []
    for start in range(0, len(order), _EVENT_BATCH):
        records: list[Record] = []
        faults: dict[int, _Planted] = {}
        products = [known[place] for place in order[start : start + _EVENT_BATCH].tolist()]
        for row, fact in enumerate(products):
            right = float(fact.price or 0.0)
            if rng.random() < _SALE:
                right = round(right * float(rng.uniform(0.6, 0.95)), 2)
            price = right
            if rng.random() < rate:
                price = round(right * (0.01, 0.1, 10.0, 100.0)[int(rng.integers(4))], 4)
                faults[row] = _Planted(_EVENT, "price", right, frozenset(["price"]))
            values = {"product": fact.identity, "price": price, "currency": fact.currency}
            source = StoredRecord("events", 0, start + row, start + row, None, None)
            records.append(Record(source, f"events/0/{start + row}", values, values, start + row))
        catalogue = [seen.get(fact.identity, fact) for fact in products]
        found.append((Batch(_EVENT_CONTRACT, records, products=catalogue, catalogue_size=len(known)), faults))
    return found


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
        self,
        batch: Batch,
        faults: Mapping[int, _Planted],
        findings: Sequence[Finding],
        corrections: Sequence[Correction],
        policy: RepairPolicy,
        *,
        of_products: bool = True,
    ) -> None:
        """findings, corrections: those of standardising among them."""
        if of_products:
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
        done = policy.repair(batch, findings, corrections)
        changed = {(c.row, c.column) for c in corrections}
        for row, planted in faults.items():
            self.planted[planted.fault] += 1
            self.found_by_any[planted.fault] += bool(by_row[row]) or (row, planted.column) in changed
            self.found[planted.fault] += any(f.rule.name in ours for f in by_row[row])
        for correction in (*corrections, *done.corrections):
            planted = faults.get(correction.row)
            if _is_empty(correction.before) and (planted is None or planted.column != correction.column):
                self.unjudged[correction.rule] += 1
                continue
            after = done.batch.records[correction.row].values.get(correction.column)
            self.applied[correction.rule] += 1
            self.restored[correction.rule] += (
                planted is not None and planted.column == correction.column and _equal(planted.truth, after)
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
            for rule in sorted({*_AUTO_APPLIED, *self.applied, *self.unjudged})
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
