"""`streamgauge contract check | draft`."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer

from detectors.contract.check import check_contract, contract_advice
from detectors.contract.draft import SAMPLE, draft_contract
from detectors.contract.load import parse_contract
from detectors.contract.presence import Absent, absent_columns
from streams.cli.columns import format_told
from streams.cli.screen import errors
from streams.delimiters import likely_delimiter
from streams.errors import InputError
from streams.files import FileFormat, read_rows

__all__ = ["check", "draft"]


def check(
    file: Annotated[Path, typer.Argument(help="The contract: Open Data Contract Standard v3, YAML.")],
    data: Annotated[
        Path | None,
        typer.Option("--data", help="A sample: say too which columns of the contract are in none of its rows."),
    ] = None,
    delimiter: Annotated[str | None, typer.Option("--delimiter", help="Between the fields of CSV.")] = None,
    format: Annotated[FileFormat | None, typer.Option("--format", help="Where the name does not tell.")] = None,  # noqa: A002 -- the option's name
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Say what is wrong with a contract, in which line, and what would be right. Exit code 1 if anything is.

    Warnings are of what can be used and is hardly meant so; they leave the exit code as it is. With --data, a column
    that no row has is wrong where the contract requires it or the id or title is in it, else a warning.
    """
    try:
        text = file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise InputError(f"{file} is not UTF-8.", "Convert it first, for example with iconv.") from None
    except OSError as error:
        raise InputError(f"{file} cannot be read: {error.strerror}.", "Check the path.") from None
    problems, advice = check_contract(text), contract_advice(text)
    absent: list[Absent] = []
    if data is not None and not problems:
        rows, _ = _sample(data, delimiter, format)
        if not rows:
            raise InputError(f"{data} has no rows to look at.", "Give a sample of a few hundred.")
        absent = absent_columns(parse_contract(text, str(file)), dict.fromkeys(name for row in rows for name in row))
    wrong = len(problems) + sum(column.needed for column in absent)
    if json:
        listed, advised = (
            [{"line": p.line, "path": p.path, "message": p.message, "suggestion": p.suggestion} for p in those]
            for those in (problems, advice)
        )
        result = {"file": str(file), "ok": not wrong, "problems": listed, "warnings": advised, "absent": absent}
        typer.echo(orjson.dumps(result))
        raise typer.Exit(1 if wrong else 0)
    for warning, those in ((False, problems), (True, advice)):
        for problem in those:
            where = f"{file}:{problem.line}: {problem.path + ': ' if problem.path else ''}"
            typer.echo(f"{where}{'warning: ' if warning else ''}{problem.message}")
            if problem.suggestion:
                typer.echo(f"    {problem.suggestion}")
    for column in absent:
        typer.echo(f"{data}: {'' if column.needed else 'warning: '}{column}")
    warnings = len(advice) + len(absent) - sum(column.needed for column in absent)
    if wrong:
        typer.echo(f"{wrong} problem{'s' if wrong > 1 else ''}. Mend what is named, and check again.")
    else:
        typer.echo(f"{file} is a sound contract" + (f", with {warnings} warning(s)." if warnings else "."))
    raise typer.Exit(1 if wrong else 0)


def draft(
    data: Annotated[Path, typer.Option("--data", help="A sample: CSV, JSON lines or Parquet; - is standard input.")],
    topic: Annotated[str | None, typer.Option("--topic", help="The topic it is for; else the file's name.")] = None,
    delimiter: Annotated[str | None, typer.Option("--delimiter", help="Between the fields of CSV.")] = None,
    format: Annotated[FileFormat | None, typer.Option("--format", help="Where the name does not tell.")] = None,  # noqa: A002 -- the option's name
) -> None:
    """Propose a contract from a sample, as YAML on standard output, each guess with its reason."""
    rows, malformed = _sample(data, delimiter, format)
    name = topic or (data.stem if str(data) != "-" else "products")
    try:
        text = draft_contract(rows, name, malformed)
    except ValueError:
        raise InputError(f"{data} has no rows to draft a contract from.", "Give a sample of a few hundred.") from None
    typer.echo(text, nl=False)


def _sample(path: Path, delimiter: str | None, format: FileFormat | None) -> tuple[list[dict[str, Any]], int]:  # noqa: A002 -- the same
    """The first rows of a file, and how many rows beside them do not read."""
    told = format_told(path, format)
    if delimiter is None and (found := likely_delimiter(path, told)) is not None:
        delimiter, name = found
        errors.print(
            f"The fields of {path} are taken to be between {name}; --delimiter says otherwise.",
            markup=False,
            soft_wrap=True,
        )
    rows = [row.fields for row in islice(read_rows(path, delimiter, told), SAMPLE)]
    good = [fields for fields in rows if fields is not None]
    return good, len(rows) - len(good)
