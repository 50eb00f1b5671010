"""A worker that copies a topic, and fails on request. Settings: STREAMGAUGE_*, and those of `Faults` as COPIER_*.

Copies carry the source position in the header `from`. Ends with the exit code of `run`.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Awaitable, Sequence
from pathlib import Path
from typing import Any

import structlog
from aiokafka import ConsumerRecord
from pydantic_settings import BaseSettings, SettingsConfigDict

from sinks.dead_letters import bury
from sinks.errors import RecordRefused
from sinks.publisher import Confirmation, Publisher
from streams.settings import Settings
from streams.worker.delivery import Compute, DeliveryOptions, LagWatch, batch_agent
from streams.worker.faust_batches import make_app, run

log = structlog.get_logger("copier")


class Faults(BaseSettings):
    model_config = SettingsConfigDict(env_prefix="COPIER_")

    source: str = ""
    target: str = ""
    dead_letters: str = ""
    second: str = "future"  # phase 2: future or coroutine
    raise_every: int = 0  # phase 1 raises at every n-th call
    lose_every: int = 0  # phase 2 raises at every n-th call, after the outputs were sent
    poison: bytes = b"\x00never"  # a record with this inside raises
    all_fail: bool = False
    work_seconds: float = 0.0  # per batch, on the compute thread
    stats: Path | None = None
    plain: str = ""  # a topic in Faust's own way, copied record by record


def main() -> int:
    faults = Faults()
    settings = Settings(batch_records=int(os.environ.get("COPIER_BATCH", "200")))
    app = make_app(settings)
    client = {"bootstrap_servers": settings.kafka.bootstrap_servers}
    watch = LagWatch(app, client, gone_seconds=settings.broker_gone_seconds, every_seconds=0.5)
    compute = Compute("compute")
    publishers: list[Publisher] = []
    calls = {"first": 0, "second": 0}

    async def publisher() -> Publisher:
        if not publishers:
            made = Publisher(client, confirm_seconds=settings.broker_gone_seconds)
            await made.start()
            publishers.append(made)
        return publishers[0]

    def transform(records: Sequence[ConsumerRecord]) -> list[bytes]:
        if faults.all_fail or any(faults.poison in record.value for record in records):
            raise ValueError("this does not work")
        if faults.work_seconds:
            import time

            time.sleep(faults.work_seconds)
        return [record.value for record in records]

    async def copy(records: Sequence[ConsumerRecord], generation: int) -> Awaitable[None] | None:
        calls["first"] += 1
        if faults.raise_every and calls["first"] % faults.raise_every == 0:
            raise RuntimeError("now and then")
        values = await compute.run(transform, records)
        out = await publisher()
        items = [
            (record.key, value, [("from", f"{record.partition}/{record.offset}".encode())])
            for record, value in zip(records, values, strict=True)
        ]

        async def confirmed(sent: Awaitable[Confirmation]) -> None:
            calls["second"] += 1
            failing = faults.lose_every and calls["second"] % faults.lose_every == 0
            try:
                await sent
            except RecordRefused as refused:
                lost = [(records[row], reason) for row, reason in refused.refused.items()]
                await (await out.send(faults.dead_letters, [bury(r, "sink", "refused", why) for r, why in lost]))
            if failing:
                raise RuntimeError("confirmed, but we do not know it")

        async def in_turn() -> None:
            await confirmed(await out.send(faults.target, items))

        if faults.second == "coroutine":
            return in_turn()
        return asyncio.ensure_future(confirmed(await out.send(faults.target, items)))

    async def on_poison(record: ConsumerRecord, error: BaseException) -> None:
        letter = bury(record, "process", type(error).__name__, str(error))
        await (await (await publisher()).send(faults.dead_letters, [letter]))

    async def self_test() -> None:
        if faults.all_fail:
            raise ValueError("nothing works")

    delivery = batch_agent(
        app, faults.source, copy, on_poison=on_poison, self_test=self_test, options=DeliveryOptions.of(settings)
    )

    if faults.plain:

        @app.agent(app.topic(faults.plain, value_serializer="raw"))
        async def plainly(stream: Any) -> None:
            async for value in stream:
                await (await (await publisher()).send(faults.target, [(b"plain", value, [])]))

    @app.timer(0.2)  # type: ignore[untyped-decorator]  # Faust's own is not typed
    async def report() -> None:
        if faults.stats is not None:
            text = f"{delivery.stats.records} {sum(watch.lag.values())} {int(watch.stalled)} {int(watch.assigned)}"
            temporary = faults.stats.with_suffix(".new")
            temporary.write_text(text)
            temporary.replace(faults.stats)

    code = run(app)
    log.info("copier.ended", code=code, records=delivery.stats.records, retries=delivery.stats.retries)
    return code


if __name__ == "__main__":
    sys.exit(main())
