"""The ledger of links: what the owner of links knows, and what follows from statements.

It knows nothing of the catalogue: after each decision it says of which offers it is about to write, and is told what
the catalogue says of them now.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
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
_Told = tuple[str, Facts] | None


@dataclass(frozen=True, slots=True)
class Read:
    """Statements that were read. unreadable: the places of those that do not read, and why. position: the catalogue
    offset of the last entry that one of them follows, -1 for none.
    """

    unreadable: Sequence[tuple[int, str]]
    position: int


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
    """What follows from a decision.

    links: of each one that was made or retracted the topic, the rule's name, and whether it was retracted. outputs: by
    the names of our topics. ended: golden records that are no more, among those outputs.
    """

    links: Sequence[tuple[str, str, bool]]
    outputs: Mapping[str, Sequence[Item]]
    ended: int
    owned: Owned


@dataclass(frozen=True, slots=True)
class _Pending:
    """What was decided and not yet said. renewed: products whose golden records may be others, with their members."""

    changes: Sequence[LinkChange] = ()
    touched: Sequence[str] = ()
    renewed: Mapping[str, Sequence[str]] = field(default_factory=dict)


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
        self.begin()

    def begin(self) -> None:
        """Forget everything: what is known is loaded again."""
        self._owner = LinkOwner()
        self._golden = GoldenState()
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
        return Read(unreadable, max((s.position for s in statements), default=-1))

    def decide(self) -> list[str]:
        """Decide over what was read. The products of which `follow` is to be told."""
        said, self._said = self._said, ()
        links = self.owned().links
        applied = self._owner.apply(said)
        retracted = sum(change.status is LinkStatus.RETRACTED for change in applied.changes)
        self._links = links + len(applied.changes) - 2 * retracted
        return self._pend(applied.changes, sorted(applied.touched), sorted(applied.renewed))

    def renew(self, identities: Sequence[str]) -> list[str]:
        """As `decide`, where nothing was said, but the golden records of these products may be others."""
        return self._pend((), (), identities)

    def _pend(self, changes: Sequence[LinkChange], touched: Sequence[str], renewed: Sequence[str]) -> list[str]:
        members = {p: self._owner.members(p) for p in renewed}
        self._pending = _Pending(changes, touched, members)
        ends = (p for change in changes for p in (change.link.later, change.link.earlier))
        return list(dict.fromkeys([*ends, *chain.from_iterable(members.values())]))

    def follow(self, offers: Mapping[str, Offer]) -> Follows:
        """What follows from the last decision. offers: what the catalogue says now of the products that it named."""
        pending, self._pending, now = self._pending, _Pending(), int(self._clock() * 1000)
        told = {p: None if offer is None else (offer[0], facts_from(p, offer[1])) for p, offer in offers.items()}
        golden = [
            item
            for canonical, members in pending.renewed.items()
            if (item := self._renewed(canonical, [told[member] for member in members], now)) is not None
        ]
        outputs: dict[str, Sequence[Item]] = {
            "findings": [self._finding(change, told, now) for change in pending.changes],
            "mapping": [(p.encode("utf-8"), orjson.dumps(self._owner.state_of(p)), []) for p in pending.touched],
            "golden": golden,
        }
        links = [
            (change.link.topic, change.link.rule, change.status is LinkStatus.RETRACTED) for change in pending.changes
        ]
        return Follows(links, outputs, sum(value is None for _, value, _ in golden), self.owned())

    def _renewed(self, canonical: str, members: Sequence[_Told], now: int) -> Item | None:
        """The golden record of a product, if it is another now."""
        known = [member for member in members if member is not None]
        if known:
            rules = self._rules.get(known[0][0], DEFAULT_RULES)
            change = self._golden.renew(golden_record(canonical, [facts for _, facts in known], rules))
        else:
            change = self._golden.end(canonical)
        return None if change is None else golden_message(change, now)

    def _finding(self, change: LinkChange, told: Mapping[str, _Told], now: int) -> Item:
        link = change.link
        later, earlier = (None if (one := told[p]) is None else one[1] for p in (link.later, link.earlier))
        return (*link_message(change, self._versions.get(link.topic), later, earlier, now), [])


def _loaded(records: Sequence[tuple[bytes, Any]], load: Callable[[str, Any], None]) -> list[tuple[int, str]]:
    failed: list[tuple[int, str]] = []
    for place, (key, value) in enumerate(records):
        try:
            load(key.decode("utf-8"), value)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            # The topic is compacted: this record stays, and no worker may end of it.
            failed.append((place, type(error).__name__))
    return failed
