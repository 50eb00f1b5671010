"""A whole worker, in a process of its own, on a real Kafka: from source records to everything that leaves."""

from __future__ import annotations

import json
import shutil
import subprocess
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson
import psutil
import pytest
from kafka import KafkaAdminClient, KafkaConsumer, OffsetAndMetadata, TopicPartition

from sinks.dead_letters import without_errors
from sinks.wire import finding_id
from tests.benchmarks.worker import ROOT, WorkerProcess
from tests.kafka_tools import make_topic, read_all, send_all, wait_until
from tests.streams.worker.shop import CAMERA, COMMAND, SAMPLES, Shop, event, product

pytestmark = pytest.mark.kafka

CONTRACTS = ROOT / "tests" / "contracts"
TOY = {"title": "Wooden toy train set", "gtin": "4006381333931", "currency": "USD"}


def exit_code(worker: WorkerProcess, seconds: float = 60.0) -> int | None:
    assert worker.process is not None
    try:
        return worker.process.wait(seconds)
    except subprocess.TimeoutExpired:
        return None


def _without(fields: Mapping[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in fields.items() if key != name}


def without_time(body: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in body.items() if not name.endswith("_time")}


def test_from_source_records_to_everything_that_leaves(shop: Shop) -> None:
    shop.make()
    worker = shop.ready()
    shop.send(shop.products, [product("north", 1, price=199.0, **CAMERA)])
    shop.done()
    shop.send(
        shop.products,
        [
            product("south", 9, price=205.0, **CAMERA),
            product("north", 2, title="CafÃ© crÃ¨me mug 300 ml", price="US$1,299.00"),
            product("north", 3, title=None, price=3),
            product("north", 7, title="Some &amp; thing", price=-4),
            (b"north/4", b"{nope"),
            product("north", 5, title="Garden chair teak", price=49.9),
        ],
    )
    shop.done()
    assert wait_until(lambda: shop.links() == {"south/9": "north/1"})
    shop.send(
        shop.behaviors,
        [
            event(1, supplier="south", sku="9", price=205.0, currency="USD"),
            event(2, supplier="south", sku="9", price=20_500.0, currency="USD", event_type="veiw"),
            (b"u1", b"[]"),
        ],
    )
    shop.done()

    records = {r["_quality"]["identity"]: r for r in shop.corrected()}
    assert sorted(records) == ["north/1", "north/2", "north/3", "north/5", "north/7", "south/9"]
    mug = records["north/2"]
    assert (mug["title"], mug["price"], mug["currency"]) == ("Café crème mug 300 ml", 1299.0, "USD")
    assert [(c["field"], c["before"], c["after"], c["rule"]) for c in mug["_quality"]["corrections"]] == [
        ("title", "CafÃ© crÃ¨me mug 300 ml", "Café crème mug 300 ml", "text.mojibake"),
        ("price", "US$1,299.00", 1299.0, "price.notation"),
        ("currency", None, "USD", "price.currency_added"),
    ]
    assert [(f["rule"], f["field"]) for f in mug["_quality"]["findings"]] == [("text.mojibake", "title")]
    assert records["north/7"]["title"] == "Some & thing"
    good = records["north/1"]["_quality"]
    assert {name: good[name] for name in ("score", "identity", "canonical", "findings", "corrections", "encoder")} == {
        "score": 1.0,
        "identity": "north/1",
        "canonical": "north/1",
        "findings": [],
        "corrections": [],
        "encoder": "hashing-64",
    }
    assert records["north/1"]["key"] == b"north/1"
    assert good["version"] == [0, good["offset"]]
    assert good["topic"] == shop.products

    findings = {(f["identity"], f["rule"]): f for f in shop.said()}
    assert {place for place in findings if place[0].startswith("north")} == {
        ("north/2", "text.mojibake"),
        ("north/3", "contract.required"),
        ("north/7", "text.html"),
        ("north/7", "price.negative"),
        ("north/7", "contract.range"),
    }
    missing = findings["north/3", "contract.required"]
    place = records["north/3"]["_quality"]
    assert without_time(missing) == {
        "rule": "contract.required",
        "dimension": "completeness",
        "severity": "critical",
        "id": finding_id(shop.products, place["partition"], place["offset"], "contract.required", "title", 0),
        "status": "open",
        "topic": shop.products,
        "partition": place["partition"],
        "offset": place["offset"],
        "identity": "north/3",
        "key": "north/3",
        "field": "title",
        "observed": None,
        "confidence": 1.0,
        "evidence": {"reason": "The field 'title' is required and is empty."},
        "detector_version": "1",
        "model": None,
        "contract": "products",
        "contract_version": "1.0.0",
    }
    link = findings["south/9", "duplicate.exact"]
    assert (link["other"], link["status"], link["severity"]) == ("north/1", "open", "warning")
    assert "same GTIN 4549292057515" in link["evidence"]["reason"]

    events = {r["event_id"]: r for r in shop.corrected(shop.behaviors)}
    assert [events[e]["_quality"]["canonical"] for e in ("e1", "e2")] == ["north/1", "north/1"]
    assert {f["rule"] for f in events["e2"]["_quality"]["findings"]} == {"contract.enum", "behavior.price"}
    assert findings["e2", "behavior.price"]["suggested"] == 205.0
    reviews = {(r["identity"], r["rule"]): r for r in shop.said("review")}
    assert set(reviews) == {("north/7", "price.negative"), ("e2", "behavior.price")}
    assert reviews["e2", "behavior.price"]["id"] == findings["e2", "behavior.price"]["id"]
    assert events["e2"]["price"] == 20_500.0, "what is only suggested is not applied"

    dead = {death.topic: (record, death) for record, death in shop.dead()}
    record, death = dead[shop.products]
    assert (record.key, record.value, death.stage, death.error) == (b"north/4", b"{nope", "decode", "not_json")
    assert dead[shop.behaviors][1].error == "not_an_object"

    # an edit takes the link back, under the same id; a deletion passes through
    shop.send(shop.products, [product("south", 9, price=205.0, **TOY), (b"north/5", None)])
    shop.done()
    assert wait_until(lambda: shop.links() == {})
    states = [f["status"] for f in shop.said() if f["id"] == link["id"]]
    assert states == ["open", "retracted"]
    (tombstone,) = [r for r in shop.corrected() if "_quality" not in r]
    chair = records["north/5"]["_quality"]
    assert (tombstone["key"], tombstone["headers"]["version"]) == (b"north/5", b"0:%d" % (chair["offset"] + 1))

    exposition = worker.metrics()
    for outcome, count in {"corrected": 7, "dead_letter": 1, "deleted": 1}.items():
        assert f'streamgauge_records_total{{outcome="{outcome}",topic="{shop.products}"}} {count}.0' in exposition
    assert f'streamgauge_records_total{{outcome="corrected",topic="{shop.behaviors}"}} 2.0' in exposition
    assert 'streamgauge_findings_retracted_total{rule="duplicate.exact"} 1.0' in exposition
    assert "streamgauge_index_products 5.0" in exposition
    live = answer(worker, "/live")
    assert (live.pop("beat_age_seconds") < 10, live) == (True, {"ok": True})
    assert answer(worker, "/ready") == {
        "ok": True, "recovered": True, "stalled": False, "broker_silent": False, "assigned": True, "products": 5,
    }  # fmt: skip
    if promtool := shutil.which("promtool"):
        checked = subprocess.run([promtool, "check", "metrics"], input=exposition, capture_output=True, text=True)
        assert (checked.returncode, checked.stderr) == (0, "")

    # the end in good order, and nothing again after it
    assert worker.stop() == 0
    before = len(shop.corrected()), len(shop.said()), len(shop.dead())
    again = shop.ready()
    shop.send(shop.products, [product("north", 8, title="Blue bottle", price=5)])
    shop.done()
    assert (len(shop.corrected()), len(shop.said()), len(shop.dead())) == (before[0] + 1, before[1], before[2])
    assert again.stop() == 0


def test_variants_are_told_apart_from_duplicates_in_english_and_chinese(shop: Shop) -> None:
    shop.make()
    worker = shop.ready()
    flask, kettle = "Norvik Aura Vacuum Flask NF-2450{} 500 ml {}", "诺维克 Aura 电热水壶 双层防烫 1.7升 {}"
    red, blue, green = (flask.format(*end) for end in (("RD", "red"), ("BL", "blue"), ("GN", "green")))
    shop.send(
        shop.products,
        [product("north", 1, title=red, price=20.0, currency="USD"),
         product("north", 2, title=kettle.format("红色"), price=199, currency="CNY")],
    )  # fmt: skip
    shop.done()
    shop.send(
        shop.products,
        [product("south", 1, title=blue, price=21.0, currency="USD"),
         product("south", 2, title=kettle.format("蓝色"), price=209, currency="CNY"),
         product("south", 3, title="Garden chair teak", price=49.9)],
    )  # fmt: skip
    shop.done()
    told = {f["identity"]: f for f in shop.said() if f["rule"] == "duplicate.variant"}
    assert sorted(told) == ["south/1", "south/2"]
    blue = told["south/1"]
    assert (blue["other"], blue["dimension"], blue["severity"], blue["status"]) == (
        "north/1", "uniqueness", "info", "open",
    )  # fmt: skip
    assert blue["evidence"]["reason"].startswith(f"another colour of “{red}”: blue here, red there")
    assert blue["evidence"]["neighbours"][0]["value"] == red
    assert told["south/2"]["evidence"]["reason"].startswith(
        f"another colour of “{kettle.format('红色')}”: 蓝色 here, 红色 there"
    )
    place = blue["topic"], blue["partition"], blue["offset"]
    assert blue["id"] == finding_id(*place, "duplicate.variant", None, "north/1")
    records = {r["_quality"]["identity"]: r["_quality"] for r in shop.corrected()}
    assert records["south/1"]["findings"] == [{"id": blue["id"], "rule": "duplicate.variant", "field": None}]
    assert records["south/1"]["score"] == 1.0, "it is no fault"
    assert records["north/1"]["findings"] == records["south/3"]["findings"] == []
    assert shop.links() == {}
    assert f'rule="duplicate.variant",severity="info",topic="{shop.products}"}} 2.0' in worker.metrics()

    # a new price says nothing new; another text does, and what was said stays with its record
    shop.send(shop.products, [product("south", 1, title=blue, price=19.0, currency="USD")])
    shop.done()
    shop.send(shop.products, [product("south", 1, title=green, price=19.0, currency="USD")])
    shop.done()
    told_now = [f for f in shop.said() if f["rule"] == "duplicate.variant" and f["identity"] == "south/1"]
    assert [f["evidence"]["reason"].partition("; ")[0] for f in told_now] == [
        f"another colour of “{red}”: blue here, red there",
        f"another colour of “{red}”: green here, red there",
    ]
    assert worker.stop() == 0


def test_a_product_has_one_golden_record_whatever_happens_to_its_offers(shop: Shop) -> None:
    shop.make()
    worker = shop.ready()
    lamp = product("north", 5, title="Desk lamp LX-200 brass", price=49.9, currency="EUR", brand="Lumen")
    shop.send(shop.products, [product("north", 1, price=199.0, brand="CANON", **_without(CAMERA, "brand")), lamp])
    shop.done()
    shop.send(shop.products, [product("south", 9, price=205.0, description="With case and strap.", **CAMERA)])
    shop.done()
    golden = shop.golden()
    assert sorted(golden) == ["north/1", "north/5"], "every product once"
    camera = golden["north/1"]
    assert (camera["members"], camera["version"]) == (["north/1", "south/9"], 2)
    assert (camera["price"], camera["currency"]) == (205.0, "USD")
    assert camera["prices"] == {"low": 199.0, "high": 205.0, "offers": 2, "in_other_currencies": 0}
    assert camera["description"] == "With case and strap."
    assert camera["provenance"]["brand"]["agree"] == 2
    assert camera["provenance"]["price"] == {"offer": "south/9", "policy": "recency", "agree": 1, "known": 2}
    assert golden["north/5"]["members"] == ["north/5"]

    # a new price makes no statement about links, but another golden record; a repeated feed changes nothing
    lamp = product("north", 5, title="Desk lamp LX-200 brass", price=39.9, currency="EUR", brand="Lumen")
    shop.send(shop.products, [lamp])
    shop.send(shop.products, [product("south", 9, price=205.0, description="With case and strap.", **CAMERA)])
    shop.done()
    golden = shop.golden()
    assert (golden["north/5"]["price"], golden["north/5"]["version"]) == (39.9, 2)
    assert (golden["north/1"]["version"], golden["north/1"]["digest"]) == (2, camera["digest"])

    # After a restart, in good order or not, nothing is said again and everything is known.
    assert worker.stop() == 0
    worker = shop.ready()
    shop.send(shop.products, [product("south", 9, price=207.0, description="With case and strap.", **CAMERA)])
    shop.done()
    golden = shop.golden()
    assert (golden["north/1"]["price"], golden["north/1"]["version"]) == (207.0, 3)
    worker.kill()
    send_all(shop.servers, shop.names.named("golden"), [(b"north/5", None), (b"nobody/1", b"{}")])
    worker = shop.ready()
    shop.send(shop.products, [(b"north/1", None)])
    shop.done()
    golden = shop.golden()
    assert sorted(golden) == ["nobody/1", "north/5", "south/9"], "the canonical identity is another now"
    assert golden["north/5"]["price"] == 39.9, "whatever became of it in the topic"
    assert (golden["south/9"]["members"], golden["south/9"]["version"]) == (["south/9"], 1)
    records = read_all(shop.servers, shop.names.named("golden"), isolation_level="read_committed")
    said = [(r.key, r.value is None) for r in records[-2:]]
    assert sorted(said) == [(b"north/1", True), (b"south/9", False)]
    assert len([r for r in records if r.value is not None]) == 8, "each change once"
    (mapped,) = [
        orjson.loads(r.value)
        for r in read_all(shop.servers, shop.names.named("mapping"), isolation_level="read_committed")
        if r.key == b"south/9"
    ][-1:]
    assert (mapped["canonical"], mapped["previous"]) == ("south/9", "north/1")
    exposition = worker.metrics()
    assert "streamgauge_golden_records 2.0" in exposition
    assert "streamgauge_clusters 0.0" in exposition
    assert worker.stop() == 0


def test_the_next_owner_of_links_is_as_cautious(shop: Shop) -> None:
    def caution(worker: WorkerProcess) -> str | None:
        said = [line for line in worker.metrics().splitlines() if line.startswith("streamgauge_link_caution_ratio ")]
        return said[0].split()[1] if said else None

    shop.make()
    worker = shop.ready()
    shop.send(
        shop.products, [product("north", n, title=f"Kettle kx{n}00b steel", price=20 + n) for n in range(100, 164)]
    )
    shop.done()
    assert wait_until(lambda: caution(worker) == "0.8333"), "64 products with a code, none of them offered twice"
    assert worker.stop() == 0

    worker = shop.ready()
    shop.send(shop.products, [product("north", 1, title="Garden chair teak", price=49.9)])
    shop.done()
    assert wait_until(lambda: caution(worker) == "0.8333")
    assert worker.stop() == 0


def test_statements_that_nobody_decided_over_are_said_anew(shop: Shop) -> None:
    shop.make()
    worker = shop.ready()
    shop.send(shop.products, [product("north", 1, price=199.0, **CAMERA), product("north", 2, title="A", price=1)])
    shop.done()
    shop.send(shop.products, [product("south", 9, price=205.0, **CAMERA), (b"north/2", None)])
    shop.done()
    assert wait_until(lambda: shop.links() == {"south/9": "north/1"})
    (link,) = [f for f in shop.said() if f["rule"] == "duplicate.exact"]
    assert worker.stop() == 0

    # What a long outage leaves: links aged out of their topic before their owner had read them.
    links, mapping = (TopicPartition(shop.names.named(name), 0) for name in ("links", "mapping"))
    send_all(shop.servers, mapping.topic, [(key, None) for key in (b"north/1", b"north/2", b"south/9")])
    admin = KafkaAdminClient(bootstrap_servers=shop.servers)
    admin.delete_records({links: len(read_all(shop.servers, links.topic))})
    admin.close()
    group = KafkaConsumer(bootstrap_servers=shop.servers, group_id=shop.app_id, enable_auto_commit=False)
    group.commit({links: OffsetAndMetadata(1, "", -1)})
    group.close()

    again = shop.ready()
    shop.send(shop.products, [product("north", 5, title="Garden chair teak", price=49.9)])
    shop.done()
    assert wait_until(lambda: shop.links() == {"south/9": "north/1"})
    said = [f for f in shop.said() if f["rule"] == "duplicate.exact"]
    assert {f["id"] for f in said} == {link["id"]}
    assert {f["status"] for f in said} == {"open"}
    assert again.stop() == 0
    log = (shop.folder / "worker1.log").read_text()
    assert log.count("links.all_said") == 1, "it happens once, not at every start"

    quiet = shop.ready()
    shop.send(shop.products, [product("north", 6, title="Garden table teak", price=89.9)])
    shop.done()
    assert quiet.stop() == 0
    assert "links.say_anew" not in (shop.folder / "worker2.log").read_text()


def test_a_start_begins_with_the_snapshot_and_does_without_one_that_is_damaged(shop: Shop) -> None:
    shop.make()
    state = {"state_dir": str(shop.folder / "state")}
    snapshot = shop.folder / "state" / f"{shop.app_id}-catalogue.snapshot"

    def run(number: int, *offers: Any) -> str:
        worker = shop.ready(**state)
        shop.send(shop.products, offers)
        shop.done()
        assert worker.stop() == 0
        return (shop.folder / f"worker{number}.log").read_text()

    log = run(0, product("north", 1, price=199.0, **CAMERA), product("north", 2, title="A", price=1))
    assert "snapshot.loaded" not in log
    assert log.count("snapshot.written") == 1
    log = run(1, product("south", 9, price=205.0, **CAMERA))
    assert log.count("snapshot.loaded") == 1
    assert shop.links() == {"south/9": "north/1"}
    whole = snapshot.read_bytes()
    snapshot.write_bytes(whole[:900] + bytes([whole[900] ^ 1]) + whole[901:])
    log = run(2, product("north", 3, price=189.0, **CAMERA), (b"north/1", None))
    assert "snapshot.loaded" not in log
    assert "its checksum is wrong" in log
    assert shop.links() in ({"south/9": "north/3"}, {"north/3": "south/9"})


def answer(worker: WorkerProcess, path: str) -> Any:
    url = str(worker.url()).replace("/metrics", path)
    with urllib.request.urlopen(url, timeout=5) as response:
        return json.loads(response.read())


def test_a_record_at_fault_dies_alone(shop: Shop) -> None:
    shop.make({"max.message.bytes": "4000000"})
    shop.worker({"HASHING_RAISES_FOR": "poison"})
    rows = [product("north", n, title=f"Lamp model {n}", price=10 + n) for n in range(60)]
    rows[20] = product("north", 20, title="a poison title", price=30)
    large = product("north", 30, title="Lamp model 30", price=40, description="x" * 2_000_000)
    rows[30] = large
    shop.send(shop.products, rows)
    shop.done()
    dead = {record.key: (record, death) for record, death in shop.dead()}
    assert sorted(dead) == [b"north/20", b"north/30"]
    record, death = dead[b"north/20"]
    assert (record.value, death.stage, death.error) == (rows[20][1], "process", "ValueError")
    assert death.message == "Processing failed with a ValueError."  # its text may hold values of the record
    record, death = dead[b"north/30"]
    assert (record.value == large[1], death.stage, death.error) == (True, "decode", "too_long")
    assert len({r["sku"] for r in shop.corrected()}) == 58


def test_many_records_at_fault_and_a_mapping_that_does_not_read_stop_nothing(shop: Shop) -> None:
    shop.make()
    shop.worker({"HASHING_RAISES_FOR": "poison"})
    send_all(shop.servers, shop.names.named("mapping"), [(b"x/1", b"not json"), (b"x/2", b"[]")])
    poison = {n for n in range(300) if n < 140 and n % 2}
    rows = [
        product("north", n, title="a poison lamp" if n in poison else f"Lamp model {n}", price=10 + n)
        for n in range(300)
    ]
    shop.send(shop.products, rows)
    shop.done()
    assert {record.key for record, _ in shop.dead()} == {b"north/%d" % n for n in poison}
    assert {r["sku"] for r in shop.corrected()} == {str(n) for n in range(300) if n not in poison}


def test_an_encoder_that_always_fails_stops_the_worker_and_nothing_is_acknowledged(shop: Shop) -> None:
    shop.make()
    shop.send(shop.products, [product("north", n, title=f"Lamp model {n}", price=10) for n in range(30)])
    worker = shop.worker({"HASHING_RAISES_ALWAYS": "1"})
    assert exit_code(worker) == 1, worker.last_words()
    assert shop.lag() == 30
    assert (shop.dead(), shop.corrected()) == ([], [])
    assert "so does what is known to be good: ValueError" in worker.last_words()
    assert "Traceback" not in worker.log.read_text("utf-8")


@pytest.mark.parametrize(("which", "what"), [(0, "the assessor of records"), (1, "the ledger of links")])
def test_an_idle_worker_one_of_whose_processes_is_killed_ends_and_says_why(shop: Shop, which: int, what: str) -> None:
    shop.make()
    worker = shop.ready()
    children = sorted(psutil.Process(worker.process.pid).children(), key=psutil.Process.create_time)
    assert len(children) == 2
    children[which].kill()
    assert exit_code(worker) == 1, worker.last_words()
    words = worker.last_words()
    assert f"The process of {what} has ended by signal 9. What was not done was not acknowledged." in words
    assert "Traceback" not in worker.log.read_text("utf-8")


@pytest.mark.parametrize("how", ["full", "gone"])
def test_a_state_folder_that_cannot_be_written_stops_the_worker(shop: Shop, how: str, tmp_path: Path) -> None:
    state = tmp_path / "state"
    state.mkdir()
    if how == "full":
        mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(state)], capture_output=True)
        if mounted.returncode:
            pytest.skip("a small file system cannot be mounted without root")
    try:
        shop.make()
        worker = shop.ready(state_dir=str(state))
        if how == "full":
            with pytest.raises(OSError, match="No space left"):
                (state / "filler").write_bytes(bytes(100_000))
        else:
            shutil.rmtree(state)
            state.write_text("no folder any more")
        assert exit_code(worker) == 1, worker.last_words()
        assert f"The state folder {state} cannot be written" in worker.last_words()
        shop.send(shop.products, [product("north", n, title=f"Lamp model {n}", price=10) for n in range(30)])
        again = shop.worker(state_dir=str(state))
        assert exit_code(again) == 1, again.last_words()
        assert shop.lag() == 30
        assert shop.corrected() == []
    finally:
        if how == "full":
            subprocess.run(["umount", str(state)], capture_output=True)


def test_products_that_live_in_another_topic_stop_the_worker_with_the_right_words(shop: Shop) -> None:
    second = shop.prefix + "second"
    shop.contracts["products"][second] = str(SAMPLES / "products.yaml")
    shop.make()
    worker = shop.ready()
    rows = [product("north", n, title=f"Lamp model {n}", price=10 + n) for n in range(40)]
    shop.send(shop.products, rows)
    shop.done()
    shop.send(second, rows)
    assert exit_code(worker) == 1
    words = worker.last_words()
    assert f"{second} brings products that {shop.products} brought before" in words
    assert "rekey" not in words


def test_two_workers_share_the_partitions_and_find_what_one_finds(shop: Shop) -> None:
    shop.make(partitions=4)
    first, second = shop.worker(), shop.worker()
    for worker in (first, second):
        worker.wait_ready(60)
    assert wait_until(lambda: answer(first, "/ready")["assigned"] and answer(second, "/ready")["assigned"], 60)
    rows, expected = [], {}
    for n in range(400):
        sources = ("east", "north", "south")[: 1 + n % 3]
        for source in sources:
            body = {"title": f"{WORDS[n % 20]} {WORDS[n // 20]} X{n:03}{source[0]}", "price": 20 + n, "currency": "EUR"}
            rows.append(product(source, n, gtin=gtin(n), updated_at="2026-01-01T00:00:00Z", **body))
            if source != "east":
                expected[f"{source}/{n}"] = f"east/{n}"
    shop.send(shop.products, rows)
    shop.done()
    assert wait_until(lambda: shop.links() == expected)
    shares = [records_of(worker, shop.products) for worker in (first, second)]
    assert sum(shares) == len(rows)
    assert min(shares) > len(rows) // 10, "both have partitions"
    pairs = [frozenset((f["identity"], f["other"])) for f in shop.said() if f["rule"].startswith("duplicate.")]
    assert len(pairs) == len(set(pairs)) == 133 + 133 * 3, "each pair once: of two offers one, of three offers three"
    assert [first.stop(), second.stop()] == [0, 0]


def test_a_topic_that_is_not_keyed_by_product_is_refused_and_can_be_re_keyed(shop: Shop) -> None:
    shop.make()
    rows = [product("north", n, title=f"Lamp model {n}", price=10)[1] for n in range(40)]
    worker = shop.ready()
    shop.send(shop.products, [(b"a%d" % n, value) for n, value in enumerate(rows)])
    shop.done()
    shop.send(shop.products, [(b"b%d" % n, value) for n, value in enumerate(rows)])
    shop.send(shop.products, [(b"c%d" % n, value) for n, value in enumerate(rows)])
    assert exit_code(worker) == 1, worker.last_words()
    assert f"{shop.products} is not keyed by product" in worker.last_words()
    assert f"STREAMGAUGE_REKEY={shop.products}" in worker.last_words()

    shop._more["rekey"] = shop.products
    worker = shop.ready()
    shop.done()  # records in several partitions have no order, whoever re-keys them
    latest = [product("north", n, title=f"Lamp model {n}", price=11)[1] for n in range(40)]
    shop.send(shop.products, [(b"d%d" % n, value, [("trace", b"7")]) for n, value in enumerate(latest)])
    odd = product("north", 50, title=None, price=3)[1]
    shop.send(shop.products, [(None, odd), (None, b"{nope", [("trace", b"8")]), (b"north/39", None)])
    shop.done()
    source = {r.value: r for r in read_all(shop.servers, shop.products)}
    said = [r for r in shop.corrected() if "_quality" in r]
    last = {r["sku"]: r for r in sorted(said, key=lambda r: tuple(r["_quality"]["version"])) if r["sku"] != "50"}
    assert {sku: r["price"] for sku, r in last.items()} == {str(n): 11 for n in range(40)}
    assert {generation(r) for r in last.values()} == {1}
    assert {r["key"] for r in last.values()} == {b"north/%d" % n for n in range(40)}
    for sku, r in last.items():
        own, quality = source[latest[int(sku)]], r["_quality"]
        assert (quality["topic"], quality["partition"], quality["offset"]) == (own.topic, own.partition, own.offset)
        assert quality["event_time"] == own.timestamp, "the contract's own time is absent"
    internal = shop.names.rekeyed(shop.products)
    carried = {r.key: r.offset for r in read_all(shop.servers, internal) if r.value is not None}
    assert {r["_quality"]["version"][1] for r in last.values()} == {carried[b"north/%d" % n] for n in range(40)}
    (tombstone,) = [r for r in shop.corrected() if "_quality" not in r]
    assert tombstone["key"] == b"north/39"

    # findings, dead letters and metrics speak of the user's own record, which replay sends back to its own place
    (missing,) = [f for f in shop.said() if f["identity"] == "north/50" and f["rule"] == "contract.required"]
    own = source[odd]
    assert [missing[name] for name in ("topic", "partition", "offset", "key")] == [
        shop.products, own.partition, own.offset, None,
    ]  # fmt: skip
    own = source[b"{nope"]
    ((letter, death),) = [(r, d) for r, d in shop.dead() if r.value == b"{nope"]
    assert (death.topic, death.partition, death.offset) == (shop.products, own.partition, own.offset)
    assert (letter.key, without_errors(letter.headers)) == (None, [("trace", b"8")])
    assert internal not in "".join(x for x in worker.metrics().splitlines() if x.startswith("streamgauge_records_"))
    positions = {dict(r.headers)["streamgauge.source"].decode() for r in read_all(shop.servers, internal)}
    everything = {f"{r.topic}/{r.partition}/{r.offset}" for r in read_all(shop.servers, shop.products)}
    assert positions < everything, "what was done before is not passed on"
    assert worker.stop() == 0


def test_updates_win_after_a_topic_got_more_partitions_or_was_made_anew(shop: Shop) -> None:
    shop.make()

    def send(price: int) -> None:
        shop.send(shop.products, [product("north", n, title=f"Lamp model {n}", price=price) for n in range(30)])
        shop.done()

    def prices() -> set[tuple[int, int]]:
        newest = shop.newest().values()
        assert len(newest) == 30
        return {(r["price"], generation(r)) for r in newest}

    worker = shop.ready()
    send(10)
    send(11)
    assert worker.stop() == 0
    assert prices() == {(11, 0)}
    admin = KafkaAdminClient(bootstrap_servers=shop.servers)
    try:
        admin.create_partitions({shop.products: 5})
        worker = shop.ready()
        send(12)
        assert worker.stop() == 0
        # What came before the worker looked and stayed in its partition needs no new generation.
        assert prices() == {(12, 0), (12, 1)}
        assert shop.dead() == [], "products may have moved"

        admin.delete_topics([shop.products])
        assert wait_until(lambda: shop.products not in admin.list_topics())
    finally:
        admin.close()
    make_topic(shop.servers, shop.products, 3)
    worker = shop.ready()
    send(13)
    assert worker.stop() == 0
    assert prices() == {(13, 2)}
    assert shop.dead() == []


WORDS = (
    *("lamp", "chair", "table", "sofa", "kettle", "toaster", "mirror", "carpet", "pillow", "blanket"),
    *("bottle", "basket", "hammer", "drill", "ladder", "tent", "stove", "camera", "radio", "clock"),
)


def generation(record: dict[str, Any]) -> int:
    return int(record["_quality"]["version"][0])


def gtin(number: int) -> str:
    digits = f"{400_000_000_000 + number * 97}"
    weighted = sum(int(digit) * (3 if place % 2 else 1) for place, digit in enumerate(digits))
    return f"{digits}{-weighted % 10}"


def records_of(worker: WorkerProcess, topic: str) -> int:
    line = f'streamgauge_records_total{{outcome="corrected",topic="{topic}"}} '
    return sum(int(float(x.removeprefix(line))) for x in worker.metrics().splitlines() if x.startswith(line))


@pytest.mark.shared_data
def test_every_line_of_real_files_is_accounted_for(shop: Shop, shared_data: Path) -> None:
    shop.contracts = {
        "products": {shop.products: str(CONTRACTS / "abt-buy.yaml")},
        "behaviors": {shop.behaviors: str(CONTRACTS / "rees46.yaml")},
    }
    shop.make()
    worker = shop.worker()
    files = {
        shop.products: shared_data / "products-abt-buy" / "abtbuy.csv",
        shop.behaviors: shared_data / "behaviors" / "rees46-2019-10-01.csv",
    }
    for contracts in shop.contracts.values():
        for topic, contract in contracts.items():
            command = ["send", str(files[topic]), "--topic", topic, "--contract", contract]
            subprocess.run(
                [*COMMAND, *command, "--bootstrap-servers", shop.servers], check=True, capture_output=True, cwd=ROOT
            )
    shop.done()
    dead = shop.dead()
    for topic, lines in {shop.products: 2_161, shop.behaviors: 17_435}.items():
        sent = {(r.partition, r.offset) for r in read_all(shop.servers, topic)}
        done = [(r["_quality"]["partition"], r["_quality"]["offset"]) for r in shop.corrected(topic)]
        died = [(death.partition, death.offset) for _, death in dead if death.topic == topic]
        assert len(sent) == lines
        assert sorted([*done, *died]) == sorted(sent), "each line once, as a corrected record or a dead letter"
    ((record, death),) = dead
    last = files[shop.behaviors].read_text("utf-8").splitlines()[-1]
    assert (record.value.decode(), death.topic, death.stage, death.error) == (
        last,
        shop.behaviors,
        "decode",
        "not_json",
    )
    assert death.message.startswith("The value is not JSON")
    assert worker.stop() == 0
