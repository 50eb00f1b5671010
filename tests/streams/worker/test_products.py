from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import numpy as np
import orjson
import psutil
import pytest
from numpy.typing import NDArray

from detectors.contract.load import load_contract
from detectors.decode import Limits
from detectors.duplicates.entry import Entry, decode_entries, encode_entry
from detectors.duplicates.statement import Statement, decode_statement
from detectors.duplicates.view import CatalogueView
from detectors.records import StoredRecord
from models.encoder import CachedEncoder
from sinks.metrics import Metrics
from streams.errors import InfrastructureError
from streams.settings import TopicNames
from streams.worker.assessing import Assessing
from streams.worker.assessor import Standards
from streams.worker.delivery import Compute, DeliveryOptions
from streams.worker.products import ProductWay
from tests.streams.worker.hashing import HashingEncoder
from tests.streams.worker.shop import SAMPLES


class _Log:
    """Stands for the catalogue's topic: what is published is in the view at once."""

    def __init__(self, view: CatalogueView) -> None:
        self._view = view
        self.follower = SimpleNamespace(position=0)

    def generation(self, topic: str) -> None:
        return None

    async def publish(self, entries: Sequence[Entry]) -> int:
        start = self._view.position
        records = [StoredRecord("catalogue", 0, start + i, 0, *encode_entry(e)) for i, e in enumerate(entries)]
        decoded = decode_entries(records)
        self._view.apply(decoded.items, decoded.position)
        return decoded.position

    async def reached(self, position: int) -> None:
        assert self._view.position >= position


class _Outlet:
    """Keeps what is sent."""

    def __init__(self) -> None:
        self.said: list[Statement] = []
        self.sent: dict[str, list[Any]] = {}

    async def send(self, outputs: Mapping[str, Sequence[Any]], *_: Any) -> int:
        for topic, items in outputs.items():
            self.sent.setdefault(topic, []).extend(items)
        self.said += [decode_statement(key, value) for key, value, _ in outputs.get(TopicNames().named("links"), ())]
        return 0


class _Patient(HashingEncoder):
    """Waits until it is told to go on."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[list[str]] = []
        self.begun, self.go_on = threading.Event(), threading.Event()

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        self.asked.append([*texts])
        self.begun.set()
        assert self.go_on.wait(20)
        return super().encode(texts)


@asynccontextmanager
async def _way(
    inner: HashingEncoder | None = None, compute: Compute | None = None
) -> AsyncIterator[tuple[ProductWay, _Outlet]]:
    contract, encoder = load_contract(SAMPLES / "products.yaml"), CachedEncoder(inner or HashingEncoder())
    outlet, names = _Outlet(), TopicNames()
    view = CatalogueView(encoder.name, encoder.dim)
    assessing = Assessing(
        Standards({"products": contract}, Limits(), {}, names, encoder.name, None), view, 8, DeliveryOptions()
    )
    way = ProductWay(
        "products",
        contract,
        assessing,
        encoder,
        view,
        _Log(view),  # type: ignore[arg-type]  # as far as it is asked
        SimpleNamespace(canonical=lambda identity: identity),  # type: ignore[arg-type]
        outlet,  # type: ignore[arg-type]
        compute or Compute("compute"),
        Compute("encode"),
        Metrics("1", encoder.name),
        names,
        8,
        frozenset(("products",)),
        None,  # type: ignore[arg-type]  # never asked
    )
    assessing.start()
    try:
        yield way, outlet
    finally:
        await assessing.stop()


def _record(offset: int, source: str, price: float) -> StoredRecord:
    body = {"supplier": source, "sku": "1", "title": "Canon PowerShot SX620 HS black", "price": price}
    return StoredRecord("products", 0, offset, 1_700_000_000_000, f"{source}/1".encode(), orjson.dumps(body))


async def _handled(way: ProductWay, *records: StoredRecord) -> None:
    done = await way(records, 0)
    assert done is not None
    await done


async def test_what_is_handled_again_says_what_it_said() -> None:
    first, second, price = _record(0, "east", 20), _record(1, "west", 20), _record(2, "west", 21)
    async with _way() as (way, outlet):

        async def statement_of(record: StoredRecord) -> Statement:
            outlet.said.clear()
            await _handled(way, record)
            (statement,) = outlet.said
            return statement

        said = [await statement_of(record) for record in (first, second, price)]
        assert [len(s.candidates) for s in said] == [0, 1, 0]
        # A new price takes no look at candidates: which weights held when they were found may be forgotten by now.
        assert await statement_of(price) == said[2]
        again = await statement_of(second)
        assert (again.candidates, again.position) == (said[1].candidates, said[1].position)


async def test_other_work_goes_on_while_the_encoder_works_and_a_known_title_is_not_encoded_again() -> None:
    encoder, compute = _Patient(), Compute("compute")
    async with _way(encoder, compute) as (way, outlet):
        handling = asyncio.ensure_future(way([_record(0, "east", 20)], 0))
        await asyncio.get_running_loop().run_in_executor(None, encoder.begun.wait, 20)
        assert await compute.run(lambda: "done") == "done"
        assert not handling.done()
        encoder.go_on.set()
        await (await handling)
        await _handled(way, _record(1, "east", 21))
        assert encoder.asked == [["Canon PowerShot SX620 HS black"]]
        assert [s.identity for s in outlet.said] == ["east/1", "east/1"]


async def test_judging_does_not_wait_until_the_batches_before_are_sent() -> None:
    """Sending does, as whoever delivers batches awaits them in turn."""
    async with _way() as (way, outlet):
        first, second = await way([_record(0, "east", 20)], 0), await way([_record(1, "west", 20)], 0)
        await second
        assert [s.identity for s in outlet.said] == ["west/1"]
        await first
        assert [s.identity for s in outlet.said] == ["west/1", "east/1"]


async def test_a_batch_sees_what_the_one_before_repaired() -> None:
    async with _way() as (way, outlet):
        await _handled(way, *(_record(i, f"shop{i}", 200.0 + i) for i in range(4)))
        outlet.sent.clear()
        under_way = [await way([_record(10 + i, f"late{i}", 20_100 + 100 * i)], 0) for i in range(4)]
        for batch in under_way:
            await batch
        assert [orjson.loads(value)["price"] for _, value, _ in outlet.sent["products.corrected"]] == [
            201.0 + i for i in range(4)
        ]


async def test_a_repair_is_not_written_behind_a_newer_record() -> None:
    async with _way() as (way, outlet):
        await _handled(way, *(_record(i, f"shop{i}", 200.0 + i) for i in range(6)))
        first, second = await way([_record(10, "late", 20_100)], 0), await way([_record(11, "late", 205)], 0)
        await first
        await second
        bodies = [orjson.loads(value) for _, value, _ in outlet.sent["products.corrected"][-2:]]
        assert [body["price"] for body in bodies] == [201.0, 205]
        entry = way._view.entry("late/1")
        assert entry is not None
        assert (entry.version.offset, entry.revision, entry.facts.price) == (11, 0, 205)
        assert way._view.stale == set()


async def test_a_product_that_is_deleted_and_comes_back_in_one_batch_is_there() -> None:
    gone = StoredRecord("products", 0, 1, 1_700_000_000_000, b"east/1", None)
    async with _way() as (way, outlet):
        await _handled(way, _record(0, "east", 20), gone, _record(2, "east", 25), _record(3, "west", 25))
        corrected = outlet.sent["products.corrected"]
        assert [(key, value and orjson.loads(value)["price"]) for key, value, _ in corrected] == [
            (b"east/1", 20),
            (b"east/1", None),
            (b"east/1", 25),
            (b"west/1", 25),
        ]
        assert corrected[1][2] == [("version", b"0:1")]


async def test_what_is_dropped_before_its_turn_is_judged_no_further() -> None:
    async with _way() as (way, _):
        dropped = await way([_record(0, "east", 20)], 0)
        judging = way._judging
        assert asyncio.iscoroutine(dropped)
        dropped.close()
        del dropped
        assert judging is not None
        await asyncio.wait([judging])
        assert judging.cancelled()


async def test_a_price_that_its_neighbours_contradict_is_repaired_and_the_catalogue_knows() -> None:
    """What the neighbours cost is what they cost now, not when the assessor first heard of them."""
    async with _way() as (way, outlet):
        shops = [_record(i, f"shop{i}", 20.0 + i / 10) for i in range(6)]
        await _handled(way, *shops)
        await _handled(way, *(_record(10 + i, f"shop{i}", 200.0 + i) for i in range(6)))
        outlet.sent.clear()
        await _handled(way, _record(20, "late", 20_100))
        ((_, value, _),) = outlet.sent["products.corrected"]
        body = orjson.loads(value)
        assert body["price"] == 201.0
        assert [(c["field"], c["before"], c["rule"]) for c in body["_quality"]["corrections"]] == [
            ("price", 20_100, "price.scale")
        ]
        assert way._view.facts("late/1").price == 201.0


async def test_an_assessor_that_was_killed_stops_the_worker_and_nothing_goes_out() -> None:
    encoder = _Patient()
    async with _way(encoder) as (way, outlet):
        handling = asyncio.ensure_future(way([_record(0, "east", 20)], 0))
        await asyncio.get_running_loop().run_in_executor(None, encoder.begun.wait, 20)  # so it was taken in
        process = way._assessing._process
        assert process is not None
        psutil.Process(process.pid).kill()
        encoder.go_on.set()
        with pytest.raises(InfrastructureError, match="assessor of records has ended by signal 9"):
            await (await handling)
        with pytest.raises(InfrastructureError, match="Nothing of this batch was acknowledged"):
            await way([_record(1, "west", 20)], 0)
        assert outlet.sent == {}
