"""`make chaos-duplicates`: links, clusters and golden records are the same, whoever computes them and whatever dies.

Writes build/chaos-duplicates.json.

The same stream of offers (several of one product, new prices, edits that move an offer to another product, deletions,
returns) is fed five times into a deployment of its own. It grows until an epoch is due, four times, and goes on at
full load while the epoch begins to hold, with offers on both sides of each switch that change after it:

    undisturbed  one worker
    one, two, three  so many workers, which join, are killed with SIGKILL and are stopped for longer than their session,
                     so that they come back as zombies; just before a switch and just after it
    compacted    two workers; half way all stop, Kafka really compacts the catalogue, the mapping and the golden
                 records, and two workers that know nothing go on from what is left

Each run is compared with the undisturbed one, and the sums are written:

    workers, kills, stops, records  the most workers at once; SIGKILLs; SIGSTOPs; records that were handled
    switches            epochs that began to hold, of all five runs
    in_flight           records that stood in the catalogue before a switch and were not acknowledged just after it
    said_again          new prices that were handled more than once, of products looked up in an epoch before
    differing_links     pairs that only one of both runs has
    differing_clusters  offers whose canonical product is another, or that are deleted in one run alone
    differing_golden    products whose golden record is another in any part, or is there in one run alone
    wrong_last_entries  offers whose last entry in the catalogue's log, which compaction keeps, is not their newest

Search is exact at this size. Links are compared without their scores: a score depends on the weights of the moment.
Repairs that look at neighbours are not applied: what neighbours say depends on who came first.

    python -m tests.benchmarks.chaos_duplicates [--seed 1] [--only three] [--keep FOLDER]

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
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
from kafka import KafkaConsumer, KafkaProducer, TopicPartition

from detectors.duplicates.entry import Entry, decode_entries
from detectors.duplicates.links import LinkOwner
from detectors.duplicates.statement import decode_statement
from detectors.records import Version
from streams.kafka.broker import EmbeddedKafka
from streams.kafka.topics import ensure_topics, topics
from streams.settings import KafkaSettings, Settings, TopicNames
from streams.worker.generations import GENERATION_KEY
from tests.benchmarks.worker import ROOT, WorkerProcess
from tests.kafka_tools import make_topic, read_all, send_all, uncommitted, wait_until

RESULT = ROOT / "build" / "chaos-duplicates.json"
CONTRACT = ROOT / "detectors" / "contract" / "samples" / "products.yaml"
COMMAND = (sys.executable, str(ROOT / "tests" / "streams" / "worker" / "hashing.py"))
PARTITIONS = 6
SHOPS = ("east", "north", "south", "west")
LIVE = (70, 160, 340, 700)
"""Offers at the end of each growth: whenever the owner of links counts, one epoch becomes due in it and not two."""
FRAGILE = 12  # pairs of each season
TRAFFIC = 800  # rows of each season: an epoch holds from 500 entries after the one at which it was made
SESSION_SECONDS = 6
COMMIT_SECONDS = 3.0  # so that much is not acknowledged when a switch comes, and is handled again after a kill
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


@dataclass(frozen=True)
class Season:
    """What shops send around one epoch's switch.

    growth: makes the epoch due. pairs: fragile ones, sent when it is known from where it will hold. traffic: sent
    behind them, so that it begins to hold meanwhile.
    """

    growth: list[Row]
    pairs: list[Row]
    traffic: list[Row]


def stream(seed: int) -> list[Season]:
    """What four shops send."""
    market, seasons = Market(random.Random(seed)), []
    for live in LIVE:
        market.say_more()
        market.grow(live)
        growth = market.taken()
        market.offer_fragile()
        pairs = market.taken()
        market.trade()
        seasons.append(Season(growth, pairs, market.taken()))
    return seasons


class Market:
    """Offers in four shops, as they are now; whatever changes is a row.

    Whether two offers are the same must not depend on the epoch, or no two runs would agree: on which side of a switch
    a record falls is chance. Only of fragile pairs it does. Both offers say the same three words and six more that the
    season brought, so by the weights of before, to which all these words are new, they are two products; by those of
    the season's epoch, which counted the season's words on many titles, they would be one. They are in the catalogue
    before the switch and in flight when it comes, so what they are is certain, and shows where something is said of
    them by the weights of another time.
    """

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._words: set[str] = set()
        self._rows: list[Row] = []
        self._season: tuple[list[str], list[str]] = [], []  # of each offer of a fragile pair
        self._products: list[Mapping[str, Any]] = []
        self._sold: dict[tuple[str, int], Mapping[str, Any]] = {}  # what each offer is of, but for the fragile ones
        self._offers: dict[tuple[str, int], dict[str, Any]] = {}
        self._gone: dict[tuple[str, int], dict[str, Any]] = {}
        self._fragile: list[tuple[str, int]] = []
        self._clock = 0
        self._number = 0

    def taken(self) -> list[Row]:
        """The rows since the last call."""
        rows, self._rows = self._rows, []
        return rows

    def grow(self, live: int) -> None:
        """New products, until there are so many offers, whose titles all say words that were never said before."""
        self._season = [self._word() for _ in range(6)], [self._word() for _ in range(6)]
        while len(self._offers) < live:
            self._number += 1
            kind, words = self._number % 4, [self._word() for _ in range(6)]
            one, other = self._rng.sample(self._season, 2)
            product = {
                "words": [*words, *self._rng.sample(one, 2), self._rng.choice(other)],
                "code": None if kind == 2 else f"{words[0][:2].upper()}{1000 + self._number}{words[1][:1].upper()}",
                "gtin": gtin(self._number) if kind in (0, 1) else None,
                "price": self._rng.randint(50, 900),
            }
            self._products.append(product)
            shops = self._rng.sample(SHOPS, 2 if kind == 2 else self._rng.randint(1, 4))
            for shop in shops[: live - len(self._offers)]:
                self._offer(shop, self._number, product)

    def trade(self) -> None:
        """New prices, edits that move an offer to another product, deletions, returns."""
        for _ in range(TRAFFIC):
            fate = self._rng.random()
            sturdy = self._rng.choice([offer for offer in self._offers if offer in self._sold])
            if fate < 0.30:
                self._reprice(self._rng.choice(self._fragile[-2 * FRAGILE :]))
            elif fate < 0.45:
                self._reprice(self._rng.choice(self._fragile))
            elif fate < 0.70:
                self._reprice(sturdy)
            elif fate < 0.85:
                # Of two offers in one shop only one could be linked, and which one would be a matter of weights.
                shop, _ = sturdy
                sold = [product for (other, _), product in self._sold.items() if other == shop]
                self._offer(*sturdy, self._rng.choice([p for p in self._products if p not in sold]))
            elif fate < 0.93 or not self._gone:
                self._gone[sturdy] = self._offers.pop(sturdy)
                self._rows.append((_key(*sturdy), None))
            else:
                back = self._rng.choice(list(self._gone))
                self._put(*back, self._gone.pop(back))

    def say_more(self) -> None:
        """Edits after a switch: a few of its fragile offers are looked up anew, by weights that make them one."""
        for offer in self._fragile[-2 * FRAGILE :: 6]:
            body = self._offers[offer]
            self._put(*offer, {**body, "description": f"{body['description']} Now in stock."})

    def offer_fragile(self) -> None:
        """Fragile pairs, with words of the season."""
        for _ in range(FRAGILE):
            self._number += 1
            both, price = [self._word() for _ in range(3)], self._rng.randint(50, 900)
            for shop, words in zip(("east", "west"), self._season, strict=True):
                self._put(shop, self._number, {"title": " ".join([*both, *words]), "price": price, "gtin": None})
                self._fragile.append((shop, self._number))

    def _offer(self, shop: str, sku: int, product: Mapping[str, Any]) -> None:
        self._sold[shop, sku] = product
        words, code = list(product["words"]), product["code"]
        if code is not None:
            self._rng.shuffle(words)
            words.append(code)
        price = product["price"] + self._rng.randint(0, 3)
        self._put(shop, sku, {"title": " ".join(words), "price": price, "gtin": product["gtin"]})

    def _reprice(self, offer: tuple[str, int]) -> None:
        """Another price: matching reads nothing of it."""
        body = self._offers[offer]
        self._put(*offer, {**body, "price": body["price"] + self._rng.choice((-1, 1))})

    def _put(self, shop: str, sku: int, said: Mapping[str, Any]) -> None:
        self._clock += 1
        body = {
            "supplier": shop,
            "sku": str(sku),
            "brand": "Acme",
            "category": "Things",
            "currency": "EUR",
            "url": f"https://{shop}.example/{sku}",
            "description": f"{said['title'].split()[0]} of {shop}, made well.",
            **said,
            "updated_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(1_767_225_600 + self._clock)),
        }
        self._offers[shop, sku] = body
        self._rows.append((_key(shop, sku), orjson.dumps(body)))

    def _word(self) -> str:
        while True:
            made = "".join(
                self._rng.choice("bdfgklmnprstvz") + self._rng.choice("aeiou") for _ in range(self._rng.randint(2, 4))
            )
            if made not in self._words:
                self._words.add(made)
                return made


def _key(shop: str, sku: int) -> bytes:
    return f"{shop}/{sku}".encode()


def gtin(number: int) -> str:
    """A valid one."""
    digits = f"{400_000_000_000 + number * 97}"
    weighted = sum(int(digit) * (3 if place % 2 else 1) for place, digit in enumerate(digits))
    return f"{digits}{-weighted % 10}"


class Watch:
    """Follows the log of the catalogue.

    switches: number of each epoch -> the offset from which it holds. places: each version of a product -> the source
    partition and the offset of its first entry. ends: source partition -> the offset after the last record that is in
    the catalogue.
    """

    def __init__(self, servers: str, topic: str) -> None:
        self._consumer = KafkaConsumer(bootstrap_servers=servers, enable_auto_commit=False, max_poll_records=5000)
        self._place = TopicPartition(topic, 0)
        self._consumer.assign([self._place])
        self._consumer.seek_to_beginning(self._place)
        self._parts: dict[tuple[int, str], set[int]] = {}
        self.switches: dict[int, int] = {}
        self.places: dict[tuple[str, Version], tuple[int, int]] = {}
        self.ends = dict.fromkeys(range(PARTITIONS), 0)

    def look(self) -> int:
        """Read on; returns the offset up to which the log is known."""
        records = self._consumer.poll(timeout_ms=20).get(self._place, ())
        for offset, item in decode_entries([r for r in records if not r.key.startswith(GENERATION_KEY)]).items:
            if isinstance(item, Entry):
                self.places.setdefault((item.identity, item.version), (item.partition, offset))
                self.ends[item.partition] = max(self.ends[item.partition], item.version.offset + 1)
                continue
            parts = self._parts.setdefault((item.number, item.token), set())
            parts.add(item.part)
            if len(parts) == item.parts:  # two owners may publish one number: the first whole one holds
                self.switches.setdefault(item.number, max(item.switch_at, offset + 1))
        return int(self._consumer.position(self._place))

    def wait(self, what: str, condition: Callable[[int], bool]) -> int:
        """Read on until a condition of the offset holds; returns the offset. Raises: RuntimeError."""
        if not wait_until(lambda: condition(self.look()), 90):
            raise RuntimeError(f"{self._place.topic}: {what} did not come within 90 s")
        return int(self._consumer.position(self._place))

    def close(self) -> None:
        """Read to the end, and no more."""
        end = self._consumer.end_offsets([self._place])[self._place]
        self.wait("the end", lambda offset: offset >= end)
        self._consumer.close()


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
            "commit_interval_seconds": COMMIT_SECONDS,
            "batch_records": 64,
            "log_format": "json",
            "auto_apply": {f'"{rule}"': 2.0 for rule in CONTEXT_REPAIRS},
            "kafka": {"bootstrap_servers": servers},
            "products": {self.source: str(CONTRACT)},
            "topics": {"prefix": self.names.prefix},
        }
        self.workers: dict[str, WorkerProcess] = {}
        self.exits = 0
        self.watch = Watch(servers, self.names.named("catalogue"))

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

    def send(self, rows: Sequence[Row]) -> None:
        """Send rows at once, so that the workers have as much in flight as they take."""
        send_all(self.servers, self.source, rows)

    def wait_published(self) -> int:
        """Wait until all that was sent is in the catalogue; returns its end."""
        consumer = KafkaConsumer(bootstrap_servers=self.servers)
        ends = consumer.end_offsets([TopicPartition(self.source, p) for p in range(PARTITIONS)])
        consumer.close()
        sent = {place.partition: end for place, end in ends.items()}
        return self.watch.wait("all that was sent", lambda _: self.watch.ends == sent)

    def committed(self) -> dict[int, int]:
        """Source partition -> the offset before which all is acknowledged."""
        consumer = KafkaConsumer(bootstrap_servers=self.servers, group_id=self.name, enable_auto_commit=False)
        try:
            return {p: consumer.committed(TopicPartition(self.source, p)) or 0 for p in range(PARTITIONS)}
        finally:
            consumer.close()

    def in_flight(self, offset: int) -> int:
        """Records that are in the catalogue before this offset and not acknowledged now."""
        committed = self.committed()
        return sum(
            place < offset and version.offset >= committed[partition]
            for (_, version), (partition, place) in self.watch.places.items()
        )

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
    """What the topics say in the end. said: of each pair that was named, score and doubt; caution, in the end."""

    links: set[frozenset[str]]
    said: dict[frozenset[str], tuple[float, float]]
    caution: float
    canonical: dict[str, str | None]
    golden: dict[str, str]
    wrong: int
    records: int
    clusters: int
    said_again: int


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
        said={
            frozenset((identity, pair[3])): (pair[5], pair[10])
            for identity, state in mapping.items()
            for pair in state["pairs"]
        },
        caution=owner.caution,
        canonical={i: None if state.get("deleted") else state["canonical"] for i, state in mapping.items()},
        golden={i: content(body) for i, body in golden.items() if body is not None},
        wrong=wrong_now,
        records=len(source),
        clusters=owner.clusters,
        said_again=said_again(deployment),
    )


def said_again(deployment: Deployment) -> int:
    """New prices that were handled more than once, of products that were looked up in an epoch before."""
    watch = deployment.watch
    watch.close()
    switches = sorted(watch.switches.values())

    said = [decode_statement(r.key, r.value) for r in read_all(deployment.servers, deployment.names.named("links"))]
    times = Counter((s.identity, s.match_version, s.version) for s in said if s.version != s.match_version)
    again = 0
    for (identity, *versions), n in times.items():
        places = [watch.places.get((identity, version)) for version in versions]
        epochs = [bisect_right(switches, place[1]) for place in places if place is not None]
        if len(epochs) == 2 and epochs[0] < epochs[1]:  # one is missing where compaction was quicker than we
            again += n - 1
    return again


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
    switches: int = 0
    in_flight: int = 0
    said_again: int = 0
    records: int = 0
    differing_links: int = 0
    differing_clusters: int = 0
    differing_golden: int = 0
    wrong_last_entries: int = 0
    unplanned_exits: int = 0

    def add(self, name: str, run: Outcome, calm: Outcome) -> None:
        """Compare a run with the undisturbed one."""
        self.said_again += run.said_again
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
            f"{len(golden)} golden; wrong last entries: {run.wrong}; {run.said_again} prices said again"
        )
        for pair in sorted(map(sorted, links))[:5]:
            key = frozenset(pair)
            say(
                f"  link {pair}: {'only here' if key in run.links else 'missing here'}; score and doubt "
                f"{run.said.get(key)} here, {calm.said.get(key)} there; caution {run.caution}, {calm.caution}"
            )
        for identity in clusters[:5]:
            say(f"  {identity}: {run.canonical.get(identity)} and not {calm.canonical.get(identity)}")
        for identity in golden[:3]:
            say(f"  golden {identity}:\n    {run.golden.get(identity)}\n    {calm.golden.get(identity)}")


def differing(one: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
    """The keys under which both say something else."""
    return sorted(key for key in one.keys() | other.keys() if one.get(key) != other.get(key))


# -- runs


class Driver:
    """Feeds the stream into a deployment, part by part, and disturbs its workers meanwhile.

    plan: for each epoch what happens while its switch is awaited, and what when it has just come.
    """

    def __init__(self, deployment: Deployment, plan: Sequence[tuple[str, str]], rng: random.Random, total: Sum) -> None:
        self._deployment = deployment
        self._plan = plan
        self._rng = rng
        self._total = total
        self._paused: threading.Timer | None = None

    def feed(self, seasons: Sequence[Season], first: int = 1) -> None:
        """Send these seasons, of which the first brings the epoch of that number, and have all of it worked off."""
        deployment, watch = self._deployment, self._deployment.watch
        for epoch, season in enumerate(seasons, first):
            deployment.send(season.growth)
            watch.wait(f"epoch {epoch}", lambda _, epoch=epoch: epoch in watch.switches)  # type: ignore[misc]
            switch = watch.switches[epoch]
            deployment.wait_published()
            deployment.send(season.pairs)
            if deployment.wait_published() > switch:
                raise RuntimeError(f"Epoch {epoch} held before its fragile pairs were there.")
            deployment.send(season.traffic)
            before, after = self._plan[epoch - 1] if self._plan else ("", "")
            self._disturb(before)
            moment = switch + self._rng.randrange(50, 150)
            watch.wait(f"offset {moment}", lambda offset, moment=moment: offset >= moment)  # type: ignore[misc]
            flying = deployment.in_flight(switch)
            say(f"{deployment.name}: {flying} records are in flight at the switch to epoch {epoch}")
            self._total.switches += 1
            self._total.in_flight += flying
            self._disturb(after)
            self._recover()
        deployment.worked_off(90)

    def _disturb(self, what: str) -> None:
        """Begin it: the stream goes on meanwhile."""
        deployment, total, rng = self._deployment, self._total, self._rng
        if not what:
            return
        if what == "join":
            deployment.start(f"w{len(deployment.workers)}")
            total.joins += 1
            total.workers = max(total.workers, len(deployment.workers))
            return
        workers = list(deployment.workers.values())
        ready = [worker for worker in workers if worker.ready()]
        worker = (owner_of_links(ready) if rng.random() < 0.5 else None) or rng.choice(ready or workers)
        say(f"{deployment.name}: {what} of {worker.name}")
        if what == "kill":
            worker.kill()
            worker.start()
            total.kills += 1
        else:
            worker.pause()
            self._paused = threading.Timer(SESSION_SECONDS + rng.uniform(1.5, 4.0), worker.resume)
            self._paused.start()
            total.stops += 1

    def _recover(self) -> None:
        """Wait until all workers are there again; what is in flight may stay so over the next switch."""
        if self._paused is not None:
            self._paused.join()
            self._paused = None

        def ready() -> bool:
            self._deployment.revive()
            return all(worker.ready() for worker in self._deployment.workers.values())

        if not wait_until(ready, 60):
            raise RuntimeError(f"{self._deployment.name}: the workers did not recover.")


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


PLANS: Mapping[str, Sequence[tuple[str, str]]] = {
    "one": (("", "kill"), ("stop", ""), ("", "kill"), ("kill", "kill")),
    "two": (("join", "kill"), ("", "kill"), ("kill", ""), ("", "kill")),
    "three": (("join", ""), ("join", "kill"), ("stop", "kill"), ("kill", "stop")),
}
"""Of each run: what happens before and after each switch."""


def run(seed: int, folder: Path, only: str | None = None) -> Sum:
    """All of it, or one run beside the undisturbed one."""
    seasons = stream(seed)
    rng = random.Random(seed)
    total = Sum()
    say(f"{sum(len(s.growth) + len(s.pairs) + len(s.traffic) for s in seasons):,} records")
    properties = {"log.cleaner.backoff.ms": 500, "log.retention.check.interval.ms": 1000, "log.cleaner.threads": 1}
    with EmbeddedKafka(properties=properties) as kafka:

        def one(name: str, work: Callable[[Deployment], None], *, eager: bool = False) -> Outcome:
            deployment = Deployment(kafka.bootstrap_servers, folder, name, eager)
            try:
                work(deployment)
                found = outcome(deployment)
                deployment.stop()
            finally:
                deployment.kill()
            total.unplanned_exits += deployment.exits
            return found

        def fed(deployment: Deployment) -> None:
            deployment.start("w0").wait_ready()
            Driver(deployment, PLANS.get(deployment.name, ()), rng, total).feed(seasons)

        def with_compaction(deployment: Deployment) -> None:
            driver, half = Driver(deployment, (), rng, total), len(seasons) // 2
            for names, part, first in ((("w0", "w1"), seasons[:half], 1), (("w2", "w3"), seasons[half:], 1 + half)):
                for name in names:
                    deployment.start(name)
                for worker in deployment.workers.values():
                    worker.wait_ready()
                driver.feed(part, first)
                if first == 1:
                    deployment.stop()
                    if not compacted(deployment.servers, deployment.names, 60):
                        raise RuntimeError("Kafka did not compact within 60 s")
                    total.compactions += 1

        calm = one("undisturbed", fed)
        total.wrong_last_entries += calm.wrong
        total.records += calm.records
        say(f"undisturbed: {len(calm.links):,} links, {calm.clusters:,} clusters, {len(calm.golden):,} golden records")
        for name in PLANS:
            if only in (None, name):
                total.add(name, one(name, fed), calm)
        if only in (None, "compacted"):
            total.add("compacted", one("compacted", with_compaction, eager=True), calm)
    return total


def main() -> int:
    """Run, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", choices=(*PLANS, "compacted"), help="this run alone")
    parser.add_argument("--keep", type=Path, help="a folder for the logs of the workers, kept")
    options = parser.parse_args()
    logging.getLogger("kafka").setLevel(logging.CRITICAL)
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        total = run(options.seed, folder, options.only)
    figures = {**vars(total), "seed": options.seed, "seconds": round(time.monotonic() - began)}
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text(json.dumps(figures, indent=2) + "\n")
    print(json.dumps(figures))  # noqa: T201 -- the result
    bad = (total.differing_links, total.differing_clusters, total.differing_golden, total.wrong_last_entries)
    return 1 if any(bad) else 0


if __name__ == "__main__":
    sys.exit(main())
