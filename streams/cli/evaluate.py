"""`streamgauge evaluate`: the detectors of the stream over files whose truth is known."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated

import orjson
import typer
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

__all__ = ["duplicates"]


def duplicates(
    contract: Annotated[Path, typer.Option(help="The contract of the product topic.")],
    data: Annotated[list[Path], typer.Option(help="A file of records; twice for two feeds.")],
    truth: Annotated[Path, typer.Option(help="A file of pairs that are the same product.")],
    truth_columns: Annotated[str, typer.Option(help="Its two columns, such as idA,idB.")],
    delimiter: Annotated[str, typer.Option(help="Between the fields of data and truth.")] = ",",
    interleave: Annotated[bool, typer.Option(help="Mix two files by position.")] = False,
    config: Annotated[
        Path | None, typer.Option(help="Settings as TOML: the encoder and where models are kept.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Stream files through the worker's detectors and compare the duplicates found with the true pairs.

    With two files the first of the truth's columns names ids of the first file, the second those of the second.
    """
    from detectors.contract.load import load_contract
    from models.encoder import load_encoder
    from streams.errors import InputError
    from streams.evaluate.duplicates import evaluate_duplicates
    from streams.settings import Settings

    first, _, second = truth_columns.partition(",")
    if not first.strip() or not second.strip() or "," in second:
        raise InputError(f"--truth-columns {truth_columns!r} does not name two columns.", "Write it as idA,idB.")
    settings = Settings.from_file(config)
    product_contract = load_contract(contract)
    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        loading = progress.add_task("encoder", total=1.0)
        encoder = load_encoder(
            settings.encoder,
            settings.encoder_path,
            cache_dir=settings.cache_dir,
            allow_download=settings.allow_download,
            progress=lambda what, share: progress.update(loading, description=what, completed=share),
        )
        progress.update(loading, visible=False)
        streaming = progress.add_task("records", total=None)
        report = evaluate_duplicates(
            product_contract,
            data,
            truth,
            (first.strip(), second.strip()),
            encoder,
            delimiter=delimiter,
            interleave=interleave,
            progress=lambda n: progress.update(streaming, completed=n, description=f"{n:,} records"),
        )
    result = dataclasses.asdict(report)
    if as_json:
        typer.echo(orjson.dumps(result).decode())
        return
    table = Table("", "", show_header=False, title=f"Duplicates, {encoder.description}")
    for name, value in result.items():
        table.add_row(name.replace("_", " "), f"{value:,}" if isinstance(value, int) else f"{value:.4g}")
    Console().print(table)
