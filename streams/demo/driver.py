"""Runs the demo: Kafka, a worker, the marketplace; follows what comes out and keeps the score."""

from __future__ import annotations

import contextlib
import itertools
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, Protocol

import orjson
from rich.console import Console
from rich.live import Live

from sinks.dead_letters import parse
from streams.demo.picture import save_picture
from streams.demo.screen import print_line, render
from streams.demo.state import DemoState, Phase
from streams.demo.summary import as_object, render_summary
from streams.errors import InfrastructureError
from streams.kafka.broker import EmbeddedKafka
from streams.kafka.clients import kafka_python_options
from streams.kafka.topics import ensure_topics
from streams.marketplace import Event, Marketplace, Mix, Position, Truth
from streams.settings import KafkaSettings, Settings

if TYPE_CHECKING:
    from kafka import KafkaConsumer, KafkaProducer

__all__ = ["DemoOptions", "Prepare", "run_demo"]

_READY_SECONDS = 240.0  # for the worker to start; at the first use it may have to make its encoder
_CATCH_UP_SECONDS = 30.0  # for the catalogue to be worked off before the stream goes live
_DRAIN_SECONDS = 60.0  # for the last results
_QUIET_SECONDS = 3.0  # without anything new, once every event is accounted for: links are found last
_FRAME_SECONDS = 0.25
_LINE_SECONDS = 5.0
_INTERRUPTED = 128 + signal.SIGINT
_OURS = frozenset({"streams", "detectors", "models", "sinks"})


class Prepare(Protocol):
    """Makes what the worker needs before it is started, such as an encoder or an anomaly classifier.

    folder: removed with the demo. say: shows a sentence on the screen. Returns settings for the worker.
    """

    def __call__(self, folder: Path, market: Marketplace, say: Callable[[str], None]) -> Mapping[str, Any]:
        """Settings by name, such as {"anomaly_model": path}."""


@dataclass(frozen=True, slots=True)
class DemoOptions:
    """What the demo is asked for.

    seconds: of the demo, from its first event; None: until Ctrl-C. encoder: as in the settings.
    rate: events per second once the catalogue is loaded; the mix's own where None.
    keep: leave the folder with Kafka's data and the worker's log. picture: an SVG file for the last live screen.
    prepare: called while the worker is not there yet. kafka_home: see `EmbeddedKafka`.
    """

    seconds: float | None = 60.0
    seed: int = 0
    json: bool = False
    encoder: str = "static"
    rate: float | None = None
    keep: bool = False
    picture: Path | None = None
    prepare: Prepare | None = None
    kafka_home: Path | None = None


def run_demo(options: DemoOptions, *, out: Console | None = None, err: Console | None = None) -> int:
    """Run the demo to its end; the process's exit code: 0, or 130 after Ctrl-C.

    The summary goes to `out`, standard output; everything else, and with `json` the summary's table, to `err`.

    Raises: BrokerError, InfrastructureError where the worker ends by itself, and what `prepare` raises.
    """
    out = out if out is not None else Console(highlight=False)
    err = err if err is not None else Console(stderr=True, highlight=False)
    run = _Demo(options, err)
    previous = signal.signal(signal.SIGTERM, _interrupt)
    try:
        code = run.run()
    finally:
        signal.signal(signal.SIGTERM, previous)
    report = run.truth.report()
    interrupted = code == _INTERRUPTED
    if report.events:
        (err if options.json else out).print(render_summary(report, interrupted=interrupted))
    elif interrupted:
        err.print(
            "The demo was stopped before Kafka had confirmed any event: there is nothing to sum up.", soft_wrap=True
        )
    if options.keep:
        err.print(f"Kafka's data and the worker's log are in {run.folder}.", soft_wrap=True)
    if options.json:
        out.file.write(orjson.dumps(as_object(report, interrupted=interrupted)).decode() + "\n")
        out.file.flush()
    return code


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


class _Display:
    """The live screen on a terminal, lines elsewhere."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live: Live | None = None
        self._next = 0.0
        self._said = ""

    def __enter__(self) -> _Display:
        if self._console.is_terminal and not self._console.is_dumb_terminal:
            # On the terminal's other screen: Ctrl-C may come in the middle of a frame, and nothing of it stays.
            self._live = Live(console=self._console, auto_refresh=False, screen=True, vertical_overflow="crop")
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None

    def due(self) -> bool:
        return time.monotonic() >= self._next

    def show(self, state: DemoState) -> None:
        if self._live is not None:
            self._next = time.monotonic() + _FRAME_SECONDS
            self._live.start()  # not before: whatever interrupts it, `__exit__` puts the terminal right
            self._live.update(render(state, self._console.width, self._console.height), refresh=True)
            return
        self._next = time.monotonic() + _LINE_SECONDS
        if state.sent:
            print_line(self._console, state)
        elif (said := f"{state.phase}{': ' + state.note if state.note else ''}") != self._said:
            self._said = said
            self._console.print(said, markup=False, soft_wrap=True)


class _Demo:
    """One run. `truth` can be asked at any time, also after a failure."""

    def __init__(self, options: DemoOptions, console: Console) -> None:
        self._options = options
        self._console = console
        mix = Mix() if options.rate is None else Mix(rate=options.rate)
        self._market = Marketplace(options.seed, mix=mix)
        self.truth = Truth()
        self.folder = Path()
        self._display = _Display(console)
        self._phase = Phase.KAFKA
        self._note = ""
        self._metrics_url: str | None = None
        self._encoder: str | None = None
        self._sent = 0
        self._began: float | None = None
        self._confirmed: deque[tuple[Event, Position, float]] = deque()
        self._failed: deque[BaseException] = deque()
        self._latencies: deque[float] = deque(maxlen=3000)
        self._outs: deque[tuple[float, int]] = deque([(time.monotonic(), 0)], maxlen=40)
        self._last_news = time.monotonic()

    def run(self) -> int:
        """Everything from start to stop; 0, or 130 after Ctrl-C."""
        try:
            with ExitStack() as stack:
                self.folder = Path(tempfile.mkdtemp(prefix="streamgauge-demo-"))
                if not self._options.keep:
                    stack.callback(shutil.rmtree, self.folder, ignore_errors=True)
                stack.enter_context(self._display)
                self._run(stack)
        except KeyboardInterrupt:
            return _INTERRUPTED
        return 0

    def _run(self, stack: ExitStack) -> None:
        self._show()
        data = self.folder / "kafka" if self._options.keep else None
        kafka = stack.enter_context(EmbeddedKafka(data, kafka_home=self._options.kafka_home))
        extra: Mapping[str, Any] = {}
        if self._options.prepare is not None:
            extra = self._options.prepare(self.folder, self._market, self._say)
        settings = Settings(
            kafka=KafkaSettings(bootstrap_servers=kafka.bootstrap_servers), state_dir=self.folder / "state"
        )
        ensure_topics(settings, create_sources=True)
        self._phase, self._note = Phase.WORKER, ""
        worker = self._start_worker(settings, extra, stack)
        self._wait_until_ready(worker, settings)
        producer, consumer = self._clients(settings, stack)
        try:
            self._stream(worker, settings, producer, consumer)
            if self._options.picture is not None:
                save_picture(self._state(), self._options.picture)
            self._drain(worker, settings, producer, consumer)
        except KeyboardInterrupt:
            with contextlib.suppress(KeyboardInterrupt):
                producer.flush(timeout=5)
                self._follow(settings, consumer)
            raise

    # --- the worker ------------------------------------------------------------------------------------------------

    def _start_worker(self, settings: Settings, extra: Mapping[str, Any], stack: ExitStack) -> subprocess.Popen[bytes]:
        config = self.folder / "worker.toml"
        values = {
            "state_dir": str(settings.state_dir),
            "encoder": self._options.encoder,
            "log_format": "json",
            "broker_gone_seconds": 10.0,  # a worker whose demo was killed ends with the Kafka that goes with it
            **extra,
        }
        body = "".join(f"{name} = {_toml(value)}\n" for name, value in values.items())
        servers = _toml(settings.kafka.bootstrap_servers)
        config.write_text(f"{body}\n[kafka]\nbootstrap_servers = {servers}\n", encoding="utf-8")
        command = [sys.executable, "-c", "from streams.cli.main import main; main()", "run", "--config", str(config)]
        with self._log().open("wb") as log:
            self.truth.started = time.monotonic()
            worker = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C is for us: we stop the worker in good order
            )
        stack.callback(_stop, worker)
        return worker

    def _log(self) -> Path:
        return self.folder / "worker.log"

    def _wait_until_ready(self, worker: subprocess.Popen[bytes], settings: Settings) -> None:
        deadline = time.monotonic() + _READY_SECONDS
        while time.monotonic() < deadline:
            self._check(worker)
            self._look_at_worker(settings, worker.pid)
            if self._metrics_url is not None and _answers(f"{self._metrics_url}/ready"):
                return
            if self._display.due():
                self._show()
            time.sleep(0.1)
        raise InfrastructureError(
            f"The worker was not ready within {_READY_SECONDS:.0f} s.", f"It last said: {self._last_words()}"
        )

    def _look_at_worker(self, settings: Settings, pid: int) -> None:
        """Where its metrics are, and what it says while it starts."""
        with contextlib.suppress(OSError, ValueError, KeyError):
            state = orjson.loads((settings.state_dir / f"{settings.app_id}-{pid}.json").read_bytes())
            if state["metrics"]:
                self._metrics_url = str(state["metrics"]).removesuffix("/metrics").rstrip("/")
        for entry in _entries(self._log()):
            if str(entry.get("logger")).partition(".")[0] in _OURS:  # the libraries' are not for people who watch
                self._encoder = entry.get("encoder", self._encoder)
                self._note = str(entry.get("event") or self._note)

    def _check(self, worker: subprocess.Popen[bytes]) -> None:
        if worker.poll() is not None:
            raise InfrastructureError(
                f"The worker ended by itself with exit code {worker.returncode}: {self._last_words()}",
                "" if self._options.keep else "--keep leaves its log.",
            )
        if self._failed:
            raise InfrastructureError(f"An event could not be sent to Kafka: {self._failed[0]}.")

    def _last_words(self) -> str:
        lines = self._log().read_text("utf-8", "replace").strip().splitlines()
        said = [line for line in lines[-2:] if not line.startswith("{")]  # what is wrong, and what to do
        return " ".join(said or lines[-1:])[:500] or "nothing"

    # --- the stream ------------------------------------------------------------------------------------------------

    def _clients(self, settings: Settings, stack: ExitStack) -> tuple[KafkaProducer, KafkaConsumer]:
        from kafka import KafkaConsumer, KafkaProducer, TopicPartition

        options = kafka_python_options(settings.kafka)
        producer = KafkaProducer(**options, acks="all", linger_ms=10)
        stack.callback(producer.close, timeout=5)
        consumer = KafkaConsumer(**options, group_id=None, isolation_level="read_committed", max_poll_records=2000)
        stack.callback(consumer.close)
        names = settings.topics
        topics = [
            *map(names.corrected, ("products", "behaviors")),
            names.named("findings"),
            names.named("dead_letters"),
        ]
        places = [TopicPartition(topic, p) for topic in topics for p in consumer.partitions_for_topic(topic) or ()]
        consumer.assign(places)
        consumer.seek_to_beginning(*places)
        return producer, consumer

    def _stream(
        self, worker: subprocess.Popen[bytes], settings: Settings, producer: KafkaProducer, consumer: KafkaConsumer
    ) -> None:
        events = self._market.events()
        upcoming = next(events)
        self._phase, self._note = Phase.LOADING, ""
        self._began = began = time.monotonic()
        held = 0.0  # seconds for which the marketplace stood still
        last = began
        caught_up = False
        limit = self._options.seconds
        while limit is None or time.monotonic() - began < limit:
            now = time.monotonic()
            standing = False
            if upcoming.at >= self._market.load_seconds:
                if not caught_up:
                    caught_up = self.truth.waiting() <= 20 or now - began > _CATCH_UP_SECONDS
                standing = not caught_up or self.truth.waiting() > max(2000.0, 5 * self._market.mix.rate)
                if caught_up:
                    self._phase = Phase.LIVE
            if standing:
                held += now - last
            else:
                until = now - began - held
                for _ in range(1000):
                    if upcoming.at > until:
                        break
                    self._send(producer, upcoming)
                    upcoming = next(events)
            last = now
            self._tick(worker, settings, consumer)

    def _drain(
        self, worker: subprocess.Popen[bytes], settings: Settings, producer: KafkaProducer, consumer: KafkaConsumer
    ) -> None:
        """Until every event is accounted for and nothing new comes, or for as long as is reasonable."""
        self._phase = Phase.DRAINING
        deadline = time.monotonic() + _DRAIN_SECONDS
        producer.flush(timeout=10)
        self._last_news = time.monotonic()
        while time.monotonic() < deadline:
            self._tick(worker, settings, consumer)
            if not self.truth.waiting() and time.monotonic() - self._last_news > _QUIET_SECONDS:
                break
        self._phase = Phase.DONE
        self._show()

    def _tick(self, worker: subprocess.Popen[bytes], settings: Settings, consumer: KafkaConsumer) -> None:
        self._follow(settings, consumer)
        self._check(worker)
        if self._display.due():
            self._show()

    def _send(self, producer: KafkaProducer, event: Event) -> None:
        future = producer.send(event.topic, key=event.key, value=event.value, headers=list(event.headers))
        future.add_callback(self._on_confirmed, event)
        future.add_errback(self._failed.append)
        self._sent += 1

    def _on_confirmed(self, event: Event, metadata: Any) -> None:
        """On the producer's own thread."""
        position = Position(metadata.topic, metadata.partition, metadata.offset)
        self._confirmed.append((event, position, time.monotonic()))

    def _follow(self, settings: Settings, consumer: KafkaConsumer) -> None:
        """Take in what was confirmed and what came out."""
        batches = consumer.poll(timeout_ms=20)
        while self._confirmed:
            self.truth.sent(*self._confirmed.popleft())
        now = time.monotonic()
        names = settings.topics
        findings, dead = names.named("findings"), names.named("dead_letters")
        for record in itertools.chain.from_iterable(batches.values()):
            self._last_news = now
            if record.topic == findings:
                self.truth.finding(orjson.loads(record.value), now)
            elif record.topic == dead:
                death = parse(record.headers)
                if death is not None:
                    position = Position(death.topic, death.partition, death.offset)
                    self.truth.dead_letter(position, death.message, now)
            elif record.value is None:
                self.truth.deleted(record.topic.removeprefix(names.prefix).removesuffix(".corrected"), record.key)
            else:
                seconds = self.truth.corrected(orjson.loads(record.value), now)
                if seconds is not None:
                    self._latencies.append(seconds * 1000)

    # --- the screen ------------------------------------------------------------------------------------------------

    def _say(self, note: str) -> None:
        self._note = note
        self._show()

    def _show(self) -> None:
        self._display.show(self._state())

    def _state(self) -> DemoState:
        report = self.truth.report()
        now = time.monotonic()
        self._outs.append((now, report.corrected + report.dead_letters))
        recent = [out for out in self._outs if now - out[0] < 6] or [self._outs[-1]]
        seconds = now - recent[0][0]
        ordered = sorted(self._latencies)
        return DemoState(
            phase=self._phase,
            report=report,
            seconds=0.0 if self._began is None else now - self._began,
            limit=self._options.seconds,
            sent=self._sent,
            rate=(recent[-1][1] - recent[0][1]) / seconds if seconds > 0.2 else 0.0,
            p50_ms=ordered[len(ordered) // 2] if ordered else None,
            p99_ms=ordered[int(len(ordered) * 0.99)] if ordered else None,
            waiting=report.lost,
            metrics_url=f"{self._metrics_url}/metrics" if self._metrics_url else None,
            encoder=self._encoder or self._options.encoder,
            note=self._note,
        )


def _stop(worker: subprocess.Popen[bytes]) -> None:
    if worker.poll() is None:
        worker.terminate()
        try:
            worker.wait(20)
        except subprocess.TimeoutExpired:
            worker.kill()
    worker.wait()


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as response:  # noqa: S310 -- our own worker's address
            return bool(response.status == 200)
    except OSError:
        return False


def _entries(log: Path) -> Iterator[Mapping[str, Any]]:
    """The entries of a JSON log; lines that are none are passed over."""
    for line in log.read_bytes().splitlines() if log.is_file() else ():
        with contextlib.suppress(ValueError):
            entry = orjson.loads(line)
            if isinstance(entry, dict):
                yield entry


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    return orjson.dumps(str(value)).decode()  # a basic string of TOML is written as JSON's
