from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from detectors.records import Rejection, StoredRecord
from sinks.dead_letters import Death, bury, dead_letter, parse, without_errors

RECORD = StoredRecord("products", 3, 41, 0, b"k\xff", b"\x00not json", [("trace", b"1"), ("trace", b"2")])


def test_key_value_and_headers_are_untouched_and_the_reason_is_appended() -> None:
    key, value, headers = dead_letter(Rejection(RECORD, "decode", "not_json", "这不是 JSON"))
    assert (key, value, headers[:2]) == (b"k\xff", b"\x00not json", [("trace", b"1"), ("trace", b"2")])
    assert dict(headers[2:])["__connect.errors.exception.class.name"] == b"not_json"
    assert parse(headers) == Death("products", 3, 41, "decode", "not_json", "这不是 JSON")
    assert without_errors(headers) == list(RECORD.headers)


def test_of_a_repeated_header_the_last_counts() -> None:
    key, value, headers = dead_letter(Rejection(RECORD, "decode", "not_json", "first"))
    again = StoredRecord("products", 0, 99, 0, key, value, [(k, v or b"") for k, v in headers])
    assert parse(bury(again, "process", "ValueError", "second")[2]) == Death(
        "products", 0, 99, "process", "ValueError", "second"
    )


def test_a_message_cannot_make_the_headers_too_large() -> None:
    _, _, headers = bury(RECORD, "process", "ValueError", "x" * 1_000_000)
    assert sum(len(value or b"") for _, value in headers) < 3000


def test_lone_surrogates_in_a_message_do_not_raise() -> None:
    assert parse(bury(RECORD, "process", "ValueError", "bad \ud800")[2]) is not None


@given(
    st.lists(
        st.tuples(st.sampled_from(["a", "__connect.errors.offset", "__connect.errors.topic"]), st.none() | st.binary())
    )
)
def test_foreign_headers_never_raise(headers: list[tuple[str, bytes | None]]) -> None:
    parse(headers)
