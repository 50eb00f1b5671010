"""Behaviour events whose price contradicts the catalogue's."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from detectors.contract.model import Role
from detectors.money import RATES, number, show
from detectors.records import Batch, Dimension, Evidence, Facts, Finding, Neighbour, Rule, Severity, Suggestion

__all__ = ["PRICE", "CataloguePriceDetector"]

PRICE: Final = Rule(
    "behavior.price",
    Dimension.CONSISTENCY,
    Severity.WARNING,
    "The price of the event contradicts the price of the product in the catalogue.",
)

_POWERS: Final = (0.01, 0.1, 10.0, 100.0)
_CURRENCIES: Final = ("CNY", "EUR", "GBP", "JPY", "USD")
_ALIKE: Final = 0.02
_RATE_TOLERANCE: Final = 0.12


class _Confirmed(NamedTuple):
    """A catalogue price that events agreed with, how many did, and the one that was confirmed before it (0: none)."""

    price: float
    events: int
    before: float


_NOTHING: Final = _Confirmed(0.0, 0, 0.0)
_ENOUGH: Final = 2


class CataloguePriceDetector:
    """Holds an event's price against the catalogue's.

    A price between half and twice the catalogue's is a sale or a price change and no contradiction;
    prices in another currency are compared over reference rates and must be off by a factor of three. An event
    without a currency whose price fits the catalogue's in another widely used currency is left alone.

    The catalogue can be wrong too. Events that agree with the catalogue's price of their product confirm it; until two
    have, the confidence stays below what may be applied. An event at the price that was confirmed before the
    catalogue's changed is left alone, and where two events contradict a price that nothing confirms with the same
    price, the second and all later ones are.

    Stateful and bounded: remembers which prices of up to `capacity` products were confirmed or disputed, forgets all
    when full.
    """

    rules: tuple[Rule, ...] = (PRICE,)

    def __init__(self, *, low: float = 0.5, high: float = 2.0, capacity: int = 100_000) -> None:
        if not 0 < low < 1 < high:
            raise ValueError(f"low is {low} and high is {high}; a price that fits lies between them, around 1")
        self.low = low
        self.high = high
        self.capacity = capacity
        self._reset()

    def _reset(self) -> None:
        self._confirmed: dict[str, _Confirmed] = {}
        self._disputed: dict[str, tuple[float, str]] = {}

    def detect(self, batch: Batch) -> list[Finding]:
        """Findings of this batch, ordered by row."""
        column = batch.contract.column_of(Role.PRICE)
        if column is None or batch.products is None:
            return []
        label_column = batch.contract.column_of(Role.CURRENCY)
        confirmed = self._confirmed
        findings = []
        for row, facts in enumerate(batch.products):
            if facts is None or (known := facts.price) is None:
                continue
            values = batch.records[row].values
            value = values.get(column)
            if value is None:
                continue
            label = values.get(label_column) if label_column is not None else None
            if isinstance(value, float | int) and value == known and (label is None or label == facts.currency):
                seen = confirmed.get(facts.identity)
                if seen is None or seen.price != known or seen.events < _ENOUGH:
                    self._confirm(facts.identity, known)
                continue
            finding = self._compare(batch, row, facts, known, value, label, column)
            if finding is not None:
                findings.append(finding)
        if len(confirmed) > self.capacity or len(self._disputed) > self.capacity:
            self._reset()
        return findings

    def _confirm(self, identity: str, price: float) -> None:
        seen = self._confirmed.get(identity, _NOTHING)
        if seen.price == price:
            self._confirmed[identity] = seen._replace(events=seen.events + 1)
        else:
            self._confirmed[identity] = _Confirmed(price, 1, seen.price)

    def _compare(
        self, batch: Batch, row: int, facts: Facts, known: float, value: Any, label: Any, column: str
    ) -> Finding | None:
        price = number(value)
        if price is None or number(known) is None:
            return None
        if label is not None and not isinstance(label, str):
            return None
        converted = label is not None and facts.currency is not None and label != facts.currency
        low, high = self.low, self.high
        ratio = price / known
        if converted:
            rate, own_rate = RATES.get(label or ""), RATES.get(facts.currency or "")
            if rate is None or own_rate is None:
                return None
            ratio, low, high = ratio * own_rate / rate, 1 / 3, 3.0
        if low <= ratio <= high:
            if not converted and abs(ratio - 1) < _ALIKE:
                self._confirm(facts.identity, known)
            return None
        if label is None and _other_currency(ratio, facts.currency):
            return None
        identity, event = facts.identity, batch.records[row].identity
        seen = self._confirmed.get(identity, _NOTHING)
        former = seen.before if seen.price == known else seen.price
        if not converted and former and abs(price / former - 1) < _ALIKE:
            return None
        confirmed = seen.price == known and seen.events >= _ENOUGH
        if seen.price != known:
            before = self._disputed.get(identity)
            if before is None:
                self._disputed[identity] = (price, event)
            elif before[1] != event and abs(price / before[0] - 1) < _ALIKE:
                return None
        power = any(abs(ratio / p - 1) < _ALIKE for p in _POWERS) and not converted
        says = f"The catalogue says {show(known)} {facts.currency or ''}".rstrip()
        return Finding(
            row=row,
            rule=PRICE,
            column=column,
            observed=value,
            confidence=(0.98 if power else 0.9) if confirmed else 0.7,
            evidence=Evidence(
                f"{says}, the event {show(price)} {label or ''}".rstrip() + ".",
                (Neighbour(identity, 1.0, known),),
                {"ratio": round(ratio, 6)},
            ),
            suggestion=None if converted else Suggestion(_like(value, known)),
        )


def _other_currency(ratio: float, currency: str | None) -> bool:
    """Whether a price that is `ratio` times the catalogue's is probably the same price in another currency."""
    base = RATES.get(currency or "")
    if base is None:
        return False
    return any(abs(ratio * base / RATES[other] - 1) < _RATE_TOLERANCE for other in _CURRENCIES if other != currency)


def _like(value: Any, price: float) -> float | int | str:
    """The price in the type that the event writes prices in."""
    if isinstance(value, str):
        return show(price)
    return int(price) if isinstance(value, int) and price == int(price) else price
