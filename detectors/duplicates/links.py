"""The owner of links: which products are the same, decided from everybody's statements.

What it decides is a function of the set of live statements. A pair that a statement accepts lives while both of its
match versions are the newest that any statement names, and while neither product is deleted; of a pair that several
statements accept the one with the smallest catalogue offset counts. Neither the order of statements nor repeats of
them matter. Groups are decided anew for each component of live pairs that was touched.

Within a component the pairs are taken best first. Two single products join by any accepted pair; larger groups join
when at least half of the pairs across them are certain (a code or GTIN names both by itself). Joining everything that
some pair connects would collapse whole catalogues into one product, and likeness alone cannot tell the third offer of
a product from its other colour. Two records of one clean source never come together.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from detectors.duplicates.rule import confidence
from detectors.duplicates.statement import Statement
from detectors.records import Version

__all__ = ["Applied", "Link", "LinkChange", "LinkOwner", "LinkStatus"]

_NEVER = Version(-1, -1)
_LAST = 1 << 62


class LinkStatus(StrEnum):
    """What happened to a link."""

    MADE = "made"
    RETRACTED = "retracted"


@dataclass(frozen=True, slots=True)
class Link:
    """Two products that are the same. `later` looked up and found `earlier`.

    topic, partition: of the later one's record; its offset is `later_version.offset`. score: of the rule.
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

    @property
    def confidence(self) -> float:
        """Probability that the link is right."""
        return confidence(self.score)

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
    """What statements changed: links, and the products whose `state_of` or `canonical` is another now."""

    changes: Sequence[LinkChange]
    touched: frozenset[str]


@dataclass(slots=True)
class _Product:
    version: Version = _NEVER
    deleted: bool = False
    first_seen: int = _LAST
    source: str = ""
    clean: bool = False
    canonical: str = ""


class LinkOwner:
    """Keeps what is said of each product, and the groups that follow from it."""

    def __init__(self) -> None:
        self._products: dict[str, _Product] = {}
        self._near: dict[str, dict[str, Link]] = {}  # live accepted pairs, under both products
        self._links: dict[str, dict[str, Link]] = {}  # those of them that hold, under both products
        self._loading: list[Link] = []

    def links(self) -> list[Link]:
        """The links that hold now, in order of (later, earlier)."""
        self._settle()
        found = [link for p, others in self._links.items() for link in others.values() if link.later == p]
        return sorted(found, key=lambda link: (link.later, link.earlier))

    def canonical(self, identity: str) -> str:
        """The product of this one's group that was seen first; itself where it has no link."""
        self._settle()
        product = self._products.get(identity)
        return product.canonical if product is not None and product.canonical else identity

    def apply(self, statements: Iterable[Statement]) -> Applied:
        """Take in statements and decide again what they touch."""
        self._settle()
        changed: set[str] = set()
        solve: set[str] = set()
        for statement in statements:
            self._take(statement, changed, solve)
        return Applied(self._solve(solve, changed), frozenset(changed))

    # -- state

    def state_of(self, identity: str) -> dict[str, Any]:
        """What is known of a product and the pairs that it said, for `load`; ready for JSON. Raises: KeyError."""
        self._settle()
        product = self._products[identity]
        state: dict[str, Any] = {
            "version": list(product.version),
            "canonical": product.canonical or identity,
            "source": product.source,
            "clean": product.clean,
            "first_seen": None if product.first_seen == _LAST else product.first_seen,
            "pairs": [_packed(k) for _, k in sorted(self._near.get(identity, {}).items()) if k.later == identity],
        }
        if product.deleted:
            state["deleted"] = True
        return state

    def load(self, identity: str, state: Mapping[str, Any]) -> None:
        """Take back what `state_of` gave, in any order of products, before the first `apply`.

        Raises: ValueError, KeyError or TypeError for a state that is none.
        """
        version = Version(*state["version"])
        first_seen = _LAST if state["first_seen"] is None else int(state["first_seen"])
        deleted = bool(state.get("deleted", False))
        self._products[identity] = _Product(
            version, deleted, first_seen, state["source"], state["clean"], state["canonical"]
        )
        for topic, partition, position, other, other_version, score, similarity, sure, rule, why in state["pairs"]:
            self._loading.append(
                Link(
                    later=identity,
                    later_version=version,
                    topic=topic,
                    partition=partition,
                    position=position,
                    earlier=other,
                    earlier_version=Version(*other_version),
                    score=score,
                    similarity=similarity,
                    certain=sure,
                    rule=rule,
                    reason=why,
                )
            )

    def _settle(self) -> None:
        """Decide over what was loaded; its links are known to the world already."""
        if not self._loading:
            return
        pairs, self._loading = self._loading, []
        touched: set[str] = set()
        for link in pairs:
            later, earlier = self._products[link.later], self._products.get(link.earlier)
            if earlier is None or later.deleted or earlier.deleted:
                continue
            if (link.later_version, link.earlier_version) == (later.version, earlier.version):
                self._say(link, touched, touched)
        self._solve(touched, set())

    # -- statements

    def _take(self, s: Statement, changed: set[str], solve: set[str]) -> None:
        self._bump(s.identity, s.match_version, changed, solve)
        product = self._products[s.identity]
        if s.match_version == product.version:
            about = (s.deleted, s.source, s.clean)
            if s.deleted and not product.deleted:
                self._cut(s.identity, changed, solve)
            if about != (product.deleted, product.source, product.clean) and not product.deleted:
                product.deleted, product.source, product.clean = about
                changed.add(s.identity)
                solve.add(s.identity)
        if not s.deleted and s.first_seen < product.first_seen:
            product.first_seen = s.first_seen
            changed.add(s.identity)
            solve.add(s.identity)
        for c in s.candidates:
            self._bump(c.identity, c.match_version, changed, solve)
            other = self._products[c.identity]
            if s.match_version != product.version or c.match_version != other.version:
                continue
            if product.deleted or other.deleted or s.identity == c.identity:
                continue
            link = Link(
                s.identity,
                s.match_version,
                s.topic,
                s.partition,
                s.position,
                c.identity,
                c.match_version,
                c.score,
                c.similarity,
                c.certain,
                c.rule,
                c.reason,
            )
            self._say(link, changed, solve)

    def _say(self, link: Link, changed: set[str], solve: set[str]) -> None:
        known = self._near.get(link.later, {}).get(link.earlier)
        if known is not None and _precedence(known) <= _precedence(link):
            return
        self._near.setdefault(link.later, {})[link.earlier] = link
        self._near.setdefault(link.earlier, {})[link.later] = link
        changed.update((link.later, link.earlier))
        solve.update((link.later, link.earlier))

    def _bump(self, identity: str, version: Version, changed: set[str], solve: set[str]) -> None:
        product = self._products.get(identity)
        if product is None:
            product = self._products[identity] = _Product()
        if version > product.version:
            self._cut(identity, changed, solve)
            product.version, product.deleted = version, False
            changed.add(identity)
            solve.add(identity)

    def _cut(self, identity: str, changed: set[str], solve: set[str]) -> None:
        for other in self._near.pop(identity, {}):
            del self._near[other][identity]
            changed.add(other)
            solve.update((identity, other))

    # -- groups

    def _solve(self, touched: set[str], changed: set[str]) -> list[LinkChange]:
        """Decide the components around what was touched. Whoever lost a pair is among the touched."""
        seen: set[str] = set()
        changes: list[LinkChange] = []
        for start in sorted(touched):
            if start in seen:
                continue
            component = self._component(start)
            seen |= component
            for group in self._groups(component):
                canonical = min(group, key=lambda p: (self._products[p].first_seen, p))
                for p in group:
                    if self._products[p].canonical != canonical:
                        self._products[p].canonical = canonical
                        changed.add(p)
                    now = {q: k for q, k in self._near.get(p, {}).items() if q in group}
                    before = self._links.get(p, {})
                    if now == before:
                        continue
                    if now:
                        self._links[p] = now
                    else:
                        del self._links[p]
                    changes += [
                        LinkChange(LinkStatus.RETRACTED, k)
                        for q, k in before.items()
                        if p == k.later and (q not in now or now[q].id != k.id)
                    ]
                    changes += [
                        LinkChange(LinkStatus.MADE, k)
                        for q, k in now.items()
                        if p == k.later and (q not in before or before[q].id != k.id)
                    ]
        return sorted(changes, key=lambda c: (c.link.later, c.link.earlier, c.status is LinkStatus.MADE))

    def _component(self, start: str) -> set[str]:
        component, todo = {start}, [start]
        while todo:
            for q in self._near.get(todo.pop(), ()):
                if q not in component:
                    component.add(q)
                    todo.append(q)
        return component

    def _groups(self, component: set[str]) -> Iterable[set[str]]:
        if len(component) == 1:
            return [component]
        group = {p: {p} for p in component}
        pairs = sorted((-k.score, p, q) for p in component for q, k in self._near[p].items() if p < q)
        for _, p, q in pairs:
            a, b = group[p], group[q]
            if a is not b and self._may_join(a, b):
                a |= b
                for x in b:
                    group[x] = a
        return {id(g): g for g in group.values()}.values()

    def _may_join(self, a: set[str], b: set[str]) -> bool:
        clean = {self._products[p].source for p in a if self._products[p].clean}
        if clean and any(self._products[p].clean and self._products[p].source in clean for p in b):
            return False
        across = len(a) * len(b)
        if across == 1:
            return True
        if len(b) < len(a):
            a, b = b, a
        return 2 * sum(k.certain for p in a for q, k in self._near[p].items() if q in b) >= across


def _precedence(link: Link) -> tuple[int, str, float]:
    return link.position, link.later, -link.score


def _packed(k: Link) -> list[Any]:
    place = [k.topic, k.partition, k.position]
    return [*place, k.earlier, list(k.earlier_version), k.score, k.similarity, k.certain, k.rule, k.reason]
