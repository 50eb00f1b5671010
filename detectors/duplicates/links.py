"""The owner of links: which products are the same, decided from everybody's statements.

What it decides is a function of the set of live statements. A pair that a statement accepts lives while both of its
match versions are the newest that any statement names, and while neither product is deleted; of a pair that several
statements accept the one with the smallest catalogue offset counts. When the catalogue was rebuilt with another
encoder each product is looked up once more, and what it says then holds in the place of what it said before. Neither
the order of statements nor repeats of them matter.

Two steps. Certain pairs (a code or GTIN names both by itself) make groups: within each component of certain pairs, best
pair first, two groups join when at least half of the pairs across them are certain. Likeness alone cannot tell the
third offer of a product from its other colour, so of the products that are left single the other pairs make couples,
the best pair of both first. Joining everything that some pair connects would collapse whole catalogues into one
product. Two records of one clean source never come together.

Of the other pairs more is asked where few of the products that carry a code turn out to be listed twice, see `caution`.
It moves a little with every batch, and the few pairs that this makes or breaks are decided again.

Both steps are local: a component of certain pairs is decided anew where it was touched, and a change among the couples
is followed from pair to worse pair until nothing changes any more.
"""

from __future__ import annotations

import hashlib
import heapq
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import chain
from typing import Any

from detectors.duplicates.caution import caution_of
from detectors.duplicates.score import THRESHOLD, confidence
from detectors.duplicates.statement import SAME, Candidate, Statement
from detectors.records import Version

__all__ = ["Applied", "Link", "LinkChange", "LinkOwner", "LinkStatus"]

_Rank = tuple[float, str, str]
"""Of a pair: the better one is less."""

_NEVER = -1
_OFFSET_BITS = 48
_LAST = 1 << 62
_BUCKETS = 256  # of pairs, by the caution up to which they hold


class LinkStatus(StrEnum):
    """What happened to a link."""

    MADE = "made"
    RETRACTED = "retracted"


@dataclass(frozen=True, slots=True)
class Link:
    """Two products that are the same. `later` looked up and found `earlier`.

    topic, partition: of the later one's record; its offset is `later_version.offset`. score: of the rule. doubt: what
    full caution takes from it.
    """

    later: str
    later_version: Version
    topic: str
    partition: int
    position: int
    earlier: str
    earlier_version: Version
    score: float
    similarity: float
    certain: bool
    rule: str
    reason: str
    doubt: float = 0.0

    @property
    def confidence(self) -> float:
        """Probability that the link is right."""
        return confidence(self.score, certain=self.certain)

    @property
    def id(self) -> str:
        """The id of the finding: the same whenever the same link is made or retracted."""
        name = f"{self.topic}/{self.partition}/{self.later_version.generation}/{self.later_version.offset}"
        text = f"{name}\x00{self.rule}\x00{self.earlier}"
        return hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=16).hexdigest()


@dataclass(frozen=True, slots=True)
class LinkChange:
    """A link that was made or retracted."""

    status: LinkStatus
    link: Link


@dataclass(frozen=True, slots=True)
class Applied:
    """What statements changed.

    touched: products whose `state_of` or `canonical` is another now. renewed: products whose `members` are others
    now, or of whose members something was said.
    """

    changes: Sequence[LinkChange]
    touched: frozenset[str]
    renewed: frozenset[str]


@dataclass(slots=True)
class _Product:
    """Versions as one number, see `_number`: a pair would take three objects, and there is one for every product.

    seen_as: the match version whose statement said `first_seen`.

    canonical: empty for the product itself, None where nothing is decided yet. previous: the one before.
    rebuild: the newest one after which this version was looked up again. coded: whether it carries a code or GTIN.
    counted: whether as one that carries one; twice: whether as one that has another offer for certain, too.
    """

    version: int = _NEVER
    deleted: bool = False
    first_seen: int = _LAST
    seen_as: int = _NEVER
    source: str = ""
    clean: bool = False
    canonical: str | None = None
    previous: str | None = None
    rebuild: int = 0
    coded: bool = False
    counted: bool = False
    twice: bool = False


class LinkOwner:
    """Keeps what is said of each product, and the groups that follow from it.

    threshold: from which score on statements name candidates. caution: how much more is asked, see `caution`.
    coded, twice: products that it follows from.
    """

    def __init__(self, threshold: float = THRESHOLD) -> None:
        self.threshold, self.caution = threshold, caution_of(0, 0)
        self.coded = self.twice = 0
        self._doubted: dict[int, set[tuple[str, str]]] = {}  # pairs (later, earlier) that caution decides, by bucket
        self._products: dict[str, _Product] = {}
        self._near: dict[str, dict[str, Link]] = {}  # live accepted pairs, under both products
        self._group: dict[str, set[str]] = {}  # of certain pairs; only groups of two and more
        self._mate: dict[str, tuple[_Rank, str]] = {}  # couples, under both products
        self._links: dict[str, tuple[Link, ...]] = {}  # the pairs that hold, under both products
        self._names: dict[str, str] = {}
        self._joined: dict[str, int] = {}  # how many others a product stands for
        self._loading: dict[str, list[Link]] = {}

    def __len__(self) -> int:
        """Products that were named, also those that are deleted."""
        return len(self._products)

    @property
    def clusters(self) -> int:
        """Groups and couples: products of which there are two offers or more."""
        self._settle()
        return len(self._joined)

    def identities(self) -> Iterable[str]:
        """The products that were named, in no order that means anything."""
        return self._products.keys()

    def links(self) -> list[Link]:
        """The links that hold now, in order of (later, earlier)."""
        self._settle()
        found = [link for p, held in self._links.items() for link in held if link.later == p]
        return sorted(found, key=lambda link: (link.later, link.earlier))

    def canonical(self, identity: str) -> str:
        """The product of this one's group that was seen first; itself where it has no link."""
        self._settle()
        product = self._products.get(identity)
        return product.canonical if product is not None and product.canonical else identity

    def members(self, canonical: str) -> list[str]:
        """The products that this one stands for, itself among them, in the order in which they were first seen.

        Empty where another one stands for it, and where it is deleted or was never named.
        """
        self._settle()
        product = self._products.get(canonical)
        if product is None or product.deleted or product.canonical:
            return []
        return sorted(self._together(canonical) or (canonical,), key=self._seniority)

    def rebuilt(self, identity: str) -> int:
        """The newest rebuild after which this product's match version was looked up again; 0 for none."""
        product = self._products.get(identity)
        return 0 if product is None else product.rebuild

    def _seniority(self, p: str) -> tuple[int, str]:
        return self._products[p].first_seen, p

    def apply(self, statements: Iterable[Statement]) -> Applied:
        """Take in statements and decide again what they touch."""
        self._settle()
        changed: set[str] = set()
        solve: set[str] = set()
        renewed: set[str] = set()
        for statement in statements:
            self._take(statement, changed, solve)
            renewed.add(statement.identity)
        solve |= self._reconsider(solve)
        changes = self._solve(solve, changed, renewed)
        renewed |= {canonical for p in renewed if (canonical := self._products[p].canonical)}
        return Applied(changes, frozenset(changed), frozenset(renewed))

    # -- state

    def state_of(self, identity: str) -> dict[str, Any]:
        """What is known of a product and the pairs that it said, for `load`; ready for JSON. Raises: KeyError."""
        self._settle()
        product = self._products[identity]
        state: dict[str, Any] = {
            "version": list(_version(product.version)),
            "canonical": product.canonical or identity,
            "source": product.source,
            "clean": product.clean,
            "first_seen": None if product.first_seen == _LAST else product.first_seen,
            "seen_as": list(_version(product.seen_as)),
            "pairs": [_packed(k) for _, k in sorted(self._near.get(identity, {}).items()) if k.later == identity],
        }
        if product.deleted:
            state["deleted"] = True
        if product.previous is not None:
            state["previous"] = product.previous
        if product.rebuild:
            state["rebuild"] = product.rebuild
        if product.coded:
            state["coded"] = True
        return state

    def load(self, identity: str, state: Mapping[str, Any]) -> None:
        """Take back what `state_of` gave, in any order of products, before the first `apply`; the last one holds.

        Raises: ValueError, KeyError or TypeError for a state that is none.
        """
        version = Version(*state["version"])
        first_seen = _LAST if state["first_seen"] is None else int(state["first_seen"])
        deleted = bool(state.get("deleted", False))
        canonical = state["canonical"]
        number, seen_as = _number(version), _number(Version(*state.get("seen_as", version)))
        product = _Product(
            number,
            deleted,
            first_seen,
            number if seen_as == number else seen_as,
            self._shared(state["source"]),
            state["clean"],
            "" if canonical == identity else canonical,
            state.get("previous"),
            int(state.get("rebuild", 0)),
            bool(state.get("coded", False)),
        )
        pairs = [
            Link(
                later=identity,
                later_version=version,
                topic=self._shared(topic),
                partition=partition,
                position=position,
                earlier=other,
                earlier_version=Version(*other_version),
                score=score,
                similarity=similarity,
                certain=sure,
                rule=self._shared(rule),
                reason=why,
                doubt=float(more[0]) if more else 0.0,
            )
            for topic, partition, position, other, other_version, score, similarity, sure, rule, why, *more in state[
                "pairs"
            ]
        ]
        self.forget(identity)
        self._products[identity] = product
        self._counts(product, coded=product.coded and not deleted, twice=False)
        if pairs or product.canonical:
            self._loading[identity] = pairs

    def forget(self, identity: str) -> None:
        """Take back what was loaded of a product, before the first `apply`."""
        product = self._products.pop(identity, None)
        if product is not None:
            self._counts(product, coded=False, twice=False)
        self._loading.pop(identity, None)

    def _shared(self, text: str) -> str:
        """One object for a name that every product repeats."""
        return self._names.setdefault(text, text)

    def _settle(self) -> None:
        """Decide over what was loaded; its links are known to the world already."""
        if not self._loading:
            return
        loaded, self._loading = self._loading, {}
        touched: set[str] = set()
        self._joined = {}
        for identity in loaded:
            if canonical := self._products[identity].canonical:
                self._joined[canonical] = self._joined.get(canonical, 0) + 1
                touched.add(identity)  # who stood for it may be lost
        for link in chain.from_iterable(loaded.values()):
            later, earlier = self._products[link.later], self._products.get(link.earlier)
            if earlier is None or later.deleted or earlier.deleted:
                continue
            if (_number(link.later_version), _number(link.earlier_version)) == (later.version, earlier.version):
                self._say(link, touched, touched)
        self._reconsider(touched)
        self._solve(touched, set(), set())

    # -- statements

    def _take(self, s: Statement, changed: set[str], solve: set[str]) -> None:
        version = _number(s.match_version)
        self._bump(s.identity, version, changed, solve)
        product = self._products[s.identity]
        if version == product.version:
            if s.rebuild > product.rebuild:
                self._unsay(s.identity, changed, solve)
                product.rebuild = s.rebuild
                changed.add(s.identity)
            about = (s.deleted, s.source, s.clean)
            if s.deleted and not product.deleted:
                self._cut(s.identity, changed, solve)
            if about != (product.deleted, product.source, product.clean) and not product.deleted:
                product.deleted, product.source, product.clean = s.deleted, self._shared(s.source), s.clean
                changed.add(s.identity)
                solve.add(s.identity)
            if s.coded is not None and s.coded != product.coded:
                product.coded = s.coded
                changed.add(s.identity)
                solve.add(s.identity)
        # Whoever comes back after a deletion begins anew; within one life all versions say the same.
        if not s.deleted and (version, -s.first_seen) > (product.seen_as, -product.first_seen):
            if version > product.seen_as:
                product.seen_as = version
                changed.add(s.identity)
            product.first_seen = s.first_seen
            changed.add(s.identity)
            solve.add(s.identity)
        for c in s.candidates:
            if c.relation != SAME:  # a variant is told, and never linked
                continue
            theirs = _number(c.match_version)
            self._bump(c.identity, theirs, changed, solve)
            other = self._products[c.identity]
            if version != product.version or theirs != other.version or s.rebuild < product.rebuild:
                continue
            if product.deleted or other.deleted or s.identity == c.identity:
                continue
            link = Link(
                s.identity,
                s.match_version,
                self._shared(s.topic),
                s.partition,
                s.position,
                c.identity,
                c.match_version,
                c.score,
                c.similarity,
                c.certain,
                self._shared(c.rule),
                c.reason,
                c.doubt,
            )
            self._say(link, changed, solve)

    def _say(self, link: Link, changed: set[str], solve: set[str]) -> None:
        known = self._near.get(link.later, {}).get(link.earlier)
        if known is not None and self._precedence(known) <= self._precedence(link):
            return
        if known is not None:
            self._forget_doubt(known)
        if link.doubt:
            self._bucket(link).add((link.later, link.earlier))
        self._near.setdefault(link.later, {})[link.earlier] = link
        self._near.setdefault(link.earlier, {})[link.later] = link
        changed.add(link.later)  # whose state holds the pair: a product that everybody names is not written each time
        if known is not None:
            changed.add(known.later)
        solve.update((link.later, link.earlier))

    def _precedence(self, link: Link) -> tuple[int, int, str, float, float]:
        """Of two statements that accept a pair, the one that counts is less."""
        return -self._products[link.later].rebuild, link.position, link.later, -link.score, link.doubt

    def _bump(self, identity: str, version: int, changed: set[str], solve: set[str]) -> None:
        product = self._products.get(identity)
        if product is None:
            product = self._products[identity] = _Product()
        if version > product.version:
            self._cut(identity, changed, solve)
            product.version, product.deleted, product.rebuild, product.coded = version, False, 0, False
            changed.add(identity)
            solve.add(identity)

    def _unsay(self, identity: str, changed: set[str], solve: set[str]) -> None:
        """Take back the pairs that a product said itself."""
        for other, link in list(self._near.get(identity, {}).items()):
            if link.later == identity:
                self._forget_doubt(link)
                del self._near[identity][other], self._near[other][identity]
                solve.update((identity, other))

    def _cut(self, identity: str, changed: set[str], solve: set[str]) -> None:
        for other, link in self._near.pop(identity, {}).items():
            self._forget_doubt(link)
            del self._near[other][identity]
            changed.add(link.later)
            solve.update((identity, other))

    # -- caution

    def _counts(self, product: _Product, *, coded: bool, twice: bool) -> None:
        self.coded += coded - product.counted
        self.twice += twice - product.twice
        product.counted, product.twice = coded, twice

    def _reconsider(self, touched: Iterable[str]) -> set[str]:
        """Count what was touched, and choose the caution anew; returns the products of pairs that this may decide."""
        for p in touched:
            product = self._products[p]
            coded = product.coded and not product.deleted
            twice = coded and any(link.certain for link in self._near.get(p, {}).values())
            self._counts(product, coded=coded, twice=twice)
        before, self.caution = self.caution, caution_of(self.coded, self.twice)
        if self.caution == before:
            return set()
        least, most = sorted((before, self.caution))
        buckets = range(int(least * _BUCKETS), int(most * _BUCKETS) + 1)
        return {
            p
            for bucket in buckets
            for later, earlier in self._doubted.get(bucket, ())
            if least <= self._bearable(self._near[later][earlier]) <= most
            for p in (later, earlier)
        }

    def holds(self, pair: Link | Candidate) -> bool:
        """Whether a pair is likely enough with the caution of now."""
        return not pair.doubt or self.caution <= self._bearable(pair)

    def _bearable(self, pair: Link | Candidate) -> float:
        """The caution up to which a doubted pair holds."""
        return (pair.score - self.threshold) / pair.doubt

    def _forget_doubt(self, link: Link) -> None:
        if link.doubt:
            self._bucket(link).discard((link.later, link.earlier))

    def _bucket(self, link: Link) -> set[tuple[str, str]]:
        """The doubted pairs that hold up to about the same caution as this one."""
        return self._doubted.setdefault(min(_BUCKETS, int(self._bearable(link) * _BUCKETS)), set())

    # -- groups

    def _solve(self, touched: set[str], changed: set[str], renewed: set[str]) -> list[LinkChange]:
        """Decide what was touched. Whoever got or lost a pair, or whose source or first sight changed, is touched."""
        groups = self._regroup(touched)
        moved = touched | groups | self._recouple(touched | groups)
        changes: list[LinkChange] = []
        moved |= {partner for p in moved for partner in self._together(p)}
        foremost: dict[int, str] = {}  # of a group, by which object it is
        for p in sorted(moved):
            together = self._together(p)
            canonical = foremost.get(id(together))
            if canonical is None:
                canonical = min(together, key=self._seniority, default=p)
                if p in self._group:
                    foremost[id(together)] = canonical
            product, now_called = self._products[p], "" if canonical == p else canonical
            if product.canonical != now_called:
                self._rename(p, product, now_called)
                changed.add(p)
                renewed.update((product.previous or p, canonical))
            near = self._near.get(p, {})
            now = {q: near[q] for q in together if q in near}
            before = {(k.earlier if k.later == p else k.later): k for k in self._links.get(p, ())}
            if now == before:
                continue
            if now:
                self._links[p] = tuple(now.values())
            else:
                del self._links[p]
            for status, these, those in ((LinkStatus.RETRACTED, before, now), (LinkStatus.MADE, now, before)):
                changes += [
                    LinkChange(status, k)
                    for q, k in these.items()
                    if k.later == p and (q not in those or (those[q] is not k and those[q].id != k.id))
                ]
        return sorted(changes, key=lambda c: (c.link.later, c.link.earlier, c.status is LinkStatus.MADE))

    def _rename(self, p: str, product: _Product, canonical: str) -> None:
        """Note the product that stands for this one now; empty for itself."""
        if former := product.canonical:
            self._joined[former] -= 1
            if not self._joined[former]:
                del self._joined[former]
        if canonical:
            self._joined[canonical] = self._joined.get(canonical, 0) + 1
        if product.canonical is not None:
            product.previous = product.canonical or p
        product.canonical = canonical

    def _together(self, p: str) -> Collection[str]:
        """The products that are the same as this one, itself among them; none where it is alone."""
        if p in self._group:
            return self._group[p]
        return (p, self._mate[p][1]) if p in self._mate else ()

    # groups of certain pairs

    def _regroup(self, touched: set[str]) -> set[str]:
        """Decide the components of certain pairs around what was touched; returns whose group changed."""
        seen: set[str] = set()
        moved: set[str] = set()
        for start in sorted(touched):
            if start in seen:
                continue
            component = self._component(start)
            seen |= component
            groups = self._groups(component)
            for group in groups:
                for p in group:
                    before = self._group.get(p, {p})
                    if before != group:
                        moved |= before | {p}
            for group in groups:
                for p in group:
                    if len(group) > 1:
                        self._group[p] = group
                    else:
                        self._group.pop(p, None)
        return moved

    def _component(self, start: str) -> set[str]:
        component, todo = {start}, [start]
        while todo:
            for q, link in self._near.get(todo.pop(), {}).items():
                if link.certain and q not in component:
                    component.add(q)
                    todo.append(q)
        return component

    def _groups(self, component: set[str]) -> list[set[str]]:
        if len(component) == 1:
            return [component]
        group = {p: {p} for p in component}
        pairs = [_rank(k) for x in component for k in self._near[x].values() if k.certain and k.later == x]
        for _, p, q in sorted(pairs):
            a, b = group[p], group[q]
            if a is not b and self._may_join(a, b):
                a |= b
                for x in b:
                    group[x] = a
        return list({id(g): g for g in group.values()}.values())

    def _may_join(self, a: set[str], b: set[str]) -> bool:
        clean = {self._products[p].source for p in a if self._products[p].clean}
        if clean and any(self._products[p].clean and self._products[p].source in clean for p in b):
            return False
        if len(b) < len(a):
            a, b = b, a
        return 2 * sum(k.certain for p in a for q, k in self._near[p].items() if q in b) >= len(a) * len(b)

    # couples of the single

    def _recouple(self, touched: set[str]) -> set[str]:
        """Greedy matching of the single products, kept up to date; returns whose mate changed.

        A pair is a couple unless a better pair of one of the two is. Pairs are looked at from the best to the worst,
        and a change only opens worse ones, so each is decided when its turn comes.
        """
        moved: set[str] = set()
        queue: list[_Rank] = []

        def part(rank: _Rank) -> None:
            _, p, q = rank
            del self._mate[p], self._mate[q]
            moved.update((p, q))

        def open_pairs(p: str, worse_than: _Rank | None = None) -> None:
            mate = self._mate[p][1] if p in self._mate else None
            for q, k in self._near.get(p, {}).items():
                if q != mate and (p in self._group or q in self._group):
                    continue  # no couple, and none to be
                if not self.holds(k):
                    continue
                rank = _rank(k)
                if worse_than is None or rank > worse_than:
                    heapq.heappush(queue, rank)

        for p in sorted(touched):
            if p in self._mate:
                rank, q = self._mate[p]
                link = self._near.get(p, {}).get(q)
                if link is None or _rank(link) != rank or not self.holds(link):
                    part(rank)
            open_pairs(p)
        last: _Rank | None = None
        while queue:
            rank = heapq.heappop(queue)
            if rank == last:
                continue
            last = rank
            _, p, q = rank
            mates = [self._mate[x][0] for x in (p, q) if x in self._mate]
            is_couple = rank in mates
            if self._may_couple(p, q) and all(other >= rank for other in mates):
                if is_couple:
                    continue
                for other in mates:
                    part(other)
                    for x in other[1:]:
                        open_pairs(x, other)
                self._mate[p], self._mate[q] = (rank, q), (rank, p)
                moved.update((p, q))
            elif is_couple:
                part(rank)
                open_pairs(p, rank)
                open_pairs(q, rank)
        return moved

    def _may_couple(self, p: str, q: str) -> bool:
        if p in self._group or q in self._group:
            return False
        a, b = self._products[p], self._products[q]
        return not (a.clean and b.clean and a.source == b.source)


def _number(version: Version) -> int:
    """A version as a number, in the same order."""
    return version.generation << _OFFSET_BITS | version.offset


def _version(number: int) -> Version:
    if number < 0:
        return Version(-1, -1)
    return Version(number >> _OFFSET_BITS, number & ((1 << _OFFSET_BITS) - 1))


def _rank(link: Link) -> _Rank:
    a, b = link.later, link.earlier
    return (-link.score, a, b) if a < b else (-link.score, b, a)


def _packed(k: Link) -> list[Any]:
    place = [k.topic, k.partition, k.position]
    return [*place, k.earlier, list(k.earlier_version), k.score, k.similarity, k.certain, k.rule, k.reason, k.doubt]
