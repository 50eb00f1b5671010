from __future__ import annotations

import struct
import zlib
from dataclasses import fields, replace

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.duplicates.entry import (
    DESCRIPTION_CHARS,
    Entry,
    EntryError,
    decode_entries,
    encode_entry,
    quantise,
)
from detectors.duplicates.epoch import Epoch, epoch_chunks, join_chunks
from detectors.duplicates.grams import BUCKETS
from detectors.duplicates.sketch import flat_weights
from detectors.records import Facts, StoredRecord, Version
from tests.detectors.duplicates.offers import DIM, ENCODER, deleted, entry, log_of, new_view

HEAD_BYTES = 51


def _same(a: Entry, b: Entry) -> bool:
    return replace(a, vector=b.vector) == b and a.vector.tolist() == b.vector.tolist()


def test_an_entry_comes_back_as_it_was() -> None:
    full = Entry(
        "店/1",
        "products",
        3,
        Version(2, 77),
        1,
        Version(1, 70),
        19.5,
        "e5",
        np.array([1, -127, 0], np.int8),
        Facts("店/1", "标题", "text", "B", "c", 20.0, "CNY", "4006381333931", "AB-12", 1_700_000_000_000),
    )
    without = entry("a/1", 5, "Sony TV")
    gone = deleted("b/1", 9)
    repaired = without.repaired(replace(without.facts, brand="Sony"))
    assert (repaired.revision, repaired.brand_read) == (2, "")
    priced = replace(full, match_currency="USD")
    decoded = decode_entries(log_of([full, gone, without, repaired, priced], start=40))
    assert [offset for offset, _ in decoded.items] == [40, 41, 42, 43, 44]
    assert decoded.position == 45
    for (_, got), sent in zip(decoded.items, (full, gone, without, repaired, priced), strict=True):
        assert isinstance(got, Entry)
        assert _same(got, sent)


def test_quantised_rows_use_all_127_steps() -> None:
    got = quantise(np.array([[0.5, -1.0, 0.25], [0, 0, 0]], np.float32))
    assert got.tolist() == [[64, -127, 32], [0, 0, 0]]


def test_long_texts_are_cut() -> None:
    key, value, headers = encode_entry(entry("a/1", 1, "t" * 3000, description="d" * 5000))
    decoded = decode_entries([StoredRecord("c", 0, 0, 0, key, value, headers)])
    got = decoded.items[0][1]
    assert isinstance(got, Entry)
    assert (len(got.facts.title), len(got.facts.description)) == (1000, DESCRIPTION_CHARS)


@pytest.mark.parametrize(
    "bad",
    [
        entry("", 1, "x"),
        replace(entry("a/1", 1, "x"), vector=np.zeros(0, np.int8)),
        replace(entry("a/1", 1, "x"), vector=np.zeros(4, np.float32)),
        replace(entry("a/1", 1, "x"), facts=Facts("a/2")),
        entry("a/1", 1, "\ud800"),
        entry("a/1", 1, "x", category="c" * 1_000_000),
    ],
)
def test_what_would_not_decode_is_not_published(bad: Entry) -> None:
    with pytest.raises(EntryError):
        encode_entry(bad)


def test_what_does_not_decode_is_skipped_and_reported() -> None:
    good = log_of([entry("a/1", 1, "Sony TV"), entry("a/2", 2, "Bose"), deleted("a/3", 3)])
    value = good[0].value
    assert value is not None
    bad = [
        (b"a/1", value[:20]),
        (b"a/1", value[:60]),
        (b"a/1", value[:-3]),
        (b"a/9", value),
        (b"a/1", b"\x02" + value[1:]),
        (b"a/1", value.replace(b'"title":"Sony TV"', b'"title":7')),
        (b"a/1", b"{}"),
        (b"a/1", b""),
        (b"a/1", None),
        (None, value),
        (b"\xff", value),
        (b"\x00epoch/1/0", b"nonsense"),
    ]
    records = [StoredRecord("c", 0, i, 0, k, v) for i, (k, v) in enumerate(bad)]
    mixed = [*records, *(replace(r, offset=100 + r.offset) for r in good)]
    decoded = decode_entries(mixed)
    assert [s.offset for s in decoded.skipped] == list(range(len(bad)))
    assert [offset for offset, _ in decoded.items] == [100, 101, 102]
    assert decoded.position == 103


@given(st.lists(st.tuples(st.one_of(st.none(), st.binary(max_size=20)), st.one_of(st.none(), st.binary(max_size=200)))))
def test_no_bytes_raise(pairs: list[tuple[bytes | None, bytes | None]]) -> None:
    records = [StoredRecord("c", 0, i, 0, k, v, [("version", v or b"")]) for i, (k, v) in enumerate(pairs)]
    decoded = decode_entries(records)
    assert len(decoded.items) + len(decoded.skipped) <= len(records)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(1 << 63), (1 << 64) - 1) | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
_FACT = st.sampled_from([f.name for f in fields(Facts)])


@given(
    st.one_of(
        _JSON,
        st.fixed_dictionaries({"topic": _JSON, "encoder": _JSON, "facts": _JSON}),
        st.fixed_dictionaries({"topic": st.just("products"), "encoder": st.just(ENCODER), "facts": _JSON}),
        st.dictionaries(_FACT, _JSON, max_size=2).map(
            lambda wrong: {"topic": "products", "encoder": ENCODER, "facts": {"identity": "a/1", **wrong}}
        ),
    ),
    st.one_of(st.none(), st.binary(min_size=HEAD_BYTES, max_size=HEAD_BYTES)),
    _JSON,
)
def test_no_body_and_no_head_raises(body: object, head: bytes | None, version: object) -> None:
    good = log_of([entry("a/1", 1, "Sony TV")])[0]
    assert good.value is not None
    # What follows the format and the dimension is any number.
    start = good.value[:3] + (head or good.value[:HEAD_BYTES])[3:] + good.value[HEAD_BYTES : HEAD_BYTES + DIM]
    live = StoredRecord("c", 0, 0, 0, b"a/1", start + orjson.dumps(body))
    gone = StoredRecord("c", 0, 1, 0, b"a/2", None, [("version", orjson.dumps(version))])
    decoded = decode_entries([live, gone, replace(good, offset=2, key=b"a/1")])
    assert decoded.position == 3
    assert len(decoded.items) + len(decoded.skipped) == 3
    assert decoded.items[-1][0] == 2
    view = new_view()
    view.apply(decoded.items, decoded.position)  # what decodes can be applied
    assert "a/1" in view


@pytest.mark.parametrize(("lists", "dim", "size"), [(9, 40, 8), (128, 48, 16), (128, 48, 8), (300, 48, 16)])
def test_an_epoch_comes_back_from_its_parts_in_any_order(lists: int, dim: int, size: int) -> None:
    rng = np.random.default_rng(1)
    centroids = rng.integers(-127, 128, (lists, dim)).astype(np.int8)
    codebook = rng.standard_normal((dim // size, 16, size)).astype(np.float32)
    epoch = Epoch(3, 900, 5000, rng.integers(1, 256, BUCKETS).astype(np.uint8), centroids, codebook)
    parts = epoch_chunks(epoch)
    assert len(parts) > 1
    assert all(len(part.encode()[1]) < 512_000 for part in parts)
    back = join_chunks(reversed(parts), BUCKETS, dim)
    assert back is not None
    assert (back.number, back.switch_at, back.n) == (3, 900, 5000)
    assert (back.weights == epoch.weights).all()
    assert (back.centroids == centroids).all()
    np.testing.assert_array_equal(back.codebook, codebook)
    other = join_chunks(parts, BUCKETS, 20)  # centroids of another encoder
    assert other is not None
    assert len(other.centroids) == 0
    assert join_chunks(parts[1:], BUCKETS, dim) is None


@pytest.mark.parametrize("size", [0, 7, 64])
def test_an_epoch_of_an_impossible_subspace_comes_without_centroids(size: int) -> None:
    whole = Epoch(1, 0, 9, flat_weights(), np.ones((4, 32), np.int8), np.ones((2, 16, 16), np.float32))
    content = zlib.decompress(b"".join(chunk.data for chunk in epoch_chunks(whole)))
    (chunk,) = epoch_chunks(Epoch(1, 0, 9, flat_weights()))
    packed = zlib.compress(content[:-4] + struct.pack("<I", size))
    back = join_chunks([replace(chunk, data=packed)], BUCKETS, 32)
    assert back is not None
    assert len(back.centroids) == 0


def test_who_knows_no_other_subspace_drops_the_centroids() -> None:
    """A release before looked at the length alone, so the one that says another subspace is longer."""
    usual, other = (
        b"".join(
            chunk.data
            for chunk in epoch_chunks(
                Epoch(1, 0, 9, flat_weights(), np.ones((4, 32), np.int8), np.ones((32 // size, 16, size), np.float32))
            )
        )
        for size in (8, 16)
    )
    assert len(zlib.decompress(usual)) == 12 + BUCKETS + 68 * 32
    assert len(zlib.decompress(other)) == 12 + BUCKETS + 68 * 32 + 4


def test_an_epoch_of_other_size_is_none() -> None:
    parts = epoch_chunks(Epoch(1, 0, 10, flat_weights()))
    assert join_chunks(parts, BUCKETS // 2, 40) is None
