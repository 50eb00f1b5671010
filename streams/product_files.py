"""Files of products as records of a contract's topic; of rows that no product comes from it is kept how many and why.

Whoever measures something on a file must know what was measured: a file in another encoding, or without the column that
the contract calls title, gives figures too, and they say nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from detectors.contract.model import Contract
from detectors.contract.presence import Absent, absent_columns
from detectors.contract.terms import NEEDED_ROLES
from detectors.intake import Taken
from detectors.records import StoredRecord, split_identity
from streams.delimiters import asked_delimiter
from streams.errors import InputError
from streams.files import FileFormat, Row, format_of, read_rows, rows_not_utf8

__all__ = ["InputReport", "LeftOut", "OnInput", "ProductFiles"]

_NAMES = 1_000  # columns that the contract does not have, of which one may be meant
_FOREIGN = 50  # rows from which the encoding is guessed


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Rows of one file that gave no product of their own, for one reason.

    reason: a short stable name, as dead letters have it, or `repeated_id`. rows: how many. row, line: the first of
    them; of Parquet there are no lines. message: what is wrong with them, and what to do.
    """

    file: str
    reason: str
    rows: int
    row: int
    line: int | None
    message: str

    def __str__(self) -> str:
        many = f"{self.rows:,} rows, the first" if self.rows > 1 else "1 row,"
        return f"{self.file}: {many} in {_place(self.row, self.line)}: {self.message}"


@dataclass(frozen=True, slots=True)
class InputReport:
    """rows: of all files. left_out: by file and reason. absent: by file, columns of the contract that it has not.
    looked: by file, in how many first rows these were looked for, where it was not read to its end.
    """

    rows: int
    left_out: tuple[LeftOut, ...]
    absent: Mapping[str, tuple[Absent, ...]]
    looked: Mapping[str, int]


OnInput = Callable[[InputReport], None]
"""Called once, when all rows were read."""


@dataclass(slots=True)
class _File:
    """What was noticed of one file. names: columns, in the order of its rows; of a file with a header, of the header.
    rows: how many were read. whole: whether there are no others. foreign: some that are no UTF-8. local: whether others
    are, and not ASCII.
    """

    path: Path
    names: dict[str, None] = field(default_factory=dict)
    rows: int = 0
    whole: bool = False
    absent: tuple[Absent, ...] = ()
    foreign: list[bytes] = field(default_factory=list)
    local: bool = False
    left_out: dict[str, LeftOut] = field(default_factory=dict)


class ProductFiles:
    """Reads files of products and keeps account of their rows.

    Every row goes through `record`, and what became of the records through `took`; `finish` says it.
    """

    def __init__(self, contract: Contract, paths: Sequence[Path], delimiter: str | None) -> None:
        self._contract, self._delimiter = contract, delimiter
        self._files = [_File(path) for path in paths]
        self._places: list[tuple[int, int, int | None]] = []  # by number of the record: file, row, line
        self._unread: dict[int, tuple[str, str]] = {}  # by number of the record: reason, message
        self._first: dict[str, int] = {}  # by identity

    def rows(self, part: int) -> Iterator[Row]:
        """The rows of one file. Raises: FileError; InputError where its header lacks the column of the id or title."""
        file = self._files[part]
        header = _has_header(file.path)
        for row in read_rows(file.path, self._delimiter):
            file.rows += 1
            if row.fields is not None and not (header and file.names):
                self._note_columns(file, row.fields)
                if header:
                    self._look_for_columns(file)
            yield row
        file.whole = True

    def record(self, part: int, row: Row, value: bytes | None = None) -> StoredRecord:
        """The row as a record; the file's name stands in for the source. value: in the place of the row's own."""
        number, file = len(self._places), self._files[part]
        self._places.append((part, row.number, row.line))
        if row.fields is None:
            self._note_unread(number, file, row)
        elif not file.local:
            file.local = not row.text.isascii()
        source = ("source", file.path.stem.encode())
        return StoredRecord(
            self._contract.topic, part, number, number, None, row.value if value is None else value, (source,)
        )

    def took(self, taken: Taken) -> None:
        """What became of the next records."""
        for rejection in taken.rejections:
            number = rejection.source.offset
            self._leave_out(number, *self._unread.get(number, (rejection.error, rejection.message)))
        for record in taken.batch.records:
            number = record.source.offset
            first = self._first.setdefault(record.identity, number)
            if first != number:
                identifier = split_identity(record.identity)[1]
                self._leave_out(
                    number,
                    "repeated_id",
                    f"the id {identifier!r} was there before, in {self._place(first)}: such a row counts as a "
                    "change of that product. Give every product an id of its own.",
                )

    def finish(self, on_input: OnInput | None = None) -> None:
        """Say what became of all rows. Raises: InputError where there is none that reads, or none of a file has the
        column of the id or title.
        """
        for file in self._files:
            self._look_for_columns(file)
        left_out = tuple(
            _said(file, found)
            for file in self._files
            for found in sorted(file.left_out.values(), key=lambda found: (-found.rows, found.row))
        )
        if self._places and not self._first:
            raise InputError(
                f"None of the {len(self._places):,} rows can be read as a product.", "\n".join(map(str, left_out))
            )
        if on_input is not None:
            lacking = [file for file in self._files if file.absent]
            absent = {str(file.path): file.absent for file in lacking}
            looked = {str(file.path): rows for file in lacking if (rows := _looked(file)) is not None}
            on_input(InputReport(len(self._places), left_out, absent, looked))

    def _note_columns(self, file: _File, fields: Mapping[str, Any]) -> None:
        if not fields.keys() <= file.names.keys():
            for name in fields:
                if len(file.names) < _NAMES or name in self._contract.known_columns:
                    file.names[name] = None

    def _look_for_columns(self, file: _File) -> None:
        if not file.names:
            return  # nothing of it reads
        file.absent = tuple(absent_columns(self._contract, file.names))
        # Records without a column that is merely required are measured as they are.
        roles = NEEDED_ROLES[self._contract.kind]
        if without := [column for column in file.absent if column.role in roles]:
            todo = "Correct the contract."
            if (asked := asked_delimiter(file.path, given=self._delimiter)) is not None:
                todo = f"The file has {asked}"
                without = [replace(column, meant=None) for column in without]  # the header as a whole was not meant
            elif format_of(file.path) is FileFormat.CSV:
                todo = "Correct the contract, or set --delimiter where another sign is between the fields."
            raise InputError(f"{file.path}: {' '.join(column.told(_looked(file)) for column in without)}", todo)

    def _note_unread(self, number: int, file: _File, row: Row) -> None:
        try:
            row.text.decode()
        except UnicodeDecodeError:
            if len(file.foreign) < _FOREIGN:
                file.foreign.append(row.text)
            self._unread[number] = "wrong_encoding", ""  # which one it is, is known when all rows were read
        else:
            if format_of(file.path) is FileFormat.CSV:
                self._unread[number] = (
                    "not_a_row",
                    "it does not fit the header. Give it as many fields as the header has, and close its quotes.",
                )

    def _leave_out(self, number: int, reason: str, message: str) -> None:
        part, row, line = self._places[number]
        file = self._files[part]
        before = file.left_out.get(reason)
        if before is None:
            file.left_out[reason] = LeftOut(str(file.path), reason, 1, row, line, message)
        else:
            file.left_out[reason] = replace(before, rows=before.rows + 1)

    def _place(self, number: int) -> str:
        part, row, line = self._places[number]
        place = _place(row, line)
        return place if len(self._files) == 1 else f"{place} of {self._files[part].path}"


def _has_header(path: Path) -> bool:
    return format_of(path) is not FileFormat.JSONL


def _looked(file: _File) -> int | None:
    """In how many rows its columns were looked for; None for all."""
    return None if file.whole or _has_header(file.path) else file.rows


def _place(row: int, line: int | None) -> str:
    return f"row {row:,}" if line is None else f"line {line:,}"


def _said(file: _File, found: LeftOut) -> LeftOut:
    """What is said of these rows in the end, when it is known which encoding theirs may be."""
    if found.reason != "wrong_encoding" or not file.foreign:
        return found
    return replace(found, message=rows_not_utf8(file.path, b"\n".join(file.foreign), others=file.local))
