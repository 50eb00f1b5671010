from __future__ import annotations

import itertools
import random
from collections.abc import Sequence

import orjson
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors.duplicates.entry import Entry
from detectors.duplicates.links import LinkOwner, LinkStatus
from detectors.duplicates.statement import Candidate, Statement, update
from detectors.records import Facts, Version


def say(
    identity: str,
    offset: int,
    *candidates: tuple[str, int, float] | tuple[str, int, float, bool],
    clean: bool = False,
    deleted: bool = False,
    position: int | None = None,
) -> Statement:
    return Statement(
        identity=identity,
        topic="products",
        partition=0,
        version=Version(0, offset),
        match_version=Version(0, offset),
        position=offset if position is None else position,
        first_seen=offset,
        source=identity.split("/")[0],
        clean=clean,
        candidates=tuple(
            Candidate(c[0], Version(0, c[1]), c[2], 0.8, c[3] if len(c) > 3 else False, "duplicate.near", "same title")
            for c in candidates
        ),
        deleted=deleted,
    )


def pairs(owner: LinkOwner) -> set[tuple[str, str]]:
    return {(link.earlier, link.later) for link in owner.links()}


def test_a_link_is_made_and_retracted_under_one_id() -> None:
    owner = LinkOwner()
    owner.apply([say("a/1", 1)])
    applied = owner.apply([say("b/1", 2, ("a/1", 1, 1.0))])
    (made,) = applied.changes
    assert (made.status, made.link.later, made.link.earlier) == (LinkStatus.MADE, "b/1", "a/1")
    assert made.link.reason == "same title"
    assert made.link.confidence == 0.79
    assert applied.touched == {"b/1"}, "what is known of a/1 is what it was"
    assert (owner.canonical("b/1"), owner.canonical("a/1"), owner.canonical("c/9")) == ("a/1", "a/1", "c/9")
    assert owner.apply([say("b/1", 2, ("a/1", 1, 1.0))]).changes == []
    (retracted,) = owner.apply([say("a/1", 3)]).changes
    assert (retracted.status, retracted.link.id) == (LinkStatus.RETRACTED, made.link.id)
    assert owner.canonical("b/1") == "b/1"


def test_a_better_match_takes_an_uncertain_one_away() -> None:
    owner = LinkOwner()
    owner.apply([say("a/1", 1), say("b/1", 2, ("a/1", 1, 0.5))])
    changes = owner.apply([say("c/1", 3, ("a/1", 1, 2.0))]).changes
    assert [(c.status, c.link.later) for c in changes] == [(LinkStatus.RETRACTED, "b/1"), (LinkStatus.MADE, "c/1")]


def test_several_offers_of_one_product_come_together() -> None:
    owner = LinkOwner()
    offers = [f"s{i}/1" for i in range(5)]
    for n, offer in enumerate(offers):
        owner.apply([say(offer, n, *((offers[j], j, 3.0, True) for j in range(n)))])
    assert pairs(owner) == set(itertools.combinations(offers, 2))
    assert {owner.canonical(offer) for offer in offers} == {"s0/1"}


def test_a_chain_does_not_collapse() -> None:
    """Each product is like the next one: pairs, not one product."""
    owner = LinkOwner()
    chain = [say(f"s/{i:03}", i, *([(f"s/{i - 1:03}", i - 1, 1.0 + i % 2, True)] if i else [])) for i in range(100)]
    owner.apply(chain)
    groups = {owner.canonical(s.identity) for s in chain}
    assert len(groups) >= 25


def test_clean_sources_have_one_match_each() -> None:
    owner = LinkOwner()
    owner.apply([say("a/1", 1, clean=True), say("b/1", 2, ("a/1", 1, 2.0, True), clean=True)])
    owner.apply([say("b/2", 3, ("a/1", 1, 3.0, True), clean=True), say("c/1", 4, ("a/1", 1, 3.5, True), clean=True)])
    assert pairs(owner) == {("a/1", "b/2"), ("a/1", "c/1")} or pairs(owner) == {("a/1", "c/1")}
    assert ("a/1", "b/1") not in pairs(owner)


def test_a_deleted_offer_leaves_and_may_return() -> None:
    owner = LinkOwner()
    owner.apply([say("a/1", 1), say("b/1", 2, ("a/1", 1, 1.0))])
    (change,) = owner.apply([say("a/1", 5, deleted=True)]).changes
    assert change.status is LinkStatus.RETRACTED
    assert owner.apply([say("b/1", 2, ("a/1", 1, 1.0))]).changes == []
    (change,) = owner.apply([say("a/1", 7, ("b/1", 2, 1.0))]).changes
    assert (change.status, change.link.later) == (LinkStatus.MADE, "a/1")


def _random_statements(seed: int) -> list[Statement]:
    rng = random.Random(seed)
    said, newest = [], {}
    for offset in range(40):
        identity = f"{rng.choice('abc')}/{rng.randrange(6)}"
        before = sorted((q, v) for q, v in newest.items() if q != identity)
        near = rng.sample(before, min(len(before), rng.randrange(4)))
        if rng.random() < 0.1:
            said.append(say(identity, offset, deleted=True))
        else:
            found = [(q, v, round(rng.uniform(-1, 4), 1), rng.random() < 0.6) for q, v in near]
            said.append(say(identity, offset, *found, clean=identity[0] == "c"))
        newest[identity] = offset
    return said


def _state(owner: LinkOwner, said: Sequence[Statement]) -> dict[str, object]:
    return {s.identity: _settled(owner, s.identity) for s in said}


def _settled(owner: LinkOwner, identity: str) -> dict[str, object]:
    """What does not depend on the way there: the canonical identity before the last change does."""
    return {name: value for name, value in owner.state_of(identity).items() if name != "previous"}


@settings(deadline=None, max_examples=150)
@given(st.integers(0, 10**6), st.randoms(use_true_random=False))
def test_order_and_repeats_do_not_matter(seed: int, rng: random.Random) -> None:
    said = _random_statements(seed)
    straight = LinkOwner()
    straight.apply(said)
    shuffled = said + rng.sample(said, 10)
    rng.shuffle(shuffled)
    other = LinkOwner()
    world: dict[str, object] = {}
    mapping: dict[str, object] = {}
    groups: dict[str, list[str]] = {}
    while shuffled:
        n = rng.randint(1, 8)
        applied = other.apply(shuffled[:n])
        shuffled = shuffled[n:]
        for change in applied.changes:
            if change.status is LinkStatus.MADE:
                assert change.link.id not in world
                world[change.link.id] = change.link
            else:
                del world[change.link.id]
        mapping |= {p: _settled(other, p) for p in applied.touched}
        groups |= {p: other.members(p) for p in applied.renewed}
    assert other.links() == straight.links()
    assert set(world) == {link.id for link in straight.links()}  # what was told adds up to what holds
    assert _state(other, said) == _state(straight, said)
    assert mapping == {p: _settled(straight, p) for p in mapping}  # and so does what was written down
    assert groups == {p: straight.members(p) for p in straight.identities()}
    together = {p: group for p, group in groups.items() if group}
    assert sorted(p for group in together.values() for p in group) == sorted(
        p for p in straight.identities() if not straight.state_of(p).get("deleted")
    )
    assert all(straight.canonical(p) == canonical for canonical, group in together.items() for p in group)
    assert other.clusters == straight.clusters == sum(len(group) > 1 for group in together.values())


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 10**6), st.randoms(use_true_random=False))
def test_a_new_owner_goes_on_where_the_former_one_was(seed: int, rng: random.Random) -> None:
    said = _random_statements(seed)
    cut = rng.randrange(len(said))
    former = LinkOwner()
    former.apply(said[:cut])
    states = [(s.identity, orjson.dumps(former.state_of(s.identity))) for s in said[:cut]]
    rng.shuffle(states)
    successor = LinkOwner()
    for identity, state in states:
        successor.load(identity, orjson.loads(state))
    assert successor.links() == former.links()
    assert successor.clusters == former.clusters
    assert successor.apply(said[max(0, cut - 5) :]).changes == former.apply(said[max(0, cut - 5) :]).changes
    assert _state(successor, said) == _state(former, said)


def test_a_mapping_that_lost_a_product_holds_without_it() -> None:
    former = LinkOwner()
    former.apply([say("a/1", 1), say("b/1", 2, ("a/1", 1, 1.0))])
    assert former.members("a/1") == ["a/1", "b/1"]
    successor = LinkOwner()
    successor.load("a/1", former.state_of("a/1"))
    successor.load("b/1", former.state_of("b/1"))
    successor.forget("a/1")
    assert (successor.canonical("b/1"), successor.members("b/1"), successor.clusters) == ("b/1", ["b/1"], 0)


def test_who_comes_back_is_first_seen_then() -> None:
    owner = LinkOwner()
    owner.apply([say("a/1", 1), say("b/1", 2, ("a/1", 1, 1.0))])
    owner.apply([say("a/1", 5, deleted=True), say("a/1", 7, ("b/1", 2, 1.0))])
    assert owner.members("b/1") == ["b/1", "a/1"]
    assert (owner.canonical("a/1"), owner.state_of("a/1")["previous"]) == ("b/1", "a/1")
    owner.apply([say("b/1", 9, deleted=True)])
    assert (owner.members("b/1"), owner.members("a/1")) == ([], ["a/1"])
    assert owner.state_of("a/1")["previous"] == "b/1"


def test_a_new_price_changes_no_link_but_is_told() -> None:
    owner = LinkOwner()
    owner.apply([say("a/1", 1), say("b/1", 2, ("a/1", 1, 1.0))])
    facts = Facts("b/1", price=3.0, first_seen=2)
    entry = Entry("b/1", "products", 0, Version(0, 8), match_version=Version(0, 2), facts=facts)
    applied = owner.apply([update(entry, 8, clean=False)])
    assert (applied.changes, applied.touched, applied.renewed) == ([], frozenset(), {"a/1", "b/1"})
