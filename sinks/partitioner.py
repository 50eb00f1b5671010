"""Which partition a key belongs to: Kafka's default partitioner, for a whole batch of keys at a time."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

__all__ = ["by_partition", "murmur2", "partitions_of"]

_SEED = np.uint32(0x9747B28C)
_M = np.uint32(0x5BD1E995)
_BITS = np.uint32(0x7FFFFFFF)


def murmur2(keys: Sequence[bytes]) -> NDArray[np.uint32]:
    """MurmurHash2 of every key, (n,) uint32, as `org.apache.kafka.common.utils.Utils.murmur2` computes it."""
    hashes = np.empty(len(keys), np.uint32)
    by_length: defaultdict[int, list[int]] = defaultdict(list)
    for row, key in enumerate(keys):
        by_length[len(key)].append(row)
    for length, rows in by_length.items():
        hashes[rows] = _same_length([keys[row] for row in rows], length)
    return hashes


def _same_length(keys: list[bytes], length: int) -> NDArray[np.uint32]:
    whole = length & ~3
    octets = np.frombuffer(b"".join(keys), np.uint8).reshape(len(keys), length)
    hashes = np.full(len(keys), _SEED ^ np.uint32(length), np.uint32)
    words = np.ascontiguousarray(octets[:, :whole]).view("<u4")
    for column in range(whole // 4):
        k = words[:, column] * _M
        k ^= k >> np.uint32(24)
        hashes = hashes * _M ^ k * _M
    if length > whole:
        for place in range(length - whole):
            hashes ^= octets[:, whole + place].astype(np.uint32) << np.uint32(8 * place)
        hashes *= _M
    hashes ^= hashes >> np.uint32(13)
    hashes *= _M
    hashes ^= hashes >> np.uint32(15)
    return hashes


def partitions_of(keys: Sequence[bytes], count: int) -> list[int]:
    """The partition, 0 to count - 1, of every key."""
    partitions: list[int] = ((murmur2(keys) & _BITS) % np.uint32(count)).tolist()
    return partitions


def by_partition(keys: Sequence[bytes], count: int) -> dict[int, list[int]]:
    """The places of the keys of each partition, in their order."""
    places: dict[int, list[int]] = {}
    for place, partition in enumerate(partitions_of(keys, count)):
        places.setdefault(partition, []).append(place)
    return places
