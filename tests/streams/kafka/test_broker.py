from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from streams.errors import BrokerError
from streams.kafka.broker import EmbeddedKafka
from streams.kafka.jars import KAFKA_VERSION, classpath, pinned_jars
from tests.kafka_tools import make_topic, read_all, send_all, wait_until


def test_the_pinned_list_names_every_jar_once() -> None:
    jars = pinned_jars()
    names = [jar.coordinate.rpartition(":")[0] for jar in jars]
    assert len(jars) == len(set(names)) == 46
    assert all(len(jar.sha256) == 64 for jar in jars)
    assert f"org.apache.kafka:kafka-clients:{KAFKA_VERSION}" in {jar.coordinate for jar in jars}


@pytest.mark.kafka
def test_records_come_back_as_they_were_sent(kafka_servers: str, topic_prefix: str) -> None:
    topic = make_topic(kafka_servers, topic_prefix + "echo", partitions=3, configs={"max.message.bytes": "3000000"})
    sent = [(b"k%d" % i, b"v%d" % i, [("h", b"1"), ("h", b"2")]) for i in range(100)]
    send_all(kafka_servers, topic, [*sent, (b"large", b"x" * 2_000_000, ())])
    records = read_all(kafka_servers, topic)
    assert len(records) == 101
    small = {r.key: (r.value, [tuple(h) for h in r.headers]) for r in records if r.key != b"large"}
    assert small == {key: (value, headers) for key, value, headers in sent}


@pytest.mark.kafka
def test_confirmed_records_outlive_a_kill_and_a_restart(kafka: EmbeddedKafka) -> None:
    with EmbeddedKafka() as broker:
        folder = broker.data_dir
        topic = make_topic(broker.bootstrap_servers, "kept")
        send_all(broker.bootstrap_servers, topic, [(None, b"before")])
        broker.kill()
        assert not broker.running()
        broker.restart()
        send_all(broker.bootstrap_servers, topic, [(None, b"after")])
        assert [r.value for r in read_all(broker.bootstrap_servers, topic)] == [b"before", b"after"]
    assert not folder.exists()


@pytest.mark.kafka
def test_a_data_folder_is_kept_for_the_next_start_on_other_ports(kafka: EmbeddedKafka, tmp_path: Path) -> None:
    with EmbeddedKafka(tmp_path / "data") as broker:
        send_all(broker.bootstrap_servers, make_topic(broker.bootstrap_servers, "kept"), [(None, b"1")])
        names = ("server1.properties", "server1.log", "log4j2.properties", "out1.txt")
        before = {name: (tmp_path / "data" / name).stat() for name in names}
        with pytest.raises(BrokerError, match="in use by another Kafka"):
            EmbeddedKafka(tmp_path / "data").start()
        for name, was in before.items():
            now = (tmp_path / "data" / name).stat()
            assert (now.st_ino, now.st_mtime_ns, now.st_size) == (was.st_ino, was.st_mtime_ns, was.st_size), name
        assert make_topic(broker.bootstrap_servers, "after") == "after"
    with EmbeddedKafka(tmp_path / "data") as broker:
        assert [r.value for r in read_all(broker.bootstrap_servers, "kept")] == [b"1"]
    with pytest.raises(BrokerError, match="holds a cluster of 1 brokers, not 3"):
        EmbeddedKafka(tmp_path / "data", brokers=3).start()


@pytest.mark.kafka
@pytest.mark.slow
def test_three_brokers_carry_on_when_one_is_killed(kafka: EmbeddedKafka) -> None:
    with EmbeddedKafka(brokers=3) as cluster:
        topic = make_topic(cluster.bootstrap_servers, "kept", partitions=3)
        send_all(cluster.bootstrap_servers, topic, [(b"%d" % i, b"v") for i in range(30)])
        cluster.kill(1)
        send_all(cluster.bootstrap_servers, topic, [(b"%d" % i, b"v") for i in range(30)])
        cluster.restart(1)
        assert len(read_all(cluster.bootstrap_servers, topic)) == 60


_PARENT = """
import sys, threading
from streams.kafka.broker import EmbeddedKafka
with EmbeddedKafka() as broker:
    print(broker._nodes[0].java_pid, broker._nodes[0].process.pid, broker.data_dir, flush=True)
    if sys.argv[1] == "crash":
        import os
        os.abort()
    threading.Event().wait(120)  # for the signal
"""


@pytest.mark.kafka
@pytest.mark.parametrize("end", ["SIGINT", "SIGTERM", "SIGKILL", "crash", "watcher killed"])
def test_the_broker_ends_with_its_parent(kafka: EmbeddedKafka, end: str) -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", _PARENT, end], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    with parent:
        assert parent.stdout is not None
        java, watcher, folder = parent.stdout.readline().split(maxsplit=2)
        if end == "watcher killed":
            if sys.platform != "linux":
                parent.kill()
                pytest.skip("only Linux ends a process when its parent is killed")
            os.kill(int(watcher), signal.SIGKILL)
        elif end != "crash":
            parent.send_signal(getattr(signal, end))
        gone = wait_until(lambda: not psutil.pid_exists(int(java)), 20)
        parent.send_signal(signal.SIGINT if end == "watcher killed" else signal.SIGKILL)
    assert gone
    assert wait_until(lambda: not Path(folder.strip()).exists())


_LOCK_HOLDER = """
import os, sys
from pathlib import Path
from streams.kafka.broker import EmbeddedKafka
broker = EmbeddedKafka(Path(sys.argv[1])).start()
print(broker._nodes[0].process.pid, broker._nodes[0].java_pid, flush=True)
os.kill(broker._nodes[0].process.pid, 19)  # the watcher cannot end anything now
os.kill(os.getpid(), 9)
"""


@pytest.mark.kafka
def test_a_data_folder_is_locked_as_long_as_a_watcher_of_its_brokers_lives(
    tmp_path: Path, kafka: EmbeddedKafka
) -> None:
    folder = tmp_path / "data"
    holder = subprocess.run(
        [sys.executable, "-c", _LOCK_HOLDER, str(folder)], capture_output=True, text=True, check=False
    )
    watcher, java = map(int, holder.stdout.split())
    try:
        with pytest.raises(BrokerError, match="in use by another Kafka"):
            EmbeddedKafka(folder).start()
    finally:
        os.kill(watcher, signal.SIGCONT)
    assert wait_until(lambda: not psutil.pid_exists(java) and not psutil.pid_exists(watcher), 30)
    with EmbeddedKafka(folder) as again:
        assert again.running()


def test_a_port_that_is_taken_is_named(tmp_path: Path, kafka: EmbeddedKafka) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(BrokerError, match=f"Port {port} is in use"):
            EmbeddedKafka(tmp_path / "data", port=port).start()


def test_a_folder_without_kafka_is_no_installation(tmp_path: Path) -> None:
    with pytest.raises(BrokerError, match="There is no Apache Kafka in"):
        classpath(tmp_path)


@pytest.mark.kafka
def test_an_installation_is_used_instead(tmp_path: Path, kafka: EmbeddedKafka) -> None:
    (tmp_path / "libs").mkdir()
    for jar in classpath():
        (tmp_path / "libs" / jar.name).symlink_to(jar)
    assert {jar.parent for jar in classpath(tmp_path)} == {tmp_path / "libs"}
    with EmbeddedKafka(kafka_home=tmp_path) as broker:
        assert make_topic(broker.bootstrap_servers, "there") == "there"


def test_without_network_and_cache_one_sentence_says_what_to_do(tmp_path: Path) -> None:
    proxies = dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), "http://127.0.0.1:9")
    code = (
        "from streams.kafka.broker import EmbeddedKafka\n"
        "from streams.errors import BrokerError\n"
        "try:\n    EmbeddedKafka().start()\n"
        "except BrokerError as error:\n    print(error.message); print(error.hint)\n"
    )
    environment = {**os.environ, **proxies, "no_proxy": "", "M2_REPO": str(tmp_path / "empty")}
    run = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    message, hint = run.stdout.splitlines()
    assert message.startswith(f"Apache Kafka {KAFKA_VERSION} is not on this machine yet and the network cannot")
    assert "STREAMGAUGE_KAFKA_HOME" in hint
    assert list((tmp_path / "empty").iterdir()) == []


@pytest.mark.kafka
def test_a_jar_that_was_cut_off_is_fetched_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kafka: EmbeddedKafka
) -> None:
    complete = classpath()
    repository = Path(str(complete[0]).partition("com")[0])
    smallest = min(complete, key=lambda jar: jar.stat().st_size)
    for jar in complete:
        copy = tmp_path / jar.relative_to(repository)
        copy.parent.mkdir(parents=True)
        if jar == smallest:
            copy.write_bytes(jar.read_bytes()[:-1])
        else:
            copy.symlink_to(jar)
    monkeypatch.setenv("M2_REPO", str(tmp_path))
    try:
        again = classpath()
    except BrokerError:
        pytest.skip("the repository of Kafka's files cannot be reached")  # no reason to fail: the rest is cached
    assert len(again) == len(complete)
    assert (tmp_path / smallest.relative_to(repository)).read_bytes() == smallest.read_bytes()
