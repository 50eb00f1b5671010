from __future__ import annotations

import io
import json
from pathlib import Path
from types import SimpleNamespace

import orjson
import pyarrow
import pyarrow.parquet
import pytest

from tests.kafka_tools import make_topic, read_all
from tests.streams.cli.conftest import Run

CONTRACTS = Path(__file__).resolve().parents[2] / "contracts"


@pytest.mark.kafka
@pytest.mark.shared_data
def test_every_line_of_a_real_log_is_sent(
    streamgauge: Run, shared_data: Path, kafka_servers: str, topic_prefix: str
) -> None:
    file = shared_data / "behaviors" / "rees46-2019-10-01.csv"
    topic = make_topic(kafka_servers, topic_prefix + "rees46", 4)
    code, out, err = streamgauge(
        "send",
        file,
        "-t",
        topic,
        "--contract",
        CONTRACTS / "rees46.yaml",
        "--json",
        "--bootstrap-servers",
        kafka_servers,
    )
    assert code == 0, err
    result = json.loads(out)
    assert (result["rows"], result["as_text"], result["refused"]) == (17_435, 1, 0)
    records = read_all(kafka_servers, topic)
    assert len(records) == 17_435
    broken = [r.value for r in records if not r.value.startswith(b"{")]
    assert broken == [file.read_bytes().splitlines()[-1]]
    users = {r.key for r in records if r.value.startswith(b"{")}
    assert None not in users
    assert all(r.key.decode() in r.value.decode() for r in records if r.key is not None)


@pytest.mark.kafka
def test_rows_keys_headers_and_what_does_not_fit(
    streamgauge: Run, kafka_servers: str, topic_prefix: str, tmp_path: Path
) -> None:
    file = tmp_path / "north.csv"
    file.write_bytes(b"\xef\xbb\xbfsku;name\r\n1;\xe6\x89\x8b\xe6\x9c\xba\r\n2\r\n3;\xff\r\n4;c")
    topic = make_topic(kafka_servers, topic_prefix + "rows")
    code, _, err = streamgauge(
        "send", file, "-t", topic, "--delimiter", ";", "--key", "n/{sku}", "--bootstrap-servers", kafka_servers
    )
    assert code == 0
    assert "4 rows" in err
    assert "2 as the text they are" in err
    assert [(r.key, r.value) for r in read_all(kafka_servers, topic)] == [
        (b"n/1", '{"sku":"1","name":"手机"}'.encode()),
        (None, b"2"),
        (None, b"3;\xff"),
        (b"n/4", b'{"sku":"4","name":"c"}'),
    ]
    assert {tuple(h) for r in read_all(kafka_servers, topic) for h in r.headers} == {("source", b"north")}


@pytest.mark.kafka
def test_a_contract_that_has_a_source_makes_the_key_of_it(
    streamgauge: Run, kafka_servers: str, topic_prefix: str, tmp_path: Path
) -> None:
    contract = tmp_path / "c.yaml"
    text = """\
apiVersion: v3.1.0
kind: DataContract
id: c
name: c
version: 1.0.0
status: active
schema:
  - name: products
    logicalType: object
    customProperties:
      - {property: key, value: "{source}/{id}"}
      - {property: source, value: north}
    properties:
      - {name: sku, logicalType: string, customProperties: [{property: role, value: id}]}
      - {name: title, logicalType: string, customProperties: [{property: role, value: title}]}
"""
    topic = make_topic(kafka_servers, topic_prefix + "products")
    file = tmp_path / "feed.jsonl"
    file.write_bytes(b'{"sku": 7, "title": "a"}\n{"sku": null}\nnonsense\n')
    for source, header in (("north", []), ("", [("source", b"feed")])):
        contract.write_text(text if source else text.replace("      - {property: source, value: north}\n", ""))
        code, _, err = streamgauge(
            "send", file, "-t", topic, "--contract", contract, "--bootstrap-servers", kafka_servers
        )
        assert code == 0, err
        records = read_all(kafka_servers, topic)[-3:]
        assert [r.key for r in records] == [f"{source or 'feed'}/7".encode(), None, None]
        assert [tuple(h) for h in records[0].headers] == header


@pytest.mark.kafka
def test_parquet_and_standard_input(
    streamgauge: Run, kafka_servers: str, topic_prefix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    topic = make_topic(kafka_servers, topic_prefix + "rows")
    pyarrow.parquet.write_table(pyarrow.table({"id": [1, 2], "price": [1.5, None]}), tmp_path / "a.parquet")
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(b'{"id": 3}\n')))
    code, _, err = streamgauge(
        "send", tmp_path / "a.parquet", "-", "-t", topic, "--key", "{id}", "--bootstrap-servers", kafka_servers
    )
    assert code == 0, err
    sent = [(r.key, orjson.loads(r.value)) for r in read_all(kafka_servers, topic)]
    assert sent == [(b"1", {"id": 1, "price": 1.5}), (b"2", {"id": 2, "price": None}), (b"3", {"id": 3})]


@pytest.mark.kafka
def test_resume_sends_what_is_new_and_notices_another_file(
    streamgauge: Run, kafka_servers: str, topic_prefix: str, tmp_path: Path
) -> None:
    topic = make_topic(kafka_servers, topic_prefix + "rows")
    file = tmp_path / "a.csv"
    file.write_text("id\n" + "".join(f"{i}\n" for i in range(10)))
    send = ("send", file, "-t", topic, "--bootstrap-servers", kafka_servers)
    assert streamgauge(*send, "--limit", "4")[0] == 0
    assert streamgauge(*send, "--resume", "--limit", "3")[0] == 0
    with file.open("a") as more:
        more.write("10\n")
    code, _, err = streamgauge(*send, "--resume")
    assert (code, "4 rows" in err, "7 had been sent before" in err) == (0, True, True)
    assert [orjson.loads(r.value)["id"] for r in read_all(kafka_servers, topic)] == [str(i) for i in range(11)]
    file.write_text("id\n" + "x\n" * 20)
    code, _, err = streamgauge(*send, "--resume")
    assert code == 1
    assert "is not the file that was sent" in err


@pytest.mark.kafka
def test_a_row_that_is_too_large_is_told_and_the_rest_goes_on(
    streamgauge: Run, kafka_servers: str, topic_prefix: str, tmp_path: Path
) -> None:
    topic = make_topic(kafka_servers, topic_prefix + "rows")
    (tmp_path / "a.csv").write_text(f"id\n1\n{'x' * 2_000_000}\n3\n")
    code, out, err = streamgauge(
        "send", tmp_path / "a.csv", "-t", topic, "--json", "--bootstrap-servers", kafka_servers
    )
    assert code == 1
    assert "row 2 was refused: it is larger than the topic takes" in err
    assert json.loads(out)["refused"] == 1
    assert [r.value for r in read_all(kafka_servers, topic)] == [b'{"id":"1"}', b'{"id":"3"}']


@pytest.mark.kafka
def test_a_compacted_topic_wants_keys(streamgauge: Run, kafka_servers: str, topic_prefix: str, tmp_path: Path) -> None:
    topic = make_topic(kafka_servers, topic_prefix + "rows", configs={"cleanup.policy": "compact"})
    (tmp_path / "a.csv").write_text("id\n1\n")
    code, _, err = streamgauge("send", tmp_path / "a.csv", "-t", topic, "--bootstrap-servers", kafka_servers)
    assert code == 1
    assert err.splitlines()[1:] == [
        f"Error: Kafka refuses row 1: {topic} is compacted and takes no records without a key.",
        "Name the columns that make the key with --contract or --key.",
    ]


@pytest.mark.kafka
def test_rows_without_a_key_are_warned_of(
    streamgauge: Run, kafka_servers: str, topic_prefix: str, tmp_path: Path
) -> None:
    topic = make_topic(kafka_servers, topic_prefix + "goods")
    (tmp_path / "a.csv").write_text("id\n1\n2\n")
    config = tmp_path / "s.toml"
    contract = CONTRACTS / "abt-buy.yaml"
    base = f'products = {{"{topic}" = "{contract}"}}\nbehaviors = {{}}\n'
    for more, options, warned in (
        ("", (), True),
        ("", ("--key", "{id}"), False),
        (f'rekey = ["{topic}"]\n', (), False),
    ):
        config.write_text(f'{base}{more}[kafka]\nbootstrap_servers = "{kafka_servers}"\n')
        code, _, err = streamgauge("send", tmp_path / "a.csv", "-t", topic, "--config", config, *options)
        assert code == 0, err
        lines = err.splitlines()
        assert lines.pop().startswith(f"{tmp_path / 'a.csv'}: 2 rows to {topic} in ")
        assert (
            lines
            == [
                "WARNING: without --contract FILE or --key TEMPLATE (such as '{id}') the rows are sent without keys, "
                f"though the contract of {topic} makes keys: a worker needs all records of a product in one partition. "
                f'rekey = ["{topic}"] in the settings has the worker do it.'
            ]
            * warned
        )
    code, _, err = streamgauge("send", tmp_path / "a.csv", "-t", topic, "--bootstrap-servers", kafka_servers)
    assert code == 0
    assert err.splitlines()[0] == (
        "WARNING: without --contract FILE or --key TEMPLATE (such as '{id}') the rows are sent without keys, and "
        "records of one product or user can come in several partitions."
    )


@pytest.mark.kafka
def test_columns_that_no_row_has_and_another_delimiter_are_warned_of(
    streamgauge: Run, kafka_servers: str, topic_prefix: str, tmp_path: Path
) -> None:
    topic = make_topic(kafka_servers, topic_prefix + "goods")
    file = tmp_path / "a.csv"
    file.write_text("id,title,description,price,manufacturer\n1,lamp,,2,x\n")
    send = ("send", file, "-t", topic, "--contract", CONTRACTS / "abt-buy.yaml", "--bootstrap-servers", kafka_servers)
    code, _, err = streamgauge(*send)
    assert code == 0, err
    assert err.splitlines()[0] == (
        f"WARNING: {file}: The column 'name' (role title) of the contract is in none of the first 1 rows. "
        "Did you mean 'title'?"
    )
    file.write_text("id;name;price\n1;lamp;2\n")
    assert streamgauge(*send)[2].splitlines()[0] == (
        f"WARNING: {file} has one column between commas and several between ';': is --delimiter ';' meant?"
    )


@pytest.mark.kafka
def test_rows_in_another_encoding_come_with_the_command_that_converts_them(
    streamgauge: Run, kafka_servers: str, topic_prefix: str, tmp_path: Path
) -> None:
    topic = make_topic(kafka_servers, topic_prefix + "rows")
    file = tmp_path / "a.csv"
    file.write_bytes("id,title\n1,不锈钢电热水壶\n2,kettle\n".encode("gb18030"))
    code, _, err = streamgauge("send", file, "-t", topic, "--bootstrap-servers", kafka_servers)
    assert code == 0, err
    assert err.splitlines()[2] == (
        f"{file} is not UTF-8 but looks like GB18030 (GBK): convert it first: "
        f"`iconv -f GB18030 -t UTF-8 {file} > {tmp_path / 'a.utf8.csv'}`."
    )


@pytest.mark.kafka
def test_what_cannot_be_sent_is_told(streamgauge: Run, kafka_servers: str, topic_prefix: str, tmp_path: Path) -> None:
    topic = make_topic(kafka_servers, topic_prefix + "rows")
    (tmp_path / "a.csv").write_text("id\n1\n")
    (tmp_path / "a.doc").write_text("id\n1\n")
    servers = ("--bootstrap-servers", kafka_servers)
    for arguments, message in (
        ([tmp_path / "no.csv", "-t", topic], "There is no file"),
        ([tmp_path / "a.doc", "-t", topic], "does not tell the format"),
        ([tmp_path / "a.csv", "-t", topic_prefix + "none"], "does not exist in Kafka"),
        ([tmp_path / "a.csv", "-t", topic, "--key", "{no}"], "names the column 'no', which the data has not"),
        ([tmp_path / "a.csv", "-t", topic, "--key", "id"], "names no placeholder"),
        ([tmp_path / "a.csv", "-t", topic, "--contract", tmp_path / "no.yaml"], "no.yaml"),
    ):
        code, _, err = streamgauge("send", *arguments, *servers)
        assert (code, "Traceback" in err) == (1, False)
        assert message in err
    for arguments in (["--rate", "fast"], ["--key", "{id}", "--contract", "c.yaml"]):
        assert streamgauge("send", tmp_path / "a.csv", "-t", topic, *arguments, *servers)[0] == 2
    assert streamgauge("send", "-", "-t", topic, "--resume", *servers)[0] == 2


@pytest.mark.kafka
def test_the_rate_is_kept(streamgauge: Run, kafka_servers: str, topic_prefix: str, tmp_path: Path) -> None:
    topic = make_topic(kafka_servers, topic_prefix + "rows")
    (tmp_path / "a.csv").write_text("id\n" + "1\n" * 100)
    code, out, _ = streamgauge(
        "send", tmp_path / "a.csv", "-t", topic, "--rate", "100/s", "--json", "--bootstrap-servers", kafka_servers
    )
    assert code == 0
    assert json.loads(out)["seconds"] >= 0.95
