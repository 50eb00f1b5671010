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

from detectors.duplicates.matcher import COLUMNS, FILES, Matcher, MatcherError, raw_scores, rivalled
from detectors.duplicates.rule import THRESHOLD
from models.errors import ArtefactError, TrainingError
from models.folder import check_folder, written_folder

__all__ = ["LabelledPairs", "check_matcher_folder", "load_matcher", "save_matcher", "train_matcher"]

_FOLDS = 5
_LEAST = 20  # labels of each kind
# Trees, their leaves, and whether they start from the rule, from cautious to bold.
_CHOICES = ((40, 4, True), (120, 8, True), (300, 15, False))
_FEWEST = 20  # labels in a leaf
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

    How many trees, and the thresholds, are decided by cross-validation in five parts, all pairs of a later product in
    one. What is known of rivals only when all products are, is left out of half of what the trees see, for a stream
    does not know it; the stream's threshold is that of the best F1 after each product is given to its best match.

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
    full = rivalled(pairs.columns, pairs.earlier)
    best: tuple[float, int] | None = None
    alone = streamed = (0.0, 0.0, 0.0, 0.0)
    for choice in range(len(_CHOICES)):
        scores, scores_streamed = np.zeros(len(label)), np.zeros(len(label))
        for fold in range(_FOLDS):
            inside, outside = (part != fold) & (label >= 0), part == fold
            if len(np.unique(label[inside])) < 2 or not outside.any():
                continue
            booster = _fit(full[inside], pairs.columns[inside], label[inside], choice, seed)
            from_rule = _CHOICES[choice][2]
            scores[outside] = raw_scores(booster, full[outside], from_rule=from_rule)
            scores_streamed[outside] = raw_scores(booster, pairs.columns[outside], from_rule=from_rule)
        found = _best_threshold(pairs, scores, np.ones(len(label), bool))
        if best is None or found[3] > best[0] + 2e-3:
            best, alone = (found[3], choice), found
            streamed = _best_threshold(pairs, scores_streamed, couples(pairs, scores_streamed, float(_THRESHOLDS[0])))
    assert best is not None
    rule_scores = pairs.columns[:, COLUMNS.index("rule")]
    rule = _measured(pairs, couples(pairs, rule_scores, THRESHOLD))
    report = {
        "pairs": same + other + pairs.missed,
        "same": same + pairs.missed,
        "not_candidates": pairs.missed,
        "pairs_alone": _figures(alone[1:]),
        "in_the_stream": _figures(streamed[1:]),
        "rule_in_the_stream": _figures(rule),
        "trees": _CHOICES[best[1]][0],
    }
    labelled = label >= 0
    booster = _fit(full[labelled], pairs.columns[labelled], label[labelled], best[1], seed)
    return Matcher.of(booster, streamed[0], alone[0], report, from_rule=_CHOICES[best[1]][2])


def _figures(values: Sequence[float]) -> dict[str, float]:
    return {name: round(value, 4) for name, value in zip(("precision", "recall", "f1"), values, strict=True)}


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


def _best_threshold(
    pairs: LabelledPairs, scores: NDArray[np.float64], kept: NDArray[np.bool_]
) -> tuple[float, float, float, float]:
    """Threshold, precision, recall, F1. kept: pairs that count at the lowest threshold.

    A greedy matching to a threshold is the beginning of that to a lower one.
    """
    found = [(float(t), *_measured(pairs, kept & (scores >= t))) for t in _THRESHOLDS]
    return max(found, key=lambda row: (row[3], row[0]))


def _measured(pairs: LabelledPairs, kept: NDArray[np.bool_]) -> tuple[float, float, float]:
    right, wrong = int((kept & (pairs.label == 1)).sum()), int((kept & (pairs.label == 0)).sum())
    precision = right / max(1, right + wrong)
    recall = right / max(1, int((pairs.label == 1).sum()) + pairs.missed)
    return precision, recall, 2 * precision * recall / max(precision + recall, 1e-12)


def _fit(
    full: NDArray[np.float64], columns: NDArray[np.float64], label: NDArray[np.int8], choice: int, seed: int
) -> Any:
    """full, columns: the same pairs with and without what is known of rivals."""
    trees, leaves, from_rule = _CHOICES[choice]
    both, labels = np.concatenate((full, columns)), np.concatenate((label, label))
    start = np.ascontiguousarray(both[:, COLUMNS.index("rule")]) if from_rule else None
    data = lightgbm.Dataset(both, labels, init_score=start, params={"verbose": -1})
    options = {
        "objective": "binary",
        "num_leaves": leaves,
        "min_data_in_leaf": 2 * _FEWEST,
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
