from __future__ import annotations

import json
import subprocess
import sys
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
    assert checks["topics"] == ("ok", "9 are as they should be", "")
    assert checks["rights"][0] == "ok"
    assert checks[f"keys of {topic_prefix}products"][1] == "the newest 20 products are keyed by product"
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
    send_all(kafka_servers, source, [(None, b'{"id": 8}')] * 3)
    assert diagnose(streamgauge, config)[1][name][:2] == ("fail", "3 of the newest 23 products have no key")


@pytest.mark.kafka
def test_records_that_do_not_read_say_nothing_of_keys(
    streamgauge: Run, config: Path, kafka_servers: str, topic_prefix: str
) -> None:
    source = make_topic(kafka_servers, topic_prefix + "products", 2)
    name = f"keys of {source}"
    send_all(kafka_servers, source, [(b"%d" % i, b'{"id": %d, "name": "lamp"}' % i) for i in range(43)])
    send_all(kafka_servers, source, [(None, b"4,lamp"), (None, b"[]"), (b"4", None)] * 3)
    assert diagnose(streamgauge, config)[1][name][:2] == ("ok", "the newest 43 products are keyed by product")
    send_all(kafka_servers, source, [(None, b'{"id": 99, "name": "lamp"}')])
    code, checks = diagnose(streamgauge, config)
    assert (code, checks[name][:2]) == (0, ("warn", "1 of the newest 44 products have no key"))


@pytest.mark.kafka
def test_columns_of_the_contract_that_no_record_has(
    streamgauge: Run, config: Path, kafka_servers: str, topic_prefix: str
) -> None:
    source = make_topic(kafka_servers, topic_prefix + "products")
    fields = b'{"id": 1, "title": "lamp", "description": "", "price": 1, "manufacturer": "x"}'
    send_all(kafka_servers, source, [(b"1", fields)])
    assert diagnose(streamgauge, config)[1][f"columns of {source}"] == (
        "warn",
        "its contract has the column 'name' (role title), which none of the newest 1 records that read has",
        "Did you mean 'title'?",
    )


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
    assert next(iter(checks)) == "kafka"


def test_a_built_in_sample_is_told_from_a_contract_of_ones_own(streamgauge: Run, tmp_path: Path) -> None:
    config = tmp_path / "s.toml"
    own = Path(__file__).resolve().parents[2] / "contracts" / "abt-buy.yaml"
    config.write_text(f'products = {{goods = "{own}"}}\n[kafka]\nbootstrap_servers = "no.such.host.invalid:9092"\n')
    assert diagnose(streamgauge, config)[1]["contract of goods"] == ("ok", "abt-buy 1.0.0", "")
    config.write_text('[kafka]\nbootstrap_servers = "no.such.host.invalid:9092"\n')
    _, checks = diagnose(streamgauge, config)
    for kind in ("products", "behaviors"):
        assert checks[f"contract of {kind}"] == (
            "ok", f"{kind} 1.0.0, the built-in sample: the settings name no contract for this topic", ""
        )  # fmt: skip


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


def test_torch_is_not_imported_to_see_that_there_is_no_gpu(tmp_path: Path) -> None:
    code = (
        "import sys; from streams.checks import _gpu\n"
        "import streams.checks as checks; checks._NVIDIA = checks._AMD = checks._WSL = '/dev/nothing-of-the-kind'\n"
        "print(_gpu(), 'torch' in sys.modules)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    if sys.platform == "linux":
        assert run.stdout == "None False\n"
