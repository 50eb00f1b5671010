from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import orjson
import pytest

from detectors.duplicates.candidates import statements
from detectors.duplicates.epoch import epoch_chunks
from detectors.duplicates.statement import encode_statement
from detectors.duplicates.view import CatalogueView
from detectors.records import StoredRecord
from tests.detectors.duplicates.offers import apply, deleted, entry, log_of, new_view, random_entries


def _log(seed: int, n: int = 400) -> list[StoredRecord]:
    """Offers, changes, deletions, two epochs, products that come again."""
    log = log_of(random_entries(seed, n // 2))
    counting = apply(new_view(), log)
    log += log_of([counting.make_epoch(margin=5)], start=len(log))
    log += log_of(random_entries(seed + 2, 20, offset=len(log), ids=n), start=len(log))
    log += log_of([apply(counting, log[counting.position :]).make_epoch(margin=5)], start=len(log))
    log += log_of(random_entries(seed + 1, n // 2, offset=len(log), ids=n // 3), start=len(log))
    log += log_of([deleted(f"shop{i % 3}/{i}", len(log) + 5000) for i in range(12)], start=len(log))
    again = [entry(f"shop{i % 3}/{i}", len(log) + 9000 + i, f"Bose lamp CX-{i}") for i in range(6)]
    branded = entry("z/3", len(log) + 9200, "lamp CX-3", brand="Bose")
    again += [branded, branded.repaired(replace(branded.facts, brand="BOSE Corp", currency="JPY"))]
    other = replace(entry("z/1", len(log) + 9100, "Sony"), encoder="other", vector=np.ones(7, np.int8))
    return log + log_of([*again, other, entry("z/2", 3, "old"), entry("z/2", 2, "older")], start=len(log))


def _saved(view: CatalogueView, step: int = 64) -> tuple[int, Any, Any, list[list[np.ndarray]], Sequence[np.ndarray]]:
    blocks = [view.block(i, i + step) for i in range(0, view.rows, step)]
    rest = view.rest()
    assert rest is not None
    cells = view.cells
    tables = orjson.loads(orjson.dumps(rest[0]))
    return view.position, tables, rest[1], blocks, cells.dump() if cells is not None else ()


def _same(a: CatalogueView, b: CatalogueView) -> None:
    assert (len(a), a.position, a.epoch.number, a.stale) == (len(b), b.position, b.epoch.number, b.stale)
    names = sorted(a.identities())
    assert names == sorted(b.identities())
    assert sorted(a.deleted()) == sorted(b.deleted())
    for name in [*names, *a.deleted()]:
        one, other = a.entry(name), b.entry(name)
        assert one == other
        assert one is not None
        assert other is not None
        assert one.vector.tolist() == other.vector.tolist()
        assert a.by_product_id(name.partition("/")[2]) == b.by_product_id(name.partition("/")[2])
    for k in (24, 10):
        ours, theirs = a.search(names, k), b.search(names, k)
        for field in ("scores", "dense", "similarity"):
            assert getattr(ours, field).tobytes() == getattr(theirs, field).tobytes()
        assert [encode_statement(s) for s in statements(a, ours)] == [
            encode_statement(s) for s in statements(b, theirs)
        ]


@pytest.mark.parametrize(("seed", "parsed"), [(1, True), (2, True), (3, False)])
def test_a_view_from_a_snapshot_is_the_view_from_the_log(seed: int, parsed: bool) -> None:
    """Also where another program parsed the titles, and they must be parsed anew."""
    log = _log(seed)
    followed, restored = apply(new_view(), log), new_view()
    position, tables, arrays, blocks, cells = _saved(followed)
    if not parsed:
        tables["evidence"] = "another program's"
        for block in blocks:
            block[-1], block[-2] = block[-1] * 0, block[-2][:0]
    restored.restore(position, tables, arrays, blocks, cells)
    _same(restored, followed)
    more = log_of(random_entries(seed + 9, 60, offset=20_000), start=len(log))
    _same(apply(restored, more), apply(followed, more))


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_log_may_go_on_between_two_blocks(seed: int) -> None:
    """What was taken later than the position is applied once more, which changes nothing."""
    log = _log(seed)
    places = [260, 300, 380, len(log)]
    view = apply(new_view(), log[: places[0]], 50)
    position, blocks, first = view.position, [], 0
    for place in places:
        blocks.append(view.block(first, first + 48))
        first += 48
        apply(view, log[view.position : place], 20)
    rest = view.rest()
    assert rest is not None
    blocks.append(view.block(first, view.rows))
    restored = new_view()
    restored.restore(position, orjson.loads(orjson.dumps(rest[0])), rest[1], blocks)
    _same(apply(restored, log[position:], 33), view)


def test_who_was_counted_before_a_snapshot_is_not_counted_after_it() -> None:
    foreign = replace(entry("a/2", 2, "Bose Speaker"), encoder="other", vector=np.ones(7, np.int8))
    log = log_of([entry("a/1", 0, "Sony Camera"), entry("a/2", 1, "Bose Speaker"), foreign, deleted("a/1", 3)])
    view, restored = apply(new_view(), log), new_view()
    restored.restore(*_saved(view))
    later = log_of([entry("a/1", 4, "Sony Camera"), entry("a/2", 5, "Bose Speaker"), entry("a/3", 6, "TV")], start=4)
    for one in (view, restored):
        assert apply(one, later).draft_epoch().titles == 3
    assert view.draft_epoch().frequencies.tobytes() == restored.draft_epoch().frequencies.tobytes()


def test_cells_come_back() -> None:
    log = log_of(random_entries(4, 600))
    view = apply(new_view(flat_rows=300), log)
    epoch = view.make_epoch(margin=0)
    assert len(epoch.centroids) >= 16
    log += log_of([epoch], start=len(log))
    log += log_of(random_entries(5, 50, offset=3000), start=len(log))
    apply(view, log[600:])
    restored = new_view(flat_rows=300)
    restored.restore(*_saved(view, 100))
    _same(restored, view)
    without = new_view(flat_rows=300)
    without.restore(*_saved(view)[:4])
    names = sorted(view.identities())
    found, want = without.search(names, 10), view.search(names, 10)
    assert (found.scores[:, 0] == want.scores[:, 0]).mean() > 0.98


def test_no_snapshot_while_an_epoch_is_coming_and_parts_of_one_are_kept() -> None:
    view = apply(new_view(), log_of(random_entries(4, 100)))
    chunks = epoch_chunks(replace(view.make_epoch(margin=500), weights=np.arange(1 << 20).astype(np.uint8) | 1))
    split = [
        replace(chunks[0], parts=2, data=chunks[0].data[:9000]),
        replace(chunks[0], part=1, parts=2, data=chunks[0].data[9000:]),
    ]
    view.apply([(100, split[0])], 101)
    restored = new_view()
    restored.restore(*_saved(view))
    for one in (view, restored):
        one.apply([(101, split[1])], 102)
        assert one.switching
        assert one.rest() is None
