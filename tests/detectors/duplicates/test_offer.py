from __future__ import annotations

from dataclasses import replace

import numpy as np
import orjson

from detectors.contract.load import sample_contract
from detectors.contract.model import Kind
from detectors.duplicates.entry import Entry
from detectors.duplicates.offer import facts_of, next_entry
from detectors.intake import Intake
from detectors.records import Facts, StoredRecord, Version

VECTOR = np.ones(4, np.int8)


def taken(**fields: object) -> Facts:
    body = {"supplier": "a", "sku": "1", "title": "Lamp", "updated_at": "2026-01-02T00:00:00Z", **fields}
    record = StoredRecord("products", 0, 7, 0, b"a/1", orjson.dumps(body))
    return facts_of(Intake(sample_contract(Kind.PRODUCTS)).take([record]).batch)[0]


def entry(facts: Facts, offset: int, prior: Entry | None) -> Entry:
    return next_entry(facts, prior, "products", 0, Version(0, offset), "e", VECTOR)


def test_what_the_catalogue_keeps() -> None:
    facts = taken(price="9.90", currency="EUR", url=" https://a/1 ", image="x" * 2_001, gtin="4006381333931")
    at = 1_767_312_000_000
    assert facts == Facts(
        "a/1", "Lamp", price=9.9, currency="EUR", gtin="4006381333931", first_seen=at, url="https://a/1", updated_at=at
    )


def test_a_product_was_first_seen_when_its_life_began() -> None:
    first = entry(replace(taken(), first_seen=10, updated_at=10), 1, None)
    second = entry(replace(taken(price=3), first_seen=20, updated_at=20), 2, first)
    assert (second.facts.first_seen, second.facts.updated_at, second.match_version) == (10, 20, Version(0, 1))
    gone = Entry("a/1", "products", 0, Version(0, 3), match_version=Version(0, 3), deleted=True)
    third = entry(replace(taken(), first_seen=30, updated_at=30), 4, gone)
    assert (third.facts.first_seen, third.match_version) == (30, Version(0, 4))


def test_matching_reads_another_brand_of_the_shop_and_none_of_a_repair() -> None:
    first = entry(taken(), 1, None)
    repaired = first.repaired(replace(first.facts, brand="Philips"))
    assert (repaired.facts.brand, repaired.brand_read) == ("Philips", "")
    cheaper = entry(taken(price=3), 2, repaired)
    assert (cheaper.match_version, cheaper.brand_read) == (Version(0, 1), "")
    named = entry(taken(brand="Osram"), 3, repaired)
    assert (named.match_version, named.brand_read) == (Version(0, 3), "Osram")


def test_matching_reads_the_currency_of_the_price_that_it_reads() -> None:
    first = entry(taken(price=100, currency="USD"), 1, None)
    dearer = entry(taken(price=90, currency="EUR"), 2, first)
    assert (dearer.match_version, dearer.match_price, dearer.facts.currency) == (Version(0, 1), 100, "EUR")
    assert (dearer.currency_read, dearer.facts_read.currency) == ("USD", "USD")
    back = entry(taken(price=99, currency="USD"), 3, dearer)
    assert (back.match_currency, back.currency_read) == (None, "USD")
    repaired = entry(taken(price=100), 4, None)
    repaired = repaired.repaired(replace(repaired.facts, currency="CNY"))
    assert (repaired.facts.currency, repaired.currency_read, repaired.facts_read.currency) == ("CNY", "", None)
