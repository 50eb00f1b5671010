"""What crosses the borders between the packages: records, findings, corrections, neighbours.

Everything here is frozen. A detector gets a `Batch` and returns `Finding`s that point at its rows; what a record is
known by (topic, offset, identity) is joined to them only when they are written out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import cached_property
from operator import attrgetter
from typing import Any, NamedTuple, Protocol
from urllib.parse import quote, unquote

import numpy as np
from numpy.typing import NDArray

from detectors.contract.model import Contract, Role
from detectors.rules import Dimension, Rule, Severity

__all__ = [
    "Batch",
    "Correction",
    "Dimension",
    "Evidence",
    "Facts",
    "Finding",
    "Neighbour",
    "Neighbours",
    "Record",
    "Rejection",
    "Rule",
    "Severity",
    "SourceRecord",
    "Span",
    "StoredRecord",
    "Suggestion",
    "Version",
    "identity_of",
    "split_identity",
]


class SourceRecord(Protocol):
    """A Kafka record as the client library hands it over; aiokafka's `ConsumerRecord` fits as it is."""

    @property
    def topic(self) -> str: ...  # noqa: D102 -- Kafka's own name
    @property
    def partition(self) -> int: ...  # noqa: D102 -- Kafka's own name
    @property
    def offset(self) -> int: ...  # noqa: D102 -- Kafka's own name
    @property
    def timestamp(self) -> int:
        """Milliseconds since 1970, UTC."""

    @property
    def key(self) -> bytes | None: ...  # noqa: D102 -- Kafka's own name
    @property
    def value(self) -> bytes | None: ...  # noqa: D102 -- Kafka's own name
    @property
    def headers(self) -> Sequence[tuple[str, bytes]]: ...  # noqa: D102 -- Kafka's own name


@dataclass(frozen=True, slots=True)
class StoredRecord:
    """A `SourceRecord` of our own making: a row of a file, a test's record."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes]] = ()


class Version(NamedTuple):
    """The version of a product: versions of one product are ordered.

    generation: rises when the source topic was made anew or got more partitions.
    offset: of the source record.
    """

    generation: int
    offset: int


_UNVERSIONED = Version(0, 0)


def identity_of(source: str, product_id: str) -> str:
    """The identity of a product: its source and its id in one string, `source/id`.

    A slash or per cent sign inside the source is escaped, so that `split_identity` finds both parts again.
    """
    if "/" in source or "%" in source:
        source = quote(source, safe=" ")
    return f"{source}/{product_id}"


def split_identity(identity: str) -> tuple[str, str]:
    """(source, id) of an identity made by `identity_of`."""
    source, _, product_id = identity.partition("/")
    return (unquote(source) if "%" in source else source), product_id


@dataclass(frozen=True, slots=True)
class Record:
    """One event after decoding and standardising.

    source: the Kafka record.
    identity: a product's `source/id`; of a behaviour event its event id, else `topic/partition/offset`.
    original: the fields as they were decoded. Never changed.
    values: the fields after standardising. A value of None is not known.
    event_time: milliseconds since 1970, UTC; the record's own time where it has one, else Kafka's.
    """

    source: SourceRecord
    identity: str
    original: Mapping[str, Any]
    values: Mapping[str, Any]
    event_time: int
    version: Version = _UNVERSIONED


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of a product, as its neighbours and behaviour events need it.

    price: in `currency`, a plain number; None where unknown. A log or a ratio is the detector's business.
    first_seen, updated_at: milliseconds since 1970 of the event that first showed this product, and of the newest.
    """

    identity: str
    title: str = ""
    description: str = ""
    brand: str | None = None
    category: str | None = None
    price: float | None = None
    currency: str | None = None
    gtin: str | None = None
    mpn: str | None = None
    first_seen: int = 0
    url: str | None = None
    image: str | None = None
    updated_at: int = 0

    def __reduce__(self) -> tuple[type[Facts], tuple[Any, ...]]:
        """To pickle it by its fields in order: a fraction of the time that a frozen dataclass takes by itself."""
        return Facts, _fields_of_facts(self)


_fields_of_facts = attrgetter(*(each.name for each in fields(Facts)))


@dataclass(frozen=True)  # without slots, for what is computed once
class Neighbours:
    """The nearest products of each record of a batch, best first, the record itself never among them.

    facts: (n, up to k). scores: (n, k) float32, cosine of the combined vector, -1 where there is no neighbour.
    dense: (n, k) float32, cosine of the encoder's vectors alone, -1 where there is no neighbour.
    """

    facts: Sequence[Sequence[Facts]]
    scores: NDArray[np.float32]
    dense: NDArray[np.float32]

    @cached_property
    def distinct(self) -> tuple[Sequence[Facts], NDArray[np.intp]]:
        """What is shown of each of these products once, for one is a neighbour of many; and (n, k) its place there, -1
        for none. Of a product that changed between two lookups both are shown.
        """
        n, width = self.scores.shape
        shown = [other for line in self.facts for other in line[:width]]
        _, first, number = np.unique(np.fromiter(map(id, shown), np.int64), return_index=True, return_inverse=True)
        places = np.full((n, width), -1, np.intp)
        places[np.arange(width) < np.array([len(line) for line in self.facts], np.intp)[:, None]] = number
        return [shown[i] for i in first.tolist()], places


@dataclass(frozen=True, slots=True)
class Batch:
    """The unit of work: records of one topic, and what is known beside them.

    vectors: (n, d) float32, unit length, of the records' texts; None where nothing was encoded.
    neighbours: of product batches.
    products: of behaviour batches, what the catalogue knows of each event's product (None: not in the catalogue).
    canonical: of behaviour batches, the canonical identity of each event's product.
    catalogue_size: products in the catalogue; a check against the catalogue is silent while it is 0.
    """

    contract: Contract
    records: Sequence[Record]
    vectors: NDArray[np.float32] | None = None
    neighbours: Neighbours | None = None
    products: Sequence[Facts | None] | None = None
    canonical: Sequence[str | None] | None = None
    catalogue_size: int = 0

    def __len__(self) -> int:
        return len(self.records)

    def column(self, role: Role) -> list[Any]:
        """The standardised values of the column with this role; None for every record where no column has it."""
        name = self.contract.column_of(role)
        if name is None:
            return [None] * len(self.records)
        return [record.values.get(name) for record in self.records]


@dataclass(frozen=True, slots=True)
class Neighbour:
    """A product named as evidence: its identity, its similarity 0-1, and the value of it that matters here."""

    identity: str
    score: float
    value: Any = None


@dataclass(frozen=True, slots=True)
class Span:
    """A piece of a text named as evidence: `text[start:end]`."""

    start: int
    end: int
    text: str


@dataclass(frozen=True, slots=True)
class Evidence:
    """Why a finding was made, for the person whose record it is.

    reason: one sentence in plain words with the values that matter.
    """

    reason: str
    neighbours: tuple[Neighbour, ...] = ()
    statistics: Mapping[str, float] = field(default_factory=dict)
    spans: tuple[Span, ...] = ()


@dataclass(frozen=True, slots=True)
class Suggestion:
    """The value that a field should have. `Suggestion(None)` says: it should be empty."""

    value: Any


@dataclass(frozen=True, slots=True)
class Finding:
    """Something wrong with one record of a batch.

    row: of the batch. column: the field at fault, None for the record as a whole.
    observed: the value at fault. suggestion: the repair, where there is one; whether it is applied is the repair
    policy's decision. confidence: 0-1, that the finding is right; with a suggestion, that the repair is right.
    model: name and version of the model or method behind it, where there is one.
    other: identity of the product that the record is set against, where the finding is about two.
    """

    row: int
    rule: Rule
    column: str | None
    observed: Any
    confidence: float
    evidence: Evidence
    suggestion: Suggestion | None = None
    model: str | None = None
    other: str | None = None


@dataclass(frozen=True, slots=True)
class Correction:
    """A change made to one field of one record of a batch. `before` gives the original back."""

    row: int
    column: str
    before: Any
    after: Any
    confidence: float
    rule: str
    reason: str


@dataclass(frozen=True, slots=True)
class Rejection:
    """A record that cannot be processed: it becomes a dead letter.

    stage: `decode`, `contract`, `process`. error: a short stable name, such as `not_json`. message: one sentence,
    without the event's body.
    """

    source: SourceRecord
    stage: str
    error: str
    message: str
