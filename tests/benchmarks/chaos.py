"""`make chaos`: workers and the broker are killed under load; then every event is accounted for.

Writes build/chaos.json.

A simulated marketplace sends products and behaviour events, planted faults among them, at a steady rate. Meanwhile a
worker is killed with SIGKILL ten times and started again, the broker is restarted twice (once by SIGKILL), a second
worker joins and leaves, and one is stopped for longer than its session, so that it comes back as a zombie. When
everything is worked off:

    lost            source positions that are neither a corrected record, nor a tombstone, nor a dead letter
    repeats         outputs beyond the first of a source position
    unexplained     repeats that do not carry the same ids and content (see `unexplained`), ids of two places, products
                    whose newest catalogue entry is an old version
    links_differ_same_log  links that a plain replay of the catalogue's log does not give, or gives beside
    links_differ    the same, against an undisturbed worker over the same source topics. It reads the partitions in
                    another order, so that its log is another, and a pair at the threshold may be looked up with the
                    weights of another epoch: a few of thousands differ

    python -m tests.benchmarks.chaos [--seed 1] [--rate 250] [--kills 10]

Exit code 1 where anything is lost or unexplained, or where the replay of the log differs.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import random
import sys
import tempfile
import threading
import time
import urllib.request
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson

from detectors.anomalies import RULES as ANOMALY_RULES
from detectors.behaviour.price import CataloguePriceDetector
from detectors.behaviour.repeats import RepeatDetector
from detectors.behaviour.unknown_product import UnknownProductDetector
from detectors.brand import BrandDetector
from detectors.category import CategoryDetector
from detectors.contract.load import sample_contract
from detectors.contract.model import Feed, Kind
from detectors.duplicates.candidates import statements
from detectors.duplicates.entry import Entry, decode_entries
from detectors.duplicates.links import Link, LinkOwner
from detectors.duplicates.score import DUPLICATE_VARIANT, THRESHOLD
from detectors.duplicates.view import CatalogueView
from detectors.price import PriceDetector
from detectors.text import TextDetector
from models.encoder import load_encoder
from sinks.dead_letters import parse
from sinks.publisher import Publisher
from sinks.wire import LINK_RULES, finding_id
from streams.kafka.broker import EmbeddedKafka
from streams.kafka.topics import ensure_topics
from streams.marketplace import Marketplace, Mix
from streams.settings import KafkaSettings, Settings, TopicNames
from streams.worker.generations import GENERATION_KEY
from tests.benchmarks.worker import ROOT, WorkerProcess
from tests.kafka_tools import read_all, uncommitted, wait_until

RESULT = ROOT / "build" / "chaos.json"
CONTRACTS = ROOT / "detectors" / "contract" / "samples"
PRODUCTS, BEHAVIORS = "chaos-products", "chaos-behaviors"
SESSION_SECONDS = 6

# What these rules say depends on what else is known at the moment: the neighbours, the catalogue, the events before.
# Judged again later, when more is known, a record may have one finding more or less of these.
CONTEXT = frozenset(rule.name for rule in (*ANOMALY_RULES.values(), DUPLICATE_VARIANT)) | {
    rule.name
    for detector in (
        *(PriceDetector(), CategoryDetector(), BrandDetector(), TextDetector()),
        *(RepeatDetector(), UnknownProductDetector(), CataloguePriceDetector()),
    )
    for rule in detector.rules
}

Position = tuple[str, int, int]


def say(text: str) -> None:
    """A line of progress."""
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)  # noqa: T201 -- progress


# -- load


class Load(threading.Thread):
    """Sends the marketplace's events as they fall due, until told to stop. The broker may go and come back."""

    def __init__(self, servers: str, market: Marketplace) -> None:
        super().__init__(name="feed", daemon=True)
        self.sent = 0
        self.failure: BaseException | None = None
        self._servers, self._market = servers, market
        self._ended = threading.Event()

    def run(self) -> None:
        """In the thread."""
        try:
            asyncio.run(self._send())
        except BaseException as error:  # whatever it is: the main thread tells it
            self.failure = error

    def end(self) -> None:
        """Stop sending soon."""
        self._ended.set()

    def finish(self) -> None:
        """Stop sending, and wait for that. Raises what went wrong."""
        self.end()
        self.join(120)
        if self.failure is not None:
            raise self.failure

    async def _send(self) -> None:
        publisher = Publisher({"bootstrap_servers": self._servers}, confirm_seconds=120)
        await publisher.start()
        began = time.monotonic()
        events = self._market.events()
        event = next(events)
        while not self._ended.is_set():
            due: dict[str, list[Any]] = {PRODUCTS: [], BEHAVIORS: []}
            now = time.monotonic() - began
            while event.at <= now and len(due[PRODUCTS]) + len(due[BEHAVIORS]) < 2000:
                due[PRODUCTS if event.topic == "products" else BEHAVIORS].append((event.key, event.value, ()))
                event = next(events)
            for topic, items in due.items():
                if items:
                    await (await publisher.send(topic, items))
                    self.sent += len(items)
            await asyncio.sleep(0.02)
        await publisher.stop()


# -- the deployment


class Deployment:
    """Topics of its own over the common source topics, and workers by name."""

    def __init__(self, servers: str, folder: Path, app_id: str, *, behaviors: bool) -> None:
        self.servers, self.folder, self.app_id = servers, folder, app_id
        self.names = TopicNames(prefix=f"{app_id}.")
        self.settings = Settings(
            app_id=app_id,
            kafka=KafkaSettings(bootstrap_servers=servers),
            products={PRODUCTS: None},
            behaviors={BEHAVIORS: None} if behaviors else {},
            topics=self.names,
        )
        ensure_topics(self.settings, create_sources=True)
        self._toml = {
            "app_id": app_id,
            "encoder": "static",
            "session_timeout_seconds": SESSION_SECONDS,
            "kafka": {"bootstrap_servers": servers},
            "products": {PRODUCTS: str(CONTRACTS / "products.yaml")},
            "behaviors": {BEHAVIORS: str(CONTRACTS / "behaviors.yaml")} if behaviors else {},
            "topics": {"prefix": self.names.prefix},
        }
        self.workers: dict[str, WorkerProcess] = {}
        self.exits = 0

    def start(self, name: str) -> WorkerProcess:
        """Start a worker, or start it again."""
        worker = self.workers.get(name)
        if worker is None:
            worker = self.workers[name] = WorkerProcess(self.folder, f"{self.app_id}-{name}", self._toml)
        worker.start()
        return worker

    def revive(self) -> None:
        """Start again what ended by itself: what a supervisor would do."""
        for name, worker in list(self.workers.items()):
            if worker.process is not None and worker.process.poll() is not None:
                self.exits += 1
                say(f"worker {name} ended by itself with code {worker.process.poll()}; it is started again")
                worker.start()

    def leave(self, name: str) -> None:
        """Stop a worker in good order. Raises: RuntimeError with the end of its log where it does not end with 0."""
        worker = self.workers.pop(name)
        code = worker.stop()
        if code != 0:
            raise RuntimeError(f"the {name} worker left with code {code}:\n{worker.last_words()}")

    def lag(self) -> int:
        """Source records and statements that are not committed."""
        with_links = [*self.settings.products, *self.settings.behaviors, self.names.named("links")]
        return uncommitted(self.servers, self.app_id, with_links)

    def worked_off(self, seconds: float) -> None:
        """Wait until nothing lags. Raises: RuntimeError."""

        def done() -> bool:
            self.revive()
            return self.lag() == 0

        if not wait_until(done, seconds):
            words = "\n".join(worker.last_words() for worker in self.workers.values())
            raise RuntimeError(f"{self.lag()} records still lag:\n{words}")

    def stop(self) -> None:
        """Stop all workers."""
        while self.workers:
            self.workers.popitem()[1].stop()


def assigned(worker: WorkerProcess) -> bool:
    """Whether a worker has partitions."""
    url = worker.url()
    if url is None:
        return False
    try:
        with urllib.request.urlopen(url.replace("/metrics", "/ready"), timeout=2) as answer:
            return bool(json.loads(answer.read()).get("assigned"))
    except (OSError, ValueError):
        return False


# -- faults


@dataclass
class Faults:
    """What was done."""

    kills: int = 0
    broker_restarts: int = 0
    joins: int = 0
    leaves: int = 0
    pauses: int = 0


def make_trouble(kafka: EmbeddedKafka, chaotic: Deployment, rng: random.Random, kills: int, feed: Load) -> Faults:
    """Kill, restart, join and leave, at random moments, while the feed goes on."""
    done = Faults()
    steps = ["kill"] * kills
    # In this order, between the kills; the broker dies while there are two workers.
    order = {"leave": 9, "pause": 8, "broker": 7, "join": 6, "first leave": 4, "first broker": 3, "first join": 1}
    for step, place in order.items():
        steps.insert(place * kills // 10, step.removeprefix("first "))
    for step in steps:
        if feed.failure is not None:
            raise feed.failure
        chaotic.revive()
        if rng.random() < 0.8:  # else a worker that has just begun to start
            working = list(chaotic.workers.values())
            wait_until(lambda some=working: any(worker.ready() for worker in some), 60)  # type: ignore[misc]  # a default's type
        time.sleep(rng.uniform(0.2, 6.0))
        chaotic.revive()
        if step == "kill":
            name = rng.choice(sorted(chaotic.workers))
            chaotic.workers[name].kill()
            done.kills += 1
            say(f"kill {done.kills}: worker {name}; {feed.sent:,} events sent, {chaotic.lag():,} lag")
            if rng.random() < 0.5:
                time.sleep(rng.uniform(0.0, 8.0))  # the group's session may end meanwhile, or not
            chaotic.start(name)
        elif step == "join":
            worker = chaotic.start("second")
            if not wait_until(lambda w=worker: w.ready() and assigned(w), 90):  # type: ignore[misc]  # a default's type
                raise RuntimeError(f"the second worker got no partitions:\n{worker.last_words()}")
            done.joins += 1
            say("the second worker joined")
        elif step == "leave":
            if not wait_until(chaotic.workers["second"].ready, 90):
                raise RuntimeError(f"the second worker did not start:\n{chaotic.workers['second'].last_words()}")
            chaotic.leave("second")
            done.leaves += 1
            say("the second worker left with code 0")
        elif step == "pause":
            paused = chaotic.workers["first"]
            if wait_until(paused.ready, 90):
                paused.pause()
                time.sleep(SESSION_SECONDS + rng.uniform(1.0, 6.0))
                paused.resume()
                done.pauses += 1
                say("the first worker was stopped for longer than its session, and came back")
        else:
            hard = done.broker_restarts == 0
            if hard:
                kafka.kill()
                time.sleep(rng.uniform(0.5, 5.0))
            kafka.restart()
            done.broker_restarts += 1
            say(f"the broker was restarted {'after SIGKILL' if hard else 'in good order'}")
    return done


# -- account


@dataclass
class Judged:
    """One output of a source position: what must be the same whenever it is judged again."""

    at: int
    ids: dict[tuple[str, str | None], list[str]] = field(default_factory=dict)
    said: Mapping[str, Any] = field(default_factory=dict)
    values: Mapping[str, Any] = field(default_factory=dict)
    in_context: frozenset[str] = frozenset()


def judged(body: Mapping[str, Any]) -> Judged:
    """What a corrected record says."""
    quality = body["_quality"]
    ids: dict[tuple[str, str | None], list[str]] = defaultdict(list)
    for finding in quality["findings"]:
        ids[finding["rule"], finding["field"]].append(finding["id"])
    standing = [c for c in quality["corrections"] if c["rule"] not in CONTEXT]
    return Judged(
        quality["processing_time"],
        dict(ids),
        {
            **{n: quality[n] for n in ("identity", "version", "contract_version", "encoder", "event_time")},
            "original": quality.get("original"),
            "corrections": sorted((c["field"], c["rule"], repr(c["after"])) for c in standing),
        },
        {name: value for name, value in body.items() if name != "_quality"},
        frozenset(c["field"] for c in quality["corrections"] if c["rule"] in CONTEXT),
    )


def unexplained(outputs: list[Judged]) -> list[str]:
    """Why outputs of one source position are not repeats of each other; empty where they are.

    Identity, version, standardised values and the findings of rules that look at the record alone must be the same.
    A rule that looks at neighbours, the catalogue or earlier events may find something more or less; what it found
    both times carries the same id.
    """
    wrong: list[str] = []
    first = outputs[0]
    for other in outputs[1:]:
        wrong += [f"{name}: {first.said[name]!r}, then {other.said[name]!r}"
                  for name in first.said if first.said[name] != other.said[name]]  # fmt: skip
        loose = first.in_context | other.in_context
        for name in first.values.keys() | other.values.keys():
            if name not in loose and first.values.get(name) != other.values.get(name):
                wrong.append(f"value of {name}")
        for place in first.ids.keys() | other.ids.keys():
            a, b = first.ids.get(place), other.ids.get(place)
            some_of_several = a is None or b is None or place[0] == DUPLICATE_VARIANT.name
            if a != b and not (place[0] in CONTEXT and some_of_several):
                wrong.append(f"ids of {place}: {a}, then {b}")
    return wrong


@dataclass
class Account:
    """What became of the source records."""

    records: int = 0
    corrected: int = 0
    tombstones: int = 0
    dead: int = 0
    lost: int = 0
    repeats: int = 0
    unexplained: int = 0
    examples: list[str] = field(default_factory=list)

    def wrong(self, what: str) -> None:
        """Count something that is not explained."""
        self.unexplained += 1
        if len(self.examples) < 20:
            self.examples.append(what)


def account(servers: str, names: TopicNames) -> Account:
    """Follow every source position to what became of it."""
    found = Account()
    source: dict[Position, bytes | None] = {}
    for topic in (PRODUCTS, BEHAVIORS):
        for record in read_all(servers, topic):
            source[topic, record.partition, record.offset] = record.value
    found.records = len(source)

    records: dict[Position, list[Judged]] = defaultdict(list)
    gone: dict[Position, int] = Counter()
    for topic in (PRODUCTS, BEHAVIORS):
        for record in read_all(servers, names.corrected(topic)):
            if record.value is None:
                version = dict(record.headers)["version"].decode()
                gone[topic, record.partition, int(version.partition(":")[2])] += 1
                continue
            body = orjson.loads(record.value)
            quality = body["_quality"]
            records[quality["topic"], quality["partition"], quality["offset"]].append(judged(body))
    dead: dict[Position, list[tuple[str, str, bytes | None]]] = defaultdict(list)
    for record in read_all(servers, names.named("dead_letters")):
        death = parse(record.headers)
        if death is None:
            found.wrong("a dead letter without headers")
            continue
        dead[death.topic, death.partition, death.offset].append((death.stage, death.error, record.value))

    found.corrected, found.tombstones, found.dead = len(records), len(gone), len(dead)
    for place, value in source.items():
        outcomes = [records.get(place), gone.get(place), dead.get(place)]
        ends = sum(outcome is not None for outcome in outcomes)
        if not ends:
            found.lost += 1
            found.examples.append(f"lost: {place}")
        elif ends > 1:
            found.wrong(f"{place} ended in {ends} ways")
        times = len(records.get(place, ())) + gone.get(place, 0) + len(dead.get(place, ()))
        found.repeats += max(0, times - 1)
        if place in records and (why := unexplained(records[place])):
            found.wrong(f"{place}: {why[0]}")
        if place in dead and (len(set(dead[place])) > 1 or dead[place][0][2] != value):
            found.wrong(f"{place}: died of {dead[place]}")
    for place in (records.keys() | gone.keys() | dead.keys()) - source.keys():
        if not place[0].startswith(names.prefix):
            found.wrong(f"an output of {place}, which is no source record")
    _account_findings(servers, names, records, found)
    return found


def _account_findings(
    servers: str, names: TopicNames, records: Mapping[Position, list[Judged]], found: Account
) -> None:
    """Each finding has the id that its place gives it, and its corrected record names it."""
    for topic in ("findings", "review"):
        for record in read_all(servers, names.named(topic), isolation_level="read_committed"):
            body = orjson.loads(record.value)
            if body["rule"] in LINK_RULES:
                continue
            place = body["topic"], body["partition"], body["offset"]
            ids = {finding_id(*place, body["rule"], body["field"], n) for n in (*range(20), body.get("other", ""))}
            if body["id"] not in ids:
                found.wrong(f"the id of {body['rule']} at {place}")
            # A worker that was killed between the two outputs leaves a finding alone; the repeat says it again.
            named = [one for one in records.get(place, ()) if one.at == body["processing_time"]]
            if named and not any(body["id"] in ids for one in named for ids in one.ids.values()):
                found.wrong(f"{body['rule']} at {place} is not named by its corrected record")


# -- links and the catalogue


def mapping_of(servers: str, names: TopicNames) -> LinkOwner:
    """The links as the mapping topic has them."""
    newest: dict[bytes, bytes] = {}
    for record in read_all(servers, names.named("mapping"), isolation_level="read_committed"):
        newest[record.key] = record.value
    owner = LinkOwner()
    for key, value in newest.items():
        owner.load(key.decode(), orjson.loads(value))
    return owner


def pairs(owner: LinkOwner) -> set[frozenset[str]]:
    """Linked products, without order."""
    return {frozenset((link.later, link.earlier)) for link in owner.links()}


def accepted(owner: LinkOwner, link: Link) -> str:
    """What became of this pair elsewhere, in words."""
    for one, two in ((link.later, link.earlier), (link.earlier, link.later)):
        for pair in owner.state_of(one)["pairs"]:
            if pair[3] == two:
                return f"accepted there too, with {pair[5]}, but its groups were not joined"
    return f"not accepted there (threshold {THRESHOLD})"


def catalogue_log(servers: str, names: TopicNames) -> Iterator[tuple[int, Any]]:
    """Every entry and part of an epoch, with its offset, in order."""
    records = [r for r in read_all(servers, names.named("catalogue")) if not r.key.startswith(GENERATION_KEY)]
    decoded = decode_entries(records)
    assert not decoded.skipped, decoded.skipped[0]
    yield from decoded.items


def old_entries(log: Iterable[tuple[int, Any]]) -> int:
    """Products whose newest entry, the one that compaction keeps, is not their newest version."""
    newest: dict[str, Entry] = {}
    last: dict[str, Entry] = {}
    for _, item in log:
        if isinstance(item, Entry):
            last[item.identity] = item
            best = newest.get(item.identity)
            if best is None or (item.version, item.revision) >= (best.version, best.revision):
                newest[item.identity] = item
    return sum(last[i].version != newest[i].version or last[i].revision != newest[i].revision for i in newest)


def replayed(log: Iterable[tuple[int, Any]], k: int = 24) -> LinkOwner:
    """The links of a plain replay: each entry is applied, then looked up, one after the other."""
    encoder = load_encoder("static", cache_dir=Settings().cache_dir)
    view, owner = CatalogueView(encoder.name, encoder.dim), LinkOwner()
    clean = sample_contract(Kind.PRODUCTS).feed is Feed.CLEAN
    for offset, item in log:
        known = view.version_of(item.identity) if isinstance(item, Entry) else None
        view.apply([(offset, item)], offset + 1)
        if not isinstance(item, Entry) or (known is not None and known >= item.version):
            continue
        if item.deleted or item.match_version == item.version:
            owner.apply(statements(view, view.search([item.identity], k, clean=clean), clean=clean))
    return owner


# -- all of it


def run(seed: int, rate: float, kills: int, folder: Path) -> dict[str, Any]:
    """One run; the figures."""
    began = time.monotonic()
    rng = random.Random(seed)
    market = Marketplace(seed, start=datetime.now(UTC), mix=Mix(rate=rate, load_seconds=20, products=0.4, families=24))
    with EmbeddedKafka() as kafka:
        servers = kafka.bootstrap_servers
        chaotic = Deployment(servers, folder, "chaos", behaviors=True)
        feed = Load(servers, market)
        try:
            chaotic.start("first").wait_ready()
            feed.start()
            say(f"seed {seed}: {len(market.offers):,} offers, {rate:g} events/s")
            done = make_trouble(kafka, chaotic, rng, kills, feed)
            feed.finish()
            say(f"{feed.sent:,} events sent; working off")
            chaotic.worked_off(180)
        finally:
            feed.end()
            chaotic.stop()
        found = account(servers, chaotic.names)
        say(f"{found.records:,} records: {found.corrected:,} corrected, {found.tombstones:,} deleted, "
            f"{found.dead:,} dead letters; {found.lost} lost, {found.repeats:,} repeats")  # fmt: skip
        log = list(catalogue_log(servers, chaotic.names))
        if old := old_entries(log):
            found.wrong(f"{old} products whose newest catalogue entry is an old version")
        ours = mapping_of(servers, chaotic.names)

        say("an undisturbed worker reads the same topics")
        calm = Deployment(servers, folder, "calm", behaviors=False)
        try:
            calm.start("only").wait_ready()
            calm.worked_off(240)
        finally:
            calm.stop()
        undisturbed, plain = mapping_of(servers, calm.names), replayed(log)
        for who, one, other in (
            ("an undisturbed worker", ours, undisturbed),
            ("the replay of the log", ours, plain),
            ("the chaotic workers", undisturbed, ours),
            ("the chaotic workers", plain, ours),
        ):
            for link in [x for x in one.links() if frozenset((x.later, x.earlier)) not in pairs(other)][:10]:
                say(f"not found by {who}: {link.later} = {link.earlier}, score {link.score}; {accepted(other, link)}")
        figures = {
            **vars(done),
            "lost": found.lost,
            "repeats": found.repeats,
            "unexplained": found.unexplained,
            "records": found.records,
            "corrected": found.corrected,
            "tombstones": found.tombstones,
            "dead_letters": found.dead,
            "unplanned_exits": chaotic.exits,
            "links": len(pairs(ours)),
            "links_undisturbed": len(pairs(undisturbed)),
            "links_differ": len(pairs(ours) ^ pairs(undisturbed)),
            "links_differ_same_log": len(pairs(ours) ^ pairs(plain)),
            "seed": seed,
            "seconds": round(time.monotonic() - began),
        }
        for example in found.examples:
            say(example)
        return figures


def main() -> int:
    """Run, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--rate", type=float, default=250.0, help="events per second")
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--keep", type=Path, help="a folder for the logs of the workers, kept")
    options = parser.parse_args()
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # it tells every try to reach a broker that is down
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        figures = run(options.seed, options.rate, options.kills, folder)
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text(json.dumps(figures, indent=2) + "\n")
    print(json.dumps(figures))  # noqa: T201 -- the result
    return 1 if figures["lost"] or figures["unexplained"] or figures["links_differ_same_log"] else 0


if __name__ == "__main__":
    sys.exit(main())
