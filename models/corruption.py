"""Faults put into sound records: what the anomaly classifier learns from, and what it is measured with."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from enum import StrEnum
from typing import Any

import numpy as np

from detectors.anomalies import AnomalyKind
from detectors.contract.model import Role
from detectors.money import RATES, number, rescale
from detectors.neighbourhood import text
from detectors.price import PLACEHOLDERS
from detectors.records import Batch
from detectors.standardise.chinese import fold
from detectors.text import words

__all__ = ["FAULTS", "Corrupted", "FaultName", "corrupt", "possible_faults"]


class FaultName(StrEnum):
    """A fault that can be put into a record."""

    PRICE_TIMES_10 = "price_times_10"
    PRICE_TIMES_100 = "price_times_100"
    PRICE_TENTH = "price_tenth"
    PRICE_HUNDREDTH = "price_hundredth"
    PRICE_PLACEHOLDER = "price_placeholder"
    CURRENCY_SWAP = "currency_swap"
    BRAND_SWAP = "brand_swap"
    CATEGORY_SWAP = "category_swap"
    DESCRIPTION_SWAP = "description_swap"


FAULTS: Mapping[FaultName, tuple[AnomalyKind, Role]] = {
    FaultName.PRICE_TIMES_10: (AnomalyKind.PRICE, Role.PRICE),
    FaultName.PRICE_TIMES_100: (AnomalyKind.PRICE, Role.PRICE),
    FaultName.PRICE_TENTH: (AnomalyKind.PRICE, Role.PRICE),
    FaultName.PRICE_HUNDREDTH: (AnomalyKind.PRICE, Role.PRICE),
    FaultName.PRICE_PLACEHOLDER: (AnomalyKind.PRICE, Role.PRICE),
    FaultName.CURRENCY_SWAP: (AnomalyKind.PRICE, Role.CURRENCY),
    FaultName.BRAND_SWAP: (AnomalyKind.BRAND, Role.BRAND),
    FaultName.CATEGORY_SWAP: (AnomalyKind.CATEGORY, Role.CATEGORY),
    FaultName.DESCRIPTION_SWAP: (AnomalyKind.DESCRIPTION, Role.DESCRIPTION),
}
"""The kind that a fault is of, and the role of the column that it changes."""

_COMMON_CURRENCIES = ("USD", "EUR", "GBP", "CNY", "JPY", "INR")
_MIN_RATE_RATIO = 1.5  # labels whose rates differ by less make no fault that anybody could see
_FACTORS = {
    FaultName.PRICE_TIMES_10: Decimal(10),
    FaultName.PRICE_TIMES_100: Decimal(100),
    FaultName.PRICE_TENTH: Decimal("0.1"),
    FaultName.PRICE_HUNDREDTH: Decimal("0.01"),
}


@dataclass(frozen=True, slots=True)
class Corrupted:
    """A batch with the same fault in some of its records.

    batch: only the records that could be given the fault. rows: of the batch it was made from.
    """

    fault: FaultName
    batch: Batch
    rows: Sequence[int]


def possible_faults(batch: Batch) -> list[FaultName]:
    """The faults that a batch of this contract can be given."""
    return [fault for fault, (_, role) in FAULTS.items() if batch.contract.column_of(role) is not None]


def corrupt(batch: Batch, fault: FaultName, rng: np.random.Generator) -> Corrupted:
    """Give every record of the batch this fault that can have it. The batch itself is left as it is.

    Vectors and neighbours stay: no fault here changes a title.
    """
    _, role = FAULTS[fault]
    column = batch.contract.column_of(role)
    values = batch.column(role)
    change = _change(batch, fault, rng)
    rows, records = [], []
    for row, value in enumerate(values):
        changed = change(row, value)
        if changed is not None and column is not None:
            rows.append(row)
            record = batch.records[row]
            records.append(replace(record, values={**record.values, column: changed}))
    return Corrupted(fault, _part(batch, rows, records), rows)


def _part(batch: Batch, rows: Sequence[int], records: Sequence[Any]) -> Batch:
    near = batch.neighbours
    return replace(
        batch,
        records=records,
        vectors=None if batch.vectors is None else batch.vectors[list(rows)],
        neighbours=None
        if near is None
        else replace(
            near,
            facts=[near.facts[row] for row in rows],
            scores=near.scores[list(rows)],
            dense=near.dense[list(rows)],
        ),
    )


_Change = Callable[[int, Any], Any]
"""(row, value) -> the wrong value; None where this record cannot have the fault."""


def _change(batch: Batch, fault: FaultName, rng: np.random.Generator) -> _Change:
    factor = _FACTORS.get(fault)
    if factor is not None:
        return lambda _, value: None if number(value) is None else rescale(value, factor)
    if fault is FaultName.PRICE_PLACEHOLDER:
        placeholders = sorted(PLACEHOLDERS)

        def placeholder(_: int, value: Any) -> Any:
            chosen = placeholders[int(rng.integers(len(placeholders)))]
            return None if number(value) is None or number(value) == chosen else chosen

        return placeholder
    if fault is FaultName.CURRENCY_SWAP:
        return _other_currency(batch, rng)
    return _anothers(batch, FAULTS[fault][1], rng)


def _other_currency(batch: Batch, rng: np.random.Generator) -> _Change:
    labels = {label for label in batch.column(Role.CURRENCY) if isinstance(label, str)}
    labels |= {
        f.currency for facts in (batch.neighbours.facts if batch.neighbours else ()) for f in facts if f.currency
    }
    known = sorted(label for label in labels if label in RATES)
    prices = batch.column(Role.PRICE)

    def swap(row: int, value: Any) -> Any:
        if not isinstance(value, str) or value not in RATES or number(prices[row]) is None:
            return None
        for pool in (known, _COMMON_CURRENCIES) if rng.random() < 0.8 else (_COMMON_CURRENCIES, known):
            others = [c for c in pool if not 1 / _MIN_RATE_RATIO < RATES[c] / RATES[value] < _MIN_RATE_RATIO]
            if others:
                return others[int(rng.integers(len(others)))]
        return None

    return swap


def _anothers(batch: Batch, role: Role, rng: np.random.Generator) -> _Change:
    """The value that another record of the batch has: unlike this one's, and from a product unlike this one."""
    values, titles = batch.column(role), batch.column(Role.TITLE)
    known = [row for row, value in enumerate(values) if isinstance(value, str) and value]

    def swap(row: int, value: Any) -> Any:
        if not isinstance(value, str) or not value or len(known) < 2:
            return None
        own, title = fold(value), words(text(titles[row]))
        for other in rng.choice(known, size=8).tolist():
            theirs = words(text(titles[other]))
            alike = len(title & theirs) / max(1, min(len(title), len(theirs)))
            if fold(values[other]) != own and alike <= 0.34:
                return values[other]
        return None

    return swap
