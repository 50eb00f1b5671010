from __future__ import annotations

import asyncio
import threading
from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from detectors.contract.load import load_contract
from detectors.duplicates.entry import Entry, decode_entries, encode_entry
from detectors.duplicates.statement import Statement, decode_statement
from detectors.duplicates.view import CatalogueView
from detectors.intake import Intake
from detectors.records import StoredRecord
from detectors.repair import RepairPolicy
from models.encoder import CachedEncoder
from sinks.metrics import Metrics
from streams.settings import TopicNames
from streams.worker.delivery import Compute
from streams.worker.judge import Judge
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
    """Keeps statements."""

    def __init__(self) -> None:
        self.said: list[Statement] = []

    async def send(self, outputs: Mapping[str, Sequence[Any]], *_: Any) -> int:
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


def _way(inner: HashingEncoder | None = None, compute: Compute | None = None) -> tuple[ProductWay, _Outlet]:
    contract, encoder = load_contract(SAMPLES / "products.yaml"), CachedEncoder(inner or HashingEncoder())
    outlet = _Outlet()
    view = CatalogueView(encoder.name, encoder.dim)
    way = ProductWay(
        contract,
        Intake(contract),
        encoder,
        Judge(contract, (), RepairPolicy(), TopicNames(), "products", encoder.name),
        view,
        _Log(view),  # type: ignore[arg-type]  # as far as it is asked
        SimpleNamespace(canonical=lambda identity: identity),  # type: ignore[arg-type]
        outlet,  # type: ignore[arg-type]
        compute or Compute("compute"),
        Compute("encode"),
        Metrics("1", encoder.name),
        TopicNames(),
        8,
        frozenset(("products",)),
        None,  # type: ignore[arg-type]  # never asked
    )
    return way, outlet


def _record(offset: int, source: str, price: float) -> StoredRecord:
    body = {"supplier": source, "sku": "1", "title": "Canon PowerShot SX620 HS black", "price": price}
    return StoredRecord("products", 0, offset, 1_700_000_000_000, f"{source}/1".encode(), orjson.dumps(body))


async def test_what_is_handled_again_says_what_it_said() -> None:
    way, outlet = _way()
    first, second, price = _record(0, "east", 20), _record(1, "west", 20), _record(2, "west", 21)

    async def handled(record: StoredRecord) -> Statement:
        outlet.said.clear()
        done = await way([record], 0)
        assert done is not None
        await done
        (statement,) = outlet.said
        return statement

    said = [await handled(record) for record in (first, second, price)]
    assert [len(s.candidates) for s in said] == [0, 1, 0]
    # A new price takes no look at candidates: which weights held when they were found may be forgotten by now.
    assert await handled(price) == said[2]
    again = await handled(second)
    assert (again.candidates, again.position) == (said[1].candidates, said[1].position)


async def test_other_work_goes_on_while_the_encoder_works_and_a_known_title_is_not_encoded_again() -> None:
    encoder, compute = _Patient(), Compute("compute")
    way, outlet = _way(encoder, compute)
    handling = asyncio.ensure_future(way([_record(0, "east", 20)], 0))
    await asyncio.get_running_loop().run_in_executor(None, encoder.begun.wait, 20)
    assert await compute.run(lambda: "done") == "done"
    assert not handling.done()
    encoder.go_on.set()
    await (await handling)
    await (await way([_record(1, "east", 21)], 0))
    assert encoder.asked == [["Canon PowerShot SX620 HS black"]]
    assert [s.identity for s in outlet.said] == ["east/1", "east/1"]
