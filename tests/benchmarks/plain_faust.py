"""The same work in an ordinary Faust agent: one event at a time, `topic.send` for what comes out of it.

python -m tests.benchmarks.plain_faust BOOTSTRAP TOPIC COUNT      # prints {"per_s": ...}
"""

from __future__ import annotations

import json
import signal
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from faust.types import StreamT

from detectors.contract.load import sample_contract
from detectors.contract.model import Kind
from detectors.intake import Intake
from detectors.records import StoredRecord
from detectors.repair import RepairPolicy
from detectors.suite import behavior_detectors
from streams.settings import KafkaSettings, Settings, TopicNames
from streams.worker.faust_batches import make_app, run
from streams.worker.judge import Judge


def main(bootstrap: str, source: str, count: int) -> int:
    """Work off `count` events of a topic of behaviour events."""
    contract = sample_contract(Kind.BEHAVIORS)
    names = TopicNames(prefix=f"{source}-plain.")
    intake = Intake(contract)
    judge = Judge(contract, behavior_detectors(contract), RepairPolicy(), names, source)
    with tempfile.TemporaryDirectory() as state:
        settings = Settings(
            app_id=f"{source}-plain-{time.time_ns()}",
            kafka=KafkaSettings(bootstrap_servers=bootstrap),
            state_dir=Path(state),
            topics=names,
        )
        app = make_app(settings, broker=f"kafka://{bootstrap}")
        outlets: dict[str, Any] = {}
        began, seen = 0.0, 0

        @app.agent(app.topic(source, key_serializer="raw", value_serializer="raw"))
        async def work(stream: StreamT[Any]) -> None:
            nonlocal began, seen
            async for event in stream.events():
                began = began or time.perf_counter()
                m = event.message
                record = StoredRecord(m.topic, m.partition, m.offset, int(m.timestamp * 1000), m.key, m.value, ())
                taken = intake.take([record])
                n = len(taken.batch)
                batch = replace(taken.batch, products=[None] * n, canonical=[None] * n)
                for topic, items in judge.judge(taken, batch, [None] * n).outputs.items():
                    if topic not in outlets:
                        outlets[topic] = app.topic(topic, key_serializer="raw", value_serializer="raw")
                    for key, value, _ in items:
                        await outlets[topic].send(key=key, value=value)
                seen += 1
                if seen == count:
                    print(json.dumps({"per_s": count / (time.perf_counter() - began)}), flush=True)  # noqa: T201 -- the result
                    signal.raise_signal(signal.SIGTERM)

        return run(app)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
