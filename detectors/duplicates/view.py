"""The view: a worker's copy of the catalogue, and what is near what in it.

The catalogue topic is one totally ordered log. A view is a function of what it has applied of that log and of nothing
else, so the views of all workers agree, whatever the size of their fetches. What it counts for the weights of words
depends on what compaction has left of the log; the owner of links publishes the weights, for all.

A product sees what came before it: the rows whose matching fields were published before the product's own newest
entry. So a lookup gives the same answer a moment later, when the log has grown, and of two products the later one
always sees the earlier. Sketches change with the epoch; a product published before a switch is looked up with the
sketches of before, for which the view keeps the old ones for a while.

Of equally near products the one first seen goes first, then a digest of the identity decides: numbers of rows are
reused and compaction takes offsets away, so neither is the same for all workers.
"""

from __future__ import annotations

import hashlib
import math
import struct
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain, islice
from typing import TYPE_CHECKING, Any

import numpy as np
import orjson
from numpy.typing import NDArray

from detectors.duplicates.entry import Entry, as_read
from detectors.duplicates.epoch import Epoch, EpochChunk, join_chunks
from detectors.duplicates.evidence import EVIDENCE_MARK, EvidenceRows
from detectors.duplicates.grams import BUCKETS, GramCounts, gram_counts
from detectors.duplicates.index import (
    FLAT_ROWS,
    Cells,
    InnerProducts,
    Part,
    RowIndex,
    centroids_of,
    lists_for,
    quantised,
    sample_for,
    unit_rows,
)
from detectors.duplicates.kernels import count, nearest
from detectors.duplicates.reading import Readings, fits, pack, read, unpack
from detectors.duplicates.room import grown
from detectors.duplicates.sketch import SKETCH_DIM, document_weights, flat_weights, sketch
from detectors.duplicates.spread import Spread
from detectors.duplicates.texts import (
    Gathered,
    MemoryTexts,
    Texts,
    facts_from,
    join_texts,
    packed_facts,
    recalled,
    split_texts,
)
from detectors.duplicates.words import WORD_MASK
from detectors.records import Facts, Neighbours, Version, split_identity
from detectors.standardise.chinese import fold

if TYPE_CHECKING:
    from detectors.duplicates.matcher import Matcher

__all__ = ["CANDIDATES", "CatalogueView", "Hits"]

DENSE_SHARE = 0.3
CANDIDATES = 10  # that the decision looks at, beside those that share a code
_COLUMNS = ("_head", "_at", "_visible", "_prefix", "_source", "_first_seen", "_digest", "_counted")
_SHARED = 8  # candidates that share a code or GTIN and are not among the nearest
_HIDDEN = np.iinfo(np.int64).max
_KEEP_SKETCHES = 50_000  # offsets after a switch during which the sketches of before are kept
_BLOCK = 1 << 24  # products computed at once
_REMEMBERED = 32_768  # facts and rows that were asked for last: of most products many are
_AT_ONCE = 256  # products looked up at once
_COMPARED = 1 << 21  # products, times rows, of a search that looks at every row: below a tenth of a second
_WAITING = 8  # steps of work that may wait for cells that are searched
_MOVED_ROWS = 4096  # that cells may hold in vain, beside as many as there are products
_EMPTY = np.zeros(0, np.int8)
_AS_SAID = (None, None)
_PLACE = struct.Struct("<q")
_HEAD = np.dtype(
    [
        ("generation", "i8"),
        ("offset", "i8"),
        ("match_generation", "i8"),
        ("match_offset", "i8"),
        ("match_price", "f8"),
        ("partition", "i4"),
        ("revision", "i4"),
        ("topic", "u2"),
        ("encoder", "u2"),
    ]
)


@dataclass(frozen=True, slots=True)
class Hits:
    """What a search found. Rows are numbers of the view; -1 is none.

    identities: (n,) as asked. row: (n,) their own rows, -1 for one that the view does not hold or compare.
    position: (n,) the catalogue offset before which others had to be there to be seen. former: (n,) how many epochs
    before the newest one was asked, whose weights of words are the ones to compare by, too.
    neighbours, scores, dense: (n, k), best first. candidates, similarity: (n, c), for the decision whether they are
    the same product: those that share a code or GTIN, then the rest of the `CANDIDATES` nearest; up to 8 of those
    are not among the nearest. Of a clean feed without the records of the product's own source.
    """

    identities: Sequence[str]
    row: NDArray[np.intp]
    position: NDArray[np.int64]
    former: NDArray[np.intp]
    neighbours: NDArray[np.intp]
    scores: NDArray[np.float32]
    dense: NDArray[np.float32]
    candidates: NDArray[np.intp]
    similarity: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Standing:
    """Of an entry what a statement repeats; see `Entry`."""

    topic: str
    partition: int
    version: Version
    match_version: Version
    first_seen: int
    deleted: bool


@dataclass(frozen=True, slots=True)
class _Before:
    """The sketches, weights and cells as they were before a switch."""

    switch: int
    sketches: Part
    weights: NDArray[np.uint8]
    cells: Cells | None


@dataclass(frozen=True, slots=True)
class _Foreign:
    """What is kept of a product whose vector another encoder made. seen_from: as `_visible` would be."""

    seen_from: int
    vector: NDArray[np.int8]


@dataclass(slots=True)
class _Next:
    """An epoch that is to hold from a later offset on, and the sketches and cells that are made for it meanwhile.

    since: the offset at which it was known. done: rows below it have the epoch's sketch.
    """

    epoch: Epoch
    since: int
    sketches: Part
    cells: Cells | None
    done: int = 0

    def share(self, position: int) -> float:
        """Of the offsets between its being known and its start, those that are past at this one."""
        return min(1.0, max(0, position - self.since) / max(1, self.epoch.switch_at - self.since))


@dataclass(frozen=True, slots=True)
class EpochDraft:
    """What an epoch follows from, taken from a view at once; `finish` does the work, on whatever thread.

    n: products. titles: how many were counted. frequencies: (buckets,), how many of them have a gram. parts, sample:
    of rows to train centroids on, which are read when that begins: what comes into them meanwhile is as good. lists:
    how many centroids, 0 for none.
    """

    number: int
    n: int
    titles: int
    frequencies: NDArray[np.int32]
    parts: Sequence[Part]
    sample: NDArray[np.intp]
    lists: int

    def finish(self, switch_at: int) -> Epoch:
        """The epoch, for the owner of links to publish."""
        weights = document_weights(self.frequencies, self.titles)
        if not self.lists:
            return Epoch(self.number, switch_at, self.n, weights)
        sample = unit_rows(*(part.taken(self.sample) for part in self.parts))
        return Epoch(self.number, switch_at, self.n, weights, *centroids_of(sample, self.lists))


class CatalogueView:
    """A full copy of the catalogue. Not thread-safe: apply and look up on one thread.

    encoder: the name of the encoder whose vectors are compared; entries of another are known but never found.
    dense_dim: its dimension. flat_rows: products up to which epochs bring no centroids.
    texts, evidence: where facts, and what evidence has of texts, are kept; in memory unless said.
    inner_products: as of a `RowIndex`.
    matcher: decides in the place of the rule, where there is one. The same one in all workers.
    stale: the products whose newest entry in the log is an old version, written by a worker that had lost its
    partition, or does not read; see `stale_entries`.
    """

    def __init__(
        self,
        encoder: str,
        dense_dim: int,
        *,
        flat_rows: int = FLAT_ROWS,
        texts: Texts | None = None,
        evidence: Texts | None = None,
        inner_products: InnerProducts | None = None,
    ) -> None:
        self.encoder, self.dense_dim = encoder, dense_dim
        self.position = 0
        self.stale: set[str] = set()
        self.matcher: Matcher | None = None
        self.epoch = Epoch(0, 0, 0, flat_weights())
        self.evidence = EvidenceRows(evidence)
        self._flat_rows = flat_rows
        self._facts: dict[int, Facts] = {}
        self._texts = Gathered(MemoryTexts() if texts is None else texts)
        self._index = RowIndex(Part(dense_dim, DENSE_SHARE), Part(SKETCH_DIM, 1 - DENSE_SHARE), inner_products)
        self._before: list[_Before] = []  # the newest switch first
        self._next: _Next | None = None
        self._fresh: Cells | None = None  # that are to follow those which hold too much that moved
        self._chunks: dict[tuple[int, str], dict[int, EpochChunk]] = {}
        # How many titles have a gram, and how many there were. Each product counts once, with the title that came
        # first, and stays counted when it is deleted: to take back what it said would cost as much as to count it.
        self._frequencies = np.zeros(BUCKETS, np.int32)
        self._titles = 0
        # id -> its row, or source -> row where several have it
        self._rows_of: Spread[str, int | dict[int, int]] = Spread()
        self._asked: dict[str, int] = {}  # identity -> row, of those asked for last
        self._ids: list[str] = []
        self._free: list[int] = []
        self._live = 0
        self._deleted: dict[str, Entry] = {}
        self._counted_once: set[str] = set()  # of the deleted, those that are among the frequencies
        self._prefixes: dict[str, int] = {}  # what stands before the id of an identity -> number
        self._prefix_names: list[str] = []
        self._sources: dict[str, int] = {}
        self._topics: dict[str, int] = {}
        self._topic_names: list[str] = []
        self._encoders: dict[str, int] = {}
        self._encoder_names: list[str] = []
        self._foreign: dict[int, _Foreign] = {}
        # brand and currency that matching reads, where one of them is another by now; else None
        self._read_as: dict[int, tuple[str | None, str | None]] = {}
        self._head = np.zeros(0, _HEAD)
        self._at = np.zeros(0, np.int64)  # offset of the newest entry
        self._visible = np.zeros(0, np.int64)  # offset from which the row is seen; _HIDDEN for none
        self._prefix = np.zeros(0, np.int32)
        self._source = np.zeros(0, np.int32)
        self._first_seen = np.zeros(0, np.int64)
        self._digest = np.zeros(0, np.int64)  # of the identity
        self._counted = np.zeros(0, bool)  # whether the product is among the frequencies
        self._held = np.zeros(0, bool)  # whether there is a product in the row

    # -- what it knows

    def __len__(self) -> int:
        return self._live

    def __contains__(self, identity: object) -> bool:
        return isinstance(identity, str) and self._row(identity) >= 0

    def identities(self) -> Iterable[str]:
        """The products, in no order that means anything."""
        for found in self._rows_of.values():
            for row in (found,) if isinstance(found, int) else found.values():
                yield self.identity_at(row)

    def deleted(self) -> Iterable[str]:
        """The products that are known to be deleted."""
        return self._deleted.keys()

    def version_of(self, identity: str) -> Version | None:
        """The newest version applied, also of a deleted product; None for one never seen."""
        row = self._row(identity)
        if row >= 0:
            return self._version_at(row)
        entry = self._deleted.get(identity)
        return None if entry is None else entry.version

    def entry(self, identity: str) -> Entry | None:
        """The newest entry, as it would be published again; of a deleted product its deletion."""
        row = self._row(identity)
        if row < 0:
            return self._deleted.get(identity)
        foreign = self._foreign.get(row)
        vector = self._index.dense.values[row].copy() if foreign is None else foreign.vector
        return replace(self.entry_at(row), vector=vector, seen_from=self._seen_from(row))

    def peek(self, identity: str) -> Entry | None:
        """The newest entry as `entry` gives it, but without its vector: quicker."""
        row = self._row(identity)
        return self._deleted.get(identity) if row < 0 else self.entry_at(row)

    def standings(self, identities: Sequence[str]) -> list[Standing | None]:
        """Where the newest entry of each stands; None for a product never seen. Quicker than `peek`: reads no facts."""
        rows = np.array([self._row(identity) for identity in identities], np.intp)
        held = rows[rows >= 0]
        known = zip(self._head[held].tolist(), self._first_seen[held].tolist(), strict=True)
        found: list[Standing | None] = []
        for identity, there in zip(identities, (rows >= 0).tolist(), strict=True):
            if there:
                (*version, match_generation, match_offset, _, partition, _, topic, _), first_seen = next(known)
                match_version = Version(match_generation, match_offset)
                name = self._topic_names[topic]
                found.append(Standing(name, partition, Version(*version), match_version, first_seen, deleted=False))
            elif gone := self._deleted.get(identity):
                found.append(Standing(gone.topic, gone.partition, gone.version, gone.version, 0, deleted=True))
            else:
                found.append(None)
        return found

    def vector(self, identity: str) -> NDArray[np.int8] | None:
        """(d,) int8, the vector of a product that the view holds and whose encoder is its own; else None."""
        row = self._row(identity)
        return None if row < 0 or self._visible[row] == _HIDDEN else self._index.dense.values[row].copy()

    @property
    def foreign(self) -> int:
        """Products whose vectors another encoder made: they are known, and found by nobody."""
        return len(self._foreign)

    def foreign_rows(self) -> list[int]:
        """The rows of those products, in no order that means anything."""
        return list(self._foreign)

    def is_foreign(self, row: int) -> bool:
        """Whether a row still holds one of them."""
        return row in self._foreign

    def facts(self, identity: str) -> Facts | None:
        """What is known of a product; None for one that is deleted or was never seen."""
        row = self._row(identity)
        return None if row < 0 else self.facts_at(row)

    def packed(self, identities: Sequence[str]) -> list[tuple[str, bytes] | None]:
        """The topic that brings each product and its facts as `facts_from` reads them; None for one that is deleted or
        was never seen.
        """
        rows = np.array([self._row(identity) for identity in identities], np.intp)
        held = rows[rows >= 0]
        topics = map(self._topic_names.__getitem__, self._head["topic"][held].tolist())
        found = zip(topics, self._texts.get(held.tolist()), strict=True)
        return [next(found) if there else None for there in (rows >= 0).tolist()]

    def stale_entries(self) -> list[Entry]:
        """The entries that the owners of their partitions must publish again, or compaction would keep the old ones."""
        return [entry for identity in sorted(self.stale) if (entry := self.entry(identity)) is not None]

    def shadowed(self, identity: str, offset: int) -> None:
        """Note that the log holds something unreadable of this product at an offset, which compaction would keep."""
        row = self._row(identity)
        if identity in self._deleted or (row >= 0 and self._at[row] < offset):
            self.stale.add(identity)

    def by_product_id(self, product_id: str) -> str | None:
        """The identity with this id, where exactly one source has it: for events that name no source."""
        found = self._rows_of.among(product_id).get(product_id)
        return self.identity_at(found) if isinstance(found, int) else None

    def entry_at(self, row: int) -> Entry:
        """The entry of a row of `Hits`, without its vector."""
        generation, offset, match_generation, match_offset, match_price, partition, revision, topic, encoder = (
            self._head[row].item()
        )
        identity = self.identity_at(row)
        match_brand, match_currency = self._read_as.get(row, _AS_SAID)
        return Entry(
            identity,
            self._topic_names[topic],
            partition,
            Version(generation, offset),
            revision,
            Version(match_generation, match_offset),
            None if math.isnan(match_price) else match_price,
            self._encoder_names[encoder],
            _EMPTY,
            self.facts_at(row),
            match_brand=match_brand,
            match_currency=match_currency,
        )

    def match_versions(self, rows: NDArray[np.intp]) -> list[Version]:
        """The match version of the product of each of these rows of `Hits`."""
        head = self._head
        return [*map(Version, head["match_generation"][rows].tolist(), head["match_offset"][rows].tolist())]

    def match_prices(self, rows: NDArray[np.intp]) -> list[float | None]:
        """The price of the product of each of these rows of `Hits` at its match version; None where unknown."""
        return [None if price != price else price for price in self._head["match_price"][rows].tolist()]

    def facts_at(self, row: int) -> Facts:
        """What is known of the product of a row of `Hits`."""
        return self._facts.get(row) or self.facts_of((row,))[0]

    def facts_of(self, rows: Collection[int]) -> list[Facts]:
        """As `facts_at`, of many rows."""
        return recalled(self._facts, rows, _REMEMBERED, self._kept_facts)

    def facts_read_of(self, rows: Sequence[int]) -> list[Facts]:
        """As `facts_of`, as matching reads them."""
        found = self.facts_of(rows)
        if not self._read_as:
            return found
        return [as_read(facts, *self._read_as.get(row, _AS_SAID)) for row, facts in zip(rows, found, strict=True)]

    def _kept_facts(self, rows: Sequence[int]) -> list[Facts]:
        return [*map(facts_from, map(self.identity_at, rows), self._texts.get(rows))]

    def identity_at(self, row: int) -> str:
        """The identity of the product of a row of `Hits`."""
        return f"{self._prefix_names[self._prefix[row]]}{self._ids[row]}"

    def marks_at(self, rows: NDArray[np.intp]) -> NDArray[np.int64]:
        """A mark of the product in each row of `Hits`, by which `still_at` knows it again."""
        return self._digest[rows]

    def still_at(self, rows: NDArray[np.intp], marks: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Whether these rows still hold the products that had these marks."""
        return np.asarray(self._held[rows] & (self._digest[rows] == marks))

    def row_of(self, identity: str) -> int:
        """The row of a product that the view holds. Raises: KeyError."""
        row = self._row(identity)
        if row < 0:
            raise KeyError(identity)
        return row

    def sources(self, rows: NDArray[np.intp]) -> NDArray[np.intp]:
        """A number for the source of each of these rows of `Hits`."""
        return self._source[rows].astype(np.intp)

    def former(self, positions: NDArray[np.int64]) -> NDArray[np.intp]:
        """(n,) how many epochs before the newest one held at these catalogue offsets, of those that are known still."""
        switches = np.array([before.switch for before in self._before], np.int64)
        return np.asarray((positions[:, None] < switches).sum(axis=1), np.intp)

    def weights_for(self, former: NDArray[np.intp]) -> tuple[NDArray[np.uint8], NDArray[np.intp]]:
        """(epochs, buckets) weights of words, and (n,) which of them holds. former: as in `Hits`, just searched."""
        known = [self.epoch.weights, *(before.weights for before in self._before)][: int(former.max(initial=0)) + 1]
        return np.stack(known) if len(known) > 1 else known[0][None], former

    def offset_at(self, row: int) -> int:
        """The catalogue offset of the newest entry of a row of `Hits`."""
        return int(self._at[row])

    def offsets_at(self, rows: NDArray[np.intp]) -> NDArray[np.int64]:
        """The same of many rows."""
        return self._at[rows]

    def packed_at(self, rows: Sequence[int]) -> list[bytes]:
        """What is known of the products of these rows, as `facts_from` reads it."""
        return self._texts.get(rows)

    def _row(self, identity: str) -> int:
        row = self._asked.get(identity, -1)
        if row < 0 and (row := self._row_named(identity)) >= 0:
            if len(self._asked) >= _REMEMBERED:
                self._asked.clear()
            self._asked[identity] = row
        return row

    def _row_named(self, identity: str) -> int:
        prefix, product_id = _halves(identity)
        found = self._rows_of.among(product_id).get(product_id, -1)
        number = self._prefixes.get(prefix, -1)
        if isinstance(found, int):
            return found if found >= 0 and self._prefix[found] == number else -1
        return found.get(number, -1)

    def _version_at(self, row: int) -> Version:
        head = self._head[row]
        return Version(int(head["generation"]), int(head["offset"]))

    # -- the log

    def apply(self, items: Sequence[tuple[int, Entry | EpochChunk]], position: int) -> None:
        """Apply what `decode_entries` gave: (catalogue offset, entry or part of an epoch), in order of offset.

        position: the offset after the last record of the fetch, also of one that did not decode.
        """
        batch = _Applied()
        self._keep_pace(position)
        for offset, item in items:
            if self._next is not None and offset >= self._next.epoch.switch_at:
                self._flush(batch)
                self._switch(self._next)
            if isinstance(item, EpochChunk):
                self._collect(offset, item)
            else:
                self._apply_one(offset, item, batch)
        self._flush(batch)
        self.position = max(self.position, position)
        if self._next is not None and self.position >= self._next.epoch.switch_at:
            self._switch(self._next)
        while self._before and self.position > self._before[-1].switch + _KEEP_SKETCHES:
            self._before.pop()
        held = self._index.cells
        if held is not None and held.steps > _WAITING:  # nobody keeps up beside the stream: a search would have to
            held.work(1 + len(items) // 128)
        self._tidy()

    def _tidy(self) -> None:
        """Fill new cells where the old ones hold many rows that moved or went, and then use them."""
        index = self._index
        if index.cells is None or self._next is not None:
            self._fresh = None
        elif self._fresh is None:
            if index.cells.added > 2 * self._live + _MOVED_ROWS:
                self._fresh = Cells(self.epoch.centroids, self.epoch.codebook, index.unit)
                self._fresh.offer(np.flatnonzero(self._visible[: len(index)] != _HIDDEN))
        elif self._fresh.behind:
            self._fresh.work(1)  # somebody may do more of it beside the stream
        else:
            index.cells, self._fresh = self._fresh, None

    def _apply_one(self, offset: int, entry: Entry, batch: _Applied) -> None:
        identity = entry.identity
        row = self._row(identity)
        was = None
        if row >= 0:
            was = self._head[row].item()
            newest: tuple[Version, int] | None = (Version(was[0], was[1]), was[6])
        else:
            gone = self._deleted.get(identity)
            newest = None if gone is None else (gone.version, gone.revision)
        if newest is not None and (entry.version, entry.revision) < newest:
            self.stale.add(identity)
            return
        if self.stale:
            self.stale.discard(identity)
        if entry.deleted:
            self._deleted[identity] = entry
            if row >= 0:
                self._remove(identity, row)
                batch.remove(row)
            return
        ours = entry.encoder == self.encoder and len(entry.vector) == self.dense_dim
        if was is None:
            row = self._add(identity, batch)
            self._deleted.pop(identity, None)
            self._counted[row] = identity in self._counted_once
            self._counted_once.discard(identity)
            renewed = True
        else:
            renewed = (was[2], was[3]) != entry.match_version or (self._visible[row] != _HIDDEN) != ours
        if entry.seen_from is not None:
            seen_from = entry.seen_from
        elif was is not None and (was[2], was[3]) == entry.match_version:
            seen_from = self._seen_from(row)
        else:
            # Of an entry that carries an older match version the log no longer says when that was published
            # (compaction took it): everyone may see it, which repeats a link at most.
            seen_from = offset if entry.match_version == entry.version else -1
        self._visible[row] = seen_from if ours else _HIDDEN
        self._at[row] = offset
        self._first_seen[row] = entry.facts.first_seen
        self._head[row] = (
            *entry.version,
            *entry.match_version,
            math.nan if entry.match_price is None else entry.match_price,
            entry.partition,
            entry.revision,
            _number(self._topics, self._topic_names, entry.topic),
            _number(self._encoders, self._encoder_names, entry.encoder),
        )
        self._texts.put((row,), (packed_facts(entry.facts),))
        if len(self._facts) >= _REMEMBERED:
            self._facts.clear()
        self._facts[row] = entry.facts  # that will be asked for next
        self._foreign.pop(row, None)
        self._read_as.pop(row, None)
        if (read_as := (entry.match_brand, entry.match_currency)) != _AS_SAID:
            self._read_as[row] = read_as
        if ours:
            batch.vectors[row] = entry.vector
            if not self._counted[row]:
                self._counted[row] = True
                batch.first.append(entry)
        else:
            self._foreign[row] = _Foreign(seen_from, entry.vector)
        if renewed:
            batch.renewed.pop(row, None)  # as if it came alone: behind those that came before it
        if renewed or row in batch.renewed:
            batch.renewed[row] = entry
        else:
            batch.again[row] = None

    def _seen_from(self, row: int) -> int:
        """The offset from which a row is seen, or would be if its vector were of the view's own encoder."""
        foreign = self._foreign.get(row)
        return int(self._visible[row]) if foreign is None else foreign.seen_from

    def _add(self, identity: str, batch: _Applied) -> int:
        prefix, product_id = _halves(identity)
        number = _number(self._prefixes, self._prefix_names, prefix)
        if self._free:
            row = self._free.pop()
            batch.removed.pop(row, None)  # all that was there is overwritten
            self._ids[row] = product_id
        else:
            row = len(self._ids)
            self._ids.append(product_id)
            if row >= len(self._at):
                self._make_room(row + 1)
        self._visible[row], self._held[row] = _HIDDEN, True
        self._prefix[row] = number
        source = split_identity(identity)[0]
        self._source[row] = self._sources.setdefault(source, len(self._sources))
        digest = hashlib.blake2b(identity.encode(errors="replace"), digest_size=8).digest()
        self._digest[row] = int.from_bytes(digest, "big", signed=True)
        self._name_row(product_id, number, row)
        return row

    def _make_room(self, rows: int) -> None:
        for name in (*_COLUMNS, "_held"):
            setattr(self, name, grown(getattr(self, name), rows))

    def _name_row(self, product_id: str, prefix: int, row: int) -> None:
        named = self._rows_of.among(product_id)
        found = named.get(product_id)
        if found is None:
            named[product_id] = row
        elif isinstance(found, int):
            named[product_id] = {int(self._prefix[found]): found, prefix: row}
        else:
            found[prefix] = row
        self._live += 1

    def _remove(self, identity: str, row: int) -> None:
        """The view has this product no more. What is known of it is there until the row is emptied."""
        if self._counted[row]:
            self._counted_once.add(identity)
        _, product_id = _halves(identity)
        named = self._rows_of.among(product_id)
        found = named[product_id]
        if isinstance(found, int):
            del named[product_id]
        else:
            del found[int(self._prefix[row])]
            if len(found) == 1:
                (named[product_id],) = found.values()
        self._live -= 1
        self._leave(row)

    def _leave(self, row: int) -> None:
        """A row is without a product from now on."""
        self._asked.pop(self.identity_at(row), None)
        self._ids[row] = ""
        self._visible[row], self._held[row] = _HIDDEN, False
        self._foreign.pop(row, None)
        self._read_as.pop(row, None)
        self._facts.pop(row, None)
        self._free.append(row)

    def _empty(self, rows: Sequence[int]) -> None:
        """Forget what was known of the products that had these rows."""
        self._texts.drop(rows)
        self.evidence.drop(rows)
        index = np.array(rows, np.intp)
        self._index.drop(index)
        if self._next is not None:
            self._next.sketches.clear(index)

    def _flush(self, batch: _Applied) -> None:
        """Compute the rows of what was applied."""
        if batch.removed:
            self._empty([*batch.removed])
        self._texts.flush()
        counted = not batch.first
        if batch.renewed:
            fresh = list(batch.renewed)
            entries = list(batch.renewed.values())
            folded = [fold(entry.facts.title) for entry in entries]
            facts = [entry.facts_read for entry in entries]
            readings = self._readings(entries, folded, facts)
            self.evidence.put(fresh, folded, facts, [e.match_price for e in entries], readings)
            mine = [i for i, row in enumerate(fresh) if row in batch.vectors]
            if mine:
                rows = np.array([fresh[i] for i in mine], np.intp)
                counts = gram_counts([readings.sketched[i].decode() for i in mine])
                self._put(rows, np.stack([batch.vectors[fresh[i]] for i in mine]), counts)
                # While a catalogue grows all are new, so that the same grams serve for both.
                if not counted and [id(entries[i]) for i in mine] == [*map(id, batch.first)]:
                    self._count(counts, readings.tokens[mine])
                    counted = True
        if not counted:
            folded, facts = [fold(e.facts.title) for e in batch.first], [e.facts_read for e in batch.first]
            readings = self._readings(batch.first, folded, facts)
            self._count(gram_counts([text.decode() for text in readings.sketched]), readings.tokens)
        again = [row for row in batch.again if row in batch.vectors and row not in batch.renewed]
        if again:
            rows = np.array(again, np.intp)
            dense = np.stack([batch.vectors[row] for row in again])
            moved = (dense != self._index.dense.values[rows]).any(axis=1)
            if moved.any():
                rows = rows[moved]
                self._put(rows, dense[moved], gram_counts(self.evidence.sketched(rows.tolist())))
        batch.clear()

    def _readings(self, entries: Sequence[Entry], folded: Sequence[str], facts: Sequence[Facts]) -> Readings:
        """What these entries' texts say: what they carry, where this program made it; the others are read."""
        packed = [entry.reading for entry in entries]
        rest = [i for i, one in enumerate(packed) if not fits(one, EVIDENCE_MARK)]
        if len(rest) == len(packed):
            return read(folded, facts)
        if rest:
            found = read([folded[i] for i in rest], [facts[i] for i in rest])
            for i, one in zip(rest, pack(found, EVIDENCE_MARK), strict=True):
                packed[i] = one
        return unpack(packed)

    def _count(self, counts: GramCounts, tokens: NDArray[np.uint32]) -> None:
        """Add titles to the frequencies. tokens: (n, TOKENS) of `Readings`."""
        count(counts.bucket, self._frequencies)
        count((tokens[tokens != 0] & WORD_MASK).astype(np.intp), self._frequencies)
        self._titles += len(tokens)

    def _put(self, rows: NDArray[np.intp], dense: NDArray[np.int8], counts: GramCounts) -> None:
        self._index.put(rows, dense, quantised(sketch(counts, self.epoch.weights)))
        if self._fresh is not None:
            self._fresh.offer(rows)
        coming = self._next
        if coming is None:
            return
        # Rows that are to be sketched anew later are sketched then.
        done = np.flatnonzero(rows < coming.done)
        if len(done):
            coming.sketches.put(rows[done], quantised(sketch(counts.of(done), coming.epoch.weights)))
            if coming.cells is not None:
                coming.cells.offer(rows[done])

    # -- epochs

    def _collect(self, offset: int, chunk: EpochChunk) -> None:
        newest = self.epoch if self._next is None else self._next.epoch
        if chunk.number <= newest.number:
            return
        parts = self._chunks.setdefault((chunk.number, chunk.token), {})
        parts[chunk.part] = chunk
        epoch = join_chunks(parts.values(), BUCKETS, self.dense_dim + SKETCH_DIM)
        if epoch is None:
            return
        self._chunks = {key: value for key, value in self._chunks.items() if key[0] > epoch.number}
        epoch = replace(epoch, switch_at=max(epoch.switch_at, offset + 1))
        sketches, cells = Part(SKETCH_DIM, 1 - DENSE_SHARE), None
        if len(epoch.centroids):
            cells = Cells(epoch.centroids, epoch.codebook, lambda rows: self._index.unit(rows, sketches))
        self._next = _Next(epoch, offset, sketches, cells)

    def prepare(self, rows: int) -> bool:
        """Sketch up to this many rows for the epoch that is to come; whether some are left.

        Called now and then while the stream goes on, so that little is left to do at the switch.
        """
        coming, n = self._next, len(self._index)
        if coming is None:
            return False
        last = min(n, coming.done + rows)
        live = np.flatnonzero(self._visible[coming.done : last] != _HIDDEN) + coming.done
        if len(live):
            counts = gram_counts(self.evidence.sketched(live.tolist()))
            coming.sketches.put(live, quantised(sketch(counts, coming.epoch.weights)))
            if coming.cells is not None:
                coming.cells.offer(live)
        coming.done = last
        return last < n

    def _keep_pace(self, position: int) -> None:
        """Do what the coming epoch needs by this position and nobody has done between fetches or beside the stream, so
        that nothing is left at its switch.
        """
        coming = self._next
        if coming is None:
            return
        share = coming.share(position)
        due = math.ceil(share * len(self._index))
        if due > coming.done:
            self.prepare(due - coming.done)
        if coming.cells is not None:
            coming.cells.keep_pace(share, len(self._index))

    @property
    def switching(self) -> bool:
        """Whether an epoch is known that does not hold yet."""
        return self._next is not None

    @property
    def cells(self) -> Cells | None:
        """The cells that rows wait for, those to come first. Their `work` may be called on any thread."""
        if self._next is not None:
            return self._next.cells
        return self._fresh or self._index.cells

    def _switch(self, coming: _Next) -> None:
        """From here on this epoch holds."""
        while self.prepare(4096):
            pass
        index, n = self._index, len(self._index)
        coming.sketches.room(n)
        self._before.insert(0, _Before(coming.epoch.switch_at, index.sketch, self.epoch.weights, index.cells))
        self.epoch, self._next = coming.epoch, None
        index.sketch, index.cells = coming.sketches, coming.cells

    def draft_epoch(self) -> EpochDraft:
        """What the next epoch follows from, for the owner of links: the first title of each product that was there."""
        newest = self.epoch if self._next is None else self._next.epoch
        rows = np.flatnonzero(self._visible[: len(self._index)] != _HIDDEN)
        lists = lists_for(len(rows)) if len(rows) >= self._flat_rows else 0
        sample = np.random.default_rng(1).choice(rows, min(len(rows), sample_for(lists)), replace=False)
        sample.sort()
        parts, counted = (self._index.dense, self._index.sketch), self._frequencies.copy()
        return EpochDraft(newest.number + 1, len(rows), self._titles, counted, parts, sample, lists)

    def make_epoch(self, margin: int) -> Epoch:
        """The next epoch at once, as `draft_epoch` and `finish` give it.

        margin: how many offsets after this view's position it is to hold; what is published meanwhile should fit in.
        """
        return self.draft_epoch().finish(self.position + margin)

    @property
    def counted(self) -> int:
        """Products that the newest epoch counted, also of one that does not hold yet; 0 before the first."""
        return (self.epoch if self._next is None else self._next.epoch).n

    # -- snapshots

    @property
    def epochs(self) -> tuple[int, ...]:
        """The number of the epoch, and the switches of which is known what was before."""
        return self.epoch.number, *(before.switch for before in self._before)

    @property
    def rows(self) -> int:
        """Rows, those without a product among them."""
        return len(self._ids)

    def block(self, first: int, last: int) -> list[NDArray[Any]]:
        """Everything about the rows from first to before last, to be given to `restore`.

        The blocks of one snapshot may be taken one after another while the log goes on: who restores them applies the
        log again from where the first was taken, and what is there already changes nothing; but products that came
        meanwhile may be counted twice for the weights of words. `epochs` must be the same for all blocks.
        """
        rows = np.flatnonzero(self._held[first : min(last, self.rows)]) + first
        parts = [self._index.dense, self._index.sketch, *(before.sketches for before in self._before)]
        for part in parts:
            part.room(self.rows)
        numbers = rows.tolist()
        foreign = [self._foreign.get(row) for row in numbers]
        return [
            rows,
            *(getattr(self, name)[rows] for name in _COLUMNS),
            *join_texts([self._ids[row].encode("utf-8", "surrogatepass") for row in numbers]),
            *join_texts(self._texts.get(numbers)),
            *join_texts([b"" if one is None else _PLACE.pack(one.seen_from) + one.vector.tobytes() for one in foreign]),
            *join_texts([orjson.dumps(self._read_as[row]) if row in self._read_as else b"" for row in numbers]),
            *(array[rows] for part in parts for array in (part.values, part.weights)),
            *self.evidence.block(rows),
        ]

    def rest(self) -> tuple[dict[str, Any], list[NDArray[Any]]] | None:
        """What is of no row, ready for JSON and as arrays; None while an epoch is about to hold."""
        if self._next is not None:
            return None
        epoch = self.epoch
        gone = [
            (e.identity, e.topic, e.partition, *e.version, e.revision, *e.match_version, identity in self._counted_once)
            for identity, e in self._deleted.items()
        ]
        chunks = [chunk.encode()[1].hex() for parts in self._chunks.values() for chunk in parts.values()]
        tables = {
            "epoch": (epoch.number, epoch.switch_at, epoch.n),
            "before": [(before.switch, before.cells is not None) for before in self._before],
            "chunks": chunks,
            "rows": self.rows,
            "indexed": len(self._index),
            "prefixes": self._prefix_names,
            "sources": list(self._sources),
            "topics": self._topic_names,
            "encoders": self._encoder_names,
            "stale": sorted(self.stale),
            "titles": self._titles,
            "deleted": gone,
            "evidence": EVIDENCE_MARK.hex(),
        }
        weights = [before.weights for before in self._before]
        return tables, [epoch.weights, epoch.centroids, epoch.codebook, self._frequencies.copy(), *weights]

    def restore(
        self,
        position: int,
        tables: Mapping[str, Any],
        arrays: Sequence[NDArray[Any]],
        blocks: Iterable[Sequence[NDArray[Any]]],
        cells: Sequence[NDArray[Any]] = (),
    ) -> None:
        """Take back, in a new view, what `rest`, `block` and `Cells.dump` gave.

        position: of the view when the first of them was taken. Raises: ValueError, KeyError, TypeError or IndexError
        for what they did not give; the view is of no use then.
        """
        number, switch_at, n = tables["epoch"]
        weights, centroids, codebook, frequencies, *before = arrays
        self.epoch = Epoch(number, switch_at, n, weights, centroids, codebook)
        self._frequencies[:] = frequencies
        self._titles = tables["titles"]
        for name in tables["prefixes"]:
            _number(self._prefixes, self._prefix_names, name)
        for name in tables["topics"]:
            _number(self._topics, self._topic_names, name)
        for name in tables["encoders"]:
            _number(self._encoders, self._encoder_names, name)
        self._sources = {name: i for i, name in enumerate(tables["sources"])}
        self._ids = [""] * tables["rows"]
        self._make_room(tables["rows"])
        self._visible[: tables["rows"]] = _HIDDEN
        self._before = [
            _Before(switch, Part(SKETCH_DIM, 1 - DENSE_SHARE), weights, None)
            for (switch, _), weights in zip(tables["before"], before, strict=True)
        ]
        for block in blocks:
            self._restore_block(block, parsed=tables["evidence"] == EVIDENCE_MARK.hex())
        for identity, topic, partition, generation, offset, revision, *match, counted in tables["deleted"]:
            version = Version(generation, offset)
            entry = Entry(identity, topic, partition, version, revision, Version(*match), deleted=True)
            row = self._row(identity)
            if row >= 0 and (version, revision) >= (self._version_at(row), int(self._head[row]["revision"])):
                self._remove(identity, row)
                self._empty([row])
                row = -1
            if row < 0:
                self._deleted[identity] = entry
                if counted:
                    self._counted_once.add(identity)
        for chunk in tables["chunks"]:
            self._collect(0, EpochChunk.decode(bytes.fromhex(chunk)))
        self._free = np.flatnonzero(~self._held[: self.rows])[::-1].tolist()
        self._index.resize(tables["indexed"])
        # Cells of before are gone, and looking at every row instead takes too long.
        self._before = [b for b, (_, cells) in zip(self._before, tables["before"], strict=True) if not cells]
        if len(centroids):
            self._index.cells = Cells(centroids, codebook, self._index.unit)
            if cells:
                self._index.cells.load(cells)
            else:
                self._index.cells.offer(np.flatnonzero(self._visible[: self.rows] != _HIDDEN))
        self.stale = set(tables["stale"])
        self.position = position

    def _restore_block(self, block: Sequence[NDArray[Any]], *, parsed: bool) -> None:
        """parsed: whether the evidence in it is what this program would find."""
        rows, rest = block[0], list(block[1:])
        if not len(rows):
            return
        for name in _COLUMNS:
            getattr(self, name)[rows] = rest.pop(0)
        ids, texts, foreign, read_as = (split_texts(rest.pop(0), rest.pop(0)) for _ in range(4))
        numbers = rows.tolist()
        self._held[rows] = True
        self._texts.put(numbers, texts)
        for row in numbers:
            self._facts.pop(row, None)
        self._texts.flush()
        parts = [self._index.dense, self._index.sketch, *(before.sketches for before in self._before)]
        for part in parts:
            part.room(self.rows)
            part.values[rows], part.weights[rows] = rest.pop(0), rest.pop(0)
        facts: list[Facts] = []
        for row, raw, text, kept, names in zip(numbers, ids, texts, foreign, read_as, strict=True):
            self._ids[row] = raw.decode("utf-8", "surrogatepass")
            if kept:
                (seen_from,) = _PLACE.unpack_from(kept)
                self._foreign[row] = _Foreign(seen_from, np.frombuffer(kept, np.int8, offset=_PLACE.size))
            if names:
                brand, currency = orjson.loads(names)
                self._read_as[row] = brand, currency
            facts.append(as_read(facts_from(self.identity_at(row), text), *self._read_as.get(row, _AS_SAID)))
        if parsed:
            self.evidence.restore(numbers, facts, rest)
        else:
            prices = self._head["match_price"][rows].tolist()
            folded = [fold(fact.title) for fact in facts]
            self.evidence.put(numbers, folded, facts, [None if math.isnan(price) else price for price in prices])
        for row in numbers:
            identity = self.identity_at(row)
            other = self._row(identity)
            if other >= 0:  # it moved to another row between two blocks
                newer = [(self._version_at(r), int(self._head[r]["revision"])) for r in (row, other)]
                if newer[0] <= newer[1]:
                    self._leave(row)
                    self._empty([row])
                    continue
                self._remove(identity, other)
                self._empty([other])
                self._counted_once.discard(identity)
            self._name_row(self._ids[row], int(self._prefix[row]), row)

    # -- lookups

    def lookup(self, identities: Sequence[str], k: int = 24) -> Neighbours:
        """The k nearest products of each of these, of those that were published before it; never itself."""
        return self.neighbours(self.search(identities, k))

    def neighbours(self, hits: Hits) -> Neighbours:
        """What a search found, as detectors see it."""
        lines = [[row for row in line if row >= 0] for line in hits.neighbours.tolist()]
        facts = iter(self.facts_of([*chain.from_iterable(lines)]))
        return Neighbours([[*islice(facts, len(line))] for line in lines], hits.scores, hits.dense)

    def search(
        self,
        identities: Sequence[str],
        k: int = 24,
        *,
        clean: bool = False,
        exact: bool = False,
        as_matched: bool = False,
        deciding: bool = True,
        newest_epoch: bool = False,
    ) -> Hits:
        """Search for neighbours and candidates of these products at once; without `deciding` for neighbours alone.

        clean: of two records of one source neither is a candidate for the other. exact: look at every row even where
        there are cells. as_matched: see what was there when the product's matching fields last changed, and not what
        came before a new price of it: as it was asked then. Where compaction has taken that offset away, that of the
        newest entry stands in. newest_epoch: with the sketches and cells of now, also for what came before the switch.
        """
        held = np.array([self._row(identity) for identity in identities], np.intp)
        position, seen = np.full(len(held), -1, np.int64), np.full(len(held), _HIDDEN)
        there = held >= 0
        position[there], seen[there] = self._at[held[there]], self._visible[held[there]]
        row = np.where(seen == _HIDDEN, -1, held)
        if as_matched:
            position = np.where((seen >= 0) & (seen != _HIDDEN), seen, position)
        n = len(row)
        k = max(k, 1)
        neighbours = np.full((n, k), -1, np.intp)
        scores = np.full((n, k), -1, np.float32)
        candidates = np.full((n, CANDIDATES + _SHARED), -1, np.intp)
        similarity = np.full((n, CANDIDATES + _SHARED), -1, np.float32)
        asked = np.flatnonzero(row >= 0)
        former = np.zeros(n, np.intp) if newest_epoch else self.former(position)
        index = self._index
        for ago in np.unique(former[asked]).tolist():
            group = asked[former[asked] == ago]
            then = self._before[ago - 1] if ago else None
            cells, sketches = (index.cells, None) if then is None else (then.cells, then.sketches)
            step = max(1, _BLOCK // max(1, len(index))) if exact or cells is None else _AT_ONCE
            for i in range(0, len(group), step):
                part = group[i : i + step]
                proposed: NDArray[np.intp] | None = None
                if exact or cells is None:
                    products = index.products(row[part], sketches)
                else:
                    proposed, products = index.propose(row[part], cells, sketches)
                self._search(
                    part, row[part], position[part], k, clean, deciding, proposed, products, sketches,
                    neighbours, scores, candidates, similarity,
                )  # fmt: skip
        dense = self.dense_of(row, neighbours)
        return Hits(identities, row, position, former, neighbours, scores, dense, candidates, similarity)

    def _search(
        self,
        part: NDArray[np.intp],
        rows: NDArray[np.intp],
        limit: NDArray[np.int64],
        k: int,
        clean: bool,
        deciding: bool,
        proposed: NDArray[np.intp] | None,
        products: NDArray[np.float32],
        before: Part | None,
        neighbours: NDArray[np.intp],
        scores: NDArray[np.float32],
        candidates: NDArray[np.intp],
        similarity: NDArray[np.float32],
    ) -> None:
        """proposed: the rows that the products are with, None for all. before: the sketches of before, to be used."""
        columns = np.arange(products.shape[1])[None] if proposed is None else proposed

        def best(most: int, rows_out: NDArray[np.intp], scores_out: NDArray[np.float32], *, clean: bool) -> None:
            found, near = np.full((len(rows), most), -1, np.intp), np.full((len(rows), most), -1, np.float32)
            nearest(
                columns, products, rows, limit, self._visible, self._source, clean, self._first_seen, self._digest,
                found, near,
            )  # fmt: skip
            rows_out[part, :most], scores_out[part, :most] = found, near

        best(k, neighbours, scores, clean=False)
        if not deciding:
            return
        if clean or k < CANDIDATES:
            best(CANDIDATES, candidates, similarity, clean=clean)
        else:
            candidates[part, :CANDIDATES] = neighbours[part, :CANDIDATES]
            similarity[part, :CANDIDATES] = scores[part, :CANDIDATES]
        self._add_sharing(part, rows, limit, clean, before, candidates, similarity)

    def _add_sharing(
        self,
        part: NDArray[np.intp],
        rows: NDArray[np.intp],
        limits: NDArray[np.int64],
        clean: bool,
        before: Part | None,
        candidates: NDArray[np.intp],
        similarity: NDArray[np.float32],
    ) -> None:
        """Candidates that share a code or GTIN, however their words differ, before the others: those that are near
        too, then the rarest, then the latest.
        """
        wider: list[tuple[int, list[int], list[int]]] = []  # a place in `part`, the line's new order, who comes into it
        shared = self.evidence.sharing(rows)
        for n, (i, row, limit, sharing) in enumerate(
            zip(part.tolist(), rows.tolist(), limits.tolist(), shared, strict=True)
        ):
            if not sharing:
                continue
            there = candidates[i, :CANDIDATES].tolist()
            more = sorted(
                (common, -int(self._first_seen[other]), int(self._digest[other]), other)
                for other, common in sharing.items()
                if other not in there
                and self._visible[other] < limit
                and not (clean and self._source[other] == self._source[row])
            )
            others = [other for *_, other in more[:_SHARED]]
            named = [j for j, other in enumerate(there) if other in sharing]
            rest = [j for j, other in enumerate(there) if other not in sharing]
            wider.append((n, [*named, *range(CANDIDATES, CANDIDATES + len(others)), *rest], others))
        if not wider:
            return
        lines = np.array([n for n, _, _ in wider])
        more_rows = np.array([others + [-1] * (_SHARED - len(others)) for _, _, others in wider], np.intp)
        found = self._index.scores(rows[lines], more_rows, before)
        for i, (_, order, others), scores in zip(part[lines].tolist(), wider, found, strict=True):
            last = CANDIDATES + len(others)
            candidates[i, CANDIDATES:last] = others
            similarity[i, CANDIDATES:last] = scores[: len(others)]
            candidates[i, :last] = candidates[i, order]
            similarity[i, :last] = similarity[i, order]

    def turns(self, identities: Sequence[str], most: int) -> list[Sequence[str]]:
        """These products in parts to be looked up one after another, each of `most` or, where a search has to look at
        every row of a large catalogue, of fewer: so that none takes long. At least one part, of none where there are
        none.
        """
        flat = np.array([self._index.cells is None, *(before.cells is None for before in self._before)])
        if flat.any():
            held = np.array([row for identity in identities if (row := self._row(identity)) >= 0], np.intp)
            if flat[self.former(self._visible[held])].any():
                most = max(1, min(most, _COMPARED // max(1, len(self._index))))
        return [identities[i : i + most] for i in range(0, max(1, len(identities)), most)]

    def dense_of(self, row: NDArray[np.intp], neighbours: NDArray[np.intp]) -> NDArray[np.float32]:
        """(n, k) likeness of the encoder's vectors alone, -1 for none. row: (n,), neighbours: (n, k), of `Hits`."""
        out = np.full(neighbours.shape, -1, np.float32)
        part = self._index.dense
        for i in range(0, len(row), _AT_ONCE):
            rows, others = row[i : i + _AT_ONCE], neighbours[i : i + _AT_ONCE]
            if (others >= 0).any():
                found = np.zeros(others.shape, np.float32)
                part.add_products_with(np.maximum(rows, 0), others, found)
                out[i : i + _AT_ONCE] = np.where(others >= 0, found / np.float32(DENSE_SHARE), np.float32(-1))
        return out


@dataclass(slots=True)
class _Applied:
    """What was applied and not yet computed.

    renewed: rows of which something changed that matching reads, with their entry. again: the others. first: entries
    of products that are to be counted. removed: rows that were left, and are to be emptied.
    """

    renewed: dict[int, Entry] = field(default_factory=dict)
    again: dict[int, None] = field(default_factory=dict)
    vectors: dict[int, NDArray[np.int8]] = field(default_factory=dict)
    first: list[Entry] = field(default_factory=list)
    removed: dict[int, None] = field(default_factory=dict)

    def remove(self, row: int) -> None:
        """Leave out a row whose product is gone."""
        self.removed[row] = None
        self.renewed.pop(row, None)
        self.again.pop(row, None)
        self.vectors.pop(row, None)

    def clear(self) -> None:
        """Everything is computed."""
        self.renewed.clear()
        self.again.clear()
        self.vectors.clear()
        self.first.clear()
        self.removed.clear()


def _halves(identity: str) -> tuple[str, str]:
    """What stands before the id of an identity, with the slash, and the id."""
    source, slash, product_id = identity.partition("/")
    return source + slash, product_id


def _number(numbers: dict[str, int], names: list[str], name: str) -> int:
    """The number of a name, a new one for a new name."""
    number = numbers.setdefault(name, len(names))
    if number == len(names):
        names.append(name)
    return number
