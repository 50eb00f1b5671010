"""`make chaos-duplicates`: links, clusters and golden records are the same, whoever computes them and whatever dies.

Writes build/chaos-duplicates.json.

The same stream of offers (several of one product, then new prices, edits that move an offer to another product,
deletions, returns) is fed five times into a deployment of its own:

    undisturbed  one worker
    one, two, three  so many workers, which join while the stream runs, are killed with SIGKILL and are stopped for
                     longer than their session, so that they come back as zombies
    compacted    two workers; half way all stop, Kafka really compacts the catalogue, the mapping and the golden
                 records, and two workers that know nothing go on from what is left

Each run is compared with the undisturbed one, and the sums are written:

    workers, kills, stops, records  the most workers at once; SIGKILLs; SIGSTOPs; records that were handled
    differing_links     pairs that only one of both runs has
    differing_clusters  offers whose canonical product is another, or that are deleted in one run alone
    differing_golden    products whose golden record is another in any part, or is there in one run alone
    wrong_last_entries  offers whose last entry in the catalogue's log, which compaction keeps, is not their newest

Search is exact at this size. Links are compared without their scores: a score depends on the weights of the moment.
Repairs that look at neighbours are not applied: what neighbours say depends on who came first.

    python -m tests.benchmarks.chaos_duplicates [--seed 1] [--products 600] [--only three] [--keep FOLDER]

Exit code 1 where anything differs.
"""

from __future__ import annotations

import argparse
import json
import logging
import random
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
from kafka import KafkaProducer

from detectors.duplicates.entry import Entry, decode_entries
from detectors.duplicates.links import LinkOwner
from detectors.records import Version
from streams.kafka.broker import EmbeddedKafka
from streams.kafka.topics import ensure_topics, topics
from streams.settings import KafkaSettings, Settings, TopicNames
from streams.worker.generations import GENERATION_KEY
from tests.benchmarks.worker import ROOT, WorkerProcess
from tests.kafka_tools import make_topic, read_all, uncommitted, wait_until

RESULT = ROOT / "build" / "chaos-duplicates.json"
CONTRACT = ROOT / "detectors" / "contract" / "samples" / "products.yaml"
COMMAND = (sys.executable, str(ROOT / "tests" / "streams" / "worker" / "hashing.py"))
PARTITIONS = 6
SESSION_SECONDS = 6
CONTEXT_REPAIRS = ("price.scale", "price.currency", "brand.missing", "brand.typo", "category.missing")
COMPACTED = ("catalogue", "mapping", "golden")
EAGER = {
    "segment.ms": "1000",
    "min.compaction.lag.ms": "0",
    "min.cleanable.dirty.ratio": "0.01",
    "delete.retention.ms": "1000",
}

Row = tuple[bytes, bytes | None]


def say(text: str) -> None:
    """A line of progress."""
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)  # noqa: T201 -- progress


# -- the stream


def stream(seed: int, products: int) -> list[Row]:
    """Offers of `products` products in four shops, and what becomes of them, in one order."""
    rng = random.Random(seed)
    taken: set[str] = set()

    def word() -> str:
        while True:
            made = "".join(rng.choice("bdfgklmnprstvz") + rng.choice("aeiou") for _ in range(rng.randint(2, 4)))
            if made not in taken:
                taken.add(made)
                return made

    catalogue = []
    for n in range(products):
        words = [word() for _ in range(4)]
        kind = n % 4
        catalogue.append(
            {
                "words": words,
                "code": f"{words[0][:2].upper()}{1000 + n}{words[1][:1].upper()}" if kind != 2 else None,
                "gtin": gtin(n) if kind in (0, 1) else None,
                "price": rng.randint(5, 900),
                "shops": rng.sample(("east", "north", "south", "west"), 2 if kind == 2 else rng.randint(1, 4)),
            }
        )

    def offer(shop: str, sku: int, product: Mapping[str, Any], *, price: int, version: int) -> Row:
        words, code = list(product["words"]), product["code"]
        if code is not None:
            rng.shuffle(words)
        title = " ".join([*words, *([code] if code else [])])
        body = {
            "supplier": shop,
            "sku": str(sku),
            "title": title,
            "brand": "Acme",
            "category": "Things",
            "price": price,
            "currency": "EUR",
            "gtin": product["gtin"],
            "url": f"https://{shop}.example/{sku}",
            "description": f"{words[0]} of {shop}, made well. " * rng.randint(1, 3),
            "updated_at": f"2026-01-{1 + version:02}T00:00:{sku % 60:02}Z",
        }
        return f"{shop}/{sku}".encode(), orjson.dumps(body)

    timed: list[tuple[float, int, Row]] = []
    at = 0.0
    for n, product in enumerate(catalogue):
        for shop in product["shops"]:
            at += 1.0
            price = product["price"] + rng.randint(0, 3)
            events: list[Row] = [offer(shop, n, product, price=price, version=0)]
            fate = rng.random()
            if fate < 0.45:
                events += [offer(shop, n, product, price=price - 1 - i, version=1 + i) for i in range(2)]
                events[-1] = same_but_price(events[0], price - 2, 2)
            elif fate < 0.60:
                events.append(offer(shop, n, rng.choice(catalogue), price=price, version=1))
            elif fate < 0.70:
                events.append((events[0][0], None))
            elif fate < 0.80:
                events += [(events[0][0], None), offer(shop, n, product, price=price, version=2)]
            when = at
            for i, event in enumerate(events):
                timed.append((when, i, event))
                when += rng.choice((0.5, 3.0, 40.0, float(products)))
    return [event for _, _, event in sorted(timed, key=lambda e: (e[0], e[2][0], e[1]))]


def same_but_price(row: Row, price: int, version: int) -> Row:
    """The same offer with another price: matching reads nothing of it."""
    body = orjson.loads(row[1] or b"")
    body |= {"price": price, "updated_at": f"2026-01-{1 + version:02}T00:00:00Z"}
    return row[0], orjson.dumps(body)


def gtin(number: int) -> str:
    """A valid one."""
    digits = f"{400_000_000_000 + number * 97}"
    weighted = sum(int(digit) * (3 if place % 2 else 1) for place, digit in enumerate(digits))
    return f"{digits}{-weighted % 10}"


class Feed(threading.Thread):
    """Sends rows in order, as far as it is allowed, at a rate at which a worker has something to do for a while."""

    def __init__(self, servers: str, topic: str, rows: Sequence[Row], rate: float = 250.0) -> None:
        super().__init__(daemon=True)
        self._servers, self._topic, self._rows, self._rate = servers, topic, rows, rate
        self._allowed = threading.Semaphore(0)
        self._hurry = threading.Event()
        self._released = 0
        self.sent = 0

    def run(self) -> None:
        """In the thread."""
        producer = KafkaProducer(bootstrap_servers=self._servers, linger_ms=5, enable_idempotence=True, acks="all")
        for key, value in self._rows:
            self._allowed.acquire()
            producer.send(self._topic, key=key, value=value)
            self.sent += 1
            if not self._hurry.is_set():
                time.sleep(1 / self._rate)
        producer.flush(60)
        producer.close()

    def allow(self, share: float) -> None:
        """Send up to this share of the rows."""
        wanted = round(share * len(self._rows))
        if wanted > self._released:
            self._allowed.release(wanted - self._released)
            self._released = wanted

    def finish(self) -> None:
        """Send what is left, at once, and wait for it."""
        self._hurry.set()
        self.allow(1.0)
        self.join(60)


# -- a deployment


class Deployment:
    """A source topic and topics of its own, and workers by name."""

    def __init__(self, servers: str, folder: Path, name: str, eager: bool) -> None:
        self.servers, self.folder, self.name = servers, folder, name
        self.source = f"{name}-products"
        self.names = TopicNames(prefix=f"{name}.")
        settings = Settings(
            app_id=name,
            kafka=KafkaSettings(bootstrap_servers=servers),
            products={self.source: None},
            topics=self.names,
        )
        make_topic(servers, self.source, PARTITIONS)
        if eager:
            ours = {self.names.named(topic) for topic in COMPACTED}
            for topic in topics(settings):
                if topic.name in ours:
                    make_topic(servers, topic.name, 1, {**topic.configs, **EAGER})
        ensure_topics(settings)
        self._toml = {
            "app_id": name,
            "session_timeout_seconds": SESSION_SECONDS,
            "commit_interval_seconds": 0.3,
            "batch_records": 64,
            "log_format": "json",
            "auto_apply": {f'"{rule}"': 2.0 for rule in CONTEXT_REPAIRS},
            "kafka": {"bootstrap_servers": servers},
            "products": {self.source: str(CONTRACT)},
            "topics": {"prefix": self.names.prefix},
        }
        self.workers: dict[str, WorkerProcess] = {}
        self.exits = 0

    def start(self, name: str) -> WorkerProcess:
        """Start a worker, or start it again."""
        worker = self.workers.get(name)
        if worker is None:
            worker = WorkerProcess(self.folder, f"{self.name}-{name}", self._toml, None, COMMAND)
            self.workers[name] = worker
        worker.start()
        return worker

    def revive(self) -> None:
        """Start again what ended by itself: what a supervisor would do."""
        for worker in self.workers.values():
            if worker.process is not None and worker.process.poll() is not None:
                self.exits += 1
                worker.start()

    def lag(self) -> int:
        """Source records and statements that are not committed."""
        return uncommitted(self.servers, self.name, (self.source, self.names.named("links")))

    def worked_off(self, seconds: float) -> None:
        """Wait until nothing lags. Raises: RuntimeError."""

        def done() -> bool:
            self.revive()
            return self.lag() == 0

        # Twice: the last source batch is committed together with its statements, which are links' lag then.
        if not wait_until(done, seconds) or not wait_until(done, seconds):
            words = "\n".join(worker.last_words() for worker in self.workers.values())
            raise RuntimeError(f"{self.name}: {self.lag()} records still lag:\n{words}")

    def stop(self) -> None:
        """Stop all workers in good order."""
        for worker in self.workers.values():
            code = worker.stop()
            if code != 0:
                say(f"{self.name}: a worker ended with code {code}")
        self.workers.clear()

    def kill(self) -> None:
        """End whatever is left."""
        for worker in self.workers.values():
            worker.kill()


# -- what a run leaves


@dataclass
class Outcome:
    """What the topics say in the end."""

    links: set[frozenset[str]]
    canonical: dict[str, str | None]
    golden: dict[str, str]
    wrong: int
    records: int
    clusters: int


def outcome(deployment: Deployment) -> Outcome:
    """Read it."""
    servers, names = deployment.servers, deployment.names
    committed = {"isolation_level": "read_committed"}
    mapping: dict[str, Any] = {}
    for record in read_all(servers, names.named("mapping"), **committed):
        if record.value is not None:
            mapping[record.key.decode()] = orjson.loads(record.value)
    owner = LinkOwner()
    for identity, state in mapping.items():
        owner.load(identity, state)
    golden: dict[str, Any] = {}
    for record in read_all(servers, names.named("golden"), **committed):
        golden[record.key.decode()] = record.value and orjson.loads(record.value)
    source = read_all(servers, deployment.source)
    newest = {record.key.decode(): (record.offset, record.value is None) for record in source}
    wrong_now = 0

    def settled() -> bool:
        nonlocal wrong_now
        wrong_now = wrong(servers, names, newest)
        return wrong_now == 0

    wait_until(settled, 10)
    return Outcome(
        links={frozenset((link.later, link.earlier)) for link in owner.links()},
        canonical={i: None if state.get("deleted") else state["canonical"] for i, state in mapping.items()},
        golden={i: content(body) for i, body in golden.items() if body is not None},
        wrong=wrong_now,
        records=len(source),
        clusters=owner.clusters,
    )


def content(body: dict[str, Any]) -> str:
    """A golden record without how often and when it was said."""
    return orjson.dumps(
        {k: v for k, v in body.items() if k not in ("version", "processing_time")}, option=orjson.OPT_SORT_KEYS
    ).decode()


def wrong(servers: str, names: TopicNames, newest: Mapping[str, tuple[int, bool]]) -> int:
    """Offers whose last entry in the catalogue's log is not of their last source record.

    newest: offset of each offer's last source record, and whether that deletes it: then compaction may leave nothing.
    """
    log = [r for r in read_all(servers, names.named("catalogue")) if not r.key.startswith(GENERATION_KEY)]
    last = {item.identity: item.version for _, item in decode_entries(log).items if isinstance(item, Entry)}
    return sum(
        last.get(identity) != Version(0, offset) and not (deleted and identity not in last)
        for identity, (offset, deleted) in newest.items()
    )


@dataclass
class Sum:
    """Over all runs."""

    workers: int = 1
    kills: int = 0
    stops: int = 0
    joins: int = 0
    compactions: int = 0
    records: int = 0
    differing_links: int = 0
    differing_clusters: int = 0
    differing_golden: int = 0
    wrong_last_entries: int = 0
    unplanned_exits: int = 0

    def add(self, name: str, run: Outcome, calm: Outcome) -> None:
        """Compare a run with the undisturbed one."""
        links = run.links ^ calm.links
        clusters = differing(run.canonical, calm.canonical)
        golden = differing(run.golden, calm.golden)
        self.records += run.records
        self.differing_links += len(links)
        self.differing_clusters += len(clusters)
        self.differing_golden += len(golden)
        self.wrong_last_entries += run.wrong
        say(
            f"{name}: {run.records:,} records, {len(run.links):,} links, {run.clusters:,} clusters, "
            f"{len(run.golden):,} golden records; differ: {len(links)} links, {len(clusters)} clusters, "
            f"{len(golden)} golden; wrong last entries: {run.wrong}"
        )
        for pair in sorted(map(sorted, links))[:5]:
            say(f"  link {pair}: {'only here' if frozenset(pair) in run.links else 'missing here'}")
        for identity in clusters[:5]:
            say(f"  {identity}: {run.canonical.get(identity)} and not {calm.canonical.get(identity)}")
        for identity in golden[:3]:
            say(f"  golden {identity}:\n    {run.golden.get(identity)}\n    {calm.golden.get(identity)}")


def differing(one: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
    """The keys under which both say something else."""
    return sorted(key for key in one.keys() | other.keys() if one.get(key) != other.get(key))


# -- runs


def disturbed(
    deployment: Deployment, feed: Feed, workers: int, steps: Sequence[str], rng: random.Random, total: Sum
) -> None:
    """Feed while workers join, die and come back; then work off."""
    names = [f"w{n}" for n in range(workers)]
    deployment.start(names[0]).wait_ready()
    feed.start()
    joined = 1
    for number, step in enumerate(steps, 1):
        deployment.revive()
        feed.allow(number / (len(steps) + 1))
        time.sleep(rng.uniform(0.2, 2.0))
        if step == "join":
            deployment.start(names[joined]).wait_ready()
            joined += 1
            total.joins += 1
            total.workers = max(total.workers, joined)
            continue
        victims = [deployment.workers[name] for name in names[:joined]]
        ready = [worker for worker in victims if worker.ready()]
        worker = owner_of_links(ready) if rng.random() < 0.5 else None
        worker = worker or rng.choice(ready or victims)
        if step == "kill":
            worker.kill()
            total.kills += 1
            time.sleep(rng.uniform(0.0, 2.0))
            worker.start()
            wait_until(worker.ready, 40)
        else:
            worker.pause()
            time.sleep(SESSION_SECONDS + rng.uniform(1.5, 4.0))
            worker.resume()
            total.stops += 1
        say(f"{deployment.name}: {step} of {worker.name}; {feed.sent:,} records sent")
    feed.finish()
    deployment.worked_off(90)


def owner_of_links(workers: Sequence[WorkerProcess]) -> WorkerProcess | None:
    """The worker that decides links now, as far as its metrics say."""
    for worker in workers:
        try:
            lines = worker.metrics().splitlines()
        except OSError:
            continue
        if any(line.startswith("streamgauge_golden_records ") and not line.endswith(" 0.0") for line in lines):
            return worker
    return None


def compacted(servers: str, names: TopicNames, seconds: float) -> bool:
    """Wait until the log cleaner has been over all three topics: of most offers only one entry is left.

    A record more is what makes Kafka close the segment before it, which alone is cleaned.
    """
    before = {name: len(read_all(servers, names.named(name))) for name in COMPACTED}
    producer = KafkaProducer(bootstrap_servers=servers, acks="all")

    def done() -> bool:
        for name, mark in (("catalogue", b"\x00epoch/mark"), ("mapping", b"mark"), ("golden", b"mark")):
            producer.send(names.named(name), key=mark, value=None)
        producer.flush(10)
        time.sleep(1.0)
        counts = {name: read_all(servers, names.named(name)) for name in COMPACTED}
        keys = {name: len({r.key for r in records}) for name, records in counts.items()}
        # What is left twice is in the newest segments, where the marks are.
        return all(len(counts[name]) <= keys[name] + 5 for name in COMPACTED)

    happened = wait_until(done, seconds)
    producer.close()
    after = {name: len(read_all(servers, names.named(name))) for name in COMPACTED}
    say(f"log cleaner: {', '.join(f'{name} {before[name]:,} -> {after[name]:,}' for name in COMPACTED)}")
    return happened


def run(seed: int, products: int, folder: Path, only: str | None = None) -> Sum:
    """All of it, or one run beside the undisturbed one."""
    rows = stream(seed, products)
    rng = random.Random(seed)
    total = Sum()
    say(f"{len(rows):,} records of {products:,} products")
    properties = {"log.cleaner.backoff.ms": 500, "log.retention.check.interval.ms": 1000, "log.cleaner.threads": 1}
    with EmbeddedKafka(properties=properties) as kafka:
        servers = kafka.bootstrap_servers

        def one(name: str, work: Callable[[Deployment], None], *, eager: bool = False) -> Outcome:
            deployment = Deployment(servers, folder, name, eager)
            try:
                work(deployment)
                found = outcome(deployment)
                deployment.stop()
            finally:
                deployment.kill()
            total.unplanned_exits += deployment.exits
            return found

        def undisturbed(d: Deployment) -> None:
            d.start("w0").wait_ready()
            feed = Feed(servers, d.source, rows)
            feed.start()
            feed.finish()
            d.worked_off(120)

        calm = one("undisturbed", undisturbed)
        total.wrong_last_entries += calm.wrong
        total.records += calm.records
        say(f"undisturbed: {len(calm.links):,} links, {calm.clusters:,} clusters, {len(calm.golden):,} golden records")

        plans: dict[str, tuple[int, list[str]]] = {
            "one": (1, ["kill", "stop"]),
            "two": (2, ["join", "kill", "kill"]),
            "three": (3, ["join", "kill", "join", "stop", "kill", "stop", "kill"]),
        }
        for name, (workers, steps) in plans.items():
            if only not in (None, name):
                continue

            def trouble(d: Deployment, n: int = workers, s: list[str] = steps) -> None:
                disturbed(d, Feed(servers, d.source, rows), n, s, rng, total)

            total.add(name, one(name, trouble), calm)

        def with_compaction(d: Deployment) -> None:
            half = len(rows) // 2
            for number, part in enumerate((rows[:half], rows[half:])):
                for name in ("w0", "w1"):
                    d.start(name)
                for worker in d.workers.values():
                    worker.wait_ready()
                feed = Feed(servers, d.source, part)
                feed.start()
                feed.finish()
                d.worked_off(120)
                if number == 0:
                    d.stop()
                    if not compacted(servers, d.names, 60):
                        raise RuntimeError("Kafka did not compact within 60 s")
                    total.compactions += 1

        if only in (None, "compacted"):
            total.add("compacted", one("compacted", with_compaction, eager=True), calm)
    return total


def main() -> int:
    """Run, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--products", type=int, default=600)
    parser.add_argument("--only", choices=("one", "two", "three", "compacted"), help="this run alone")
    parser.add_argument("--keep", type=Path, help="a folder for the logs of the workers, kept")
    options = parser.parse_args()
    logging.getLogger("kafka").setLevel(logging.CRITICAL)
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        total = run(options.seed, options.products, folder, options.only)
    figures = {**vars(total), "seed": options.seed, "seconds": round(time.monotonic() - began)}
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text(json.dumps(figures, indent=2) + "\n")
    print(json.dumps(figures))  # noqa: T201 -- the result
    bad = (total.differing_links, total.differing_clusters, total.differing_golden, total.wrong_last_entries)
    return 1 if any(bad) else 0


if __name__ == "__main__":
    sys.exit(main())
