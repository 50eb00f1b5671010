"""`make bench`: how much one worker does, on this machine. Writes build/bench.json.

Everything is measured on a real Kafka with real workers in processes of their own; the figures are events per second
between the first and the last output that the broker confirmed, best of three. What is compared is run in turn.

    python -m tests.benchmarks.bench [--only NAME ...] [--repeats 3] [--rate EVENTS_PER_SECOND]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import orjson
from kafka import KafkaConsumer, TopicPartition

from models.encoder import load_encoder
from sinks.publisher import Item, Publisher
from streams.kafka.broker import EmbeddedKafka
from streams.kafka.clients import admin_client
from streams.kafka.topics import ensure_topics
from streams.marketplace import Marketplace
from streams.settings import KafkaSettings, Settings, TopicNames
from tests.benchmarks.transport import measure_transport
from tests.benchmarks.worker import ROOT, WorkerProcess
from tests.kafka_tools import make_topic, uncommitted, wait_until

BEHAVIORS = 150_000
PLAIN_BEHAVIORS = 12_000
PRODUCTS = 10_000
UPDATES = 30_000
NEW_STATIC = 10_000
NEW_TRANSFORMER = 1_500
HALF_LOAD_SECONDS = 20.0
WARM_SECONDS = 3.0
BEHAVIOR_SEED = 7
RESULT = ROOT / "build" / "bench.json"

Figures = dict[str, float]


def behavior_events(count: int) -> Iterator[Item]:
    """Events of the simulated shoppers, faults among them; over and over, each time by other shoppers."""
    market = Marketplace(seed=BEHAVIOR_SEED)
    base: list[tuple[bytes | None, dict[str, Any] | bytes]] = []
    for event in market.events():
        if event.topic == "behaviors" and event.value is not None:
            try:
                body = orjson.loads(event.value)
            except orjson.JSONDecodeError:
                body = event.value
            base.append((event.key, body))
            if len(base) == 20_000:
                break
    for n in range(count):
        key, body = base[n % len(base)]
        if isinstance(body, dict):
            turn = n // len(base)
            own = {name: f"{body[name]}-{turn}" for name in ("event_id", "session_id", "user_id") if body.get(name)}
            body = {**body, **own}
        yield key, body if isinstance(body, bytes) else orjson.dumps(body), ()


def catalogue_events() -> Iterator[Item]:
    """The products that those events are about."""
    for event in Marketplace(seed=BEHAVIOR_SEED).warm_up():
        if event.topic == "products":
            yield event.key, event.value, event.headers


def product_events(count: int, price_round: int = 0, first: int = 0) -> Iterator[Item]:
    """The marketplace's products, over and over, each time under ids and with titles of their own.

    price_round: how often they were updated: the price moves by a thousandth, and the time of the update.
    """
    market = Marketplace(seed=11)
    titles: list[dict[str, Any]] = []
    for event in market.events():
        if event.topic == "products" and event.value is not None and not event.planted:
            titles.append(orjson.loads(event.value))
            if len(titles) == 3_000:
                break
    for n in range(first, first + count):
        body = dict(titles[n % len(titles)])
        turn = n // len(titles)
        words = str(body["title"]).split()
        supplier, sku = f"{body['supplier']}-{turn}", f"{body['sku']}-{turn}"
        title = " ".join([*words[turn % len(words) :], *words[: turn % len(words)], *([f"{n:x}"] if turn else [])])
        body |= {"supplier": supplier, "sku": sku, "title": title}
        if price_round:
            body["updated_at"] = f"2026-01-{price_round:02d}T00:00:00Z"
            if isinstance(body.get("price"), int | float):
                body["price"] = round(body["price"] * (1 + 0.001 * price_round), 2)
        yield f"{supplier}/{sku}".encode(), orjson.dumps(body), ()


async def _fill(servers: str, topic: str, items: Iterator[Item], rate: float | None = None) -> None:
    publisher = Publisher({"bootstrap_servers": servers})
    await publisher.start()
    began, sent, chunk = time.monotonic(), 0, []
    size = 5000 if rate is None else max(1, int(rate / 100))
    for item in items:
        chunk.append(item)
        if len(chunk) == size:
            await (await publisher.send(topic, chunk))
            sent, chunk = sent + len(chunk), []
            if rate is not None:
                await asyncio.sleep(max(0.0, began + sent / rate - time.monotonic()))
    if chunk:
        await (await publisher.send(topic, chunk))
    await publisher.stop()


def fill(servers: str, topic: str, items: Iterator[Item], rate: float | None = None) -> None:
    """Send items; evenly over time where a rate (per second) is given."""
    asyncio.run(_fill(servers, topic, items, rate))


class Deployment:
    """Topics of its own, with a worker over them."""

    def __init__(self, servers: str, folder: Path, encoder: str = "static") -> None:
        self.servers = servers
        run_id = f"b{uuid.uuid4().hex[:8]}"
        self.products, self.behaviors = f"{run_id}-products", f"{run_id}-behaviors"
        self.names = TopicNames(prefix=f"{run_id}.")
        self.settings = Settings(
            app_id=run_id,
            kafka=KafkaSettings(bootstrap_servers=servers),
            products={self.products: None},
            behaviors={self.behaviors: None},
            topics=self.names,
        )
        ensure_topics(self.settings, create_sources=True)
        # The broker's own clock on what comes out: the moment of an append is that of its confirmation.
        with admin_client(self.settings.kafka) as admin:
            from kafka.admin import ConfigResource, ConfigResourceType

            admin.alter_configs(
                [
                    ConfigResource(
                        ConfigResourceType.TOPIC,
                        self.names.corrected(self.behaviors),
                        configs={"message.timestamp.type": "LogAppendTime"},
                    )
                ]
            )
        # No sample contract is asked for by name: TOML has no null, and the samples are the default.
        contracts = ROOT / "detectors" / "contract" / "samples"
        self.worker = WorkerProcess(
            folder,
            run_id,
            {
                "app_id": run_id,
                "encoder": encoder,
                "kafka": {"bootstrap_servers": servers},
                "products": {self.products: str(contracts / "products.yaml")},
                "behaviors": {self.behaviors: str(contracts / "behaviors.yaml")},
                "topics": {"prefix": self.names.prefix},
            },
        )

    def settle(self) -> None:
        """Wait until links and golden records are made too: they are not to be a load on what is measured next."""
        topics = (self.products, self.behaviors, self.names.named("links"))
        if not wait_until(lambda: uncommitted(self.servers, self.settings.app_id, topics) == 0, 300):
            raise RuntimeError(self.worker.last_words())

    def work_off(
        self, source: str, count: int, act: Callable[[], None], *, from_start: bool = False, seconds: float = 300.0
    ) -> float:
        """Outputs per second for `count` more records of a source. `act` starts it.

        Counted from the first output on; with `from_start` from `act` on, which then sends to a worker that is ready:
        an encoder works on batches long before their first output, and that work is to count.
        """
        corrected, dead = self.names.corrected(source), self.names.named("dead_letters")
        consumer = KafkaConsumer(bootstrap_servers=self.servers)
        try:
            places = [
                TopicPartition(topic, p)
                for topic in (corrected, dead)
                for p in consumer.partitions_for_topic(topic) or ()
            ]
            before = sum(consumer.end_offsets(places).values())
            first_at, first, deadline = (time.perf_counter() if from_start else 0.0), 0, time.monotonic() + seconds
            act()
            while time.monotonic() < deadline:
                done = sum(consumer.end_offsets(places).values()) - before
                now = time.perf_counter()
                if done and not first_at:
                    first_at, first = now, done
                if done >= count:
                    return float(count - first) / (now - first_at)
                time.sleep(0.02)
        finally:
            consumer.close()
        raise RuntimeError(f"{done} of {count} records in {seconds:g} s:\n{self.worker.last_words()}")


def bench_transport(servers: str, folder: Path) -> Figures:
    """Events that only pass through: batches under Faust, and an ordinary Faust agent."""
    return measure_transport(servers, repeats=1)


def bench_behavior(servers: str, folder: Path) -> Figures:
    """Behaviour events through the whole worker, with a catalogue; and the same work in an ordinary Faust agent."""
    d = Deployment(servers, folder)
    d.worker.start()
    d.worker.wait_ready()
    catalogue = list(catalogue_events())
    d.work_off(d.products, len(catalogue), lambda: fill(servers, d.products, iter(catalogue)))
    d.settle()
    d.worker.stop()
    fill(servers, d.behaviors, behavior_events(BEHAVIORS))
    ours = d.work_off(d.behaviors, BEHAVIORS, d.worker.start)
    d.worker.stop()

    plain = make_topic(servers, f"plain-{uuid.uuid4().hex[:8]}", 4)
    for output in ("corrected", "findings", "review", "dead"):
        name = f"{plain}-plain.{plain}.corrected" if output == "corrected" else f"{plain}-plain.quality.{output}"
        make_topic(servers, name, 4)
    fill(servers, plain, behavior_events(PLAIN_BEHAVIORS))
    command = [sys.executable, "-m", "tests.benchmarks.plain_faust", servers, plain, str(PLAIN_BEHAVIORS - 200)]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    result = [line for line in ended.stdout.splitlines() if line.startswith("{")]
    if not result:
        raise RuntimeError(ended.stdout[-2000:] + ended.stderr[-2000:])
    return {"behaviour_per_s": ours, "plain_faust_same_work_per_s": json.loads(result[-1])["per_s"]}


def bench_latency(servers: str, folder: Path, rate: float) -> Figures:
    """From the producer's timestamp to the output's append by the broker, at `rate` events per second."""
    d = Deployment(servers, folder)
    d.worker.start()
    d.worker.wait_ready()
    catalogue = list(catalogue_events())
    d.work_off(d.products, len(catalogue), lambda: fill(servers, d.products, iter(catalogue)))
    d.settle()
    warm, count = int(rate * WARM_SECONDS), int(rate * HALF_LOAD_SECONDS)
    # Made beforehand: making the first takes seconds, after which the rate would be caught up with in a burst.
    events = list(behavior_events(warm + count))
    d.work_off(d.behaviors, warm + count, lambda: fill(servers, d.behaviors, iter(events), rate))
    d.worker.stop()
    sent = {(r.partition, r.offset): r.timestamp for r in _read(servers, d.behaviors)}
    waits = []
    for record in _read(servers, d.names.corrected(d.behaviors)):
        quality = orjson.loads(record.value)["_quality"]
        waits.append(record.timestamp - sent[quality["partition"], quality["offset"]])
    late = np.array(waits[warm:], np.float64)
    return {
        "half_load_per_s": rate,
        "p50_ms_half_load": float(np.percentile(late, 50)),
        "p99_ms_half_load": float(np.percentile(late, 99)),
    }


def _read(servers: str, topic: str) -> list[Any]:
    from tests.kafka_tools import read_all

    return sorted(read_all(servers, topic), key=lambda record: record.timestamp)


def bench_products_static(servers: str, folder: Path) -> Figures:
    """New products, then updates of their price, with the static encoder; and that encoder alone."""
    d = Deployment(servers, folder)
    d.worker.start()
    d.worker.wait_ready()
    d.work_off(d.products, 2_000, lambda: fill(servers, d.products, product_events(2_000)))
    d.settle()
    more = list(product_events(NEW_STATIC, first=2_000))
    new = d.work_off(d.products, NEW_STATIC, lambda: fill(servers, d.products, iter(more)), from_start=True)
    d.settle()
    updates = [item for turn in range(1, 1 + UPDATES // PRODUCTS) for item in product_events(PRODUCTS, turn)]
    updated = d.work_off(d.products, UPDATES, lambda: fill(servers, d.products, iter(updates)))
    d.worker.stop()
    return {
        "product_new_static_per_s": new,
        "product_update_per_s": updated,
        "encoder_static_alone_per_s": _encoder_alone("static", NEW_STATIC),
    }


def bench_products_transformer(servers: str, folder: Path) -> Figures:
    """New products with the transformer, and the transformer alone, on the same titles."""
    d = Deployment(servers, folder, encoder="transformer")
    d.worker.start()
    d.worker.wait_ready()
    more = list(product_events(NEW_TRANSFORMER))
    new = d.work_off(d.products, NEW_TRANSFORMER, lambda: fill(servers, d.products, iter(more)), from_start=True)
    d.worker.stop()
    return {"product_new_per_s": new, "encoder_alone_per_s": _encoder_alone("transformer", NEW_TRANSFORMER)}


def _encoder_alone(kind: str, count: int) -> float:
    """Titles per second of an encoder in a process of its own, in batches of the worker's size."""
    command = [sys.executable, "-m", "tests.benchmarks.bench", "--encoder", kind, str(count)]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=True)
    return float(json.loads(ended.stdout.splitlines()[-1])["per_s"])


def _time_encoder(kind: Any, count: int) -> None:
    encoder = load_encoder(kind, cache_dir=Settings().cache_dir)
    titles = [orjson.loads(value)["title"] for _, value, _ in product_events(count) if value is not None]
    encoder.encode(titles[:64])
    began = time.perf_counter()
    for start in range(0, count, 512):
        encoder.encode(titles[start : start + 512])
    print(json.dumps({"per_s": count / (time.perf_counter() - began)}))  # noqa: T201 -- the result


PARTS: dict[str, Callable[[str, Path], Figures]] = {
    "transport": bench_transport,
    "behavior": bench_behavior,
    "products_static": bench_products_static,
    "products_transformer": bench_products_transformer,
}


def main() -> int:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="*", choices=[*PARTS, "latency"], help="measure these only")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--rate", type=float, help="events per second of latency; default: half of behaviour_per_s")
    parser.add_argument("--encoder", nargs=2, metavar=("KIND", "COUNT"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.encoder:
        _time_encoder(options.encoder[0], int(options.encoder[1]))
        return 0
    wanted = options.only or [*PARTS, "latency"]
    best: Figures = json.loads(RESULT.read_text()) if options.only and RESULT.exists() else {}
    for name in wanted:
        runs: list[Figures] = []
        for turn in range(1 if name == "latency" else options.repeats):
            with tempfile.TemporaryDirectory() as folder, EmbeddedKafka() as kafka:
                began = time.monotonic()
                if name == "latency":
                    rate = options.rate or best["behaviour_per_s"] / 2
                    runs.append(bench_latency(kafka.bootstrap_servers, Path(folder), rate))
                else:
                    runs.append(PARTS[name](kafka.bootstrap_servers, Path(folder)))
            figures = ", ".join(f"{key} {value:,.0f}" for key, value in runs[-1].items())
            print(f"{name} {turn + 1}: {figures} ({time.monotonic() - began:.0f} s)", file=sys.stderr, flush=True)  # noqa: T201 -- progress
        best |= {key: round(max(run[key] for run in runs), 1) for key in runs[0]}
        best["load_average"] = os.getloadavg()[0]
        RESULT.parent.mkdir(exist_ok=True)
        RESULT.write_text(json.dumps(best, indent=2) + "\n")  # a bench that is broken off leaves what it has
    print(json.dumps(best))  # noqa: T201 -- the result
    return 0


if __name__ == "__main__":
    sys.exit(main())
