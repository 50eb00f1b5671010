"""Which words and codes stand inside which texts: of all products of a batch and their candidates.

Most words stand in none. So a filter comes first (Bloom, Space/time trade-offs in hash coding with allowable errors,
1970), over the runs of four bytes of each text: what it lets pass is looked for in the text itself.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from detectors.duplicates.kernels import looked_through

__all__ = ["Searched", "packed_body"]

_HEAD = struct.Struct("<II")  # bytes of the codes, bytes of the words
_NOTHING = bytes(_HEAD.size)


def packed_body(codes: bytes, words: bytes, text: bytes) -> bytes:
    """What `Searched` reads. codes, words: with a space between two of them."""
    if words:
        words += b" "
    return b"".join((_HEAD.pack(len(codes), len(words)), codes, words, text))


class Searched:
    """Products by what is searched for, their codes and words, and what is searched, their texts.

    rows: (n,) their numbers, rising. bodies: of each what `packed_body` gave, or nothing. bytes: the bodies, joined.
    texts, first_code, code_at, first_word, word_at, filters: as `looked_through` found them there.
    """

    def __init__(self, rows: NDArray[np.intp], bodies: Sequence[bytes]) -> None:
        self._rows = rows
        bodies = [body or _NOTHING for body in bodies]
        self.bytes = np.frombuffer(b"".join(bodies), np.uint8)
        sizes = np.fromiter(map(len, bodies), np.int64, len(bodies))
        self.texts, self.first_code, self.code_at, self.first_word, self.word_at, self.filters = looked_through(
            self.bytes, sizes
        )

    def places(self, rows: NDArray[np.intp]) -> NDArray[np.intp]:
        """Where these rows, of which each is one of its own, stand in it."""
        return np.searchsorted(self._rows, rows)

    def codes(self) -> list[bytes]:
        """The codes of all products, in the order of `code_at`."""
        return [self.bytes[start:end].tobytes() for start, end in self.code_at.tolist()]
