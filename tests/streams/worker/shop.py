"""A deployment for tests: source topics, the topics over them, and workers in processes of their own."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import orjson

from sinks.dead_letters import Death, parse
from streams.settings import TopicNames
from tests.benchmarks.worker import ROOT, WorkerProcess
from tests.kafka_tools import make_topic, read_all, send_all, uncommitted, wait_until

SAMPLES = ROOT / "detectors" / "contract" / "samples"
COMMAND = (sys.executable, str(Path(__file__).parent / "hashing.py"))

CAMERA = {
    "title": "Canon PowerShot SX620 HS Digital Camera black",
    "brand": "Canon",
    "category": "Cameras",
    "currency": "USD",
    "gtin": "4549292057515",
}

Row = tuple[bytes | None, bytes | None]


def product(source: str, number: int, **fields: Any) -> Row:
    return f"{source}/{number}".encode(), orjson.dumps({"supplier": source, "sku": str(number), **fields})


def event(number: int, **fields: Any) -> Row:
    body = {"event_id": f"e{number}", "event_type": "view", "user_id": "u1", "occurred_at": time.time()}
    return b"u1", orjson.dumps({**body, **fields})


class Shop:
    """Source topics, the topics of a deployment over them, and workers."""

    def __init__(self, servers: str, prefix: str, folder: Path, **settings: Any) -> None:
        self.servers, self.prefix, self.folder = servers, prefix, folder
        self.products, self.behaviors = prefix + "products", prefix + "behaviors"
        self.names = TopicNames(prefix=prefix, partitions=2)
        self.app_id = prefix + "app"
        self.workers: list[WorkerProcess] = []
        self._more = settings
        self.contracts = {
            "products": {self.products: str(SAMPLES / "products.yaml")},
            "behaviors": {self.behaviors: str(SAMPLES / "behaviors.yaml")},
        }

    def make(self, source_configs: Mapping[str, str] | None = None, partitions: int = 2) -> None:
        for kind in self.contracts.values():
            for topic in kind:
                make_topic(self.servers, topic, partitions, source_configs)

    def worker(
        self, environment: dict[str, str] | None = None, *, start: bool = True, **settings: Any
    ) -> WorkerProcess:
        worker = WorkerProcess(
            self.folder,
            f"worker{len(self.workers)}",
            {
                "app_id": self.app_id,
                "session_timeout_seconds": 6,
                "commit_interval_seconds": 0.3,
                "retry_backoff_seconds": 0.02,
                "log_format": "json",
                **self._more,
                **settings,
                "kafka": {"bootstrap_servers": self.servers},
                **self.contracts,
                "topics": {"prefix": self.prefix, "partitions": 2},
            },
            environment,
            COMMAND,
        )
        self.workers.append(worker)
        if start:
            worker.start()
        return worker

    def ready(self, environment: dict[str, str] | None = None, **settings: Any) -> WorkerProcess:
        worker = self.worker(environment, **settings)
        worker.wait_ready(60)
        return worker

    def send(self, topic: str, rows: Sequence[Any], **options: Any) -> None:
        send_all(self.servers, topic, rows, **options)

    def corrected(self, topic: str | None = None) -> list[dict[str, Any]]:
        """Corrected records in order; a tombstone has no `value`."""
        return [
            {"key": r.key, "headers": dict(r.headers), **(orjson.loads(r.value) if r.value is not None else {})}
            for r in read_all(self.servers, self.names.corrected(topic or self.products))
        ]

    def newest(self) -> dict[str, dict[str, Any]]:
        """The corrected record of each product's newest version, by id."""
        return {r["sku"]: r for r in sorted(self.corrected(), key=lambda r: tuple(r["_quality"]["version"]))}

    def said(self, name: str = "findings") -> list[dict[str, Any]]:
        records = read_all(self.servers, self.names.named(name), isolation_level="read_committed")
        return [orjson.loads(r.value) for r in records]

    def dead(self) -> list[tuple[Any, Death]]:
        letters = []
        for record in read_all(self.servers, self.names.named("dead_letters")):
            death = parse(record.headers)
            assert death is not None
            letters.append((record, death))
        return letters

    def links(self) -> dict[str, str]:
        """Canonical identity by identity, of what has another than its own."""
        records = read_all(self.servers, self.names.named("mapping"), isolation_level="read_committed")
        newest = {r.key.decode(): r.value and orjson.loads(r.value)["canonical"] for r in records}
        return {identity: canonical for identity, canonical in newest.items() if canonical not in (identity, None)}

    def golden(self) -> dict[str, dict[str, Any]]:
        """The golden record of every product, by its canonical identity."""
        records = read_all(self.servers, self.names.named("golden"), isolation_level="read_committed")
        newest = {r.key.decode(): r.value and orjson.loads(r.value) for r in records}
        return {identity: record for identity, record in newest.items() if record is not None}

    def lag(self) -> int:
        """Source records and statements not committed."""
        topics = [t for kind in self.contracts.values() for t in kind]
        topics += [self.names.named("links"), *map(self.names.rekeyed, self._rekeyed())]
        return uncommitted(self.servers, self.app_id, topics)

    def done(self, seconds: float = 40.0) -> None:
        """Wait until all is committed."""
        assert wait_until(lambda: self.lag() == 0, seconds), "\n".join(w.last_words() for w in self.workers)

    def _rekeyed(self) -> list[str]:
        rekey = self._more.get("rekey")
        return [] if rekey is None else [str(rekey)]
