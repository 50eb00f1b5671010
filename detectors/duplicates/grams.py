"""The grams of titles: character 3-5-grams inside words, and pairs of CJK characters, as buckets of a hash.

One pass of numpy over the code points of a whole batch: rolling hashes by prefix sums, so that a gram hashes alike
wherever it stands. All arithmetic is on integers, so every machine gets the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["BASE", "BUCKETS", "GramCounts", "gram_counts", "grams", "mixed"]

_BITS = 20
BUCKETS = 1 << _BITS

_U = np.uint64
BASE = 0x9E3779B97F4A7C15
_MIX = _U(0xD6E8FEB86659FD93)
_LETTER, _CJK = 1, 2


def mixed(h: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Hashes whose bits all depend on all bits of these."""
    h = (h ^ (h >> _U(32))) * _MIX
    return h ^ (h >> _U(29))


def _powers(base: int, n: int) -> NDArray[np.uint64]:
    return np.cumprod(np.concatenate((np.ones(1, _U), np.full(n - 1, base, _U))), dtype=_U)


def _kinds() -> NDArray[np.uint8]:
    kind = np.zeros(0x110000, np.uint8)
    kind[:0x10000] = np.fromiter((chr(i).isalnum() for i in range(0x10000)), np.uint8, 0x10000)
    for first, last in ((0x3040, 0x30FF), (0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0xAC00, 0xD7A3), (0xF900, 0xFAFF)):
        kind[first : last + 1] = _CJK
    kind[0x20000:0x32000] = _CJK
    return kind


_KIND = _kinds()
_INVERSE = pow(BASE, -1, 1 << 64)
_POW, _INV = _powers(BASE, 1 << 16), _powers(_INVERSE, 1 << 16)


def _tables(n: int) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    global _POW, _INV  # tables of powers that grow with the longest batch seen
    if n > len(_POW):
        size = 1 << n.bit_length()
        _POW, _INV = _powers(BASE, size), _powers(_INVERSE, size)
    return _POW, _INV


def grams(texts: Sequence[str]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """(bucket, row) of every gram of these folded texts, one for each occurrence."""
    joined = " " + "\n ".join(t if "\n" not in t else t.replace("\n", " ") for t in texts) + " "
    c = np.frombuffer(joined.encode("utf-32-le", "replace"), np.uint32)
    n = len(c)
    power, inverse = _tables(n)
    kind = _KIND[c]
    row = np.cumsum(c == 10, dtype=np.int32)  # a line feed ends a text
    letter = kind == _LETTER
    prefix = np.zeros(n + 1, _U)
    np.cumsum(np.where(letter, c, np.uint32(32)) * power[:n], out=prefix[1:])  # a separator hashes as a blank
    hashes, rows = [], []
    inner = letter[1:-1]  # a gram of `length` at i: everything between its first and last place is a letter
    for length in (3, 4, 5):
        if length > 3:
            inner = inner[:-1] & letter[length - 2 : n - 1]
        i = np.flatnonzero(inner)
        hashes.append(mixed((prefix[i + length] - prefix[i]) * inverse[i] + _U(length)))
        rows.append(row[i])
    cjk = kind == _CJK
    if cjk.any():
        spread = c.astype(_U) * _MIX
        pair = np.flatnonzero(cjk[:-1] & cjk[1:])
        alone = cjk.copy()
        alone[1:] &= ~cjk[:-1]
        alone[:-1] &= ~cjk[1:]
        lone = np.flatnonzero(alone)
        hashes += [mixed(spread[pair] * _U(31) + spread[pair + 1]), mixed(spread[lone])]
        rows += [row[pair], row[lone]]
    bucket = (np.concatenate(hashes) & _U(BUCKETS - 1)).astype(np.intp)
    return bucket, np.concatenate(rows).astype(np.intp)


@dataclass(frozen=True, slots=True)
class GramCounts:
    """The grams of n texts, each once for each text that has it. bucket, row, times: (m,), sorted by row and bucket."""

    n: int
    bucket: NDArray[np.intp]
    row: NDArray[np.intp]
    times: NDArray[np.intp]

    def of(self, rows: NDArray[np.intp]) -> GramCounts:
        """Those of some texts, given in rising order."""
        place = np.full(self.n, -1, np.intp)
        place[rows] = np.arange(len(rows))
        kept = place[self.row] >= 0
        return GramCounts(len(rows), self.bucket[kept], place[self.row[kept]], self.times[kept])


def gram_counts(texts: Sequence[str]) -> GramCounts:
    """Count the grams of folded texts."""
    bucket, row = grams(texts) if len(texts) else (np.zeros(0, np.intp), np.zeros(0, np.intp))
    keys = (row << _BITS) | bucket
    # half as wide sorts in half the time
    keys = np.sort(keys.astype(np.uint32)).astype(np.intp) if len(texts) <= 1 << (32 - _BITS) else np.sort(keys)
    first = _firsts(keys)
    times = np.diff(first, append=len(keys)).astype(np.intp)
    return GramCounts(len(texts), keys[first] & (BUCKETS - 1), keys[first] >> _BITS, times)


def _firsts(ordered: NDArray[np.intp]) -> NDArray[np.intp]:
    """Where a new value begins."""
    if not len(ordered):
        return np.zeros(0, np.intp)
    return np.flatnonzero(np.concatenate((np.ones(1, bool), ordered[1:] != ordered[:-1])))
