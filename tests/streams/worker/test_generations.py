from __future__ import annotations

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sinks.partitioner import partitions_of
from streams.worker.generations import GENERATION_KEY, Generation, next_generation, read_generation

KEYS = [f"shop/{n}".encode() for n in range(200)]


def test_a_topic_met_first_is_of_generation_0() -> None:
    generation = next_generation(None, "products", "id-1", 4, {})
    assert generation == Generation("products", "id-1", 4, 0, {})
    assert generation.of(3, 0, b"any") == 0


def test_nothing_changes_while_the_topic_stays() -> None:
    known = Generation("products", "id-1", 4, 2, {0: 9}, 3)
    assert next_generation(known, "products", "id-1", 4, {0: 100}) is known


def test_a_topic_made_anew_begins_the_next_generation_with_its_first_record() -> None:
    known = Generation("products", "id-1", 4, 2, {0: 9}, 3)
    generation = next_generation(known, "products", "id-2", 2, {0: 5, 1: 5})
    assert generation == Generation("products", "id-2", 2, 3, {})
    assert generation.of(0, 0, b"any") == 3


def test_new_partitions_begin_the_next_generation_where_the_old_ones_end() -> None:
    known = next_generation(None, "products", "id-1", 2, {})
    generation = next_generation(known, "products", "id-1", 5, {0: 10, 1: 20, 2: 3, 3: 0, 4: 0})
    assert generation == Generation("products", "id-1", 5, 1, {0: 10, 1: 20}, 2)
    assert [generation.of(0, offset, None) for offset in (9, 10)] == [0, 1]
    assert [generation.of(partition, 0, None) for partition in (2, 3, 4)] == [1, 1, 1]


def test_a_record_that_moved_before_the_growth_was_noticed_is_newer_than_all_in_its_old_place() -> None:
    generation = Generation("products", "id-1", 5, 1, {0: 1000, 1: 1000}, 2)
    moved = stayed = 0
    for key, before, now in zip(KEYS, partitions_of(KEYS, 2), partitions_of(KEYS, 5), strict=True):
        assert generation.of(before, 10, key) == 0, "where it lay, it counts as before"
        if before == now:
            stayed += 1
        else:
            moved += 1
            assert generation.of(now, 10, key) == 1
    assert (moved > 50, stayed > 20) == (True, True)


def test_a_topic_that_begins_or_ceases_to_be_re_keyed_goes_on_in_a_new_generation() -> None:
    plain = Generation("products", "id-1", 4, 0, {})
    internal = next_generation(None, "rekeyed.products", "id-2", 4, {}, plain)
    assert internal == Generation("rekeyed.products", "id-2", 4, 1, {})
    assert next_generation(internal, "rekeyed.products", "id-2", 4, {}, plain) is internal
    again = next_generation(plain, "products", "id-1", 4, {}, internal)
    assert again.number == 2


def test_a_body_that_does_not_read() -> None:
    for body in (b"", b"[]", b"{}", b'{"topic_id": 1, "partitions": "x", "number": 0, "starts": {}}'):
        with pytest.raises(ValueError, match="does not read"):
            read_generation(GENERATION_KEY + b"products", body)


@pytest.mark.parametrize(
    ("partitions", "grown_from"), [(0, 2), (False, 2), (-1, 2), (1 << 31, 2), (4, -1), (4, 1 << 31)]
)
def test_numbers_of_partitions_that_cannot_be(partitions: int, grown_from: int) -> None:
    whole = {"topic_id": "id", "partitions": partitions, "number": 1, "starts": {"0": 7}, "grown_from": grown_from}
    with pytest.raises(ValueError, match="does not read"):
        read_generation(GENERATION_KEY + b"products", orjson.dumps(whole))


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(1 << 63), (1 << 64) - 1) | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@given(st.sampled_from(("topic_id", "partitions", "number", "starts", "grown_from", "")), _JSON, st.binary(max_size=8))
def test_whatever_does_not_read_is_a_value_error(name: str, content: object, topic: bytes) -> None:
    whole = {"topic_id": "id", "partitions": 4, "number": 1, "starts": {"0": 7}, "grown_from": 2}
    body = orjson.dumps({**whole, name: content} if name else content)
    try:
        generation = read_generation(GENERATION_KEY + topic, body)
    except ValueError:
        return
    assert isinstance(generation.of(0, 5, b"key"), int)


@given(
    st.text(min_size=1),
    st.integers(1, 1000),
    st.integers(0, 1 << 40),
    st.dictionaries(st.integers(0, 999), st.integers(0, 1 << 60)),
    st.integers(0, 999),
)
def test_what_is_written_is_read_again(
    topic: str, partitions: int, number: int, starts: dict[int, int], grown_from: int
) -> None:
    generation = Generation(topic, "id", partitions, number, starts, grown_from)
    key, value = generation.encode()
    assert read_generation(key, value) == generation
