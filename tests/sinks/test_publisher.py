"""The publisher on a real Kafka: what is confirmed, what is refused, what happens without a broker."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiokafka.partitioner import DefaultPartitioner
from kafka import KafkaAdminClient
from kafka.admin import ConfigResource, ConfigResourceType

from sinks.errors import PublishError, PublishInterrupted, RecordRefused
from sinks.publisher import Item, Publisher
from streams.kafka.broker import EmbeddedKafka
from tests.kafka_tools import make_topic, read_all


@asynccontextmanager
async def publishing(servers: str, **options: Any) -> AsyncIterator[Publisher]:
    publisher = Publisher({"bootstrap_servers": servers}, **options)
    await publisher.start()
    try:
        yield publisher
    finally:
        await publisher.stop()


def items(count: int, size: int = 10) -> list[Item]:
    return [(b"k%d" % i, b"%d" % i + b"x" * size, [("n", b"%d" % i)]) for i in range(count)]


def limit(servers: str, topic: str, size: int) -> None:
    admin = KafkaAdminClient(bootstrap_servers=servers)
    admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, {"max.message.bytes": str(size)})])
    admin.close()


async def read(servers: str, topic: str) -> list[Any]:
    return await asyncio.to_thread(read_all, servers, topic)


@pytest.mark.kafka
async def test_everything_is_confirmed_in_the_partition_of_its_key(kafka_servers: str, topic_prefix: str) -> None:
    topic = make_topic(kafka_servers, topic_prefix + "t", 5)
    given = items(3000, size=600)
    async with publishing(kafka_servers) as publisher:
        confirmed = await (await publisher.send(topic, given))
    records = await read(kafka_servers, topic)
    assert confirmed.records == len(records) == 3000
    partitions = {record.key: record.partition for record in records}
    assert partitions == {key: DefaultPartitioner()(key, [0, 1, 2, 3, 4], [0]) for key, _, _ in given}
    assert confirmed.ends == {p: list(partitions.values()).count(p) for p in range(5)}
    assert {record.key: (record.value, list(record.headers)) for record in records} == {
        key: (value, headers) for key, value, headers in given
    }


@pytest.mark.kafka
async def test_calls_lie_in_their_order(kafka_servers: str, topic_prefix: str) -> None:
    topic = make_topic(kafka_servers, topic_prefix + "t", 3)
    async with publishing(kafka_servers) as publisher:
        sent = [await publisher.send(topic, [(b"k", b"%d/%d" % (i, j), ()) for j in range(20)]) for i in range(50)]
        await asyncio.gather(*sent)
    values = [record.value for record in await read(kafka_servers, topic)]
    assert values == [b"%d/%d" % (i, j) for i in range(50) for j in range(20)]


@pytest.mark.kafka
async def test_the_end_of_a_partition_is_told(kafka_servers: str, topic_prefix: str) -> None:
    topic = make_topic(kafka_servers, topic_prefix + "t", 1, {"cleanup.policy": "compact"})
    async with publishing(kafka_servers) as publisher:
        assert await publisher.publish_in_order(topic, 0, items(2000, size=700)) == 2000
        assert await publisher.publish_in_order(topic, 0, [(b"k1", None, [("v", b"1:2")])]) == 2001
        assert await publisher.publish_in_order(topic, 0, []) == 2001
    assert [record.key for record in await read(kafka_servers, topic)][:2000] == [key for key, _, _ in items(2000)]


@pytest.mark.kafka
async def test_what_a_topic_does_not_take_is_named_and_the_rest_is_written(
    kafka_servers: str, topic_prefix: str
) -> None:
    topic = make_topic(kafka_servers, topic_prefix + "t", 2, {"cleanup.policy": "compact", "max.message.bytes": "5000"})
    given = items(100, size=300)
    given[17] = (None, b"no key", ())
    given[40] = (b"big", b"x" * 5000, ())
    async with publishing(kafka_servers) as publisher:
        with pytest.raises(RecordRefused) as refused:
            await (await publisher.send(topic, given))
        assert await publisher.publish_in_order(topic, 0, [(b"after", b"", ())]) > 0
    assert list(refused.value.refused) == [17, 40]
    assert "without a key" in refused.value.refused[17]
    assert "5000" in refused.value.refused[40]
    keys = {record.key for record in await read(kafka_servers, topic)}
    assert keys == {key for key, value, _ in given if value not in (b"no key", b"x" * 5000)} | {b"after"}


@pytest.mark.kafka
async def test_a_record_larger_than_a_batch_goes_alone(kafka_servers: str, topic_prefix: str) -> None:
    topic = make_topic(kafka_servers, topic_prefix + "t", 1, {"max.message.bytes": "4000000"})
    given = [*items(5), (b"big", b"x" * 3_000_000, ()), *items(5)]
    async with publishing(kafka_servers) as publisher:
        assert (await (await publisher.send(topic, given))).ends == {0: 11}
    assert [len(record.value) for record in await read(kafka_servers, topic)] == [11] * 5 + [3_000_000] + [11] * 5


@pytest.mark.kafka
async def test_what_the_broker_refuses_unexpectedly_is_found(kafka_servers: str, topic_prefix: str) -> None:
    topic = make_topic(kafka_servers, topic_prefix + "t", 1)
    async with publishing(kafka_servers) as publisher:
        await (await publisher.send(topic, items(1)))
        limit(kafka_servers, topic, 2000)
        given = [*items(3), (b"big", b"x" * 3000, ()), *items(3)]
        with pytest.raises(RecordRefused) as refused:
            await (await publisher.send(topic, given))
        assert list(refused.value.refused) == [3]
        assert (await (await publisher.send(topic, items(2)))).records == 2
    assert [record.key for record in await read(kafka_servers, topic)] == [
        key for key, _, _ in [*items(1), *items(3), *items(3), *items(2)]
    ]


@pytest.mark.kafka
async def test_what_follows_a_refused_record_is_to_be_sent_again(kafka_servers: str, topic_prefix: str) -> None:
    topic = make_topic(kafka_servers, topic_prefix + "t", 1)
    async with publishing(kafka_servers) as publisher:
        await (await publisher.send(topic, items(1)))
        limit(kafka_servers, topic, 2000)
        first = await publisher.send(topic, [(b"big", b"x" * 3000, ())])
        second = await publisher.send(topic, items(1))
        with pytest.raises(RecordRefused):
            await first
        try:
            await second
        except PublishInterrupted:
            await (await publisher.send(topic, items(1)))
    assert len(await read(kafka_servers, topic)) == 2


@pytest.mark.kafka
async def test_a_broker_that_restarts_is_waited_for_and_one_that_stays_away_is_an_error() -> None:
    with EmbeddedKafka() as broker:
        topic = make_topic(broker.bootstrap_servers, "t", 2)
        async with publishing(broker.bootstrap_servers, confirm_seconds=60) as publisher:
            await (await publisher.send(topic, items(10)))
            await asyncio.to_thread(broker.kill)
            sent = [await publisher.send(topic, items(10)) for _ in range(1)]
            await asyncio.to_thread(broker.restart)
            assert [confirmed.records for confirmed in await asyncio.gather(*sent)] == [10]
            publisher._confirm_seconds = 1.0
            await asyncio.to_thread(broker.kill)
            with pytest.raises(PublishError, match="did not confirm"):
                await (await publisher.send(topic, items(10)))


async def test_no_broker_at_all_is_an_error() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        publisher = Publisher({"bootstrap_servers": f"127.0.0.1:{unused.getsockname()[1]}"}, confirm_seconds=5)
        with pytest.raises(PublishError, match="no broker answers"):
            await publisher.start()
    with pytest.raises(PublishError, match="not running"):
        await publisher.send("t", items(1))
