"""What other thresholds would have given: the clusters of the same statements, cut at one score after the other."""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from dataclasses import astuple, dataclass, fields, replace
from pathlib import Path

from detectors.duplicates.links import LinkOwner
from detectors.duplicates.score import THRESHOLD
from detectors.duplicates.statement import Statement
from streams.errors import InputError
from streams.evaluate.duplicates.run import Run
from streams.evaluate.duplicates.scores import cluster_scores
from streams.evaluate.duplicates.truth import Truth

__all__ = ["LOWEST", "CurvePoint", "threshold_curve", "write_curve"]

_STEP = 0.25
_BELOW, _ABOVE = 8, 20  # steps
LOWEST = THRESHOLD - _BELOW * _STEP


@dataclass(frozen=True, slots=True)
class CurvePoint:
    """The scores of the final clusters, had the rule taken pairs from this score on.

    threshold: in points of the rule. chosen: whether it is the rule's own. links: that hold. pairs: inside clusters.
    """

    threshold: float
    chosen: bool
    links: int
    pairs: int
    precision: float
    recall: float
    f1: float
    bcubed_precision: float
    bcubed_recall: float
    bcubed_f1: float


def threshold_curve(run: Run, truth: Truth, progress: Callable[[float], None] | None = None) -> list[CurvePoint]:
    """One point for each threshold, lowest first, up to the last that links anything; at least to the rule's own.

    The run must have kept statements from `LOWEST` on.
    """
    points = []
    for i in range(-_BELOW, _ABOVE + 1):
        threshold = THRESHOLD + i * _STEP
        owner = LinkOwner(threshold)
        owner.apply(_cut(statement, threshold) for statement in run.said_below)
        clusters = {identity: owner.canonical(identity) for identity in run.view.identities()}
        counts = truth.counts(clusters)
        if i > 0 and not counts.found:
            break
        scores = cluster_scores(list(clusters.values()), [truth.product[identity] for identity in clusters])
        points.append(
            CurvePoint(
                threshold=threshold,
                chosen=i == 0,
                links=len(owner.links()),
                pairs=counts.found,
                precision=round(counts.precision, 4),
                recall=round(counts.recall, 4),
                f1=round(counts.f1, 4),
                bcubed_precision=scores.bcubed_precision,
                bcubed_recall=scores.bcubed_recall,
                bcubed_f1=scores.bcubed_f1,
            )
        )
        if progress is not None:
            progress(len(points) / (_BELOW + _ABOVE + 1))
    return points


def write_curve(path: Path, points: Sequence[CurvePoint]) -> None:
    """Write the points as CSV, one column for each field of `CurvePoint`. Raises: InputError."""
    try:
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow([field.name for field in fields(CurvePoint)])
            writer.writerows([int(x) if isinstance(x, bool) else x for x in astuple(point)] for point in points)
    except OSError as error:
        raise InputError(f"Cannot write {path}: {error.strerror}.", "Name a file in a folder that is there.") from error


def _cut(statement: Statement, threshold: float) -> Statement:
    kept = tuple(c for c in statement.candidates if c.score >= threshold)
    return replace(statement, candidates=kept)
