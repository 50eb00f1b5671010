"""The delivery guarantee, on a real Kafka with real processes: nothing is lost, whatever is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from faust.types import TP
from kafka import KafkaConsumer, KafkaProducer, TopicPartition

from sinks.dead_letters import parse
from streams.errors import InfrastructureError
from streams.kafka.broker import EmbeddedKafka
from streams.settings import Settings
from streams.worker.delivery import Compute, DeliveryOptions, LagWatch
from streams.worker.faust_batches import BatchApp, Commits
from tests.kafka_tools import make_topic, read_all, send_all

SCRIPT = Path(__file__).parent / "copier.py"
ROOT = Path(__file__).resolve().parents[3]


class Lab:
    """Topics with records in one of them, and workers that copy it."""

    def __init__(self, servers: str, prefix: str, folder: Path, partitions: int = 4) -> None:
        self.servers, self.prefix, self.folder = servers, prefix, folder
        self.source, self.target, self.dead = prefix + "in", prefix + "out", prefix + "dead"
        self.workers: list[subprocess.Popen[bytes]] = []
        make_topic(servers, self.source, partitions, {"max.message.bytes": "4000000"})
        make_topic(servers, self.target, partitions)
        make_topic(servers, self.dead, 1, {"max.message.bytes": "5000000"})

    def fill(self, count: int, value: Callable[[int], bytes] = lambda i: b"v%d" % i) -> None:
        send_all(self.servers, self.source, [(b"k%d" % (i % 40), value(i)) for i in range(count)], max_block_ms=60_000)

    def worker(self, **options: object) -> subprocess.Popen[bytes]:
        options = {
            "STREAMGAUGE_KAFKA__BOOTSTRAP_SERVERS": self.servers,
            "STREAMGAUGE_APP_ID": self.prefix + "copier",
            "STREAMGAUGE_STATE_DIR": self.folder / "state",
            "STREAMGAUGE_SESSION_TIMEOUT_SECONDS": 6,
            "STREAMGAUGE_COMMIT_INTERVAL_SECONDS": 0.3,
            "STREAMGAUGE_RETRY_BACKOFF_SECONDS": 0.02,
            "COPIER_SOURCE": self.source,
            "COPIER_TARGET": self.target,
            "COPIER_DEAD_LETTERS": self.dead,
            "COPIER_STATS": self.folder / f"stats{len(self.workers)}",
            "COPIER_BATCH": 50,
            "PYTHONPATH": ROOT,
            **options,
        }
        with (self.folder / f"worker{len(self.workers)}.log").open("wb") as output:
            worker = subprocess.Popen(
                [sys.executable, str(SCRIPT)],
                env={**os.environ, **{name: str(value) for name, value in options.items()}},
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        self.workers.append(worker)
        return worker

    def stats(self, worker: int = 0) -> list[int]:
        """Records acknowledged, lag, stalled, assigned: as the worker wrote them last."""
        try:
            return [int(word) for word in (self.folder / f"stats{worker}").read_text().split()]
        except FileNotFoundError:
            return [0, 0, 0, 0]

    def until(self, condition: Callable[[], bool], seconds: float = 60.0) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, self.logs()
            time.sleep(0.05)

    def copies(self) -> dict[str, list[Any]]:
        """Source position to its copies, in the order in which they were written."""
        found: dict[str, list[Any]] = {}
        for record in read_all(self.servers, self.target):
            found.setdefault(dict(record.headers).get("from", b"").decode(), []).append(record)
        return found

    def dead_letters(self) -> list[Any]:
        return read_all(self.servers, self.dead)

    def committed(self) -> int:
        """Records committed, over all partitions."""
        consumer = KafkaConsumer(bootstrap_servers=self.servers, group_id=self.prefix + "copier")
        try:
            partitions = consumer.partitions_for_topic(self.source) or set()
            return sum(consumer.committed(TopicPartition(self.source, p)) or 0 for p in partitions)
        finally:
            consumer.close()

    def end(self, worker: subprocess.Popen[bytes]) -> int:
        worker.send_signal(signal.SIGTERM)
        return worker.wait(40)

    def logs(self) -> str:
        return "\n".join(log.read_text()[-3000:] for log in self.folder.glob("worker*.log"))


@pytest.fixture
def lab(kafka_servers: str, topic_prefix: str, tmp_path: Path) -> Iterator[Lab]:
    lab = Lab(kafka_servers, topic_prefix, tmp_path)
    yield lab
    for worker in lab.workers:
        worker.kill()
        worker.wait()


def assert_last_copy_of_each_key_is_the_newest(lab: Lab) -> None:
    newest = {record.key: record.value for record in read_all(lab.servers, lab.source)}
    assert {record.key: record.value for record in read_all(lab.servers, lab.target)} == newest


@pytest.mark.kafka
def test_sigkill_under_load_loses_nothing(lab: Lab) -> None:
    lab.fill(6000)
    first = lab.worker(COPIER_WORK_SECONDS=0.01)
    lab.until(lambda: lab.stats()[0] > 1000)
    first.kill()
    first.wait()
    assert lab.committed() < 6000
    second = lab.worker()
    lab.until(lambda: len(lab.copies()) == 6000)
    lab.until(lambda: lab.committed() == 6000)
    assert all(len({copy.value for copy in copies}) == 1 for copies in lab.copies().values())
    assert lab.end(second) == 0


@pytest.mark.kafka
@pytest.mark.parametrize("second", ["future", "coroutine"])
def test_failures_now_and_then_lose_nothing_and_keep_the_order_of_each_key(lab: Lab, second: str) -> None:
    lab.fill(4000)
    lab.worker(COPIER_RAISE_EVERY=7, COPIER_LOSE_EVERY=5, COPIER_SECOND=second)
    lab.until(lambda: lab.committed() == 4000)
    assert len(lab.copies()) == 4000
    assert lab.dead_letters() == []
    assert_last_copy_of_each_key_is_the_newest(lab)


@pytest.mark.kafka
def test_a_record_that_always_fails_becomes_the_only_dead_letter(lab: Lab) -> None:
    lab.fill(1000, lambda i: b"poison" if i == 417 else b"v%d" % i)
    lab.worker(COPIER_POISON="poison")
    lab.until(lambda: lab.committed() == 1000)
    (letter,) = lab.dead_letters()
    death = parse(letter.headers)
    assert (letter.key, letter.value) == (b"k17", b"poison")
    assert death is not None
    assert (death.topic, death.stage, death.error) == (lab.source, "process", "ValueError")
    copies = lab.copies()
    assert len(copies) == 999
    assert f"{death.partition}/{death.offset}" not in copies
    last = {record.key: record.value for record in read_all(lab.servers, lab.target)}
    assert last[b"k17"] == b"v977"


@pytest.mark.kafka
def test_what_fails_for_every_record_stops_the_worker_and_acknowledges_nothing(lab: Lab) -> None:
    lab.fill(200)
    worker = lab.worker(COPIER_ALL_FAIL=1)
    assert worker.wait(60) == 1
    assert lab.committed() == 0
    assert (lab.copies(), lab.dead_letters()) == ({}, [])
    lab.worker()
    lab.until(lambda: lab.committed() == 200)
    assert len(lab.copies()) == 200


@pytest.mark.kafka
def test_a_second_worker_joins_and_the_first_leaves(lab: Lab) -> None:
    lab.fill(9000)
    first = lab.worker(COPIER_WORK_SECONDS=0.04)
    lab.until(lambda: lab.stats(0)[0] > 300)
    second = lab.worker(COPIER_WORK_SECONDS=0.01)
    lab.until(lambda: lab.stats(1)[3] == 1)
    lab.fill(2000)
    lab.until(lambda: lab.stats(1)[0] > 300)
    assert lab.end(first) == 0
    lab.until(lambda: lab.committed() == 11_000)
    copies = lab.copies()
    assert len(copies) == 11_000
    # What is in flight ends before partitions go; only what could not be committed in time comes again.
    assert sum(map(len, copies.values())) <= 11_000 + 4 * 50
    assert_last_copy_of_each_key_is_the_newest(lab)
    assert lab.end(second) == 0


@pytest.mark.kafka
def test_a_record_too_large_for_the_target_becomes_a_dead_letter(lab: Lab) -> None:
    lab.fill(300, lambda i: b"x" * 2_000_000 if i == 100 else b"v%d" % i)
    lab.worker()
    lab.until(lambda: lab.committed() == 300)
    (letter,) = lab.dead_letters()
    assert len(letter.value) == 2_000_000
    assert len(lab.copies()) == 299


@pytest.mark.kafka
def test_topics_in_faust_own_way_work_beside_those_in_batches(lab: Lab) -> None:
    plain = make_topic(lab.servers, lab.prefix + "plain", 1)
    lab.fill(200)
    send_all(lab.servers, plain, [(None, b"%d" % i) for i in range(50)])
    lab.worker(COPIER_PLAIN=plain)
    lab.until(lambda: len(lab.copies()) == 201 and len(lab.copies()[""]) == 50)
    assert [record.value for record in lab.copies()[""]] == [b"%d" % i for i in range(50)]


@pytest.mark.kafka
@pytest.mark.slow
def test_a_broker_that_restarts_is_waited_for_and_one_that_stays_away_is_not(topic_prefix: str, tmp_path: Path) -> None:
    with EmbeddedKafka() as broker:
        lab = Lab(broker.bootstrap_servers, topic_prefix, tmp_path)
        try:
            patient = lab.worker(COPIER_WORK_SECONDS=0.02)
            lab.fill(5000)
            lab.until(lambda: lab.stats(0)[0] > 500)
            broker.kill()
            broker.restart()
            lab.until(lambda: lab.committed() == 5000)
            assert len(lab.copies()) == 5000
            assert lab.end(patient) == 0
            impatient = lab.worker(STREAMGAUGE_BROKER_GONE_SECONDS=1)
            lab.until(lambda: lab.stats(1)[3] == 1)
            broker.kill()
            assert impatient.wait(60) == 1
        finally:
            for worker in lab.workers:
                worker.kill()
                worker.wait()


async def test_compute_runs_one_thing_after_the_other_on_one_thread() -> None:
    compute = Compute("one")
    threads: list[str] = []

    def note(number: int, *, sign: int) -> int:
        threads.append(threading.current_thread().name)
        return number * sign

    assert [await compute.run(note, number, sign=-1) for number in (1, 2)] == [-1, -2]
    assert threads == ["one_0", "one_0"]
    with pytest.raises(ZeroDivisionError):
        await compute.run(divmod, 1, 0)
    compute.close()


def test_options_come_from_the_settings() -> None:
    settings = Settings(batch_records=7, batch_inflight=2, batch_retries=1, session_timeout_seconds=6)
    options = DeliveryOptions.of(settings)
    assert (options.batch_records, options.inflight, options.retries, options.drain_seconds) == (7, 2, 1, 6)


class TestLag:
    PLACE = TP("in", 0)

    @pytest.fixture
    def watch(self) -> LagWatch:
        return LagWatch(BatchApp("lag", broker="kafkabatch://127.0.0.1"), {}, stall_seconds=100)

    def test_it_is_the_distance_from_the_commit_to_the_end(self, watch: LagWatch) -> None:
        watch.note({self.PLACE: 10, TP("in", 1): 5}, {self.PLACE: 4}, 0)
        assert (watch.lag, watch.assigned) == ({self.PLACE: 6, TP("in", 1): 5}, True)

    def test_a_worker_without_partitions_is_not_stalled(self, watch: LagWatch) -> None:
        watch.note({}, {}, 0)
        assert (watch.assigned, watch.stalled, watch.lag) == (False, False, {})

    def test_growth_without_a_commit_is_a_stall(self, watch: LagWatch) -> None:
        for now, end in ((0, 10), (50, 20), (99, 20)):
            watch.note({self.PLACE: end}, {self.PLACE: 4}, now)
            assert not watch.stalled
        watch.note({self.PLACE: 20}, {self.PLACE: 4}, 100)
        assert watch.stalled
        watch.note({self.PLACE: 20}, {self.PLACE: 5}, 101)
        assert not watch.stalled

    def test_an_idle_topic_is_not_a_stall(self, watch: LagWatch) -> None:
        for now in (0, 500):
            watch.note({self.PLACE: 10}, {self.PLACE: 10}, now)
            assert not watch.stalled

    def test_a_backlog_of_which_nothing_is_committed_is_a_stall_without_growth_too(self, watch: LagWatch) -> None:
        watch.note({self.PLACE: 1000}, {self.PLACE: 10}, 0)
        watch.note({self.PLACE: 1000}, {self.PLACE: 10}, 60)
        assert not watch.stalled
        watch.note({self.PLACE: 1000}, {self.PLACE: 10}, 500)
        assert watch.stalled

    def test_a_marker_at_the_end_is_not_a_stall(self, watch: LagWatch) -> None:
        for now in (0, 500):
            watch.note({self.PLACE: 11}, {self.PLACE: 10}, now)
            assert not watch.stalled


def test_commits_begin_anew_with_each_assignment() -> None:
    commits = Commits()
    commits.begin({TP("in", 0): 5})
    commits.confirmed({TP("in", 0): 9})
    commits.begin({TP("in", 1): 2})
    assert commits.offsets == {TP("in", 1): 2}

    async def test_a_broker_that_does_not_answer_is_silent_long_before_the_worker_stops(self) -> None:
        nowhere = {"bootstrap_servers": "127.0.0.1:1"}
        app = BatchApp("lag", broker="kafkabatch://127.0.0.1")
        watch = LagWatch(app, nowhere, gone_seconds=1.0, every_seconds=0.01)
        assert not watch.silent
        with pytest.raises(InfrastructureError, match=r"No Kafka has answered at 127\.0\.0\.1:1 for 1 s"):
            await watch._watch()
        assert watch.silent


@pytest.mark.kafka
def test_the_first_record_of_a_partition_survives_a_rebalance(
    kafka_servers: str, topic_prefix: str, tmp_path: Path
) -> None:
    lab = Lab(kafka_servers, topic_prefix, tmp_path, partitions=100)
    try:
        lab.worker()
        lab.until(lambda: lab.stats(0)[3] == 1)
        lab.worker()  # joins while each partition, of which nothing was committed yet, gets its first record
        producer = KafkaProducer(bootstrap_servers=kafka_servers)
        for partition in range(100):
            producer.send(lab.source, b"first", key=b"%d" % partition, partition=partition).get(10)
            time.sleep(0.05)  # not a wait: the records come one after the other
        producer.close()
        lab.until(lambda: lab.stats(1)[3] == 1)
        lab.until(lambda: lab.committed() == 100)
        assert len(lab.copies()) == 100
    finally:
        for worker in lab.workers:
            worker.kill()
            worker.wait()
