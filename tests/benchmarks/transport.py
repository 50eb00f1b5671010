"""What moving events costs, when nothing is done to them: batches under Faust against Faust's ordinary way.

Both workers read a topic of four partitions with JSON of 500 bytes and write every record, key and value untouched, to
another topic. Timed from the first record that the worker sees to the commit after the last output is confirmed. Each
runs in a process of its own, on uvloop, with the same settings, in turn; best of three.

    python -m tests.benchmarks.transport             # starts an embedded Kafka
"""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Awaitable, Sequence
from pathlib import Path
from typing import Any

import orjson
from aiokafka import ConsumerRecord
from faust.types import StreamT

from sinks.publisher import Item, Publisher
from streams.kafka.broker import EmbeddedKafka
from streams.settings import KafkaSettings, Settings
from streams.worker.delivery import DeliveryOptions, batch_agent
from streams.worker.faust_batches import BatchApp, make_app, run
from tests.kafka_tools import make_topic

__all__ = ["measure_transport"]

PARTITIONS = 4
BATCH_EVENTS = 300_000
PLAIN_EVENTS = 20_000
ROOT = Path(__file__).resolve().parents[2]


def measure_transport(bootstrap: str, repeats: int = 3) -> dict[str, float]:
    """Events per second: transport_per_s and plain_faust_transport_per_s, each the best of `repeats`."""
    run_id = uuid.uuid4().hex[:8]
    sources = {"batches": f"bench-{run_id}-batches", "plain": f"bench-{run_id}-plain"}
    for way, count in (("batches", BATCH_EVENTS), ("plain", PLAIN_EVENTS)):
        make_topic(bootstrap, sources[way], PARTITIONS)
        asyncio.run(_fill(bootstrap, sources[way], count))
    best = {"batches": 0.0, "plain": 0.0}
    for attempt in range(repeats):
        for way in best:
            target = make_topic(bootstrap, f"{sources[way]}-{attempt}", PARTITIONS)
            best[way] = max(best[way], _rate(bootstrap, way, sources[way], target))
    return {"transport_per_s": best["batches"], "plain_faust_transport_per_s": best["plain"]}


def _rate(bootstrap: str, way: str, source: str, target: str) -> float:
    count = BATCH_EVENTS if way == "batches" else PLAIN_EVENTS
    command = [
        sys.executable,
        "-m",
        "tests.benchmarks.transport",
        "--worker",
        way,
        bootstrap,
        source,
        target,
        str(count),
    ]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    if ended.returncode != 0:
        raise RuntimeError(ended.stdout + ended.stderr)
    return float(json.loads(ended.stdout.splitlines()[-1])["per_s"])


def _event(number: int) -> Item:
    event: dict[str, Any] = {
        "event_id": f"e-{number:010d}",
        "session": f"s-{number % 5000:08d}",
        "product": f"p-{number % 20000:08d}",
        "type": "view",
        "price": 1999 + number % 1000,
        "time": "2025-01-01T00:00:00Z",
    }
    event["query"] = "x" * (500 - len(orjson.dumps(event)) - len(',"query":""'))
    return event["session"].encode(), orjson.dumps(event), ()


async def _fill(bootstrap: str, topic: str, count: int) -> None:
    publisher = Publisher({"bootstrap_servers": bootstrap})
    await publisher.start()
    for start in range(0, count, 5000):
        await (await publisher.send(topic, [_event(n) for n in range(start, min(count, start + 5000))]))
    await publisher.stop()


class _Clock:
    """Ends the worker when `count` events are through, and tells how fast that was."""

    def __init__(self, app: BatchApp, count: int) -> None:
        self._app, self._count, self._seen, self._began = app, count, 0, 0.0

    def begin(self) -> None:
        self._began = self._began or time.perf_counter()

    def passed(self, events: int) -> None:
        self._seen += events
        if self._seen >= self._count:
            self._app.add_future(self._end())

    async def _end(self) -> None:
        while sum(self._app.monitor.tp_committed_offsets.values()) < self._count:
            await self._app.consumer.commit()
            await asyncio.sleep(0.001)
        print(json.dumps({"per_s": self._count / (time.perf_counter() - self._began)}), flush=True)  # noqa: T201 -- the result
        signal.raise_signal(signal.SIGTERM)


def _batches(settings: Settings, source: str, target: str, count: int) -> int:
    app = make_app(settings)
    clock = _Clock(app, count)
    publishers: list[Publisher] = []

    async def copy(records: Sequence[ConsumerRecord], generation: int) -> Awaitable[None]:
        if not publishers:
            publishers.append(Publisher({"bootstrap_servers": settings.kafka.bootstrap_servers}))
            await publishers[0].start()
        clock.begin()
        sent = await publishers[0].send(target, [(record.key, record.value, ()) for record in records])
        sent.add_done_callback(lambda _: clock.passed(len(records)))
        return sent  # type: ignore[return-value]  # what it confirms is of no interest here

    async def never(*_: Any) -> None:
        raise AssertionError

    batch_agent(app, source, copy, on_poison=never, self_test=never, options=DeliveryOptions.of(settings))
    return run(app)


def _plain(settings: Settings, source: str, target: str, count: int) -> int:
    app = make_app(settings, broker=f"kafka://{settings.kafka.bootstrap_servers}")
    clock = _Clock(app, count)
    out = app.topic(target, key_serializer="raw", value_serializer="raw")

    @app.agent(app.topic(source, key_serializer="raw", value_serializer="raw"))
    async def copy(stream: StreamT[Any]) -> None:
        async for key, value in stream.items():
            clock.begin()
            await out.send(key=key, value=value)
            clock.passed(1)

    return run(app)


def main() -> int:
    """The figures as JSON; or, with --worker, one worker."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--worker", nargs=5, metavar=("WAY", "BOOTSTRAP", "SOURCE", "TARGET", "COUNT"))
    options = parser.parse_args()
    if options.worker is None:
        with EmbeddedKafka() as broker:
            print(json.dumps(measure_transport(broker.bootstrap_servers)))  # noqa: T201 -- the result
        return 0
    way, bootstrap, source, target, count = options.worker
    with tempfile.TemporaryDirectory() as state:
        settings = Settings(
            app_id=f"{target}-copier", kafka=KafkaSettings(bootstrap_servers=bootstrap), state_dir=Path(state)
        )
        return (_batches if way == "batches" else _plain)(settings, source, target, int(count))


if __name__ == "__main__":
    sys.exit(main())
