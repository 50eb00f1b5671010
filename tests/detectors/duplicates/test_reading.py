from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.duplicates.entry import Entry, decode_entries, encode_entry
from detectors.duplicates.evidence import EVIDENCE_MARK, EvidenceRows
from detectors.duplicates.offer import with_readings
from detectors.duplicates.reading import MARK_BYTES, fits, pack, read, unpack
from detectors.duplicates.words import hash_name
from detectors.records import Facts, StoredRecord
from detectors.standardise.chinese import fold
from tests.detectors.duplicates.offers import apply, deleted, entry, log_of, new_view, random_entries

MARK = b"12345678"
OFFERS = (
    Facts("a/1", title="Sony PS-LX350H turntable 2.5kg 8.0", brand="Sony", mpn="PSLX350H", gtin="04901234567894"),
    Facts("a/2", title="索尼 无线耳机 套装 500ml 黑色", brand="索尼", description="Wireless AM53BK"),
    Facts("a/3", title=""),
)


def _rows(facts: tuple[Facts, ...], packed: list[bytes] | None = None) -> EvidenceRows:
    rows = EvidenceRows()
    folded = [fold(fact.title) for fact in facts]
    readings = None if packed is None else unpack(packed)
    rows.put(range(len(facts)), folded, facts, [1.0] * len(facts), readings)
    return rows


def test_what_is_read_of_a_title() -> None:
    found = read([fold(fact.title) for fact in OFFERS], OFFERS)
    assert found.fixed["codes"][0].tolist() == [hash_name("pslx350h"), 0, 0, 0]
    assert found.fixed["gtin"].tolist() == [hash_name("gtin:4901234567894"), 0, 0]
    assert found.names == [b"pslx350h", b"", b""]
    assert found.words[0] == b"sony ps lx350h turntable 2.5 kg 8"
    assert (found.tokens[0] != 0).sum() == 7
    assert [said.decode() for said in found.said] == ["", "索尼无线耳机套装500ml黑色", ""]
    assert [len(grams) > 0 for grams in found.grams] == [False, True, False]
    assert found.fixed["set"].tolist() == [False, True, False]


def test_rows_are_the_same_from_what_was_packed() -> None:
    packed = pack(read([fold(fact.title) for fact in OFFERS], OFFERS), MARK)
    here = np.arange(len(OFFERS))
    for one, other in zip(_rows(OFFERS).block(here), _rows(OFFERS, packed).block(here), strict=True):
        np.testing.assert_array_equal(one, other)


@given(
    st.lists(
        st.builds(
            Facts,
            st.just("shop/1"),
            title=st.text(max_size=60),
            brand=st.none() | st.text(max_size=8),
            mpn=st.none() | st.from_regex(r"[A-Z0-9-]{0,12}", fullmatch=True),
        ),
        max_size=5,
    )
)
def test_what_is_packed_comes_back(facts: list[Facts]) -> None:
    found = read([fold(fact.title) for fact in facts], facts)
    packed = pack(found, MARK)
    assert all(fits(one, MARK) for one in packed)
    back = unpack(packed)
    np.testing.assert_array_equal(back.fixed, found.fixed)
    np.testing.assert_array_equal(back.tokens, found.tokens)
    assert (back.names, back.words, back.said, back.grams) == (found.names, found.words, found.said, found.grams)


def test_only_its_own_program_takes_a_reading_and_only_whole() -> None:
    (packed,) = pack(read(["sony tv"], [Facts("a/1", title="Sony TV")]), MARK)
    assert fits(packed, MARK)
    assert not fits(packed, b"another.")
    assert not fits(packed[:-1], MARK)
    assert not fits(packed + b"x", MARK)
    assert not fits(MARK, MARK)
    assert not fits(b"", MARK)


def test_what_is_damaged_is_not_taken() -> None:
    (packed,) = pack(read(["sony tv 黑色"], [Facts("a/1", title="Sony TV 黑色")]), MARK)
    for place in range(len(packed)):
        assert not fits(packed[:place] + bytes([packed[place] ^ 1]) + packed[place + 1 :], MARK)


def test_this_program_has_a_mark() -> None:
    assert len(EVIDENCE_MARK) == MARK_BYTES


@pytest.mark.parametrize("title", ["x" * 70_000, "a1" * 40_000, "中文" * 20_000])
def test_an_entry_that_is_far_too_long_stops_no_view(title: str) -> None:
    """Ours are cut; what else comes to the topic must not stop who reads it."""
    (log,) = log_of([entry("a/1", 0, "Sony TV")])
    assert log.value is not None
    log = replace(log, value=log.value.replace(b"Sony TV", title.encode()))
    assert len(apply(new_view(), [log])) == 1


def test_an_entry_carries_its_reading() -> None:
    first = entry("a/1", 0, "Sony TV X1000", 1.0)
    (read_once,) = with_readings([first], MARK)
    assert fits(read_once.reading, MARK)
    key, value, headers = encode_entry(read_once)
    (item,) = decode_entries([StoredRecord("catalogue", 0, 0, 0, key, value, headers)]).items
    assert isinstance(item[1], Entry)
    assert item[1].reading == read_once.reading
    assert encode_entry(first)[2] == []
    assert encode_entry(first)[1] == value  # who knows nothing of readings finds the same entry


def test_what_carries_a_reading_is_the_same_otherwise() -> None:
    plain = replace(
        entry("a/1", 7, "Sony TV", 2.0), revision=3, match_brand="x", match_currency="EUR", seen_from=9, deleted=True
    )
    carrying = plain.carrying(b"read")
    assert carrying.reading == b"read"
    for field in fields(plain):
        assert field.name == "reading" or getattr(carrying, field.name) is getattr(plain, field.name)


def test_only_new_texts_are_read() -> None:
    price, gone, new = entry("a/1", 5, "Sony TV", 2.0, match=0), deleted("a/2", 6), entry("a/3", 7, "Sony TV")
    found = with_readings([price, gone, new], MARK)
    assert [bool(one.reading) for one in found] == [False, False, True]
    assert found[:2] == [price, gone]
    assert with_readings([gone], MARK) == [gone]
    assert with_readings([], MARK) == []


def test_a_title_that_is_cut_goes_without_its_reading() -> None:
    (long,) = with_readings([entry("a/1", 0, "word " * 300)], MARK)
    assert encode_entry(long)[2] == []


def test_a_reading_is_of_the_brand_that_matching_reads() -> None:
    repaired = entry("a/1", 0, "TV SKII-4711", brand="Sony")
    repaired = replace(repaired, match_brand="SK-II")
    (found,) = with_readings([repaired], MARK)
    assert unpack([found.reading]).names == read(["tv skii-4711"], [replace(repaired.facts, brand="SK-II")]).names


@pytest.mark.parametrize("others", [0, 1, 2])
def test_a_view_is_the_same_whoever_read(others: int) -> None:
    """others: of three entries one is as another program read it, and one carries nothing."""
    plain = random_entries(4, 60, ids=40)
    view = new_view()
    carrying = with_readings(plain, EVIDENCE_MARK)
    if others:
        carrying[::3] = with_readings(plain[::3], b"another.")
    if others > 1:
        carrying[1::3] = plain[1::3]
    apply(view, log_of(carrying), 7)
    alone = apply(new_view(), log_of(plain), 7)
    assert sorted(view.identities()) == sorted(alone.identities())
    rows = np.arange(view.rows)
    for one, other in zip(view.evidence.block(rows), alone.evidence.block(rows), strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_view_takes_what_was_read_without_reading(monkeypatch: pytest.MonkeyPatch) -> None:
    view = new_view()
    log = log_of(with_readings(random_entries(4, 10), EVIDENCE_MARK))
    monkeypatch.setattr("detectors.duplicates.view.read", None)
    assert len(apply(view, log)) == 10
