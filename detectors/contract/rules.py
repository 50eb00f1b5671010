"""The demands of a contract on each column, checked on the standardised values."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import date, datetime, time
from decimal import Decimal
from hashlib import blake2b
from itertools import compress, islice
from typing import Any

from detectors.contract.model import Column, ColumnType, Constraint, ConstraintKind, Contract, Role
from detectors.records import Batch, Dimension, Evidence, Finding, Rule, Severity, Suggestion

__all__ = ["ContractRules"]

_REMEMBERED = 100_000  # values of a unique column
_SHOWN = 80  # characters of a value in a reason

_DESCRIPTIONS = {
    ConstraintKind.REQUIRED: "A required field is empty.",
    ConstraintKind.TYPE: "A field is not of the type that the contract declares.",
    ConstraintKind.UNIQUE: "A value that must be unique belongs to two records.",
    ConstraintKind.RANGE: "A value is outside the range that the contract allows.",
    ConstraintKind.LENGTH: "A text is shorter or longer than the contract allows.",
    ConstraintKind.PATTERN: "A text does not match the pattern of the contract.",
    ConstraintKind.ENUM: "A value is not one of those that the contract lists.",
}

# Standardising reads these columns and says more precisely what is wrong with a value that is none.
_TYPED_BY_ROLE = frozenset({Role.PRICE, Role.TIME, Role.UPDATED_AT})

_EMPTY = (type(None),)
_TYPES: dict[ColumnType, frozenset[type]] = {
    ColumnType.STRING: frozenset({str, int, float, *_EMPTY}),  # a number is a text in another notation
    ColumnType.NUMBER: frozenset({int, float, *_EMPTY}),
    ColumnType.INTEGER: frozenset({int, *_EMPTY}),
    ColumnType.BOOLEAN: frozenset({bool, *_EMPTY}),
    ColumnType.OBJECT: frozenset({dict, *_EMPTY}),
    ColumnType.ARRAY: frozenset({list, *_EMPTY}),
    ColumnType.DATE: frozenset(_EMPTY),
    ColumnType.TIMESTAMP: frozenset(_EMPTY),
    ColumnType.TIME: frozenset(_EMPTY),
}
_INTEGER = re.compile(r"[+-]?[0-9]+")
_NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?")

_Broken = tuple[int, str, Suggestion | None]
"""A row, why it breaks the demand, and what would keep it."""


class ContractRules:
    """Checks every column with a demand, one column of the whole batch at a time.

    Only a value that is there can be wrong: None breaks `required` and nothing else. A difference of notation alone
    (a number written as text) breaks nothing. The types of price and time columns are left to standardising, which
    names what is wrong with them. Of `unique` columns the last hundred thousand values are remembered, as digests, each
    with the identity that showed it first; the same identity may show it again.
    """

    def __init__(self, contract: Contract) -> None:
        self._checks: list[tuple[Column, Rule, _Check]] = []
        for column in contract.columns:
            for constraint in column.constraints:
                check = _check_of(column, constraint)
                if check is not None:
                    self._checks.append(
                        (column, _rule(constraint.kind, constraint.dimension, constraint.severity), check)
                    )
        self.rules: tuple[Rule, ...] = tuple(dict.fromkeys(rule for _, rule, _ in self._checks))

    def detect(self, batch: Batch) -> list[Finding]:
        """Findings of this batch, ordered by row."""
        if not batch.records:
            return []
        findings: list[Finding] = []
        rows = [record.values for record in batch.records]
        columns: dict[str, list[Any]] = {}
        for column, rule, check in self._checks:
            values = columns.get(column.name)
            if values is None:
                values = columns[column.name] = [row.get(column.name) for row in rows]
            for row, reason, suggestion in check(values, batch):
                value = values[row]
                confidence = 1.0 if suggestion is None else _SUGGESTED
                findings.append(Finding(row, rule, column.name, value, confidence, Evidence(reason), suggestion))
        findings.sort(key=lambda finding: finding.row)
        return findings


_SUGGESTED = 0.97  # a listed value that differs in case or white space alone
_Check = Callable[[list[Any], Batch], Sequence[_Broken]]


def _rule(kind: ConstraintKind, dimension: Dimension, severity: Severity) -> Rule:
    return Rule(f"contract.{kind}", dimension, severity, _DESCRIPTIONS[kind])


def _check_of(column: Column, constraint: Constraint) -> _Check | None:
    match constraint.kind:
        case ConstraintKind.REQUIRED:
            return _Required(column)
        case ConstraintKind.TYPE:
            return None if column.type is None or column.role in _TYPED_BY_ROLE else _Type(column, column.type)
        case ConstraintKind.UNIQUE:
            return _Unique(column)
        case ConstraintKind.RANGE:
            return _Range(column, constraint)
        case ConstraintKind.LENGTH:
            return _Length(column, constraint)
        case ConstraintKind.PATTERN:
            return _Pattern(column, constraint)
        case ConstraintKind.ENUM:
            return _Enum(column, constraint)


class _Sentence:
    """A sentence around a value. No format string: names and patterns of a contract may hold braces."""

    def __init__(self, before: str, after: str) -> None:
        self._before, self._after = before, after

    def __call__(self, value: str) -> str:
        return f"{self._before}{value}{self._after}"


def _show(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN else text[: _SHOWN - 3] + "..."


class _Required:
    def __init__(self, column: Column) -> None:
        self._reason = f"The field {column.name!r} is required and is empty."

    def __call__(self, values: list[Any], batch: Batch) -> list[_Broken]:
        if None not in values and "" not in values:
            return []
        return [(row, self._reason, None) for row, value in enumerate(values) if value is None or value == ""]


class _Type:
    def __init__(self, column: Column, kind: ColumnType) -> None:
        self._reason = _Sentence(f"The field {column.name!r} should be of the type {kind}, and is ", ".")
        self._fine = _TYPES[kind]
        self._kind = kind

    def __call__(self, values: list[Any], batch: Batch) -> list[_Broken]:
        types = set(map(type, values))
        if types <= self._fine:
            return []
        if types <= {str, type(None)} and all(_is_of_type(value, self._kind) for value in set(values)):
            return []
        return [
            (row, self._reason(_show(value)), None)
            for row, value in enumerate(values)
            if type(value) not in self._fine and not _is_of_type(value, self._kind)
        ]


def _is_of_type(value: Any, kind: ColumnType) -> bool:
    """Whether a value is of this type in some notation."""
    if value is None:
        return True
    if isinstance(value, float):
        return kind in (ColumnType.NUMBER, ColumnType.STRING) or (kind is ColumnType.INTEGER and value.is_integer())
    if isinstance(value, Decimal):
        return kind in (ColumnType.NUMBER, ColumnType.STRING)
    if not isinstance(value, str):
        return type(value) in _TYPES[kind]
    match kind:
        case ColumnType.STRING:
            return True
        case ColumnType.INTEGER:
            return _INTEGER.fullmatch(value.strip()) is not None
        case ColumnType.NUMBER:
            return _NUMBER.fullmatch(value.strip()) is not None
        case ColumnType.BOOLEAN:
            return value.strip().lower() in ("true", "false")
        case ColumnType.DATE:
            return _parses(date.fromisoformat, value) or _parses(datetime.fromisoformat, value)
        case ColumnType.TIMESTAMP:
            return _parses(datetime.fromisoformat, value)
        case ColumnType.TIME:
            return _parses(time.fromisoformat, value)
    return False


def _parses(parse: Callable[[str], object], text: str) -> bool:
    try:
        parse(text)
    except ValueError:
        return False
    return True


class _Unique:
    def __init__(self, column: Column) -> None:
        self._name = column.name
        self._owners: dict[int | float | bytes, str] = {}

    def __call__(self, values: list[Any], batch: Batch) -> list[_Broken]:
        broken: list[_Broken] = []
        owners = self._owners
        for row, (value, record) in enumerate(zip(values, batch.records, strict=True)):
            if value is None:
                continue
            key = value if isinstance(value, int | float) else _digest(value if isinstance(value, str) else repr(value))
            identity = _short(record.identity)
            owner = owners.setdefault(key, identity)
            if owner != identity:
                broken.append((row, f"{_show(value)} must be unique in {self._name!r}; {owner} has it too.", None))
        for key in list(islice(owners, max(0, len(owners) - _REMEMBERED))):
            del owners[key]
        return broken


def _digest(text: str) -> bytes:
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()


def _short(identity: str) -> str:
    """An identity as it is remembered: a long one by its beginning and a digest."""
    return identity if len(identity) <= _SHOWN else f"{identity[: _SHOWN - 33]} {_digest(identity).hex()}"


class _Range:
    """Bounds of numbers, or of dates and times as ISO 8601 text."""

    def __init__(self, column: Column, constraint: Constraint) -> None:
        bounds = constraint.arguments
        readers = {ColumnType.DATE: _moment, ColumnType.TIMESTAMP: _moment, ColumnType.TIME: _clock}
        self._convert = convert = readers.get(column.type, _number) if column.type is not None else _number
        self._low, self._low_open = convert(bounds.get("minimum")), convert(bounds.get("exclusive_minimum"))
        self._high, self._high_open = convert(bounds.get("maximum")), convert(bounds.get("exclusive_maximum"))
        words = {
            "minimum": "at least",
            "exclusive_minimum": "more than",
            "maximum": "at most",
            "exclusive_maximum": "less than",
        }
        allowed = " and ".join(f"{words[name]} {bounds[name]}" for name in words if name in bounds)
        self._reason = _Sentence(f"The field {column.name!r} should be {allowed}, and is ", ".")

    def __call__(self, values: list[Any], batch: Batch) -> list[_Broken]:
        if self._convert is _number and set(map(type, values)) <= {int, float, type(None)}:
            there = [value for value in values if value is not None]
            if not there or not (self._outside(min(there)) or self._outside(max(there))):
                return []
        comparable = [self._convert(value) for value in values]
        return [
            (row, self._reason(_show(values[row])), None)
            for row, value in enumerate(comparable)
            if value is not None and self._outside(value)
        ]

    def _outside(self, value: Any) -> bool:
        return (
            (self._low is not None and value < self._low)
            or (self._high is not None and value > self._high)
            or (self._low_open is not None and value <= self._low_open)
            or (self._high_open is not None and value >= self._high_open)
        )


def _number(value: Any) -> float | int | None:
    """A value as a number, None where it is none; whether it should be one is the type's demand."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        return value
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, str) and _NUMBER.fullmatch(value.strip()):
        return float(value)
    return None


def _moment(value: Any) -> float | None:
    """A date or timestamp as text, in seconds since 1970, UTC; None where it is none."""
    if not isinstance(value, str):
        return None
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        return None
    return (moment.replace(tzinfo=None) - (moment.utcoffset() or _NOTHING) - _EPOCH) / _SECOND


def _clock(value: Any) -> float | None:
    """A time of day as text, in seconds since midnight; None where it is none."""
    if not isinstance(value, str):
        return None
    try:
        at = time.fromisoformat(value)
    except ValueError:
        return None
    return at.hour * 3600 + at.minute * 60 + at.second + at.microsecond / 1e6


_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 -- only differences of times that are all in UTC
_SECOND = datetime(1970, 1, 1, 0, 0, 1) - _EPOCH  # noqa: DTZ001 -- the same
_NOTHING = _EPOCH - _EPOCH


class _Length:
    def __init__(self, column: Column, constraint: Constraint) -> None:
        self._low = constraint.arguments.get("minimum", 0)
        self._high = constraint.arguments.get("maximum", float("inf"))
        allowed = " and ".join(
            f"{word} {constraint.arguments[name]}"
            for name, word in (("minimum", "at least"), ("maximum", "at most"))
            if name in constraint.arguments
        )
        self._reason = _Sentence(f"The field {column.name!r} should have {allowed} characters, and has ", ".")

    def __call__(self, values: list[Any], batch: Batch) -> list[_Broken]:
        if set(map(type, values)) == {str}:
            lengths = list(map(len, values))
            if self._low <= min(lengths) and max(lengths) <= self._high:
                return []
        return [
            (row, self._reason(str(len(value))), None)
            for row, value in enumerate(values)
            if isinstance(value, str) and value and not self._low <= len(value) <= self._high
        ]


class _Pattern:
    def __init__(self, column: Column, constraint: Constraint) -> None:
        self._pattern = re.compile(constraint.arguments["pattern"])
        self._reason = _Sentence(
            f"The field {column.name!r} is ", f", which does not match {constraint.arguments['pattern']}."
        )

    def __call__(self, values: list[Any], batch: Batch) -> list[_Broken]:
        matches = self._pattern.fullmatch
        texts = {value for value in values if isinstance(value, str)}
        wrong = {text for text in texts if text and matches(text) is None}
        # Integers are texts of digits in another notation.
        wrong_numbers = {v for v in values if type(v) is int and matches(str(v)) is None}
        if not wrong and not wrong_numbers:
            return []
        return [
            (row, self._reason(_show(value)), None)
            for row, value in enumerate(values)
            if (isinstance(value, str) and value in wrong) or (type(value) is int and value in wrong_numbers)
        ]


class _Enum:
    def __init__(self, column: Column, constraint: Constraint) -> None:
        listed = constraint.arguments["values"]
        self._allowed = frozenset([*listed, *map(str, listed), None, ""])
        self._folded: dict[str, Any] = {}
        ambiguous = set()
        for value in listed:
            folded = _fold(value)
            if folded in self._folded:
                ambiguous.add(folded)
            self._folded[folded] = value
        for folded in ambiguous:
            del self._folded[folded]
        shown = ", ".join(map(str, listed[:10])) + (", ..." if len(listed) > 10 else "")
        self._reason = _Sentence(f"The field {column.name!r} is ", f", which is none of {shown}.")

    def __call__(self, values: list[Any], batch: Batch) -> list[_Broken]:
        plain = [type(value) not in (dict, list) for value in values]
        if self._allowed.issuperset(compress(values, plain)) and all(plain):
            return []
        broken: list[_Broken] = []
        for row, value in enumerate(values):
            if not plain[row] or (value not in self._allowed and str(value) not in self._allowed):
                folded = _fold(value) if isinstance(value, str) else None
                suggestion = Suggestion(self._folded[folded]) if folded in self._folded else None
                broken.append((row, self._reason(_show(value)), suggestion))
        return broken


def _fold(value: Any) -> str:
    return str(value).strip().casefold()
