"""A dict in parts, none of which takes long to grow.

A full dict moves all it holds to a larger one at once: with a key for each product of a large catalogue that would stop
the stream.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from itertools import chain
from typing import Generic, TypeVar

__all__ = ["Spread"]

_PARTS = 256
_SKIPPED = 4  # bits of a hash, which keys may have in common

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Spread(Generic[K, V]):
    """Values by key."""

    def __init__(self) -> None:
        self._parts: tuple[dict[K, V], ...] = tuple({} for _ in range(_PARTS))

    def among(self, key: K) -> dict[K, V]:
        """The part that has this key, or is to have it."""
        return self._parts[(hash(key) >> _SKIPPED) % _PARTS]

    def values(self) -> Iterator[V]:
        """All values, in no order that means anything."""
        return chain.from_iterable(part.values() for part in self._parts)
