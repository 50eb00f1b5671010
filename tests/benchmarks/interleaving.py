"""Whether links depend on how the partitions of a topic are interleaved: `make chaos-duplicates` in a minute, offline.

Its stream of offers, over six partitions, goes through the worker's own classes in the order in which it was sent, and
then in orders that mix the partitions otherwise, as workers do that are quick, slow or gone for a while. Each line says
how many links differ from the first.

    python -m tests.benchmarks.interleaving [--seed 1] [--orders 3]
"""

from __future__ import annotations

import argparse
import random
import sys
from collections.abc import Sequence

from detectors.contract.load import sample_contract
from detectors.contract.model import Kind
from detectors.duplicates.candidates import statements
from detectors.duplicates.entry import Entry, decode_entries, encode_entry, quantise
from detectors.duplicates.epoch import EpochPolicy, epoch_chunks
from detectors.duplicates.links import LinkOwner
from detectors.duplicates.offer import facts_of, next_entry
from detectors.duplicates.view import CatalogueView
from detectors.intake import Intake
from detectors.records import StoredRecord, Version
from models.encoder import CachedEncoder
from sinks.partitioner import partitions_of
from tests.benchmarks.chaos_duplicates import PARTITIONS, stream
from tests.streams.worker.hashing import HashingEncoder


def links(records: Sequence[StoredRecord], encoder: CachedEncoder, batch: int) -> set[frozenset[str]]:
    """The pairs that hold after these records, handled in batches."""
    view, owner, epochs, end = CatalogueView(encoder.name, encoder.dim), LinkOwner(), EpochPolicy(), 0
    intake = Intake(sample_contract(Kind.PRODUCTS))

    def append(items: Sequence[tuple[bytes, bytes | None, Sequence[tuple[str, bytes]]]]) -> None:
        nonlocal end
        log = [StoredRecord("catalogue", 0, end + i, 0, key, value, more) for i, (key, value, more) in enumerate(items)]
        end += len(log)
        view.apply(decode_entries(log).items, end)

    for i in range(0, len(records), batch):
        latest: dict[str, Entry] = {}
        entries: list[Entry] = []
        for record in records[i : i + batch]:
            taken, version = intake.take([record]), Version(0, record.offset)
            if taken.tombstones:
                gone = taken.tombstones[0].identity
                entry = Entry(gone, record.topic, record.partition, version, match_version=version, deleted=True)
            else:
                (facts,) = facts_of(taken.batch)
                vector = quantise(encoder.encode([facts.title]))[0]
                prior = latest.get(facts.identity) or view.peek(facts.identity)
                entry = next_entry(facts, prior, record.topic, record.partition, version, encoder.name, vector)
            latest[entry.identity] = entry
            entries.append(entry)
        append([encode_entry(entry) for entry in entries])
        said = list(dict.fromkeys(e.identity for e in entries if e.deleted or e.match_version == e.version))
        owner.apply(statements(view, view.search(said, clean=True), clean=True))
        if epochs.due(len(view), view.counted):
            append([(*chunk.encode(), []) for chunk in epoch_chunks(view.make_epoch(0))])
    return {frozenset((link.later, link.earlier)) for link in owner.links()}


def main() -> int:
    """Run and print; exit code 1 where links differ."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--orders", type=int, default=3)
    options = parser.parse_args()
    seasons, encoder = stream(options.seed), CachedEncoder(HashingEncoder())
    rows = [row for season in seasons for row in (*season.growth, *season.pairs, *season.traffic)]
    parts: dict[int, list[StoredRecord]] = {p: [] for p in range(PARTITIONS)}
    sent = []
    for (key, value), p in zip(rows, partitions_of([key for key, _ in rows], PARTITIONS), strict=True):
        sent.append(StoredRecord("products", p, len(parts[p]), 0, key, value))
        parts[p].append(sent[-1])
    first, worst = links(sent, encoder, 64), 0
    for turn in range(options.orders):
        rng = random.Random(turn)
        left = {p: list(records) for p, records in parts.items() if records}
        mixed: list[StoredRecord] = []
        while left:
            p, n = rng.choice(sorted(left)), rng.choice((1, 20, 64, 200))
            mixed += left[p][:n]
            left[p] = left[p][n:]
            if not left[p]:
                del left[p]
        differing = first ^ links(mixed, encoder, rng.choice((7, 64)))
        worst = max(worst, len(differing))
        print(f"order {turn}: {len(differing)} of {len(first)} links differ", flush=True)  # noqa: T201 -- the result
    return 1 if worst else 0


if __name__ == "__main__":
    sys.exit(main())
