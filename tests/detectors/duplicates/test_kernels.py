"""Compiled loops against the same in numpy or plain Python."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors.duplicates import kernels
from detectors.duplicates.inside import Searched, packed_body
from detectors.duplicates.kernels import (
    add_products,
    count,
    looked_through,
    names_compared,
    nearest,
    pairs_compared,
    summed,
)


@settings(deadline=None, max_examples=100)
@given(
    st.integers(1, 4), st.integers(1, 60), st.integers(1, 12), st.booleans(), st.booleans(), st.integers(0, 2**32 - 1)
)
def test_nearest_are_the_best_of_those_that_may_be_found(
    b: int, m: int, k: int, others_only: bool, all_rows: bool, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    n = 30
    columns = rng.integers(-1, n, (b, m))
    rows, limit, visible = rng.integers(0, n, b), rng.integers(0, 40, b), rng.integers(0, 30, n)
    source, first_seen = rng.integers(0, 4, n).astype(np.int32), rng.integers(0, 3, n)
    digest = rng.permutation(n)
    score_of = rng.integers(0, 8, (b, n)).astype(np.float32)
    score_of[rng.random((b, n)) < 0.1] = -1e9
    if all_rows:
        columns = np.arange(n)[None]
    lines = np.broadcast_to(columns, (b, columns.shape[1]))
    scores = np.take_along_axis(score_of, np.maximum(lines, 0), axis=1)
    found, near = np.full((b, k), -1), np.full((b, k), -1, np.float32)
    nearest(columns, scores, rows, limit, visible, source, others_only, first_seen, digest, found, near)
    for i, row in enumerate(rows.tolist()):
        may = [
            (-float(score_of[i, c]), first_seen[c], digest[c], c)
            for c in {*lines[i].tolist()}
            if c >= 0
            and c != row
            and visible[c] < limit[i]
            and score_of[i, c] > -1e9
            and not (others_only and source[c] == source[row])
        ]
        want = sorted(may)[:k]
        assert found[i].tolist() == [c for *_, c in want] + [-1] * (k - len(want))
        assert near[i].tolist() == [-score for score, *_ in want] + [-1] * (k - len(want))


def test_products_are_exact_where_whole_numbers_are_largest() -> None:
    rng = np.random.default_rng(1)
    values = rng.integers(-127, 128, (50, 384), dtype=np.int8)
    values[:2] = 127
    weights = rng.random(50).astype(np.float32)
    mine, others = np.array([0, 1, 7]), np.array([[0, 1, 2, -1], [0, 1, 2, 3], [9, -1, 7, 8]])
    out = np.ones((3, 4), np.float32)
    add_products(values, weights, values[mine].astype(np.float32), weights[mine], others, out)
    whole = np.einsum("id,ijd->ij", values[mine].astype(np.int64), values[others].astype(np.int64))
    want = 1 + whole.astype(np.float32) * (weights[mine][:, None] * weights[others])
    np.testing.assert_array_equal(out, np.where(others < 0, np.float32(-1e9), want))


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 2**32 - 1))
def test_codes_and_amounts_of_pairs(seed: int) -> None:
    """Against sets. Hashes are numbers from a few, so that many are equal; 3 is a code that is a word."""
    rng = np.random.default_rng(seed)
    n, pack = 6, 1 << 30
    codes, stems = (rng.integers(0, 6, (n, 4)).astype(np.uint64) for _ in range(2))
    mpn, gtin, text = (rng.integers(0, 3, n).astype(np.uint64) for _ in range(3))
    kind = rng.integers(0, 4, (n, 6))
    units = np.where(rng.random((n, 6)) < 0.5, rng.integers(0, 3, (n, 6)) << 5 | kind, 0).astype(np.uint32)
    kinds = np.bitwise_or.reduce(np.where(units != 0, np.uint32(1) << (units & np.uint32(31)), np.uint32(0)), axis=1)
    kinds |= np.where(rng.random(n) < 0.3, pack, 0).astype(np.uint32)
    names = [[rng.choice(["ab", "abc12", "b1c2", "zz9"]) for _ in range(rng.integers(0, 4))] for _ in range(n)]
    texts = ["".join(rng.choice([*"abc12z9 "], 20)) + rng.choice(["", "abc12", "b1c2"]) for _ in range(n)]
    bodies = [packed_body(" ".join(x).encode(), b"", y.encode()) for x, y in zip(names, texts, strict=True)]
    searched = Searched(np.arange(n), bodies)
    is_word = np.array([code == b"zz9" for code in searched.codes()], bool)
    rows, others = (side.ravel() for side in np.meshgrid(np.arange(n), np.arange(n)))
    flags, numbers = pairs_compared(
        rows, others, rows, others, codes, stems, mpn, gtin, text, kinds, units, pack, np.array([3], np.uint64),
        searched.bytes, searched.texts, searched.first_code, searched.code_at, is_word, searched.filters,
    )  # fmt: skip
    for i, (r, s) in enumerate(zip(rows.tolist(), others.tolist(), strict=True)):
        a, b = ({*codes[x].tolist()} - {0, 3} for x in (r, s))
        equal, alone = bool(a & b), a != b
        found_a = [name in texts[s] for name in names[r] if name != "zz9"]
        found_b = [name in texts[r] for name in names[s] if name != "zz9"]
        inside = equal or (alone and (any(found_a) or any(found_b)))
        left = alone and not all(found_a) and not all(found_b)
        stem = bool({*stems[r].tolist()} & {*stems[s].tolist()} - {0})
        same_text = text[r] == text[s] != 0
        assert flags[:, i].tolist() == [inside, bool(a and b) and not inside, equal, left, stem, same_text]
        same_mpn = 0 if not (mpn[r] and mpn[s]) else 1 if mpn[r] == mpn[s] else 0 if inside and not left else -1
        same_gtin = 0 if not (gtin[r] and gtin[s]) else 1 if gtin[r] == gtin[s] else -1
        shared = {*units[r].tolist()} & {*units[s].tolist()} - {0}
        both = {bit for bit in range(32) if kinds[r] >> bit & kinds[s] >> bit & 1}
        apart = len(both - {unit & 31 for unit in shared}) + ((int(kinds[r]) ^ int(kinds[s])) & pack != 0)
        assert numbers[:, i].tolist() == [same_mpn, same_gtin, apart]


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 2**32 - 1))
def test_numbers_names_and_brands_of_pairs(seed: int) -> None:
    rng = np.random.default_rng(seed)
    n = 6
    numbers, traits = (rng.integers(0, 8, shape).astype(np.uint32) for shape in ((n, 4), (n, 3)))
    traits[0] = 0xFFFFFFFF
    brand, tokens = rng.integers(0, 4, n).astype(np.uint32), rng.integers(0, 9, (n, 5)).astype(np.uint32)
    rows, others = (side.ravel() for side in np.meshgrid(np.arange(n), np.arange(n)))
    found = names_compared(rows, others, numbers, traits, brand, tokens)
    for i, (r, s) in enumerate(zip(rows.tolist(), others.tolist(), strict=True)):
        a, b = ({*numbers[x].tolist()} - {0} for x in (r, s))
        want: list[int] = []
        for kind in (0, 1):
            of_a, of_b = ({one for one in side if one & 1 == kind} for side in (a, b))
            want += [bool(of_a and of_b and not of_a & of_b), bool(of_a) != bool(of_b)]
        want.append(bool(a - b and b - a))
        for x, y in zip(traits[r].tolist(), traits[s].tolist(), strict=True):
            want += [bool(x and y and not x & y), min(3, (x ^ y).bit_count())]
        named = brand[r] in tokens[s] or brand[s] in tokens[r]
        want.append(bool(brand[r] and brand[s] and brand[r] != brand[s] and not named))
        assert found[i].tolist() == want


def test_grams_are_counted_and_summed() -> None:
    counts = np.zeros(4, np.int32)
    count(np.array([3, 1, 3]), counts)
    assert counts.tolist() == [0, 1, 0, 2]
    sums = summed(
        np.array([0, 2, 3, 2]), np.array([0, 0, 0, 1]), np.array([1, 1, 9, 2]), np.array([255, 7, 2, 3], np.uint8),
        np.array([0, 10, 17]), np.array([1, 0, 1, 0], np.uint16), np.array([1, 1, -1, 1], np.int8), 2, 3,
    )  # fmt: skip
    assert sums.tolist() == [[3 * 17, 255 * 10 - 2 * 10, 0], [0, -2 * 17, 0]]


def _made() -> list[int]:
    """What a function gives that is compiled, or was kept."""

    def tripled(x: int) -> int:
        return 3 * x

    made = kernels._compiled(kernels.types.int64)(tripled)
    assert made is not tripled
    return [made(14)]


def test_what_was_kept_and_is_damaged_is_compiled_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernels, "_KEPT", tmp_path / "kept")
    for damaged in ("*.nbi", "*.nbc"):
        assert _made() == [42]
        (file,) = (tmp_path / "kept").rglob(damaged)
        file.write_bytes(file.read_bytes()[:1])
        other = file.with_name("kernels.quintupled-9.nbi")
        other.touch()
        assert _made() == [42]
        assert [kept.name for kept in (tmp_path / "kept").rglob("*.nb*")] == [other.name]
        other.unlink()
    assert kernels.numba_config.CACHE_DIR == ""


def test_they_are_kept_where_something_can_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernels.numba_config, "CACHE_DIR", str(tmp_path / "said"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    said = kernels._folder()
    assert said is not None
    assert said.parent == tmp_path / "said"
    said.rmdir()
    said.parent.rmdir()
    said.parent.touch()  # a file: no folder can be made in it
    beside = kernels._folder()
    assert beside is not None
    assert beside.parent.name == "__pycache__"
    assert beside.name == said.name
    monkeypatch.setattr(kernels, "__file__", str(tmp_path / "said" / "kernels.py"))
    monkeypatch.setattr(Path, "read_bytes", lambda _: b"")
    at_home = kernels._folder()
    assert at_home is not None
    assert at_home.parent == tmp_path / "home" / ".cache" / "numba"
    monkeypatch.setenv("HOME", str(tmp_path / "said"))
    assert kernels._folder() is None


def test_where_nothing_can_be_kept_they_are_compiled_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernels, "_KEPT", None)
    assert _made() == [42]


def test_what_is_not_there_is_an_error_or_none() -> None:
    """Never a read beyond an array."""
    values, weights, out = np.ones((3, 8), np.int8), np.ones(3, np.float32), np.zeros((1, 3), np.float32)
    add_products(values, weights, np.ones((1, 8), np.float32), weights[:1], np.array([[2, 3, -1]]), out)
    assert out.tolist() == [[8, -1e9, -1e9]]
    with pytest.raises(IndexError):
        looked_through(np.zeros(8, np.uint8), np.array([8, 8]))
    with pytest.raises(IndexError):
        looked_through(np.array([200, 0, 0, 0, 0, 0, 0, 0], np.uint8), np.array([8]))
