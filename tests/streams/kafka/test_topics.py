from __future__ import annotations

import pytest

from streams.errors import TopicError
from streams.kafka.clients import admin_client
from streams.kafka.topics import ExistingTopic, Purpose, accesses, ensure_topics, existing, flaws, topics
from streams.settings import KafkaSettings, Settings, TopicNames
from tests.kafka_tools import make_topic


def settings_for(servers: str, prefix: str, **overrides: object) -> Settings:
    return Settings(
        kafka=KafkaSettings(bootstrap_servers=servers),
        topics=TopicNames(prefix=prefix),
        products={prefix + "products": None},
        behaviors={prefix + "behaviors": None},
        **overrides,  # type: ignore[arg-type]  # settings by name
    )


def test_the_table() -> None:
    wanted = {topic.name: topic for topic in topics(Settings())}
    assert list(wanted) == [
        "products", "behaviors", "products.corrected", "behaviors.corrected", "quality.findings", "quality.review",
        "dead-letters", "streamgauge.catalogue", "streamgauge.links", "products.mapping", "products.golden",
    ]  # fmt: skip
    assert {name for name, topic in wanted.items() if topic.configs.get("cleanup.policy") == "compact"} == {
        "products.corrected", "streamgauge.catalogue", "products.mapping", "products.golden",
    }  # fmt: skip
    assert {name for name, topic in wanted.items() if topic.partitions == 1} == {
        "streamgauge.catalogue", "streamgauge.links", "products.mapping", "products.golden",
    }  # fmt: skip
    assert wanted["dead-letters"].configs["max.message.bytes"] == str(1_048_588 + 65_536)
    assert wanted["streamgauge.catalogue"].configs["min.compaction.lag.ms"] == "3600000"


def test_what_is_re_keyed_has_a_topic_of_its_own() -> None:
    settings = Settings(
        products={"offers": None, "items": None}, rekey=frozenset({"offers"}), topics=TopicNames(prefix="shop.")
    )
    rekeyed = [topic for topic in topics(settings) if topic.purpose is Purpose.REKEYED]
    assert [(topic.name, topic.configs["cleanup.policy"]) for topic in rekeyed] == [
        ("shop.streamgauge.rekeyed.offers", "delete")
    ]
    assert int(rekeyed[0].configs["max.message.bytes"]) > 2_000_000, "with room for a header more"
    rights = {(right.who, right.name): right.operations for right in accesses(settings)}
    assert {"READ", "WRITE"} <= set(rights["worker", "shop.streamgauge.rekeyed.offers"])


@pytest.mark.kafka
def test_re_keyed_records_wait_as_long_as_their_source_does() -> None:
    settings = Settings(products={"offers": None}, rekey=frozenset({"offers"}))
    source = ExistingTopic("offers", "id", 3, 1, {"retention.ms": "2592000000"}, None)
    for present, retention in (({}, "604800000"), ({"offers": source}, "2592000000")):
        (rekeyed,) = [t for t in topics(settings, present) if t.purpose is Purpose.REKEYED]
        assert rekeyed.configs["retention.ms"] == retention


def test_topics_are_made_once_and_as_the_table_says(kafka_servers: str, topic_prefix: str) -> None:
    settings = settings_for(kafka_servers, topic_prefix)
    make_topic(kafka_servers, topic_prefix + "products", 7, {"max.message.bytes": "3000000"})
    made = ensure_topics(settings, create_sources=True)
    assert len(made) == 10
    assert ensure_topics(settings) == []
    with admin_client(settings.kafka) as admin:
        found = existing(admin, [topic.name for topic in topics(settings)])
    wanted = {topic.name: topic for topic in topics(settings, found)}
    assert found.keys() == wanted.keys()
    assert [flaws(topic, found[name]) for name, topic in wanted.items()] == [[]] * 11
    assert found[settings.topics.corrected(topic_prefix + "products")].partitions == 7
    dead = found[topic_prefix + "dead-letters"].configs
    assert (dead["max.message.bytes"], dead["message.timestamp.type"]) == (str(3_065_536), "LogAppendTime")
    assert "WRITE" in (found[topic_prefix + "dead-letters"].operations or ())


@pytest.mark.kafka
def test_a_missing_source_is_told_and_nothing_is_made(kafka_servers: str, topic_prefix: str) -> None:
    settings = settings_for(kafka_servers, topic_prefix)
    with pytest.raises(TopicError, match=f"The source topic '{topic_prefix}products' does not exist"):
        ensure_topics(settings)
    with admin_client(settings.kafka) as admin:
        assert existing(admin, [topic.name for topic in topics(settings)]) == {}


@pytest.mark.kafka
def test_what_is_wrong_with_topics_of_others(kafka_servers: str, topic_prefix: str) -> None:
    settings = settings_for(kafka_servers, topic_prefix)
    corrected = make_topic(kafka_servers, settings.topics.corrected(topic_prefix + "products"))
    make_topic(kafka_servers, topic_prefix + "dead-letters", configs={"max.message.bytes": "1000"})
    with admin_client(settings.kafka) as admin:
        found = existing(admin, [topic.name for topic in topics(settings)])
    wrong = {t.name: flaws(t, found[t.name]) for t in topics(settings, found) if t.name in found}
    assert wrong == {
        corrected: ["cleanup.policy is delete and must be compact"],
        topic_prefix + "dead-letters": [
            "max.message.bytes is 1000 and must be at least 1114124",
            "message.timestamp.type is CreateTime and must be LogAppendTime",
        ],
    }


@pytest.mark.kafka
@pytest.mark.parametrize(
    ("name", "partitions", "configs", "told", "remedy"),
    [
        ("streamgauge.catalogue", 2, {"cleanup.policy": "compact"}, "it has 2 partitions and must have 1", "Delete it"),
        (
            "corrected",
            1,
            {"max.message.bytes": "3000000"},
            "cleanup.policy is delete and must be compact",
            ".corrected --add-config cleanup.policy=compact ",
        ),
        (
            "dead-letters",
            1,
            {"max.message.bytes": "2000000", "message.timestamp.type": "CreateTime"},
            "message.timestamp.type is CreateTime and must be LogAppendTime",
            "dead-letters --add-config message.timestamp.type=LogAppendTime ",
        ),
        (
            "dead-letters",
            1,
            {"max.message.bytes": "1000", "message.timestamp.type": "LogAppendTime"},
            "max.message.bytes is 1000 and must be at least 1114124",
            "dead-letters --add-config max.message.bytes=1114124 ",
        ),
    ],
)
def test_a_topic_that_would_break_a_guarantee_stops_the_start(
    kafka_servers: str, topic_prefix: str, name: str, partitions: int, configs: dict[str, str], told: str, remedy: str
) -> None:
    settings = settings_for(kafka_servers, topic_prefix)
    topic = settings.topics.corrected(topic_prefix + "products") if name == "corrected" else topic_prefix + name
    make_topic(kafka_servers, topic, partitions, configs)
    with pytest.raises(TopicError) as caught:
        ensure_topics(settings, create_sources=True)
    assert str(caught.value).startswith(f"The topic {topic} cannot be used: {told}.")
    assert remedy in (caught.value.hint or "")
    with admin_client(settings.kafka) as admin:
        assert existing(admin, [topic.name for topic in topics(settings)]).keys() == {topic}


@pytest.mark.kafka
def test_a_replication_that_cannot_be_is_told(kafka_servers: str, topic_prefix: str) -> None:
    settings = Settings(
        kafka=KafkaSettings(bootstrap_servers=kafka_servers), topics=TopicNames(prefix=topic_prefix, replication=3)
    )
    with pytest.raises(TopicError, match=r"did not make the topic .*replica"):
        ensure_topics(settings, create_sources=True)


def test_the_rights_of_a_worker() -> None:
    worker = {
        (right.resource, right.name): right.operations
        for right in accesses(Settings(app_id="shop"))
        if right.who == "worker"
    }
    assert worker["GROUP", "shop"] == ("READ",)
    assert worker["TOPIC", "products"] == ("READ", "DESCRIBE", "DESCRIBE_CONFIGS")
    assert worker["TOPIC", "dead-letters"] == ("WRITE", "DESCRIBE", "DESCRIBE_CONFIGS")
    assert worker["TOPIC", "streamgauge.links"] == ("READ", "WRITE", "DESCRIBE", "DESCRIBE_CONFIGS")
