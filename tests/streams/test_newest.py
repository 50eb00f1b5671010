from __future__ import annotations

import pytest
from kafka import KafkaProducer

from streams.newest import Reader
from streams.settings import KafkaSettings
from tests.kafka_tools import make_topic, send_all


@pytest.mark.kafka
def test_it_reads_back_until_there_are_enough(kafka_servers: str, topic_prefix: str) -> None:
    topic = make_topic(kafka_servers, topic_prefix + "gaps")
    send_all(kafka_servers, topic, [(b"rare" if i == 3 else b"often", b"%d" % i) for i in range(1000)])
    with Reader(KafkaSettings(bootstrap_servers=kafka_servers), topic, 1) as reader:
        assert [r.value for r in reader.newest(1, lambda r: r.key == b"rare")] == [b"3"]
        assert [r.value for r in reader.newest(2)] == [b"998", b"999"]
        assert reader.newest(0) == []


@pytest.mark.kafka
def test_of_each_partition(kafka_servers: str, topic_prefix: str) -> None:
    topic = make_topic(kafka_servers, topic_prefix + "two", 2)
    send_all(kafka_servers, topic, [(b"%d" % i, b"") for i in range(50)])
    with Reader(KafkaSettings(bootstrap_servers=kafka_servers), topic, 2) as reader:
        found = reader.newest_of_each(3)
        assert [r.partition for r in found] == [0, 0, 0, 1, 1, 1]
        assert found == sorted(found, key=lambda r: (r.partition, r.offset))


@pytest.mark.kafka
def test_transactions_that_failed_are_not_seen_and_their_marks_are_passed(
    kafka_servers: str, topic_prefix: str
) -> None:
    topic = make_topic(kafka_servers, topic_prefix + "transactions")
    producer = KafkaProducer(bootstrap_servers=kafka_servers, transactional_id=topic)
    try:
        producer.init_transactions()
        for value in (b"good", b"bad"):
            producer.begin_transaction()
            producer.send(topic, value)
            producer.flush()
            producer.commit_transaction() if value == b"good" else producer.abort_transaction()
    finally:
        producer.close()
    with Reader(KafkaSettings(bootstrap_servers=kafka_servers), topic, 1) as reader:
        assert [r.value for r in reader.newest(5)] == [b"good"]
