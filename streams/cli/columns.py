"""The format of a file that a command is given, and the columns that its rows have."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from streams.files import FileFormat, format_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from streams.files import Row

__all__ = ["format_told", "noting_columns"]


def format_told(path: Path, format: FileFormat | None) -> FileFormat:  # noqa: A002 -- the option's name
    """What `--format` says, or else the file's name. Raises: FileError."""
    return format or format_of(path, "add --format csv, jsonl or parquet")


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
