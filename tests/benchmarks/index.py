"""The catalogue view at ten thousand, a hundred thousand and a million products, on one core.

    make bench-index
    python -m tests.benchmarks.index [--sizes 10000,100000] [--data FOLDER] [--fresh] [--only PART]

Products with titles recombined from real ones (see `titles`) are written once as the catalogue topic would hold them,
then read by a process of its own for each size as a worker reads them; epochs are made where they are due. Measured:
lookups in batches of 256; hit (the exact best match above cosine .6 is among the ten); partner_share (true partners
found in the ten, as a share of what exact search finds); resident memory per product, everything included; the longest
pause of the stream (a step that applies, searches or prepares an epoch; deciding about what was found is the same work
however large the index is); the cost of a record of all but the encoder; the start from a snapshot and from the topic.
Products are looked up as the stream does it: those that came last. All entries carry what was read of their texts, as
those of new texts do; what that takes whoever publishes them (read_us) is in the cost of a record, not in upsert_us.
That cost (cost_ms_per_record) is of the last records of the growth while no epoch is made beside the stream, and each
one's share of what epochs took the stream (epochs_us): drafting them, reading them, sketching the rows that were there.
What is done beside the stream is not in it, but the two share a machine: cost_ms_with_epoch is the same while an epoch
is made, its centroids or its cells, of the records that come before those; null where none is made then.

Rates and costs are of the CPU time of the stream's own thread, so that a busy machine does not blur them; starts are
of the clock, and so are pauses, less what the thread waited for a core that somebody else had (Linux says so). What
the thread beside the stream waited for one while the stream waited for it is still in them: longest_pause_cpu_ms is
the longest step in CPU time. encoder_titles_per_s says how fast the machine is. Writes build/bench-index.json.
"""

from __future__ import annotations

import argparse
import json
import os
import pickle
import random
import struct
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from numpy.typing import NDArray

from detectors.duplicates.candidates import statements
from detectors.duplicates.entry import Entry, decode_entries, encode_entry, quantise
from detectors.duplicates.epoch import Epoch, EpochPolicy, epoch_chunks
from detectors.duplicates.evidence import EVIDENCE_MARK
from detectors.duplicates.offer import with_readings
from detectors.duplicates.view import CANDIDATES, CatalogueView
from detectors.records import Facts, StoredRecord, Version
from models.encoder import load_encoder
from streams.settings import Settings
from streams.worker.catalogue import SKETCHED_AT_ONCE
from streams.worker.follower import LIVE_RECORDS
from streams.worker.garbage import collect_seldom
from streams.worker.products import LOOKUP_BATCH
from streams.worker.snapshot import SnapshotHead, SnapshotWriter, load_snapshot
from streams.worker.text_file import TextFile
from tests.benchmarks.titles import Vocabulary, made_titles, marketplace_vocabulary, vocabulary_of

ROOT = Path(__file__).resolve().parents[2]
BUILD = ROOT / "build"
SIZES = (10_000, 100_000, 1_000_000)
FETCH = LOOKUP_BATCH
_LOOKUPS = 8192
_ASKED = 1024  # products, and pairs of them, whose exact neighbours are computed
_CHANGED = 4096
_SEARCHED_FETCHES = 200  # of the growth, spread evenly: fetches whose products are looked up and decided at once
# The last of the growth, for the cost per record, and as many before them; where there are few, a quarter of all each.
_COST_FETCHES = 40
_RECORD = struct.Struct("<HIHH")
_Record = tuple[bytes, bytes | None, Sequence[tuple[str, bytes]]]  # key, value, headers
_SAYS_WAITING = Path("/proc/thread-self/schedstat")  # of the thread that opens it
_SCHEDULED = os.open(_SAYS_WAITING, os.O_RDONLY) if _SAYS_WAITING.exists() else -1


def say(text: str, *, end: str = "\n") -> None:
    """A line of progress."""
    sys.stderr.write(text + end)
    sys.stderr.flush()


def now() -> tuple[float, float, float]:
    """In seconds: the clock, what this thread had of a core, and what it waited for one while it could have gone on."""
    waited = int(os.pread(_SCHEDULED, 99, 0).split()[1]) / 1e9 if _SCHEDULED >= 0 else 0.0
    return time.perf_counter(), time.thread_time(), waited


# -- the topic as a file


def write_topic(path: Path, size: int, vocabulary: Vocabulary) -> None:
    """The catalogue topic of `size` made products, and beside it the true partners, by number."""
    encoder = load_encoder("static", cache_dir=Settings().cache_dir)
    partners: list[tuple[int, int]] = []
    draft, started = path.with_suffix(".draft"), time.monotonic()
    rng = random.Random(7)
    with draft.open("wb") as file:
        made = made_titles(vocabulary, size)
        for start in range(0, size, 4096):
            part = [next(made) for _ in range(min(4096, size - start))]
            vectors = quantise(encoder.encode([product.title for product in part]))
            entries = []
            for n, (product, vector) in enumerate(zip(part, vectors, strict=True), start):
                if product.partner >= 0:
                    partners.append((product.partner, n))
                facts = Facts(
                    f"shop{rng.randrange(20)}/{n}",
                    title=product.title,
                    description=product.description,
                    brand=product.title.split(" ")[0][:30],
                    category="Electronics > Accessories",
                    price=round(rng.lognormvariate(3.5, 1), 2),
                    currency="USD",
                    first_seen=1_700_000_000_000 + n,
                )
                entries.append(_entry(facts, n, encoder.name, vector))
            for record in _encoded(entries):
                _write(file, *record)
            say(f"\r  writing {size:,} products: {(start + len(part)) / size:4.0%}", end="")
    say(f", {time.monotonic() - started:.0f} s")
    draft.replace(path)
    path.with_suffix(".json").write_text(
        json.dumps({"encoder": encoder.name, "dim": encoder.dim, "partners": partners, "read_by": EVIDENCE_MARK.hex()}),
        "utf-8",
    )


def _is_written(path: Path) -> bool:
    """Whether the topic is there, read by this program."""
    about = path.with_suffix(".json")
    if not path.is_file() or not about.is_file():
        return False
    return bool(json.loads(about.read_text("utf-8")).get("read_by") == EVIDENCE_MARK.hex())


def _entry(facts: Facts, n: int, encoder: str, vector: NDArray[np.int8]) -> Entry:
    version = Version(0, n)
    return Entry(
        facts.identity,
        "products",
        n % 4,
        version,
        match_version=version,
        match_price=facts.price,
        encoder=encoder,
        vector=vector,
        facts=facts,
    )


def _encoded(entries: Sequence[Entry]) -> list[_Record]:
    """Entries as a worker publishes them."""
    return [encode_entry(entry) for entry in with_readings(entries, EVIDENCE_MARK)]


def _write(file: Any, key: bytes, value: bytes, headers: Sequence[tuple[str, bytes]]) -> None:
    ((name, content),) = headers
    file.write(_RECORD.pack(len(key), len(value), len(name), len(content)) + key + value + name.encode() + content)


def read_topic(path: Path) -> Iterator[list[_Record]]:
    """Records in fetches."""
    fetch: list[_Record] = []
    with path.open("rb", buffering=1 << 20) as file:
        while head := file.read(_RECORD.size):
            key, value, name, content = map(file.read, _RECORD.unpack(head))
            fetch.append((key, value, [(name.decode(), content)]))
            if len(fetch) == FETCH:
                yield fetch
                fetch = []
    if fetch:
        yield fetch


# -- one size, in a process of its own


def _log(fetch: Sequence[_Record], offset: int) -> list[StoredRecord]:
    """The records of the catalogue topic from this offset on."""
    return [StoredRecord("catalogue", 0, offset + n, 0, *record) for n, record in enumerate(fetch)]


class Growth:
    """Feeds a topic into a view, as a worker that is also the owner of links does."""

    def __init__(self, view: CatalogueView) -> None:
        self.view = view
        self.policy = EpochPolicy()
        self.longest: dict[str, tuple[float, int]] = {}  # by step: seconds, and the size of the catalogue then
        self.busiest = 0.0  # seconds of this thread's CPU time in one step
        self.preparing = 0.0  # seconds of it for epochs
        self.epochs: list[tuple[int, bytes, bytes]] = []  # offset, key, value
        self._pool = ThreadPoolExecutor(2)
        self._working: Future[None] | None = None
        self._drafting: Future[Epoch] | None = None

    def apply(self, fetch: Sequence[_Record]) -> float:
        """Apply a fetch, as many records at once as a worker does; seconds."""
        return sum(self._apply_some(fetch[i : i + LIVE_RECORDS]) for i in range(0, max(1, len(fetch)), LIVE_RECORDS))

    def _apply_some(self, records: Sequence[_Record]) -> float:
        """Apply records and do what is to be done beside the stream; seconds of the records themselves."""
        seconds = self._apply(records)
        view = self.view
        started = now()
        if view.prepare(SKETCHED_AT_ONCE) or view.switching:
            self.preparing += self.step("prepare an epoch", started)
        self._epoch()
        if view.cells is not None and view.cells.behind and (self._working is None or self._working.done()):
            self._working = self._pool.submit(view.cells.work)
        return seconds

    def _apply(self, fetch: Sequence[_Record]) -> float:
        if not fetch:
            return 0.0
        log = _log(fetch, self.view.position)
        started = now()
        decoded = decode_entries(log)
        self.view.apply(decoded.items, decoded.position)
        seconds = self.step("apply", started)
        assert not decoded.skipped, decoded.skipped[0]
        return seconds

    def _epoch(self) -> None:
        view = self.view
        if self._drafting is None:
            if not self.policy.due(len(view), view.counted):
                return
            started = now()
            draft = view.draft_epoch()
            self.preparing += self.step("draft an epoch", started)
            self._drafting = self._pool.submit(draft.finish, 0)
        if self._drafting.done():
            epoch, self._drafting = self._drafting.result(), None
            margin = self.policy.margin(len(view), cells=bool(len(epoch.centroids)))
            epoch = replace(epoch, switch_at=view.position + margin)
            chunks = [chunk.encode() for chunk in epoch_chunks(epoch)]
            self.epochs += [(view.position + n, *chunk) for n, chunk in enumerate(chunks)]
            self.preparing += self._apply([(*chunk, []) for chunk in chunks])

    def read(self, fetch: Sequence[_Record]) -> float:
        """Read the texts of records, as whoever publishes them does; seconds."""
        entries = [entry for _, entry in decode_entries(_log(fetch, 0)).items if isinstance(entry, Entry)]
        started = time.thread_time()
        with_readings(entries, EVIDENCE_MARK)
        return time.thread_time() - started

    @property
    def drafting(self) -> bool:
        """Whether an epoch is being made."""
        return self._drafting is not None

    def rest(self) -> None:
        """Do all that a coming epoch needs by now, as a stream does that has some time between fetches."""
        if self._drafting is not None:
            self._drafting.result()
            self._epoch()
        more = True
        while more:
            started = now()
            more = self.view.prepare(SKETCHED_AT_ONCE)
            self.preparing += self.step("prepare an epoch", started)
        self.settle()

    def settle(self) -> None:
        """Wait for what is done beside the stream, as on a machine that has a core for it."""
        for future in (self._drafting, self._working):
            if future is not None:
                future.result()
        if self.view.cells is not None:
            self.view.cells.work()

    def step(self, name: str, started: tuple[float, float, float]) -> float:
        """Note a step of the stream that began at `started`, by `now`; its seconds of this thread's CPU time."""
        wall, spent, waited = (b - a for a, b in zip(started, now(), strict=True))
        paused = max(spent, wall - waited)
        if paused > self.longest.get(name, (0.0, 0))[0]:
            self.longest[name] = paused, len(self.view)
        self.busiest = max(self.busiest, spent)
        return spent

    def decide(self, identities: Sequence[str]) -> float:
        """Search and state, as of records that were just read back; seconds."""
        seconds = 0.0
        for turn in self.view.turns(identities, LOOKUP_BATCH):
            started = now()
            hits = self.view.search(turn, CANDIDATES)
            seconds += self.step("search", started)
            begun = time.thread_time()
            statements(self.view, hits)
            seconds += time.thread_time() - begun
        return seconds


def measure(path: Path, size: int) -> dict[str, Any]:
    """All figures of one size but the starts."""
    about = json.loads(path.with_suffix(".json").read_text("utf-8"))
    process = psutil.Process()
    texts = [TextFile(BUILD / "bench-index") for _ in range(2)]
    view = CatalogueView(about["encoder"], about["dim"], texts=texts[0], evidence=texts[1])
    growth = Growth(view)
    _warm(about)
    collect_seldom()
    before = process.memory_info().rss
    fetches = -(-size // FETCH)
    every = max(1, fetches // _SEARCHED_FETCHES)
    identity_of: list[str] = []
    applied = decided = read_us = 0.0
    measured = cost_fetches(fetches)
    costs: list[float] = []
    with_epoch: list[float] = []
    started = time.monotonic()
    for number, fetch in enumerate(read_topic(path)):
        last = number >= fetches - measured
        making = fetches - 2 * measured <= number < fetches - measured and (growth.drafting or view.switching)
        if number == fetches - measured:
            growth.rest()
        reading = growth.read(fetch) if last or making else 0.0
        spent = growth.apply(fetch)
        applied += spent
        names = [key.decode() for key, _, _ in fetch]
        identity_of += names
        if number % every == 0 or last or making:
            seconds = growth.decide(names)
            decided += seconds
            if last or making:
                (costs if last else with_epoch).append((reading + spent + seconds) / len(fetch))
            if last:
                read_us += reading / len(fetch) / measured * 1e6
        if number % 200 == 0:
            say(f"\r  growing to {size:,}: {(number + 1) / fetches:4.0%}", end="")
    grown = time.monotonic() - started
    pauses = {name: (round(took * 1e3, 1), at) for name, (took, at) in growth.longest.items()}
    say(f", {grown:.0f} s; longest steps in ms, and at how many products: {pauses}")
    growth.settle()
    names_bytes = sum(sys.getsizeof(name) for name in identity_of) + sys.getsizeof(identity_of)
    figures: dict[str, Any] = {
        "bytes_per_product": round((process.memory_info().rss - before - names_bytes) / size),
        "disk_bytes_per_product": round(sum(file.size for file in texts) / size),
        "topic_bytes_per_product": round(path.stat().st_size / size),
        "longest_pause_ms": max(took for took, _ in pauses.values()),
        "longest_pause_cpu_ms": round(growth.busiest * 1e3, 1),
        "pauses_ms": pauses,
        "grown_s": round(grown),
        "apply_us": round(applied / size * 1e6, 1),
        "read_us": round(read_us, 1),
        "epochs_us": round(growth.preparing / size * 1e6, 1),
        "cost_ms_per_record": round((float(np.median(costs)) + growth.preparing / size) * 1e3, 4),
        "cost_ms_with_epoch": (
            round((float(np.median(with_epoch)) + growth.preparing / size) * 1e3, 4) if with_epoch else None
        ),
    }
    rng = random.Random(3)
    asked = rng.sample(identity_of[-_LOOKUPS:], min(size, _LOOKUPS))
    spent = 0.0
    for i in range(0, len(asked), FETCH):
        started_at = time.thread_time()
        view.search(asked[i : i + FETCH], CANDIDATES)
        spent += time.thread_time() - started_at
    figures["lookups_per_s"] = round(len(asked) / spent)
    say(f"  {figures['lookups_per_s']:,} lookups/s; {figures['bytes_per_product']:,} bytes a product")
    figures |= _found(view, identity_of, asked[:_ASKED], about["partners"])
    # An epoch that is being made or about to hold is left to come: what is written is of one epoch, and what changes is
    # not sketched for another meanwhile.
    while growth.drafting or view.switching:
        growth.settle()
        growth.apply([])
        view.apply((), view.position + 10_000)
    growth.settle()
    path.with_suffix(".epochs").write_bytes(pickle.dumps(growth.epochs))
    snapshot = path.with_suffix(".snapshot")
    figures["snapshot_written_s"] = round(_save(view, snapshot), 2)
    figures["snapshot_bytes_per_product"] = round(snapshot.stat().st_size / size)
    figures |= _changes(growth, identity_of, rng)
    figures["encoder_titles_per_s"] = _encoder_speed(view, identity_of[:_CHANGED])
    return figures


def cost_fetches(fetches: int) -> int:
    """How many of the last fetches the cost per record is of; one at least, or there is no figure."""
    return max(1, min(_COST_FETCHES, fetches // 4))


def _encoder_speed(view: CatalogueView, identities: Sequence[str]) -> int:
    """Titles a second, as a measure of the machine."""
    encoder = load_encoder("static", cache_dir=Settings().cache_dir)
    titles = [facts.title for identity in identities if (facts := view.facts(identity)) is not None]
    encoder.encode(titles[:FETCH])
    started = time.process_time()  # its tokenizer has threads of its own
    encoder.encode(titles)
    return round(len(titles) / (time.process_time() - started))


def _new_view(about: dict[str, Any]) -> CatalogueView:
    """A view that keeps its texts as the worker's does."""
    texts, evidence = (TextFile(BUILD / "bench-index") for _ in range(2))
    return CatalogueView(about["encoder"], about["dim"], texts=texts, evidence=evidence)


def _warm(about: dict[str, Any]) -> None:
    """What is loaded once is not of the products: dictionaries of Chinese, tables of the sketch."""
    other = CatalogueView(about["encoder"], about["dim"])
    vector = np.ones(about["dim"], np.int8)
    made = [
        _entry(Facts(f"w/{n}", title=title, price=1.0), n, about["encoder"], vector)
        for n, title in enumerate(("Sony 电视机 繁體 X100", "Sony TV X100"))
    ]
    Growth(other).apply(_encoded(made))
    statements(other, other.search(["w/1"]))


def _found(
    view: CatalogueView, identity_of: Sequence[str], asked: Sequence[str], partners: Sequence[tuple[int, int]]
) -> dict[str, Any]:
    """hit and partner_share, against exact search."""
    some = random.Random(5).sample(list(partners), min(len(partners), _ASKED))
    later = [identity_of[b] for _, b in some]
    earlier = [view.row_of(identity_of[a]) for a, _ in some]
    best_there = best_found = exact_partners = found_partners = 0
    for i in range(0, len(asked), FETCH):
        exact, near = (view.search(asked[i : i + FETCH], CANDIDATES, exact=e) for e in (True, False))
        for line, (row, score) in enumerate(zip(exact.neighbours[:, 0], exact.scores[:, 0], strict=True)):
            if score > 0.6:
                best_there += 1
                # Another one as near as the best is as good.
                best_found += row in near.neighbours[line] or near.scores[line, 0] >= score
        say(f"\r  exact search: {(i + FETCH) / (len(asked) + len(later)):4.0%}", end="")
    for i in range(0, len(later), FETCH):
        part = earlier[i : i + FETCH]
        exact, near = (view.search(later[i : i + FETCH], CANDIDATES, exact=e) for e in (True, False))
        for row, there, found in zip(part, exact.neighbours.tolist(), near.neighbours.tolist(), strict=True):
            exact_partners += row in there
            found_partners += row in there and row in found
        say(f"\r  exact search: {min(1, (len(asked) + i + FETCH) / (len(asked) + len(later))):4.0%}", end="")
    figures = {
        "hit": round(best_found / max(1, best_there), 4),
        "partner_share": round(found_partners / max(1, exact_partners), 4),
        "partner_recall_exact": round(exact_partners / max(1, len(some)), 4),
    }
    say(f", hit {figures['hit']}, partner_share {figures['partner_share']}")
    return figures


def _changes(growth: Growth, identity_of: Sequence[str], rng: random.Random) -> dict[str, Any]:
    """upsert_us: a product gets another title (the old row goes, a new one comes). delete_us: it goes."""
    view = growth.view
    chosen = rng.sample(identity_of, min(len(identity_of) // 4, _CHANGED))
    fetches: list[list[_Record]] = []
    for i in range(0, len(chosen), FETCH):
        fetch = []
        for n, identity in enumerate(chosen[i : i + FETCH], i):
            entry = view.entry(identity)
            assert entry is not None
            facts = replace(entry.facts, title=f"{entry.facts.title} {n % 100}")
            fetch.append(_entry(facts, len(identity_of) + n, entry.encoder, entry.vector))
        fetches.append(_encoded(fetch))
    upserts = sum(growth.apply(fetch) for fetch in fetches)
    deletions = 0.0
    for i in range(0, len(chosen), FETCH):
        part = []
        for n, identity in enumerate(chosen[i : i + FETCH], i):
            version = Version(0, 2 * len(identity_of) + n)
            part.append(encode_entry(Entry(identity, "products", 0, version, match_version=version, deleted=True)))
        deletions += growth.apply(part)
    return {
        "upsert_us": round(upserts / len(chosen) * 1e6, 1),
        "delete_us": round(deletions / len(chosen) * 1e6, 1),
    }


def start_from_topic(path: Path) -> float:
    """Seconds until a view that reads the whole topic, with the epochs that were made in it, can be asked."""
    about = json.loads(path.with_suffix(".json").read_text("utf-8"))
    view = _new_view(about)
    _warm(about)
    with path.with_suffix(".epochs").open("rb") as file:
        epochs = pickle.load(file)
    started = time.perf_counter()
    last, size = b"", int(path.stem)
    for number, fetch in enumerate(read_topic(path)):
        offset = view.position
        parts: list[_Record] = []
        while epochs and epochs[0][0] <= offset:
            parts.append((*epochs.pop(0)[1:], []))
        decoded = decode_entries(_log([*parts, *fetch], offset))
        view.apply(decoded.items, decoded.position)
        last = fetch[-1][0]
        if number % 200 == 0:
            say(f"\r  start from the topic: {number * FETCH / size:4.0%}", end="")
    say("")
    view.search([last.decode()], CANDIDATES)
    return time.perf_counter() - started


def _save(view: CatalogueView, path: Path) -> float:
    """Write the view as the worker does, at once; seconds."""
    started = time.perf_counter()
    writer = SnapshotWriter(path, SnapshotHead.now("bench", view.encoder, view.dense_dim, view.position))
    for first in range(0, view.rows, 2048):
        writer.block(view.block(first, first + 2048))
    rest = view.rest()
    assert rest is not None
    writer.rest()
    writer.block([np.frombuffer(json.dumps(rest[0]).encode(), np.uint8), *rest[1]])
    writer.block(view.cells.dump() if view.cells is not None else [])
    writer.finish()
    return time.perf_counter() - started


def start_from_snapshot(path: Path) -> float:
    """Seconds until a view that is read from its snapshot can be asked."""
    about = json.loads(path.with_suffix(".json").read_text("utf-8"))
    view = _new_view(about)
    _warm(about)
    started = time.perf_counter()
    found = load_snapshot(path.with_suffix(".snapshot"), "bench", view.encoder, view.dense_dim, 0, 1 << 62, 0)
    assert found is not None
    (tables, *arrays), cells = found.rest
    view.restore(found.head.position, json.loads(tables.tobytes()), arrays, found.blocks, cells)
    view.search([view.identity_at(0)], CANDIDATES)
    return time.perf_counter() - started


# -- all sizes


def main() -> int:
    """Measure the sizes asked for and write build/bench-index.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", default=",".join(map(str, SIZES)), help="products, with commas between")
    parser.add_argument("--data", type=Path, help="folder with real titles; default: the evaluation data, if there")
    parser.add_argument("--fresh", action="store_true", help="write the products again")
    parser.add_argument(
        "--only", choices=("write", "measure", "starts"), help="one part of the work; the others as they were before"
    )
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--start", choices=("topic", "snapshot"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        path = BUILD / "bench-index" / f"{options.one}.topic"
        work = {"topic": start_from_topic, "snapshot": start_from_snapshot}.get(options.start)
        result = work(path) if work is not None else measure(path, options.one)
        sys.stdout.write(json.dumps(result) + "\n")
        return 0
    data = options.data or ROOT.parent / "shared" / "data"
    if options.data and not data.is_dir():
        say(f"There is no folder {data}; name one with real titles, or leave --data away.")
        return 2
    vocabulary = vocabulary_of(data) if data.is_dir() else marketplace_vocabulary()
    target = BUILD / "bench-index.json"
    figures = json.loads(target.read_text("utf-8")) if target.is_file() else {}
    (BUILD / "bench-index").mkdir(parents=True, exist_ok=True)
    for size in map(int, options.sizes.split(",")):
        path = BUILD / "bench-index" / f"{size}.topic"
        say(f"{size:,} products")
        if options.only in (None, "write") and (options.fresh or not _is_written(path)):
            write_topic(path, size, vocabulary)
        if not _is_written(path):
            say("There are no products here that this version of the program wrote: leave --only away once.")
            return 2
        known = figures.setdefault(str(size), {})
        if options.only in (None, "measure"):
            known.clear()
            known |= _child(size)
            target.write_text(json.dumps(figures, indent=1), "utf-8")
        if options.only in (None, "starts"):
            for start in ("snapshot", "topic"):
                known[f"start_from_{start}_s"] = round(_child(size, "--start", start), 2)
        target.write_text(json.dumps(figures, indent=1), "utf-8")
    sys.stdout.write(json.dumps(figures, indent=1) + "\n")
    return 0


def _child(size: int, *more: str) -> Any:
    command = [sys.executable, "-m", "tests.benchmarks.index", "--one", str(size), *more]
    alone = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, check=True, env={**os.environ, **alone})
    return json.loads(done.stdout)


if __name__ == "__main__":
    sys.exit(main())
