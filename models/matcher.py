"""Training of the matcher: boosted trees on labelled pairs, chosen and measured by cross-validation."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
from numpy.typing import NDArray

from detectors.duplicates.matcher import COLUMNS, FILES, Matcher, MatcherError
from models.errors import ArtefactError, TrainingError
from models.folder import check_folder, written_folder

__all__ = ["LabelledPairs", "check_matcher_folder", "load_matcher", "save_matcher", "train_matcher"]

_FOLDS = 5
_LEAST = 20  # labels of each kind
# Trees, their leaves, and the fewest labels in a leaf, from cautious to bold.
_CHOICES = ((40, 4, 20), (120, 8, 20), (250, 15, 20))
_THRESHOLDS = np.arange(-4.0, 3.01, 0.125)


@dataclass(frozen=True, slots=True)
class LabelledPairs:
    """Candidates of a stream. later, earlier: (p,) identities. columns: (p, len(COLUMNS)).

    label: (p,) 1 the same, 0 another, -1 not labelled (they take part in the matching of the best). missed: labelled
    as the same, and no candidates.
    """

    later: Sequence[str]
    earlier: Sequence[str]
    columns: NDArray[np.float64]
    label: NDArray[np.int8]
    missed: int = 0


def train_matcher(pairs: LabelledPairs, seed: int = 0) -> Matcher:
    """A matcher that learned from these pairs.

    How many trees and which threshold is decided by cross-validation in five parts, all pairs of a product in one,
    by the F1 over the labelled pairs after each product is given to its best match, as the stream does it.

    Raises: TrainingError for too few labels.
    """
    label = pairs.label
    same, other = int((label == 1).sum()), int((label == 0).sum())
    if min(same, other) < _LEAST:
        raise TrainingError(
            f"{same} pairs that are the same and {other} that are not are among the candidates; {_LEAST} of each are "
            "the least to learn from.",
            "Label more pairs, or check --data, --pairs and --pair-columns.",
        )
    part = np.array([zlib.crc32(identity.encode("utf-8", "replace")) % _FOLDS for identity in pairs.later])
    best: tuple[float, int, float] | None = None
    found: dict[str, Any] = {}
    for choice in range(len(_CHOICES)):
        scores = np.zeros(len(label))
        for fold in range(_FOLDS):
            inside, outside = (part != fold) & (label >= 0), part == fold
            if len(np.unique(label[inside])) < 2 or not outside.any():
                continue
            booster = _fit(pairs.columns[inside], label[inside], choice, seed)
            scores[outside] = _raw(booster, pairs.columns[outside])
        threshold, precision, recall, f1 = _best_threshold(pairs, scores)
        if best is None or f1 > best[0] + 1e-3:
            best = (f1, choice, threshold)
            found = {"precision": precision, "recall": recall, "f1": f1}
    assert best is not None
    rule = _measured(pairs, couples(pairs, pairs.columns[:, COLUMNS.index("rule")], -1.5))
    report = {
        "pairs": same + other + pairs.missed,
        "same": same + pairs.missed,
        "not_candidates": pairs.missed,
        "cross_validated": {name: round(value, 4) for name, value in found.items()},
        "rule_alone": dict(zip(("precision", "recall", "f1"), (round(x, 4) for x in rule), strict=True)),
        "trees": _CHOICES[best[1]][0],
    }
    labelled = label >= 0
    return Matcher.of(_fit(pairs.columns[labelled], label[labelled], best[1], seed), best[2], report)


def check_matcher_folder(folder: Path) -> None:
    """Raises: ArtefactError for a folder that holds other files."""
    check_folder(folder, FILES)


def save_matcher(matcher: Matcher, folder: Path) -> None:
    """Write a matcher into a folder; one that is there is replaced. Raises: ArtefactError."""
    with written_folder(folder, FILES) as unfinished:
        matcher.write(unfinished)


def load_matcher(folder: Path) -> Matcher:
    """The matcher of a folder. Raises: ArtefactError."""
    try:
        return Matcher.load(folder)
    except MatcherError as error:
        raise ArtefactError(str(error), "Make one with `streamgauge train matcher`.") from error


def couples(pairs: LabelledPairs, scores: NDArray[np.float64], threshold: float) -> NDArray[np.bool_]:
    """(p,) the pairs that remain when each product has one partner at most, best pairs first."""
    taken: set[str] = set()
    kept = np.zeros(len(scores), bool)
    order = np.argsort(-scores, kind="stable")
    for i in order[scores[order] >= threshold].tolist():
        a, b = pairs.later[i], pairs.earlier[i]
        if a not in taken and b not in taken:
            taken.update((a, b))
            kept[i] = True
    return kept


def _best_threshold(pairs: LabelledPairs, scores: NDArray[np.float64]) -> tuple[float, float, float, float]:
    """Threshold, precision, recall, F1. A greedy matching to a threshold is the beginning of that to a lower one."""
    kept = couples(pairs, scores, float(_THRESHOLDS[0]))
    found = [(float(t), *_measured(pairs, kept & (scores >= t))) for t in _THRESHOLDS]
    return max(found, key=lambda row: (row[3], row[0]))


def _measured(pairs: LabelledPairs, kept: NDArray[np.bool_]) -> tuple[float, float, float]:
    right, wrong = int((kept & (pairs.label == 1)).sum()), int((kept & (pairs.label == 0)).sum())
    precision = right / max(1, right + wrong)
    recall = right / max(1, int((pairs.label == 1).sum()) + pairs.missed)
    return precision, recall, 2 * precision * recall / max(precision + recall, 1e-12)


def _fit(columns: NDArray[np.float64], label: NDArray[np.int8], choice: int, seed: int) -> Any:
    trees, leaves, fewest = _CHOICES[choice]
    rule = np.ascontiguousarray(columns[:, COLUMNS.index("rule")])
    data = lightgbm.Dataset(columns, label, init_score=rule, params={"verbose": -1})
    options = {
        "objective": "binary",
        "num_leaves": leaves,
        "min_data_in_leaf": fewest,
        "learning_rate": 0.05,
        "bagging_fraction": 0.8,
        "bagging_freq": 1,
        "feature_fraction": 0.5,
        "lambda_l2": 5.0,
        "deterministic": True,
        "force_row_wise": True,
        "num_threads": 1,
        "seed": seed,
        "verbose": -1,
    }
    return lightgbm.train(options, data, trees)


def _raw(booster: Any, columns: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(columns[:, COLUMNS.index("rule")] + booster.predict(columns, raw_score=True, num_threads=1))
