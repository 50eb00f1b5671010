"""What makes sure that an event ends as an output, as a dead letter with its reason, or is still uncommitted.

A handler gets records in two phases. Phase 1 computes; what it returns is phase 2, the confirmation of everything that
the records caused. Records are acknowledged after phase 2, in the order in which they came, and only acknowledged
records are committed.

When a batch fails, nothing later stays in flight: what was begun after it is dropped, the batch is repeated (whole,
then in halves, down to the record at fault), and what came after it begins again. So an output of a later version of
a record is never the last word while an earlier one is repeated: the later one is sent again behind it, under the
same ids. It is the way "go back N" of sliding window protocols, and costs repeats only where something failed.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import functools
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ParamSpec, Protocol, TypeVar

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError
from faust.types import TP

from sinks.errors import PublishError, PublishInterrupted
from streams.errors import InfrastructureError
from streams.kafka.clients import brief_consumer
from streams.worker.faust_batches import BatchApp, BatchSchema, unacknowledged

if TYPE_CHECKING:
    from aiokafka import ConsumerRecord
    from faust.types import AgentT, EventT, StreamT

    from streams.settings import Settings

__all__ = [
    "BatchAgent",
    "Compute",
    "DeliveryOptions",
    "DeliveryStats",
    "Handler",
    "InfrastructureError",
    "LagWatch",
    "OnPoison",
    "SelfTest",
    "batch_agent",
]

log = structlog.get_logger(__name__)

# What an OSError says about the machine, not about a record.
_SILENT_TURNS = 5  # without an answer, after which the broker counts as silent
_MACHINE = frozenset({errno.ENOSPC, errno.EROFS, errno.EDQUOT, errno.EIO, errno.EMFILE, errno.ENFILE, errno.ENOMEM})

P = ParamSpec("P")
R = TypeVar("R")


class Handler(Protocol):
    """What is done with the records of a topic."""

    async def __call__(self, records: Sequence[ConsumerRecord], generation: int) -> Awaitable[None] | None:
        """Phase 1: compute. Returns phase 2, done when all outputs are confirmed; None where there are none.

        records: up to the batch size, of any of the topic's partitions, each partition's in order.
        generation: of the consumer group; work for an old one may be dropped.

        Phase 1 runs for one batch at a time. Phase 2 of up to `inflight` batches overlaps with it and with each
        other in one of two ways:
            a future (or task) is under way already, as `Publisher.send` returns it: the outputs were queued in
            phase 1, so they lie in the order of the batches;
            a coroutine begins when phase 2 of the batch before has ended: what it sends lies in that order too.
        A handler that has to wait for something first (its own catalogue entry, say) starts that as a task in phase
        1 and returns a coroutine that awaits the task and then sends.

        May be called again with the same records, or with some of them, after it raised or was cancelled, and
        must then give the same outputs under the same ids. What it raises is repeated, then blamed on single records;
        InfrastructureError and PublishError stop the worker.
        """


OnPoison = Callable[["ConsumerRecord", BaseException], Awaitable[None]]
SelfTest = Callable[[], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class DeliveryOptions:
    """How records are batched and how failures are dealt with.

    batch_records: most records in a batch. inflight: most batches whose phase 2 has not ended.
    retries: of a whole batch, after its first failure, with `backoff_seconds` before the first and doubling.
    drain_seconds: how long what is in flight may take when the worker stops or partitions go.
    """

    batch_records: int = 512
    inflight: int = 3
    retries: int = 3
    backoff_seconds: float = 0.2
    drain_seconds: float = 10.0

    @classmethod
    def of(cls, settings: Settings) -> DeliveryOptions:
        """From the settings of a worker. A rebalance waits for the group's session at most."""
        return cls(
            batch_records=settings.batch_records,
            inflight=settings.batch_inflight,
            retries=settings.batch_retries,
            backoff_seconds=settings.retry_backoff_seconds,
            drain_seconds=min(10.0, settings.session_timeout_seconds),
        )


@dataclass(slots=True)
class DeliveryStats:
    """Figures of one topic's delivery, since the start of the worker. Read them at any time; only we write them.

    batches, records: acknowledged. retries: repeats of whole batches. poison: records given up as dead letters;
    poison_in_a_row: since one was processed.
    dropped: batches that were begun and not acknowledged, because partitions went or an earlier batch failed.
    in_flight: batches begun and not acknowledged. queued: records received and not begun.
    acknowledged_at: monotonic seconds of the last acknowledgement; None before the first.
    """

    topic: str
    batches: int = 0
    records: int = 0
    retries: int = 0
    poison: int = 0
    poison_in_a_row: int = 0
    dropped: int = 0
    in_flight: int = 0
    queued: int = 0
    acknowledged_at: float | None = None


@dataclass(slots=True)
class _Batch:
    """Some events of one generation, acknowledged together. second: the task of its phase 2."""

    events: list[EventT[Any]]
    records: list[ConsumerRecord]
    generation: int
    second: asyncio.Task[None] = field(init=False)


class BatchAgent:
    """Delivers the records of one topic to one handler. Made by `batch_agent`.

    agent: the Faust agent underneath. stats: figures. last_good: the last record that was processed without fault.
    """

    def __init__(
        self,
        app: BatchApp,
        topic: str,
        handler: Handler,
        options: DeliveryOptions,
        on_poison: OnPoison,
        self_test: SelfTest,
    ) -> None:
        self.stats = DeliveryStats(topic)
        self.last_good: ConsumerRecord | None = None
        self._app = app
        self._handler = handler
        self._options = options
        self._on_poison = on_poison
        self._self_test = self_test
        self._queue: deque[EventT[Any]] = deque()
        self._flying: deque[_Batch] = deque()
        self._first: tuple[_Batch, asyncio.Task[Awaitable[None] | None]] | None = None
        self._pump: asyncio.Task[None] | None = None
        self._closed = False
        self._wake = asyncio.Event()
        self._room = asyncio.Event()
        schema = BatchSchema(options.batch_records)
        self.agent: AgentT[Any] = app.agent(app.topic(topic, schema=schema, maxsize=4), name=f"deliver.{topic}")(
            self._consume
        )
        app.deliveries.append(self)

    async def drain(self) -> None:
        """Take nothing new; let phase 2 of what is in flight end, within `drain_seconds`; drop everything else."""
        self._closed = True
        self._discard()
        if self._first is not None:
            self._first[1].cancel()
        deadline = time.monotonic() + self._options.drain_seconds
        while self._flying and (left := deadline - time.monotonic()) > 0:
            # The pump acknowledges them, after the last of these is done.
            await asyncio.wait([batch.second for batch in self._flying], timeout=left)
            await asyncio.sleep(0)
            if self._pump is None or self._pump.done():
                break
        if self._pump is not None and not self._pump.done():
            self._pump.cancel()
            await asyncio.wait([self._pump])
            await self._drop()
            self._pump = asyncio.ensure_future(self._deliver())

    def open(self) -> None:
        """Take records again."""
        self._closed = False

    async def _consume(self, stream: StreamT[Any]) -> None:
        self._pump = asyncio.ensure_future(self._deliver())
        try:
            async for event in unacknowledged(stream):
                self._queue.append(event)
                self.stats.queued += len(event.value)
                self._wake.set()
                while self.stats.queued >= 2 * self._options.batch_records:
                    self._room.clear()
                    await self._room.wait()
        finally:
            self._pump.cancel()
            await asyncio.wait([self._pump])
            await self._drop()

    async def _deliver(self) -> None:
        """The pump: the only one that begins, repeats and acknowledges batches."""
        try:
            while True:
                self._wake.clear()
                self._begin()
                await self._change()
                await self._settle()
        except asyncio.CancelledError:
            raise
        except BaseException as error:
            await self._drop()
            log.error("delivery.stops", topic=self.stats.topic, reason=str(error), kind=type(error).__name__)
            await self._app.crash(error)

    def _begin(self) -> None:
        """Phase 1 of the next batch, where there is one and its turn has come."""
        if self._first is None and len(self._flying) < self._options.inflight and (batch := self._take()) is not None:
            self._first = (batch, asyncio.ensure_future(self._phase_one(batch)))
        self._count()

    async def _phase_one(self, batch: _Batch) -> Awaitable[None] | None:
        return await self._handler(batch.records, batch.generation)

    async def _change(self) -> None:
        """Wait until the oldest batch or phase 1 has ended, or records have come."""
        if self._first is None and not self._flying:
            await self._wake.wait()
            return
        watched: list[asyncio.Future[Any]] = []
        if self._flying:
            watched.append(self._flying[0].second)
        if self._first is not None and not self._first[1].done():
            watched.append(self._first[1])
        woken = asyncio.ensure_future(self._wake.wait())
        try:
            await asyncio.wait([*watched, woken], return_when=asyncio.FIRST_COMPLETED)
        finally:
            woken.cancel()

    async def _settle(self) -> None:
        """Acknowledge what is confirmed, oldest first; pass phase 1 on to phase 2; go back to what failed."""
        while self._flying and self._flying[0].second.done():
            if (error := _error_of(self._flying[0].second)) is not None:
                await self._go_back(self._flying.popleft(), error)
                return
            batch = self._flying.popleft()
            self._went_well(batch.records)
            self._acknowledge(batch)
        if self._first is None or not self._first[1].done():
            return
        batch, first = self._first
        error = _error_of(first)
        if self._closed:
            self._first = None
            self.stats.dropped += 1
            if error is None and asyncio.iscoroutine(second := first.result()):
                second.close()
        elif error is None:
            self._first = None
            self._launch(batch, first.result())
        elif not self._flying:  # otherwise what came before ends first
            self._first = None
            await self._go_back(batch, error)

    def _launch(self, batch: _Batch, second: Awaitable[None] | None) -> None:
        previous = self._flying[-1].second if self._flying else None
        if second is None and previous is None:
            self._acknowledge(batch)
            return
        batch.second = asyncio.ensure_future(_in_turn(second, previous))
        if asyncio.iscoroutine(second):
            batch.second.add_done_callback(lambda _: second.close())
        self._flying.append(batch)

    def _take(self) -> _Batch | None:
        """The next batch: as many of the queued events as fit together."""
        events: list[EventT[Any]] = []
        records: list[ConsumerRecord] = []
        generation = self._app.consumer_generation_id
        while self._queue:
            event = self._queue[0]
            ours = event.message.generation_id == generation and not self._closed
            if ours and events and len(records) + len(event.value) > self._options.batch_records:
                break
            self._queue.popleft()
            self.stats.queued -= len(event.value)
            if ours:  # else fetched before partitions changed hands: it is delivered again, to its owner
                events.append(event)
                records += event.value
        self._room.set()
        return _Batch(events, records, generation) if events else None

    def _acknowledge(self, batch: _Batch) -> None:
        if batch.generation != self._app.consumer_generation_id:
            self.stats.dropped += 1
            return
        for event in batch.events:
            event.ack()
        self.stats.batches += 1
        self.stats.records += len(batch.records)
        self.stats.acknowledged_at = time.monotonic()

    async def _go_back(self, failed: _Batch, error: BaseException) -> None:
        """Drop what was begun after the failed batch, repeat it, and let the rest begin again."""
        later = await self._drop()
        if self._closed:
            self.stats.dropped += 1
            return
        for batch in reversed(later):
            self._queue.extendleft(reversed(batch.events))
            self.stats.queued += len(batch.records)
        failed.second = asyncio.ensure_future(
            self._repeat(failed.records, failed.generation, error, self._options.retries)
        )
        self._flying.append(failed)
        self._count()
        try:
            await asyncio.wait([failed.second])
            failed.second.result()
        finally:
            # Not by `_drop`'s count: the pump was cancelled, or it stops the worker.
            if not failed.second.done():
                failed.second.cancel()
        self._flying.popleft()
        self._acknowledge(failed)

    async def _repeat(self, records: list[ConsumerRecord], generation: int, error: BaseException, retries: int) -> None:
        """Try again what failed with `error`, whole, then in halves; give up single records."""
        for attempt in range(retries):
            _raise_infrastructure(error)
            self.stats.retries += 1
            log.warning("delivery.retry", topic=self.stats.topic, records=len(records), kind=type(error).__name__)
            await asyncio.sleep(self._options.backoff_seconds * 2**attempt)
            if (again := await self._try(records, generation)) is None:
                return
            error = again
        _raise_infrastructure(error)
        if len(records) > 1:
            middle = len(records) // 2
            for half in (records[:middle], records[middle:]):
                if (again := await self._try(half, generation)) is not None:
                    await self._repeat(half, generation, again, 0)
            return
        # Once more, for what fails now and then; then the record is at fault, unless a record known to be good
        # fails too.
        if (again := await self._try(records, generation)) is None:
            return
        _raise_infrastructure(again)
        try:
            await self._self_test()
        except Exception as broken:
            raise InfrastructureError(
                f"Records of {self.stats.topic} fail, and so does what is known to be good: {type(broken).__name__}.",
                "Nothing was acknowledged; put that right and start the worker again.",
            ) from broken
        if isinstance(again, PublishInterrupted | KafkaError):
            raise InfrastructureError(
                f"What came of a record of {self.stats.topic} could not be written: {type(again).__name__}.",
                "Nothing of this batch was acknowledged; see to the broker and start the worker again.",
            ) from again
        record = records[0]
        log.error(
            "delivery.poison",
            topic=record.topic,
            partition=record.partition,
            offset=record.offset,
            kind=type(again).__name__,
        )
        self.stats.poison_in_a_row += 1
        try:
            await self._on_poison(record, again)
        except InfrastructureError:
            raise
        except Exception as refused:
            raise InfrastructureError(
                f"No dead letter could be written for {record.topic} {record.partition} {record.offset}:"
                f" {type(refused).__name__}.",
                "See that the topic of dead letters is there and takes records larger than the source's.",
            ) from refused
        self.stats.poison += 1

    async def _try(self, records: list[ConsumerRecord], generation: int) -> BaseException | None:
        if generation != self._app.consumer_generation_id:
            return None  # it is not ours any more, and `_acknowledge` knows
        try:
            second = await self._handler(records, generation)
            if second is not None:
                await second
        except Exception as error:
            return error
        self._went_well(records)
        return None

    def _went_well(self, records: Sequence[ConsumerRecord]) -> None:
        self.last_good = records[-1]
        self.stats.poison_in_a_row = 0

    async def _drop(self) -> list[_Batch]:
        """Cancel everything in flight, unacknowledged. Returns what that was, oldest first."""
        dropped = list(self._flying)
        tasks: list[asyncio.Task[Any]] = [batch.second for batch in dropped]
        if self._first is not None:
            dropped.append(self._first[0])
            tasks.append(self._first[1])
        self._flying.clear()
        self._first = None
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=self._options.drain_seconds)
        for task in tasks:
            if task.done() and _error_of(task) is None and asyncio.iscoroutine(second := task.result()):
                second.close()
        self.stats.dropped += len(dropped)
        self._count()
        return dropped

    def _discard(self) -> None:
        self._queue.clear()
        self.stats.queued = 0
        self._room.set()

    def _count(self) -> None:
        self.stats.in_flight = len(self._flying) + (self._first is not None)


async def _in_turn(second: Awaitable[None] | None, previous: asyncio.Task[None] | None) -> None:
    """Phase 2: a future as it is, a coroutine after phase 2 of the batch before has ended well."""
    if second is None:
        return
    if previous is not None and not asyncio.isfuture(second):
        await asyncio.wait([previous])
        if _error_of(previous) is not None:
            raise asyncio.CancelledError
    await second


def _error_of(task: asyncio.Future[Any]) -> BaseException | None:
    """What a future that is done ended with; None where it ended well."""
    return asyncio.CancelledError() if task.cancelled() else task.exception()


def _raise_infrastructure(error: BaseException) -> None:
    """Raise InfrastructureError where no repeat and no dead letter can help."""
    if isinstance(error, InfrastructureError):
        raise error
    if isinstance(error, PublishError):
        raise InfrastructureError(
            f"What was computed could not be written: {error}.", "Nothing of it was acknowledged; see to the broker."
        ) from error
    if isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno in _MACHINE):
        raise InfrastructureError(
            f"The machine is short of something: {error}.", "Nothing was acknowledged; see to disk and memory."
        ) from error


def batch_agent(
    app: BatchApp,
    topic: str,
    handler: Handler,
    *,
    on_poison: OnPoison,
    self_test: SelfTest,
    options: DeliveryOptions | None = None,
) -> BatchAgent:
    """Deliver a topic's records to `handler`, as the module's docstring and `Handler` say.

    A batch that fails is repeated (`options.retries`), then split in halves to find the record at fault. For a record
    that fails alone:
        self_test: passes a record known to be good through the same machinery. If it raises, the worker stops.
        on_poison: writes the dead letter, and returns when that is confirmed. Then the record is acknowledged.

    InfrastructureError, PublishError, MemoryError, and OSError of a full or read-only disk stop the worker with exit
    code 1; nothing in flight is acknowledged.
    """
    return BatchAgent(app, topic, handler, options or DeliveryOptions(), on_poison, self_test)


class LagWatch:
    """Asks the broker, through a client of its own, how far the topics reach: lag, and whether a broker is there.

    client: options of aiokafka. gone_seconds: without an answer for that long the worker stops, with exit code 1.
    stall_seconds: a partition is stalled that is assigned and lags, and of which nothing was committed for so long.

    lag: records behind, per assigned partition. assigned: whether any partition is ours. stalled: whether one stalls.
    silent: whether the broker has not answered for a few of the `every_seconds`.
    """

    def __init__(
        self,
        app: BatchApp,
        client: dict[str, Any],
        *,
        gone_seconds: float = 60.0,
        stall_seconds: float = 120.0,
        every_seconds: float = 2.0,
    ) -> None:
        self.lag: dict[TP, int] = {}
        self.assigned = False
        self.stalled = False
        self.silent = False
        self._app = app
        self._client = client
        self._gone_seconds = gone_seconds
        self._stall_seconds = stall_seconds
        self._every_seconds = every_seconds
        self._progress: dict[TP, tuple[int, int, float]] = {}  # committed, end, since
        app.task(self._watch)

    def commit_ages(self) -> dict[str, float]:
        """Per topic, seconds since the oldest last commit of a partition that lags; 0 where none does."""
        now, ages = time.monotonic(), dict.fromkeys((tp.topic for tp in self.lag), 0.0)
        for tp, lag in self.lag.items():
            if lag > 0:
                ages[tp.topic] = max(ages[tp.topic], now - self._app.commits.at.get(tp, now))
        return ages

    def note(self, ends: dict[TP, int], committed: dict[TP, int], now: float) -> None:
        """Take in how far partitions reach and how far they are committed, at `now` in monotonic seconds."""
        self.assigned = bool(ends)
        self.lag = {tp: max(0, end - committed.get(tp, 0)) for tp, end in ends.items()}
        stalled = False
        progress: dict[TP, tuple[int, int, float]] = {}
        for tp, end in ends.items():
            place = committed.get(tp, 0)
            before = self._progress.get(tp)
            if before is None or place > before[0] or self.lag[tp] == 0:
                progress[tp] = (place, end, now)
            else:
                progress[tp] = before
                # The marker of a transaction at the end of a partition counts as a record that never comes.
                stalled |= (end > before[1] or self.lag[tp] > 1) and now - before[2] >= self._stall_seconds
        self._progress, self.stalled = progress, stalled

    async def _watch(self) -> None:
        answered = time.monotonic()
        consumer: AIOKafkaConsumer | None = None
        async with contextlib.AsyncExitStack() as stack:
            while not self._app.should_stop:
                try:
                    if consumer is None:
                        consumer = await stack.enter_async_context(
                            brief_consumer(self._client, request_timeout_ms=5000)
                        )
                    await self._ask(consumer)
                    answered, self.silent = time.monotonic(), False
                except (KafkaError, TimeoutError, OSError) as error:
                    silent = time.monotonic() - answered
                    self.silent = silent > _SILENT_TURNS * self._every_seconds
                    log.warning("broker.silent", seconds=round(silent, 1), kind=type(error).__name__)
                    if silent > self._gone_seconds:
                        raise InfrastructureError(
                            f"No Kafka has answered at {self._client.get('bootstrap_servers')} for {silent:.0f} s.",
                            "Nothing is lost; start the worker again when the broker is back.",
                        ) from error
                await self._app.sleep(self._every_seconds)

    async def _ask(self, consumer: AIOKafkaConsumer) -> None:
        committed = dict(self._app.commits.offsets)
        if not committed:
            await asyncio.wait_for(consumer.topics(), 5)
            self.note({}, {}, time.monotonic())
            return
        ends = await asyncio.wait_for(consumer.end_offsets([TopicPartition(*tp) for tp in committed]), 5)
        self.note({TP(*tp): end for tp, end in ends.items()}, committed, time.monotonic())


class Compute:
    """One thread for work that would block the event loop: torch, FAISS, anything that takes milliseconds.

    One for what shares state, because it is in nobody else's hands: the view and the detectors of behaviour have one,
    the encoder with its cache another. Heartbeats and timers go on meanwhile.
    """

    def __init__(self, name: str) -> None:
        self._pool = ThreadPoolExecutor(1, name)

    async def run(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """What the function returns or raises, run after everything that was given before."""
        return await asyncio.get_running_loop().run_in_executor(
            self._pool, functools.partial(function, *args, **kwargs)
        )

    def close(self) -> None:
        """Wait for what runs, drop what waits."""
        self._pool.shutdown(cancel_futures=True)
