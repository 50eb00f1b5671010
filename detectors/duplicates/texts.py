"""Where a view keeps the facts of its products: in memory, or wherever the one who makes the view says."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import fields
from operator import attrgetter
from typing import Protocol, TypeVar

import numpy as np
import orjson
from numpy.typing import NDArray

from detectors.records import Facts

__all__ = ["Gathered", "MemoryTexts", "Texts", "facts_from", "join_texts", "packed_facts", "recalled", "split_texts"]

T = TypeVar("T")


class Texts(Protocol):
    """Bytes by row number. Used by one thread."""

    def put(self, rows: Sequence[int], bodies: Sequence[bytes]) -> None:
        """Keep these bytes for these rows, each of which is named once, instead of what was there."""

    def get(self, rows: Sequence[int]) -> list[bytes]:
        """The bytes of each of these rows; none of one that has none."""

    def drop(self, rows: Sequence[int]) -> None:
        """Forget these rows, each of which is named once, as far as they have any."""


class MemoryTexts:
    """Texts in memory."""

    def __init__(self) -> None:
        self._bodies: list[bytes] = []

    def put(self, rows: Sequence[int], bodies: Sequence[bytes]) -> None:
        """Keep these bytes for these rows."""
        for row, body in zip(rows, bodies, strict=True):
            if row >= len(self._bodies):
                self._bodies += [b""] * (row + 1 - len(self._bodies))
            self._bodies[row] = body

    def get(self, rows: Sequence[int]) -> list[bytes]:
        """The bytes of each of these rows."""
        bodies = self._bodies
        return [bodies[row] if row < len(bodies) else b"" for row in rows]

    def drop(self, rows: Sequence[int]) -> None:
        """Forget these rows."""
        for row in rows:
            if row < len(self._bodies):
                self._bodies[row] = b""


class Gathered:
    """Texts that are written in one go: quicker than one after another. What waits is read as if it were there."""

    def __init__(self, texts: Texts) -> None:
        self._texts = texts
        self._waiting: dict[int, bytes] = {}

    def put(self, rows: Iterable[int], bodies: Iterable[bytes]) -> None:
        """Keep these bytes for these rows; of a row that is named again the last."""
        self._waiting.update(zip(rows, bodies, strict=True))

    def get(self, rows: Sequence[int]) -> list[bytes]:
        """The bytes of each of these rows; none of one that has none."""
        waiting = self._waiting
        if not waiting:
            return self._texts.get(rows)
        written = iter(self._texts.get([row for row in rows if row not in waiting]))
        return [waiting[row] if row in waiting else next(written) for row in rows]

    def drop(self, rows: Sequence[int]) -> None:
        """Forget these rows, each of which is named once, as far as they have any."""
        for row in rows:
            self._waiting.pop(row, None)
        self._texts.drop(rows)

    def flush(self) -> None:
        """Write what waits."""
        if self._waiting:
            self._texts.put(list(self._waiting), list(self._waiting.values()))
            self._waiting.clear()


def recalled(
    known: dict[int, T], rows: Collection[int], most: int, read: Callable[[Sequence[int]], Iterable[T]]
) -> list[T]:
    """What is known of these rows, and of the others what is read of them, each once, which is known from then on.

    most: rows that are remembered; where they would be more, what was known before is forgotten.
    """
    missing = list(dict.fromkeys([row for row in rows if row not in known]))
    if not missing:
        return [known[row] for row in rows]
    found = dict(zip(missing, read(missing), strict=True))
    values = [found[row] if row in found else known[row] for row in rows]
    if len(known) + len(found) > most:
        known.clear()
    if len(found) <= most:
        known.update(found)
    return values


_OWN = attrgetter(*(field.name for field in fields(Facts) if field.name != "identity"))


def packed_facts(facts: Facts) -> bytes:
    """Facts but for the identity, as JSON without names."""
    return orjson.dumps(_OWN(facts))


def facts_from(identity: str, body: bytes) -> Facts:
    """The facts that `packed_facts` wrote."""
    return Facts(identity, *orjson.loads(body))


def join_texts(pieces: Sequence[bytes]) -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
    """Pieces behind one another, and their lengths."""
    lengths = np.fromiter((len(piece) for piece in pieces), np.int32, len(pieces))
    return np.frombuffer(b"".join(pieces), np.uint8), lengths


def split_texts(whole: NDArray[np.uint8], lengths: NDArray[np.int32]) -> list[bytes]:
    """The pieces that were joined."""
    text, ends = whole.tobytes(), np.cumsum(lengths).tolist()
    return [text[end - length : end] for end, length in zip(ends, lengths.tolist(), strict=True)]
