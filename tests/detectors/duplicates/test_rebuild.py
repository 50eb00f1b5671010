"""A catalogue that gets vectors of another encoder: its places, its versions, and the links that follow."""

from __future__ import annotations

import random
from dataclasses import replace

import numpy as np
import pytest

from detectors.duplicates.candidates import statements
from detectors.duplicates.entry import Entry, EntryError, decode_entries, encode_entry, quantise
from detectors.duplicates.links import LinkChange, LinkOwner
from detectors.duplicates.view import CatalogueView
from detectors.records import Version
from tests.detectors.duplicates.offers import DIM, ENCODER, apply, entry, log_of, new_view, random_entries
from tests.detectors.duplicates.test_links import say

OLD, OLD_DIM = "old-16", 16


def of_old(made: Entry) -> Entry:
    """The entry as the encoder before would have made it, which puts titles elsewhere."""
    noise = np.random.default_rng(len(made.facts.title)).standard_normal((1, OLD_DIM))
    return replace(made, encoder=OLD, vector=quantise(noise)[0])


def embedded(view: CatalogueView, identity: str, vectors: dict[str, Entry]) -> Entry:
    """The revision with the new encoder's vector."""
    known = view.entry(identity)
    assert known is not None
    return replace(known, revision=known.revision + 1, encoder=ENCODER, vector=vectors[identity].vector)


def looked_up(view: CatalogueView, owner: LinkOwner, identities: list[str], rebuild: int = 0) -> list[LinkChange]:
    found = statements(view, view.search(identities, as_matched=True, newest_epoch=bool(rebuild)))
    return list(owner.apply([replace(s, rebuild=rebuild) for s in found]).changes)


def links(owner: LinkOwner) -> list[tuple[str, str, int, float, str]]:
    return [(k.later, k.earlier, k.position, k.score, k.rule) for k in owner.links()]


@pytest.mark.parametrize("seed", range(4))
def test_after_a_rebuild_the_links_are_those_of_the_new_encoder_from_the_start(seed: int) -> None:
    made = random_entries(seed, 90)
    identities = [e.identity for e in made]
    fresh, from_the_start = apply(new_view(), log_of(made)), LinkOwner()
    looked_up(fresh, from_the_start, identities)
    assert from_the_start.links()

    before, owner = apply(CatalogueView(OLD, OLD_DIM), log_of([of_old(e) for e in made])), LinkOwner()
    looked_up(before, owner, identities)
    view = apply(new_view(), log_of([of_old(e) for e in made]))
    assert view.foreign == len(view) == 90
    rng, vectors = random.Random(seed), {e.identity: e for e in made}
    order = rng.sample(identities, len(identities))  # as workers come to it
    for i, identity in enumerate(order):
        apply(view, log_of([embedded(view, identity, vectors)], start=90 + i))
    assert view.foreign == 0

    held = {k.id for k in owner.links()}
    assert links(owner) != links(from_the_start), "it scored otherwise"
    changes: list[LinkChange] = []
    for i in range(0, 90, 7):
        changes += looked_up(view, owner, sorted(identities)[i : i + 7], rebuild=1)
        if i == 42:  # the owner of links is another one from here on
            loaded = LinkOwner()
            for p in owner.identities():
                loaded.load(p, owner.state_of(p))
            owner = loaded
            assert {p for p in identities if owner.rebuilt(p) == 1} == set(sorted(identities)[:49])
    assert links(owner) == links(from_the_start)
    assert {c.link.id for c in changes} == held ^ {k.id for k in owner.links()}, "what both find stays untouched"


def test_an_embedded_product_keeps_its_place_also_where_compaction_took_its_first_entry() -> None:
    titles = ["Sony Camera DSC-W120"] * 3
    made = [entry(f"a/{i}", i, title, 9.0) for i, title in enumerate(titles)]
    log = log_of([of_old(e) for e in made])
    view = apply(new_view(), log)
    for offset, i in enumerate((2, 0, 1), 3):
        log += log_of([embedded(view, f"a/{i}", {e.identity: e for e in made})], start=offset)
        apply(view, log[-1:])
    compacted = apply(new_view(), log[3:])
    for one in (view, compacted):
        found = statements(one, one.search(["a/0", "a/1", "a/2"], as_matched=True))
        assert [[c.identity for c in s.candidates] for s in found] == [[], ["a/0"], ["a/0", "a/1"]]
        assert [(s.version, s.match_version, s.position) for s in found] == [
            (Version(0, i), Version(0, i), i) for i in range(3)
        ]


def test_of_an_old_vector_and_a_repair_made_beside_the_new_one_the_repair_holds_and_is_embedded_again() -> None:
    made = entry("a/1", 5, "Sony TV", 10.0)
    view = apply(new_view(), log_of([of_old(made)]))
    known = view.entry("a/1")
    assert known is not None
    new = embedded(view, "a/1", {"a/1": made})
    repaired = replace(known, revision=known.revision + 2, facts=replace(known.facts, price=20.0))
    for order in ((new, repaired), (repaired, new)):
        both = apply(new_view(), log_of([of_old(made), *order]))
        facts = both.facts("a/1")
        assert facts is not None
        assert (facts.price, both.foreign) == (20.0, 1)
        again = embedded(both, "a/1", {"a/1": made})
        apply(both, log_of([again], start=3))
        facts = both.facts("a/1")
        assert facts is not None
        assert (facts.price, both.foreign, both.stale_entries()) == (20.0, 0, [])


def test_a_newer_version_is_not_hidden_by_a_vector_that_comes_late() -> None:
    made, newer = entry("a/1", 5, "Sony TV", 10.0), entry("a/1", 9, "Sony TV black", 12.0)
    view = apply(new_view(), log_of([of_old(made)]))
    late = embedded(view, "a/1", {"a/1": made})
    apply(view, log_of([newer, late], start=1))
    assert view.version_of("a/1") == Version(0, 9)
    assert view.stale_entries() == [newer], "its owner writes it again"


def test_a_snapshot_keeps_the_place_of_what_another_encoder_made() -> None:
    made = [entry(f"a/{i}", i, "Sony Camera DSC-W120") for i in range(2)]
    view = apply(new_view(), log_of([of_old(e) for e in made]))
    rest = view.rest()
    assert rest is not None
    restored = new_view()
    restored.restore(view.position, rest[0], rest[1], [view.block(0, view.rows)])
    assert restored.foreign == 2
    for offset, i in enumerate((1, 0), 2):
        again = embedded(restored, f"a/{i}", {e.identity: e for e in made})
        assert again.seen_from == i
        apply(restored, log_of([again], start=offset))
    found = statements(restored, restored.search(["a/0", "a/1"], as_matched=True))
    assert [[c.identity for c in s.candidates] for s in found] == [[], ["a/0"]]


def test_the_place_is_kept_by_the_entry_s_bytes() -> None:
    made = replace(entry("a/1", 5, "Sony TV"), seen_from=3)
    ((_, back),) = decode_entries(log_of([made])).items
    assert isinstance(back, Entry)
    assert back.seen_from == 3
    ((_, plain),) = decode_entries(log_of([entry("a/1", 5, "Sony TV")])).items
    assert isinstance(plain, Entry)
    assert plain.seen_from is None
    for wrong in (-2, 1.5, "3", True):
        (skipped,) = decode_entries(log_of([replace(made, seen_from=wrong)])).skipped  # type: ignore[arg-type]
        assert "place" in skipped.reason
    with pytest.raises(EntryError):
        encode_entry(replace(made, seen_from=1 << 70))


def test_what_is_said_after_a_rebuild_replaces_what_was_said_before_in_any_order() -> None:
    first = [say("a/1", 1), say("b/1", 2), say("c/1", 3, ("a/1", 1, 3.0))]
    after = [replace(s, rebuild=1) for s in (say("a/1", 1), say("b/1", 2), say("c/1", 3, ("b/1", 2, 1.0)))]
    for seed in range(30):
        owner, all_of_them = LinkOwner(), [*first, *after]
        random.Random(seed).shuffle(all_of_them)
        for s in all_of_them:
            owner.apply([s])
        assert [(k.later, k.earlier) for k in owner.links()] == [("c/1", "b/1")]


def test_of_two_who_name_each_other_the_one_looked_up_after_the_newer_rebuild_counts() -> None:
    a, b = say("a/1", 1, ("b/1", 2, 1.0), position=7), say("b/1", 2, ("a/1", 1, 2.0), position=9)
    for order in ([a, b, replace(b, rebuild=1), replace(a, rebuild=1, candidates=())],
                  [replace(b, rebuild=1), b, replace(a, rebuild=1, candidates=()), a],
                  [replace(a, rebuild=1, candidates=()), a, b, replace(b, rebuild=1)]):  # fmt: skip
        owner = LinkOwner()
        for s in order:
            owner.apply([s])
        assert [(k.later, k.earlier, k.score) for k in owner.links()] == [("b/1", "a/1", 2.0)]


def test_a_new_version_begins_anew() -> None:
    owner = LinkOwner()
    owner.apply([say("a/1", 1), replace(say("b/1", 2, ("a/1", 1, 1.0)), rebuild=2)])
    assert owner.rebuilt("b/1") == 2
    owner.apply([say("b/1", 5, ("a/1", 1, 1.0))])
    assert (owner.rebuilt("b/1"), len(owner.links())) == (0, 1)


def test_the_dimension_of_the_other_encoder_does_not_matter() -> None:
    assert OLD_DIM != DIM
    view = apply(new_view(), log_of([of_old(entry("a/1", 1, "Sony TV"))]))
    known = view.entry("a/1")
    assert known is not None
    assert (known.encoder, known.vector.shape, view.vector("a/1")) == (OLD, (OLD_DIM,), None)
