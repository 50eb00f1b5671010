from __future__ import annotations

from typing import Any, cast

from hypothesis import given
from hypothesis import strategies as st

from detectors.records import StoredRecord
from streams.worker.rekey import PassedOn, carrier_of, passing_headers, restored

HEADERS = st.lists(
    st.tuples(st.sampled_from(["h", "streamgauge.source", "streamgauge.timestamp", "streamgauge.key"]), st.binary())
)


@given(st.none() | st.binary(), st.none() | st.binary(), st.integers(-1, 1 << 50), HEADERS)
def test_a_record_passed_on_is_what_it_was(
    key: bytes | None, value: bytes | None, timestamp: int, headers: list[tuple[str, bytes]]
) -> None:
    record = StoredRecord("shop.products", 3, 42, timestamp, key, value, headers)
    internal = StoredRecord("internal", 1, 7, 99, b"north/1", value, cast(Any, passing_headers(record)))
    found = restored(internal)
    assert isinstance(found, PassedOn)
    assert (found.topic, found.partition, found.offset) == ("shop.products", 3, 42)
    assert (found.timestamp, found.key, found.value, list(found.headers)) == (timestamp, key, value, headers)
    assert carrier_of(found) is internal


@given(HEADERS)
def test_what_we_did_not_pass_on_stays_as_it_is(headers: list[tuple[str, bytes]]) -> None:
    record = StoredRecord("internal", 1, 7, 99, b"k", b"v", headers)
    assert restored(record) is record
    assert carrier_of(record) is record
