"""A data contract as the detectors see it: columns with a role or a rule, nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, tzinfo
from functools import cached_property
from typing import Any
from zoneinfo import ZoneInfo

from detectors.rules import Dimension, Severity, Word

__all__ = ["Column", "ColumnType", "Constraint", "ConstraintKind", "Contract", "Feed", "Kind", "Role", "Survivorship"]


class Role(Word):
    """What a column means."""

    # products
    ID = "id"
    TITLE = "title"
    DESCRIPTION = "description"
    BRAND = "brand"
    CATEGORY = "category"
    CURRENCY = "currency"
    GTIN = "gtin"
    MPN = "mpn"
    URL = "url"
    IMAGE = "image"
    UPDATED_AT = "updated_at"
    # behaviour
    EVENT_ID = "event_id"
    USER = "user"
    SESSION = "session"
    PRODUCT = "product"
    TYPE = "type"
    TIME = "time"
    QUERY = "query"
    REVIEW = "review"
    # both
    PRICE = "price"
    SOURCE = "source"


class Kind(Word):
    """What a topic carries."""

    PRODUCTS = "products"
    BEHAVIORS = "behaviors"


class Feed(Word):
    """Whether two records of one source can be the same product."""

    CLEAN = "clean"
    MARKETPLACE = "marketplace"


class Survivorship(Word):
    """Which offer's value of a column becomes the product's, where several offers are one product."""

    TRUST = "trust"
    RECENCY = "recency"
    COMPLETENESS = "completeness"
    MAJORITY = "majority"
    LONGEST = "longest"


class ColumnType(Word):
    """The logical types of the Open Data Contract Standard."""

    STRING = "string"
    DATE = "date"
    TIMESTAMP = "timestamp"
    TIME = "time"
    NUMBER = "number"
    INTEGER = "integer"
    OBJECT = "object"
    ARRAY = "array"
    BOOLEAN = "boolean"


class ConstraintKind(Word):
    """What a constraint of a column demands."""

    REQUIRED = "required"
    TYPE = "type"
    UNIQUE = "unique"
    RANGE = "range"
    LENGTH = "length"
    PATTERN = "pattern"
    ENUM = "enum"


@dataclass(frozen=True, slots=True)
class Constraint:
    """One demand on one column.

    arguments: `minimum`, `maximum`, `exclusive_minimum`, `exclusive_maximum` (RANGE); `minimum`, `maximum` (LENGTH);
    `pattern` (PATTERN, a regular expression that matches the whole value); `values` (ENUM, a tuple).
    """

    kind: ConstraintKind
    dimension: Dimension
    severity: Severity
    arguments: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Column:
    """A column with a role or a rule.

    missing: texts and numbers that mean "not known" beside null and the empty text, as the contract writes them.
    survivorship: of products, which offer's value the golden record has; None: the default of the column's role.
    unit: of a number without a role, the unit that it is in.
    """

    name: str
    type: ColumnType | None = None
    role: Role | None = None
    constraints: tuple[Constraint, ...] = ()
    missing: frozenset[str] = frozenset()
    survivorship: Survivorship | None = None
    unit: str | None = None

    def constraint(self, kind: ConstraintKind) -> Constraint | None:
        """The constraint of this kind, if the column has it."""
        return next((c for c in self.constraints if c.kind is kind), None)


@dataclass(frozen=True)
class Contract:
    """One topic's data contract.

    name, version: of the contract itself. topic: the topic it is for, as the contract names it.
    key: how the Kafka key is made, a template over `{source}` and `{id}`.
    source: the source where no column names it, None where the header `source` (or a file's name) does.
    known_columns: every column that the contract lists, also those without role or rule: others are unknown.
    timezone: of times that name none, such as `Asia/Shanghai`.
    trust: sources, the most trusted first; those that are not named come after them.
    """

    name: str
    version: str
    topic: str
    kind: Kind
    columns: tuple[Column, ...]
    known_columns: frozenset[str]
    owner: str | None = None
    feed: Feed = Feed.MARKETPLACE
    key: str = "{id}"
    source: str | None = None
    timezone: str = "UTC"
    trust: tuple[str, ...] = ()

    @cached_property
    def zone(self) -> tzinfo:
        """`timezone` as a zone."""
        return UTC if self.timezone == "UTC" else ZoneInfo(self.timezone)

    @cached_property
    def roles(self) -> Mapping[Role, Column]:
        """The column of each role."""
        return {column.role: column for column in self.columns if column.role is not None}

    def column_of(self, role: Role) -> str | None:
        """The name of the column with this role, None where there is none."""
        column = self.roles.get(role)
        return None if column is None else column.name
