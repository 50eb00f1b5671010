"""A catalogue made with one encoder, workers with another, and `streamgauge rebuild` between them, on a real Kafka."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

import streams.cli.rebuild
from detectors.duplicates.entry import Entry, decode_entries, encode_entry
from detectors.records import Version
from streams.worker.rebuild import REBUILD_KEY, Rebuild, read_rebuild
from tests.kafka_tools import read_all, send_all, wait_until
from tests.streams.cli.conftest import Run
from tests.streams.worker.hashing import HashingEncoder
from tests.streams.worker.shop import CAMERA, COMMAND, Shop, product

pytestmark = pytest.mark.kafka

NEW = {"HASHING_DIM": "96"}
SLOW = {**NEW, "HASHING_SECONDS": "0.1"}
MUG = {"title": "Stoneware coffee mug blue 300 ml", "price": 9.0, "currency": "USD"}


@pytest.fixture
def state_dir(tmp_path: Path) -> Path:
    """Not in the environment, which the workers would inherit."""
    return tmp_path


@pytest.fixture(autouse=True)
def new_encoder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams.cli.rebuild, "_encoder", lambda *_: HashingEncoder(96))


def entries(shop: Shop) -> list[tuple[int, Entry]]:
    """The catalogue topic's entries, in order."""
    items = decode_entries(read_all(shop.servers, shop.names.named("catalogue"))).items
    return [(offset, item) for offset, item in items if isinstance(item, Entry)]


def encoders(shop: Shop) -> dict[str, str]:
    """By product, the encoder that its last entry names."""
    return {entry.identity: entry.encoder for _, entry in entries(shop)}


def asked(shop: Shop) -> list[Rebuild]:
    records = read_all(shop.servers, shop.names.named("catalogue"))
    return [read_rebuild(r.value) for r in records if r.key == REBUILD_KEY]


def config(shop: Shop) -> Path:
    return shop.folder / f"{shop.workers[0].name}.toml"


def rebuilt(streamgauge: Run, shop: Shop, *options: str) -> dict[str, Any]:
    code, out, err = streamgauge("rebuild", "--json", "--config", config(shop), *options)
    assert code == 0, err
    result: dict[str, Any] = json.loads(out.splitlines()[-1])
    return result


def with_the_old(shop: Shop, rows: list[Any]) -> None:
    """Products that came while the workers had the encoder before."""
    shop.make()
    worker = shop.ready()
    shop.send(shop.products, rows)
    shop.done()
    assert worker.stop() == 0
    assert set(encoders(shop).values()) == {"hashing-64"}


def test_duplicates_across_two_encoders_are_found_after_the_rebuild_and_nothing_else_changes(
    shop: Shop, streamgauge: Run
) -> None:
    with_the_old(shop, [product("north", 1, price=199.0, **CAMERA), product("north", 2, **MUG)])
    worker = shop.ready()
    shop.send(shop.products, [product("west", 3, price=201.0, **CAMERA)])
    shop.done()
    assert worker.stop() == 0
    assert shop.links() == {"west/3": "north/1"}

    dry = rebuilt(streamgauge, shop, "--dry-run")
    assert dry.pop("estimated_seconds") > 0
    assert dry == {
        "encoder": "hashing-96", "products": 3, "left": 3, "encoders": {"hashing-64": 3}, "dry_run": True,
    }  # fmt: skip
    assert asked(shop) == []
    code, _, err = streamgauge("rebuild", "--config", config(shop))
    assert (code, asked(shop)) == (1, [])
    assert "No worker of" in err
    assert "streamgauge run" in err

    workers = [shop.ready(NEW), shop.ready(NEW)]
    shop.send(shop.products, [product("south", 9, price=205.0, **CAMERA), product("south", 8, **MUG)])
    shop.done()
    assert shop.links() == {"west/3": "north/1"}, "nothing is compared across two encoders"

    result = rebuilt(streamgauge, shop)
    assert result.pop("seconds") > 0
    assert result == {"encoder": "hashing-96", "products": 5, "embedded": 3, "left": 0, "dry_run": False}
    assert set(encoders(shop).values()) == {"hashing-96"}
    assert shop.links() == {"west/3": "north/1", "south/9": "north/1", "south/8": "north/2"}
    assert sorted(shop.golden()["north/1"]["members"]) == ["north/1", "south/9", "west/3"]
    found = Counter((f["identity"], f["other"], f["status"]) for f in shop.said() if f["rule"].startswith("duplicate"))
    assert found["west/3", "north/1", "open"] == 1
    assert all(status == "open" for _, _, status in found), "what both encoders find is never taken back"
    assert [r.done for r in asked(shop)][-1]

    again = rebuilt(streamgauge, shop)
    assert (again["embedded"], {r.number for r in asked(shop)}) == (0, {1}), "nothing is left to be asked for"
    code, out, err = streamgauge("rebuild", "--dry-run", "--config", config(shop))
    assert code == 0
    assert "5  hashing-96" in out
    assert "Nothing to do" in err
    assert [w.stop() for w in workers] == [0, 0]

    # who starts without a snapshot knows the same
    for file in shop.folder.glob("*-state/*.snapshot"):
        file.unlink()
    shop.ready(NEW)
    shop.send(shop.products, [product("east", 7, price=203.0, **CAMERA)])
    shop.done()
    assert wait_until(lambda: shop.links().get("east/7") == "north/1")


def test_an_update_that_comes_meanwhile_wins(shop: Shop, streamgauge: Run) -> None:
    rows = [
        product("north", i, title=f"Garden chair teak model {i}", price=40.0 + i, currency="USD") for i in range(30)
    ]
    with_the_old(shop, rows)
    shop.ready(SLOW)
    asking = rebuilding(shop)
    assert wait_until(lambda: "hashing-96" in encoders(shop).values())
    newer = [
        product("north", i, title=f"Garden chair teak model {i}", price=90.0 + i, currency="USD") for i in range(30)
    ]
    shop.send(shop.products, newer)
    assert asking.wait(60) == 0
    shop.done()

    def wrong() -> dict[str, Any]:
        last = {entry.identity: entry for _, entry in entries(shop)}
        newest: dict[str, Version] = {}
        for _, entry in entries(shop):
            newest[entry.identity] = max(newest.get(entry.identity, entry.version), entry.version)
        return {
            p: (e.version, e.encoder, e.facts.price)
            for p, e in last.items()
            if (e.version, e.encoder, e.facts.price) != (newest[p], "hashing-96", 90.0 + int(p.partition("/")[2]))
        }

    assert wait_until(lambda: not wrong()), wrong()

    # a worker that was paused comes back with the vector of a version that is long past
    at, late = next((offset, entry) for offset, entry in entries(shop) if entry.encoder == "hashing-96")
    send_all(shop.servers, shop.names.named("catalogue"), [encode_entry(late)])
    assert wait_until(lambda: max(offset for offset, e in entries(shop) if e.identity == late.identity) > at + 1)
    assert wait_until(lambda: not wrong()), wrong()


def test_who_is_interrupted_or_killed_goes_on_where_it_stopped(shop: Shop, streamgauge: Run) -> None:
    rows = [product("north", i, title=f"Wooden shelf oak number {i}", price=40.0 + i) for i in range(40)]
    with_the_old(shop, rows)
    worker = shop.ready(SLOW)
    asking = rebuilding(shop)
    assert wait_until(lambda: "hashing-96" in encoders(shop).values())
    asking.send_signal(signal.SIGINT)
    assert asking.wait(30) == 130
    assert "go on by themselves" in (shop.folder / "rebuild.log").read_text()
    some = Counter(encoders(shop).values())["hashing-96"]
    assert wait_until(lambda: Counter(encoders(shop).values())["hashing-96"] > some), "nobody watches, and it goes on"
    worker.kill()
    before = Counter(encoders(shop).values())
    assert before["hashing-64"] > 0, "the test wants to see something left"

    shop.ready(NEW)
    result = rebuilt(streamgauge, shop)
    assert (result["products"], result["left"]) == (40, 0)
    written = Counter(entry.identity for _, entry in entries(shop) if entry.encoder == "hashing-96")
    assert written == {f"north/{i}": 1 for i in range(40)}, "none was embedded twice"
    assert {r.number for r in asked(shop)} == {1}


def rebuilding(shop: Shop, environment: Mapping[str, str] = NEW) -> subprocess.Popen[bytes]:
    """`streamgauge rebuild` in a process of its own."""
    with (shop.folder / "rebuild.log").open("wb") as log:
        return subprocess.Popen(
            [*COMMAND, "rebuild", "--config", str(config(shop))],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env={**os.environ, **environment},
        )
