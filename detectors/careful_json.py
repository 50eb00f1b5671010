"""JSON read slowly, noticing what a fast parser refuses or changes in silence."""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from enum import Enum
from typing import Any

__all__ = ["Careful", "Oddity", "OddityKind", "TooDeepError", "depth_of", "read_carefully"]

_LOWEST, _HIGHEST = -(2**63), 2**64 - 1  # what fits an integer of 64 bits, with or without sign
_SURROGATE = re.compile("[\ud800-\udfff]")
_MAX_ODDITIES = 20  # of one record; a record made of nothing else needs no longer list


class OddityKind(Enum):
    """What JSON can hold that is not what its sender meant, or that no other reader would read the same."""

    DUPLICATE_KEY = "duplicate_key"
    HUGE_NUMBER = "huge_number"
    NOT_A_NUMBER = "not_a_number"
    LONE_SURROGATE = "lone_surrogate"


@dataclass(frozen=True, slots=True)
class Oddity:
    """One odd place. column: the field of the record it is in. text: the key, number or word as it was written."""

    kind: OddityKind
    column: str
    text: str


@dataclass(frozen=True, slots=True)
class Careful:
    """What was read.

    value: numbers beyond 64 bits are the text of their digits; NaN and infinities are None; lone surrogates are
    U+FFFD; of a key given twice the last value counts. It can be written as JSON again.
    changed: the value does not give the text back, up to notation: an oddity, or more digits than a float keeps.
    """

    value: Any
    oddities: tuple[Oddity, ...]
    changed: bool


class TooDeepError(ValueError):
    """Nested deeper than allowed."""


@dataclass(frozen=True, slots=True)
class _Odd:
    kind: OddityKind
    text: str


@dataclass(frozen=True, slots=True)
class _Repeated:
    """An object with keys that are given twice."""

    value: dict[str, Any]
    keys: tuple[str, ...]


class _Reading:
    """One reading: the hooks of the parser, then a walk that takes the marks away that the hooks left."""

    def __init__(self) -> None:
        self.oddities: list[Oddity] = []
        self.changed = False
        self._decoder = json.JSONDecoder(
            object_pairs_hook=self._object,
            parse_int=self._integer,
            parse_float=self._float,
            parse_constant=lambda text: _Odd(OddityKind.NOT_A_NUMBER, text),
        )

    def read(self, text: str, max_depth: int) -> Any:
        try:
            value = self._decoder.decode(text)
        except RecursionError:
            raise TooDeepError from None
        if depth_of(value) > max_depth:
            raise TooDeepError
        return self._clean(value, "")

    @staticmethod
    def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any] | _Repeated:
        value = dict(pairs)
        if len(value) == len(pairs):
            return value
        seen: set[str] = set()
        twice = dict.fromkeys(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]  # add gives None, on purpose
        return _Repeated(value, tuple(twice))

    @staticmethod
    def _integer(text: str) -> int | _Odd:
        if len(text) <= 20 and _LOWEST <= (number := int(text)) <= _HIGHEST:
            return number
        return _Odd(OddityKind.HUGE_NUMBER, text)

    def _float(self, text: str) -> float | _Odd:
        number = float(text)
        if math.isinf(number):
            return _Odd(OddityKind.HUGE_NUMBER, text)
        try:
            self.changed |= Decimal(text) != Decimal(repr(number))
        except InvalidOperation:  # an exponent beyond what Decimal reads
            self.changed = True
        return number

    def _note(self, kind: OddityKind, column: str, text: str) -> None:
        self.changed = True
        if len(self.oddities) < _MAX_ODDITIES:
            self.oddities.append(Oddity(kind, _without_surrogates(column), _without_surrogates(text)[:200]))

    def _clean(self, value: Any, column: str) -> Any:
        match value:
            case str():
                if value.isascii() or not _SURROGATE.search(value):
                    return value
                self._note(OddityKind.LONE_SURROGATE, column, value)
                return _without_surrogates(value)
            case _Odd():
                self._note(value.kind, column, value.text)
                return value.text if value.kind is OddityKind.HUGE_NUMBER else None
            case _Repeated():
                for key in value.keys:
                    self._note(OddityKind.DUPLICATE_KEY, column or key, key)
                return self._clean(value.value, column)
            case dict():
                return {self._clean(key, column or key): self._clean(v, column or key) for key, v in value.items()}
            case list():
                return [self._clean(v, column) for v in value]
        return value


def read_carefully(text: str, max_depth: int) -> Careful:
    """Read JSON. Raises: json.JSONDecodeError; TooDeepError where objects and lists nest deeper than `max_depth`."""
    reading = _Reading()
    value = reading.read(text, max_depth)
    return Careful(value, tuple(reading.oddities), reading.changed)


def depth_of(value: Any) -> int:
    """How deep objects and lists nest: 0 for a plain value, 1 for a flat object."""
    depth = 0
    level = [value]
    while True:
        below: list[Any] = []
        nested = False
        for item in level:
            if isinstance(item, _Repeated):
                item = item.value
            if isinstance(item, dict):
                nested = True
                below.extend(item.values())
            elif isinstance(item, list):
                nested = True
                below.extend(item)
        if not nested:
            return depth
        depth += 1
        level = below


def _without_surrogates(text: str) -> str:
    return _SURROGATE.sub("\ufffd", text)
