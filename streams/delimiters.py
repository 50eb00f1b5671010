"""Which sign is between the fields of a CSV file, where it is another than the one it was read with."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from itertools import islice
from pathlib import Path

from streams.files import FileError, FileFormat, delimiter_of, format_of

__all__ = ["asked_delimiter", "likely_delimiter", "no_column"]

_LINES = 20
_LONGEST_LINE = 100_000  # bytes
_NAMES = {"\t": "a tab", ";": "';'", "|": "'|'", ",": "a comma"}
_MANY = {"\t": "tabs", ",": "commas"}


def likely_delimiter(path: Path, format: FileFormat | None = None, given: str | None = None) -> tuple[str, str] | None:  # noqa: A002 -- the option's name
    """(delimiter, how to call it) of a CSV file that has several columns with it, and one with the delimiter given.

    format, given: as `read_rows` has them. Raises: FileError.
    """
    if str(path) == "-" or not path.is_file() or (format or format_of(path)) is not FileFormat.CSV:
        return None
    with path.open("rb") as file:
        raw = list(islice(iter(lambda: file.readline(_LONGEST_LINE), b""), _LINES))
    lines = [line.decode("utf-8", "replace").removeprefix("\ufeff").rstrip("\r\n") for line in raw]
    lines = [line for line in lines if line.strip()]
    if not lines or _widths(lines[:1], delimiter_of(path, given)) != [1]:
        return None
    for delimiter, name in _NAMES.items():
        widths = _widths(lines, delimiter)
        # The header has several fields, and most rows have as many.
        if widths and widths[0] > 1 and 2 * sum(width == widths[0] for width in widths) > len(widths):
            return delimiter, name
    return None


def asked_delimiter(
    path: Path,
    format: FileFormat | None = None,  # noqa: A002 -- the option's name
    given: str | None = None,
    option: str = "--delimiter",
) -> str | None:
    """What a file has and whether another delimiter was meant, to stand behind `has`; None where none is likely.

    option: that sets it. Raises: FileError.
    """
    found = likely_delimiter(path, format, given)
    if found is None:
        return None
    delimiter, name = found
    used = delimiter_of(path, given)
    one, several = _MANY.get(used, repr(used)), _MANY.get(delimiter, name)
    return f"one column between {one} and several between {several}: is {option} {delimiter!r} meant?"


def no_column(
    path: Path,
    column: str,
    there: Iterable[str],
    columns_option: str,
    given: str | None,
    delimiter_option: str = "--delimiter",
) -> FileError:
    """The error of a file of which a column is named that it has not, with the options that may be set."""
    asked = asked_delimiter(path, given=given, option=delimiter_option)
    if asked is not None:
        return FileError(f"{path} has no column {column!r}: it has {asked}")
    todo = f"set {columns_option}" + (f" or {delimiter_option}" if format_of(path) is FileFormat.CSV else "")
    return FileError(f"{path} has no column {column!r}, it has {', '.join(there)}: {todo}.")


def _widths(lines: list[str], delimiter: str) -> list[int]:
    try:
        return [len(fields) for fields in csv.reader(lines, delimiter=delimiter)]
    except csv.Error:
        return []
