"""The neighbours of products whose text did not change, remembered instead of searched for again.

Supplier feeds mostly repeat themselves with a new price. The neighbours of such a product are those that it had,
whose prices are read anew; only a catalogue that has grown since, or other weights of the sketch, make another search
worth its cost. What is remembered serves as evidence alone: candidates for links are always searched for.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from detectors.duplicates.view import CatalogueView, Hits

__all__ = ["NeighbourRows", "RememberedNeighbours"]

_GROWTH = 1.1  # of the catalogue, after which a product is looked up again


@dataclass(frozen=True, slots=True)
class NeighbourRows:
    """The nearest products of n others, best first, by their rows in the view: (n, k) each, -1 where there is none.

    scores, dense: as in `Neighbours`.
    """

    rows: NDArray[np.intp]
    scores: NDArray[np.float32]
    dense: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class _Found:
    """What a search found, (k,) each, with the catalogue's size and epoch then. marks: of the products in the rows."""

    rows: NDArray[np.int32]
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

    def lookup(self, identities: Sequence[str], renewed: Collection[str], *, clean: bool) -> tuple[NeighbourRows, Hits]:
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
            there = one.neighbours >= 0
            marks = np.zeros(there.shape, np.int64)
            marks[there] = view.marks_at(one.neighbours[there])
            for row, identity in enumerate(one.identities):
                self._found[identity] = _Found(
                    one.neighbours[row].astype(np.int32),
                    marks[row].copy(),
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

    def _assembled(self, found: Sequence[_Found]) -> NeighbourRows:
        if not found:
            none = np.full((0, self._k), -1)
            return NeighbourRows(none, none.astype(np.float32), none.astype(np.float32))
        rows = np.stack([one.rows for one in found]).astype(np.intp)
        scores, dense = np.stack([one.scores for one in found]), np.stack([one.dense for one in found])
        there = rows >= 0
        gone = np.zeros(there.shape, np.bool_)
        gone[there] = ~self._view.still_at(rows[there], np.stack([one.marks for one in found])[there])
        if gone.any():  # deleted since
            rows[gone] = scores[gone] = dense[gone] = -1
            left = np.argsort(gone, axis=1, kind="stable")
            rows = np.take_along_axis(rows, left, axis=1)
            scores, dense = np.take_along_axis(scores, left, axis=1), np.take_along_axis(dense, left, axis=1)
        return NeighbourRows(rows, scores, dense)
