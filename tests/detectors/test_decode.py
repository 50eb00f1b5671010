from __future__ import annotations

import gzip
import json
import pickle
from collections.abc import Sequence
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.contract.load import sample_contract
from detectors.contract.model import Contract, Kind
from detectors.decode import Decoded, Decoder, Limits
from detectors.records import StoredRecord

PRODUCTS = sample_contract(Kind.PRODUCTS)
EVENTS = sample_contract(Kind.BEHAVIORS)


def decode(
    value: bytes | None,
    key: bytes | None = None,
    headers: Sequence[tuple[str, bytes]] = (),
    contract: Contract = PRODUCTS,
    limits: Limits | None = None,
) -> Decoded:
    return Decoder(contract, limits).decode([StoredRecord(contract.topic, 2, 7, 0, key, value, headers)])


@pytest.mark.parametrize(
    ("value", "error", "message"),
    [
        (b"", "empty", "The value is empty"),
        (b" \r\n", "empty", "The value is empty"),
        (b"null", "null_text", "a deletion is a record without a value"),
        (b"{", "not_json", "not JSON"),
        (b'{"sku": "1"} {}', "not_json", "Extra data"),
        (b"{'sku': '1'}", "not_json", "not JSON"),
        (
            b"2019-10-01 02:50:00 UTC,view,10900305",
            "not_json",
            "a line of 3 fields separated by ','; the contract lists 13",
        ),
        (b"[1]", "not_an_object", "a JSON list"),
        (b"7", "not_an_object", "a JSON number"),
        (b"true", "not_an_object", "a JSON boolean"),
        (b'"x"', "not_an_object", "a JSON text"),
        (b'{"sku":"' + b"x" * 200 + b'"}', "too_long", "210 bytes, more than the 150 allowed"),
        (b'{"sku":"1","x":[[[[]]]]}', "too_deep", "deeper than the 4 levels"),
        (b'{"a":' * 20 + b"1" + b"}" * 20, "too_deep", "deeper than the 4 levels"),
        ('{"sku":"标题"}'.encode("utf-16"), "wrong_encoding", "it looks like UTF-16"),
        ('{"sku":"1"}'.encode("utf-16-le"), "wrong_encoding", "it looks like UTF-16 (little endian)"),
        ('{"sku":"1"}'.encode("utf-16-be"), "wrong_encoding", "it looks like UTF-16 (big endian)"),
        ('{"sku":"1"}'.encode("utf-32-le"), "wrong_encoding", "it looks like UTF-32"),
        ('{"title":"自然堂 洁面乳"}'.encode("gbk"), "wrong_encoding", "it looks like GB18030 (GBK)"),
        ('{"title":"café crème"}'.encode("cp1252"), "wrong_encoding", "it looks like Windows-1252"),
        (b'{"title":"\xed\xa0\x80"}', "wrong_encoding", "CESU-8"),
        (gzip.compress(b'{"sku":"1"}'), "wrong_encoding", "no known encoding fits"),
        (b'{"title":"no id"}', "missing_id", "the field 'sku' is empty"),
        (b'{"sku":null}', "missing_id", "the field 'sku' is empty"),
        (b'{"sku":"  "}', "missing_id", "the field 'sku' is empty"),
        (b'{"sku":[1]}', "bad_id", "not a text or whole number"),
        (b'{"sku":1.5}', "bad_id", "not a text or whole number"),
        (b'{"sku":true}', "bad_id", "not a text or whole number"),
        (b'{"sku":"\\ud800"}', "bad_id", "not a text or whole number"),
    ],
)
def test_dead_letters(value: bytes, error: str, message: str) -> None:
    decoded = decode(value, limits=Limits(max_record_bytes=150, max_nesting=4))
    assert decoded.rows == []
    (rejection,) = decoded.rejections
    assert rejection.error == error
    assert message in rejection.message
    assert rejection.stage == ("contract" if error in ("missing_id", "bad_id") else "decode")


@pytest.mark.parametrize(
    ("value", "fields", "rules", "keep"),
    [
        (b'{"sku":"1"}', {"sku": "1"}, [], False),
        (b'\xef\xbb\xbf{"sku":"1"}', {"sku": "1"}, ["decode.byte_order_mark"], True),
        (b'{"sku":"1","price":1,"price":2}', {"sku": "1", "price": 2}, ["decode.duplicate_key"], True),
        (b'{"sku" :"1", "price" :1,"price" :2}', {"sku": "1", "price": 2}, ["decode.duplicate_key"], True),
        (b'{"sku":"1","price":NaN}', {"sku": "1", "price": None}, ["decode.not_a_number"], True),
        (b'{"sku":"1","price":1e400}', {"sku": "1", "price": "1e400"}, ["decode.huge_number"], True),
        (b'{"sku":123456789012345678901}', {"sku": "123456789012345678901"}, ["decode.huge_number"], True),
        (b'{"sku":"1","price":-9223372036854775809}', {"sku": "1", "price": "-9223372036854775809"},
         ["decode.huge_number"], True),
        (b'{"sku":"1","title":"\\udc00"}', {"sku": "1", "title": "\ufffd"}, ["decode.lone_surrogate"], True),
        (b'{"sku":"1","price":0.1234567890123456789}', {"sku": "1", "price": 0.12345678901234568}, [], True),
        (b'{"sku":"1","price":1234567890123456789e1}', {"sku": "1", "price": 1.2345678901234567e19}, [], True),
        (b'{"sku":"1","price":6913986640547863e-05}', {"sku": "1", "price": 69139866405.47863}, [], True),
        (b'{"sku":"1","price":12345678901234567E3}', {"sku": "1", "price": 1.2345678901234567e19}, [], False),
        (b'{"sku":"1","price":1e-400}', {"sku": "1", "price": 0.0}, [], True),
        (b'{"sku":"1","price":[-1.5E-0330]}', {"sku": "1", "price": [-0.0]}, [], True),
        (b'{"sku":"1","price":1e-100,"title":"one-100"}', {"sku": "1", "price": 1e-100, "title": "one-100"}, [], False),
        (b'{"sku":"1","price":0.30000000000000004}', {"sku": "1", "price": 0.30000000000000004}, [], False),
        (b'{"sku":"12345678901234567890123"}', {"sku": "12345678901234567890123"}, [], False),
        (b'{"sku":18446744073709551615}', {"sku": 18446744073709551615}, [], False),
        (b'{"sku":"1","title":"a \\":b\\" :c"}', {"sku": "1", "title": 'a ":b" :c'}, [], False),
        (b'{"sku":"1","stock":3}', {"sku": "1", "stock": 3}, ["contract.unknown_column"], False),
    ],
)  # fmt: skip
def test_records(value: bytes, fields: dict[str, Any], rules: list[str], keep: bool) -> None:
    decoded = decode(value)
    assert decoded.rows == [fields]
    assert [f.rule.name for f in decoded.findings] == rules
    assert decoded.keep_original == ({0} if keep else set())
    assert set(rules) <= {rule.name for rule in Decoder.rules}


def test_an_unknown_column_is_told_once() -> None:
    decoder = Decoder(PRODUCTS)
    records = [StoredRecord("products", 0, i, 0, None, b'{"sku":"%d","stock":1}' % i) for i in range(3)]
    assert [(f.row, f.column) for f in decoder.decode(records).findings] == [(0, "stock")]
    assert decoder.decode(records[1:]).findings == []
    # A batch that is tried again says what it said.
    assert [(f.row, f.column) for f in decoder.decode(records[:1]).findings] == [(0, "stock")]


def test_memory_of_unknown_columns_is_bounded() -> None:
    decoder = Decoder(PRODUCTS)
    value = orjson.dumps({"sku": "1"} | {f"c{i}": 1 for i in range(1_500)})
    assert len(decoder.decode([StoredRecord("products", 0, 0, 0, None, value)]).findings) == 1_000


@pytest.mark.parametrize(
    ("value", "headers", "identity"),
    [
        (b'{"supplier":"acme","sku":"A 1"}', (), "acme/A 1"),
        (b'{"supplier":"acme","sku":" A1 "}', (("source", b"other"),), "acme/A1"),
        (b'{"sku":552}', (("source", b"first"), ("source", "远东".encode())), "远东/552"),
        (b'{"sku":552.0}', (), "products/552"),
        (b'{"supplier":"a/b","sku":"1/2"}', (), "a%2Fb/1/2"),
        (b'{"supplier":{},"sku":"1"}', (("source", b""),), "products/1"),
    ],
)
def test_identities_of_products(value: bytes, headers: Sequence[tuple[str, bytes]], identity: str) -> None:
    assert decode(value, headers=headers).identities == [identity]


@pytest.mark.parametrize(
    ("value", "identity"),
    [
        (b'{"event_id":"e1"}', "e1"),
        (b'{"event_id":17}', "17"),
        (b'{"event_id":""}', "behaviors/2/7"),
        (b'{"event_id":{}}', "behaviors/2/7"),
        (b"{}", "behaviors/2/7"),
    ],
)
def test_identities_of_events(value: bytes, identity: str) -> None:
    assert decode(value, contract=EVENTS).identities == [identity]


@pytest.mark.parametrize(
    ("key", "headers", "identity"),
    [
        (b"acme/A-1", (), "acme/A-1"),
        ("远东/9001".encode(), (), "远东/9001"),
        (b"A-1", (), None),
        (b"acme/", (), None),
        (b"\xff/1", (), None),
        (None, (), None),
    ],
)
def test_deletions(key: bytes | None, headers: Sequence[tuple[str, bytes]], identity: str | None) -> None:
    decoded = decode(None, key, headers)
    assert [t.identity for t in decoded.tombstones] == ([] if identity is None else [identity])
    assert [r.error for r in decoded.rejections] == (["tombstone_key"] if identity is None else [])


def test_a_deletion_by_id_alone_needs_a_source_from_elsewhere() -> None:
    by_id = Contract(**{f: getattr(PRODUCTS, f) for f in PRODUCTS.__dataclass_fields__} | {"key": "{id}"})
    assert [r.error for r in decode(None, b"1", contract=by_id).rejections] == ["tombstone_key"]
    assert [t.identity for t in decode(None, b"1", (("source", b"acme"),), by_id).tombstones] == ["acme/1"]


def test_an_event_without_a_value_is_a_dead_letter() -> None:
    assert [r.error for r in decode(None, b"k", contract=EVENTS).rejections] == ["no_value"]


def test_a_batch_keeps_its_order() -> None:
    values = [
        b'{"sku":"1"}',
        b"{",
        b'{"sku":"2","price":NaN}',
        None,
        b'{"sku":"3","price":1,"price":2}',
        b'{"sku":"4"}',
    ]
    records = [StoredRecord("products", 0, i, 0, b"a/9", value) for i, value in enumerate(values)]
    decoded = Decoder(PRODUCTS).decode(records)
    assert [row["sku"] for row in decoded.rows] == ["1", "2", "3", "4"]
    assert [source.offset for source in decoded.sources] == [0, 2, 4, 5]
    assert [(f.row, f.rule.name) for f in decoded.findings] == [(1, "decode.not_a_number"), (2, "decode.duplicate_key")]
    assert decoded.keep_original == {1, 2}
    assert [r.source.offset for r in decoded.rejections] == [1]
    assert [t.source.offset for t in decoded.tombstones] == [3]


def test_a_decoder_pickles() -> None:
    decoder: Decoder = pickle.loads(pickle.dumps(Decoder(PRODUCTS)))
    assert decoder.decode([StoredRecord("products", 0, 0, 0, None, b'{"sku":"1"}')]).identities == ["products/1"]


_PAIRS = st.lists(
    st.tuples(
        st.sampled_from(['"a"', '"b"', '"sku"', '"\\":"', '"a" ', '"{"']),
        st.sampled_from(
            [
                *("1", "0.5", '"x"', '"\\":"', '"a\\" :"', "123456789012345678901", "-9223372036854775809", "[]"),
                *("0.12345678901234567890", '{"a":1}', '{"a":1,"a":2}', '"99999999999999999999"'),
                *("1234567890123456.25", "[0.1]"),
            ]
        ),
    ),
    max_size=5,
)


@given(st.lists(_PAIRS, min_size=1, max_size=4), st.sampled_from([":", " : ", "\t:\n"]))
def test_nothing_changes_in_silence(batch: list[list[tuple[str, str]]], colon: str) -> None:
    """What the fast parser changes is noticed: a row that need not keep its bytes gives them back, up to notation."""
    values = [
        ('{"sku":"1"' + "".join(f",{key}{colon}{value}" for key, value in pairs if key != '"sku"') + "}").encode()
        for pairs in batch
    ]
    records = [StoredRecord("products", 0, i, 0, None, value) for i, value in enumerate(values)]
    decoded = Decoder(PRODUCTS).decode(records)
    assert len(decoded.rows) == len(values)
    for row, (value, fields) in enumerate(zip(values, decoded.rows, strict=True)):
        exact = json.loads(value, object_pairs_hook=_all_pairs, parse_float=str)
        same = exact == json.loads(orjson.dumps(fields), object_pairs_hook=_all_pairs, parse_float=str)
        assert (row in decoded.keep_original) is (not same)


def _all_pairs(pairs: list[tuple[str, Any]]) -> tuple[tuple[str, Any], ...]:
    return tuple(pairs)
