from __future__ import annotations

import json
from pathlib import Path

import pytest

from detectors.records import StoredRecord
from sinks.dead_letters import Death, bury, parse
from streams.kafka.topics import ensure_topics
from streams.replayer import Filters, Mark
from streams.settings import KafkaSettings, Settings, TopicNames
from tests.kafka_tools import make_topic, read_all, send_all
from tests.streams.cli.conftest import Run


@pytest.fixture
def letters(kafka_servers: str, topic_prefix: str, tmp_path: Path) -> Path:
    """Five dead letters, one of them of a record that had died before, and one record that is no dead letter."""
    source = make_topic(kafka_servers, topic_prefix + "shop", 3)
    settings = Settings(
        kafka=KafkaSettings(bootstrap_servers=kafka_servers),
        topics=TopicNames(prefix=topic_prefix, partitions=1),
        products={source: None},
        behaviors={},
    )
    ensure_topics(settings)
    dead = []
    for i, (stage, error) in enumerate([("decode", "not_json")] * 3 + [("process", "boom")] * 2):
        headers: list[tuple[str, bytes]] = [("source", b"north"), ("source", b"again")]
        if i == 0:
            headers += [("__connect.errors.topic", b"elsewhere"), ("__connect.errors.partition", b"0")]
        record = StoredRecord(source, 2, i, 1, None if i == 1 else b"key%d" % i, b"\xffvalue%d" % i, headers)
        key, value, all_headers = bury(record, stage, error, "why")
        dead.append((key, value, [(name, text or b"") for name, text in all_headers]))
    dead.append((b"foreign", b"v", [("other", b"1")]))
    send_all(kafka_servers, topic_prefix + "dead-letters", dead)
    config = tmp_path / "s.toml"
    config.write_text(
        f'app_id = "{topic_prefix}app"\nproducts = {{"{source}" = "x.yaml"}}\nbehaviors = {{}}\n'
        f'[topics]\nprefix = "{topic_prefix}"\n[kafka]\nbootstrap_servers = "{kafka_servers}"\n'
    )
    return config


def replayed(streamgauge: Run, config: Path, *options: str) -> dict[str, object]:
    code, out, err = streamgauge("replay", "--json", "--config", config, *options)
    assert code == 0, err
    result: dict[str, object] = json.loads(out)
    return result


def test_what_died_in_our_own_topics_goes_back_only_when_named() -> None:
    death = Death("streamgauge.catalogue", 0, 7, "catalogue", "entry_unreadable", "why")
    assert [Filters(stage=stage).take(death, 0) for stage in (None, "catalogue", "decode")] == [False, True, False]


@pytest.mark.kafka
def test_records_go_back_as_they_were_and_once(
    streamgauge: Run, letters: Path, kafka_servers: str, topic_prefix: str
) -> None:
    source = topic_prefix + "shop"
    dry = replayed(streamgauge, letters, "--dry-run")
    assert (dry["read"], dry["sent"], dry["foreign"]) == (6, 5, 1)
    assert read_all(kafka_servers, source) == []
    assert replayed(streamgauge, letters)["sent"] == 5
    back = read_all(kafka_servers, source)
    assert [(r.partition, r.key, r.value) for r in back] == [
        (2, None if i == 1 else b"key%d" % i, b"\xffvalue%d" % i) for i in range(5)
    ]
    assert [tuple(map(tuple, r.headers)) for r in back] == [
        (
            ("source", b"north"),
            ("source", b"again"),
            ("streamgauge.replayed", b"1"),
            ("streamgauge.replayed.cause", b"decode not_json" if i < 3 else b"process boom"),
            ("streamgauge.replayed.origin", b"%s/2/%d" % (source.encode(), i)),
        )
        for i in range(5)
    ]
    assert replayed(streamgauge, letters)["read"] == 0
    assert replayed(streamgauge, letters, "--again", "--error", "boom")["sent"] == 2


@pytest.mark.kafka
def test_what_a_choice_of_filters_replayed_no_other_one_does(
    streamgauge: Run, letters: Path, kafka_servers: str, topic_prefix: str
) -> None:
    assert replayed(streamgauge, letters, "--error", "boom")["sent"] == 2
    assert replayed(streamgauge, letters, "--stage", "process")["before"] == 2
    dry = replayed(streamgauge, letters, "--dry-run")
    assert (dry["sent"], dry["before"]) == (3, 2)
    code, _, err = streamgauge("replay", "--config", letters)
    assert (code, "3 sent" in err, "2 left because a run with other filters replayed them" in err) == (0, True, True)
    assert len(read_all(kafka_servers, topic_prefix + "shop")) == 5
    assert replayed(streamgauge, letters, "--stage", "decode")["sent"] == 0
    assert replayed(streamgauge, letters, "--again", "--dry-run")["sent"] == 5


def test_a_stage_that_there_is_not(streamgauge: Run) -> None:
    code, _, err = streamgauge("replay", "--stage", "decoding")
    assert code == 2
    assert "--stage 'decoding' is none: write decode, contract, process" in " ".join(err.split())


def test_the_mark_of_a_replay() -> None:
    died = bury(StoredRecord("shop", 1, 7, 1, b"k", b"v", [("source", b"north")]), "decode", "not_json", "why")[2]
    first, death = Mark.of(died), parse(died)
    assert death is not None
    assert (first, first.died_again(death)) == (Mark(), False)
    back = first.replayed(died, death)
    assert back == [
        ("source", b"north"),
        ("streamgauge.replayed", b"1"),
        ("streamgauge.replayed.cause", b"decode not_json"),
        ("streamgauge.replayed.origin", b"shop/1/7"),
    ]
    record = StoredRecord("shop", 1, 90, 1, b"k", b"v", [(name, value or b"") for name, value in back])
    for stage, error, same in (("decode", "not_json", True), ("contract", "missing_id", False)):
        again = bury(record, stage, error, "why")[2]
        later = parse(again)
        assert later is not None
        second = Mark.of(again)
        assert second == Mark(1, "decode not_json", "shop/1/7")
        assert second.died_again(later) is same
        assert second.replayed(again, later) == [
            ("source", b"north"),
            ("streamgauge.replayed", b"2"),
            ("streamgauge.replayed.cause", f"{stage} {error}".encode()),
            ("streamgauge.replayed.origin", b"shop/1/7"),
        ]
    assert Mark.of([("streamgauge.replayed", b"often")]) == Mark()


@pytest.mark.kafka
def test_what_died_again_of_the_same_is_left_out(
    streamgauge: Run, letters: Path, kafka_servers: str, topic_prefix: str
) -> None:
    source = topic_prefix + "shop"
    assert replayed(streamgauge, letters)["sent"] == 5
    dead = []
    for record in read_all(kafka_servers, source):
        error = "boom" if record.offset == 0 else parse_cause(record.headers)
        stored = StoredRecord(source, record.partition, record.offset, 1, record.key, record.value, record.headers)
        key, value, headers = bury(stored, "process" if error == "boom" else "decode", error, "why")
        dead.append((key, value, [(name, text or b"") for name, text in headers]))
    send_all(kafka_servers, topic_prefix + "dead-letters", dead)
    dry = replayed(streamgauge, letters, "--dry-run")
    assert (dry["sent"], dry["died_again"]) == (1, 4)  # one died of something else this time
    _, _, err = streamgauge("replay", "--config", letters)
    assert err.splitlines() == [
        "5 letters read, 1 sent",
        "4 left because they died again of the same error after a replay: mend what they died of, then add --again.",
    ]
    again = replayed(streamgauge, letters, "--again")
    assert (again["read"], again["sent"], again["repeated"]) == (11, 5, 5)  # each record once
    assert len(read_all(kafka_servers, source)) == 11


def parse_cause(headers: list[tuple[str, bytes]]) -> str:
    return dict(headers)["streamgauge.replayed.cause"].decode().split()[1]


@pytest.mark.kafka
def test_filters(streamgauge: Run, letters: Path, topic_prefix: str) -> None:
    for options, sent in (
        (("--stage", "decode"), 3),
        (("--stage", "process", "--error", "boom"), 2),
        (("--topic", topic_prefix + "shop"), 5),
        (("--topic", "other"), 0),
        (("--since", "2999-01-01"), 0),
        (("--until", "2999-01-01T00:00:00Z"), 5),
    ):
        result = replayed(streamgauge, letters, "--dry-run", *options)
        assert (result["sent"], result["passed_over"]) == (sent, 5 - sent), options
    _, out, err = streamgauge("replay", "--dry-run", "--config", letters, "--stage", "decode")
    assert "not_json" in out
    assert "3 would be sent, 2 passed over by the filters, 1 left" in err
    assert streamgauge("replay", "--since", "yesterday")[0] == 2


@pytest.mark.kafka
def test_a_source_that_is_gone_stops_it_and_acknowledges_nothing(
    streamgauge: Run, letters: Path, kafka_servers: str, topic_prefix: str
) -> None:
    gone = StoredRecord(topic_prefix + "gone", 0, 0, 1, b"k", b"v", ())
    key, value, headers = bury(gone, "decode", "not_json", "why")
    send_all(kafka_servers, topic_prefix + "dead-letters", [(key, value, [(n, v or b"") for n, v in headers])])
    code, _, err = streamgauge("replay", "--config", letters)
    assert code == 1
    assert f"came from the topic '{topic_prefix}gone', which does not exist any more" in err
    assert replayed(streamgauge, letters, "--dry-run")["read"] == 7


@pytest.mark.kafka
def test_no_dead_letters_at_all(streamgauge: Run, kafka_servers: str, tmp_path: Path) -> None:
    config = tmp_path / "s.toml"
    config.write_text(f'[topics]\nprefix = "nobody-"\n[kafka]\nbootstrap_servers = "{kafka_servers}"\n')
    code, _, err = streamgauge("replay", "--config", config)
    assert code == 1
    assert "There is no topic nobody-dead-letters" in err
