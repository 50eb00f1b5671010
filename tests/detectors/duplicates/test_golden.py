from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors.contract.load import parse_contract
from detectors.contract.model import Role, Survivorship
from detectors.duplicates.golden import DEFAULTS, GoldenRecord, GoldenState, SurvivorRules, golden_record
from detectors.records import Facts

RULES = SurvivorRules(DEFAULTS, {}, "shop", "1.0.0")


def offer(identity: str, first_seen: int = 0, **facts: Any) -> Facts:
    return Facts(identity, first_seen=first_seen, **{"updated_at": first_seen, **facts})


def rules(trust: tuple[str, ...] = (), **policies: str) -> SurvivorRules:
    own = {Role(name): Survivorship(policy) for name, policy in policies.items()}
    return SurvivorRules({**DEFAULTS, **own}, {source: i for i, source in enumerate(trust)}, "shop", "1.0.0")


def merged(*offers: Facts, by: SurvivorRules = RULES) -> GoldenRecord:
    return golden_record(offers[0].identity, sorted(offers, key=lambda f: (f.first_seen, f.identity)), by)


def test_a_single_offer_is_its_own_golden_record() -> None:
    one = offer("a/1", 5, title="Bose AM53BK", brand="Bose", price=399.0, currency="USD", url="https://a/1")
    assert merged(one).fields() == {
        "id": "a/1",
        "offers": 1,
        "members": ["a/1"],
        "title": "Bose AM53BK",
        "description": None,
        "brand": "Bose",
        "category": None,
        "gtin": None,
        "mpn": None,
        "url": "https://a/1",
        "image": None,
        "price": 399.0,
        "currency": "USD",
        "prices": {"low": 399.0, "high": 399.0, "offers": 1, "in_other_currencies": 0},
        "provenance": {
            "title": {"offer": "a/1", "policy": "longest", "agree": 1, "known": 1},
            "brand": {"offer": "a/1", "policy": "majority", "agree": 1, "known": 1},
            "url": {"offer": "a/1", "policy": "completeness", "agree": 1, "known": 1},
            "price": {"offer": "a/1", "policy": "recency", "agree": 1, "known": 1},
        },
        "contract": "shop",
        "contract_version": "1.0.0",
    }


def test_each_attribute_has_its_policy() -> None:
    a = offer("a/1", 1, title="Bose AM53BK", brand="BOSE", price=399.0, currency="USD", category="Speakers")
    b = offer("b/7", 2, title="Bose Acoustimass AM53BK speakers", brand="Bose", price=379.95, currency="USD", mpn="X")
    c = offer("c/3", 3, title="Speakers", brand="Boose", price=3_000.0, currency="CNY", description="Five speakers.")
    golden = merged(a, b, c)
    assert golden.members == ["a/1", "b/7", "c/3"]
    found = {role.value: (x.value, x.offer, x.agree, x.known) for role, x in golden.attributes.items()}
    assert found == {
        "title": ("Bose Acoustimass AM53BK speakers", "b/7", 1, 3),
        "description": ("Five speakers.", "c/3", 1, 1),
        "brand": ("BOSE", "a/1", 2, 3),  # of BOSE and Bose, that of the offer that says more or was seen first
        "category": ("Speakers", "a/1", 1, 1),
        "mpn": ("X", "b/7", 1, 1),
    }
    assert golden.prices is not None
    assert (golden.prices.value, golden.prices.currency, golden.prices.offer) == (3_000.0, "CNY", "c/3")
    assert (golden.prices.low, golden.prices.high, golden.prices.offers, golden.prices.elsewhere) == (3000, 3000, 1, 2)


@pytest.mark.parametrize(
    ("policy", "price", "low", "high"),
    [
        ("recency", 5.0, 5.0, 9.0),
        ("trust", 9.0, 5.0, 9.0),
        ("completeness", 8.0, 5.0, 9.0),
        ("majority", 8.0, 5.0, 9.0),
    ],
)
def test_policies_of_a_price(policy: str, price: float, low: float, high: float) -> None:
    offers = (
        offer("shop/1", 1, title="x", price=9.0),
        offer("east/1", 2, title="x", brand="B", mpn="M", price=8.0),
        offer("west/1", 3, title="x", price=8.0),
        offer("north/1", 4, title="x", price=5.0),
        offer("north/2", 5, title="x", price=-3.0),
    )
    prices = merged(*offers, by=rules(("shop", "north"), price=policy)).prices
    assert prices is not None
    assert (prices.value, prices.low, prices.high, prices.offers) == (price, low, high, 4)


@pytest.mark.parametrize(
    ("title", "wins"),
    [
        ("Sony WH-1000XM4 wireless headphones, black, with case", True),
        ("SONY WH-1000XM4 WIRELESS HEADPHONES CHEAP", False),
        ("Sony headphones headphones headphones headphones", False),
        ("Sony <b>WH-1000XM4</b> wireless headphones", False),
        ("Sony WH-1000XM4 headphones � for all", False),
        ("Sony WH-1000XM4 headphones " + "best gift for mother ever " * 3, False),
        ("索尼 WH-1000XM4 无线降噪头戴式耳机 黑色 官方旗舰店正品行货全国联保", True),
    ],
)
def test_the_longest_title_that_is_in_order(title: str, wins: bool) -> None:
    golden = merged(
        offer("a/1", 1, title="Sony WH-1000XM4 headphones"),
        offer("b/1", 2, title="Sony WH1000XM4 black"),
        offer("c/1", 3, title=title),
    )
    assert (golden.attributes[Role.TITLE].offer == "c/1") == wins


def test_a_wrong_check_digit_does_not_win() -> None:
    wrong, right = "4006381333930", "4006381333931"
    golden = merged(offer("a/1", 1, gtin=wrong), offer("b/1", 2, gtin=wrong), offer("c/1", 3, gtin=right))
    assert (golden.attributes[Role.GTIN].value, golden.attributes[Role.GTIN].agree) == ("4006381333931", 1)


def test_of_values_that_equally_many_have_the_first_wins() -> None:
    offers = (offer("a/1", 1, brand="Zeta"), offer("b/1", 2, brand="Acme"), offer("c/1", 3, brand="Acme"))
    assert merged(*offers).attributes[Role.BRAND].value == "Acme"
    brand = merged(*offers, offer("d/1", 4, brand="ZETA")).attributes[Role.BRAND]
    assert (brand.value, brand.offer, brand.agree) == ("Zeta", "a/1", 2)


def test_zeros_before_a_gtin_say_nothing() -> None:
    gtin = merged(offer("a/1", 1, gtin="04006381333931"), offer("b/1", 2, gtin="4006381333931")).attributes[Role.GTIN]
    assert (gtin.value, gtin.agree, gtin.known) == ("04006381333931", 2, 2)


@pytest.mark.parametrize("role", [Role.URL, Role.IMAGE])
def test_addresses_that_differ_in_case_are_others(role: Role) -> None:
    said = [{role.value: f"https://shop.example/{name}"} for name in ("A", "a", "a")]
    offers = (offer(f"{shop}/1", n, **facts) for n, (shop, facts) in enumerate(zip("abc", said, strict=True)))
    found = merged(*offers, by=rules(**{role.value: "majority"})).attributes[role]
    assert (found.value, found.offer, found.agree) == ("https://shop.example/a", "b/1", 2)


def test_chinese_forms_agree() -> None:
    golden = merged(offer("a/1", 1, brand="蘭蔻"), offer("b/1", 2, brand="兰蔻"), offer("c/1", 3, brand="Lancome"))
    assert (golden.attributes[Role.BRAND].agree, golden.attributes[Role.BRAND].known) == (2, 3)


def test_only_changes_are_said() -> None:
    state = GoldenState()
    a = offer("a/1", 1, title="Lamp", price=9.0)
    first = state.renew(merged(a))
    assert first is not None
    assert (first.version, orjson.loads(first.body)["price"]) == (1, 9.0)
    assert state.renew(merged(offer("a/1", 1, title="Lamp", price=9.0, updated_at=77))) is None, "a repeated feed"
    second = state.renew(merged(a, offer("b/1", 2, title="Lamp", price=8.0)))
    assert second is not None
    assert (second.version, second.digest != first.digest) == (2, True)

    successor = GoldenState()
    successor.load("a/1", second.version, second.digest)
    assert successor.renew(merged(a, offer("b/1", 2, title="Lamp", price=8.0))) is None
    third = successor.renew(merged(a))
    assert third is not None
    assert (third.version, third.digest) == (3, first.digest), "the same content has the same digest"
    ended = successor.end("a/1")
    assert ended is not None
    assert (ended.record, len(successor), successor.end("a/1")) == (None, 0, None)


_VALUES = st.sampled_from([None, "A", "a", "B b", "<i>", "长"])


@settings(deadline=None)
@given(
    st.lists(
        st.fixed_dictionaries(
            {
                **dict.fromkeys(("brand", "category", "gtin", "mpn", "url", "image"), _VALUES),
                "title": st.sampled_from(["", "A", "B b", "<i>"]),
                "price": st.sampled_from([None, 1.0, 2.0, -1.0]),
                "currency": st.sampled_from([None, "EUR"]),
                "updated_at": st.integers(0, 3),
            }
        ),
        min_size=1,
        max_size=6,
    ),
    st.dictionaries(st.sampled_from([r.value for r in DEFAULTS]), st.sampled_from(["trust", "recency", "majority"])),
    st.randoms(use_true_random=False),
)
def test_nothing_is_made_up_and_order_does_not_matter(
    offers: list[dict[str, Any]], policies: dict[str, str], rng: random.Random
) -> None:
    facts = [Facts(f"{'abc'[i % 3]}/{i}", **fields) for i, fields in enumerate(offers)]
    by = rules(("b",), **policies)
    golden = golden_record("a/0", facts, by)
    shuffled = rng.sample(facts, len(facts))
    assert golden_record("a/0", shuffled, by).attributes == golden.attributes
    assert golden_record("a/0", shuffled, by).prices == golden.prices
    known = {f.identity: f for f in facts}
    for role, found in golden.attributes.items():
        assert getattr(known[found.offer], role.value) == found.value
        assert 1 <= found.agree <= found.known <= len(facts)
    if golden.prices is not None:
        chosen = known[golden.prices.offer]
        assert (chosen.price, chosen.currency) == (golden.prices.value, golden.prices.currency)
        assert golden.prices.low <= golden.prices.value <= golden.prices.high
    else:
        assert not any(f.price is not None and f.price > 0 for f in facts)


def test_a_contract_says_the_policies() -> None:
    contract = parse_contract(
        """\
apiVersion: v3.1.0
kind: DataContract
id: shop
name: shop
version: 2.0.0
schema:
  - name: products
    customProperties: [{property: trust, value: [own, partner]}]
    properties:
      - {name: sku, customProperties: [{property: role, value: id}]}
      - {name: name, customProperties: [{property: role, value: title}, {property: survivorship, value: trust}]}
      - {name: maker, customProperties: [{property: role, value: brand}]}
""",
        "test",
    )
    made = SurvivorRules.of(contract)
    assert (made.policies[Role.TITLE], made.policies[Role.BRAND]) == (Survivorship.TRUST, Survivorship.MAJORITY)
    titles = {"x/1": "a long title of anybody", "partner/1": "partner's", "own/1": "own"}
    golden = merged(*(offer(identity, title=title) for identity, title in titles.items()), by=made)
    assert golden.attributes[Role.TITLE].value == "own"
    assert (golden.contract, golden.contract_version) == ("shop", "2.0.0")


def test_a_new_price_does_not_change_what_a_product_is_called() -> None:
    a = offer("a/1", 1, title="Bose AM53BK black", price=399.0, currency="USD")
    b = offer("b/7", 2, title="Bose AM53BK white", price=379.95, currency="USD")
    later = replace(b, price=371.0, updated_at=b.updated_at + 10**9)
    before, after = merged(a, b), merged(a, later)
    assert (after.attributes, after.attributes[Role.TITLE].offer) == (before.attributes, "a/1")
    assert after.prices is not None
    assert (after.prices.value, after.prices.offer) == (371.0, "b/7")
