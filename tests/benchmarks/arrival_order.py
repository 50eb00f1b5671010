"""How much the clusters depend on the order in which offers come.

The rows of one or more files are streamed as they are and then in shuffled orders, through the worker's own classes;
every two orders are compared. Offers keep their times, so that only the order differs. With --window rows only change
places within so many, as where several workers read the partitions of one topic; with --flat-rows search is no longer
exact from so many products on.

    pairs      inside clusters, in the order of the files
    differing  pairs that one of two orders has and the other has not, on average over all two orders
    share      differing, of the pairs that either has

    python -m tests.benchmarks.arrival_order --contract C --data FILE [--data FILE] [--delimiter ,] [--shuffles 5]
        [--window 500] [--flat-rows 256]
"""

from __future__ import annotations

import argparse
import json
import random
import sys
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path

from detectors.contract.load import load_contract
from detectors.contract.model import Contract, Feed
from detectors.duplicates.candidates import statements
from detectors.duplicates.entry import decode_entries, encode_entry, quantise
from detectors.duplicates.epoch import EpochPolicy, epoch_chunks
from detectors.duplicates.index import FLAT_ROWS
from detectors.duplicates.links import LinkOwner
from detectors.duplicates.offer import facts_of, next_entry
from detectors.duplicates.view import CatalogueView
from detectors.intake import Intake
from detectors.records import StoredRecord
from models.encoder import CachedEncoder, load_encoder
from streams.files import read_rows
from streams.settings import Settings

BATCH = 64


def stream(
    contract: Contract, encoder: CachedEncoder, records: Sequence[StoredRecord], flat_rows: int
) -> set[frozenset[str]]:
    """The pairs inside clusters after these records."""
    view = CatalogueView(encoder.name, encoder.dim, flat_rows=flat_rows)
    owner, epochs, end = LinkOwner(), EpochPolicy(), 0
    intake, clean = Intake(contract), contract.feed is Feed.CLEAN

    def append(items: Sequence[tuple[bytes, bytes | None, Sequence[tuple[str, bytes]]]]) -> None:
        nonlocal end
        log = [StoredRecord("catalogue", 0, end + i, 0, key, value, more) for i, (key, value, more) in enumerate(items)]
        end += len(log)
        view.apply(decode_entries(log).items, end)

    for i in range(0, len(records), BATCH):
        batch = intake.take(records[i : i + BATCH]).batch
        facts = facts_of(batch)
        vectors = quantise(encoder.encode([fact.title for fact in facts]))
        entries = [
            next_entry(fact, view.peek(fact.identity), contract.topic, 0, record.version, encoder.name, vector)
            for record, fact, vector in zip(batch.records, facts, vectors, strict=True)
        ]
        append([encode_entry(entry) for entry in entries])
        said = list(dict.fromkeys(entry.identity for entry in entries))
        owner.apply(statements(view, view.search(said, clean=clean), clean=clean))
        if epochs.due(len(view), view.counted):
            append([(*chunk.encode(), []) for chunk in epoch_chunks(view.make_epoch(0))])
    groups = (owner.members(identity) for identity in owner.identities())
    return {frozenset(pair) for group in groups for pair in combinations(group, 2)}


def main() -> int:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--contract", type=Path, required=True)
    parser.add_argument("--data", type=Path, action="append", required=True)
    parser.add_argument("--delimiter", default=",")
    parser.add_argument("--shuffles", type=int, default=5)
    parser.add_argument("--window", type=int, default=0, help="shuffle within so many rows; 0: all of them")
    parser.add_argument("--flat-rows", type=int, default=FLAT_ROWS, help="products up to which search is exact")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    contract = load_contract(options.contract)
    encoder = CachedEncoder(load_encoder("static", cache_dir=Settings().cache_dir))
    rows = [(path, row.value) for path in options.data for row in read_rows(path, options.delimiter)]
    times = list(range(len(rows)))
    window = options.window or len(rows)
    rng = random.Random(options.seed)
    found = []
    for turn in range(options.shuffles + 1):
        parts = [times[i : i + window] for i in range(0, len(times), window)]
        order = times if turn == 0 else [n for part in parts for n in rng.sample(part, len(part))]
        records = [
            StoredRecord(contract.topic, 0, offset, n, None, rows[n][1], (("source", rows[n][0].stem.encode()),))
            for offset, n in enumerate(order)
        ]
        found.append(stream(contract, encoder, records, options.flat_rows))
        print(f"order {turn}: {len(found[-1]):,} pairs", file=sys.stderr)  # noqa: T201 -- progress
    apart = [(len(a ^ b), len(a ^ b) / max(1, len(a | b))) for a, b in combinations(found, 2)]
    figures = {
        "records": len(rows),
        "orders": len(found),
        "pairs": len(found[0]),
        "differing": round(sum(n for n, _ in apart) / len(apart), 1),
        "share": round(sum(share for _, share in apart) / len(apart), 4),
    }
    print(json.dumps(figures))  # noqa: T201 -- the result
    return 0


if __name__ == "__main__":
    sys.exit(main())
