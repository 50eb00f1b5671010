"""The texts and facts of the catalogue on local disk: most of what a product weighs, and seldom read.

A file that only grows, without a name: it is gone with the process. Half of it being dead, what lives moves to a new
one, a few rows with every write, so that nothing waits for it.
"""

from __future__ import annotations

import mmap
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from detectors.duplicates.room import grown
from streams.errors import InfrastructureError

__all__ = ["TextFile"]

_TAIL_BYTES = 1 << 20  # kept in memory before it is written
_READS_MAPPED = 1024  # reads after which the pages that they brought in, up to 64 KB each, are let go
_DEAD_BYTES = 64 << 20  # from which moving is worth it
_FEW = 8  # rows, below which numpy costs more than it saves
_MOVED = 4  # rows that move for each that is written


class TextFile:
    """Texts by row number, in a file in this folder. For one thread.

    dead_bytes: of texts that nobody needs any more, from which they are cleared away.

    Raises: InfrastructureError where the folder is full or cannot be written, here and in `put`.
    """

    def __init__(self, folder: Path, dead_bytes: int = _DEAD_BYTES) -> None:
        self._folder, self._dead_bytes = folder, dead_bytes
        self._place = np.zeros(0, np.int64)  # in the file; -1 - place in the one before
        self._length = np.zeros(0, np.int32)
        self._rows = 0
        self._live = 0  # bytes
        self._before: int | None = None
        self._moved = 0  # rows below it live in the new file
        self._file = self._open()

    def _open(self) -> int:
        self._written, self._tail = 0, bytearray()
        self._map: mmap.mmap | None = None  # of what is written, or of less
        self._reads = 0
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            file, name = tempfile.mkstemp(prefix="texts-", dir=self._folder)
            Path(name).unlink()
        except OSError as error:
            raise self._failed(error) from error
        return file

    def _failed(self, error: OSError) -> InfrastructureError:
        return InfrastructureError(
            f"The state folder {self._folder} cannot be written: {error.strerror or error}.",
            "Free space there, or name another one: STREAMGAUGE_STATE_DIR.",
        )

    def close(self) -> None:
        """Give the space back."""
        self._map = None
        for file in (self._file, self._before):
            if file is not None:
                os.close(file)
        self._before = None

    @property
    def size(self) -> int:
        """How much there is in the file, what is dead included."""
        return self._written + len(self._tail)

    def put(self, rows: Sequence[int], bodies: Sequence[bytes]) -> None:
        """Keep these bytes for these rows, each of which is named once."""
        if not rows:
            return
        top = max(rows) + 1
        if top > self._rows:
            self._place, self._length = grown(self._place, top), grown(self._length, top)
            self._rows = top
        where = np.asarray(rows)
        lengths = np.fromiter(map(len, bodies), np.int64, len(bodies))
        self._live += int(lengths.sum() - self._length[where].sum())
        self._place[where] = self.size + np.cumsum(lengths) - lengths
        self._length[where] = lengths
        self._tail += b"".join(bodies)
        if len(self._tail) >= _TAIL_BYTES:
            self._flush()
        if self._before is not None:
            self._move(_MOVED * len(rows))
        elif self.size - self._live > max(self._live, self._dead_bytes):
            self._before, self._moved = self._file, 0
            self._flush()
            self._place[: self._rows] = -1 - self._place[: self._rows]
            self._file = self._open()

    def get(self, rows: Sequence[int]) -> list[bytes]:
        """The bytes of each of these rows; none of one that has none."""
        if not self._rows:
            return [b""] * len(rows)
        if len(rows) < _FEW:
            there = [(int(self._place[row]), int(self._length[row])) if row < self._rows else (0, 0) for row in rows]
        else:
            index = np.asarray(rows, np.intp)
            known = np.minimum(index, self._rows - 1)
            lengths = np.where(index == known, self._length[known], 0)
            there = [*zip(self._place[known].tolist(), lengths.tolist(), strict=True)]
        if len(there) <= _READS_MAPPED:
            return self._read(there)
        return [body for i in range(0, len(there), _READS_MAPPED) for body in self._read(there[i : i + _READS_MAPPED])]

    def _read(self, there: Sequence[tuple[int, int]]) -> list[bytes]:
        """The bytes of these places and sizes."""
        mapped = self._map  # most is in it, and read here: a call for each would take as long again
        end = -1 if mapped is None else len(mapped)
        found = [
            mapped[place : place + size] if mapped is not None and 0 <= place <= end - size else self._at(place, size)
            for place, size in there
        ]
        self._reads += len(found)
        if self._reads >= _READS_MAPPED and self._map is not None:
            self._map.madvise(mmap.MADV_DONTNEED)  # the system's cache keeps the pages, not this process
            self._reads = 0
        return found

    def _at(self, place: int, size: int) -> bytes:
        if not size:
            return b""
        if place < 0:
            assert self._before is not None
            return os.pread(self._before, size, -1 - place)
        if place >= self._written:
            place -= self._written
            return bytes(self._tail[place : place + size])
        # Not by pread: that lets go of the interpreter's lock, and hundreds of reads in a batch would each wait for it.
        if self._map is None or place + size > len(self._map):
            try:
                self._map = mmap.mmap(self._file, self._written, prot=mmap.PROT_READ)
            except OSError:  # a limit on the address space, a file system without maps
                return os.pread(self._file, size, place)
        return self._map[place : place + size]

    def drop(self, rows: Sequence[int]) -> None:
        """Forget these rows, each of which is named once."""
        where = np.asarray(rows, np.intp)
        where = where[where < self._rows]
        self._live -= int(self._length[where].sum())
        self._length[where] = 0

    def _append(self, row: int, body: bytes) -> None:
        self._place[row], self._length[row] = self.size, len(body)
        self._tail += body
        if len(self._tail) >= _TAIL_BYTES:
            self._flush()

    def _flush(self) -> None:
        try:
            written = 0
            while written < len(self._tail):
                written += os.pwrite(self._file, memoryview(self._tail)[written:], self._written + written)
        except OSError as error:
            raise self._failed(error) from error
        self._written += len(self._tail)
        self._tail = bytearray()

    def _move(self, rows: int) -> None:
        assert self._before is not None
        last = min(self._rows, self._moved + rows)
        for row in range(self._moved, last):
            if self._place[row] < 0 and self._length[row]:
                self._append(row, self._at(int(self._place[row]), int(self._length[row])))
        self._moved = last
        if last == self._rows:
            os.close(self._before)
            self._before = None
