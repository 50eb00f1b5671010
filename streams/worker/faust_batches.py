"""Whole batches through Faust: one event of a stream is a list of Kafka records of one partition.

Faust's work is per message: about four tasks for each, then decoding, then a pass of the event loop. Delivering the
lists that the client fetched as single messages leaves agents, groups and rebalancing as they are and takes that cost
once per list.

**Every touch point with Faust's private parts is in this file**, and each is named here. Written against
faust-streaming 0.15.3 (`FAUST_VERSION`); `check_faust` says whether they are all still there.

| private part of Faust                         | what for                                                      |
|-----------------------------------------------|---------------------------------------------------------------|
| `faust.transport.drivers.TRANSPORTS.data`     | registers the URL scheme `kafkabatch`                         |
| `Consumer.getmany`                            | overridden: one message per list                              |
| `Consumer._wait_next_records`                 | the fetched records, as `getmany` gets them                   |
| `Consumer._buffered_partitions`               | partitions under back pressure still take what was fetched    |
| `Consumer._read_offset`                       | a message below it would be dropped by `_drain_messages`      |
| `Consumer._add_gap`                           | overridden: a list jumps over its own offsets, that is no gap |
| `Consumer._filter_tps_with_pending_acks`      | overridden: partitions with lists in flight are looked at too |
| `Consumer._new_offset`                        | overridden: commits the acknowledged prefix, in order         |
| `Consumer._acked`, `._acked_index`            | emptied for topics in batches, which do not use them          |
| `Consumer._commit`                            | overridden: tells `App.commits` what the broker confirmed     |
| `Consumer.on_partitions_revoked`              | overridden: finish, commit, then let go                       |
| `Consumer.on_partitions_assigned`             | overridden: take records again                                |
| `Consumer._committed_offset`                  | where the group's reading begins, after `perform_seek`        |
| `Consumer.perform_seek`                       | overridden: what was in flight is fetched again               |
| `Consumer.seek_to_committed`                  | overridden: to the beginning where nothing was committed      |
| `Consumer._thread`                            | seeks to the beginning in the client's thread                 |
| `Schema.compile`                              | overridden: the event's value is the list                     |
| `Stream.enable_acks`                          | switched off: we acknowledge by ourselves                     |
| `App.on_stop`                                 | extended: what is in flight ends before the consumer does     |
| `App.on_shutdown`                             | extended: our own producers are closed after everything else  |
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import os
import threading
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol, cast

import faust
import structlog
from faust.exceptions import ImproperlyConfigured
from faust.transport import drivers
from faust.transport.drivers import aiokafka as driver
from faust.types import TP, ConsumerMessage

from streams.errors import InfrastructureError
from streams.kafka.clients import faust_broker_credentials, faust_broker_url

if TYPE_CHECKING:
    from aiokafka import ConsumerRecord
    from faust.types import AppT, EventT, StreamT

    from streams.settings import Settings

__all__ = [
    "FAUST_VERSION",
    "SCHEME",
    "BatchApp",
    "BatchSchema",
    "Commits",
    "Delivery",
    "check_faust",
    "make_app",
    "run",
    "unacknowledged",
]

log = structlog.get_logger(__name__)

# Services log their starts and stops under the name of their module; ours go where Faust's own go.
_MODE_LOG = logging.getLogger("faust.batches")

FAUST_VERSION = "0.15.3"
SCHEME = "kafkabatch"
_CRASHED_SECONDS = 5.0  # that a worker may take to end after a crash
_CLOSE_SECONDS = 3.0  # that closing a producer may take: nothing waits in it any more


class Delivery(Protocol):
    """Something that has records in flight."""

    async def drain(self) -> None:
        """Take nothing new, let what is in flight end, within a limit of its own, and drop the rest unacknowledged."""

    def open(self) -> None:
        """Partitions were assigned: take records again."""


class BatchMessage(ConsumerMessage):
    """A list of records of one partition. `value` is the list, `offset` that of its last record."""

    __slots__ = ()


class BatchSchema(faust.Schema[Any, Any]):
    """Marks a topic as delivered in batches: `app.topic(name, schema=BatchSchema(512))`.

    max_records: of one event. The value of the event is a list of aiokafka's `ConsumerRecord`.
    """

    def __init__(self, max_records: int = 512) -> None:
        super().__init__(key_serializer="raw", value_serializer="raw")
        self.max_records = max_records

    def compile(self, app: AppT, **_: Any) -> Callable[..., Awaitable[EventT[Any]]]:
        """The decoder that Faust's topics call for every message."""
        make = app.create_event

        async def decode(message: Any, *, propagate: bool = False) -> EventT[Any]:
            if not isinstance(message, BatchMessage):
                raise ImproperlyConfigured(f"a BatchSchema needs a broker URL that begins with {SCHEME}://")
            return make(None, cast(Any, message.value), message.headers or {}, message)

        return decode


class Commits:
    """What this worker has committed, as the broker confirmed it.

    offsets: per assigned partition, the next offset to read. at: per partition, monotonic seconds of the last commit.
    """

    def __init__(self) -> None:
        self.offsets: dict[TP, int] = {}
        self.at: dict[TP, float] = {}

    def begin(self, offsets: Mapping[TP, int]) -> None:
        """Note where the partitions that are ours from now on were committed before; 0 where they never were."""
        now = time.monotonic()
        self.offsets = dict(offsets)
        self.at = {partition: self.at.get(partition, now) for partition in offsets}

    def confirmed(self, offsets: Mapping[TP, int]) -> None:
        """Note a commit."""
        self.offsets.update(offsets)
        self.at.update(dict.fromkeys(offsets, time.monotonic()))

    def forget(self, partitions: set[TP]) -> None:
        """Partitions that are not ours any more."""
        for partition in partitions:
            self.offsets.pop(partition, None)
            self.at.pop(partition, None)


class BatchApp(faust.App):
    """A Faust app for topics in batches.

    deliveries: drained when partitions are about to be taken away and when the worker stops; what is acknowledged by
    then is committed. commits: what the broker confirmed. closers: awaited last of all, when the worker has stopped.
    """

    logger = _MODE_LOG

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.deliveries: list[Delivery] = []
        self.commits = Commits()
        self.shutdown_seconds: float | None = None
        self.closers: list[Callable[[], Awaitable[None]]] = []
        self._deadline: threading.Timer | None = None

    async def drain(self) -> None:
        """Let what is in flight end, of all agents at once."""
        await asyncio.gather(*(delivery.drain() for delivery in self.deliveries))

    async def on_stop(self) -> None:
        """Stop fetching, end what is in flight, then stop as Faust does, which commits what is acknowledged."""
        if self.shutdown_seconds is not None:
            # After a crash nothing is worth waiting for, least of all a broker that is gone.
            reason = self.crash_reason if self.crashed else None
            seconds = self.shutdown_seconds if reason is None else min(self.shutdown_seconds, _CRASHED_SECONDS)
            self._deadline = _exit_after(seconds, reason)
        if self._consumer is not None:
            self.consumer.stop_flow()
        await self.drain()
        await super().on_stop()

    async def on_shutdown(self) -> None:
        """Close what we opened ourselves. A broker that is gone, or a fault of the client, changes nothing any more."""
        await super().on_shutdown()
        results = await asyncio.gather(
            *(asyncio.wait_for(close(), _CLOSE_SECONDS) for close in self.closers), return_exceptions=True
        )
        for result in results:
            if isinstance(result, Exception):
                log.warning("worker.close", error=repr(result))

    def ended(self) -> None:
        """The worker has stopped in time: the process may go on."""
        if self._deadline is not None:
            self._deadline.cancel()


class Consumer(driver.Consumer):
    """Faust's consumer, with topics in batches beside topics in Faust's own way.

    A list is known by its identity and its place in the order of delivery, so that no arithmetic with offsets is
    needed: compacted topics and markers of transactions leave gaps.
    """

    app: BatchApp
    logger = _MODE_LOG

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if not isinstance(self.app, BatchApp):
            raise ImproperlyConfigured(f"{SCHEME}:// needs a BatchApp")
        self._delivered: dict[TP, deque[BatchMessage]] = {}
        self._batch_sizes: dict[str, int] = {}

    def _batch_size(self, topic: str) -> int:
        """Records in a batch of this topic; 0 for a topic in Faust's own way."""
        size = self._batch_sizes.get(topic)
        if size is None:
            schemas = [channel.schema for channel in self.app.topics if topic in channel.topics]
            size = max((schema.max_records for schema in schemas if isinstance(schema, BatchSchema)), default=0)
            self._batch_sizes[topic] = size
        return size

    async def getmany(self, timeout: float) -> AsyncIterator[tuple[TP, Any]]:  # noqa: ASYNC109 -- Faust's signature
        """Messages of all partitions in turn: a list of records each, or one record of a topic in Faust's own way."""
        records, active = await self._wait_next_records(timeout)
        if records is None or self.should_stop:
            return
        generation = self.app.consumer_generation_id
        if not self.flow_active:
            # Fetched while partitions are being taken away: fetch it again. Not `self.perform_seek`, because what is
            # in flight may still be acknowledged and committed.
            try:
                await super().perform_seek()
            except Exception as error:  # any error of the client: the assignment to come seeks again
                log.warning("consumer.seek", error=repr(error))
            return

        def wanted(tp: TP) -> bool:
            return active is None or tp in active or tp in self._buffered_partitions

        def live() -> bool:
            return self.flow_active and self.app.consumer_generation_id == generation

        plain: dict[TP, list[Any]] = {}
        chunks: deque[tuple[TP, Sequence[ConsumerRecord], int, int]] = deque()
        for fetched, found in records.items():
            tp = TP(fetched.topic, fetched.partition)
            size = self._batch_size(tp.topic)
            if size:
                chunks.append((tp, found, 0, size))
            else:
                plain[tp] = found
        while chunks:
            tp, of_partition, start, size = chunks.popleft()
            if not live():
                return
            if not wanted(tp):
                continue
            end = start + size
            if end < len(of_partition):
                chunks.append((tp, of_partition, end, size))
            else:
                self.app.monitor.track_tp_end_offset(tp, self.highwater(tp))
            message = self._to_batch(tp, of_partition[start:end], generation)
            if message.offset < (self._read_offset[tp] or 0):
                continue  # Faust would drop it, and it would stay in the order for ever
            self._delivered.setdefault(tp, deque()).append(message)
            yield tp, message
        for tp, record in self.scheduler.iterate(plain):
            if not live():
                return
            if wanted(tp):
                self.app.monitor.track_tp_end_offset(tp, self.highwater(tp))
                yield tp, self._to_message(tp, record)

    @staticmethod
    def _to_batch(tp: TP, records: Sequence[ConsumerRecord], generation: int) -> BatchMessage:
        last = records[-1]
        return BatchMessage(
            tp.topic,
            tp.partition,
            last.offset,
            last.timestamp / 1000.0,
            last.timestamp_type,
            None,
            None,
            cast(Any, records),
            None,
            0,
            0,
            tp,
            generation_id=generation,
        )

    async def _add_gap(self, tp: TP, offset_from: int, offset_to: int) -> None:
        if not self._batch_size(tp.topic):
            await super()._add_gap(tp, offset_from, offset_to)

    def _filter_tps_with_pending_acks(self, topics: Any = None) -> Iterator[TP]:
        partitions = set(self._acked) | set(self._delivered)
        return (tp for tp in partitions if topics is None or tp in topics or tp.topic in topics)

    def _new_offset(self, tp: TP) -> int | None:
        if not self._batch_size(tp.topic):
            return super()._new_offset(tp)
        delivered, last = self._delivered.get(tp), None
        while delivered and delivered[0].acked:
            last = delivered.popleft().offset
        self._acked.pop(tp, None)
        self._acked_index.pop(tp, None)
        return None if last is None else last + 1

    async def _commit(self, offsets: Mapping[TP, int]) -> bool:
        committed = await super()._commit(offsets)
        if committed:
            self.app.commits.confirmed(offsets)
        return committed

    async def commit_all(self) -> None:
        """Commit everything acknowledged so far, also where a commit is under way that began before."""
        while await self.maybe_wait_for_commit_to_finish():
            pass
        await self.commit()

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        """Before partitions go: nothing new is delivered, what is in flight ends or is dropped, and is committed.

        Kafka waits for this (within the group's rebalance timeout), so the next owner begins after the last
        acknowledged record, and what we sent lies before what it will send.
        """
        self.stop_flow()
        await self.app.drain()
        await self.commit_all()
        await super().on_partitions_revoked(revoked)
        self._delivered.clear()
        self._batch_sizes.clear()
        self.app.commits.forget(revoked)

    async def seek_to_committed(self) -> Mapping[TP, int]:
        """Back to the committed offsets; where nothing was committed yet, to the beginning.

        The client leaves such a partition where it is, and what was fetched of it and dropped would be lost.
        """
        committed = await super().seek_to_committed()
        if new := [tp for tp, offset in committed.items() if not offset or offset < 0]:
            await self._thread.seek_to_beginning(*new)
        return committed

    async def perform_seek(self) -> None:
        """Back to the committed offsets: what was in flight is delivered again."""
        self._delivered.clear()
        await super().perform_seek()
        self.app.commits.begin({tp: self._committed_offset[tp] or 0 for tp in self.assignment()})

    async def on_partitions_assigned(self, assigned: set[TP], generation_id: int = 0) -> None:
        """Partitions have come: what was drained takes records again."""
        for delivery in self.app.deliveries:
            delivery.open()
        await super().on_partitions_assigned(assigned, generation_id)

    async def on_stop(self) -> None:
        """The last commit."""
        await self.maybe_wait_for_commit_to_finish()
        await super().on_stop()


class Transport(driver.Transport):
    """Faust's aiokafka transport with the consumer above."""

    Consumer = Consumer


drivers.TRANSPORTS.data[SCHEME] = f"{__name__}:Transport"


async def unacknowledged(stream: StreamT[Any]) -> AsyncIterator[EventT[Any]]:
    """The events of a stream; each stays unacknowledged until `event.ack()`."""
    stream.enable_acks = False
    async for event in stream.events():
        yield event


def make_app(settings: Settings, **options: Any) -> BatchApp:
    """A Faust app with the settings that delivery in batches relies on. options: Faust's own, over ours.

    Raises: InfrastructureError where the state folder cannot be written; ConfigError where certificates cannot be read.
    """
    state = settings.state_dir / "faust"
    try:
        state.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InfrastructureError(
            f"The state folder {settings.state_dir} cannot be made: {error.strerror}.", "Name another as state_dir."
        ) from error
    session = settings.session_timeout_seconds
    return BatchApp(
        settings.app_id,
        **{
            "broker": faust_broker_url(settings.kafka, SCHEME),
            "broker_credentials": faust_broker_credentials(settings.kafka),
            "broker_commit_interval": settings.commit_interval_seconds,
            "broker_session_timeout": session,
            "broker_heartbeat_interval": session / 5,
            "broker_request_timeout": max(40.0, session),
            "broker_max_poll_records": max(500, settings.batch_records),
            "consumer_auto_offset_reset": "earliest",
            "stream_wait_empty": False,  # waits for ever where a message is dropped; `BatchApp.drain` has a limit
            "stream_recovery_delay": 0.0,
            "topic_allow_declare": False,  # topics are made by `streamgauge topics create`
            "topic_disable_leader": True,
            "web_enabled": False,
            "worker_redirect_stdouts": False,
            "datadir": state,
            **options,
        },
    )


def run(app: BatchApp, *, shutdown_seconds: float = 30.0) -> int:
    """Run the app in this thread until SIGTERM, SIGINT or a crash. The process's exit code: 0, or 1 after a crash.

    shutdown_seconds: after which the process ends with code 1, wherever it hangs. Nothing is lost by that: what is
    not committed is delivered again.
    """
    try:
        import uvloop
    except ImportError:  # Windows
        pass
    else:
        asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())  # the consumer's thread makes a loop of its own
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    app.shutdown_seconds = shutdown_seconds
    worker = faust.Worker(app, loop=loop, quiet=True, override_logging=False, redirect_stdouts=False)
    worker.spinner = None
    in_thread = threading.excepthook
    threading.excepthook = partial(_thread_ended, app, in_thread)
    try:
        worker.execute_from_commandline()
    except SystemExit as ended:
        code, cause = ended.code, ended.__context__
    finally:
        app.ended()
        threading.excepthook = in_thread
    if reason := worker.crash_reason or cause:
        _say_crashed(reason)
        return 1
    return code if isinstance(code, int) else 1


def _thread_ended(app: BatchApp, otherwise: Callable[[Any], Any], args: threading.ExceptHookArgs) -> None:
    """The consumer's thread falls over its own stop where the broker is gone: that says nothing once we know why."""
    if app.crashed:
        log.debug("worker.thread_ended", kind=args.exc_type.__name__)
    else:
        otherwise(args)


def _say_crashed(reason: BaseException) -> None:
    log.error("worker.crashed", reason=str(reason), kind=type(reason).__name__)


def _exit_after(seconds: float, reason: BaseException | None) -> threading.Timer:
    """End the process in so many seconds. reason: of the crash that ends it, where it is one."""

    def leave() -> None:
        if reason is None:
            log.error("worker.hangs", seconds=seconds, hint="it is ended now; uncommitted records are delivered again")
        else:
            _say_crashed(reason)
        os._exit(1)

    timer = threading.Timer(seconds, leave)
    timer.daemon = True
    timer.start()
    return timer


def check_faust() -> list[str]:
    """What this file relies on and this Faust does not have, in words; empty where all is as expected."""
    wrong: list[str] = []
    if faust.__version__ != FAUST_VERSION:
        wrong.append(f"faust-streaming is {faust.__version__}, this was written against {FAUST_VERSION}")
    parameters = {
        "getmany": ["self", "timeout"],
        "_wait_next_records": ["self", "timeout"],
        "_add_gap": ["self", "tp", "offset_from", "offset_to"],
        "_filter_tps_with_pending_acks": ["self", "topics"],
        "_new_offset": ["self", "tp"],
        "_commit": ["self", "offsets"],
        "on_partitions_revoked": ["self", "revoked"],
        "on_partitions_assigned": ["self", "assigned", "generation_id"],
        "perform_seek": ["self"],
        "seek_to_committed": ["self"],
        "maybe_wait_for_commit_to_finish": ["self"],
        "stop_flow": ["self"],
    }
    for name, expected in parameters.items():
        method = getattr(driver.Consumer, name, None)
        found = list(inspect.signature(method).parameters) if method else None
        if found != expected:
            wrong.append(f"Consumer.{name} takes {found}, not {expected}")
    source = inspect.getsource(driver.Consumer.__mro__[2])
    wrong += [
        f"Consumer has no {name}"
        for name in (
            "_buffered_partitions",
            "_read_offset",
            "_acked",
            "_acked_index",
            "_committed_offset",
            "flow_active",
            "scheduler",
        )
        if f"self.{name} = " not in source
    ]
    drain = inspect.getsource(driver.Consumer._drain_messages)
    if "offset >= r_offset" not in drain or "getmany(timeout=1.0)" not in drain:
        wrong.append("Consumer._drain_messages takes messages in another way")
    if not isinstance(getattr(drivers.TRANSPORTS, "data", None), dict):
        wrong.append("drivers.TRANSPORTS has no data")
    if "enable_acks" not in inspect.signature(faust.Stream.__init__).parameters:
        wrong.append("Stream has no enable_acks")
    return wrong
