"""Epochs: the weights of the sketch and the index's centroids, the same for every worker from the same place on.

A sketch weighs a character gram by how rare it is among the titles. How rare it is changes as the catalogue grows;
if every worker counted for itself, two workers would score one pair differently. So the owner of links counts once at
each growth, publishes the weights into the catalogue topic, and every view switches at the same offset. Of a large
catalogue the epoch brings centroids, too: from there on candidates are proposed by cells, the same cells everywhere.
"""

from __future__ import annotations

import hashlib
import struct
import zlib
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

import numpy as np
import orjson
from numpy.typing import NDArray

__all__ = ["EPOCH_KEY", "FEW_ROWS", "Epoch", "EpochChunk", "EpochPolicy", "epoch_chunks", "join_chunks"]

EPOCH_KEY = b"\x00epoch/"  # no identity begins with it: a source is printable
CHUNK_BYTES = 400_000
MAX_LISTS = 1 << 15
FEW_ROWS = 1 << 16  # products below which an index has few and long lists
_MARGIN, _MARGIN_SHARE = 500, 0.5
_SIZES = struct.Struct("<III")  # buckets, lists, dimension
# The size of a subspace stands at the end where it is not the usual one: a release that knows no other drops the
# centroids then.
_SUBSPACE, _USUAL_SUBSPACE = struct.Struct("<I"), 8


@dataclass(frozen=True, slots=True)
class Epoch:
    """What holds from one offset of the catalogue on.

    number: 1, 2, 3 ...; 0 is the time before the first, when all weights are equal.
    switch_at: the catalogue offset from which it holds (an epoch whose last part comes later holds from there).
    n: products in the catalogue when it was made.
    weights: (buckets,) uint8, sixteenths of the inverse document frequency, see `document_weights`.
    centroids: (lists, dim) int8, whose directions are meant; no lists while every search is exact.
    codebook: (dim / s, 16, s), of the index's codes, where there are centroids. s: how many dimensions share four bits.
    """

    number: int
    switch_at: int
    n: int
    weights: NDArray[np.uint8]
    centroids: NDArray[np.int8] = field(default_factory=lambda: np.zeros((0, 0), np.int8))
    codebook: NDArray[np.float32] = field(default_factory=lambda: np.zeros((0, 16, 8), np.float32))


@dataclass(frozen=True, slots=True)
class EpochChunk:
    """A part of an epoch that fits into one record. `token` names the epoch's content: parts of two never mix."""

    number: int
    token: str
    part: int
    parts: int
    switch_at: int
    n: int
    data: bytes

    def encode(self) -> tuple[bytes, bytes]:
        """(key, value) for the catalogue topic."""
        head = [self.number, self.token, self.part, self.parts, self.switch_at, self.n]
        return EPOCH_KEY + b"%d/%d" % (self.number, self.part), orjson.dumps(head) + b"\n" + self.data

    @classmethod
    def decode(cls, value: bytes) -> EpochChunk:
        """The part that `encode` wrote. Raises: ValueError."""
        head, _, data = value.partition(b"\n")
        number, token, part, parts, switch_at, n = orjson.loads(head)
        numbers = (number, part, parts, switch_at, n)
        if not isinstance(token, str) or not all(type(x) is int and x >= 0 for x in numbers) or not part < parts <= 64:
            raise ValueError("a part of an epoch that does not read")
        return cls(number, token, part, parts, switch_at, n, data)


def epoch_chunks(epoch: Epoch) -> list[EpochChunk]:
    """An epoch in parts."""
    sizes = _SIZES.pack(len(epoch.weights), *epoch.centroids.shape)
    arrays = (epoch.weights, epoch.centroids, epoch.codebook.astype("<f4"))
    size = epoch.codebook.shape[2]
    last = b"" if size == _USUAL_SUBSPACE else _SUBSPACE.pack(size)
    packed = zlib.compress(sizes + b"".join(array.tobytes() for array in arrays) + last, 1)
    token = hashlib.blake2b(packed, digest_size=8).hexdigest()
    pieces = [packed[i : i + CHUNK_BYTES] for i in range(0, len(packed), CHUNK_BYTES)] or [b""]
    return [
        EpochChunk(epoch.number, token, i, len(pieces), epoch.switch_at, epoch.n, piece)
        for i, piece in enumerate(pieces)
    ]


def join_chunks(chunks: Iterable[EpochChunk], buckets: int, dim: int) -> Epoch | None:
    """The epoch of these parts; None when a part is missing or the content is none.

    dim: of centroids. Those of another dimension (of another encoder) are left out: a search is exact without.
    """
    parts = sorted(chunks, key=lambda c: c.part)
    if not parts or [c.part for c in parts] != list(range(parts[0].parts)):
        return None
    try:
        unpacker = zlib.decompressobj()
        content = unpacker.decompress(
            b"".join(c.data for c in parts), _SIZES.size + buckets + (MAX_LISTS + 64) * dim + _SUBSPACE.size + 1
        )
        counted, lists, width = _SIZES.unpack_from(content)
    except (zlib.error, struct.error):
        return None
    if counted != buckets or len(content) < _SIZES.size + buckets:
        return None
    weights = np.frombuffer(content, np.uint8, buckets, _SIZES.size)
    if not weights.all():
        return None
    epoch = Epoch(parts[0].number, parts[0].switch_at, parts[0].n, weights)
    at = _SIZES.size + buckets
    end = at + (lists + 64) * dim  # 16 times 4 bytes a dimension
    if not lists or width != dim or len(content) not in (end, end + _SUBSPACE.size):
        return epoch
    (size,) = _SUBSPACE.unpack_from(content, end) if len(content) > end else (_USUAL_SUBSPACE,)
    if not size or dim % size:
        return epoch
    centroids = np.frombuffer(content, np.int8, lists * dim, at).reshape(lists, dim)
    codebook = np.frombuffer(content, "<f4", 16 * dim, at + lists * dim).reshape(-1, 16, size)
    return replace(epoch, centroids=centroids, codebook=codebook) if np.isfinite(codebook).all() else epoch


@dataclass(frozen=True, slots=True)
class EpochPolicy:
    """When a new epoch is due: at `first` products and at each growth by `growth`.

    Growth is twofold up to `early` products, where frequencies still change much and counting is cheap. An index of few
    lists holds up to 131,072 products, where many came at once after it was made.
    """

    first: int = 64
    growth: int = 4
    early: int = 4096

    def due(self, products: int, counted: int) -> bool:
        """Whether a catalogue of `products` needs an epoch, when the newest one counted `counted`."""
        if counted == 0:
            return products >= self.first
        return products >= counted * (2 if counted < self.early else self.growth) or counted < FEW_ROWS <= products // 2

    @staticmethod
    def margin(products: int, *, cells: bool) -> int:
        """How many catalogue offsets are to lie between the publishing of an epoch and its start.

        products: in the catalogue when it is published. With cells every row is computed anew meanwhile: for two rows
        of the catalogue one new record.
        """
        return max(_MARGIN, int(_MARGIN_SHARE * products)) if cells else _MARGIN
