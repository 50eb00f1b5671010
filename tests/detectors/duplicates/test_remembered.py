from __future__ import annotations

import numpy as np

from detectors.duplicates.remembered import NeighbourRows, RememberedNeighbours
from detectors.duplicates.view import CatalogueView
from detectors.records import Facts
from tests.detectors.duplicates.offers import apply, deleted, entry, log_of, new_view


def _shown(view: CatalogueView, found: NeighbourRows) -> list[list[Facts]]:
    return [view.facts_of([row for row in line if row >= 0]) for line in found.rows.tolist()]


def test_what_is_remembered_is_what_a_search_would_find_with_prices_of_now() -> None:
    entries = [entry(f"a/{i}", i, f"Sony Camera DSC-W12{i % 3}", 100.0 + i) for i in range(30)]
    view = apply(new_view(), log_of(entries))
    memory = RememberedNeighbours(view, 5)
    first, hits = memory.lookup(["a/20", "a/7"], {"a/20"}, clean=False)
    assert list(hits.identities) == ["a/20"]
    expected = view.lookup(["a/20", "a/7"], 5)
    assert [[f.identity for f in line] for line in _shown(view, first)] == [
        [f.identity for f in line] for line in expected.facts
    ]
    np.testing.assert_array_equal(first.scores, expected.scores)
    np.testing.assert_array_equal(first.dense, expected.dense)

    nearest = _shown(view, first)[0][0].identity
    number = int(nearest.removeprefix("a/"))
    cheaper = entry(nearest, 30, f"Sony Camera DSC-W12{number % 3}", 9.0, match=number, match_price=100.0 + number)
    apply(view, log_of([cheaper], start=30))
    again, none = memory.lookup(["a/20"], (), clean=False)
    assert len(none.identities) == 0
    best = _shown(view, again)[0][0]
    assert (best.identity, best.price) == (nearest, 9.0)
    np.testing.assert_array_equal(again.scores[0], first.scores[0])


def test_a_deleted_neighbour_is_left_out_and_growth_makes_another_search() -> None:
    view = apply(new_view(), log_of([entry(f"a/{i}", i, "Sony Camera DSC-W120") for i in range(10)]))
    memory = RememberedNeighbours(view, 5)
    memory.lookup(["a/9"], (), clean=False)
    apply(view, log_of([deleted("a/0", 10)], start=10))
    found, _ = memory.lookup(["a/9"], (), clean=False)
    assert [f.identity for f in _shown(view, found)[0]] == ["a/1", "a/2", "a/3", "a/4"]
    assert found.scores[0, 4] == -1

    apply(view, log_of([entry(f"b/{i}", 20 + i, "Nikon") for i in range(3)], start=11))
    found, _ = memory.lookup(["a/9"], (), clean=False)
    assert len(_shown(view, found)[0]) == 5


def test_who_is_asked_again_after_a_new_price_says_what_was_said_before() -> None:
    view = apply(new_view(), log_of([entry(f"a/{i}", i, "Sony Camera DSC-W120") for i in range(4)]))
    _, before = RememberedNeighbours(view, 5).lookup(["a/1"], {"a/1"}, clean=False)
    apply(view, log_of([entry("a/1", 4, "Sony Camera DSC-W120", 9.0, match=1)], start=4))
    _, after = RememberedNeighbours(view, 5).lookup(["a/1"], {"a/1"}, clean=False)
    np.testing.assert_array_equal(after.candidates, before.candidates)
    assert after.position.tolist() == before.position.tolist() == [1]
    found, _ = RememberedNeighbours(view, 5).lookup(["a/1"], (), clean=False)
    assert [f.identity for f in _shown(view, found)[0]] == ["a/0", "a/2", "a/3"], "what judges a price sees all"


def test_memory_is_bounded() -> None:
    view = apply(new_view(), log_of([entry(f"a/{i}", i, "Sony Camera DSC-W120") for i in range(10)]))
    memory = RememberedNeighbours(view, 2, capacity=3)
    found, _ = memory.lookup([f"a/{i}" for i in range(10)], (), clean=False)
    assert len(found.rows) == 10
    assert len(memory) == 3
