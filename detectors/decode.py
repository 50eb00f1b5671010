"""From bytes to rows: every record becomes a row, a tombstone or a rejection, whatever its bytes are."""

from __future__ import annotations

import json
import re
from bisect import bisect_right
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import orjson

from detectors.careful_json import Oddity, OddityKind, TooDeepError, depth_of, read_carefully
from detectors.contract.key import KeyTemplate
from detectors.contract.model import Contract, Kind, Role
from detectors.encoding import guess_encoding
from detectors.records import (
    Dimension,
    Evidence,
    Finding,
    Rejection,
    Rule,
    Severity,
    SourceRecord,
    identity_of,
)

__all__ = ["Decoded", "Decoder", "Limits", "Tombstone", "identifier"]

_MAX_ID = 1_000  # characters of a source or an id; they become Kafka keys
_MAX_UNKNOWN = 1_000  # names of unknown columns that are remembered
_BOM = b"\xef\xbb\xbf"

DUPLICATE_KEY = Rule(
    "decode.duplicate_key",
    Dimension.CONSISTENCY,
    Severity.WARNING,
    "A field is given twice in one record; the last value counts.",
)
HUGE_NUMBER = Rule(
    "decode.huge_number",
    Dimension.CONFORMITY,
    Severity.WARNING,
    "A number does not fit 64 bits; it is kept as the text of its digits.",
)
NOT_A_NUMBER = Rule(
    "decode.not_a_number",
    Dimension.CONFORMITY,
    Severity.WARNING,
    "NaN or an infinity, which JSON does not have; it is read as not known.",
)
LONE_SURROGATE = Rule(
    "decode.lone_surrogate",
    Dimension.CONFORMITY,
    Severity.WARNING,
    "Half a character (a lone surrogate), replaced by U+FFFD.",
)
BYTE_ORDER_MARK = Rule(
    "decode.byte_order_mark",
    Dimension.CONFORMITY,
    Severity.INFO,
    "The record starts with a byte order mark, which is left out.",
)
UNKNOWN_COLUMN = Rule(
    "contract.unknown_column",
    Dimension.CONFORMITY,
    Severity.INFO,
    "A field that the contract does not list; told once for each name.",
)

_ODDITIES = {
    OddityKind.DUPLICATE_KEY: DUPLICATE_KEY,
    OddityKind.HUGE_NUMBER: HUGE_NUMBER,
    OddityKind.NOT_A_NUMBER: NOT_A_NUMBER,
    OddityKind.LONE_SURROGATE: LONE_SURROGATE,
}

# Digits and points become "0", all else a blank: a long run of "0" is a number, or a text of digits, of many digits.
_DIGITS = bytes(0x30 if chr(byte) in "0123456789." else 0x20 for byte in range(256))
_MANY_DIGITS = b"0" * 16
# Numbers that a float may not keep: integers beyond 64 bits, and those with a point or an exponent and more digits than
# the 15 that are safe.
_LOSSY_NUMBER = re.compile(rb"[:\[,\s](?:[0-9]{20}|-[0-9]{19}|-?(?=[0-9.]{17})[0-9]+[.eE]|-?[0-9]{16}[eE])")
_TINY_NUMBER = re.compile(rb"[0-9][eE]-0*[1-9][0-9]{2}")  # 1e-400 is 0 to a float
_SPACED_KEY = re.compile(rb'"\s+:')
_AFTER_KEY = tuple(b'"' + bytes((space,)) for space in b" \t\n\r\x0b\x0c")  # a byte search is faster than the pattern
_SEPARATORS = (b",", b";", b"\t", b"#", b"|")


@dataclass(frozen=True, slots=True)
class Limits:
    """What is refused. max_record_bytes: of the value. max_nesting: of objects and lists; a flat record has 1."""

    max_record_bytes: int = 1_048_576
    max_nesting: int = 32


@dataclass(frozen=True, slots=True)
class Tombstone:
    """A product was deleted."""

    source: SourceRecord
    identity: str


@dataclass(frozen=True, slots=True)
class Decoded:
    """What became of a sequence of records; each is in `sources`, `rejections` or `tombstones`, in their order.

    rows, sources, identities: of the same length. findings: point at `rows`, ordered by row.
    keep_original: rows whose bytes cannot be rebuilt from what was decoded; the bytes must travel with them.
    """

    rows: list[dict[str, Any]]
    sources: list[SourceRecord]
    identities: list[str]
    rejections: list[Rejection]
    tombstones: list[Tombstone]
    findings: list[Finding]
    keep_original: frozenset[int]


class _RefusedError(Exception):
    """This record becomes a dead letter."""

    def __init__(self, error: str, message: str, stage: str = "decode") -> None:
        super().__init__(message)
        self.error, self.message, self.stage = error, message, stage


@dataclass(slots=True)
class _Row:
    """A row on its way. notes: what the careful reader noticed."""

    source: SourceRecord
    values: dict[str, Any]
    notes: Sequence[Oddity] = ()
    changed: bool = False
    marked: bool = False


class Decoder:
    """Decodes records by a contract.

    The fast parser reads everything; what it refuses, and what it may have changed in silence (a test over the bytes
    of the whole batch tells), goes through the careful one. Remembers the names of unknown columns that it told,
    up to a thousand; nothing else.
    """

    rules: tuple[Rule, ...] = (*_ODDITIES.values(), BYTE_ORDER_MARK, UNKNOWN_COLUMN)

    def __init__(self, contract: Contract, limits: Limits | None = None) -> None:
        self._contract = contract
        self._limits = limits or Limits()
        self._key = KeyTemplate(contract.key)
        self._id = contract.roles.get(Role.ID if contract.kind is Kind.PRODUCTS else Role.EVENT_ID)
        self._source = contract.roles.get(Role.SOURCE)
        self._unknown: dict[str, tuple[str, int, int]] = {}  # the place of the record that had it first

    def decode(self, records: Sequence[SourceRecord]) -> Decoded:
        """Decode records of one topic. Raises nothing, whatever the bytes are."""
        done: list[_Row | Tombstone | Rejection] = []
        fast: list[_Row] = []
        for record in records:
            raw = record.value
            try:
                if raw is None:
                    done.append(self._without_value(record))
                    continue
                if len(raw) > self._limits.max_record_bytes:
                    raise _too_long(len(raw), self._limits)
                try:
                    values = orjson.loads(raw)
                except orjson.JSONDecodeError:
                    done.append(self._slowly(record, raw))
                    continue
                if type(values) is not dict:
                    raise _not_an_object(values)
                row = _Row(record, values)
                fast.append(row)
                done.append(row)
            except _RefusedError as error:
                done.append(Rejection(record, error.stage, error.error, error.message))
        refused = self._suspect(fast) if fast else {}
        return self._known_by(done, refused)

    # what the fast parser refused

    def _slowly(self, record: SourceRecord, raw: bytes) -> _Row:
        if not raw.strip():
            raise _RefusedError("empty", "The value is empty: send a JSON object, or no value to delete.")
        marked = raw.startswith(_BOM)
        if marked:
            raw = raw[len(_BOM) :]
        try:
            text = raw.decode("utf-8")
        except UnicodeDecodeError as wrong:
            raise _wrong_encoding(raw, f"byte {wrong.start}") from None
        try:
            careful = read_carefully(text, self._limits.max_nesting)
        except TooDeepError:
            raise _too_deep(self._limits) from None
        except json.JSONDecodeError as wrong:
            if b"\x00" in raw:
                raise _wrong_encoding(raw, "it has zero bytes") from None
            raise self._not_json(text, str(wrong)) from None
        if type(careful.value) is not dict:
            raise _not_an_object(careful.value)
        return _Row(record, careful.value, careful.oddities, careful.changed or marked, marked)

    def _not_json(self, text: str, why: str) -> _RefusedError:
        message = f"The value is not JSON: {why}."
        if not text.lstrip().startswith(("{", "[", '"')):
            separator, count = max(((s, text.count(s.decode())) for s in _SEPARATORS), key=lambda pair: pair[1])
            if count:
                message += (
                    f" It looks like a line of {count + 1} fields separated by {separator.decode()!r};"
                    f" the contract lists {len(self._contract.known_columns)} columns."
                )
        return _RefusedError("not_json", message)

    # what the fast parser may have changed

    def _suspect(self, rows: list[_Row]) -> dict[int, _RefusedError]:
        """Read again, carefully, what looks suspicious. Gives the refused ones, by the `id` of their row."""
        joined = b"\n".join([row.source.value for row in rows])  # type: ignore[misc]  # rows of the fast parser have a value
        keys = sum([len(row.values) for row in rows])
        brackets = joined.count(b"{") + joined.count(b"[") - len(rows)
        spaced = any(space in joined for space in _AFTER_KEY) and bool(_SPACED_KEY.search(joined))
        # Each key is followed by a colon, so equal counts leave no room for a key that is there twice.
        repeats = spaced or joined.count(b'":') != keys
        deep = brackets >= self._limits.max_nesting
        numbers = _with_lossy_numbers(joined, rows)
        refused: dict[int, _RefusedError] = {}
        for place in range(len(rows)) if repeats or deep else sorted(numbers):
            row = rows[place]
            raw = row.source.value
            assert raw is not None
            try:
                if deep and raw.count(b"{") + raw.count(b"[") > self._limits.max_nesting:
                    self._refuse_deep(row.values)
                if place in numbers or (repeats and _may_repeat_keys(raw, row.values)):
                    careful = self._slowly(row.source, raw)
                    row.values, row.notes, row.changed = careful.values, careful.notes, careful.changed
            except _RefusedError as error:
                refused[id(row)] = error
        return refused

    def _refuse_deep(self, values: dict[str, Any]) -> None:
        if depth_of(values) > self._limits.max_nesting:
            raise _too_deep(self._limits)

    # who it is

    def _known_by(self, done: Sequence[_Row | Tombstone | Rejection], refused: dict[int, _RefusedError]) -> Decoded:
        rows: list[dict[str, Any]] = []
        sources: list[SourceRecord] = []
        identities: list[str] = []
        rejections: list[Rejection] = []
        tombstones: list[Tombstone] = []
        findings: list[Finding] = []
        keep: list[int] = []
        identify = self._product if self._contract.kind is Kind.PRODUCTS else self._event
        known = self._contract.known_columns
        for item in done:
            if isinstance(item, Rejection):
                rejections.append(item)
                continue
            if isinstance(item, Tombstone):
                tombstones.append(item)
                continue
            try:
                if refused and id(item) in refused:
                    raise refused[id(item)]
                identity = identify(item.source, item.values)
            except _RefusedError as error:
                rejections.append(Rejection(item.source, error.stage, error.error, error.message))
                continue
            row = len(rows)
            rows.append(item.values)
            sources.append(item.source)
            identities.append(identity)
            if item.changed:
                keep.append(row)
                findings += _noticed(row, item)
            if not known.issuperset(item.values):
                findings += self._unknown_columns(row, item)
        return Decoded(rows, sources, identities, rejections, tombstones, findings, frozenset(keep))

    def _product(self, record: SourceRecord, values: dict[str, Any]) -> str:
        column = self._id
        assert column is not None  # a contract of products names one
        product = identifier(values.get(column.name), column.missing)
        if product is None:
            raise _RefusedError("missing_id", f"The record has no id: the field {column.name!r} is empty.", "contract")
        if product == "":
            raise _RefusedError(
                "bad_id",
                f"The id in the field {column.name!r} is not a text or whole number of at most {_MAX_ID} characters.",
                "contract",
            )
        return identity_of(self._source_of(record, values), product)

    def _event(self, record: SourceRecord, values: dict[str, Any]) -> str:
        if self._id is not None and (event := identifier(values.get(self._id.name), self._id.missing)):
            return event
        return f"{record.topic}/{record.partition}/{record.offset}"

    def _source_of(self, record: SourceRecord, values: dict[str, Any]) -> str:
        column = self._source
        if column is not None and (source := identifier(values.get(column.name), column.missing)):
            return source
        return _header_source(record) or self._contract.source or record.topic

    def _without_value(self, record: SourceRecord) -> Tombstone:
        """A deletion, known by its key alone."""
        if self._contract.kind is not Kind.PRODUCTS:
            raise _RefusedError("no_value", "The record has no value: send a JSON object.")
        if record.key is None:
            raise _RefusedError("tombstone_key", "A deletion without a key does not say what is deleted.")
        try:
            parts = self._key.read(record.key.decode("utf-8"))
        except UnicodeDecodeError:
            parts = None
        product = (parts or {}).get("id", "").strip()
        if not product or len(product) > _MAX_ID:
            template = self._contract.key
            raise _RefusedError("tombstone_key", f"The key of a deletion does not fit the contract's {template!r}.")
        source = (parts or {}).get("source", "").strip() or _header_source(record) or self._contract.source
        if not source and self._source is not None:
            raise _RefusedError(
                "tombstone_key",
                "The key of a deletion names no source: put {source} into the contract's key, or send a header source.",
            )
        return Tombstone(record, identity_of(source or record.topic, product))

    def _unknown_columns(self, row: int, item: _Row) -> list[Finding]:
        """Said once of a column, and once more where its first record is decoded again."""
        findings = []
        place = (item.source.topic, item.source.partition, item.source.offset)
        for column in item.values:
            name = column[:200]
            if column in self._contract.known_columns:
                continue
            if len(self._unknown) < _MAX_UNKNOWN:
                self._unknown.setdefault(name, place)
            if self._unknown.get(name) != place:
                continue
            reason = f"The contract {self._contract.name} does not list the field {name[:100]!r}."
            findings.append(Finding(row, UNKNOWN_COLUMN, name, None, 1.0, Evidence(reason)))
        return findings


def identifier(value: Any, missing: Collection[str]) -> str | None:
    """An id or a source as text; None where there is none, empty where it cannot be one.

    missing: what means "not known", as in a column of the contract.
    """
    if value is None or value == "":
        return None
    if type(value) is str:
        name = value.strip()
        if not name or name in missing:
            return None
        return name if len(name) <= _MAX_ID and "\ufffd" not in name else ""
    if type(value) is float and value.is_integer() and abs(value) < 2**53:
        if str(value) in missing:
            return None
        value = int(value)  # 552.0 is what a table with gaps makes of 552
    if type(value) is int:
        name = str(value)
        return None if name in missing else name
    return ""


def _header_source(record: SourceRecord) -> str | None:
    """The header `source`; of a repeated one the last."""
    for name, value in reversed(record.headers or ()):
        if name == "source" and value:
            return value.decode("utf-8", "replace").strip()[:_MAX_ID] or None
    return None


def _with_lossy_numbers(joined: bytes, rows: Sequence[_Row]) -> set[int]:
    """The places of the rows with a number that the fast parser changes. joined: their bytes, a line break between."""
    digits = joined.translate(_DIGITS)
    long_at = digits.find(_MANY_DIGITS)
    tiny_at = [at for exponent in (b"e-", b"E-") for at in _places(exponent, joined) if _tiny(joined, at)]
    if long_at < 0 and not tiny_at:
        return set()
    ends = list(accumulate(len(row.source.value or b"") + 1 for row in rows))
    found = {bisect_right(ends, at) for at in tiny_at}
    while long_at >= 0:
        place = bisect_right(ends, long_at)
        if _LOSSY_NUMBER.search(rows[place].source.value or b""):
            found.add(place)
        long_at = digits.find(_MANY_DIGITS, ends[place])
    return found


def _places(needle: bytes, text: bytes) -> Iterator[int]:
    at = text.find(needle)
    while at >= 0:
        yield at
        at = text.find(needle, at + len(needle))


def _tiny(joined: bytes, exponent: int) -> bool:
    return exponent > 0 and _TINY_NUMBER.match(joined, exponent - 1) is not None


def _may_repeat_keys(raw: bytes, values: dict[str, Any]) -> bool:
    count = raw.count(b'":')
    if _SPACED_KEY.search(raw):
        count += len(_SPACED_KEY.findall(raw))
    return count != len(values) and count != _keys_of(values)


def _keys_of(value: Any) -> int:
    """Keys of an object and of all objects in it."""
    count = 0
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if type(item) is dict:
            count += len(item)
            waiting.extend(item.values())
        elif type(item) is list:
            waiting.extend(item)
    return count


_REASONS = {
    OddityKind.DUPLICATE_KEY: "The field {0!r} is given more than once; the last value counts.",
    OddityKind.HUGE_NUMBER: "The number {0} does not fit 64 bits; it is kept as text.",
    OddityKind.NOT_A_NUMBER: "{0} is not a JSON number; it is read as not known.",
    OddityKind.LONE_SURROGATE: "The text holds half a character, replaced by U+FFFD.",
}


def _noticed(row: int, item: _Row) -> list[Finding]:
    findings = [
        Finding(
            row,
            _ODDITIES[note.kind],
            note.column[:200] or None,
            note.text,
            1.0,
            Evidence(_REASONS[note.kind].format(note.text[:60])),
        )
        for note in item.notes
    ]
    if item.marked:
        reason = "The record starts with a byte order mark: write UTF-8 without one."
        findings.append(Finding(row, BYTE_ORDER_MARK, None, None, 1.0, Evidence(reason)))
    return findings


def _too_long(size: int, limits: Limits) -> _RefusedError:
    message = f"The value has {size} bytes, more than the {limits.max_record_bytes} allowed (max_record_bytes)."
    return _RefusedError("too_long", message)


def _too_deep(limits: Limits) -> _RefusedError:
    message = f"The value nests deeper than the {limits.max_nesting} levels allowed (max_nesting)."
    return _RefusedError("too_deep", message)


def _wrong_encoding(raw: bytes, why: str) -> _RefusedError:
    guess = guess_encoding(raw)
    looks = f"it looks like {guess}" if guess else "no known encoding fits"
    return _RefusedError("wrong_encoding", f"The value is not UTF-8 ({why}); {looks}: send UTF-8.")


def _not_an_object(value: Any) -> _RefusedError:
    if value is None:
        return _RefusedError("null_text", "The value is the JSON null: a deletion is a record without a value.")
    names = {list: "list", str: "text", bool: "boolean"}
    name = names.get(type(value), "number")
    return _RefusedError("not_an_object", f"The value is a JSON {name}: send a JSON object.")
