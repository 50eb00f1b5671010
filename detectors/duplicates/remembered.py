"""The neighbours of products whose text did not change, remembered instead of searched for again.

Supplier feeds mostly repeat themselves with a new price. The neighbours of such a product are those that it had,
whose prices are read anew; only a catalogue that has grown since, or other weights of the sketch, make another search
worth its cost. What is remembered serves as evidence alone: candidates for links are always searched for.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from detectors.duplicates.view import CatalogueView, Hits
from detectors.records import Neighbours

__all__ = ["RememberedNeighbours"]

_GROWTH = 1.1  # of the catalogue, after which a product is looked up again


@dataclass(frozen=True, slots=True)
class _Found:
    """What a search found, with the catalogue's size and epoch then. marks: of the products in these rows."""

    rows: NDArray[np.intp]
    marks: NDArray[np.int64]
    scores: NDArray[np.float32]
    dense: NDArray[np.float32]
    size: int
    epoch: int


class RememberedNeighbours:
    """Looks up in a view, and remembers the last `capacity` products looked up (about 0.5 KB each).

    k: neighbours of a product.
    """

    def __init__(self, view: CatalogueView, k: int, capacity: int = 50_000) -> None:
        self._view = view
        self._k = k
        self._capacity = capacity
        self._found: OrderedDict[str, _Found] = OrderedDict()

    def __len__(self) -> int:
        return len(self._found)

    def lookup(self, identities: Sequence[str], renewed: Collection[str], *, clean: bool) -> tuple[Neighbours, Hits]:
        """The neighbours of each product, and the search's own hits for those of them that are `renewed`.

        renewed: products whose text is new, or that must be searched for another reason. clean: see the view.
        """
        view, size, epoch = self._view, len(self._view), self._view.epoch.number
        again: list[str] = []
        asked: list[str] = []
        for identity in identities:
            known = self._found.get(identity)
            if identity in renewed:
                asked.append(identity)
            elif known is None or known.epoch != epoch or not size <= known.size * _GROWTH:
                again.append(identity)
            else:
                self._found.move_to_end(identity)
        # A record that is handled once more after a crash must say what it said before, whatever came since.
        hits = view.search(asked, self._k, clean=clean, as_matched=True)
        for one in (hits, view.search(again, self._k, deciding=False)):
            for row, (identity, line) in enumerate(zip(one.identities, one.neighbours, strict=True)):
                there = line[line >= 0]
                self._found[identity] = _Found(
                    there.astype(np.int32),
                    view.marks_at(there),
                    one.scores[row].copy(),
                    one.dense[row].copy(),
                    size,
                    epoch,
                )
                self._found.move_to_end(identity)
        found = [self._found[identity] for identity in identities]
        while len(self._found) > self._capacity:
            self._found.popitem(last=False)
        return self._assembled(found), hits

    def _assembled(self, found: Sequence[_Found]) -> Neighbours:
        view = self._view
        scores = np.full((len(found), self._k), -1, np.float32)
        dense = np.full((len(found), self._k), -1, np.float32)
        if not found:
            return Neighbours([], scores, dense)
        # All at once: of most products nobody is gone.
        rows = np.concatenate([one.rows for one in found])
        still = view.still_at(rows, np.concatenate([one.marks for one in found]))
        facts = iter(view.facts_of(rows[still].tolist()))
        ends = np.cumsum([len(one.rows) for one in found])
        counts: list[int] = []
        for row, (one, end) in enumerate(zip(found, ends.tolist(), strict=True)):
            there = still[end - len(one.rows) : end]
            n = int(there.sum())
            counts.append(n)
            if n == len(there):
                scores[row], dense[row] = one.scores, one.dense
            else:  # some were deleted since
                scores[row, :n], dense[row, :n] = one.scores[: len(there)][there], one.dense[: len(there)][there]
        return Neighbours([[*islice(facts, n)] for n in counts], scores, dense)
