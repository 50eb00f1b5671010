from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.kafka_tools import make_topic, send_all
from tests.streams.cli.conftest import Run


@pytest.fixture
def config(tmp_path: Path, kafka_servers: str, topic_prefix: str) -> Path:
    contract = Path(__file__).resolve().parents[2] / "contracts" / "abt-buy.yaml"
    path = tmp_path / "s.toml"
    path.write_text(
        f'behaviors = {{}}\nproducts = {{"{topic_prefix}products" = "{contract}"}}\n'
        f'[topics]\nprefix = "{topic_prefix}"\n[kafka]\nbootstrap_servers = "{kafka_servers}"\n'
    )
    return path


def diagnose(streamgauge: Run, config: Path, *options: str) -> tuple[int, dict[str, tuple[str, str, str]]]:
    code, out, err = streamgauge("doctor", "--json", "--config", config, *options)
    assert "Traceback" not in err
    result = json.loads(out)
    assert result["ok"] == (code == 0)
    return code, {c["name"]: (c["status"], c["message"], c["todo"]) for c in result["checks"]}


@pytest.mark.kafka
def test_a_patient_in_good_health(streamgauge: Run, config: Path, kafka_servers: str, topic_prefix: str) -> None:
    assert streamgauge("topics", "create", "--config", config)[0] == 0
    send_all(kafka_servers, topic_prefix + "products", [(b"%d" % i, b'{"id": %d}' % i) for i in range(20)])
    code, checks = diagnose(streamgauge, config, "--probe")
    assert {name: status for name, (status, _, _) in checks.items() if status == "fail"} == {}
    assert code == 0
    assert checks["kafka"][0] == "ok"
    assert "Kafka 4.1" in checks["kafka"][1]
    assert checks["topics"] == ("ok", "8 are as they should be", "")
    assert checks["rights"][0] == "ok"
    assert checks[f"keys of {topic_prefix}products"][1] == "the newest 20 records are keyed by product"
    assert checks["clock"][0] == "ok"
    code, out, _ = streamgauge("doctor", "--config", config)
    assert code == 0
    assert "ok   kafka: " in out


@pytest.mark.kafka
def test_what_is_wrong_with_topics_and_keys(
    streamgauge: Run, config: Path, kafka_servers: str, topic_prefix: str
) -> None:
    source = make_topic(kafka_servers, topic_prefix + "products", 2)
    name = f"keys of {source}"
    make_topic(kafka_servers, f"{topic_prefix}{source}.corrected")
    code, checks = diagnose(streamgauge, config)
    assert code == 1
    assert checks[f"topic {topic_prefix}{source}.corrected"][:2] == (
        "fail",
        "cleanup.policy is delete and must be compact",
    )
    assert checks[name][1] == "the topic is empty"
    assert checks["topics"][0] in ("warn", "ok")

    send_all(kafka_servers, source, [(b"1", b'{"sku": 1}'), (b"2", b"nonsense")])
    assert diagnose(streamgauge, config)[1][name][1] == "none of the newest 2 records has an id in the column 'id'"
    send_all(kafka_servers, source, [(b"x%d" % i, b'{"id": 7}') for i in range(20)])
    status, message, todo = diagnose(streamgauge, config)[1][name]
    assert (status, message) == ("fail", "1 products are in more than one partition")
    assert "rekey" in todo
    send_all(kafka_servers, source, [(None, b'{"id": 8}')])
    assert diagnose(streamgauge, config)[1][name][1] == "1 of the newest 23 records have no key"


def test_without_kafka_the_rest_is_still_looked_at(streamgauge: Run, tmp_path: Path) -> None:
    config = tmp_path / "s.toml"
    blocked = tmp_path / "file"
    blocked.write_text("")
    config.write_text(
        f'products = {{products = "{tmp_path}/no.yaml"}}\n[kafka]\nbootstrap_servers = "no.such.host.invalid:9092"\n'
    )
    code, checks = diagnose(streamgauge, config)
    assert code == 1
    assert checks["kafka"][:2] == (
        "fail",
        "Kafka cannot be reached: the name in no.such.host.invalid:9092 is not known.",
    )
    assert checks["contract of products"][0] == "fail"
    assert checks["state folder"][0] in ("ok", "warn")
    assert "device" in checks


def test_a_contract_of_the_wrong_kind_fails_as_a_worker_would(streamgauge: Run, tmp_path: Path) -> None:
    contracts = Path(__file__).resolve().parents[2] / "contracts"
    config = tmp_path / "s.toml"
    config.write_text(
        f'products = {{goods = "{contracts}/rees46.yaml"}}\nbehaviors = {{}}\n'
        '[kafka]\nbootstrap_servers = "no.such.host.invalid:9092"\n'
    )
    code, checks = diagnose(streamgauge, config)
    assert code == 1
    status, message, todo = checks["contract of goods"]
    assert (status, message) == ("fail", "The contract of topic goods is one of behaviors, not of products.")
    assert todo.startswith("Name the topic under [behaviors] in the settings")
