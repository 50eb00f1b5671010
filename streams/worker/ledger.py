"""The ledger of links: what the owner of links knows, and what follows from statements.

It needs what the catalogue says of the offers that it writes of, which the view has: it remembers what it was told,
asks for what it lacks, and is told anew with each statement about a product.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from detectors.duplicates.golden import DEFAULT_RULES, GoldenState, SurvivorRules, golden_record
from detectors.duplicates.links import LinkChange, LinkOwner, LinkStatus
from detectors.duplicates.statement import Statement, StatementError, decode_statement
from detectors.duplicates.texts import facts_from
from detectors.records import Facts
from sinks.wire import Versions, golden_message, link_message

__all__ = ["Follows", "Item", "Ledger", "Offer", "Owned", "Read"]

Item = tuple[bytes, bytes | None, list[tuple[str, bytes]]]
"""Key, value, headers."""
Offer = tuple[str, bytes] | None
"""The topic of a product and its packed facts; None for one that the catalogue does not hold."""

_REMEMBERED = 32_768  # offers


@dataclass(frozen=True, slots=True)
class Read:
    """Statements that were read. unreadable: the places of those that do not read, and why. position: the catalogue
    offset of the last entry that one of them follows, -1 for none. identities: the products that they are about.
    """

    unreadable: Sequence[tuple[int, str]]
    position: int
    identities: Sequence[str]


@dataclass(frozen=True, slots=True)
class Owned:
    """How many products are known, links hold, clusters there are and golden records stand; and the caution."""

    products: int
    links: int
    clusters: int
    golden: int
    caution: float


@dataclass(frozen=True, slots=True)
class Follows:
    """What follows from statements.

    lacking: products of which the ledger must be told first; nothing else is said then. links: of each one that was
    made or retracted the topic, the rule's name, and whether it was retracted. outputs: by the names of our topics.
    ended: golden records that are no more, among those outputs.
    """

    lacking: Sequence[str]
    links: Sequence[tuple[str, str, bool]]
    outputs: Mapping[str, Sequence[Item]]
    ended: int
    owned: Owned


@dataclass(frozen=True, slots=True)
class _Pending:
    """What was decided and not yet said. renewed: products whose golden records may be others."""

    changes: Sequence[LinkChange] = ()
    touched: Sequence[str] = ()
    renewed: Sequence[str] = ()


class Ledger:
    """Links, clusters and golden records, as decided up to here.

    rules: of golden records, by topic. versions: that findings name, by topic. clock: seconds since 1970.
    """

    def __init__(
        self,
        rules: Mapping[str, SurvivorRules],
        versions: Mapping[str, Versions],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._rules = rules
        self._versions = versions
        self._clock = clock
        self._owner = LinkOwner()
        self._golden = GoldenState()
        self._offers: dict[str, tuple[str, Facts] | None] = {}
        self._links: int | None = None
        self._said: Sequence[Statement] = ()
        self._pending = _Pending()

    # -- what was written before

    def load_mapping(self, records: Sequence[tuple[bytes, bytes | None]]) -> list[tuple[int, str]]:
        """Take back records of the mapping; the places of those that do not read, and what is wrong."""
        return _loaded(records, self._load_mapping)

    def load_golden(self, records: Sequence[tuple[bytes, Mapping[str, bytes] | None]]) -> list[tuple[int, str]]:
        """Take back golden records by their headers, None for a tombstone; as `load_mapping`."""
        return _loaded(records, self._load_golden)

    def _load_mapping(self, identity: str, value: bytes | None) -> None:
        if value is None:
            self._owner.forget(identity)
        else:
            self._owner.load(identity, orjson.loads(value))

    def _load_golden(self, identity: str, headers: Mapping[str, bytes] | None) -> None:
        if headers is None:
            self._golden.forget(identity)
        else:
            self._golden.load(identity, int(headers["version"]), headers["digest"].decode("ascii"))

    def owned(self) -> Owned:
        """Figures. After a load it decides over all that was read, which can take seconds."""
        owner = self._owner
        if self._links is None:
            self._links = len(owner.links())
        return Owned(len(owner), self._links, owner.clusters, len(self._golden), owner.caution)

    def amiss(self) -> list[str]:
        """Products that have no golden record and should, and the other way round."""
        owner, golden = self._owner, self._golden
        missing = (p for p in owner.identities() if p not in golden and owner.members(p))
        return sorted({*missing, *(p for p in golden.identities() if not owner.members(p))})

    def not_rebuilt(self, identities: Sequence[str], rebuild: int) -> list[str]:
        """Those of these products that were not looked up again after this rebuild."""
        return [p for p in identities if self._owner.rebuilt(p) < rebuild]

    # -- statements, and what follows

    def read(self, records: Sequence[tuple[bytes | None, bytes | None]]) -> Read:
        """Read keys and values of the links topic, to be decided over next."""
        statements: list[Statement] = []
        unreadable: list[tuple[int, str]] = []
        for place, (key, value) in enumerate(records):
            try:
                statements.append(decode_statement(key, value))
            except StatementError as error:
                unreadable.append((place, str(error)))
        return self._read(statements, unreadable)

    def take(self, statements: Sequence[Statement]) -> Read:
        """As `read`, of statements that were never written."""
        return self._read(statements, ())

    def _read(self, statements: Sequence[Statement], unreadable: Sequence[tuple[int, str]]) -> Read:
        self._said = statements
        position = max((s.position for s in statements), default=-1)
        return Read(unreadable, position, list(dict.fromkeys(s.identity for s in statements)))

    def decide(self, offers: Mapping[str, Offer]) -> Follows:
        """What follows from what was read. offers: of the products that it is about, as the catalogue has them now."""
        self._tell(offers)
        said, self._said = self._said, ()
        self.owned()
        applied = self._owner.apply(said)
        retracted = sum(change.status is LinkStatus.RETRACTED for change in applied.changes)
        assert self._links is not None
        self._links += len(applied.changes) - 2 * retracted
        self._pending = _Pending(applied.changes, sorted(applied.touched), sorted(applied.renewed))
        return self._follow()

    def renew(self, identities: Sequence[str]) -> Follows:
        """What follows where the golden records of these products may be others."""
        self._pending = _Pending(renewed=identities)
        return self._follow()

    def go_on(self, offers: Mapping[str, Offer]) -> Follows:
        """Go on where `Follows.lacking` asked for these offers."""
        self._tell(offers)
        return self._follow()

    def _tell(self, offers: Mapping[str, Offer]) -> None:
        for identity, offer in offers.items():
            self._offers[identity] = None if offer is None else (offer[0], facts_from(identity, offer[1]))

    def _follow(self) -> Follows:
        pending, owner, offers = self._pending, self._owner, self._offers
        together = {p: owner.members(p) for p in pending.renewed}
        needed = {link for change in pending.changes for link in (change.link.later, change.link.earlier)}
        needed.update(*together.values())
        if len(offers) > _REMEMBERED:
            offers = self._offers = {p: offers[p] for p in needed if p in offers}
        if lacking := [p for p in sorted(needed) if p not in offers]:
            return Follows(lacking, (), {}, 0, self.owned())
        self._pending = _Pending()
        now = int(self._clock() * 1000)
        golden = [item for p, members in together.items() if (item := self._renewed(p, members, now)) is not None]
        outputs: dict[str, Sequence[Item]] = {
            "findings": [self._finding(change, now) for change in pending.changes],
            "mapping": [(p.encode("utf-8"), orjson.dumps(owner.state_of(p)), []) for p in pending.touched],
            "golden": golden,
        }
        links = [
            (change.link.topic, change.link.rule, change.status is LinkStatus.RETRACTED) for change in pending.changes
        ]
        return Follows((), links, outputs, sum(value is None for _, value, _ in golden), self.owned())

    def _renewed(self, canonical: str, members: Sequence[str], now: int) -> Item | None:
        """The golden record of a product, if it is another now."""
        known = [offer for member in members if (offer := self._offers[member]) is not None]
        if known:
            rules = self._rules.get(known[0][0], DEFAULT_RULES)
            change = self._golden.renew(golden_record(canonical, [facts for _, facts in known], rules))
        else:
            change = self._golden.end(canonical)
        return None if change is None else golden_message(change, now)

    def _finding(self, change: LinkChange, now: int) -> Item:
        link = change.link
        later, earlier = self._offers[link.later], self._offers[link.earlier]
        told = (None if later is None else later[1], None if earlier is None else earlier[1])
        return (*link_message(change, self._versions.get(link.topic), *told, now), [])


def _loaded(records: Sequence[tuple[bytes, Any]], load: Callable[[str, Any], None]) -> list[tuple[int, str]]:
    failed: list[tuple[int, str]] = []
    for place, (key, value) in enumerate(records):
        try:
            load(key.decode("utf-8"), value)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            # The topic is compacted: this record stays, and no worker may end of it.
            failed.append((place, type(error).__name__))
    return failed
