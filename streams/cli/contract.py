"""`streamgauge contract check | draft`."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer

from detectors.contract.check import check_contract
from detectors.contract.draft import SAMPLE, draft_contract
from streams.errors import InputError
from streams.files import FileFormat, read_rows

__all__ = ["check", "draft"]


def check(
    file: Annotated[Path, typer.Argument(help="The contract: Open Data Contract Standard v3, YAML.")],
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Say what is wrong with a contract, in which line, and what would be right. Exit code 1 if anything is."""
    try:
        text = file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise InputError(f"{file} is not UTF-8.", "Convert it first, for example with iconv.") from None
    except OSError as error:
        raise InputError(f"{file} cannot be read: {error.strerror}.", "Check the path.") from None
    problems = check_contract(text)
    if json:
        listed = [{"line": p.line, "path": p.path, "message": p.message, "suggestion": p.suggestion} for p in problems]
        typer.echo(orjson.dumps({"file": str(file), "ok": not problems, "problems": listed}))
    elif problems:
        for problem in problems:
            typer.echo(f"{file}:{problem.line}: {problem.path + ': ' if problem.path else ''}{problem.message}")
            if problem.suggestion:
                typer.echo(f"    {problem.suggestion}")
        typer.echo(f"{len(problems)} problem{'s' if len(problems) > 1 else ''}. Mend the lines named, and check again.")
    else:
        typer.echo(f"{file} is a sound contract.")
    raise typer.Exit(1 if problems else 0)


def draft(
    data: Annotated[Path, typer.Option("--data", help="A sample: CSV, JSON lines or Parquet; - is standard input.")],
    topic: Annotated[str | None, typer.Option("--topic", help="The topic it is for; else the file's name.")] = None,
    delimiter: Annotated[str | None, typer.Option("--delimiter", help="Between the fields of CSV.")] = None,
    format: Annotated[FileFormat | None, typer.Option("--format", help="Where the name does not tell.")] = None,  # noqa: A002 -- the option's name
) -> None:
    """Propose a contract from a sample, as YAML on standard output, each guess with its reason."""
    rows = _fields(data, delimiter, format)
    name = topic or (data.stem if str(data) != "-" else "products")
    try:
        text = draft_contract(rows, name)
    except ValueError:
        raise InputError(f"{data} has no rows to draft a contract from.", "Give a sample of a few hundred.") from None
    typer.echo(text, nl=False)


def _fields(path: Path, delimiter: str | None, format: FileFormat | None) -> Iterator[dict[str, Any]]:  # noqa: A002 -- the same
    for row in islice(read_rows(path, delimiter, format), SAMPLE):
        if row.fields is not None:
            yield row.fields
