"""A product as the catalogue topic carries it, and its bytes.

An entry is a fixed head, the encoder's vector in 8 bits and the facts as JSON; one numpy view decodes the heads of a
whole fetch. What was read of its texts is in a header. A deleted product is a null value with its version in a header.
What does not decode is reported and skipped: one bad entry must not stop every worker.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import lru_cache
from operator import attrgetter
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from detectors.duplicates.epoch import EPOCH_KEY, EpochChunk
from detectors.records import Facts, SourceRecord, Version

__all__ = [
    "Decoded",
    "Entry",
    "EntryError",
    "Skipped",
    "as_read",
    "decode_entries",
    "encode_entry",
    "quantise",
    "unless_said",
]

_FORMAT = 1
_MAX_DIM = 4096
_MAX_BYTES = 900_000
TITLE_CHARS = 1_000
DESCRIPTION_CHARS = 2_000
_VERSION_HEADER, _READING_HEADER = "version", "reading"
_HEAD = np.dtype(
    [
        ("format", "u1"),
        ("dim", "<u2"),
        ("partition", "<i4"),
        ("generation", "<i8"),
        ("offset", "<i8"),
        ("revision", "<i4"),
        ("match_generation", "<i8"),
        ("match_offset", "<i8"),
        ("match_price", "<f8"),
    ]
)
_NO_VERSION = Version(0, 0)
_NO_VECTOR: NDArray[np.int8] = np.zeros(0, np.int8)
_FACTS_ORDER = tuple(f.name for f in fields(Facts))
_FACTS_FIELDS = frozenset(_FACTS_ORDER)
_FIELDS = attrgetter(*_FACTS_ORDER)
_TEXTS = attrgetter("title", "description", "identity")
_OPTIONAL_TEXTS = attrgetter("brand", "category", "currency", "gtin", "mpn", "url", "image")
_A_TEXT, _A_TEXT_OR_NONE = {str}, {str, type(None)}
_A_NUMBER_OR_NONE = (int, float, type(None))
_KNOWN_TYPES: set[tuple[type, ...]] = set()  # of the fields of facts, that were seen to be right: some hundreds at most
_INT64 = 1 << 63
_UNREADABLE = (ValueError, TypeError, KeyError, AttributeError, OverflowError)


class EntryError(ValueError):
    """An entry that must not be published."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One version of one product.

    topic, partition, version: where it came from; `version.offset` is the source offset.
    revision: rises when a repair changed a fact of the same version (see `repaired`), by two, or when another encoder
    made its vector, by one: so a repair is newer than a new vector that was made beside it, of what was before both. A
    revision changes brand, category, price, currency or the vector, never what matching reads.
    match_version: the version at which title, description, brand, gtin or mpn last changed.
    match_price: the price at `match_version`; matching reads this one, so that a later price neither makes nor cuts a
    link.
    match_currency: its currency, "" for none, where `facts.currency` is another one by now; else None.
    match_brand: the brand at `match_version`, "" for none, where a repair has made `facts.brand` another one; else
    None. Matching reads `brand_read`.
    encoder: who made `vector`; vectors of two encoders are never compared.
    seen_from: the catalogue offset at which `match_version` was first published, so that a product that is written
    again keeps its place among the others; -1 where nobody knows it any more, None for the entry's own offset.
    vector: (d,) int8, see `quantise`; not part of equality.
    reading: what matching read of the texts, as `pack` gives it; empty where whoever applies the entry is to read them.
    Not part of equality.
    """

    identity: str
    topic: str
    partition: int
    version: Version
    revision: int = 0
    match_version: Version = _NO_VERSION
    match_price: float | None = None
    encoder: str = ""
    vector: NDArray[np.int8] = field(default_factory=lambda: _NO_VECTOR, compare=False)
    facts: Facts = field(default_factory=lambda: Facts(""))
    deleted: bool = False
    match_brand: str | None = None
    match_currency: str | None = None
    seen_from: int | None = field(default=None, compare=False)
    reading: bytes = field(default=b"", compare=False, repr=False)

    @property
    def brand_read(self) -> str:
        """The brand that matching reads, "" for none."""
        return (self.facts.brand or "") if self.match_brand is None else self.match_brand

    @property
    def currency_read(self) -> str:
        """The currency that matching reads, "" for none."""
        return (self.facts.currency or "") if self.match_currency is None else self.match_currency

    @property
    def facts_read(self) -> Facts:
        """The facts as matching reads them."""
        return as_read(self.facts, self.match_brand, self.match_currency)

    def carrying(self, reading: bytes) -> Entry:
        """The same with this reading. In half the time of `replace`."""
        return _entry(*_BUT_READING(self), reading)

    def repaired(self, facts: Facts) -> Entry:
        """The next revision, with facts that a repair changed. Matching reads what it read before."""
        brand, currency = self.brand_read, self.currency_read
        return replace(
            self,
            revision=self.revision + 2,
            facts=facts,
            match_brand=unless_said(facts.brand, brand),
            match_currency=unless_said(facts.currency, currency),
        )


_BUT_READING = attrgetter(*(field.name for field in fields(Entry)[:-1]))
_entry: Callable[..., Entry] = Entry


@dataclass(frozen=True, slots=True)
class Skipped:
    """A record of the catalogue topic that does not decode."""

    offset: int
    key: bytes | None
    reason: str


@dataclass(frozen=True, slots=True)
class Decoded:
    """What a fetch held, with the catalogue offset of each; `position` is the offset after the last record."""

    items: Sequence[tuple[int, Entry | EpochChunk]]
    skipped: Sequence[Skipped]
    position: int


def as_read(facts: Facts, match_brand: str | None, match_currency: str | None) -> Facts:
    """The facts of an entry as matching reads them. match_brand, match_currency: of the same entry."""
    if match_brand is not None:
        facts = replace(facts, brand=match_brand or None)
    return facts if match_currency is None else replace(facts, currency=match_currency or None)


def unless_said(now: str | None, read: str) -> str | None:
    """`match_brand` or `match_currency` of an entry whose facts say `now`. read: what matching reads, "" for none."""
    return None if (now or "") == read else read


def quantise(vectors: NDArray[np.floating[Any]]) -> NDArray[np.int8]:
    """(n, d) vectors -> (n, d) int8: each row divided by its largest component and rounded to 127 steps.

    A row's length is lost and not needed: whoever compares rows divides by their integer norms, which are exact.
    """
    x = np.asarray(vectors, np.float64)
    largest = np.abs(x).max(axis=1, keepdims=True, initial=0.0)
    quantised: NDArray[np.int8] = np.rint(x * (127.0 / np.where(largest > 0, largest, 1.0))).astype(np.int8)
    return quantised


def encode_entry(entry: Entry) -> tuple[bytes, bytes | None, list[tuple[str, bytes]]]:
    """(key, value, headers) of an entry, for the catalogue topic. Title and description are cut to what is kept.

    Raises: EntryError.
    """
    if not entry.identity or entry.identity.encode(errors="replace").startswith(EPOCH_KEY):
        raise EntryError("A catalogue entry needs an identity.")
    try:
        key = entry.identity.encode()
        if entry.deleted:
            version = orjson.dumps([entry.topic, entry.partition, *entry.version, entry.revision])
            return key, None, [(_VERSION_HEADER, version)]
        facts = entry.facts
        if facts.identity != entry.identity:
            raise EntryError("The facts of a catalogue entry are of another product.")
        if len(facts.title) > TITLE_CHARS or len(facts.description) > DESCRIPTION_CHARS:
            facts = replace(facts, title=facts.title[:TITLE_CHARS], description=facts.description[:DESCRIPTION_CHARS])
            entry = replace(entry, reading=b"")  # of more than is kept
        vector = entry.vector
        if vector.dtype != np.int8 or vector.ndim != 1 or not 0 < len(vector) <= _MAX_DIM:
            raise EntryError(f"A catalogue entry needs an int8 vector; this one is {vector.dtype} {vector.shape}.")
        head = np.zeros((), _HEAD)
        head[()] = (
            _FORMAT,
            len(vector),
            entry.partition,
            *entry.version,
            entry.revision,
            *entry.match_version,
            np.nan if entry.match_price is None else entry.match_price,
        )
        rest: dict[str, Any] = {"topic": entry.topic, "encoder": entry.encoder, "facts": facts}
        if entry.match_brand is not None:
            rest["match_brand"] = entry.match_brand
        if entry.match_currency is not None:
            rest["match_currency"] = entry.match_currency
        if entry.seen_from is not None:
            rest["seen_from"] = entry.seen_from
        body = orjson.dumps(rest)
    except (TypeError, OverflowError, UnicodeEncodeError) as error:
        raise EntryError(f"The catalogue entry cannot be written: {error}.") from error
    value = b"".join((head.tobytes(), vector.tobytes(), body))
    if len(value) > _MAX_BYTES:
        raise EntryError(f"The catalogue entry has {len(value):,} bytes; at most {_MAX_BYTES:,} are allowed.")
    return key, value, [(_READING_HEADER, entry.reading)] if entry.reading else []


def decode_entries(records: Sequence[SourceRecord]) -> Decoded:
    """Entries and parts of epochs of a fetch, in log order. Never raises; what does not decode is in `skipped`."""
    items: list[tuple[int, Entry | EpochChunk]] = []
    skipped: list[Skipped] = []
    size = _HEAD.itemsize
    whole = [r.value[:size] for r in records if r.value and len(r.value) > size and r.value[0] == _FORMAT]
    heads = iter(np.frombuffer(b"".join(whole), _HEAD).tolist())
    for record in records:
        key, value = record.key, record.value
        head = next(heads) if value and len(value) > size and value[0] == _FORMAT else None
        try:
            if not key:
                raise ValueError("no key")
            if key.startswith(EPOCH_KEY):
                if value is not None:
                    items.append((record.offset, EpochChunk.decode(value)))
                continue
            if value is None:
                items.append((record.offset, _decode_delete(key.decode(), record.headers)))
            elif head is not None:
                items.append((record.offset, _decode_live(key.decode(), head, value, size, record.headers)))
            else:
                raise ValueError("neither an entry nor a part of an epoch")
        except _UNREADABLE as error:
            skipped.append(Skipped(record.offset, key, str(error) or type(error).__name__))
    return Decoded(items, skipped, records[-1].offset + 1 if records else 0)


@lru_cache(maxsize=1024)
def _shared(text: str) -> str:
    """One object for a name that every entry repeats."""
    return text


def _decode_live(
    identity: str, head: tuple[Any, ...], value: bytes, size: int, headers: Sequence[tuple[str, bytes]]
) -> Entry:
    _, dim, partition, generation, offset, revision, match_generation, match_offset, match_price = head
    if not 0 < dim <= _MAX_DIM or len(value) < size + dim:
        raise ValueError("the vector is cut off")
    body = orjson.loads(memoryview(value)[size + dim :])
    raw = body["facts"] if isinstance(body, dict) else None
    if not isinstance(raw, dict):
        raise ValueError("an entry without facts")
    if tuple(raw) == _FACTS_ORDER:  # as this program writes them
        facts = Facts(*raw.values())
    else:
        facts = Facts(**{k: raw[k] for k in raw.keys() & _FACTS_FIELDS})
    if facts.identity != identity:
        raise ValueError("the facts are of another product than the key")
    types = tuple(map(type, _FIELDS(facts)))
    if types not in _KNOWN_TYPES:
        if not {*map(type, _TEXTS(facts))} <= _A_TEXT or not {*map(type, _OPTIONAL_TEXTS(facts))} <= _A_TEXT_OR_NONE:
            raise ValueError("a text among the facts is none")
        if not isinstance(facts.price, _A_NUMBER_OR_NONE) or {type(facts.first_seen), type(facts.updated_at)} != {int}:
            raise ValueError("a number among the facts is none")
        _KNOWN_TYPES.add(types)
    if not (-_INT64 <= facts.first_seen < _INT64 and -_INT64 <= facts.updated_at < _INT64):
        raise ValueError("a number among the facts is none")
    topic, encoder = body["topic"], body["encoder"]
    read_as = match_brand, match_currency = body.get("match_brand"), body.get("match_currency")
    if not isinstance(topic, str) or not isinstance(encoder, str) or not {*map(type, read_as)} <= _A_TEXT_OR_NONE:
        raise ValueError("topic, encoder, brand or currency is no text")
    seen_from = body.get("seen_from")
    if seen_from is not None and not (type(seen_from) is int and -1 <= seen_from < _INT64):
        raise ValueError("the place among the others is none")
    return Entry(
        identity,
        _shared(topic),
        partition,
        Version(generation, offset),
        revision,
        Version(match_generation, match_offset),
        None if math.isnan(match_price) else match_price,
        _shared(encoder),
        np.frombuffer(value, np.int8, dim, size),
        facts,
        match_brand=match_brand,
        match_currency=match_currency,
        seen_from=seen_from,
        reading=_header(headers, _READING_HEADER) or b"",
    )


def _header(headers: Sequence[tuple[str, bytes]], name: str) -> bytes | None:
    """The last header of this name; None for none."""
    for key, value in reversed(headers):
        if key == name:
            return value
    return None


def _decode_delete(identity: str, headers: Sequence[tuple[str, bytes]]) -> Entry:
    raw = _header(headers, _VERSION_HEADER)
    if raw is None:
        raise ValueError("a deletion without its version")
    topic, partition, generation, offset, revision = orjson.loads(raw)
    if not isinstance(topic, str) or not all(type(n) is int for n in (partition, generation, offset, revision)):
        raise ValueError("a deletion whose version does not read")
    version = Version(generation, offset)
    return Entry(identity, topic, partition, version, revision, version, deleted=True)
