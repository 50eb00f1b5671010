"""How well duplicates are found in files whose true pairs are known: the worker's own classes, without Kafka."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, repeat, zip_longest
from pathlib import Path

from detectors.contract.model import Contract, Feed, Kind
from detectors.duplicates.entry import Decoded, Entry, EntryError, decode_entries, encode_entry, quantise
from detectors.duplicates.epoch import EpochPolicy, epoch_chunks
from detectors.duplicates.links import LinkOwner
from detectors.duplicates.offer import facts_of, next_entry
from detectors.duplicates.statement import statements
from detectors.duplicates.view import CANDIDATES, CatalogueView
from detectors.intake import Intake, Taken
from detectors.records import SourceRecord, StoredRecord, split_identity
from models.protocol import Encoder
from streams.errors import InputError
from streams.files import FileError, Row, read_rows

__all__ = ["DuplicatesReport", "evaluate_duplicates"]

_BATCH = 256

Progress = Callable[[int], None]
"""Called with the number of records handled so far."""


@dataclass(frozen=True, slots=True)
class DuplicatesReport:
    """What was found, against the truth.

    records: products in the end. truth_unknown: true pairs of which a record is not in the data; not counted below.
    precision, recall, f1: over the pairs linked at the end. recall_at_1, recall_at_10: the share of true pairs whose
    earlier record was among the first 1 or 10 candidates of the later one. seconds: from the first record to the last.
    """

    records: int
    truth_unknown: int
    precision: float
    recall: float
    f1: float
    recall_at_1: float
    recall_at_10: float
    seconds: float


def evaluate_duplicates(
    contract: Contract,
    files: Sequence[Path],
    truth: Path,
    truth_columns: tuple[str, str],
    encoder: Encoder,
    *,
    delimiter: str = ",",
    interleave: bool = False,
    progress: Progress | None = None,
) -> DuplicatesReport:
    """Stream one or two files through the detectors and compare the links with the true pairs.

    With two files the first truth column names ids of the first file, the second those of the second. interleave:
    mix the files by position instead of one after the other.

    Raises: InputError (also where the data has none of the true pairs), FileError, models.EncoderError.
    """
    if contract.kind is not Kind.PRODUCTS:
        raise InputError("Duplicates are looked for among products.", "Give the contract of a product topic.")
    if not 1 <= len(files) <= 2:
        raise InputError(f"{len(files)} data files are given.", "Give --data once or twice.")
    pairs = list(_truth(truth, truth_columns, delimiter))
    run = _Run(contract, encoder)
    started = time.perf_counter()
    batch: list[SourceRecord] = []
    for number, (part, row) in enumerate(_rows(files, delimiter, interleave)):
        source = ("source", files[part].stem.encode())
        batch.append(StoredRecord(contract.topic, part, number, number, None, row.value, (source,)))
        if len(batch) == _BATCH:
            run.take(batch)
            batch.clear()
            if progress is not None:
                progress(number + 1)
    run.take(batch)
    if pairs and not run.knows_any(pairs, len(files) - 1):
        a, b = pairs[0]
        raise InputError(
            f"No pair of {truth} is in the data: it names {truth_columns[0]} {a!r} and {truth_columns[1]} {b!r}, "
            f"the data has {run.example or 'no product'}.",
            "Check the order of --data and of --truth-columns, --delimiter, and the column that the contract calls id.",
        )
    return run.report(pairs, time.perf_counter() - started, len(files) - 1)


def _rows(files: Sequence[Path], delimiter: str, interleave: bool) -> Iterator[tuple[int, Row]]:
    """(number of the file, row) in the order of the stream."""
    tagged = [zip(repeat(part), read_rows(path, delimiter)) for part, path in enumerate(files)]
    if not interleave:
        return chain.from_iterable(tagged)
    return (item for together in zip_longest(*tagged) for item in together if item is not None)


def _truth(path: Path, columns: tuple[str, str], delimiter: str) -> Iterable[tuple[str, str]]:
    for row in read_rows(path, delimiter):
        if row.fields is None:
            raise InputError(f"Row {row.number} of {path} does not fit its header.", "Check the file and --delimiter.")
        missing = [column for column in columns if column not in row.fields]
        if missing:
            there = ", ".join(row.fields)
            raise FileError(f"{path} has no column {missing[0]!r}, it has {there}: set --truth-columns or --delimiter.")
        yield str(row.fields[columns[0]]).strip(), str(row.fields[columns[1]]).strip()


class _Run:
    """One worker's way of products, the catalogue's log in memory."""

    def __init__(self, contract: Contract, encoder: Encoder) -> None:
        self._clean = contract.feed is Feed.CLEAN
        self._intake = Intake(contract)
        self._encoder = encoder
        self._view = CatalogueView(encoder.name, encoder.dim)
        self._owner = LinkOwner()
        self._epochs = EpochPolicy()
        self._log_end = 0
        self._identity: dict[tuple[int, str], str] = {}  # (file, id) -> identity
        self._order: dict[str, int] = {}
        self._candidates: dict[str, list[str]] = {}

    def take(self, records: Sequence[SourceRecord]) -> None:
        """Publish, read back, look up, state, link: as the worker does."""
        entries = self._entries(self._intake.take(records))
        if not entries:
            return
        self._append([encode_entry(entry) for entry in entries])
        # A new price says nothing new about links.
        speaking = list(dict.fromkeys(entry.identity for entry in entries if entry.match_version == entry.version))
        hits = self._view.search(speaking, clean=self._clean)
        self._owner.apply(statements(self._view, hits, clean=self._clean))
        for identity, rows in zip(speaking, hits.candidates[:, :CANDIDATES].tolist(), strict=True):
            self._candidates[identity] = [self._view.identity_at(row) for row in rows if row >= 0]
        if self._epochs.due(len(self._view), self._view.counted):
            self._append([(*chunk.encode(), []) for chunk in epoch_chunks(self._view.make_epoch(0))])

    def _entries(self, taken: Taken) -> list[Entry]:
        facts = facts_of(taken.batch)
        vectors = quantise(self._encoder.encode([fact.title for fact in facts])) if facts else ()
        entries: list[Entry] = []
        latest: dict[str, Entry] = {}
        for record, fact, vector in zip(taken.batch.records, facts, vectors, strict=True):
            source, version, identity = record.source, record.version, record.identity
            prior = latest.get(identity) or self._view.peek(identity)
            entry = next_entry(fact, prior, source.topic, source.partition, version, self._encoder.name, vector)
            latest[identity] = entry
            entries.append(entry)
            self._identity[source.partition, split_identity(identity)[1]] = identity
            if entry.match_version == version:
                self._order[identity] = source.offset
        return entries

    def _append(self, items: Iterable[tuple[bytes, bytes | None, list[tuple[str, bytes]]]]) -> None:
        log = [
            StoredRecord("catalogue", 0, offset, 0, key, value, headers)
            for offset, (key, value, headers) in enumerate(items, self._log_end)
        ]
        decoded: Decoded = decode_entries(log)
        if decoded.skipped:
            raise EntryError(decoded.skipped[0].reason)
        self._log_end = decoded.position
        self._view.apply(decoded.items, decoded.position)

    def knows_any(self, pairs: Iterable[tuple[str, str]], second: int) -> bool:
        """Whether both records of at least one pair are in the data. second: as in `report`."""
        return any((0, a) in self._identity and (second, b) in self._identity for a, b in pairs)

    @property
    def example(self) -> str | None:
        """The first id of the data, quoted; None where it has none."""
        return next((repr(identifier) for _, identifier in self._identity), None)

    def report(self, pairs: Iterable[tuple[str, str]], seconds: float, second: int) -> DuplicatesReport:
        """second: the number of the file whose ids the second truth column names."""
        unknown = 0
        true: set[tuple[str, str]] = set()
        for a, b in pairs:
            earlier, later = self._identity.get((0, a)), self._identity.get((second, b))
            if earlier is None or later is None:
                unknown += 1
                continue
            if self._order[later] < self._order[earlier]:
                earlier, later = later, earlier
            true.add((earlier, later))
        linked = {
            (link.earlier, link.later)
            if self._order[link.earlier] < self._order[link.later]
            else (link.later, link.earlier)
            for link in self._owner.links()
        }
        right = len(linked & true)
        precision, recall = right / max(1, len(linked)), right / max(1, len(true))
        at_1 = sum(a in self._candidates[b][:1] for a, b in true)
        at_10 = sum(a in self._candidates[b][:10] for a, b in true)
        return DuplicatesReport(
            records=len(self._view),
            truth_unknown=unknown,
            precision=round(precision, 4),
            recall=round(recall, 4),
            f1=round(2 * precision * recall / max(precision + recall, 1e-12), 4),
            recall_at_1=round(at_1 / max(1, len(true)), 4),
            recall_at_10=round(at_10 / max(1, len(true)), 4),
            seconds=round(seconds, 3),
        )
