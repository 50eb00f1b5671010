from dataclasses import replace

import orjson

from detectors.duplicates.golden import DEFAULT_RULES, GoldenState, golden_record
from detectors.duplicates.links import Link, LinkChange, LinkStatus
from detectors.records import (
    Correction,
    Dimension,
    Evidence,
    Facts,
    Finding,
    Neighbour,
    Record,
    Rule,
    Severity,
    StoredRecord,
    Suggestion,
    Version,
)
from sinks.wire import (
    Versions,
    corrected_record,
    finding_id,
    finding_message,
    golden_message,
    link_message,
    quality_score,
)

RULE = Rule("price.scale", Dimension.ACCURACY, Severity.ERROR, "a price off by a power of ten")
SOURCE = StoredRecord("products", 2, 41, 1_700_000_000_000, b"s/1", b'{"price": 2100}')
RECORD = Record(SOURCE, "s/1", {"price": 2100}, {"price": 2100}, 1_700_000_000_000, Version(0, 41))
FINDING = Finding(
    0, RULE, "price", 2100, 0.9, Evidence("five cost 21", (Neighbour("t/9", 0.91, 21.0),)), Suggestion(21)
)
VERSIONS = Versions("sample", "1.0.0", "static-1")


def test_the_same_finding_has_the_same_id_and_others_do_not() -> None:
    one = finding_id("products", 2, 41, "price.scale", "price", 0)
    assert one == finding_id("products", 2, 41, "price.scale", "price", 0)
    assert len(one) == 32
    others = {
        finding_id("products", 2, 42, "price.scale", "price", 0),
        finding_id("products", 24, 1, "price.scale", "price", 0),
        finding_id("products", 2, 41, "price.scale", None, 0),
        finding_id("products", 2, 41, "price.scale", "price", 1),
    }
    assert len(others | {one}) == 5


def test_finding_message_says_what_where_and_why() -> None:
    body = orjson.loads(finding_message(RECORD, FINDING, "abc", VERSIONS, 5))
    assert body["rule"] == "price.scale"
    assert (body["topic"], body["partition"], body["offset"], body["identity"]) == ("products", 2, 41, "s/1")
    assert (body["observed"], body["suggested"], body["confidence"]) == (2100, 21, 0.9)
    assert body["evidence"] == {
        "reason": "five cost 21",
        "neighbours": [{"identity": "t/9", "score": 0.91, "value": 21.0}],
    }


def test_a_finding_about_two_products_names_the_other() -> None:
    body = orjson.loads(finding_message(RECORD, replace(FINDING, other="t/9"), "abc", VERSIONS, 5))
    assert body["other"] == "t/9"
    assert "other" not in orjson.loads(finding_message(RECORD, FINDING, "abc", VERSIONS, 5))


def test_corrected_record_gives_the_original_back() -> None:
    correction = Correction(0, "price", 2100, 21, 0.99, "price.scale", "five cost 21")
    body = orjson.loads(
        corrected_record(
            RECORD, {"price": 21}, [("abc", FINDING)], [correction], "a/1", VERSIONS, 5, keep_original=True
        )
    )
    quality = body.pop("_quality")
    for change in reversed(quality["corrections"]):
        body[change["field"]] = change["before"]
    assert body == RECORD.original
    assert quality["version"] == [0, 41]
    assert quality["canonical"] == "a/1"
    assert quality["original"] == "eyJwcmljZSI6IDIxMDB9"


def test_score_falls_with_severity_and_confidence() -> None:
    assert quality_score([]) == 1.0
    assert quality_score([FINDING]) == round(1 - 0.3 * 0.9, 4)


def test_what_orjson_cannot_write_goes_out_as_text() -> None:
    record = Record(SOURCE, "s/1", {}, {"n": 10**30, "s": "\ud800", "nested": [{"n": -(10**25)}]}, 0)
    body = orjson.loads(corrected_record(record, record.values, [], [], None, VERSIONS, 5))
    assert (body["n"], body["s"], body["nested"]) == (str(10**30), "?", [{"n": str(-(10**25))}])


def test_a_link_shows_both_titles() -> None:
    link = Link(
        "b/2", Version(0, 7), "products", 1, 9, "a/1", Version(0, 3), 2.0, 1.0001, False, "duplicate.near", "same title"
    )
    later, earlier = Facts("b/2", "凝霜50ml", first_seen=77), Facts("a/1", "x" * 300)
    key, value = link_message(LinkChange(LinkStatus.MADE, link), VERSIONS, later, earlier, 99)
    body = orjson.loads(value)
    assert key == b"b/2"
    assert (body["identity"], body["other"], body["observed"], body["event_time"]) == ("b/2", "a/1", "凝霜50ml", 77)
    assert body["evidence"]["neighbours"] == [{"identity": "a/1", "score": 1.0, "value": "x" * 200}]
    gone = orjson.loads(link_message(LinkChange(LinkStatus.RETRACTED, link), VERSIONS, None, None, 99)[1])
    assert (gone["status"], gone["observed"], gone["event_time"]) == ("retracted", None, None)


def test_a_golden_record_says_its_version_twice() -> None:
    state = GoldenState()
    change = state.renew(golden_record("店/1", [Facts("店/1", "凝霜50ml", price=3.5, currency="CNY")], DEFAULT_RULES))
    assert change is not None
    key, value, headers = golden_message(change, 1_700_000_000_000)
    assert value is not None
    body = orjson.loads(value)
    assert key == "店/1".encode()
    assert [body[name] for name in ("version", "digest", "processing_time", "title", "price", "offers")] == [
        1, change.digest, 1_700_000_000_000, "凝霜50ml", 3.5, 1,
    ]  # fmt: skip
    assert headers == [("version", b"1"), ("digest", change.digest.encode())]
    ended = state.end("店/1")
    assert ended is not None
    assert golden_message(ended, 0) == ("店/1".encode(), None, [])
