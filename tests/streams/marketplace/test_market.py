"""The simulated marketplace: same seed, same events; clean where nothing is planted; enough planted."""

from __future__ import annotations

import itertools
from collections import Counter
from datetime import UTC, datetime

import orjson
import pytest
from stdnum import ean

from detectors.contract.load import sample_contract
from detectors.contract.model import Kind
from detectors.contract.rules import ContractRules
from detectors.intake import Intake
from detectors.records import StoredRecord
from streams.marketplace import Event, FaultKind, Marketplace, Mix
from streams.marketplace.events import BEHAVIOUR_FAULTS, PRODUCT_FAULTS
from streams.marketplace.suppliers import SUPPLIERS

START = datetime(2026, 3, 1, 12, tzinfo=UTC)


def minute(seed: int, mix: Mix | None = None) -> list[Event]:
    market = Marketplace(seed, start=START, mix=mix)
    return list(itertools.takewhile(lambda event: event.at < 60, market.events()))


@pytest.fixture(scope="module")
def events() -> list[Event]:
    return minute(7)


def stored(events: list[Event], topic: str) -> list[StoredRecord]:
    chosen = [event for event in events if event.topic == topic]
    started = int(START.timestamp() * 1000)
    return [
        StoredRecord(topic, 0, offset, started + int(event.at * 1000), event.key, event.value)
        for offset, event in enumerate(chosen)
    ]


def test_the_same_seed_gives_the_same_events(events: list[Event]) -> None:
    assert minute(7) == events
    assert minute(8) != events


def test_a_marketplace_can_be_run_twice() -> None:
    market = Marketplace(7, start=START, mix=Mix(families=2))
    first, second = (list(itertools.islice(market.events(), 3000)) for _ in range(2))
    assert first == second


def test_events_come_in_order_of_time(events: list[Event]) -> None:
    assert all(a.at <= b.at for a, b in itertools.pairwise(events))


def test_plants_at_least_200_faults_a_minute_of_every_kind_and_none_while_it_loads(events: list[Event]) -> None:
    kinds = Counter(planted.kind for event in events for planted in event.planted)
    assert 300 <= kinds.total() <= 800
    assert set(kinds) >= set(FaultKind) - {FaultKind.WRONG_ENCODING, FaultKind.REPLAYED_BLOCK}
    assert set(PRODUCT_FAULTS) | set(BEHAVIOUR_FAULTS) == set(FaultKind)
    assert not any(event.planted for event in events if event.at < Mix().load_seconds)


def test_the_catalogue_has_duplicates_across_suppliers_only(events: list[Event]) -> None:
    offers = {event.identity: event.article for event in events if event.topic == "products"}
    sold = Counter((identity.partition("/")[0], article) for identity, article in offers.items() if identity)
    assert set(sold.values()) == {1}
    assert 1500 <= len(offers) - len(set(offers.values())) <= 2500
    assert {source for source, _ in sold} == {supplier.name for supplier in SUPPLIERS}


def test_every_clean_record_satisfies_the_sample_contracts(events: list[Event]) -> None:
    clean = [event for event in events if not event.planted]
    for kind in Kind:
        contract = sample_contract(kind)
        taken = Intake(contract).take(stored(clean, kind.value))
        assert taken.rejections == []
        assert [f"{f.rule.name} {f.observed}" for f in taken.findings] == []
        assert ContractRules(contract).detect(taken.batch) == []


def test_standardising_gives_the_true_price_and_time_in_every_notation(events: list[Event]) -> None:
    clean = [event for event in events if not event.planted and event.topic == "products"]
    batch = Intake(sample_contract(Kind.PRODUCTS)).take(stored(clean, "products")).batch
    assert len({record.values["supplier"] for record in batch.records}) == len(SUPPLIERS)
    for record in batch.records:
        event = clean[record.source.offset]
        assert record.values["price"] == event.clean["price"][0]
        assert abs(record.event_time / 1000 - event.clean["updated_at"][0].timestamp()) < 1


def test_article_numbers_are_valid_and_models_unique() -> None:
    articles = Marketplace(7).articles
    assert all(ean.is_valid(article.gtin) for article in articles)
    assert len({article.gtin for article in articles}) == len({article.code for article in articles}) == len(articles)
    assert 1500 <= len(articles) <= 3000


def test_repeated_events_are_the_same_bytes_as_their_first(events: list[Event]) -> None:
    first: dict[str | None, Event] = {}
    repeats = 0
    for event in events:
        if event.topic != "behaviors":
            continue
        if any(p.kind in (FaultKind.REPEATED_EVENT, FaultKind.REPLAYED_BLOCK) for p in event.planted):
            repeats += 1
            assert (event.key, event.value) == (first[event.identity].key, first[event.identity].value)
        else:
            first.setdefault(event.identity, event)
    assert repeats > 20


def test_shoppers_look_only_at_products_that_were_offered_before(events: list[Event]) -> None:
    offered: set[str] = set()
    for event in events:
        if event.topic == "products" and event.value is not None and event.identity is not None:
            offered.add(event.identity)
        elif event.topic == "products" and event.identity is not None:
            offered.discard(event.identity)
        elif event.topic == "behaviors" and event.value is not None and not event.planted:
            record = orjson.loads(event.value)
            if "sku" in record:
                assert f"{record['supplier']}/{record['sku']}" in offered


def test_a_damaged_offer_is_corrected_later(events: list[Event]) -> None:
    wrong: dict[str | None, float] = {}
    for event in events:
        if event.topic == "products":
            if event.planted:
                assert event.identity not in wrong
                wrong[event.identity] = event.at
            elif event.identity in wrong:
                assert 8 <= event.at - wrong.pop(event.identity) <= 20.1
    assert all(at > 39 for at in wrong.values())


def test_the_warm_up_is_the_clean_catalogue() -> None:
    warm = list(Marketplace(3, start=START).warm_up())
    assert {event.topic for event in warm} == {"products"}
    assert len(warm) == len({event.identity for event in warm}) > 2500
    assert not any(event.planted for event in warm)
