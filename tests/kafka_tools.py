"""Plain functions for tests that talk to a real Kafka."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition


def make_topic(
    servers: str, name: str, partitions: int = 1, configs: Mapping[str, str] | None = None, **options: Any
) -> str:
    """Make a topic and wait until it can be used. Returns its name."""
    admin = KafkaAdminClient(bootstrap_servers=servers, **options)
    try:
        admin.create_topics(
            {name: {"num_partitions": partitions, "configs": dict(configs or {})}}, wait_for_metadata=True
        )
    finally:
        admin.close()
    return name


def read_all(servers: str, topic: str, *, isolation_level: str = "read_uncommitted", **options: Any) -> list[Any]:
    """Every record of a topic from its beginning to the end it has now, by partition and offset; values as bytes."""
    consumer = KafkaConsumer(
        bootstrap_servers=servers,
        enable_auto_commit=False,
        isolation_level=isolation_level,
        max_poll_records=5000,
        **options,
    )
    try:
        places = [TopicPartition(topic, p) for p in sorted(consumer.partitions_for_topic(topic) or ())]
        consumer.assign(places)
        ends = consumer.end_offsets(places)
        consumer.seek_to_beginning(*places)
        records: list[Any] = []
        while any(consumer.position(place) < ends[place] for place in places):
            for batch in consumer.poll(timeout_ms=500).values():
                records.extend(r for r in batch if r.offset < ends[TopicPartition(r.topic, r.partition)])
    finally:
        consumer.close()
    return sorted(records, key=lambda r: (r.partition, r.offset))


def send_all(
    servers: str,
    topic: str,
    records: Iterable[
        tuple[bytes | None, bytes | None] | tuple[bytes | None, bytes | None, Sequence[tuple[str, bytes]]]
    ],
    **options: Any,
) -> None:
    """Send (key, value) or (key, value, headers); returns when the broker has confirmed all of them."""
    producer = KafkaProducer(bootstrap_servers=servers, linger_ms=5, max_request_size=10_000_000, **options)
    try:
        sent = [
            producer.send(topic, key=record[0], value=record[1], headers=list(record[2]) if len(record) == 3 else None)
            for record in records
        ]
        producer.flush(60)
        for future in sent:
            future.get(60)
    finally:
        producer.close()


def uncommitted(servers: str, group: str, topics: Iterable[str]) -> int:
    """Records of these topics that a group has not committed."""
    consumer = KafkaConsumer(bootstrap_servers=servers, group_id=group, enable_auto_commit=False)
    try:
        places = [TopicPartition(t, p) for t in topics for p in consumer.partitions_for_topic(t) or ()]
        ends = consumer.end_offsets(places)
        return sum(ends[place] - (consumer.committed(place) or 0) for place in places)
    finally:
        consumer.close()


def wait_until(condition: Callable[[], bool], seconds: float = 30.0) -> bool:
    """Whether a condition came true in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True
