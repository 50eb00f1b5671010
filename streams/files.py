"""Records out of files: CSV, JSON lines, Parquet, or standard input."""

from __future__ import annotations

import csv
import shlex
import sys
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime, time
from decimal import Decimal
from enum import StrEnum
from itertools import islice
from pathlib import Path
from typing import IO, Any

import orjson

from detectors.careful_json import read_carefully
from detectors.encoding import guess_encoding
from streams.errors import InputError

__all__ = ["FileError", "FileFormat", "Row", "delimiter_of", "format_of", "not_utf8", "read_rows", "rows_not_utf8"]

_MAX_FIELD = 16 * 1024 * 1024  # characters; the csv module's own limit of 131,072 is below what shops write
_MAX_QUOTED_LINES = 1_000  # a quoted field over more lines than this is a quote that was never closed
_LINES_FOR_A_GUESS = 50
_MAX_NESTING = 64
_LOSSY = 2.0**53  # from which a float does not tell one whole number from the next
_BOM = b"\xef\xbb\xbf"


class FileError(InputError):
    """A file cannot be read; the message says why and what to do."""


class FileFormat(StrEnum):
    """How the rows of a file are written."""

    CSV = "csv"
    JSONL = "jsonl"
    PARQUET = "parquet"


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a file.

    number: 1 for the first row (of CSV: after the header; empty lines do not count).
    line: of the file, where the row begins, from 1; None of Parquet.
    fields: the row by column; None where it does not fit its header, or is not a JSON object.
    text: the row as the file has it, without the line's end; of Parquet, the row as JSON.
    value: what is sent: of CSV the fields as JSON where the row fits, everywhere else the text as it is.
    """

    number: int
    line: int | None
    fields: dict[str, Any] | None
    text: bytes
    value: bytes


def format_of(path: Path, todo: str = "rename it to end in .csv, .tsv, .jsonl or .parquet") -> FileFormat:
    """The format that a file's name tells; JSON lines for standard input. Raises `FileError` where it tells none.

    todo: what to do then, where a command has an option for it.
    """
    if str(path) == "-":
        return FileFormat.JSONL
    match path.suffix.lower():
        case ".csv" | ".tsv" | ".txt":
            return FileFormat.CSV
        case ".jsonl" | ".ndjson" | ".json":
            return FileFormat.JSONL
        case ".parquet" | ".pq":
            return FileFormat.PARQUET
    raise FileError(f"The name {path.name} does not tell the format: {todo}.")


def delimiter_of(path: Path, given: str | None = None) -> str:
    """What is between the fields of a CSV file. given: one character, or `\\t` for a tab; None is a tab for `.tsv` and
    a comma for all else. Raises: FileError.
    """
    delimiter = given or ("\t" if path.suffix.lower() == ".tsv" else ",")
    if delimiter == "\\t":
        return "\t"
    if len(delimiter) != 1:
        raise FileError(f"The delimiter {delimiter!r} is not one character: name one, such as ',' or '\\t' for a tab.")
    return delimiter


def read_rows(path: Path, delimiter: str | None = None, format: FileFormat | None = None) -> Iterator[Row]:  # noqa: A002 -- the option's name
    """The rows of a file, in its order, without holding the file in memory. The path `-` is standard input.

    delimiter: of CSV, as `delimiter_of` takes it. format: None goes by the file's name.
    Raises: FileError.
    """
    format = format or format_of(path)  # noqa: A001 -- the option's name
    if str(path) != "-" and not path.is_file():
        raise FileError(f"There is no file {path}: check the path.")
    if format is FileFormat.PARQUET:
        yield from _parquet(path)
        return
    delimiter = delimiter_of(path, delimiter)
    with _opened(path) as file:
        yield from _csv(file, path, delimiter) if format is FileFormat.CSV else _json_lines(file)


@contextmanager
def _opened(path: Path) -> Iterator[IO[bytes]]:
    if str(path) == "-":
        yield sys.stdin.buffer
        return
    try:
        file = path.open("rb")
    except OSError as error:
        raise FileError(f"Cannot read {path}: {error.strerror}. Check its permissions.") from error
    with file:
        yield file


def _json_lines(file: IO[bytes]) -> Iterator[Row]:
    number = 0
    for place, line in enumerate(file, 1):
        if number == 0:
            line = line.removeprefix(_BOM)
        text = line.rstrip(b"\r\n")
        if not text.strip():
            continue
        number += 1
        yield Row(number, place, _object(text), text, text)


def _object(text: bytes) -> dict[str, Any] | None:
    """The fields of a line of JSON as a worker reads it, with NaN and numbers beyond 64 bits; None where it is no
    object.
    """
    try:
        parsed = orjson.loads(text)
        if not isinstance(parsed, dict):
            return None
        if not any(type(value) is float and abs(value) >= _LOSSY for value in parsed.values()):
            return parsed
    except orjson.JSONDecodeError:
        pass
    try:
        parsed = read_carefully(text.decode(), _MAX_NESTING).value
    except ValueError:  # no JSON, no UTF-8, too deep
        return None
    return parsed if isinstance(parsed, dict) else None


class _Lines:
    """The lines of a file for `csv.reader`; knows which of them the row at hand was made of, and takes them back.

    taken: since it was emptied. read: how many lines of the file were handed out and not taken back.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._waiting: deque[bytes] = deque()
        self.taken: list[bytes] = []
        self.read = 0

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        if len(self.taken) > _MAX_QUOTED_LINES:
            raise csv.Error("a quoted field does not end")
        line = self._waiting.popleft() if self._waiting else next(self._file)
        self.taken.append(line)
        self.read += 1
        return line.decode("utf-8", "surrogateescape")

    def give_back_all_but_first(self) -> bytes:
        first, *rest = self.taken
        self._waiting.extendleft(reversed(rest))
        self.read -= len(rest)
        self.taken = []
        return first


def _csv(file: IO[bytes], path: Path, delimiter: str) -> Iterator[Row]:
    csv.field_size_limit(_MAX_FIELD)
    lines = _Lines(file)
    header = _header(lines, path, delimiter)
    number = 0
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    while True:
        lines.taken = []
        line = lines.read + 1
        try:
            values = next(reader)
            raw = b"".join(lines.taken)
        except StopIteration:
            return
        except csv.Error:
            # Only its first line is given up: what follows an unclosed quote may be sound.
            values = []
            raw = lines.give_back_all_but_first()
            reader = csv.reader(lines, delimiter=delimiter, strict=True)
        text = raw.rstrip(b"\r\n")
        if not text.strip():
            continue
        number += 1
        fields: dict[str, Any] | None = None
        value = text
        if len(values) == len(header):
            fields = dict(zip(header, values, strict=True))
            try:
                value = orjson.dumps(fields)
            except orjson.JSONEncodeError:  # bytes that are no UTF-8
                fields = None
        yield Row(number, line, fields, text, value)


def _header(lines: _Lines, path: Path, delimiter: str) -> list[str]:
    try:
        header = next(csv.reader(lines, delimiter=delimiter, strict=True))
    except StopIteration:
        raise FileError(f"{path} has no header: its first line must name the columns.") from None
    except csv.Error as error:
        raise FileError(f"The header of {path} does not read ({error}): close its quotes, one line for it.") from None
    if len(lines.taken) > 1:
        raise FileError(f"The header of {path} spans {len(lines.taken)} lines: close its quotes, one line for it.")
    header = [name.removeprefix("\ufeff").strip() for name in header]
    twice = next((name for i, name in enumerate(header) if name in header[:i]), None)
    if twice is not None:
        raise FileError(f"The header of {path} names {twice!r} twice: rename one of the two columns.")
    if any("\udc80" <= c <= "\udcff" for name in header for c in name):
        for _ in islice(lines, _LINES_FOR_A_GUESS):
            pass
        raise FileError(not_utf8(path, b"".join(lines.taken)))
    return header


def not_utf8(path: Path, raw: bytes) -> str:
    """What to say of a file that is not UTF-8: which encoding it may have, and the command that converts it.

    raw: bytes of it, whole lines, among them some that are not UTF-8.
    """
    codec, looks = _likely_encoding(raw)
    if str(path) == "-":
        return f"Standard input is not UTF-8{looks}: convert it first, as in {_piped(codec)}."
    return f"{path} is not UTF-8{looks}: convert it first: {_converted(path, codec)}."


def rows_not_utf8(path: Path, raw: bytes, *, others: bool) -> str:
    """The same of rows of a file that was named before. others: whether other rows of it are UTF-8, so that to convert
    the file would spoil them.
    """
    codec, looks = _likely_encoding(raw)
    if others:
        return f"the text is not UTF-8{looks}, while other rows are UTF-8. Have all written as UTF-8."
    if str(path) == "-":
        return f"the text is not UTF-8{looks}. Convert it first, as in {_piped(codec)}."
    return f"the text is not UTF-8{looks}. Convert the file in its folder: {_converted(Path(path.name), codec)}."


def _likely_encoding(raw: bytes) -> tuple[str, str]:
    """The name that iconv has for it, and what to say."""
    likely = guess_encoding(raw)
    if likely is None:
        return "ENCODING", ""
    return likely.partition(" (")[0].replace(" ", "_"), f" but looks like {likely}"


def _piped(codec: str) -> str:
    return f"`... | iconv -f {codec} -t UTF-8 | ...`"


def _converted(path: Path, codec: str) -> str:
    target = path.with_name(f"{path.stem}.utf8{path.suffix}")
    return f"`iconv -f {codec} -t UTF-8 {shlex.quote(str(path))} > {shlex.quote(str(target))}`"


def _parquet(path: Path) -> Iterator[Row]:
    import pyarrow
    import pyarrow.parquet

    number = 0
    try:
        file = pyarrow.parquet.ParquetFile(sys.stdin.buffer if str(path) == "-" else path)
        for batch in file.iter_batches(batch_size=1024):
            for fields in batch.to_pylist():
                number += 1
                fields = {name: _plain(value) for name, value in fields.items()}
                value = orjson.dumps(fields)
                yield Row(number, None, fields, value, value)
    except (pyarrow.ArrowException, OSError, OverflowError, TypeError, ValueError) as error:
        raise FileError(f"Cannot read {path} as Parquet: {error}. Check that the file is whole.") from error


def _plain(value: Any) -> Any:
    """A Parquet value as JSON has it; exact decimals as text."""
    match value:
        case datetime() | date() | time():
            return value.isoformat()
        case Decimal():
            return str(value)
        case bytes():
            return value.decode("utf-8", "replace")
        case list():
            return [_plain(v) for v in value]
        case dict():
            return {str(k): _plain(v) for k, v in value.items()}
    return value
