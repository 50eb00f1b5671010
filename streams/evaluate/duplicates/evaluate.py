"""Streams files through the detectors of the worker and compares the clusters with the truth."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, islice, repeat, zip_longest
from pathlib import Path

import orjson

from detectors.contract.model import Contract, Kind, Role
from models.protocol import Encoder
from streams.errors import InputError
from streams.evaluate.duplicates.curve import LOWEST, CurvePoint, threshold_curve
from streams.evaluate.duplicates.mistakes import Mistakes, find_mistakes
from streams.evaluate.duplicates.run import Run
from streams.evaluate.duplicates.scores import ClusterScores, cluster_scores
from streams.evaluate.duplicates.truth import read_pairs, truth_of_column, truth_of_pairs, value_of
from streams.files import Row
from streams.product_files import OnInput, ProductFiles

__all__ = ["DuplicatesReport", "evaluate_duplicates"]

_BATCH = 256

Progress = Callable[[int], None]
"""Called with the number of records handled so far."""


@dataclass(frozen=True, slots=True)
class DuplicatesReport:
    """What was found, against the truth.

    records: products in the end. truth_unknown: true pairs that nothing below counts, as `Truth.unknown` has them.
    precision, recall, f1: over all pairs inside the final clusters, against the pairs as the truth gives them.
    recall_at_1, recall_at_10: of a file of pairs the share of true pairs whose earlier record was among the first 1 or
    10 candidates of the later one; of a column the share of records with a true partner before them that met one there.
    clusters: against the true clusters, the transitive closure of the true pairs. relations: pairs that hold at the
    end, by relation. caution: how much more was asked of pairs without a code, in the end. seconds: of all stages.
    errors, curve: where asked for.
    """

    records: int
    truth_unknown: int
    precision: float
    recall: float
    f1: float
    recall_at_1: float
    recall_at_10: float
    clusters: ClusterScores
    relations: Mapping[str, int]
    caution: float
    seconds: float
    seconds_by_stage: Mapping[str, float]
    errors: Mistakes | None = None
    curve: tuple[CurvePoint, ...] | None = None


def evaluate_duplicates(
    contract: Contract,
    files: Sequence[Path],
    encoder: Encoder,
    *,
    truth: Path | None = None,
    truth_columns: tuple[str, str] | None = None,
    truth_cluster: str | None = None,
    delimiter: str | None = None,
    interleave: bool = False,
    errors: int = 0,
    curve: bool = False,
    on_input: OnInput | None = None,
    progress: Progress | None = None,
    curve_progress: Callable[[float], None] | None = None,
) -> DuplicatesReport:
    """Stream files through the detectors and compare the clusters with the truth.

    truth, truth_columns: a file of pairs and its two columns. With two files the first column names ids of the first
    file, the second those of the second. truth_cluster: a column of the data instead; rows with the same value are one
    product. Where that is the contract's id, each row is a record of its own, known by its number.
    interleave: mix the files by position instead of one after the other. errors: how many mistakes to explain.
    curve: whether to try other thresholds, which takes a few times as long. on_input: is told what was left out.

    Raises: InputError (also where the data has no true pair), FileError, models.EncoderError.
    """
    if contract.kind is not Kind.PRODUCTS:
        raise InputError("Duplicates are looked for among products.", "Give the contract of a product topic.")
    pairs = None
    if truth is not None and truth_columns is not None:
        if not 1 <= len(files) <= 2:
            raise InputError(f"{len(files)} data files are given.", "Give --data once or twice.")
        pairs = read_pairs(truth, truth_columns, delimiter)
    rows_by_number = truth_cluster is not None and truth_cluster == contract.column_of(Role.ID)
    given = ProductFiles(contract, files, delimiter)
    run = Run(contract, encoder, keep_below=LOWEST if curve else None, took=given.took)
    values: dict[int, str] = {}
    rows = enumerate(_rows(given, len(files), interleave))
    while True:
        with run.stage("read"):
            chunk = list(islice(rows, _BATCH))
        if not chunk:
            break
        batch = []
        for number, (part, row) in chunk:
            value = None
            if truth_cluster is not None and (name := value_of(row, truth_cluster, files[part], delimiter)) is not None:
                values[number] = name
                if rows_by_number:
                    value = orjson.dumps({**(row.fields or {}), truth_cluster: str(number)})
            batch.append(given.record(part, row, value))
        run.take(batch)
        if progress is not None:
            progress(number + 1)
    given.finish(on_input)
    if pairs is not None:
        true = truth_of_pairs(pairs, run, len(files) - 1)
    else:
        true = truth_of_column(values, truth_cluster or "", run)
    clusters = run.clusters()
    counts = true.counts(clusters)
    return DuplicatesReport(
        records=len(run.view),
        truth_unknown=true.unknown,
        precision=round(counts.precision, 4),
        recall=round(counts.recall, 4),
        f1=round(counts.f1, 4),
        recall_at_1=round(true.recall_at(1, run), 4),
        recall_at_10=round(true.recall_at(10, run), 4),
        clusters=cluster_scores(list(clusters.values()), [true.product[identity] for identity in clusters]),
        relations=run.relations(),
        caution=run.owner.caution,
        seconds=round(sum(run.seconds.values()), 3),
        seconds_by_stage={name: round(seconds, 3) for name, seconds in run.seconds.items()},
        errors=find_mistakes(run, true, clusters, errors) if errors else None,
        curve=tuple(threshold_curve(run, true, curve_progress)) if curve else None,
    )


def _rows(given: ProductFiles, files: int, interleave: bool) -> Iterator[tuple[int, Row]]:
    """(number of the file, row) in the order of the stream."""
    tagged = [zip(repeat(part), given.rows(part)) for part in range(files)]
    if not interleave:
        return chain.from_iterable(tagged)
    return (item for together in zip_longest(*tagged) for item in together if item is not None)
