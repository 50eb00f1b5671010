"""The ledger of links: what it asks for, and what follows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson

from detectors.duplicates.golden import DEFAULT_RULES, DEFAULTS, SurvivorRules
from detectors.duplicates.statement import Candidate, Statement, deletion, encode_statement
from detectors.duplicates.texts import packed_facts
from detectors.records import Facts, Version
from sinks.wire import Versions
from streams.worker.ledger import Follows, Ledger, Offer, Read

TITLES = {"a/1": "Bose AM53BK", "b/1": "Bose AM53BK speakers", "c/1": "Sony STRDG920", "d/1": "Sony STR-DG920 receiver"}


def offer(identity: str, price: float = 399.0, topic: str = "products") -> Offer:
    facts = Facts(identity, title=TITLES[identity], price=price, currency="USD", first_seen=ord(identity[0]))
    return topic, packed_facts(facts)


def say(identity: str, offset: int, *found: tuple[str, int], topic: str = "products") -> Statement:
    version = Version(0, offset)
    candidates = tuple(
        Candidate(other, Version(0, n), 3.0, 0.9, True, "duplicate.near", "same model code") for other, n in found
    )
    seen = ord(identity[0])
    return Statement(identity, topic, 0, version, version, offset, seen, identity[0], False, candidates)


def price(identity: str, offset: int, match: int) -> Statement:
    """As `update` says it of a new price."""
    version = Version(0, offset)
    return Statement(identity, "products", 0, version, Version(0, match), offset, ord(identity[0]), identity[0], False)


def make(**rules: SurvivorRules) -> Ledger:
    return Ledger(rules, {"products": Versions("shop", "1.2", "static")}, lambda: 1.5)


def follow(ledger: Ledger, asked: Sequence[str], gone: Sequence[str] = (), **prices: float) -> Follows:
    """Tell what is asked. prices: by source, 399.00 for the others."""
    return ledger.follow({p: None if p in gone else offer(p, prices.get(p[0], 399.0)) for p in asked})


def decide(ledger: Ledger, *said: Statement, gone: Sequence[str] = (), **prices: float) -> Follows:
    ledger.take(said)
    return follow(ledger, ledger.decide(), gone, **prices)


def bodies(follows: Follows, name: str) -> dict[str, Any]:
    return {k.decode(): None if value is None else orjson.loads(value) for k, value, _ in follows.outputs[name]}


def test_statements_become_findings_the_mapping_and_golden_records() -> None:
    ledger = make()
    said = [encode_statement(say("a/1", 7)), (b"x/1", b"no JSON"), encode_statement(say("b/1", 9, ("a/1", 7)))]
    read = ledger.read(said)
    assert read.position == 9
    ((place, why),) = read.unreadable
    assert place == 1
    assert "does not read" in why
    asked = ledger.decide()
    assert sorted(asked) == ["a/1", "b/1"]
    follows = follow(ledger, asked)
    assert follows.links == [("products", "duplicate.near", False)]
    finding = bodies(follows, "findings")["b/1"]
    assert (finding["other"], finding["observed"]) == ("a/1", "Bose AM53BK speakers")
    assert finding["evidence"]["neighbours"][0]["value"] == "Bose AM53BK"
    assert (finding["contract"], finding["contract_version"], finding["processing_time"]) == ("shop", "1.2", 1500)
    assert [key for key, _, _ in follows.outputs["mapping"]] == [b"a/1", b"b/1"]
    assert {p: state["canonical"] for p, state in bodies(follows, "mapping").items()} == {"a/1": "a/1", "b/1": "a/1"}
    golden = bodies(follows, "golden")["a/1"]
    assert (golden["members"], golden["title"]) == (["a/1", "b/1"], "Bose AM53BK speakers")
    owned = follows.owned
    assert (owned.products, owned.links, owned.clusters, owned.golden) == (2, 1, 1, 1)


def test_nothing_follows_from_nothing_nor_twice_from_one_thing() -> None:
    ledger = make()
    nothing: dict[str, list[Any]] = {"findings": [], "mapping": [], "golden": []}
    assert ledger.read([]) == Read([], -1)
    assert ledger.decide() == []
    assert ledger.follow({}).outputs == nothing
    decide(ledger, say("a/1", 1))
    assert ledger.decide() == []
    assert ledger.follow({}).outputs == nothing


def test_a_new_price_is_a_new_golden_record_of_its_cluster() -> None:
    ledger = make()
    decide(ledger, say("a/1", 1), say("b/1", 2, ("a/1", 1)))
    ledger.take([price("b/1", 3, 2)])
    asked = ledger.decide()
    assert asked == ["a/1", "b/1"], "of each member, each time: it may be another by now"
    follows = follow(ledger, asked, b=299.0)
    assert follows.outputs["findings"] == []
    assert bodies(follows, "golden")["a/1"]["prices"]["low"] == 299.0
    assert decide(ledger, price("b/1", 3, 2), b=299.0).outputs["golden"] == [], "the same was said already"


def test_a_deleted_product_ends_and_takes_its_links_back() -> None:
    ledger = make()
    decide(ledger, say("a/1", 1), say("b/1", 2, ("a/1", 1)))
    follows = decide(ledger, deletion("b/1", "products", 0, Version(0, 3), clean=False), gone=["b/1"])
    assert follows.links == [("products", "duplicate.near", True)]
    finding = bodies(follows, "findings")["b/1"]
    assert (finding["status"], finding["observed"]) == ("retracted", None)
    assert finding["evidence"]["neighbours"][0]["value"] == "Bose AM53BK"
    assert bodies(follows, "golden")["a/1"]["members"] == ["a/1"]
    follows = decide(ledger, deletion("a/1", "products", 0, Version(0, 4), clean=False), gone=["a/1"])
    assert (follows.ended, bodies(follows, "golden")) == (1, {"a/1": None})
    assert (follows.owned.links, follows.owned.golden) == (0, 0)


def test_golden_records_are_made_by_the_rules_of_the_topic_that_brought_their_first_offer() -> None:
    ledger = make(offers=SurvivorRules(DEFAULTS, {"b": 0}, "other shop", "2"))
    ledger.take([say("a/1", 1, topic="offers"), say("b/1", 2, ("a/1", 1)), say("c/1", 3)])
    told = {p: offer(p, topic="offers" if p == "a/1" else "products") for p in ledger.decide()}
    golden = bodies(ledger.follow(told), "golden")
    assert {p: record["contract"] for p, record in golden.items()} == {
        "a/1": "other shop",
        "c/1": DEFAULT_RULES.contract,
    }


def written(follows: Sequence[Follows], name: str) -> dict[bytes, Any]:
    return {key: (value, dict(headers)) for one in follows for key, value, headers in one.outputs[name]}


def test_another_ledger_goes_on_from_what_was_written() -> None:
    first, second = make(), make()
    said = [decide(first, say("a/1", 1), say("b/1", 2, ("a/1", 1))), decide(first, say("c/1", 3))]
    mapping: list[tuple[Any, Any]] = [(key, value) for key, (value, _) in written(said, "mapping").items()]
    golden: list[tuple[Any, Any]] = [(key, headers) for key, (_, headers) in written(said, "golden").items()]
    again = [(b"d/1", mapping[-1][1]), (b"d/1", None)]
    assert second.load_mapping([(b"x/1", b"{}"), *mapping, *again]) == [(0, "KeyError")]
    assert second.load_mapping([(None, b"{}"), (b"x/1", b"[]")]) == [(0, "AttributeError"), (1, "TypeError")]
    assert second.load_golden([(b"\xff", {}), *golden, (b"d/1", golden[0][1]), (b"d/1", None)]) == [
        (0, "UnicodeDecodeError")
    ]
    assert second.not_rebuilt(["a/1", "c/1"], 1) == ["a/1", "c/1"]
    assert second.not_rebuilt(["a/1", "c/1"], 0) == []
    # The first thing that it decides may be that a link is gone of which it made none.
    follows = decide(second, say("a/1", 5))
    assert follows.links == [("products", "duplicate.near", True)]
    assert bodies(follows, "findings")["b/1"]["observed"] == "Bose AM53BK speakers"
    owned = follows.owned
    assert (owned.products, owned.links, owned.clusters, owned.golden) == (3, 0, 0, 3)
    assert second.amiss() == []


def test_a_ledger_that_begins_again_knows_nothing() -> None:
    ledger = make()
    decide(ledger, say("a/1", 1), say("b/1", 2, ("a/1", 1)))
    ledger.take([say("c/1", 3)])
    ledger.begin()
    owned = ledger.owned()
    assert (owned.products, owned.links, owned.clusters, owned.golden) == (0, 0, 0, 0)
    assert ledger.decide() == []


def test_golden_records_that_were_never_written_are_amiss() -> None:
    first, second = make(), make()
    said = [decide(first, say("a/1", 1), say("b/1", 2, ("a/1", 1)), say("c/1", 3))]
    second.load_mapping([(key, value) for key, (value, _) in written(said, "mapping").items()])
    second.load_golden([(b"d/1", {"version": b"1", "digest": b"00"})])
    assert second.amiss() == ["a/1", "c/1", "d/1"]
    asked = second.renew(second.amiss())
    assert asked == ["a/1", "b/1", "c/1"]
    follows = follow(second, asked)
    assert bodies(follows, "golden").keys() == {"a/1", "c/1", "d/1"}
    assert follows.ended == 1
    assert follows.outputs["mapping"] == follows.outputs["findings"] == []
    assert second.amiss() == []
