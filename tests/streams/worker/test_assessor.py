from __future__ import annotations

import subprocess
import sys
from concurrent.futures import Future
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import orjson
import pytest

from detectors.contract.load import load_contract
from detectors.decode import Limits
from detectors.duplicates.texts import packed_facts
from detectors.records import Facts, SourceRecord, StoredRecord
from streams.errors import InfrastructureError
from streams.settings import TopicNames
from streams.worker.assessing import Assessing
from streams.worker.assessor import Assessor, Question, Standards, sent
from streams.worker.delivery import DeliveryOptions
from streams.worker.rekey import passing_headers, restored
from tests.detectors.duplicates.offers import apply, deleted, entry, log_of, new_view
from tests.streams.worker.shop import SAMPLES

STANDARDS = Standards(
    {"products": load_contract(SAMPLES / "products.yaml")}, Limits(), {}, TopicNames(), "static-test", None
)
OFFER = Facts("b/7", "Canon PowerShot SX620 HS", price=9.5, currency="USD", first_seen=3, updated_at=4)


def record(offset: int, supplier: str | None = "east", **fields: Any) -> StoredRecord:
    body = {"supplier": supplier, "sku": str(offset), "title": "Canon PowerShot SX620 HS", "price": 20.0} | fields
    return StoredRecord("products", 2, offset, 1_700_000_000_000, b"key", orjson.dumps(body), [("trace", b"1")])


@pytest.fixture
def assessor() -> Assessor:
    return Assessor(STANDARDS, kept=2)


def asked(rows: int, kept: list[int] | None = None, **given: Any) -> Question:
    kept = [*range(rows)] if kept is None else kept
    n = len(kept)
    none = np.full((n, 3), -1, np.float32)
    usual: dict[str, Any] = {
        "kept": kept,
        "versions": [(0, row) for row in kept],
        "offsets": np.full((n, 3), -1, np.int64),
        "scores": none,
        "dense": none,
        "canonical": [f"c/{row}" for row in kept],
        "beside": (),
        "catalogue_size": 5,
    }
    return Question(**usual | given)


def test_each_record_is_told_by_its_place(assessor: Assessor) -> None:
    """What is no product is told with its reason, and nothing of it is lost."""
    gone = StoredRecord("products", 2, 3, 0, b"east/9", None)
    records: list[SourceRecord] = [StoredRecord("products", 2, 0, 0, None, b"{"), record(1), gone, record(2)]
    found = assessor.take("products", 1, [*map(sent, records)])
    assert [*found.places] == [1, 3]
    assert [(f.identity, f.title, f.price) for f in found.facts] == [
        ("east/1", "Canon PowerShot SX620 HS", 20.0),
        ("east/2", "Canon PowerShot SX620 HS", 20.0),
    ]
    assert [(place, stage, error) for place, stage, error, _ in found.rejections] == [(0, "decode", "not_json")]
    assert [*found.tombstones] == [(2, "east/9")]


def test_only_what_is_kept_is_judged_under_the_versions_of_the_question(assessor: Assessor) -> None:
    assessor.take("products", 1, [sent(record(i, brand=" Canon ")) for i in range(3)])
    verdict = assessor.judge("products", 1, asked(3, kept=[0, 2], versions=[(1, 5), (1, 6)]))
    bodies = [orjson.loads(value) for _, value, _ in verdict.outputs["products.corrected"]]
    assert [(b["sku"], b["_quality"]["version"], b["_quality"]["canonical"]) for b in bodies] == [
        ("0", [1, 5], "c/0"),
        ("2", [1, 6], "c/2"),
    ]
    assert [b["_quality"]["corrections"][0]["rule"] for b in bodies] == ["text.white_space"] * 2
    assert verdict.rows["products.corrected"] == [0, 1]
    assert (verdict.told.records, verdict.told.standardised) == (2, {"text.white_space": 2})


def test_a_record_that_was_rekeyed_arrives_as_it_was_with_what_carried_it(assessor: Assessor) -> None:
    user = record(7)
    carried = restored(StoredRecord("rekeyed", 0, 99, 5, b"east/7", user.value, passing_headers(user)))
    assessor.take("products", 1, [sent(carried)])
    verdict = assessor.judge("products", 1, asked(1, versions=[(0, 99)]))
    ((key, value, _),) = verdict.outputs["products.corrected"]
    quality = orjson.loads(value)["_quality"]
    assert (key, quality["topic"], quality["partition"], quality["offset"]) == (b"east/7", "products", 2, 7)
    assert quality["version"] == [0, 99]


def test_a_batch_that_is_never_judged_is_forgotten_after_some_others(assessor: Assessor) -> None:
    for number in range(3):
        assessor.take("products", number, [sent(record(number))])
    assert assessor.judge("products", 2, asked(1)).told.records == 1
    assert assessor.judge("products", 1, asked(1)).told.records == 1
    with pytest.raises(InfrastructureError, match="was not told of a batch"):
        assessor.judge("products", 0, asked(1))


def test_neighbours_are_those_that_were_told_and_outlast_one_new_beginning(assessor: Assessor) -> None:
    offers = [Facts(f"b/{i}", OFFER.title, price=200.0 + i, currency="USD") for i in range(3)]
    assessor.learn([(10 + i, o.identity, packed_facts(o)) for i, o in enumerate(offers)], afresh=False)
    near = np.full((1, 3), 0.95, np.float32)
    question = asked(1, offsets=np.array([[10, 11, 12]]), scores=near, dense=near)

    def evidence() -> list[Any]:
        assessor.take("products", 1, [sent(record(0, price=2.01, currency="USD"))])
        verdict = assessor.judge("products", 1, question)
        (body,) = [orjson.loads(value) for _, value, _ in verdict.outputs.get("quality.findings", ())]
        return sorted(neighbour["identity"] for neighbour in body["evidence"]["neighbours"])

    assert evidence() == ["b/0", "b/1", "b/2"]
    assessor.learn([], afresh=True)
    assert evidence() == ["b/0", "b/1", "b/2"]
    assessor.learn([], afresh=True)
    with pytest.raises(InfrastructureError, match="was not told of a product"):
        evidence()


def test_an_entry_is_told_once_and_again_after_a_change() -> None:
    title = "Canon PowerShot SX620 HS"
    view = apply(new_view(), log_of([entry(f"a/{i}", i, title, 20.0) for i in range(4)]))
    assessing = Assessing(STANDARDS, view, 2, DeliveryOptions())
    told: list[tuple[list[tuple[int, str]], bool]] = []

    def begin(method: Any, learned: list[tuple[int, str, bytes]], *, afresh: bool) -> Future[None]:
        assert method is Assessor.learn
        told.append(([(offset, identity) for offset, identity, _ in learned], afresh))
        return Future()

    assessing._process = SimpleNamespace(begin=begin)  # type: ignore[assignment]  # as far as it is asked
    none = np.full((1, 2), -1, np.intp)
    assert assessing.shown(none).tolist() == [[-1, -1]]
    assert told == []
    rows = np.array([[view.row_of("a/2"), view.row_of("a/1")], [view.row_of("a/1"), -1]], np.intp)
    assert assessing.shown(rows).tolist() == [[2, 1], [1, -1]]
    assert told.pop() == ([(1, "a/1"), (2, "a/2")], False)
    assert assessing.shown(rows).tolist() == [[2, 1], [1, -1]]
    assert told == []

    apply(view, log_of([entry("a/1", 4, title, 9.0, match=1)], start=4))
    assert assessing.shown(rows).tolist() == [[2, 4], [4, -1]]
    assert told.pop() == ([(4, "a/1")], False)

    gone = view.row_of("a/2")
    apply(view, log_of([deleted("a/2", 5), entry("c/1", 6, title, 7.0)], start=5))
    assert view.row_of("c/1") == gone
    assert assessing.shown(rows).tolist() == [[6, 4], [4, -1]]
    assert told.pop() == ([(6, "c/1")], False)

    assessing._most = 3  # as after very many
    assert assessing.shown(np.array([[view.row_of("a/0"), view.row_of("a/1")]])).tolist() == [[0, 4]]
    assert told.pop() == ([(0, "a/0"), (4, "a/1")], True)


async def test_without_topics_of_products_there_is_no_process() -> None:
    assessing = Assessing(replace(STANDARDS, contracts={}), new_view(), 2, DeliveryOptions())
    assessing.start()
    assert assessing._process is None
    await assessing.stop()


def test_the_process_that_takes_in_loads_nothing_compiled() -> None:
    """Nor does the one that owns the links: it would take memory and time at each start."""
    program = "import sys, streams.worker.assessor, streams.worker.ledger; sys.exit('numba' in sys.modules)"
    subprocess.run([sys.executable, "-c", program], check=True)
