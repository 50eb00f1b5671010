from __future__ import annotations

import random
from dataclasses import replace

import orjson

from detectors.duplicates.candidates import statements
from detectors.duplicates.links import LinkOwner
from detectors.duplicates.statement import SAME, VARIANT, Candidate, Statement, decode_statement, encode_statement
from detectors.duplicates.view import CatalogueView
from detectors.records import Version
from tests.detectors.duplicates.offers import apply, deleted, entry, log_of, new_view

ONE = Version(0, 1)


def _statement() -> Statement:
    same = Candidate("a/1", ONE, 2.5, 0.9, True, "duplicate.near", "same title", SAME, doubt=1.125)
    variant = Candidate("a/2", ONE, -2.5, 0.8, False, VARIANT, "differ in blue against black", VARIANT)
    return Statement("b/1", "products", 0, ONE, ONE, 7, 5, "b", False, (same, variant), coded=True)


def test_variants_travel_apart() -> None:
    statement = _statement()
    key, value = encode_statement(statement)
    assert decode_statement(key, value) == statement
    body = orjson.loads(value)
    assert [c[0] for c in body["candidates"]] == ["a/1"]
    del body["variants"]
    assert decode_statement(key, orjson.dumps(body)).candidates == statement.candidates[:1]


def test_no_link_follows_from_a_variant() -> None:
    statement = _statement()
    owner = LinkOwner()
    others = [replace(statement, identity=i, source="a", position=1, candidates=()) for i in ("a/1", "a/2")]
    owner.apply([*others, statement])
    assert [(link.later, link.earlier) for link in owner.links()] == [("b/1", "a/1")]


def _across_a_switch(seed: int) -> tuple[CatalogueView, list[str], int]:
    """A catalogue of offers with words in common, of which all came before another epoch held; and the log's end."""
    rng = random.Random(seed)
    kinds = ["alpha", "bravo", "carbon", "delta", "echo", "fox", "golf", "hotel", "india", "jazz", "kilo", "lima"]
    made = []
    for i in range(120):
        words = random.Random(seed * 999 + i % 40).choices(kinds, k=5)
        words[rng.randrange(5)] = rng.choice(kinds)
        made.append(entry(f"s{i % 3}/{i}", i, "Sony " + " ".join(words), 20.0 + i % 5))
    log = log_of(made)
    epoch = apply(new_view(), log[:80]).make_epoch(margin=0)
    log += log_of([replace(epoch, switch_at=0)], start=len(log))
    view = apply(new_view(), log)
    assert view.epoch.number == 1
    return view, [e.identity for e in made], log[-1].offset + 1


def test_what_is_said_anew_after_a_new_price_is_weighed_by_the_epoch_of_the_search() -> None:
    view, identities, end = _across_a_switch(3)
    before = statements(view, view.search(identities, as_matched=True))
    assert sum(len(s.candidates) for s in before) > 100
    prices = []
    for n, identity in enumerate(identities):
        known = view.entry(identity)
        assert known is not None
        prices.append(replace(known, version=Version(0, 1000 + n), facts=replace(known.facts, price=21.0)))
    apply(view, log_of(prices, start=end))
    after = statements(view, view.search(identities, as_matched=True))
    linked = [[[(c.identity, c.score) for c in s.candidates] for s in said] for said in (before, after)]
    assert linked[0] == linked[1]


def test_a_search_by_the_newest_epoch_is_weighed_by_it_as_well() -> None:
    view, identities, end = _across_a_switch(4)
    before = statements(view, view.search(identities, as_matched=True, newest_epoch=True))
    assert before != statements(view, view.search(identities, as_matched=True))
    view.apply([], end + 100_000)  # what held before is forgotten
    assert before == statements(view, view.search(identities, as_matched=True, newest_epoch=True))


def test_each_product_that_is_there_gets_a_statement_and_a_deleted_one_its_end() -> None:
    view = apply(
        new_view(),
        log_of(
            [
                entry("a/1", 1, "Sony PS-LX350H turntable", 399.0, first_seen=11),
                entry("b/1", 2, "Sony PS-LX350H turntable", 379.95, first_seen=22),
                entry("c/1", 3, "garden hose reel", 20.0, first_seen=33),
                entry("d/1", 4, "wolf hand puppet", 9.0),
                deleted("d/1", 5),
            ]
        ),
    )
    asked = ["b/1", "c/1", "d/1", "nobody/1"]
    b, c, d = statements(view, view.search(asked))
    assert (b.identity, b.version, b.match_version, b.position) == ("b/1", Version(0, 2), Version(0, 2), 1)
    assert (b.source, b.first_seen, b.coded, b.deleted) == ("b", 22, True, False)
    (near,) = b.candidates
    assert (near.identity, near.match_version, near.relation, near.certain) == ("a/1", Version(0, 1), SAME, True)
    assert near.reason == "same model code PSLX350H; same title; 379.95 and 399.00"
    assert (c.identity, c.candidates, c.coded) == ("c/1", (), False)
    assert d == Statement("d/1", "products", d.partition, Version(0, 5), Version(0, 5), -1, 0, "d", False, deleted=True)


def test_candidates_are_named_best_first() -> None:
    titles = ("Sony PS-LX350H black turntable with belt drive", "Sony PS-LX350H turntable", "Sony PS-LX350H")
    made = [entry(f"a/{n}", n, title, 100.0) for n, title in enumerate(titles)]
    view = apply(new_view(), log_of([*made, entry("b/1", 9, "Sony PS-LX350H turntable", 100.0)]))
    (said,) = statements(view, view.search(["b/1"]))
    assert said.candidates[0].identity == "a/1"
    scores = [c.score for c in said.candidates]
    assert scores == sorted(scores, reverse=True)
    assert len(scores) == 3


def test_an_empty_view_says_nothing() -> None:
    assert statements(new_view(), new_view().search(["a/1"])) == []
