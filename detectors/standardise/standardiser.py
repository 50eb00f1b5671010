"""Every column of a batch into standard form, by its role or its declared type, each change recorded.

A change is a `Correction`; damage, not mere habit, is a `Finding` too, with the repair as its suggestion. What happens
to which column:

| role or type                                       | what                                       |
|----------------------------------------------------|--------------------------------------------|
| title, description, brand, category, query, review | `text`                                     |
| price                                              | a JSON number, the float nearest to it     |
| currency                                           | ISO 4217 code                              |
| updated_at, time                                   | ISO 8601 text in UTC                       |
| gtin                                               | GTIN as text                               |
| url, image                                         | trimmed                                    |
| no role, type number or integer                    | a number where it is written as text; with |
|                                                    | a unit in the contract also `0.5 kg`       |
| no role, type date, timestamp or boolean           | ISO 8601 text; true or false               |
| any column of the contract                         | empty or "missing" by the contract is None |

All other values stay as they are, of whatever type. So does a notation that can be read in two ways: what it most
likely means is the suggestion of a finding. Another value of the same source in the batch may settle it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import tzinfo
from functools import cached_property, partial
from typing import Any

from detectors.contract.model import Column, ColumnType, Contract, Role
from detectors.records import Correction, Evidence, Finding, Rule, Suggestion
from detectors.standardise.gtin import standardise_gtin
from detectors.standardise.outcome import (
    PRICE_AMBIGUOUS,
    PRICE_CURRENCY_AMBIGUOUS,
    PRICE_CURRENCY_CONFLICT,
    PRICE_NEGATIVE,
    PRICE_UNPARSEABLE,
    RULES,
    SURE,
    TEXT_DAMAGE,
    TIME_AMBIGUOUS,
    TIME_UNPARSEABLE,
    Fault,
    Outcome,
    Step,
)
from detectors.standardise.price import Money, NoPrice, currency_code, parse_number, parse_price, resolve_currency
from detectors.standardise.text import TextKind, standardise_text, suspects
from detectors.standardise.time import all_standard, ambiguous_mark, day_first, standardise_date, standardise_time
from detectors.standardise.units import amount_in

__all__ = ["ADDED", "Standardised", "Standardiser", "restore"]

ADDED = "price.currency_added"
"""The rule of a correction that added a column which the record did not have."""

_TEXT_KINDS = {
    Role.TITLE: TextKind.PHRASE,
    Role.DESCRIPTION: TextKind.PROSE,
    Role.REVIEW: TextKind.PROSE,
    Role.BRAND: TextKind.NAME,
    Role.CATEGORY: TextKind.NAME,
    Role.QUERY: TextKind.NAME,
}
_BOOLEANS = {
    **dict.fromkeys(("true", "yes", "y", "1", "t", "on", "是", "有"), True),
    **dict.fromkeys(("false", "no", "n", "0", "f", "off", "否", "无", "無"), False),
}
_FLOAT = re.compile(r"[+-]?[0-9]{1,300}(?:\.[0-9]{1,300})?(?:[eE][+-]?[0-9]{1,2})?")


@dataclass(frozen=True, slots=True)
class Standardised:
    """A batch in standard form.

    values: one per row; the very object that came in where nothing changed, else a copy.
    corrections: by row; those of one field in the order in which they were made, each starting where the one before
    ended, so that undoing them backwards gives the original (`restore`).
    findings: by row. Their `observed` is the value that came in.
    """

    values: list[dict[str, Any]]
    corrections: list[Correction]
    findings: list[Finding]


def restore(values: Mapping[str, Any], corrections: Sequence[Correction]) -> dict[str, Any]:
    """The record as it came in: the corrections of one row undone, the last first."""
    original = dict(values)
    for correction in reversed(corrections):
        if correction.rule == ADDED:
            original.pop(correction.column, None)
        else:
            original[correction.column] = correction.before
    return original


class _Work:
    """A batch while its columns are worked on, one after the other."""

    def __init__(self, rows: Sequence[Mapping[str, Any]]) -> None:
        self.rows = rows
        self.values: list[dict[str, Any]] = [row if isinstance(row, dict) else dict(row) for row in rows]
        self.copied: set[int] = set()
        self.corrections: list[Correction] = []
        self.findings: list[Finding] = []
        self._columns: dict[str, list[Any]] = {}

    def column(self, name: str) -> list[Any]:
        """The values of a column as they are now; not to be changed."""
        known = self._columns.get(name)
        if known is None:
            known = self._columns[name] = [values.get(name) for values in self.values]
        return known

    def change(self, row: int, column: str, step: Step) -> None:
        values = self.values[row]
        if row not in self.copied:
            self.copied.add(row)
            values = self.values[row] = dict(values)
        before = values.get(column)
        values[column] = step.after
        self._columns.pop(column, None)
        self.corrections.append(Correction(row, column, before, step.after, step.confidence, step.rule, step.reason))

    def find(self, row: int, column: str, fault: Fault) -> None:
        suggestion = Suggestion(self.values[row].get(column)) if fault.repaired else fault.suggestion
        observed = self.rows[row].get(column)
        evidence = Evidence(fault.reason[:1].upper() + fault.reason[1:] + ".")
        self.findings.append(Finding(row, fault.rule, column, observed, fault.confidence, evidence, suggestion))

    def apply(self, row: int, column: str, outcome: Outcome | None) -> None:
        if outcome is None:
            return
        for step in outcome.steps:
            self.change(row, column, step)
        if outcome.steps and outcome.steps[-1].after == "":
            self.change(row, column, _EMPTY)
        for fault in outcome.faults:
            self.find(row, column, fault)


_EMPTY = Step(None, "missing.empty", "an empty text says nothing")


class Standardiser:
    """Brings batches of one topic into standard form. Keeps no state between batches and can be pickled.

    auto_apply: per rule (those of damage in texts, and `price.currency` for the currency that a price names), the
    confidence from which its repair is made; what is below it is suggested. Above 1 means never.
    """

    rules: tuple[Rule, ...] = RULES

    def __init__(self, contract: Contract, auto_apply: Mapping[str, float] | None = None) -> None:
        self.contract = contract
        source = contract.column_of(Role.SOURCE)
        limits = dict(auto_apply or {})
        texts = tuple((rule.name, limits[rule.name]) for rule in TEXT_DAMAGE if rule.name in limits)
        self._tasks: list[Callable[[_Work], None]] = [
            task for column in contract.columns for task in _tasks(column, source, contract.zone, texts)
        ]
        price = contract.roles.get(Role.PRICE)
        if price is not None:
            # Last: it reads the currency column in standard form, and the record's texts for the language.
            beside = tuple(c.name for c in contract.columns if c.role in (Role.TITLE, Role.DESCRIPTION, Role.QUERY))
            currency = contract.column_of(Role.CURRENCY)
            sure = max(SURE, limits.get("price.currency", SURE))
            self._tasks.append(
                partial(_price, column=price, currency=currency, beside=beside, source=source, sure=sure)
            )

    def standardise(self, rows: Sequence[Mapping[str, Any]]) -> Standardised:
        """The rows in standard form. The rows themselves stay as they are. Raises nothing, whatever JSON they hold."""
        work = _Work(rows)
        for task in self._tasks:
            task(work)
        # Each task goes down the rows, so that sorting by row keeps the order of the changes of one field.
        work.corrections.sort(key=lambda correction: correction.row)
        work.findings.sort(key=lambda finding: finding.row)
        return Standardised(work.values, work.corrections, work.findings)


_Limits = tuple[tuple[str, float], ...]


def _tasks(column: Column, source: str | None, local: tzinfo, texts: _Limits) -> list[Callable[[_Work], None]]:
    """What is done to a column, but for the price. texts: from which confidence damage in a text is repaired."""
    missing: Callable[[_Work], None] = partial(_missing, column=column)
    own = _own_task(column, source, local, texts)
    return [missing] if own is None else [missing, own]


def _own_task(column: Column, source: str | None, local: tzinfo, texts: _Limits) -> Callable[[_Work], None] | None:
    if column.role is not None:
        kind = _TEXT_KINDS.get(column.role)
        if kind is not None:
            return partial(_text, column=column.name, kind=kind, apply_from=texts)
        by_role: dict[Role, Callable[..., None]] = {
            Role.CURRENCY: _currency,
            Role.UPDATED_AT: partial(_time, source=source, local=local),
            Role.TIME: partial(_time, source=source, local=local),
            Role.GTIN: _gtin,
            Role.URL: _trim,
            Role.IMAGE: _trim,
        }
        return partial(by_role[column.role], column=column.name) if column.role in by_role else None
    if column.type in (ColumnType.NUMBER, ColumnType.INTEGER):
        return partial(_number, column=column)
    by_type: dict[ColumnType, Callable[..., None]] = {
        ColumnType.DATE: partial(_date, source=source),
        ColumnType.TIMESTAMP: partial(_typed_time, source=source, local=local),
        ColumnType.BOOLEAN: _boolean,
    }
    return partial(by_type[column.type], column=column.name) if column.type in by_type else None


# --- one function per kind of column ------------------------------------------------------------------------------


def _missing(work: _Work, column: Column) -> None:
    values = work.column(column.name)
    if "" in values:
        for row, value in enumerate(values):
            if isinstance(value, str) and not value:
                work.change(row, column.name, _EMPTY)
    if column.missing:
        numbers = _numbers(column)
        for row, value in enumerate(values):
            if _means_missing(value, column.missing, numbers):
                work.change(row, column.name, _not_known(value))


def _numbers(column: Column) -> frozenset[float]:
    return frozenset(float(text) for text in column.missing if _FLOAT.fullmatch(text.strip()))


def _means_missing(value: Any, texts: frozenset[str], numbers: frozenset[float]) -> bool:
    if isinstance(value, str):
        return value in texts or value.strip() in texts
    return isinstance(value, int | float) and not isinstance(value, bool) and value in numbers


def _not_known(value: Any) -> Step:
    return Step(None, "missing.value", f"the contract says that {value!r:.40} means not known")


def _text(work: _Work, column: str, kind: TextKind, apply_from: _Limits) -> None:
    values = work.column(column)
    rows, texts = _only_texts(values)
    for place in suspects(texts, kind):
        work.apply(rows[place], column, standardise_text(texts[place], kind, apply_from))


def _only_texts(values: list[Any]) -> tuple[Sequence[int], list[str]]:
    """The rows that hold a text, and the texts."""
    if set(map(type, values)) <= {str}:
        return range(len(values)), values
    rows = [row for row, value in enumerate(values) if isinstance(value, str)]
    return rows, [values[row] for row in rows]


def _trim(work: _Work, column: str) -> None:
    for row, value in enumerate(work.column(column)):
        if isinstance(value, str) and value.strip() != value:
            work.apply(row, column, Outcome((Step(value.strip(), "text.white_space", "white space trimmed"),)))


def _time(work: _Work, column: str, source: str | None, local: tzinfo) -> None:
    values = work.column(column)
    if set(map(type, values)) == {str} and all_standard(values):
        return
    orders, read = _DateOrders(work, values, source), partial(standardise_time, local=local)
    for row, value in enumerate(values):
        if value is not None:
            work.apply(row, column, orders.read(row, read))


def _typed_time(work: _Work, column: str, source: str | None, local: tzinfo) -> None:
    values = work.column(column)
    orders, read = _DateOrders(work, values, source), partial(standardise_time, local=local)
    for row, value in enumerate(values):
        if isinstance(value, str):
            outcome = orders.read(row, read)
            if outcome is not None and not any(fault.rule is TIME_UNPARSEABLE for fault in outcome.faults):
                work.apply(row, column, outcome)


def _date(work: _Work, column: str, source: str | None) -> None:
    values = work.column(column)
    orders = _DateOrders(work, values, source)
    for row, value in enumerate(values):
        if isinstance(value, str):
            work.apply(row, column, orders.read(row, standardise_date))


class _DateOrders:
    """Whether the sources write the day or the month first, as the dates of one column tell that cannot be mistaken."""

    def __init__(self, work: _Work, values: list[Any], source: str | None) -> None:
        self._work = work
        self._values = values
        self._source = source

    def read(self, row: int, read: Callable[[Any, bool | None], Outcome | None]) -> Outcome | None:
        """What becomes of a row's value; its source decides what the value leaves open, where it has one voice."""
        value = self._values[row]
        outcome = read(value, None)
        if outcome is None or not any(fault.rule is TIME_AMBIGUOUS for fault in outcome.faults):
            return outcome
        orders = self._told.get((_source_of(self._work, row, self._source), ambiguous_mark(value) or ""), set())
        return read(value, next(iter(orders))) if len(orders) == 1 else outcome

    @cached_property
    def _told(self) -> dict[tuple[str, str], set[bool]]:
        told: dict[tuple[str, str], set[bool]] = {}
        for row, value in enumerate(self._values):
            order = day_first(value)
            if order is not None:
                told.setdefault((_source_of(self._work, row, self._source), order[0]), set()).add(order[1])
        return told


def _source_of(work: _Work, row: int, source: str | None) -> str:
    """The source of a row's record; a topic without a source column is one source."""
    value = None if source is None else work.values[row].get(source)
    return value if isinstance(value, str) else ""


def _gtin(work: _Work, column: str) -> None:
    for row, value in enumerate(work.column(column)):
        if value is not None:
            work.apply(row, column, standardise_gtin(value))


def _boolean(work: _Work, column: str) -> None:
    for row, value in enumerate(work.column(column)):
        if isinstance(value, str):
            after = _BOOLEANS.get(value.strip().lower())
            if after is not None:
                work.change(row, column, Step(after, "boolean.notation", f"“{value:.20}” written as true or false"))


def _number(work: _Work, column: Column) -> None:
    for row, value in enumerate(work.column(column.name)):
        if not isinstance(value, str):
            continue
        found = _number_of(value)
        reason, rule = f"“{value:.40}” written as a number", "number.notation"
        if found is None and column.unit and (amount := amount_in(value, column.unit)) is not None:
            found = amount, 1.0
            reason, rule = f"“{value:.40}” as a number of {column.unit}", "number.unit"
        if found is None:
            continue
        number, confidence = found
        if confidence < SURE:
            continue
        if column.type is ColumnType.INTEGER:
            if not number.is_integer():
                continue
            after: float | int = int(value) if re.fullmatch(r"[+-]?[0-9]{1,300}", value, re.ASCII) else int(number)
        else:
            after = number
        work.change(row, column.name, Step(after, rule, reason, confidence))
        if column.missing and after in _numbers(column):
            work.change(row, column.name, _not_known(after))


def _number_of(text: str) -> tuple[float, float] | None:
    if _FLOAT.fullmatch(text):
        number = float(text)
        return (number, 1.0) if abs(number) != float("inf") else None
    read = parse_number(text)
    return None if read is None else (float(read.amount), read.confidence)


def _currency(work: _Work, column: str) -> None:
    for row, value in enumerate(work.column(column)):
        if isinstance(value, str):
            code = currency_code(value)
            if code is not None and code != value:
                reason = f"“{value:.20}” is the currency {code}"
                work.change(row, column, Step(code, "currency.code", reason, 0.98))


_REAL = frozenset({float, int, type(None)})


def _price(
    work: _Work, column: Column, currency: str | None, beside: tuple[str, ...], source: str | None, sure: float
) -> None:
    values = work.column(column.name)
    if set(map(type, values)) <= _REAL and all(0 <= value < _TOO_MUCH for value in values if value is not None):
        return
    numbers = _numbers(column)
    context = _PriceContext(work, currency, beside, source, sure)
    for row, value in enumerate(values):
        if value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, int | float | str):
            reason = f"the price is not a number but {_KIND_NAMES.get(type(value), 'something else')}"
            work.find(row, column.name, Fault(PRICE_UNPARSEABLE, reason, 0.99))
        elif isinstance(value, str):
            _price_text(work, row, column.name, value, context, numbers)
        elif not abs(value) < _TOO_MUCH:
            work.find(row, column.name, Fault(PRICE_UNPARSEABLE, "the price is larger than any price", 0.99))
        elif value < 0:
            work.find(row, column.name, _negative(value))


_TOO_MUCH = 1e15  # no price in any currency; floats below it still hold cents
_KIND_NAMES = {bool: "true or false", list: "a list", dict: "an object"}


def _negative(value: float) -> Fault:
    return Fault(PRICE_NEGATIVE, f"the price is below zero: {value}", 0.9, suggestion=Suggestion(-value))


class _PriceContext:
    """What a batch says of the currencies of its prices.

    currency, source: columns, where the contract has them. beside: columns with texts, for their language.
    sure: confidence from which the currency that a price names is taken.
    """

    def __init__(
        self, work: _Work, currency: str | None, beside: tuple[str, ...], source: str | None, sure: float
    ) -> None:
        self._work = work
        self.currency = currency
        self.sure = sure
        self._beside = beside
        self._source = source

    def declared(self, row: int) -> Any:
        return None if self.currency is None else self._work.values[row].get(self.currency)

    def near(self, row: int) -> str:
        record = self._work.values[row]
        return " ".join(value[:500] for value in map(record.get, self._beside) if isinstance(value, str))

    def usual(self, row: int) -> frozenset[str]:
        """The currencies that the records of this row's source declare."""
        return frozenset(self._declared_by_source.get(_source_of(self._work, row, self._source), ()))

    @cached_property
    def _declared_by_source(self) -> dict[str, set[str]]:
        found: dict[str, set[str]] = {}
        for row in range(len(self._work.rows)):
            # As it came in: what was read from the sign of one price says nothing about another's.
            declared = None if self.currency is None else self._work.rows[row].get(self.currency)
            code = currency_code(declared) if isinstance(declared, str) else None
            if code is not None:
                found.setdefault(_source_of(self._work, row, self._source), set()).add(code)
        return found


def _price_text(
    work: _Work, row: int, column: str, text: str, context: _PriceContext, numbers: frozenset[float]
) -> None:
    declared = context.declared(row)
    code = currency_code(declared) if isinstance(declared, str) else None
    money = parse_price(text, code)
    if isinstance(money, NoPrice):
        work.find(row, column, Fault(PRICE_UNPARSEABLE, f"the price “{text:.60}” {money.reason}", 0.98))
        return
    amount = float(money.amount)
    if not abs(amount) < _TOO_MUCH:
        work.find(row, column, Fault(PRICE_UNPARSEABLE, "the price is larger than any price", 0.99))
        return
    if amount in numbers:
        work.change(row, column, _not_known(text))
        return
    if money.confidence < SURE:
        reason = f"the price “{text:.60}” {money.doubt}; most likely it is {amount:.10g}"
        work.find(row, column, Fault(PRICE_AMBIGUOUS, reason, money.confidence, suggestion=Suggestion(amount)))
        return
    work.change(row, column, Step(amount, "price.notation", f"“{text:.60}” written as a number", money.confidence))
    if amount < 0:
        work.find(row, column, _negative(amount))
    if money.currencies and context.currency is not None:
        _price_currency(work, row, money, text, context.currency, declared, code, context)


def _price_currency(
    work: _Work,
    row: int,
    money: Money,
    text: str,
    currency: str,
    declared: Any,
    code: str | None,
    context: _PriceContext,
) -> None:
    """The currency that a price's text names, into the currency column where that is empty, or against it."""
    record = work.values[row]
    if declared is None:
        found, confidence = resolve_currency(money, None, context.near(row), context.usual(row))
        if found is not None and confidence < context.sure:
            several = "stands for several currencies, the likeliest is" if confidence < SURE else "says"
            reason = f"the sign in the price “{text:.60}” {several} {found}"
            fault = Fault(PRICE_CURRENCY_AMBIGUOUS, reason, confidence, suggestion=Suggestion(found))
            work.find(row, currency, fault)
        elif found is not None:
            rule = "price.currency" if currency in record else ADDED
            work.change(row, currency, Step(found, rule, f"named in the price “{text:.60}”", confidence))
    elif code is not None and code not in money.currencies:
        named = money.currencies[0]
        reason = f"the price “{text:.60}” is in {named}, the currency column says {code}"
        work.find(row, currency, Fault(PRICE_CURRENCY_CONFLICT, reason, 0.9))
