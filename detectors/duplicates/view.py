"""The view: a worker's copy of the catalogue, and what is near what in it.

The catalogue topic is one totally ordered log. A view is a function of what it has applied of that log and of nothing
else, so the views of all workers agree, whatever the size of their fetches.

A product sees what came before it: the rows whose matching fields were published before the product's own newest
entry. So a lookup gives the same answer a moment later, when the log has grown, and of two products the later one
always sees the earlier. Sketches change with the epoch; a product published before the switch is looked up with the
sketches of before, for which the view keeps the old ones for a while.

Of equally near products the one first seen goes first, then a digest of the identity decides: numbers of rows are
reused and compaction takes offsets away, so neither is the same for all workers.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from detectors.duplicates.entry import Entry
from detectors.duplicates.epoch import Epoch, EpochChunk, join_chunks
from detectors.duplicates.evidence import EvidenceRows, compounds
from detectors.duplicates.index import FLAT_ROWS, SCALE, RowIndex, best
from detectors.duplicates.sketch import BUCKETS, SKETCH_DIM, document_weights, flat_weights, sketch
from detectors.records import Facts, Neighbours, Version, split_identity
from detectors.standardise.chinese import fold

__all__ = ["CANDIDATES", "CatalogueView", "Hits"]

DENSE_SHARE = 0.3
CANDIDATES = 10  # that the decision looks at, beside those that share a code
_SHARED = 8  # candidates that share a code or GTIN and are not among the nearest
_HIDDEN = np.iinfo(np.int64).max
_NONE = np.float32(-1e9)
_KEEP_SKETCHES = 50_000  # offsets after a switch during which the sketches of before are kept
_BLOCK = 1 << 24  # products computed at once
_EMPTY = np.zeros(0, np.int8)


@dataclass(frozen=True, slots=True)
class Hits:
    """What a search found. Rows are numbers of the view; -1 is none.

    identities: (n,) as asked. row: (n,) their own rows, -1 for one that the view does not hold or compare.
    neighbours, scores, dense: (n, k), best first. candidates, similarity: (n, c), for the decision whether they are
    the same product: the `CANDIDATES` nearest, then up to 8 that share a code or GTIN; of a clean feed without the
    records of the product's own source.
    """

    identities: Sequence[str]
    row: NDArray[np.intp]
    neighbours: NDArray[np.intp]
    scores: NDArray[np.float32]
    dense: NDArray[np.float32]
    candidates: NDArray[np.intp]
    similarity: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class _Before:
    """The sketches as they were before the newest switch."""

    switch: int
    sketches: NDArray[np.float32]


class CatalogueView:
    """A full copy of the catalogue. Not thread-safe: apply and look up on one thread.

    encoder: the name of the encoder whose vectors are compared; entries of another are known but never found.
    dense_dim: its dimension.
    stale: the products whose newest entry in the log is an old version, written by a worker that had lost its
    partition; see `stale_entries`.
    """

    def __init__(self, encoder: str, dense_dim: int, *, flat_rows: int = FLAT_ROWS) -> None:
        self.encoder, self.dense_dim = encoder, dense_dim
        self.position = 0
        self.stale: set[str] = set()
        self.epoch = Epoch(0, 0, 0, flat_weights())
        self.evidence = EvidenceRows()
        self._index = RowIndex(dense_dim + SKETCH_DIM, flat_rows=flat_rows)
        self._before: _Before | None = None
        self._pending: Epoch | None = None
        self._chunks: dict[tuple[int, str], dict[int, EpochChunk]] = {}
        self._slot: dict[str, int] = {}
        self._free: list[int] = []
        self._entries: list[Entry | None] = []
        self._deleted: dict[str, Entry] = {}
        self._by_id: dict[str, dict[str, None]] = {}
        self._sources: dict[str, int] = {}
        self._vectors = np.zeros((0, dense_dim), np.int8)
        self._at = np.zeros(0, np.int64)  # offset of the newest entry
        self._visible = np.zeros(0, np.int64)  # offset from which the row is seen; _HIDDEN for none
        self._source = np.zeros(0, np.int32)
        self._first_seen = np.zeros(0, np.int64)
        self._digest = np.zeros(0, np.int64)  # of the identity

    # -- what it knows

    def __len__(self) -> int:
        return len(self._slot)

    def __contains__(self, identity: object) -> bool:
        return identity in self._slot

    def identities(self) -> Iterable[str]:
        """The products, in no order that means anything."""
        return self._slot.keys()

    def deleted(self) -> Iterable[str]:
        """The products that are known to be deleted."""
        return self._deleted.keys()

    def version_of(self, identity: str) -> Version | None:
        """The newest version applied, also of a deleted product; None for one never seen."""
        entry = self._newest(identity)
        return None if entry is None else entry.version

    def entry(self, identity: str) -> Entry | None:
        """The newest entry, as it would be published again; of a deleted product its deletion."""
        slot = self._slot.get(identity)
        if slot is None:
            return self._deleted.get(identity)
        entry = self._entries[slot]
        if entry is None or entry.encoder != self.encoder:
            return entry
        return replace(entry, vector=self._vectors[slot].copy())

    def peek(self, identity: str) -> Entry | None:
        """The newest entry as `entry` gives it, but without its vector: quicker."""
        return self._newest(identity)

    def vector(self, identity: str) -> NDArray[np.int8] | None:
        """(d,) int8, the vector of a product that the view holds and whose encoder is its own; else None."""
        slot = self._slot.get(identity)
        return None if slot is None or self._entry_at(slot).encoder != self.encoder else self._vectors[slot].copy()

    def facts(self, identity: str) -> Facts | None:
        """What is known of a product; None for one that is deleted or was never seen."""
        slot = self._slot.get(identity)
        return None if slot is None else self._entry_at(slot).facts

    def stale_entries(self) -> list[Entry]:
        """The entries that the owners of their partitions must publish again, or compaction would keep the old ones."""
        return [entry for identity in sorted(self.stale) if (entry := self.entry(identity)) is not None]

    def by_product_id(self, product_id: str) -> str | None:
        """The identity with this id, where exactly one source has it: for events that name no source."""
        found = self._by_id.get(product_id)
        return next(iter(found)) if found is not None and len(found) == 1 else None

    def _newest(self, identity: str) -> Entry | None:
        slot = self._slot.get(identity)
        return self._deleted.get(identity) if slot is None else self._entries[slot]

    def entry_at(self, row: int) -> Entry:
        """The entry of a row of `Hits`, without its vector."""
        return self._entry_at(row)

    def row_of(self, identity: str) -> int:
        """The row of a product that the view holds. Raises: KeyError."""
        return self._slot[identity]

    def offset_at(self, row: int) -> int:
        """The catalogue offset of the newest entry of a row of `Hits`."""
        return int(self._at[row])

    def _entry_at(self, row: int) -> Entry:
        entry = self._entries[row]
        assert entry is not None
        return entry

    # -- the log

    def apply(self, items: Sequence[tuple[int, Entry | EpochChunk]], position: int) -> None:
        """Apply what `decode_entries` gave: (catalogue offset, entry or part of an epoch), in order of offset.

        position: the offset after the last record of the fetch, also of one that did not decode.
        """
        changed: dict[int, bool] = {}  # row -> whether what matching reads changed
        vectors: dict[int, NDArray[np.int8]] = {}
        for offset, item in items:
            if self._pending is not None and offset >= self._pending.switch_at:
                self._flush(changed, vectors)
                self._switch(self._pending)
            if isinstance(item, EpochChunk):
                self._collect(offset, item)
            else:
                self._apply_one(offset, item, changed, vectors)
        self._flush(changed, vectors)
        self.position = max(self.position, position)
        if self._pending is not None and self.position >= self._pending.switch_at:
            self._switch(self._pending)
        if self._before is not None and self.position > self._before.switch + _KEEP_SKETCHES:
            self._before = None

    def _apply_one(
        self, offset: int, entry: Entry, changed: dict[int, bool], vectors: dict[int, NDArray[np.int8]]
    ) -> None:
        identity = entry.identity
        old = self._newest(identity)
        if old is not None and (entry.version, entry.revision) < (old.version, old.revision):
            self.stale.add(identity)
            return
        if self.stale:
            self.stale.discard(identity)
        slot = self._slot.get(identity)
        if entry.deleted:
            self._deleted[identity] = entry
            if slot is not None:
                self._remove(identity, slot)
                changed.pop(slot, None)
                vectors.pop(slot, None)
            return
        ours = entry.encoder == self.encoder and len(entry.vector) == self.dense_dim
        if slot is None:
            self._deleted.pop(identity, None)
            slot = self._add(identity)
            renewed = True
        else:
            was = self._entry_at(slot)
            renewed = was.match_version != entry.match_version or (was.encoder == self.encoder) != ours
        if renewed:
            # Of an entry that carries an older match version the log no longer says when that was published
            # (compaction took it): everyone may see it, which repeats a link at most.
            known = entry.match_version == entry.version
            self._visible[slot] = (offset if known else -1) if ours else _HIDDEN
        self._at[slot] = offset
        self._first_seen[slot] = entry.facts.first_seen
        if ours:
            vectors[slot] = entry.vector
            entry = replace_vector(entry)
        self._entries[slot] = entry
        changed[slot] = renewed or changed.get(slot, False)

    def _add(self, identity: str) -> int:
        if self._free:
            slot = self._free.pop()
        else:
            slot = len(self._entries)
            self._entries.append(None)
            if slot >= len(self._at):
                self._grow()
        self._slot[identity] = slot
        source, product_id = split_identity(identity)
        self._by_id.setdefault(product_id, {})[identity] = None
        self._source[slot] = self._sources.setdefault(source, len(self._sources))
        digest = hashlib.blake2b(identity.encode(errors="replace"), digest_size=8).digest()
        self._digest[slot] = int.from_bytes(digest, "big", signed=True)
        return slot

    def _remove(self, identity: str, slot: int) -> None:
        del self._slot[identity]
        _, product_id = split_identity(identity)
        same_id = self._by_id[product_id]
        del same_id[identity]
        if not same_id:
            del self._by_id[product_id]
        self._entries[slot] = None
        self._visible[slot] = _HIDDEN
        if slot < len(self._index):
            self._index.drop(slot)
        self.evidence.drop(slot)
        self._free.append(slot)

    def _grow(self) -> None:
        old, size = len(self._at), max(1024, 2 * len(self._at))

        def wider(x: NDArray[np.generic], fill: int) -> NDArray[np.generic]:
            y = np.full((size, *x.shape[1:]), fill, x.dtype)
            y[:old] = x
            return y

        self._vectors = wider(self._vectors, 0)  # type: ignore[assignment]  # the dtype is x's own
        self._at = wider(self._at, -1)  # type: ignore[assignment]  # the dtype is x's own
        self._visible = wider(self._visible, _HIDDEN)  # type: ignore[assignment]  # the dtype is x's own
        self._source = wider(self._source, -1)  # type: ignore[assignment]  # the dtype is x's own
        self._first_seen = wider(self._first_seen, 0)  # type: ignore[assignment]  # the dtype is x's own
        self._digest = wider(self._digest, 0)  # type: ignore[assignment]  # the dtype is x's own

    def _flush(self, changed: dict[int, bool], vectors: dict[int, NDArray[np.int8]]) -> None:
        """Compute the rows of what was applied."""
        fresh = [slot for slot, renewed in changed.items() if renewed]
        if fresh:
            entries = [self._entry_at(slot) for slot in fresh]
            folded = [fold(entry.facts.title) for entry in entries]
            self.evidence.put(fresh, folded, [e.facts for e in entries], [e.match_price for e in entries])
            mine = [(slot, text) for slot, text in zip(fresh, folded, strict=True) if slot in vectors]
            if mine:
                rows = np.array([slot for slot, _ in mine], np.intp)
                dense = np.stack([vectors[slot] for slot, _ in mine])
                self._put(rows, dense, [text for _, text in mine])
        again = [slot for slot, renewed in changed.items() if not renewed and slot in vectors]
        if again:
            rows = np.array(again, np.intp)
            dense = np.stack([vectors[slot] for slot in again])
            moved = (dense != self._vectors[rows]).any(axis=1)
            if moved.any():
                titles = [fold(self._entry_at(slot).facts.title) for slot in rows[moved].tolist()]
                self._put(rows[moved], dense[moved], titles)
        changed.clear()
        vectors.clear()

    def _put(self, rows: NDArray[np.intp], dense: NDArray[np.int8], folded: Sequence[str]) -> None:
        self._vectors[rows] = dense
        sketches = sketch(_sketched(folded), self.epoch.weights)
        self._index.put(rows, _combined(dense, sketches))

    # -- epochs

    def _collect(self, offset: int, chunk: EpochChunk) -> None:
        newest = self.epoch if self._pending is None else self._pending
        if chunk.number <= newest.number:
            return
        parts = self._chunks.setdefault((chunk.number, chunk.token), {})
        parts[chunk.part] = chunk
        epoch = join_chunks(parts.values(), BUCKETS)
        if epoch is None:
            return
        self._chunks = {key: value for key, value in self._chunks.items() if key[0] > epoch.number}
        self._pending = replace(epoch, switch_at=max(epoch.switch_at, offset + 1))

    def _switch(self, epoch: Epoch) -> None:
        """Sketch every row again with the weights of this epoch."""
        n = len(self._index)
        sketches = self._index.rows(np.arange(n))[:, self.dense_dim :].copy()
        self._before = _Before(epoch.switch_at, sketches)
        self.epoch, self._pending = epoch, None
        live = np.flatnonzero(self._visible[: len(self._entries)] != _HIDDEN)
        for i in range(0, len(live), 4096):
            rows = live[i : i + 4096]
            self._put(rows, self._vectors[rows], [fold(self._entry_at(r).facts.title) for r in rows.tolist()])
        self._index.retrain()

    def make_epoch(self, margin: int) -> Epoch:
        """The next epoch, counted over the titles of this view, for the owner of links to publish.

        margin: how many offsets after this view's position it is to hold; what is published meanwhile should fit in.
        """
        rows = [slot for slot in sorted(self._slot.values()) if self._visible[slot] != _HIDDEN]
        batches = [
            _sketched([fold(self._entry_at(slot).facts.title) for slot in rows[i : i + 4096]])
            for i in range(0, len(rows), 4096)
        ]
        number = (self.epoch if self._pending is None else self._pending).number + 1
        return Epoch(number, self.position + margin, len(rows), document_weights(batches))

    @property
    def counted(self) -> int:
        """Products that the newest epoch counted, also of one that does not hold yet; 0 before the first."""
        return (self.epoch if self._pending is None else self._pending).n

    # -- lookups

    def lookup(self, identities: Sequence[str], k: int = 24) -> Neighbours:
        """The k nearest products of each of these, of those that were published before it; never itself."""
        return self.neighbours(self.search(identities, k))

    def neighbours(self, hits: Hits) -> Neighbours:
        """What a search found, as detectors see it."""
        facts = [[self._entry_at(row).facts for row in line if row >= 0] for line in hits.neighbours.tolist()]
        return Neighbours(facts, hits.scores, hits.dense)

    def search(self, identities: Sequence[str], k: int = 24, *, clean: bool = False) -> Hits:
        """Search for neighbours and candidates of these products at once.

        clean: of two records of one source neither is a candidate for the other.
        """
        row = np.array([self._own_row(identity) for identity in identities], np.intp)
        n = len(row)
        k = max(k, 1)
        neighbours = np.full((n, k), -1, np.intp)
        scores = np.full((n, k), -1, np.float32)
        candidates = np.full((n, CANDIDATES + _SHARED), -1, np.intp)
        similarity = np.full((n, CANDIDATES + _SHARED), -1, np.float32)
        asked = np.flatnonzero(row >= 0)
        before = np.zeros(len(asked), bool)
        if self._before is not None and self._index.exact:
            before = self._at[row[asked]] < self._before.switch
        step = max(1, _BLOCK // max(1, len(self._index)))
        for group, old in ((asked[~before], False), (asked[before], True)):
            for i in range(0, len(group), step):
                part = group[i : i + step]
                self._search(part, row[part], k, clean, old, neighbours, scores, candidates, similarity)
        dense = self._dense(row, neighbours)
        return Hits(identities, row, neighbours, scores, dense, candidates, similarity)

    def _own_row(self, identity: str) -> int:
        slot = self._slot.get(identity, -1)
        return slot if slot >= 0 and self._visible[slot] != _HIDDEN else -1

    def _queries(self, rows: NDArray[np.intp], old: bool) -> NDArray[np.float32]:
        queries = self._index.rows(rows)
        if old and self._before is not None:
            queries[..., self.dense_dim :] = self._before.sketches[rows]
        return queries

    def _search(
        self,
        part: NDArray[np.intp],
        rows: NDArray[np.intp],
        k: int,
        clean: bool,
        old: bool,
        neighbours: NDArray[np.intp],
        scores: NDArray[np.float32],
        candidates: NDArray[np.intp],
        similarity: NDArray[np.float32],
    ) -> None:
        queries = self._queries(rows, old)
        limit = self._at[rows]
        if self._index.exact:
            products = self._all_products(queries, old)
            n = products.shape[1]
            late = np.flatnonzero(self._visible[:n] >= limit.min())
            products[:, late] = np.where(self._visible[late] >= limit[:, None], _NONE, products[:, late])
            products[np.arange(len(rows)), rows] = _NONE
            columns = np.broadcast_to(np.arange(n), products.shape)
        else:
            columns, products = self._index.propose(queries)
            hidden = (self._visible[columns] >= limit[:, None]) | (columns == rows[:, None]) | (columns < 0)
            products = np.where(hidden, _NONE, products)
        self._keep(part, products, columns, k, neighbours, scores)
        if clean:
            products = np.where(self._source[columns] == self._source[rows][:, None], _NONE, products)
            self._keep(part, products, columns, CANDIDATES, candidates, similarity)
        elif k >= CANDIDATES:
            candidates[part, :CANDIDATES] = neighbours[part, :CANDIDATES]
            similarity[part, :CANDIDATES] = scores[part, :CANDIDATES]
        else:
            self._keep(part, products, columns, CANDIDATES, candidates, similarity)
        self._add_sharing(part, rows, queries, clean, old, candidates, similarity)

    def _all_products(self, queries: NDArray[np.float32], old: bool) -> NDArray[np.float32]:
        if not old or self._before is None:
            return self._index.products(queries)
        products = self._index.products(
            np.hstack((queries[:, : self.dense_dim], np.zeros((len(queries), SKETCH_DIM), np.float32)))
        )
        n = len(self._before.sketches)
        products[:, :n] += queries[:, self.dense_dim :] @ self._before.sketches.T
        return products

    def _keep(
        self,
        part: NDArray[np.intp],
        products: NDArray[np.float32],
        columns: NDArray[np.intp],
        k: int,
        rows_out: NDArray[np.intp],
        scores_out: NDArray[np.float32],
    ) -> None:
        """The k best of each line, best first, of equal ones the one first seen."""

        def ranked(line: int, tied: NDArray[np.intp]) -> NDArray[np.intp]:
            rows = columns[line, tied]
            return tied[np.lexsort((self._digest[rows], self._first_seen[rows]))]

        chosen = best(products, k, ranked)
        value = np.take_along_axis(products, chosen, axis=1)
        row = np.take_along_axis(columns, chosen, axis=1)
        order = np.lexsort((self._digest[row], self._first_seen[row], -value))
        value, row = np.take_along_axis(value, order, axis=1), np.take_along_axis(row, order, axis=1)
        there = value > _NONE
        width = row.shape[1]
        rows_out[part, :width] = np.where(there, row, -1)
        scores_out[part, :width] = np.where(there, value / np.float32(SCALE * SCALE), np.float32(-1))

    def _add_sharing(
        self,
        part: NDArray[np.intp],
        rows: NDArray[np.intp],
        queries: NDArray[np.float32],
        clean: bool,
        old: bool,
        candidates: NDArray[np.intp],
        similarity: NDArray[np.float32],
    ) -> None:
        """Candidates that share a code or GTIN, however their words differ: rarest first, then the latest."""
        for i, row, query in zip(part.tolist(), rows.tolist(), queries, strict=True):
            sharing = self.evidence.sharing(row)
            if not sharing:
                continue
            there = set(candidates[i, :CANDIDATES].tolist())
            limit = self._at[row]
            more = sorted(
                (common, -int(self._first_seen[other]), int(self._digest[other]), other)
                for other, common in sharing.items()
                if other not in there
                and self._visible[other] < limit
                and not (clean and self._source[other] == self._source[row])
            )
            if more:
                others = np.array([other for *_, other in more[:_SHARED]], np.intp)
                found = self._queries(others, old) @ query
                candidates[i, CANDIDATES : CANDIDATES + len(others)] = others
                similarity[i, CANDIDATES : CANDIDATES + len(others)] = found / np.float32(SCALE * SCALE)

    def _dense(self, row: NDArray[np.intp], neighbours: NDArray[np.intp]) -> NDArray[np.float32]:
        d = self.dense_dim
        if not len(self._index):
            return np.full(neighbours.shape, -1, np.float32)
        out = np.empty(neighbours.shape, np.float32)
        for i in range(0, len(row), 512):
            query = self._index.rows(np.maximum(row[i : i + 512], 0))[:, :d]
            other = self._index.rows(np.maximum(neighbours[i : i + 512], 0))[:, :, :d]
            out[i : i + 512] = np.matmul(other, query[:, :, None])[:, :, 0]
        out /= np.float32(DENSE_SHARE * SCALE * SCALE)
        out[neighbours < 0] = -1
        return out


def replace_vector(entry: Entry) -> Entry:
    """The entry without its vector, which the view keeps in one array with the others."""
    return replace(entry, vector=_EMPTY)


def _sketched(folded: Sequence[str]) -> list[str]:
    """What is sketched of a title: its words, and compounds once more without their separators."""
    return [f"{text} {' '.join(joined)}" if (joined := compounds(text)) else text for text in folded]


def _combined(dense: NDArray[np.int8], sketches: NDArray[np.float64]) -> NDArray[np.float64]:
    """(m, d + s): the one vector whose inner product is .3 cosine of the dense + .7 cosine of the sketches."""
    x = dense.astype(np.float64)
    norm = np.sqrt((x * x).sum(axis=1, keepdims=True))
    x *= math.sqrt(DENSE_SHARE) / np.where(norm > 0, norm, 1.0)
    return np.hstack((x, sketches * math.sqrt(1 - DENSE_SHARE)))
