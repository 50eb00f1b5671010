from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from detectors.duplicates.candidates import statements
from detectors.duplicates.entry import Entry
from detectors.duplicates.epoch import Epoch
from detectors.duplicates.grams import BUCKETS, gram_counts
from detectors.duplicates.kernels import count
from detectors.duplicates.statement import Statement, decode_statement, encode_statement
from detectors.duplicates.texts import packed_facts
from detectors.duplicates.view import CatalogueView
from detectors.duplicates.words import WORD_MASK, hash_name, title_words
from detectors.records import StoredRecord, Version
from tests.detectors.duplicates.offers import apply, deleted, entry, log_of, new_view, random_entries


def _said(view: CatalogueView, identities: list[str], *, clean: bool = False) -> list[Statement]:
    return statements(view, view.search(identities, clean=clean), clean=clean)


def test_only_what_came_before_is_seen() -> None:
    view = apply(new_view(), log_of([entry(f"a/{i}", i, "Sony Camera DSC-W120") for i in range(4)]))
    found = view.lookup(["a/0", "a/2", "a/9"], k=5)
    assert [[f.identity for f in line] for line in found.facts] == [[], ["a/0", "a/1"], []]
    assert found.scores[1, 0] == pytest.approx(1, abs=1e-3)
    assert found.dense[1, 0] == pytest.approx(1, abs=1e-2)
    assert (found.scores[0] == -1).all()


@pytest.mark.parametrize("at_once", [1, 4])
def test_words_and_grams_are_counted_once_a_product(at_once: int) -> None:
    """With the title that came first, also of a product that has changed in the same fetch."""
    first = [entry("a/0", 0, "oak bench bench"), entry("a/1", 1, "bench")]
    log = log_of([*first, entry("a/0", 2, "steel desk"), entry("a/1", 3, "bench")])
    draft = apply(new_view(), log, at_once).draft_epoch()
    want = np.zeros(BUCKETS, np.int32)
    for title in ("oak bench bench", "bench"):
        count(gram_counts([title]).bucket, want)
        np.add.at(want, [token & WORD_MASK for token in title_words(title).tokens], 1)
    assert draft.titles == 2
    np.testing.assert_array_equal(draft.frequencies, want)


def test_a_new_price_neither_hides_nor_shows() -> None:
    first = entry("a/0", 0, "Sony Camera DSC-W120", 100.0)
    later = entry("a/1", 1, "Sony Camera DSC-W120", 100.0)
    cheaper = entry("a/0", 2, "Sony Camera DSC-W120", 9.0, match=0, match_price=100.0)
    view = apply(new_view(), log_of([first, later]))
    before = _said(view, ["a/1"])
    apply(view, log_of([cheaper], start=2))
    assert _said(view, ["a/1"]) == before
    assert view.facts("a/0") == cheaper.facts
    assert [c.identity for c in _said(view, ["a/0"])[0].candidates] == ["a/1"]
    apply(view, log_of([entry("b/1", 9, "Sony Camera DSC-W120", 100.0)], start=3))
    named = {c.identity: c.match_version for c in _said(view, ["b/1"])[0].candidates}
    assert named == {"a/0": Version(0, 0), "a/1": Version(0, 1)}, "of what was compared, not of the new price"


def test_a_new_currency_neither_hides_nor_shows() -> None:
    """Whatever came together in one fetch, also from a log of which compaction has left the newest entry alone."""
    first, other = (entry(f"a/{i}", i, "Sony Camera DSC-W120", 100.0, currency="USD") for i in range(2))
    now = {"match": 0, "match_price": 100.0, "match_currency": "USD"}
    yen = entry("a/0", 2, "Sony Camera DSC-W120", 15_000.0, currency="JPY", **now)
    views = [apply(new_view(), log_of([first, other, yen]), fetch) for fetch in (1, 3)]
    views.append(apply(new_view(), log_of([other, yen], start=1)))
    said = [_said(view, ["a/1"]) for view in views]
    assert said[0][0].candidates[0].reason.endswith("100.00 USD and 100.00 USD")
    assert said[0] == said[1] == said[2]
    blocks = [view.evidence.block(np.array([view.row_of("a/0")])) for view in views]
    for view, block in zip(views[1:], blocks[1:], strict=True):
        assert view.facts("a/0") == yen.facts
        assert view.entry("a/0") == yen
        for one, another in zip(blocks[0], block, strict=True):
            np.testing.assert_array_equal(one, another)


def test_why_is_told_of_what_matching_reads() -> None:
    """A repaired brand takes no code from the reason that the decision has not lost."""
    lamp, other = entry("a/0", 0, "Oriel TL1000 lamp red", 9.0), entry("b/0", 1, "Oriel TL1000 lamp", 9.0)
    repaired = lamp.repaired(replace(lamp.facts, brand="TL1000"))
    ((said,),) = (one.candidates for one in _said(apply(new_view(), log_of([lamp, other, repaired])), ["b/0"]))
    assert said.reason == "same model code TL1000; 9.00 and 9.00"


def test_what_was_said_can_be_said_anew_after_a_new_price() -> None:
    view = apply(new_view(), log_of([entry("b/0", 0, "Sony Camera DSC-W120", 101.0)]))
    apply(view, log_of([entry("a/0", 1, "Sony Camera DSC-W120", 100.0)], start=1))
    (said,) = _said(view, ["a/0"])
    cheaper = entry("a/0", 3, "Sony Camera DSC-W120", 9.0, match=1, match_price=100.0)
    apply(view, log_of([entry("a/1", 2, "Sony Camera DSC-W120", 100.0), cheaper], start=2))
    (anew,) = statements(view, view.search(["a/0"], as_matched=True))
    assert replace(anew, version=said.version, first_seen=said.first_seen) == said
    assert [c.identity for c in said.candidates] == ["b/0"]
    (now,) = _said(view, ["a/0"])
    assert {c.identity for c in now.candidates} == {"b/0", "a/1"}


@pytest.mark.parametrize("fetch", [1, 3, 100])
def test_a_product_counts_once_however_often_it_changes(fetch: int) -> None:
    first = [entry("a/1", 0, "Sony Camera DSC-W120"), entry("a/2", 1, "Bose Speaker")]
    later = [
        entry("a/1", 2, "Sony Camera DSC-W120 black"),
        deleted("a/1", 3),
        entry("a/1", 4, "Canon Printer"),
        entry("a/2", 5, "Bose Speaker", match=1),
    ]
    once = apply(new_view(), log_of(first)).draft_epoch()
    often = apply(new_view(), log_of([*first, *later]), fetch).draft_epoch()
    assert often.frequencies.tobytes() == once.frequencies.tobytes()
    assert (often.n, often.titles) == (once.n, once.titles) == (2, 2)


@pytest.mark.parametrize("fetch", [1, 100])
def test_who_comes_back_is_counted_unless_it_was(fetch: int) -> None:
    other = replace(entry("a/2", 1, "Bose Speaker"), encoder="other")
    lives = [deleted("a/1", 0), other, deleted("a/2", 2), entry("a/1", 3, "Sony Camera"), entry("a/2", 4, "Bose Lamp")]
    view = apply(new_view(), log_of(lives), fetch)
    assert view.draft_epoch().titles == 2
    gone_again = [deleted("a/1", 5), deleted("a/2", 6), entry("a/1", 7, "Sony"), entry("a/2", 8, "Bose")]
    assert apply(view, log_of(gone_again, start=5), fetch).draft_epoch().titles == 2
    want = apply(new_view(), log_of([entry("a/1", 0, "Sony Camera"), entry("a/2", 1, "Bose Lamp")])).draft_epoch()
    assert view.draft_epoch().frequencies.tobytes() == want.frequencies.tobytes()


def test_turns_are_shorter_where_every_row_of_a_large_catalogue_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    view = apply(new_view(), log_of(random_entries(3, 40)))
    identities = sorted(view.identities())
    assert view.turns(identities[:7], 3) == [identities[:3], identities[3:6], identities[6:7]]
    monkeypatch.setattr("detectors.duplicates.view._COMPARED", 2 * len(view))
    assert [len(turn) for turn in view.turns(identities[:5], 3)] == [2, 2, 1]
    assert new_view().turns([], 3) == [[]]
    foreign = replace(entry("a/1", 0, "Sony Camera"), encoder="other", vector=np.ones(7, np.int8))
    assert apply(new_view(), log_of([foreign])).turns(["a/1"], 3) == [["a/1"]]


def test_older_entries_are_ignored_and_told() -> None:
    new, old = entry("a/1", 5, "new title"), entry("a/1", 3, "old title")
    view = apply(new_view(), log_of([new, old]))
    assert view.version_of("a/1") == Version(0, 5)
    assert [(e.identity, e.facts.title, e.vector.tolist()) for e in view.stale_entries()] == [
        ("a/1", "new title", new.vector.tolist())
    ]
    apply(view, log_of(view.stale_entries(), start=2))
    assert view.stale_entries() == []


def test_what_something_unreadable_hides_is_told() -> None:
    view = apply(new_view(), log_of([entry("a/1", 5, "new title"), entry("a/2", 6, "other"), deleted("a/2", 7)]))
    for identity, offset in (("a/1", 0), ("a/3", 9)):
        view.shadowed(identity, offset)
    assert view.stale_entries() == [], "older than what is known, and of no product"
    view.shadowed("a/1", 9)
    view.shadowed("a/2", 9)
    assert [(e.identity, e.deleted) for e in view.stale_entries()] == [("a/1", False), ("a/2", True)]


def test_a_revision_replaces_facts() -> None:
    first = entry("a/1", 5, "Sony TV", 10.0)
    revised = replace(first, revision=1, facts=replace(first.facts, price=20.0))
    view = apply(new_view(), log_of([first, revised, first]))
    facts = view.facts("a/1")
    assert facts is not None
    assert facts.price == 20.0
    assert len(view.stale_entries()) == 1


def test_it_tells_the_topic_and_the_facts_of_products_in_the_order_asked() -> None:
    one, other = entry("a/1", 1, "Sony TV", 10.0), replace(entry("b/1", 2, "索尼电视"), topic="offers")
    view = apply(new_view(), log_of([one, other, entry("c/1", 3, "gone"), deleted("c/1", 4)]))
    assert view.packed(["b/1", "c/1", "d/1", "a/1"]) == [
        ("offers", packed_facts(other.facts)),
        None,
        None,
        ("products", packed_facts(one.facts)),
    ]
    assert view.packed([]) == []


def test_deleted_products_are_remembered_but_not_found() -> None:
    items = [entry("a/1", 1, "Sony TV X100"), entry("b/1", 2, "Sony TV X100"), deleted("a/1", 7)]
    view = apply(new_view(), log_of([*items, entry("a/1", 4, "Sony TV X100")]))
    assert "a/1" not in view
    assert len(view) == 1
    assert view.facts("a/1") is None
    assert view.version_of("a/1") == Version(0, 7)
    assert [e.deleted for e in view.stale_entries()] == [True]
    assert [len(line) for line in view.lookup(["b/1"]).facts] == [0]
    (gone,) = _said(view, ["a/1"])
    assert (gone.deleted, gone.version) == (True, Version(0, 7))
    apply(view, log_of([entry("a/1", 9, "Sony TV X100")], start=4))
    assert [c.identity for c in _said(view, ["a/1"])[0].candidates] == ["b/1"]


def test_nothing_is_left_of_what_was_deleted() -> None:
    view = apply(new_view(), log_of([entry("a/1", 1, "Sony TV X100", 9.0, gtin="4006381333931", mpn="X100-B")]))
    row = view.row_of("a/1")
    assert view.entry("a/1") is not None
    apply(view, log_of([deleted("a/1", 2)], start=1))
    empty = np.array([row])
    assert view.evidence.parsed(empty).priced.tolist() == [False]
    assert view.evidence.coded(empty).tolist() == [False]
    other = apply(new_view(), log_of([entry("z/1", 1, "y"), deleted("z/1", 2)]), 1)
    for got, want in zip(view.evidence.block(empty), other.evidence.block(np.array([0])), strict=True):
        assert got.tobytes() == want.tobytes()
    dense, sketches = view._index.dense, view._index.sketch
    assert not dense.values[row].any()
    assert not sketches.values[row].any()
    assert view._texts.get([row]) == [b""]


@pytest.mark.parametrize("fetch", [1, None])
def test_a_row_that_another_product_takes_at_once_is_all_its_own(fetch: int | None) -> None:
    old = [entry("a/1", 1, "Sony TV X100 500 GB", 9.0, mpn="X100-B"), entry("b/1", 2, "Canon X100-B lens")]
    log = log_of([*old, deleted("a/1", 3), entry("c/1", 4, "Bose AM53BK", 5.0), entry("d/1", 5, "speaker AM-53BK")])
    view = apply(new_view(), log, fetch)
    alone = apply(new_view(), log_of([old[1], entry("c/1", 4, "Bose AM53BK", 5.0), entry("d/1", 5, "speaker AM-53BK")]))
    assert view.row_of("c/1") == 0
    assert view.evidence.sharing(np.array([view.row_of("b/1")])) == [{}]
    for identity in ("b/1", "c/1", "d/1"):
        here, there = (np.array([v.row_of(identity)]) for v in (view, alone))
        for got, want in zip(view.evidence.block(here), alone.evidence.block(there), strict=True):
            assert got.tobytes() == want.tobytes()
        assert view.facts(identity) == alone.facts(identity)


def test_more_than_is_remembered_is_read_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("detectors.duplicates.view._REMEMBERED", 3)
    monkeypatch.setattr("detectors.duplicates.evidence._REMEMBERED", 3)
    items = [entry(f"a/{i}", i, f"索尼 电视 X10{i}", 9.0) for i in range(8)]
    view = apply(new_view(), log_of(items))
    for rows in ([0, 1], [1, 2, 0], [5, 1, 5], list(range(8)), [7]):
        assert [facts.title for facts in view.facts_of(rows)] == [f"索尼 电视 X10{row}" for row in rows]
        assert view.evidence._said.of(rows) == [f"索尼电视x10{row}" for row in rows]
        assert len(view._facts) <= 3
        assert len(view.evidence._said._read) <= 3


def test_ids_that_one_source_has() -> None:
    view = apply(new_view(), log_of([entry("a/1", 1, "x"), entry("b/1", 2, "y"), entry("b/2", 3, "z")]))
    assert (view.by_product_id("1"), view.by_product_id("2"), view.by_product_id("3")) == (None, "b/2", None)
    apply(view, log_of([deleted("a/1", 4)], start=3))
    assert view.by_product_id("1") == "b/1"


def test_two_encoders_are_never_compared() -> None:
    other = replace(entry("a/2", 2, "Sony TV X100"), encoder="other", vector=np.ones(7, np.int8))
    view = apply(new_view(), log_of([entry("a/1", 1, "Sony TV X100"), other, entry("a/3", 3, "Sony TV X100")]))
    assert [[f.identity for f in line] for line in view.lookup(["a/2", "a/3"]).facts] == [[], ["a/1"]]
    assert view.entry("a/2") is not None
    assert len(view) == 3


def test_a_clean_source_has_no_candidates_of_its_own() -> None:
    items = [entry("a/1", 1, "Sony TV X100"), entry("b/1", 2, "Sony TV X100"), entry("a/2", 3, "Sony TV X100")]
    view = apply(new_view(), log_of(items))
    assert [c.identity for c in _said(view, ["a/2"])[0].candidates] == ["a/1", "b/1"]
    assert [c.identity for c in _said(view, ["a/2"], clean=True)[0].candidates] == ["b/1"]
    assert [f.identity for f in view.lookup(["a/2"]).facts[0]] == ["a/1", "b/1"]


def test_a_shared_part_number_makes_a_candidate_in_another_language() -> None:
    items = [entry(f"n/{i}", i, f"Sony camera number {i}") for i in range(30)]
    items += [entry("a/1", 40, "Electric Kettle", 30.0, mpn="NK-2450", gtin="4006381333931")]
    items += [entry("b/1", 41, "电热水壶", 30.0, mpn="NK2450", gtin="4006381333931")]
    (said,) = _said(apply(new_view(), log_of(items)), ["b/1"])
    assert [(c.identity, c.certain) for c in said.candidates] == [("a/1", True)]
    assert "same GTIN 4006381333931" in said.candidates[0].reason


def test_what_many_share_does_not_crowd_out_what_two_share() -> None:
    items = [entry("a/1", 1, "Sonnencreme leicht SPF50", gtin="4006381333931")]
    items += [entry(f"c/{i}", 10 + i, f"sunscreen SPF50 tube {i}") for i in range(12)]
    items += [entry(f"d/{i}", 30 + i, f"防晒霜 清爽 SPF50 {i}") for i in range(12)]
    items += [entry("b/1", 90, "防晒霜 清爽不油腻 SPF50", gtin="4006381333931")]
    (said,) = _said(apply(new_view(), log_of(items)), ["b/1"])
    assert "a/1" in [candidate.identity for candidate in said.candidates]


def test_who_shares_a_code_comes_first_and_the_nearest_follow() -> None:
    near = [entry(f"a/{i}", i, f"Sony silver camera case {i}") for i in range(12)]
    named = entry("b/1", 12, "Tasche LCS-TWA7 von Sony")
    view = apply(new_view(), log_of([*near, named, entry("c/1", 13, "Sony silver camera case LCS-TWA7")]))
    hits = view.search(["c/1"])
    found = [view.identity_at(row) for row in hits.candidates[0].tolist() if row >= 0]
    assert (found[0], len(found)) == ("b/1", 11)
    alike = hits.similarity[0, 1:11].tolist()
    assert alike == sorted(alike, reverse=True)
    assert hits.similarity[0, 0] < alike[-1]


def test_a_brand_counts_as_said_and_a_repair_of_it_changes_no_bit() -> None:
    plain, other = entry("a/1", 0, "Kontakt Edition G7"), entry("b/1", 1, "Sibelius G7 for guitarists")
    branded = entry("a/1", 0, "Kontakt Edition G7", brand="Sibelius Software")
    scores = [apply(new_view(), log_of([one, other])).search(["b/1"]).scores[0, 0] for one in (plain, branded)]
    assert scores[1] > scores[0] + 0.1
    repaired = branded.repaired(replace(branded.facts, brand="Avid"))
    followed = apply(new_view(), log_of([branded, repaired, other]))
    began = apply(new_view(), log_of([repaired, other], start=1))
    for view in (followed, began):
        assert view.search(["b/1"]).scores[0, 0] == scores[1]
        assert view.facts("a/1") == repaired.facts
        assert view.entry("a/1") == repaired
        apply(view, log_of([deleted("a/1", 9)], start=view.position))
    assert followed.draft_epoch().frequencies.tolist() == began.draft_epoch().frequencies.tolist()


def test_abbreviations_meet_what_they_stand_for() -> None:
    short = apply(new_view(), log_of([entry("a/1", 0, "acrobat pro upg"), entry("b/1", 1, "professional upgrade")]))
    other = apply(new_view(), log_of([entry("a/1", 0, "acrobat one two"), entry("b/1", 1, "professional upgrade")]))
    assert short.search(["b/1"]).scores[0, 0] > other.search(["b/1"]).scores[0, 0] + 0.2


def test_statements_say_why() -> None:
    items = [
        entry("abt/580", 0, "Bose Acoustimass 5 Speaker System - AM53BK", 399.0, currency="USD"),
        entry("buy/7", 1, "Bose AM53BK Acoustimass 5 Speakers", 379.95, currency="USD"),
        entry("buy/8", 2, "Bose AM53BK Acoustimass 5 Speakers", 379.95, currency="USD"),
    ]
    first, second = _said(apply(new_view(), log_of(items)), ["buy/7", "buy/8"])
    (link,) = first.candidates
    assert (link.identity, link.rule, link.certain) == ("abt/580", "duplicate.near", True)
    assert link.reason == "same model code AM53BK; 379.95 USD and 399.00 USD"
    assert [(c.identity, c.rule) for c in second.candidates] == [
        ("buy/7", "duplicate.exact"),
        ("abt/580", "duplicate.near"),
    ]
    assert [decode_statement(*encode_statement(s)) for s in (first, second)] == [first, second]
    assert (second.position, second.source, second.match_version) == (2, "buy", Version(0, 2))


def _stream(seed: int) -> tuple[list[StoredRecord], list[str]]:
    """A log with updates, deletions and epochs whose switches come later."""
    items: list[Entry | Epoch] = list(random_entries(seed, 60))
    counting = new_view()
    log = log_of(items)
    for more in (100, 200):
        apply(counting, log[counting.position :])
        log += log_of([counting.make_epoch(margin=30)], start=len(log))
        log += log_of(random_entries(seed + more, more, offset=len(log), ids=90), start=len(log))
        log += log_of([deleted(f"shop{i % 3}/{i}", len(log) + 5000) for i in range(4)], start=len(log))
    identities = [r.key.decode() for r in log if r.key and not r.key.startswith(b"\x00")]
    return log, list(dict.fromkeys(identities))


@pytest.mark.parametrize("seed", [1, 2])
def test_the_size_of_fetches_changes_no_bit(seed: int) -> None:
    log, identities = _stream(seed)
    views = [apply(new_view(), log, fetch) for fetch in (len(log), 1, 7, 64)]
    assert views[0].epoch.number == 2
    want = views[0].search(identities)
    said = [encode_statement(s) for s in statements(views[0], want)]
    assert sum(b'"candidates":[[' in value for _, value in said) > 20
    for view in views[1:]:
        assert len(view) == len(views[0])
        got = view.search(identities)
        for name in ("row", "neighbours", "scores", "dense", "candidates", "similarity"):
            assert getattr(got, name).tobytes() == getattr(want, name).tobytes(), name
        assert [encode_statement(s) for s in statements(view, got)] == said


@pytest.mark.parametrize("epochs", [1, 3])
def test_looking_up_later_or_with_others_changes_no_bit(epochs: int) -> None:
    """Also over switches of epochs: who was published before is looked up with the sketches of before."""
    log, counting = log_of(random_entries(5, 200)), new_view()
    for place in (50, 100, 150)[-epochs:]:
        apply(counting, log[counting.position : place])
        log[place:place] = log_of([counting.make_epoch(margin=20)])
        log = [replace(r, offset=i) for i, r in enumerate(log)]
    view, at_once = new_view(), {}
    for i in range(0, len(log), 10):
        part = log[i : i + 10]
        apply(view, part)
        own = [r.key.decode() for r in part if r.key and not r.key.startswith(b"\x00")]
        at_once |= {s.identity: s for s in _said(view, own)}
    assert view.epoch.number == epochs
    assert {s.identity: s for s in _said(view, list(at_once))} == at_once
    for identity in list(at_once)[::17]:
        assert _said(view, [identity]) == [at_once[identity]]
    view.apply([], view.position + 100_000)  # what held before is forgotten
    assert {s.identity: s for s in _said(view, list(at_once))} != at_once


def test_a_late_epoch_switches_after_its_last_part() -> None:
    view = apply(new_view(), log_of(random_entries(1, 80)))
    epoch = replace(view.make_epoch(0), switch_at=3)
    log = log_of([epoch, *random_entries(9, 3, offset=500)], start=80)
    apply(view, log)
    assert (view.epoch.number, view.epoch.switch_at) == (1, log[-3].offset)
    apply(view, log_of([epoch], start=90))
    assert view.epoch.number == 1


@pytest.mark.parametrize("catalogue", [40, 400])
@pytest.mark.parametrize("clean", [False, True])
def test_equally_near_products_are_the_same_for_who_followed_and_who_began_after_compaction(
    catalogue: int, clean: bool
) -> None:
    half = catalogue // 2
    items = [entry(f"a/{n:03}", n, "usb cable", 9.0, first_seen=n // 8) for n in range(half)]
    items += [deleted(f"a/{n:03}", half + n) for n in range(4)]  # whose rows are given to others
    items += [entry(f"a/{n:03}", 4 + n, "usb cable", 9.0, first_seen=n // 8) for n in range(half, catalogue)]
    again = range(5, catalogue, 7)  # whose match version the compacted log no longer holds
    items += [
        entry(f"a/{n:03}", 2 * catalogue + n, "usb cable", 8.0, match=n, match_price=9.0, first_seen=n // 8)
        for n in again
    ]
    # The same code, which finds more of them than are near.
    items += [entry(f"c/{n}", 4 * catalogue + n, f"Sony DSC-W120 {'x' * n}", first_seen=n // 3) for n in range(12)]
    items += [entry("b/1", 5 * catalogue, "usb cable", 9.0), entry("b/2", 5 * catalogue + 1, "Sony DSC-W120 black")]
    log = log_of(items)
    last = {record.key: record.offset for record in log}
    compacted = [record for record in log if last[record.key] == record.offset and record.value is not None]
    followed, began, asked = apply(new_view(), log, 7), apply(new_view(), compacted), ["b/1", "b/2"]

    def found(view: CatalogueView) -> list[list[str]]:
        hits = view.search(asked, 24, clean=clean)
        rows = [*hits.neighbours.tolist(), *hits.candidates.tolist()]
        return [[view.identity_at(row) for row in line if row >= 0] for line in rows]

    assert found(began) == found(followed)
    assert set(found(followed)[2]) >= {f"a/{n:03}" for n in range(4, 8)}  # of equally near ones those first seen
    assert _said(began, asked, clean=clean) == _said(followed, asked, clean=clean)


@pytest.mark.parametrize("flat_rows", [100, 10_000])
def test_what_is_prepared_for_an_epoch_beforehand_changes_nothing(flat_rows: int) -> None:
    """No bit where every search is exact. Cells hold where rows were before they moved, which costs few candidates."""
    log = log_of(random_entries(6, 300))
    epoch = apply(new_view(flat_rows=flat_rows), log).make_epoch(margin=120)
    assert bool(len(epoch.centroids)) == (flat_rows == 100)
    log += log_of([epoch], start=len(log))
    changed = random_entries(7, 200, offset=len(log) + 1000, ids=80)
    log += log_of([*changed, *(deleted(f"shop{i % 3}/{i}", len(log) + 5000) for i in range(5))], start=len(log))
    at_once, ahead = apply(new_view(flat_rows=flat_rows), log), new_view(flat_rows=flat_rows)
    prepared = 0
    for i in range(0, len(log), 9):
        apply(ahead, log[i : i + 9])
        prepared += ahead.switching
        ahead.prepare(40)
        if ahead.cells is not None:
            ahead.cells.work()
    assert prepared > 8
    assert ahead.epoch.number == at_once.epoch.number == 1
    names = sorted(at_once.identities())
    one, other = ahead.search(names), at_once.search(names)
    if flat_rows > 300:
        for name in ("scores", "dense", "similarity"):
            assert getattr(one, name).tobytes() == getattr(other, name).tobytes()
    else:
        assert (one.scores[:, 0] == other.scores[:, 0]).mean() > 0.98
    assert ahead.make_epoch(0).weights.tobytes() == at_once.make_epoch(0).weights.tobytes()


def test_what_an_epoch_needs_is_spread_over_the_records_before_it() -> None:
    """Where nobody prepares it between fetches: the last fetch before the switch has no more to do than the others."""
    log = log_of(random_entries(6, 400))
    epoch = apply(new_view(flat_rows=100), log).make_epoch(margin=200)
    log += log_of([epoch], start=len(log))
    log += log_of(random_entries(8, 200, offset=2000), start=len(log))
    view = apply(new_view(flat_rows=100), log[: epoch.switch_at - 20], 10)
    assert view.switching
    assert not view.prepare(80)  # of 400 rows and more
    assert view.cells is not None
    assert view.cells.steps <= 8
    apply(view, log[view.position :], 10)
    assert view.epoch.number == 1
    apply(view, log_of(random_entries(9, 200, offset=3000), start=len(log)), 10)
    assert view.cells.steps <= 17  # though nobody worked beside, and 20 fetches offered a step each


def test_what_was_prepared_ahead_costs_the_stream_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    log = log_of(random_entries(6, 400))
    log += log_of([apply(new_view(flat_rows=100), log).make_epoch(margin=200)], start=len(log))
    log += log_of(random_entries(8, 150, offset=2000), start=len(log))
    view = apply(new_view(flat_rows=100), log[:-140])
    assert view.switching
    assert not view.prepare(10_000)
    assert view.cells is not None
    view.cells.work()
    done = view.cells.added
    monkeypatch.setattr(view, "prepare", None)
    monkeypatch.setattr("detectors.duplicates.index.Cells.work", None)
    apply(view, log[view.position : view.position + 50], 10)
    assert view.switching
    assert view.cells.added == done


def test_cells_find_what_an_exact_search_finds() -> None:
    log = log_of(random_entries(8, 900))
    view = apply(new_view(flat_rows=500), log)
    apply(view, log_of([view.make_epoch(margin=0)], start=len(log)))
    assert view.cells is not None
    names = sorted(view.identities())
    near, exact = view.search(names, 10), view.search(names, 10, exact=True)
    best = exact.scores[:, 0] > 0.6
    assert (near.scores[best, 0] == exact.scores[best, 0]).mean() > 0.98
    found = near.scores[near.neighbours == exact.neighbours]
    np.testing.assert_array_equal(found, exact.scores[near.neighbours == exact.neighbours])


def test_cells_do_not_fill_up_with_what_moved(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("detectors.duplicates.view._MOVED_ROWS", 100)
    log = log_of(random_entries(8, 400))
    view = apply(new_view(flat_rows=300), log)
    log += log_of([view.make_epoch(margin=0)], start=len(log))
    log += log_of(random_entries(9, 1200, offset=5000, ids=100), start=len(log))
    held = []
    for i in range(view.position, len(log), 20):
        apply(view, log[i : i + 20])
        assert view.cells is not None
        held.append(view.cells.added)
    assert max(held) < 2 * len(view) + 200
    names = sorted(view.identities())
    near, exact = view.search(names, 10), view.search(names, 10, exact=True)
    best = exact.scores[:, 0] > 0.6
    assert (near.scores[best, 0] == exact.scores[best, 0]).mean() > 0.97


def test_who_shares_a_code_comes_in_the_order_of_the_log_whatever_the_fetches() -> None:
    log = log_of([entry("a/1", 0, "TV X1000"), entry("b/2", 1, "TV X1000"), entry("a/1", 2, "big TV X1000")])
    for fetch in (1, 2, 3):
        view = apply(new_view(), log, fetch)
        crowd = view.evidence._crowd(hash_name("x1000"))
        assert [view.identity_at(row) for row in crowd] == ["b/2", "a/1"]
