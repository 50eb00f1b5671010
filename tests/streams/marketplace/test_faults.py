"""Each fault is what it says, and every value that it accepts as a repair is one."""

from __future__ import annotations

import itertools
from collections import defaultdict
from datetime import UTC, datetime
from typing import Any

import ftfy
import orjson
import pytest
from stdnum import ean

from streams.marketplace import Event, FaultKind, Marketplace, Mix, Planted

START = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def faults() -> dict[FaultKind, list[tuple[Event, Planted]]]:
    mix = Mix(families=6, product_faults=0.2, behaviour_faults=0.05)
    found = defaultdict(list)
    market = Marketplace(5, start=START, mix=mix)
    for event in itertools.takewhile(lambda event: event.at < 120, market.events()):
        for planted in event.planted:
            found[planted.kind].append((event, planted))
    return found


def field(event: Event, planted: Planted) -> Any:
    assert event.value is not None
    assert planted.field is not None
    return orjson.loads(event.value)[planted.field]


def test_every_kind_is_made(faults: dict[FaultKind, list[tuple[Event, Planted]]]) -> None:
    assert set(faults) == set(FaultKind)


def test_what_is_not_json_is_not_and_the_rest_is(faults: dict[FaultKind, list[tuple[Event, Planted]]]) -> None:
    for kind, made in faults.items():
        for event, _ in made:
            assert event.value is not None
            if kind in (FaultKind.NOT_JSON, FaultKind.WRONG_ENCODING):
                with pytest.raises(orjson.JSONDecodeError):
                    orjson.loads(event.value)
            else:
                assert isinstance(orjson.loads(event.value), dict)


def test_wrong_encodings_are_not_utf_8(faults: dict[FaultKind, list[tuple[Event, Planted]]]) -> None:
    for event, _ in faults[FaultKind.WRONG_ENCODING]:
        assert event.value is not None
        with pytest.raises(UnicodeDecodeError):
            event.value.decode()


def test_mojibake_can_be_read_back(faults: dict[FaultKind, list[tuple[Event, Planted]]]) -> None:
    for event, planted in faults[FaultKind.MOJIBAKE]:
        assert field(event, planted) == planted.observed != planted.accepted[0]
        assert ftfy.fix_encoding(planted.observed) == planted.accepted[0]


@pytest.mark.parametrize("kind", [FaultKind.PRICE_TIMES_100, FaultKind.PRICE_DIV_100, FaultKind.NEGATIVE_PRICE])
def test_wrong_prices_keep_the_supplier_s_notation(
    faults: dict[FaultKind, list[tuple[Event, Planted]]], kind: FaultKind
) -> None:
    for event, planted in faults[kind]:
        assert planted.accepted == event.clean["price"]
        assert field(event, planted) == planted.observed
        if isinstance(planted.observed, int | float):
            factor = planted.observed / planted.accepted[0]
            expected = {FaultKind.PRICE_TIMES_100: 100, FaultKind.PRICE_DIV_100: 0.01, FaultKind.NEGATIVE_PRICE: -1}
            assert factor == pytest.approx(expected[kind], rel=0.1)


def test_wrong_check_digits_are_wrong_and_right_ones_right(
    faults: dict[FaultKind, list[tuple[Event, Planted]]],
) -> None:
    for _, planted in faults[FaultKind.GTIN_CHECK_DIGIT]:
        assert not ean.is_valid(planted.observed)
        assert ean.is_valid(planted.accepted[0])


def test_swaps_name_something_else(faults: dict[FaultKind, list[tuple[Event, Planted]]]) -> None:
    for kind in (FaultKind.BRAND_SWAP, FaultKind.BRAND_TYPO, FaultKind.CATEGORY_SWAP, FaultKind.CURRENCY_LABEL):
        for event, planted in faults[kind]:
            assert field(event, planted) == planted.observed
            assert planted.observed not in planted.accepted
            assert planted.accepted[0] == event.clean[planted.field or ""][0]


def test_duplicate_keys_are_there(faults: dict[FaultKind, list[tuple[Event, Planted]]]) -> None:
    for event, planted in faults[FaultKind.DUPLICATE_KEYS]:
        assert event.value is not None
        assert event.value.count(f'"{planted.field}":'.encode()) == 2
