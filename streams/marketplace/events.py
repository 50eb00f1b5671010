"""What the simulated marketplace emits: events, and what is wrong with those that have a fault."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Literal

__all__ = ["BEHAVIOUR_FAULTS", "PRODUCT_FAULTS", "Event", "FaultKind", "Planted", "TopicKind"]

TopicKind = Literal["products", "behaviors"]


class FaultKind(StrEnum):
    """Everything that is planted. Bounded: the names are labels."""

    # of the message
    NOT_JSON = "not_json"
    WRONG_ENCODING = "wrong_encoding"
    DUPLICATE_KEYS = "duplicate_keys"
    # of its shape
    MISSING_TITLE = "missing_title"
    MISSING_ID = "missing_id"
    WRONG_TYPE = "wrong_type"
    BAD_DATE = "bad_date"
    BAD_ENUM = "bad_enum"
    # of a text
    MOJIBAKE = "mojibake"
    HTML_ENTITIES = "html_entities"
    CONTROL_CHARACTERS = "control_characters"
    REPEATED_PHRASE = "repeated_phrase"
    # of a price
    PRICE_TIMES_100 = "price_times_100"
    PRICE_DIV_100 = "price_div_100"
    PRICE_TEXT_BROKEN = "price_text_broken"
    NEGATIVE_PRICE = "negative_price"
    CURRENCY_LABEL = "currency_label"
    PLACEHOLDER_PRICE = "placeholder_price"
    # of what a product is said to be
    BRAND_TYPO = "brand_typo"
    BRAND_SWAP = "brand_swap"
    CATEGORY_SWAP = "category_swap"
    DESCRIPTION_OF_ANOTHER = "description_of_another"
    GTIN_CHECK_DIGIT = "gtin_check_digit"
    # of behaviour
    REPEATED_EVENT = "repeated_event"
    REPLAYED_BLOCK = "replayed_block"
    UNKNOWN_PRODUCT = "unknown_product"
    PRICE_CONTRADICTION = "price_contradiction"
    IMPOSSIBLE_TIME = "impossible_time"


PRODUCT_FAULTS: Mapping[FaultKind, float] = {
    FaultKind.NOT_JSON: 0.5,
    FaultKind.WRONG_ENCODING: 0.5,
    FaultKind.DUPLICATE_KEYS: 0.7,
    FaultKind.MISSING_TITLE: 0.7,
    FaultKind.MISSING_ID: 0.5,
    FaultKind.WRONG_TYPE: 0.7,
    FaultKind.BAD_DATE: 0.7,
    FaultKind.MOJIBAKE: 1.5,
    FaultKind.HTML_ENTITIES: 1.2,
    FaultKind.CONTROL_CHARACTERS: 1.0,
    FaultKind.REPEATED_PHRASE: 1.0,
    FaultKind.PRICE_TIMES_100: 1.3,
    FaultKind.PRICE_DIV_100: 1.3,
    FaultKind.PRICE_TEXT_BROKEN: 0.8,
    FaultKind.NEGATIVE_PRICE: 0.7,
    FaultKind.CURRENCY_LABEL: 1.0,
    FaultKind.PLACEHOLDER_PRICE: 1.0,
    FaultKind.BRAND_TYPO: 1.0,
    FaultKind.BRAND_SWAP: 0.8,
    FaultKind.CATEGORY_SWAP: 1.0,
    FaultKind.DESCRIPTION_OF_ANOTHER: 0.8,
    FaultKind.GTIN_CHECK_DIGIT: 1.0,
}
"""How often each kind is planted in product events, against the others."""

BEHAVIOUR_FAULTS: Mapping[FaultKind, float] = {
    FaultKind.NOT_JSON: 0.6,
    FaultKind.BAD_ENUM: 1.0,
    FaultKind.BAD_DATE: 0.7,
    FaultKind.REPEATED_EVENT: 2.0,
    FaultKind.REPLAYED_BLOCK: 0.12,
    FaultKind.UNKNOWN_PRODUCT: 1.2,
    FaultKind.PRICE_CONTRADICTION: 1.2,
    FaultKind.IMPOSSIBLE_TIME: 1.0,
}
"""The same for behaviour events. A replayed block is a dozen events, each of them a fault."""


@dataclass(frozen=True, slots=True)
class Planted:
    """One fault in one event.

    field: where it is, None for the event as a whole. identity: of the product, or the id of the behaviour event.
    observed: the value as it was sent. accepted: the values that a repair may put there, the true one first; None among
    them where nobody can know the value, so that emptying the field is right. tolerance: of numbers.
    """

    kind: FaultKind
    field: str | None
    identity: str
    observed: Any = None
    accepted: tuple[Any, ...] = ()
    tolerance: float = 0.005


@dataclass(frozen=True, slots=True)
class Event:
    """A Kafka record to be sent.

    at: seconds since the start. planted: what is wrong with it. clean: of each field the values that mean the same,
    the true one first, faults apart.
    article: number of the article that a product event is about; offers of one article are duplicates. family: number
    of its family; articles of one family are variants.
    shadow: the product's price in the catalogue is wrong at this moment, by this fault; a finding that the event
    contradicts the catalogue names that fault.
    """

    topic: TopicKind
    key: bytes | None
    value: bytes | None
    at: float
    headers: tuple[tuple[str, bytes], ...] = ()
    planted: tuple[Planted, ...] = ()
    identity: str | None = None
    article: int | None = None
    family: int | None = None
    clean: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)
    shadow: FaultKind | None = None
