"""One worker's way of products over rows of files, without Kafka: the catalogue's log is kept in memory."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from detectors.contract.model import Contract, Feed
from detectors.duplicates.candidates import statements
from detectors.duplicates.entry import Entry, EntryError, decode_entries, encode_entry, quantise
from detectors.duplicates.epoch import EpochPolicy, epoch_chunks
from detectors.duplicates.links import LinkOwner
from detectors.duplicates.offer import facts_of, next_entry
from detectors.duplicates.statement import SAME, VARIANT, Candidate, Statement
from detectors.duplicates.view import CatalogueView, Hits
from detectors.intake import Intake, Taken
from detectors.records import SourceRecord, StoredRecord, split_identity
from models.protocol import Encoder
from models.whole_numbers import exact_inner_products

__all__ = ["STAGES", "Looked", "Run"]

STAGES = ("read", "intake", "encode", "apply", "search", "state", "link")


@dataclass(frozen=True, slots=True)
class Looked:
    """What a product's newest lookup gave: candidates, best first, and how alike they are, 0-1."""

    candidates: tuple[str, ...]
    similarity: tuple[float, ...]


class Run:
    """Takes records in as the worker does, and keeps what measuring needs.

    keep_below: keep statements that name candidates from this score on, for a threshold curve; None keeps none.
    observe: is shown every search before it is stated. took: is shown what became of the records.

    identity: (number of the file, id) -> identity. order: of each identity, the number of the row that it was looked
    up with. accepted, refused: numbers of rows, with the identity where they were taken. said: the newest statement
    of each. seconds: by stage.
    """

    def __init__(
        self,
        contract: Contract,
        encoder: Encoder,
        *,
        keep_below: float | None = None,
        observe: Callable[[CatalogueView, Hits], None] | None = None,
        took: Callable[[Taken], None] = lambda taken: None,
    ) -> None:
        self.clean = contract.feed is Feed.CLEAN
        self.view = CatalogueView(encoder.name, encoder.dim, inner_products=exact_inner_products())
        self.owner = LinkOwner()
        self.identity: dict[tuple[int, str], str] = {}
        self.order: dict[str, int] = {}
        self.accepted: dict[int, str] = {}
        self.refused: set[int] = set()
        self.looked: dict[str, Looked] = {}
        self.said: dict[str, Statement] = {}
        self.said_below: list[Statement] = []
        self.seconds = dict.fromkeys(STAGES, 0.0)
        self._keep_below = keep_below
        self._observe = observe
        self._took = took
        self._intake = Intake(contract)
        self._encoder = encoder
        self._epochs = EpochPolicy()
        self._log_end = 0

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Counts the time spent inside for one of `STAGES`."""
        started = time.perf_counter()
        yield
        self.seconds[name] += time.perf_counter() - started

    def take(self, records: Sequence[SourceRecord]) -> None:
        """Publish, read back, look up, state, link: as the worker does."""
        with self.stage("intake"):
            taken = self._intake.take(records)
        self._took(taken)
        self.refused.update(rejection.source.offset for rejection in taken.rejections)
        entries = self._entries(taken)
        if not entries:
            return
        with self.stage("apply"):
            self._append([encode_entry(entry) for entry in entries])
        # A new price says nothing new about links.
        speaking = list(dict.fromkeys(entry.identity for entry in entries if entry.match_version == entry.version))
        with self.stage("search"):
            hits = self.view.search(speaking, clean=self.clean)
        if self._observe is not None:
            self._observe(self.view, hits)
        with self.stage("state"):
            said = statements(self.view, hits, clean=self.clean)
        with self.stage("link"):
            self.owner.apply(said)
        for identity, rows, alike in zip(speaking, hits.candidates.tolist(), hits.similarity.tolist(), strict=True):
            there = [(self.view.identity_at(row), x) for row, x in zip(rows, alike, strict=True) if row >= 0]
            self.looked[identity] = Looked(tuple(i for i, _ in there), tuple(x for _, x in there))
        self.said.update((statement.identity, statement) for statement in said)
        if self._keep_below is not None:
            self.said_below += statements(self.view, hits, clean=self.clean, threshold=self._keep_below)
        if self._epochs.due(len(self.view), self.view.counted):
            with self.stage("apply"):
                self._append([(*chunk.encode(), []) for chunk in epoch_chunks(self.view.make_epoch(0))])

    def _entries(self, taken: Taken) -> list[Entry]:
        facts = facts_of(taken.batch)
        with self.stage("encode"):
            vectors = quantise(self._encoder.encode([fact.title for fact in facts])) if facts else ()
        entries: list[Entry] = []
        latest: dict[str, Entry] = {}
        for record, fact, vector in zip(taken.batch.records, facts, vectors, strict=True):
            source, version, identity = record.source, record.version, record.identity
            prior = latest.get(identity) or self.view.peek(identity)
            entry = next_entry(fact, prior, source.topic, source.partition, version, self._encoder.name, vector)
            latest[identity] = entry
            entries.append(entry)
            self.identity[source.partition, split_identity(identity)[1]] = identity
            self.accepted[source.offset] = identity
            if entry.match_version == version:
                self.order[identity] = source.offset
        return entries

    def _append(self, items: Iterable[tuple[bytes, bytes | None, list[tuple[str, bytes]]]]) -> None:
        log = [
            StoredRecord("catalogue", 0, offset, 0, key, value, headers)
            for offset, (key, value, headers) in enumerate(items, self._log_end)
        ]
        decoded = decode_entries(log)
        if decoded.skipped:
            raise EntryError(decoded.skipped[0].reason)
        self._log_end = decoded.position
        self.view.apply(decoded.items, decoded.position)

    def clusters(self) -> dict[str, str]:
        """Every product -> the canonical identity of its cluster."""
        return {identity: self.owner.canonical(identity) for identity in self.view.identities()}

    def relations(self) -> dict[str, int]:
        """How many pairs hold at the end, by relation: `same` are the links, the others what statements say beside."""
        return {SAME: len(self.owner.links()), VARIANT: len(self.variants())}

    def variants(self) -> list[tuple[str, Candidate]]:
        """(product, what it says to be a variant of it): each pair once, without those that are in one cluster."""
        cluster = self.clusters()
        found: dict[tuple[str, ...], tuple[str, Candidate]] = {}
        for statement in self.said.values():
            for candidate in statement.candidates:
                pair = statement.identity, candidate.identity
                if candidate.relation == VARIANT and cluster.get(pair[0]) != cluster.get(pair[1]):
                    found[tuple(sorted(pair))] = statement.identity, candidate
        return list(found.values())
