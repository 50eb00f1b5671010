"""The ledger of links: what it asks for, what it remembers, and what follows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import orjson
import pytest

from detectors.duplicates.golden import DEFAULT_RULES, DEFAULTS, SurvivorRules
from detectors.duplicates.statement import Candidate, Statement, deletion, encode_statement
from detectors.duplicates.texts import packed_facts
from detectors.records import Facts, Version
from sinks.wire import Versions
from streams.worker import ledger as module
from streams.worker.ledger import Follows, Ledger, Offer

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


def decide(ledger: Ledger, *said: Statement, **prices: float) -> Follows:
    read = ledger.take(said)
    return ledger.decide({p: offer(p, prices.get(p[0], 399.0)) for p in read.identities})


def bodies(follows: Follows, name: str) -> dict[str, Any]:
    return {k.decode(): None if value is None else orjson.loads(value) for k, value, _ in follows.outputs[name]}


def test_statements_become_findings_the_mapping_and_golden_records() -> None:
    ledger = make()
    read = ledger.read(
        [encode_statement(say("a/1", 7)), (b"x/1", b"no JSON"), encode_statement(say("b/1", 9, ("a/1", 7)))]
    )
    assert (read.position, read.identities) == (9, ["a/1", "b/1"])
    ((place, why),) = read.unreadable
    assert place == 1
    assert "does not read" in why
    follows = ledger.decide({p: offer(p) for p in read.identities})
    assert follows.lacking == ()
    assert follows.links == [("products", "duplicate.near", False)]
    finding = bodies(follows, "findings")["b/1"]
    assert (finding["other"], finding["observed"]) == ("a/1", "Bose AM53BK speakers")
    assert finding["evidence"]["neighbours"][0]["value"] == "Bose AM53BK"
    assert (finding["contract"], finding["contract_version"], finding["processing_time"]) == ("shop", "1.2", 1500)
    assert {p: state["canonical"] for p, state in bodies(follows, "mapping").items()} == {"a/1": "a/1", "b/1": "a/1"}
    golden = bodies(follows, "golden")["a/1"]
    assert (golden["members"], golden["title"]) == (["a/1", "b/1"], "Bose AM53BK speakers")
    owned = follows.owned
    assert (owned.products, owned.links, owned.clusters, owned.golden) == (2, 1, 1, 1)


def test_nothing_follows_from_nothing() -> None:
    ledger = make()
    read = ledger.read([])
    assert (list(read.unreadable), read.position, read.identities) == ([], -1, [])
    follows = ledger.decide({})
    assert {name: list(items) for name, items in follows.outputs.items()} == {
        "findings": [],
        "mapping": [],
        "golden": [],
    }


def test_a_new_price_is_a_new_golden_record_of_its_cluster() -> None:
    ledger = make()
    decide(ledger, say("a/1", 1), say("b/1", 2, ("a/1", 1)))
    follows = decide(ledger, price("b/1", 3, 2), b=299.0)
    assert follows.outputs["findings"] == []
    assert bodies(follows, "golden")["a/1"]["prices"]["low"] == 299.0
    again = decide(ledger, price("b/1", 3, 2), b=299.0)
    assert again.outputs["golden"] == [], "the same was said already"


def test_what_was_told_is_remembered_and_what_is_lacking_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_REMEMBERED", 2)
    ledger = make()
    decide(ledger, say("a/1", 1), say("b/1", 2, ("a/1", 1)))
    decide(ledger, say("c/1", 3), say("d/1", 4, ("c/1", 3)))
    assert len(ledger._offers) <= 4
    ledger.take([price("b/1", 5, 2)])
    follows = ledger.decide({"b/1": offer("b/1", 199.0)})
    assert (follows.lacking, follows.outputs) == (["a/1"], {})
    follows = ledger.go_on({"a/1": offer("a/1")})
    assert follows.lacking == ()
    golden = bodies(follows, "golden")["a/1"]
    assert (golden["members"], golden["prices"]["low"]) == (["a/1", "b/1"], 199.0)
    assert len(ledger._offers) == 2


def test_a_deleted_product_ends_and_takes_its_links_back() -> None:
    ledger = make()
    decide(ledger, say("a/1", 1), say("b/1", 2, ("a/1", 1)))
    ledger.take([deletion("b/1", "products", 0, Version(0, 3), clean=False)])
    follows = ledger.decide({"b/1": None})
    assert follows.links == [("products", "duplicate.near", True)]
    assert bodies(follows, "findings")["b/1"]["status"] == "retracted"
    assert bodies(follows, "golden")["a/1"]["members"] == ["a/1"]
    ledger.take([deletion("a/1", "products", 0, Version(0, 4), clean=False)])
    follows = ledger.decide({"a/1": None})
    assert (follows.ended, bodies(follows, "golden")) == (1, {"a/1": None})
    assert (follows.owned.links, follows.owned.golden) == (0, 0)


def test_golden_records_are_made_by_the_rules_of_their_topic() -> None:
    trusting = SurvivorRules(DEFAULTS, {"b": 0}, "other shop", "2")
    ledger = make(offers=trusting)
    told: Mapping[str, Offer] = {"a/1": offer("a/1", topic="offers"), "c/1": offer("c/1")}
    ledger.take([say("a/1", 1, topic="offers"), say("c/1", 2)])
    golden = bodies(ledger.decide(told), "golden")
    assert {p: record["contract"] for p, record in golden.items()} == {
        "a/1": "other shop",
        "c/1": DEFAULT_RULES.contract,
    }


def written(follows: Sequence[Follows], name: str) -> dict[bytes, Any]:
    return {key: (value, dict(headers)) for one in follows for key, value, headers in one.outputs[name]}


def test_another_ledger_goes_on_from_what_was_written() -> None:
    first = make()
    said = [
        decide(first, say("a/1", 1), say("b/1", 2, ("a/1", 1))),
        decide(first, say("c/1", 3)),
    ]
    second = make()
    mapping = [(key, value) for key, (value, _) in written(said, "mapping").items()]
    golden = [(key, headers) for key, (_, headers) in written(said, "golden").items()]
    assert second.load_mapping([(b"x/1", b"{}"), *mapping, (b"y/1", None)]) == [(0, "KeyError")]
    assert second.load_golden([(b"\xff", {}), *golden, (b"y/1", None)]) == [(0, "UnicodeDecodeError")]
    assert second.owned() == first.owned()
    assert second.amiss() == []
    assert second.not_rebuilt(["a/1", "c/1"], 1) == ["a/1", "c/1"]
    assert second.not_rebuilt(["a/1", "c/1"], 0) == []
    second.take([price("b/1", 5, 2)])
    assert second.decide({}).lacking == ["a/1", "b/1"], "nobody has told it"


def test_golden_records_that_were_never_written_are_amiss() -> None:
    first = make()
    said = [decide(first, say("a/1", 1), say("b/1", 2, ("a/1", 1)), say("c/1", 3))]
    second = make()
    second.load_mapping([(key, value) for key, (value, _) in written(said, "mapping").items()])
    second.load_golden([(b"d/1", {"version": b"1", "digest": b"00"})])
    assert second.amiss() == ["a/1", "c/1", "d/1"]
    follows = second.renew(second.amiss())
    assert follows.lacking == ["a/1", "b/1", "c/1"]
    follows = second.go_on({p: offer(p) for p in follows.lacking})
    assert bodies(follows, "golden").keys() == {"a/1", "c/1", "d/1"}
    assert follows.ended == 1
    assert follows.outputs["mapping"] == follows.outputs["findings"] == []
    assert second.amiss() == []
