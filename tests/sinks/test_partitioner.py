from __future__ import annotations

from aiokafka.partitioner import murmur2 as reference
from hypothesis import given
from hypothesis import strategies as st

from sinks.partitioner import murmur2, partitions_of


@given(st.lists(st.binary(max_size=40), max_size=30))
def test_hashes_equal_those_of_the_client_library(keys: list[bytes]) -> None:
    assert murmur2(keys).tolist() == [reference(key) for key in keys]


def test_known_values_of_kafkas_own_test() -> None:
    known = {b"21": -973932308, b"foobar": -790332482, b"a-little-bit-long-string": -985981536}
    assert murmur2(list(known)).astype("int32").tolist() == list(known.values())


def test_partitions_are_within_range() -> None:
    assert partitions_of([b"21", b"foobar"], 4) == [
        (reference(b"21") & 0x7FFFFFFF) % 4,
        (reference(b"foobar") & 0x7FFFFFFF) % 4,
    ]
    assert partitions_of([], 3) == []
