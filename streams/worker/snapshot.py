"""The view on local disk, so that a start need not read the whole catalogue topic. Never trusted unseen.

A file: one line of JSON that says what it is of, arrays as numpy writes them, and a checksum over all of it. Whoever
reads it checks that first, then whether it is of this topic, this encoder and this format, and neither too old nor
ahead of the topic. What does not fit is left alone with its reason, and the topic is read from its beginning.
"""

from __future__ import annotations

import hashlib
import io
import os
import struct
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
import orjson
from numpy.typing import NDArray

__all__ = ["Snapshot", "SnapshotError", "SnapshotHead", "SnapshotWriter", "load_snapshot"]

FORMAT = 6
_DIGEST = 32
_CHUNK = 1 << 20
_PLACE = struct.Struct("<Q")


class SnapshotError(Exception):
    """A snapshot that is not used; the text says why."""


@dataclass(frozen=True, slots=True)
class SnapshotHead:
    """What a snapshot is of.

    topic_id: Kafka's own id of the catalogue topic. position: the first offset of it that is not in the snapshot.
    written: milliseconds since 1970, UTC, at which it was begun.
    """

    topic_id: str
    encoder: str
    dim: int
    position: int
    written: int

    @classmethod
    def now(cls, topic_id: str, encoder: str, dim: int, position: int) -> SnapshotHead:
        """A snapshot that is begun now."""
        return cls(topic_id, encoder, dim, position, time.time_ns() // 1_000_000)


class SnapshotWriter:
    """Writes a snapshot beside the one that is there, and puts it into its place when it is whole."""

    def __init__(self, path: Path, head: SnapshotHead) -> None:
        self._path = path
        self._draft = path.with_suffix(f".{os.getpid()}.draft")
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = self._draft.open("wb")
        self._digest = hashlib.blake2b(digest_size=_DIGEST)
        self.size = self._rest_at = 0
        self._write(orjson.dumps({"format": FORMAT, **_fields(head)}) + b"\n")

    def _write(self, data: bytes) -> None:
        self._digest.update(data)
        self._file.write(data)
        self.size += len(data)

    def block(self, arrays: Sequence[NDArray[Any]]) -> None:
        """Add arrays that are read together again."""
        buffer = io.BytesIO()
        np.save(buffer, np.array(len(arrays)))
        for array in arrays:
            np.save(buffer, array, allow_pickle=False)
        self._write(buffer.getvalue())

    def rest(self) -> None:
        """What is added from here on is read first."""
        self._rest_at = self.size

    def finish(self) -> None:
        """Make it the snapshot."""
        self._write(_PLACE.pack(self._rest_at))
        self._file.write(self._digest.digest())
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        self._draft.replace(self._path)

    def give_up(self) -> None:
        """Leave nothing behind."""
        self._file.close()
        self._draft.unlink(missing_ok=True)


def _fields(head: SnapshotHead) -> dict[str, Any]:
    return {name: getattr(head, name) for name in SnapshotHead.__slots__}


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A snapshot that fits. rest: what was added after `SnapshotWriter.rest`. blocks: what was added before."""

    head: SnapshotHead
    rest: Sequence[Sequence[NDArray[Any]]]
    blocks: Iterator[list[NDArray[Any]]]


def load_snapshot(
    path: Path, topic_id: str, encoder: str, dim: int, beginning: int, end: int, oldest: int
) -> Snapshot | None:
    """The snapshot in this file; None where there is none.

    beginning, end: offsets of the topic as it is. oldest: milliseconds since 1970 before which a deletion may have
    left the topic, so that a snapshot would bring the product back.

    Raises: SnapshotError for one that must not be used.
    """
    try:
        file = path.open("rb")
    except FileNotFoundError:
        return None
    except OSError as error:
        raise SnapshotError(f"it cannot be read: {error.strerror}") from error
    try:
        size = _checked(file)
        head = _head(file.readline(_CHUNK))
        if wrong := _reason(head, topic_id, encoder, dim, beginning, end, oldest):
            raise SnapshotError(wrong)
        first = file.tell()
        file.seek(size - _PLACE.size)
        (rest_at,) = _PLACE.unpack(file.read(_PLACE.size))
        file.seek(rest_at)
        rest = list(_arrays(file, size - _PLACE.size))
        file.seek(first)
    except BaseException:
        file.close()
        raise
    return Snapshot(head, rest, _closing(file, rest_at))


def _checked(file: IO[bytes]) -> int:
    """Where the checksum begins, the file being back at its beginning."""
    size = file.seek(0, os.SEEK_END) - _DIGEST
    file.seek(0)
    digest = hashlib.blake2b(digest_size=_DIGEST)
    left = size
    while left > 0:
        data = file.read(min(_CHUNK, left))
        digest.update(data)
        left -= len(data)
        if not data:
            break
    if size <= 0 or file.read(_DIGEST) != digest.digest():
        raise SnapshotError("its checksum is wrong")
    file.seek(0)
    return size


def _head(line: bytes) -> SnapshotHead:
    try:
        body = orjson.loads(line)
        if body.pop("format") != FORMAT:
            raise SnapshotError("it is of another format")
        return SnapshotHead(**body)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise SnapshotError("it does not say what it is of") from error


def _reason(
    head: SnapshotHead, topic_id: str, encoder: str, dim: int, beginning: int, end: int, oldest: int
) -> str | None:
    """Why it must not be used, if so."""
    if head.topic_id != topic_id:
        return "it is of another topic"
    if (head.encoder, head.dim) != (encoder, dim):
        return f"it is of the encoder {head.encoder}"
    if head.position > end:
        return f"it ends at offset {head.position}, the topic at {end}"
    if head.position < beginning:
        return f"it ends at offset {head.position}, and the topic begins at {beginning} now"
    if head.written < oldest:
        return "it is older than deletions are kept in the topic"
    return None


def _arrays(file: IO[bytes], end: int) -> Iterator[list[NDArray[Any]]]:
    while file.tell() < end:
        count = int(np.load(file, allow_pickle=False))
        yield [np.load(file, allow_pickle=False) for _ in range(count)]


def _closing(file: IO[bytes], end: int) -> Iterator[list[NDArray[Any]]]:
    with file:
        yield from _arrays(file, end)
