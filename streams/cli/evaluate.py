"""`streamgauge evaluate`: the detectors of the stream over files whose truth is known."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import orjson
import typer
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from streams.cli.options import ConfigOption, DelimiterOption, JsonOption, PairsDelimiterOption, load_settings

__all__ = ["anomalies", "duplicates", "matcher"]


def duplicates(
    contract: Annotated[Path, typer.Option(metavar="FILE", help="The contract of the product topic.")],
    data: Annotated[
        list[Path],
        typer.Option(metavar="FILE", help="Records: CSV, JSON lines or Parquet; again for every further feed."),
    ],
    truth: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Truth as a file: each row a pair of ids that are one product.")
    ] = None,
    truth_columns: Annotated[
        str | None, typer.Option(metavar="A,B", help="The two columns of --truth, such as idA,idB.")
    ] = None,
    truth_cluster: Annotated[
        str | None,
        typer.Option(metavar="COLUMN", help="Truth as a column of the data: rows with the same value are one product."),
    ] = None,
    delimiter: Annotated[
        str | None, typer.Option(help="Between the fields of data and truth. Default: a comma; a tab for .tsv.")
    ] = None,
    interleave: Annotated[bool, typer.Option(help="Mix the files by position instead of one after the other.")] = False,
    errors: Annotated[
        int,
        typer.Option(
            min=0, metavar="N", help="Explain the N worst wrong links and N missed pairs, and list N variants."
        ),
    ] = 0,
    curve: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write what other thresholds would have given, as CSV.")
    ] = None,
    plot: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Draw the same into a PNG; needs `pip install 'streamgauge\\[plot]'`."),
    ] = None,
    config: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Settings as TOML: the encoder and where models are kept.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Stream files through the worker's detectors and compare the clusters found with the truth.

    Truth as pairs, two shops:

      streamgauge evaluate duplicates --contract shop.yaml --data a.csv --data b.csv
        --truth pairs.csv --truth-columns idA,idB

    Truth as a column of the data, with the ten worst mistakes explained:

      streamgauge evaluate duplicates --contract shop.yaml --data offers.csv
        --truth-cluster product_id --errors 10

    With two files the first of the truth's columns names ids of the first file, the second those of the second. Where
    --truth-cluster is the column that the contract calls id, every row is a record of its own. Precision, recall and
    f1 are over all pairs inside the final clusters. Products link only to what came before them.

    What the lines mean:

    truth unknown: true pairs that no other line counts. With --truth those that name an id that no product has; with
    --truth-cluster those of a row that reads and is no product, such as one without an id. Other rows that were left
    out are in no line: one that does not read has no value in that column, and of rows with one id the last counts.

    recall at 1, at 10: how often a product's true partner was its first candidate, or among its first ten.

    pairs: same are links, variant are pairs said to be another colour, size, pack or version of one product.

    caution: 0 to 1. The evidence of a pair adds up to a score, and a pair is taken for one product from -3.00 on. The
    fewer products with a code are listed twice, the more is asked of pairs that share no code; at 1 most is asked.
    """
    from detectors.contract.load import load_contract
    from models.encoder import load_encoder
    from streams.cli import screen
    from streams.cli.duplicates_report import print_report
    from streams.cli.input_told import InputTold
    from streams.errors import InputError
    from streams.evaluate.duplicates import evaluate_duplicates
    from streams.evaluate.duplicates.curve import write_curve
    from streams.evaluate.duplicates.plot import ensure_plotting, plot_curve

    columns = _truth_columns(truth, truth_columns, truth_cluster)
    for file in (curve, plot):
        if file is not None and not file.absolute().parent.is_dir():
            raise InputError(f"There is no folder {file.parent} for {file.name}.", "Make it first.")
    if plot is not None:
        ensure_plotting()
    settings = load_settings(config)
    product_contract = load_contract(contract)
    given = InputTold()
    with Progress(console=screen.errors, transient=True, disable=not screen.errors.is_terminal) as progress:
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
            encoder,
            truth=truth,
            truth_columns=columns,
            truth_cluster=truth_cluster,
            delimiter=delimiter,
            interleave=interleave,
            errors=errors,
            curve=curve is not None or plot is not None,
            on_input=given,
            progress=lambda n: progress.update(streaming, completed=n, description=f"{n:,} records"),
            curve_progress=lambda share: progress.update(
                streaming, total=1.0, completed=share, description="other thresholds"
            ),
        )
    if curve is not None:
        write_curve(curve, report.curve or ())
    if plot is not None:
        plot_curve(plot, report.curve or (), ", ".join(file.name for file in data))
    if as_json:
        typer.echo(orjson.dumps({**dataclasses.asdict(report), "input": given.report}).decode())
        return
    print_report(screen.output, report, encoder.description)


def _truth_columns(truth: Path | None, columns: str | None, cluster: str | None) -> tuple[str, str] | None:
    """The two columns of a file of pairs; None where the truth is a column of the data. Raises: InputError."""
    from streams.errors import InputError

    if truth is not None and cluster is not None:
        raise InputError("--truth and --truth-cluster are both given.", "Give one: a file of pairs or a column.")
    if cluster is not None:
        if columns is not None:
            raise InputError("--truth-columns belongs to --truth.", "Leave it out beside --truth-cluster.")
        return None
    if truth is None:
        raise InputError(
            "Nothing says which records are the same product.",
            "Give --truth FILE with --truth-columns, or --truth-cluster COLUMN.",
        )
    first, _, second = (columns or "").partition(",")
    if not first.strip() or not second.strip() or "," in second:
        given = "is missing" if columns is None else f"{columns!r} does not name two columns"
        raise InputError(f"--truth-columns {given}.", "Write the two columns of --truth as idA,idB.")
    return first.strip(), second.strip()


def anomalies(
    contract: Annotated[Path, typer.Option(help="The contract of the product topic.")],
    data: Annotated[list[Path], typer.Option(help="A file of products; repeatable.")],
    model: Annotated[
        Path | None, typer.Option(help="A trained model's folder. Default: one is trained on 70 % of the records.")
    ] = None,
    fault_rate: Annotated[
        float, typer.Option(min=0.001, max=0.5, help="Share of the held-out records that are given a fault.")
    ] = 0.05,
    limit: Annotated[int, typer.Option(min=200, help="Records of the files, at most.")] = 10_000,
    seed: Annotated[int, typer.Option(help="For the faults planted; not the one of training.")] = 1_000_003,
    delimiter: DelimiterOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Plant faults in records held out from training; measure what is found, what is accused, what is repaired.

    Planted are: prices ten or a hundred times too high or low, or placeholders; another currency; another product's
    brand, category or description; brands mistyped; brands and categories missing; titles with a phrase twice, read in
    the wrong encoding, with HTML or with control characters; prices as texts (EUR 1.299,00; 特价 - 99元); values that
    the contract lists in other case; and behaviour events of these products with prices a power of ten off. So every
    kind of repair that is applied by default is measured; one without a place in your contract shows 0 applied.

    The file's records are taken for sound, so a real fault of the file counts as a false alarm.
    """
    from detectors.contract.load import load_contract
    from models.anomaly import AnomalyModel
    from models.anomaly_training import train_anomalies
    from streams.cli.input_told import InputTold
    from streams.cli.train import load_with_progress, progress_bar
    from streams.evaluate.anomalies import evaluate_anomalies, split
    from streams.logs import configure_logs
    from streams.sample import read_sample, with_neighbours

    settings = load_settings(config)
    configure_logs(settings.log_format, settings.log_level)
    products = load_contract(contract)
    scorer = None if model is None else AnomalyModel.load(model)
    given = InputTold()
    records = read_sample(products, data, delimiter=delimiter, limit=limit, on_input=given)
    encoder = load_with_progress(settings)
    with progress_bar() as progress:
        progress("looking up neighbours", 0.0)
        learn, held_out = split(with_neighbours(products, records, encoder, k=settings.neighbours))
        progress("learning", 0.2)
        report = evaluate_anomalies(
            products,
            learn,
            held_out,
            scorer or train_anomalies(learn),
            fault_rate=fault_rate,
            seed=seed,
            auto_apply=settings.auto_apply,
            progress=lambda share: progress("planting faults", 0.4 + 0.6 * share),
        )
    if as_json:
        typer.echo(orjson.dumps({**dataclasses.asdict(report), "input": given.report}).decode())
        return
    console = Console()
    console.print(f"{report.records:,} products, {report.held_out:,} held out, {report.fault_rate:.1%} with a fault")
    _print_table(console, "fault", ("planted", "recall", "recall_all"), report.faults)
    _print_table(console, "kind", ("precision", "recall", "false_alarms"), report.kinds)
    _print_table(console, "repair applied", ("applied", "precision", "unjudged"), report.repairs)


def matcher(
    model: Annotated[Path, typer.Option(metavar="FOLDER", help="The trained matcher.")],
    contract: Annotated[Path, typer.Option(metavar="FILE", help="The contract of the product topic.")],
    data: Annotated[list[Path], typer.Option(metavar="FILE", help="A file of products; twice for two feeds.")],
    pairs: Annotated[Path, typer.Option(metavar="FILE", help="Labelled pairs: two ids, and 1 (the same) or 0.")],
    pair_columns: Annotated[
        str, typer.Option(metavar="A,B,LABEL", help="Its columns, such as ltable_id,rtable_id,label.")
    ],
    delimiter: DelimiterOption = None,
    pairs_delimiter: PairsDelimiterOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Stream files with a trained matcher deciding, and compare the clusters with labelled pairs.

    precision, recall and f1 judge each pair on its own, with all products of the files known; "stream" counts a pair as
    found where both records are in one cluster at the end of the stream. Measure on pairs that the matcher was not
    trained on.
    """
    from detectors.contract.load import load_contract
    from models.matcher import load_matcher
    from streams.cli.input_told import InputTold
    from streams.cli.train import load_with_progress, progress_bar
    from streams.evaluate.matcher import evaluate_matcher
    from streams.evaluate.matcher import pair_columns as three_columns

    settings = load_settings(config)
    columns = three_columns(pair_columns)
    trained = load_matcher(model)
    products = load_contract(contract)
    encoder = load_with_progress(settings)
    given = InputTold()
    with progress_bar() as progress:
        report = evaluate_matcher(
            products,
            data,
            pairs,
            columns,
            encoder,
            trained,
            delimiter=delimiter,
            pairs_delimiter=pairs_delimiter,
            on_input=given,
            progress=lambda n: progress(f"{n:,} records", 0.5),
        )
    result = dataclasses.asdict(report)
    if as_json:
        typer.echo(orjson.dumps({**result, "input": given.report}).decode())
        return
    table = Table("", "", show_header=False, title=trained.name)
    for name, value in {**result, **{f"stream {k}": v for k, v in report.stream.items()}}.items():
        if not isinstance(value, dict):
            table.add_row(name.replace("_", " "), f"{value:,}" if isinstance(value, int) else f"{value:.4g}")
    Console().print(table)


def _print_table(console: Console, name: str, columns: Sequence[str], rows: Mapping[str, object]) -> None:
    table = Table(name, *(column.replace("_", " ") for column in columns))
    for key, row in rows.items():
        values = (getattr(row, column) for column in columns)
        table.add_row(key, *("none" if v is None else f"{v:,}" if isinstance(v, int) else f"{v:.4g}" for v in values))
    console.print(table)
