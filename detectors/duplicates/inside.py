"""Which words stand inside which texts: asked of all words and texts of a batch at once.

Most words stand in none. So a filter comes first (Bloom, Space/time trade-offs in hash coding with allowable errors,
1970), over the runs of four bytes of each text: what it lets pass is looked for in the text itself.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

__all__ = ["RUN", "Searched", "packed_body"]

RUN = 4  # bytes; shorter words are found nowhere
_BITS = 10  # of a filter: 1,024 places a text, of which one of 400 bytes takes a third
_FACTOR = np.uint32(2_654_435_769)
_HEAD = struct.Struct("<II")  # bytes of the codes, bytes of the words
_NOTHING = bytes(_HEAD.size)


def packed_body(codes: bytes, words: bytes, text: bytes) -> bytes:
    """What `Searched` reads. codes, words: with a space between two of them."""
    if words:
        words += b" "
    return b"".join((_HEAD.pack(len(codes), len(words)), codes, words, text))


class Searched:
    """Products by what is searched for, their codes and words, and what is searched, their texts.

    rows: (n,) their numbers, rising. bodies: of each what `packed_body` gave, or nothing.
    """

    def __init__(self, rows: NDArray[np.intp], bodies: Sequence[bytes]) -> None:
        self._rows = rows
        bodies = [body or _NOTHING for body in bodies]
        sizes = np.fromiter(map(len, bodies), np.intp, len(bodies))
        self._joined = b"".join(bodies)
        self._bytes = np.frombuffer(self._joined, np.uint8)
        self._sizes, self._ends = sizes, np.cumsum(sizes)
        begins = self._ends - sizes
        heads = self._bytes[begins[:, None] + np.arange(_HEAD.size)].view("<u4").astype(np.intp)
        self._codes = begins + _HEAD.size
        self._words = self._codes + heads[:, 0]
        self._texts = self._words + heads[:, 1]
        # as lists: looked into one by one
        self._codes_at = [*zip(self._codes.tolist(), self._words.tolist(), strict=True)]
        self._text_at = [*zip(self._texts.tolist(), self._ends.tolist(), strict=True)]

    def places(self, rows: NDArray[np.intp]) -> NDArray[np.intp]:
        """Where these rows, of which each is one of its own, stand in it."""
        return np.searchsorted(self._rows, rows)

    def codes(self, place: int) -> list[bytes]:
        """The codes of a product."""
        begin, end = self._codes_at[place]
        return self._joined[begin:end].split() if begin < end else []

    def has(self, place: int, word: bytes) -> bool:
        """Whether a word, however short, stands inside a text."""
        return self._joined.find(word, *self._text_at[place]) >= 0

    def found_inside(
        self, asked: NDArray[np.bool_], words_of: NDArray[np.intp], text_of: NDArray[np.intp]
    ) -> NDArray[np.bool_]:
        """(p, w), which of the words that are `asked` (p, w) for stand inside a text.

        words_of, text_of: (p,) places of the products whose words are asked for and whose text is searched.
        """
        found = np.zeros(asked.shape, bool)
        pairs, numbers = np.nonzero(asked)
        if not len(pairs):
            return found
        firsts, starts, sizes = self._bounds()
        word, of = firsts[words_of[pairs]] + numbers, text_of[pairs]
        start, size = starts[word], sizes[word]
        spare = size - RUN
        passed = (spare >= 0) & (self._bytes[start] < 128)  # texts are of ASCII
        runs, there = self._filters()
        for begin in (start, start + spare, start + spare // 2):
            passed &= there[of, runs[np.minimum(begin, len(runs) - 1)]]
        left = np.flatnonzero(passed)
        first, last = start[left], start[left] + size[left]
        inside = [
            self.has(place, self._joined[i:j])
            for place, i, j in zip(of[left].tolist(), first.tolist(), last.tolist(), strict=True)
        ]
        left = left[inside]
        found[pairs[left], numbers[left]] = True
        return found

    def _bounds(self) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.intp]]:
        """Of each product the number of its first word; of each word its place and size in bytes."""
        lengths = self._texts - self._words
        ends = np.cumsum(lengths)
        place = np.repeat(self._words - (ends - lengths), lengths) + np.arange(ends[-1] if len(ends) else 0)
        spaces = np.flatnonzero(self._bytes[place] == ord(" "))  # behind each word one
        starts = np.concatenate((np.zeros(1, np.intp), spaces + 1))[:-1]
        return np.searchsorted(starts, ends - lengths), place[starts], spaces - starts

    def _filters(self) -> tuple[NDArray[np.uint32], NDArray[np.bool_]]:
        """(m,) the place in a filter of the run that begins at each byte; (n, 2 ** bits) the filter of each product,
        in which there are also its codes and words, and runs that end in the next product.
        """
        run = np.ndarray(len(self._joined), "<u4", self._joined + bytes(RUN), strides=(1,))
        runs: NDArray[np.uint32] = (run * _FACTOR) >> np.uint32(32 - _BITS)
        there = np.zeros(len(self._rows) << _BITS, bool)
        begins = np.arange(len(self._rows), dtype=np.uint32) << np.uint32(_BITS)  # 32 bits are made in less time
        there[(np.repeat(begins, self._sizes) | runs).astype(np.intp)] = True  # and 64 looked up
        return runs, there.reshape(len(self._rows), -1)
