"""`streamgauge train`: the static encoder, the anomaly classifier, and the matcher of duplicates."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import orjson
import typer

from streams.cli.options import ConfigOption, DelimiterOption, JsonOption, PairsDelimiterOption, load_settings
from streams.cli.screen import errors, output
from streams.logs import configure_logs

if TYPE_CHECKING:
    from detectors.contract.model import Contract
    from models.protocol import Encoder
    from streams.settings import Settings

__all__ = ["anomalies", "encoder", "load_with_progress", "matcher", "progress_bar"]


def encoder(
    out: Annotated[
        Path, typer.Option(metavar="FOLDER", help="Where the encoder is written; one that is there is replaced.")
    ],
    data: Annotated[
        list[Path] | None, typer.Option(metavar="FILE", help="Product files whose words it should know; repeatable.")
    ] = None,
    contract: Annotated[Path | None, typer.Option(help="The contract of these files.")] = None,
    dims: Annotated[int, typer.Option(min=16, max=384, help="Length of a vector.")] = 256,
    delimiter: DelimiterOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make the static encoder for the CPU from the transformer; about a minute on two cores.

    It knows words in Latin, Chinese and Japanese script. With --data also the words of these titles, whatever their
    script. Point encoder_path at the folder to use it: its vectors are
    not comparable with those of another encoder.
    """
    from detectors.duplicates.offer import facts_of
    from detectors.intake import Intake
    from models.distill import distil
    from models.encoder import texts_per_second
    from models.static import StaticEncoder
    from models.transformer import TransformerEncoder
    from models.weights import find_transformer
    from streams.errors import InputError
    from streams.sample import read_sample

    settings = load_settings(config)
    configure_logs(settings.log_format, settings.log_level)
    StaticEncoder.check_target(out)
    texts: list[str] = []
    if data:
        if contract is None:
            raise InputError("The columns of the files are not known.", "Name their contract with --contract.")
        products = _contract(contract)
        taken = Intake(products).take(read_sample(products, data, delimiter=delimiter))
        texts = [fact.title for fact in facts_of(taken.batch) if fact.title]
    with progress_bar() as progress:
        progress("loading the transformer", 0.0)
        folder = find_transformer(_teacher(settings), settings.cache_dir, allow_download=settings.allow_download)
        student = distil(TransformerEncoder(folder), dim=dims, texts=texts, progress=progress)
    student.save(out)
    speed = round(texts_per_second(student))
    if as_json:
        result = {"name": student.name, "dims": student.dim, "words": len(student.table), "texts_per_s": speed}
        typer.echo(orjson.dumps(result).decode())
        return
    output.print(f"{student.name}: {student.description}; {speed:,} short titles a second here.", soft_wrap=True)
    output.print(f"Use it: STREAMGAUGE_ENCODER=static STREAMGAUGE_ENCODER_PATH={out}", soft_wrap=True)


def anomalies(
    contract: Annotated[Path, typer.Option(help="The contract of the product topic.")],
    data: Annotated[list[Path], typer.Option(metavar="FILE", help="A sample of sound products; repeatable.")],
    out: Annotated[
        Path, typer.Option(metavar="FOLDER", help="Where the model is written; one that is there is replaced.")
    ],
    limit: Annotated[int, typer.Option(min=100, help="Records to learn from, at most.")] = 5_000,
    false_alarms: Annotated[
        float, typer.Option(min=0.00001, max=0.1, help="Share of sound records that each kind may accuse.")
    ] = 0.001,
    seed: Annotated[int, typer.Option(help="For the faults that it learns from.")] = 0,
    delimiter: DelimiterOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Train the anomaly classifier on a sample of your own products.

    It needs no labels: faults are put into the sample, and it learns to tell them apart. About 2,000 records with few
    faults of their own are good, some hundreds do. Point anomaly_model at the folder to use it.
    """
    from models.anomaly import AnomalyModel
    from models.anomaly_training import train_anomalies
    from streams.cli.input_told import InputTold
    from streams.sample import read_sample, with_neighbours

    settings = load_settings(config)
    configure_logs(settings.log_format, settings.log_level)
    AnomalyModel.check_target(out)
    products = _contract(contract)
    records = read_sample(products, data, delimiter=delimiter, limit=limit, on_input=InputTold())
    loaded = load_with_progress(settings)
    with progress_bar() as progress:
        progress("looking up neighbours", 0.0)
        batches = with_neighbours(products, records, loaded, k=settings.neighbours)
        progress("learning", 0.5)
        model = train_anomalies(batches, false_alarms=false_alarms, seed=seed)
    model.save(out)
    if as_json:
        typer.echo(orjson.dumps({"name": model.name, **model.report.as_dict()}).decode())
        return
    output.print(f"{model.name}, from {model.report.records:,} products. Found of the faults put in:")
    for fault, recall in model.report.recall.items():
        output.print(f"  {fault.replace('_', ' '):20} {recall:.0%}")
    output.print(f"Use it: STREAMGAUGE_ANOMALY_MODEL={out}", soft_wrap=True)


def matcher(
    contract: Annotated[Path, typer.Option(metavar="FILE", help="The contract of the product topic.")],
    data: Annotated[list[Path], typer.Option(metavar="FILE", help="A file of products; twice for two feeds.")],
    pairs: Annotated[Path, typer.Option(metavar="FILE", help="Labelled pairs: two ids, and 1 (the same) or 0.")],
    pair_columns: Annotated[
        str, typer.Option(metavar="A,B,LABEL", help="Its columns, such as ltable_id,rtable_id,label.")
    ],
    out: Annotated[
        Path, typer.Option(metavar="FOLDER", help="Where the matcher is written; one that is there is replaced.")
    ],
    valid: Annotated[
        Path | None, typer.Option(metavar="FILE", help="More labelled pairs, that the choices rest on too.")
    ] = None,
    delimiter: DelimiterOption = None,
    pairs_delimiter: PairsDelimiterOption = None,
    seed: Annotated[int, typer.Option(help="For the samples that each tree sees.")] = 0,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Train the matcher that decides which products are the same, on pairs that you have labelled.

    The files are streamed as the worker would; of each product the candidates are kept, and trees learn from the
    labelled ones what the rule gets wrong. Some hundred labels help, 20 of each kind are the least. With two files
    the first column names ids of the first file, the second those of the second. Figures are cross-validated: no pair
    is measured by trees that saw its product. Point matcher_model at the folder to use it.
    """
    from models.matcher import check_matcher_folder, save_matcher, train_matcher
    from streams.cli.input_told import InputTold
    from streams.evaluate.matcher import labelled_pairs
    from streams.evaluate.matcher import pair_columns as three_columns

    settings = load_settings(config)
    configure_logs(settings.log_format, settings.log_level)
    check_matcher_folder(out)
    columns = three_columns(pair_columns)
    products = _contract(contract)
    loaded = load_with_progress(settings)
    files = [pairs] if valid is None else [pairs, valid]
    with progress_bar() as progress:
        found = labelled_pairs(
            products,
            data,
            files,
            columns,
            loaded,
            delimiter=delimiter,
            pairs_delimiter=pairs_delimiter,
            on_input=InputTold(),
            progress=lambda n: progress(f"{n:,} records", 0.1),
        )
        progress("learning", 0.6)
        trained = train_matcher(found, seed)
    save_matcher(trained, out)
    if as_json:
        typer.echo(orjson.dumps({"name": trained.name, **trained.report}).decode())
        return
    report = trained.report
    output.print(
        f"{trained.name}, from {report['pairs']:,} labelled pairs; {report['same']:,} are the same product, "
        f"{report['not_candidates']:,} of them never met."
    )
    output.print("Cross-validated, on labelled pairs:")
    for name, key in (
        ("each pair on its own", "pairs_alone"),
        ("in the stream", "in_the_stream"),
        ("the rule in the stream", "rule_in_the_stream"),
    ):
        figures = ", ".join(f"{figure} {value:.3f}" for figure, value in report[key].items())
        output.print(f"  {name:24} {figures}")
    output.print(f"Use it: STREAMGAUGE_MATCHER_MODEL={out}", soft_wrap=True)


def load_with_progress(settings: Settings) -> Encoder:
    """The encoder of the settings; a bar on a terminal while it is made. Raises: models.EncoderError."""
    from models.encoder import load_encoder

    with progress_bar() as progress:
        return load_encoder(
            settings.encoder,
            settings.encoder_path,
            cache_dir=settings.cache_dir,
            allow_download=settings.allow_download,
            progress=progress,
        )


@contextmanager
def progress_bar() -> Iterator[Callable[[str, float], None]]:
    """A bar on the terminal of standard error, told what is being done and the share that is done."""
    from rich.progress import Progress

    with Progress(console=errors, transient=True, disable=not errors.is_terminal) as progress:
        task = progress.add_task("", total=1.0)
        yield lambda what, share: progress.update(task, description=what, completed=share)


def _contract(path: Path) -> Contract:
    from detectors.contract.load import load_contract

    return load_contract(path)


def _teacher(settings: Settings) -> Path | None:
    """The folder that the settings name, unless it holds a static encoder."""
    from models.static import is_static

    path = settings.encoder_path
    return None if path is None or is_static(path) else path
