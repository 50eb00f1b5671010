"""The owner of links, over a real Kafka."""

from __future__ import annotations

import uuid
from types import SimpleNamespace
from typing import Any, cast
from unittest.mock import MagicMock

import psutil
import pytest
from aiokafka import AIOKafkaProducer

from detectors.duplicates.statement import deletion, encode_statement
from detectors.duplicates.view import CatalogueView
from detectors.records import StoredRecord, Version
from streams.errors import InfrastructureError
from streams.settings import TopicNames
from streams.worker.delivery import Compute
from streams.worker.links import LinkWay, LostPartitionError
from tests.kafka_tools import make_topic, read_all

MEMBERSHIP_SECONDS = 0.1


async def nothing_to_wait_for(offset: int) -> None:
    """A catalogue that is known to whatever offset."""


class Owner:
    """A way of links whose place in the group is what `generation` says."""

    def __init__(self, servers: str) -> None:
        self.names = TopicNames(prefix=f"l{uuid.uuid4().hex[:8]}.")
        for name in ("links", "mapping", "golden", "findings"):
            make_topic(servers, self.names.named(name), 1)
        self.servers, self.generation, self.said = servers, 1, 0
        self.compute = Compute("compute")
        self.way = LinkWay(
            {"bootstrap_servers": servers},
            f"{self.names.prefix}links",
            self.names,
            {},
            CatalogueView("encoder", 8),
            cast(Any, SimpleNamespace(known=nothing_to_wait_for)),
            MagicMock(),
            self.compute,
            MagicMock(),
            10.0,
            lambda: self.generation,
            lambda: 0,
            MEMBERSHIP_SECONDS,
        )
        self.way.start()

    async def decide(self, generation: int = 1) -> None:
        """Decide over one more statement, of a product that is gone."""
        self.said += 1
        key, value = encode_statement(deletion(f"a/{self.said}", "products", 0, Version(0, self.said), clean=False))
        record = StoredRecord(self.names.named("links"), 0, self.said, 0, key, value, ())
        await (await self.way([record], generation))

    async def fence(self) -> AIOKafkaProducer:
        """Become the owner as another worker does."""
        producer = AIOKafkaProducer(bootstrap_servers=self.servers, transactional_id=f"{self.names.prefix}links")
        await producer.start()
        return producer

    def mapping(self) -> list[str]:
        """The products of the committed mapping."""
        records = read_all(self.servers, self.names.named("mapping"), isolation_level="read_committed")
        return sorted({record.key.decode() for record in records})


async def test_an_owner_that_was_fenced_leaves_the_links_to_whoever_the_group_names(kafka_servers: str) -> None:
    owner = Owner(kafka_servers)
    await owner.decide()
    other = await owner.fence()
    with pytest.raises(LostPartitionError):
        await owner.decide()
    owner.generation = 2  # the group has seen that this worker was away
    with pytest.raises(LostPartitionError):
        await owner.decide(1)
    async with other.transaction():  # nobody has fenced the new owner
        await other.send_and_wait(owner.names.named("mapping"), key=b"b/1", value=b"{}")
    await other.stop()
    await owner.way.stop()
    assert owner.mapping() == ["a/1", "b/1"]


async def test_an_owner_that_the_group_still_names_takes_over_again_and_stops_when_that_does_not_help(
    kafka_servers: str,
) -> None:
    owner = Owner(kafka_servers)
    await owner.decide()
    zombie = await owner.fence()
    with pytest.raises(LostPartitionError):
        await owner.decide()
    await owner.decide()
    assert owner.mapping() == ["a/1", "a/3"]
    other = await owner.fence()
    with pytest.raises(InfrastructureError, match="app_id"):
        await owner.decide()
    for producer in (zombie, other):
        await producer.stop()
    await owner.way.stop()


async def test_a_ledger_that_was_killed_stops_the_worker_and_another_goes_on(kafka_servers: str) -> None:
    owner = Owner(kafka_servers)
    await owner.decide()
    assert owner.way._ledger is not None
    psutil.Process(owner.way._ledger.pid).kill()
    with pytest.raises(InfrastructureError, match="ledger of links has ended by signal 9"):
        await owner.decide()
    await owner.way.stop()
    assert owner.mapping() == ["a/1"]
    owner.way.start()
    await owner.decide()
    await owner.way.stop()
    assert owner.mapping() == ["a/1", "a/3"]
