from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import orjson
import pytest

from detectors.records import StoredRecord
from sinks.dead_letters import bury
from streams.cli.show import lines_of
from tests.kafka_tools import make_topic, send_all
from tests.streams.cli.conftest import Run


def shown(value: dict[str, Any] | bytes | None, key: bytes | None = b"k", headers: Any = ()) -> list[str]:
    body = orjson.dumps(value) if isinstance(value, dict) else value
    record = SimpleNamespace(
        topic="t", partition=1, offset=7, timestamp=1_760_000_000_000, key=key, value=body, headers=headers
    )
    return ["  " * depth + text.plain for text, depth in lines_of(record)]


HEAD = "1/7  2025-10-09 08:53:20 UTC  k"


def test_fields_are_read_as_text() -> None:
    assert shown({"标题": "电热水壶\n1.5L\x1b[31m", "price": 12.5, "tags": ["新"], "note": None}) == [
        HEAD,
        "  标题: 电热水壶 1.5L\ufffd[31m",
        "  price: 12.5",
        '  tags: ["新"]',
        "  note: null",
    ]
    assert shown({"a": "x" * 600})[1] == f"  a: {'x' * 500}… (600 characters)"


def test_what_is_no_object() -> None:
    assert shown(None, key=None) == ["1/7  2025-10-09 08:53:20 UTC  no key", "  deleted (no value)"]
    assert shown(b"4;\xe7\x81\xaf")[1] == "  4;灯"
    assert shown("灯".encode("gb18030"))[1] == r"  2 bytes that are not UTF-8: \xb5\xc6"
    assert shown(b"")[1] == "  no bytes"


def test_a_corrected_record() -> None:
    change = {"field": "价格", "before": "￥1,299.00", "after": 1299.0, "confidence": 1.0,
              "rule": "price.notation", "reason": "written as a number"}  # fmt: skip
    quality = {
        "score": 0.9,
        "identity": "north/1",
        "canonical": "south/2",
        "findings": [{"id": "ab", "rule": "brand.missing", "field": "品牌"}],
        "corrections": [change],
    }
    assert shown({"价格": 1299.0, "_quality": quality}) == [
        HEAD,
        "  价格: 1299.0",
        "  quality 0.9, is the product south/2",
        "    价格: “￥1,299.00” → 1299.0  price.notation 1.0: written as a number",
        "    finding brand.missing in 品牌",
    ]


def test_a_finding() -> None:
    finding = {
        "rule": "price.scale", "severity": "error", "status": "open", "identity": "north/1", "field": "price",
        "observed": 1299, "suggested": 12.99, "confidence": 0.97,
        "evidence": {"reason": "A decimal point went astray.",
                     "neighbours": [{"identity": "south/2", "score": 0.9, "value": 13.5}]},
    }  # fmt: skip
    assert shown(finding) == [
        HEAD,
        "  error price.scale in price  north/1, confidence 0.97",
        "    A decimal point went astray.",
        "    observed 1299",
        "    suggested 12.99",
        "    near south/2 0.9 13.5",
    ]
    assert shown(finding | {"status": "retracted"})[1].endswith("  retracted")


def test_a_dead_letter() -> None:
    record = StoredRecord("shop", 2, 5, 1, b"k", "4;灯".encode(), [("streamgauge.replayed", b"2")])
    _, value, headers = bury(record, "decode", "not_json", "It has 2 fields.")
    assert shown(value, headers=headers) == [
        HEAD,
        "  died at decode of not_json  from shop 2/5  replayed 2 times",
        "    It has 2 fields.",
        "    4;灯",
    ]


def test_a_golden_record_and_a_mapping() -> None:
    golden = {
        "version": 3, "digest": "ab", "id": "north/1", "offers": 2, "members": ["north/1", "south/2"],
        "title": "电热水壶", "brand": None, "provenance": {"title": {"offer": "south/2", "policy": "longest"}},
    }  # fmt: skip
    assert shown(golden) == [
        HEAD,
        "  version: 3",
        "  id: north/1",
        "  offers: 2",
        "  title: 电热水壶  of south/2, by longest",
        "  offers that are this product: north/1, south/2",
    ]
    assert shown({"canonical": "north/1", "version": 4}) == [HEAD, "  is the product north/1", "  version: 4"]


@pytest.mark.kafka
def test_the_newest_of_a_topic(streamgauge: Run, kafka_servers: str, topic_prefix: str) -> None:
    topic = make_topic(kafka_servers, topic_prefix + "shop", 3)
    servers = ("--bootstrap-servers", kafka_servers)
    code, out, err = streamgauge("show", topic, *servers)
    assert (code, out, err) == (0, "", f"{topic} has no records.\n")
    for i in range(300):  # each after the one before, so that their times are in order
        if i % 100 == 0:
            send_all(kafka_servers, topic, [(b"k%d" % j, '{"标题": "灯 %d"}'.encode() % j) for j in range(i, i + 100)])
    code, out, _ = streamgauge("show", topic, "--last", "5", "--json", *servers)
    records = [json.loads(line) for line in out.splitlines()]
    assert code == 0
    assert len(records) == 5
    assert all(record["key"] == "k" + record["value"]["标题"].removeprefix("灯 ") for record in records)
    assert all(int(record["key"][1:]) >= 200 for record in records)
    code, out, _ = streamgauge("show", topic, "--key", "k7", "-n", "100", *servers)
    assert {line.split()[-1] for line in out.splitlines()[::2]} == {"k7", *(f"k7{i}" for i in range(10))}
    assert "  标题: 灯 77" in out.splitlines()
    assert streamgauge("show", topic, "--key", "none", *servers)[2] == (
        f"{topic} has no record whose key contains 'none'.\n"
    )


@pytest.mark.kafka
def test_a_topic_that_is_not_there(streamgauge: Run, kafka_servers: str, topic_prefix: str) -> None:
    topic = make_topic(kafka_servers, topic_prefix + "products")
    code, _, err = streamgauge("show", topic_prefix + "product", "--bootstrap-servers", kafka_servers)
    assert code == 1
    assert err.splitlines() == [
        f"Error: There is no topic '{topic_prefix}product', or we may not see it.",
        f"Did you mean `{topic}`?",
    ]


@pytest.mark.kafka
def test_follow_goes_on_until_ctrl_c(kafka_servers: str, topic_prefix: str, tmp_path: Path) -> None:
    topic = make_topic(kafka_servers, topic_prefix + "shop")
    send_all(kafka_servers, topic, [(b"1", '{"标题": "旧"}'.encode())])
    command = [sys.executable, "-c", "from streams.cli.main import main; main()", "show", topic, "--follow"]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1", "STREAMGAUGE_STATE_DIR": str(tmp_path)}
    with subprocess.Popen(
        [*command, "--bootstrap-servers", kafka_servers],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    ) as run:
        assert run.stdout is not None
        assert [run.stdout.readline() for _ in range(2)][1] == "  标题: 旧\n"
        send_all(kafka_servers, topic, [(b"2", '{"标题": "新"}'.encode())])
        assert [run.stdout.readline() for _ in range(2)][1] == "  标题: 新\n"
        run.send_signal(signal.SIGINT)
        _, err = run.communicate(timeout=30)
    assert (run.returncode, err) == (0, "")
