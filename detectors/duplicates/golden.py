"""Golden records: what a product is, said from the offers that are this product.

Each attribute is the value of one of the offers, never a mixture and never made up. Which offer's value survives is the
column's policy:

    trust         of the source that the contract's `trust` lists first
    recency       of the newest event
    completeness  of the offer that says most
    majority      the value that most offers have; case, width and traditional characters make no difference
    longest       the longest text that is in order

Where a policy leaves several, or says nothing (no `trust` in the contract, no text in order), the more trusted source
goes first, then the offer that says more, then the one first seen, then the lesser identity: a new price of an offer
does not change what the product is called. So a golden record is a function of the facts and of nothing else: not of
the order in which offers came.

Price and currency come together, from one offer. The range is that of the offers in the same currency; nothing is
converted.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import chain
from operator import attrgetter
from statistics import median
from typing import Any, NamedTuple, TypeVar

import orjson
from stdnum import ean

from detectors.contract.model import Contract, Role, Survivorship
from detectors.records import Facts, split_identity
from detectors.standardise.chinese import fold
from detectors.standardise.memoised import memoised

__all__ = [
    "DEFAULTS",
    "DEFAULT_RULES",
    "Attribute",
    "GoldenChange",
    "GoldenRecord",
    "GoldenState",
    "Prices",
    "SurvivorRules",
    "golden_record",
]

T = TypeVar("T")

# Chosen by what an error costs: a wrong title is seen by everybody, so that the longest one in order is taken but not
# one three times as long as the others; names and codes are right where most agree; a price is right while it is new.
DEFAULTS: Mapping[Role, Survivorship] = {
    Role.TITLE: Survivorship.LONGEST,
    Role.DESCRIPTION: Survivorship.LONGEST,
    Role.BRAND: Survivorship.MAJORITY,
    Role.CATEGORY: Survivorship.MAJORITY,
    Role.PRICE: Survivorship.RECENCY,
    Role.GTIN: Survivorship.MAJORITY,
    Role.MPN: Survivorship.MAJORITY,
    Role.URL: Survivorship.COMPLETENESS,
    Role.IMAGE: Survivorship.COMPLETENESS,
}
_TEXTS: tuple[Role, ...] = tuple(role for role in DEFAULTS if role is not Role.PRICE)
_NAMES = tuple(role.value for role in _TEXTS)
_VALUES = attrgetter(*_NAMES)
_MEMBERS_NAMED = 1_000
_REMEMBERED_CHARS = 8_000  # of all offers of a product together
_MUCH_LONGER = 3.0  # times the median title
_OFTEN = 3  # times that a title may say one word
_SHOUTING = 0.8  # share of capitals among the letters of a title

_MARKUP = re.compile(r"<[a-zA-Z/!]|&[a-zA-Z]{2,8};|&#\d|https?://")
_BROKEN = re.compile(r"[\x00-\x08\x0b-\x1f\x7f\ufffd]")
_WORD = re.compile(r"\w{3,}")


class Attribute(NamedTuple):
    """A value and where it comes from.

    offer: the identity of the offer whose value it is. agree: how many offers have this value. known: how many have
    any.
    """

    value: str
    offer: str
    policy: Survivorship
    agree: int
    known: int


@dataclass(frozen=True, slots=True)
class Prices:
    """The price that was chosen, and what the offers in its currency cost.

    currency: None where the offer names none. low, high, offers: over the offers in this currency; elsewhere: how many
    have a price in another.
    """

    value: float
    currency: str | None
    offer: str
    policy: Survivorship
    agree: int
    low: float
    high: float
    offers: int
    elsewhere: int


@dataclass(frozen=True, slots=True)
class GoldenRecord:
    """One product. id: its canonical identity. members: its offers, the one first seen first.

    contract, contract_version: whose policies chose.
    """

    id: str
    members: Sequence[str]
    attributes: Mapping[Role, Attribute]
    prices: Prices | None
    contract: str
    contract_version: str

    def fields(self) -> dict[str, Any]:
        """As it is written out. Of more than a thousand members the first thousand are named."""
        out: dict[str, Any] = {
            "id": self.id,
            "offers": len(self.members),
            "members": self.members[:_MEMBERS_NAMED],
        }
        provenance: dict[str, Any] = {}
        for role, name in zip(_TEXTS, _NAMES, strict=True):
            found = self.attributes.get(role)
            if found is None:
                out[name] = None
                continue
            out[name] = found.value
            provenance[name] = {
                "offer": found.offer,
                "policy": found.policy,
                "agree": found.agree,
                "known": found.known,
            }
        p = self.prices
        out["price"], out["currency"], out["prices"] = None, None, None
        if p is not None:
            out["price"], out["currency"] = p.value, p.currency
            out["prices"] = {"low": p.low, "high": p.high, "offers": p.offers, "in_other_currencies": p.elsewhere}
            known = p.offers + p.elsewhere
            provenance["price"] = {"offer": p.offer, "policy": p.policy, "agree": p.agree, "known": known}
        out["provenance"] = provenance
        out["contract"], out["contract_version"] = self.contract, self.contract_version
        return out


@dataclass(frozen=True, eq=False)
class SurvivorRules:
    """The policy of each attribute and the rank of each source, 0 the most trusted. Equal to itself alone."""

    policies: Mapping[Role, Survivorship]
    trust: Mapping[str, int]
    contract: str = ""
    contract_version: str = ""

    @cached_property
    def texts_by_recency(self) -> bool:
        """Whether a newer event can change which text survives."""
        return any(self.policies[role] is Survivorship.RECENCY for role in _TEXTS)

    @classmethod
    def of(cls, contract: Contract) -> SurvivorRules:
        """What the contract says, and the defaults."""
        own = {
            role: column.survivorship
            for role, column in contract.roles.items()
            if role in DEFAULTS and column.survivorship is not None
        }
        ranks = {source: rank for rank, source in enumerate(contract.trust)}
        return cls({**DEFAULTS, **own}, ranks, contract.name, contract.version)


DEFAULT_RULES = SurvivorRules(DEFAULTS, {})


class _Offer(NamedTuple):
    """What an offer says, and its place among the others: the lesser goes first. No two have the same identity.

    trust: rank of its source. gaps: attributes of which it says nothing. texts: in the order of `_TEXTS`. updated_at:
    0 where that changes no text.
    """

    trust: int
    gaps: int
    first_seen: int
    identity: str
    texts: tuple[str | None, ...]
    updated_at: int


def _offer(facts: Facts, rules: SurvivorRules) -> _Offer:
    texts: tuple[str | None, ...] = _VALUES(facts)
    return _Offer(
        rules.trust.get(split_identity(facts.identity)[0], len(rules.trust)) if rules.trust else 0,
        texts.count(None) + texts.count("") + (not _has_price(facts)),
        facts.first_seen,
        facts.identity,
        texts,
        facts.updated_at if rules.texts_by_recency else 0,
    )


def golden_record(canonical: str, offers: Sequence[Facts], rules: SurvivorRules) -> GoldenRecord:
    """The golden record of these offers, which come in the order in which they were first seen; at least one."""
    ranked = sorted((_offer(facts, rules), i) for i, facts in enumerate(offers))
    said = tuple([offer for offer, _ in ranked])
    # Most updates bring a price, after which the offers say the same texts again.
    texts = chain.from_iterable([offer.texts for offer in said])
    short = sum(map(len, filter(None, texts))) <= _REMEMBERED_CHARS
    return GoldenRecord(
        canonical,
        [facts.identity for facts in offers],
        (_attributes if short else _attributes.__wrapped__)(said, rules),
        _prices([(offer, offers[i]) for offer, i in ranked if _has_price(offers[i])], rules.policies[Role.PRICE]),
        rules.contract,
        rules.contract_version,
    )


def _has_price(facts: Facts) -> bool:
    return facts.price is not None and facts.price > 0


@lru_cache(maxsize=1 << 12)
def _attributes(offers: tuple[_Offer, ...], rules: SurvivorRules) -> Mapping[Role, Attribute]:
    """offers: in their order."""
    attributes: dict[Role, Attribute] = {}
    for role, column in zip(_TEXTS, zip(*(offer.texts for offer in offers), strict=True), strict=True):
        known = [(text, offer) for text, offer in zip(column, offers, strict=True) if text]
        if known:
            attributes[role] = _attribute(role, known, rules.policies[role])
    return attributes


def _attribute(role: Role, known: Sequence[tuple[str, _Offer]], policy: Survivorship) -> Attribute:
    """known: values and their offers, these in their order; at least one."""
    texts = [text for text, _ in known]
    row = _foremost(policy, known, lambda pair: (pair[1].gaps, pair[1].updated_at))
    agree = texts.count(texts[row])
    if agree < len(texts):
        compared = _COMPARED.get(role)
        same = texts if compared is None else [*map(compared, texts)]
        if policy is Survivorship.LONGEST:
            row = _longest(texts, is_title=role is Role.TITLE)
        elif policy is Survivorship.MAJORITY:
            row = same.index(_most_common(role, same))
        agree = same.count(same[row])
    text, offer = known[row]
    return Attribute(text, offer.identity, policy, agree, len(known))


def _foremost(policy: Survivorship, offers: Sequence[T], about: Callable[[T], tuple[int, int]]) -> int:
    """The place of the offer that a policy prefers whatever it says; the first where the policy looks at values.

    offers: in their order. about: the gaps of one, and when it was updated.
    """
    if policy is Survivorship.COMPLETENESS:
        return min(range(len(offers)), key=lambda i: about(offers[i])[0])
    if policy is Survivorship.RECENCY:
        return max(range(len(offers)), key=lambda i: about(offers[i])[1])
    return 0


@memoised(1 << 15, 300)
def _plain(value: str) -> str:
    return " ".join(fold(value).split())


# What two offers must have in common to have the same value; the value itself where nothing is said.
_COMPARED: Mapping[Role, Callable[[str], str]] = {
    role: (lambda gtin: gtin.lstrip("0")) if role is Role.GTIN else _plain
    for role in _TEXTS
    if role not in (Role.URL, Role.IMAGE)
}


def _most_common(role: Role, values: Sequence[str]) -> str:
    """Of the values that most offers have the one that comes first; a GTIN with a wrong check digit comes last."""
    count = Counter(values)  # in the order in which they come
    if role is Role.GTIN:
        return max(count, key=lambda value: (ean.is_valid(value.zfill(13)), count[value]))
    return max(count, key=count.__getitem__)


def _longest(texts: Sequence[str], *, is_title: bool) -> int:
    """The place of the longest text that is in order; the first where none is."""
    limit = median(map(len, texts)) * _MUCH_LONGER if is_title and len(texts) > 2 else float("inf")
    sane = [i for i, text in enumerate(texts) if len(text) <= limit and _in_order(text, is_title)]
    return max(sane, key=lambda i: (len(texts[i]), -i), default=0)


@memoised(1 << 15, 300)
def _in_order(text: str, is_title: bool) -> bool:
    """Whether a text has no markup and nothing broken in it, and a title neither shouts nor repeats itself."""
    if _MARKUP.search(text) or _BROKEN.search(text):
        return False
    if not is_title:
        return True
    letters = [character for character in text if character.isalpha()]
    if len(letters) > 12 and sum(map(str.isupper, letters)) > _SHOUTING * len(letters):
        return False
    words = _WORD.findall(text.lower())
    return all(words.count(word) <= _OFTEN for word in set(words))


def _prices(offers: Sequence[tuple[_Offer, Facts]], policy: Survivorship) -> Prices | None:
    """offers: those that have a price, in their order."""
    if not offers:
        return None
    said = [(facts.price or 0.0, facts.currency) for _, facts in offers]
    row = _foremost(policy, offers, lambda pair: (pair[0].gaps, pair[1].updated_at))
    if policy is Survivorship.MAJORITY:
        row = max(range(len(said)), key=lambda i: said.count(said[i]))
    value, currency = said[row]
    alike = [price for price, other in said if other == currency]
    return Prices(
        value=value,
        currency=currency,
        offer=offers[row][0].identity,
        policy=policy,
        agree=said.count(said[row]),
        low=min(alike),
        high=max(alike),
        offers=len(alike),
        elsewhere=len(said) - len(alike),
    )


# -- what was said


@dataclass(frozen=True, slots=True)
class GoldenChange:
    """A golden record that is another now, or None where its product ended.

    version: 1 for the first, one more at each change; a product that ended and comes back begins at 1 again.
    digest: of the content, the same for the same content. body: the content as JSON, an object.
    """

    id: str
    record: GoldenRecord | None
    version: int
    digest: str
    body: bytes


class GoldenState:
    """What was said of each product, so that only changes are said. About 0.2 KB a product."""

    def __init__(self) -> None:
        self._said: dict[str, int] = {}  # version and digest in one number: a pair would take three objects

    def __len__(self) -> int:
        return len(self._said)

    def __contains__(self, canonical: object) -> bool:
        return canonical in self._said

    def identities(self) -> Iterable[str]:
        """The products of which a golden record was said."""
        return self._said.keys()

    def load(self, canonical: str, version: int, digest: str) -> None:
        """Take back what was written out. Raises: ValueError for a digest that is none."""
        self._said[canonical] = version << 64 | int(digest, 16)

    def forget(self, canonical: str) -> None:
        """Take back a tombstone."""
        self._said.pop(canonical, None)

    def end(self, canonical: str) -> GoldenChange | None:
        """The product is no more: None where nothing was said of it."""
        said = self._said.pop(canonical, None)
        return None if said is None else GoldenChange(canonical, None, said >> 64, "", b"")

    def renew(self, record: GoldenRecord) -> GoldenChange | None:
        """None where the same was said already."""
        body = orjson.dumps(record.fields())
        digest = hashlib.blake2b(body, digest_size=8).digest()
        said = self._said.get(record.id, 0)
        number = int.from_bytes(digest, "big")
        if said and said & 0xFFFF_FFFF_FFFF_FFFF == number:
            return None
        version = (said >> 64) + 1
        self._said[record.id] = version << 64 | number
        return GoldenChange(record.id, record, version, digest.hex(), body)
