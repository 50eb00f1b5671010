from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.kafka_tools import make_topic, read_all, send_all, wait_until

TESTS = Path(__file__).resolve().parents[2]


@pytest.mark.kafka
def test_what_a_worker_says_from_its_start_to_ctrl_c(kafka_servers: str, topic_prefix: str, tmp_path: Path) -> None:
    source = make_topic(kafka_servers, topic_prefix + "goods")
    send_all(kafka_servers, source, [(b"%d" % i, b'{"id": %d, "name": "lamp %d"}' % (i, i)) for i in range(3)])
    send_all(kafka_servers, source, [(b"9", b"9;lamp")])
    config = tmp_path / "s.toml"
    config.write_text(
        f'app_id = "{topic_prefix}app"\nlog_format = "json"\nmetrics_port = 0\nstate_dir = "{tmp_path}"\n'
        f'[products]\n"{source}" = "{TESTS / "contracts" / "abt-buy.yaml"}"\n'
        f'[topics]\nprefix = "{topic_prefix}"\npartitions = 1\n[kafka]\nbootstrap_servers = "{kafka_servers}"\n'
    )
    command = [sys.executable, str(TESTS / "streams" / "worker" / "hashing.py"), "run", "--config", str(config)]
    log = tmp_path / "log"
    corrected = f"{topic_prefix}{source}.corrected"
    with log.open("wb") as file, subprocess.Popen(command, stderr=file, stdout=subprocess.DEVNULL) as run:
        try:
            assert wait_until(lambda: '"worker.ready"' in log.read_text(), 120), log.read_text()
            assert wait_until(lambda: len(read_all(kafka_servers, corrected)) == 3, 60), log.read_text()
        finally:
            run.send_signal(signal.SIGINT)
            run.wait(60)
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    said = [line["event"] for line in lines]
    assert (run.returncode, said[0]) == (0, "worker.loading"), said
    assert said.index("worker.loading") < said.index("worker.starts") < said.index("worker.ready")
    assert said.index("worker.ready") < said.index("worker.stops") < said.index("worker.progress")
    done = lines[said.index("worker.progress")]
    assert {name: done[name] for name in ("corrected", "dead_letters", "deleted")} == {
        "corrected": 3,
        "dead_letters": 1,
        "deleted": 0,
    }


@pytest.mark.parametrize(
    ("setting", "damaged", "message"),
    [
        ("anomaly_model", False, "There is no anomaly model in {}."),
        ("anomaly_model", True, "The anomaly model in {} cannot be read ("),
        ("matcher_model", False, "{} holds no matcher that can be read: "),
        ("matcher_model", True, "{} holds no matcher that can be read: "),
    ],
)
def test_a_model_that_cannot_be_had_is_told_before_kafka_and_the_encoder_are_waited_for(
    tmp_path: Path, setting: str, damaged: bool, message: str
) -> None:
    model = tmp_path / "model"
    if damaged:
        model.mkdir()
        for name in ("anomalies.json", "matcher.json"):
            (model / name).write_text("{")
    config = tmp_path / "s.toml"
    config.write_text(f'{setting} = "model"\n[kafka]\nbootstrap_servers = "127.0.0.1:1"\n')
    command = [sys.executable, "-c", "from streams.cli.main import main; main()", "run", "--config", str(config)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 1
    assert f"Error: {message.format(model)}" in ended.stderr
    assert "Kafka cannot be reached" not in ended.stderr
