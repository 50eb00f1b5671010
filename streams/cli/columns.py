"""What a file's columns say before anything is done with it: its delimiter, and what a contract has beside them."""

from __future__ import annotations

import csv
from collections.abc import Collection, Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from streams.files import FileFormat, format_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from streams.files import Row

__all__ = ["format_told", "likely_delimiter", "noting_columns"]

_LINES = 20
_LONGEST_LINE = 100_000  # bytes
_NAMES = {"\t": "a tab", ";": "';'", "|": "'|'"}


def format_told(path: Path, format: FileFormat | None) -> FileFormat:  # noqa: A002 -- the option's name
    """What `--format` says, or else the file's name. Raises: FileError."""
    return format or format_of(path, "add --format csv, jsonl or parquet")


def likely_delimiter(path: Path, format: FileFormat | None) -> tuple[str, str] | None:  # noqa: A002 -- the option's name
    """(delimiter, how to call it) of a CSV file that has one column between commas and several between another."""
    if str(path) == "-" or not path.is_file() or format_told(path, format) is not FileFormat.CSV:
        return None
    with path.open("rb") as file:
        raw = list(islice(iter(lambda: file.readline(_LONGEST_LINE), b""), _LINES))
    lines = [line.decode("utf-8", "replace").removeprefix("\ufeff").rstrip("\r\n") for line in raw]
    lines = [line for line in lines if line.strip()]
    if not lines or _widths(lines[:1], "\t" if path.suffix.lower() == ".tsv" else ",") != [1]:
        return None
    for delimiter, name in _NAMES.items():
        widths = _widths(lines, delimiter)
        # The header has several fields, and most rows have as many.
        if widths and widths[0] > 1 and 2 * sum(width == widths[0] for width in widths) > len(widths):
            return delimiter, name
    return None


def _widths(lines: list[str], delimiter: str) -> list[int]:
    try:
        return [len(fields) for fields in csv.reader(lines, delimiter=delimiter)]
    except csv.Error:
        return []


def noting_columns(rows: Iterable[Row], after: int, tell: Callable[[Collection[str], int], None]) -> Iterator[Row]:
    """The rows as they are. tell: called once, after `after` rows or all, with the columns in the order in which they
    were seen and in how many rows that was.

    Rows that do not read are not counted; where none reads it is not called.
    """
    seen: dict[str, None] = {}
    count = 0
    told = False
    for row in rows:
        yield row
        if not told and row.fields is not None:
            seen.update(dict.fromkeys(row.fields))
            count += 1
            if count == after:
                told = True
                tell(seen, count)
    if not told and count:
        tell(seen, count)
