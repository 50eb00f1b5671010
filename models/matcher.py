"""Training of the matcher: boosted trees on labelled pairs, chosen and measured by cross-validation."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import lightgbm
import numpy as np
from numpy.typing import NDArray

from detectors.duplicates.matcher import COLUMNS, FILES, Matcher, MatcherError, Trees, rivalled
from detectors.duplicates.score import THRESHOLD
from models.errors import ArtefactError, TrainingError
from models.folder import check_folder, written_folder

__all__ = ["LabelledPairs", "check_matcher_folder", "load_matcher", "save_matcher", "train_matcher"]

_FOLDS = 5
_LEAST = 20  # labels of each kind
_THRESHOLDS = np.arange(-4.0, 3.01, 0.125)
_NEAR = 3  # thresholds on either side that belong to the neighbourhood of one


@dataclass(frozen=True, slots=True)
class _Choice:
    """How many trees, their leaves, the fewest labels in one, and whether they start from the rule.

    random: thresholds are drawn, and the best of those drawn is taken (Geurts, Ernst and Wehenkel, Extremely
    Randomized Trees, 2006): of many trees with many leaves that is the better way to few errors.
    """

    trees: int
    leaves: int
    fewest: int
    from_rule: bool
    random: bool


_CHOICES = (  # from cautious to bold
    _Choice(40, 4, 20, from_rule=True, random=False),
    _Choice(120, 8, 20, from_rule=True, random=False),
    _Choice(300, 31, 8, from_rule=False, random=True),
)


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
    one. What is known of rivals only when all products are, a stream does not know: so it has trees of its own, and
    their threshold is that of the best F1 after each product is given to its best match. What they say of pairs that
    they did not see, the trees for a pair on its own learn from; so of the labels of a part they have an inkling, and
    their cross-validated figures are a little too good.

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
    stream, in_the_stream, scores = _learned(
        pairs, pairs.columns, lambda scores: couples(pairs, scores, float(_THRESHOLDS[0])), seed
    )
    known = rivalled(pairs.columns, pairs.later, pairs.earlier, scores)
    alone, on_their_own, _ = _learned(pairs, known, lambda scores: np.ones(len(scores), bool), seed)
    rule = _measured(pairs, couples(pairs, pairs.columns[:, COLUMNS.index("rule")], THRESHOLD))
    report = {
        "pairs": same + other + pairs.missed,
        "same": same + pairs.missed,
        "not_candidates": pairs.missed,
        "pairs_alone": _figures(on_their_own),
        "in_the_stream": _figures(in_the_stream),
        "rule_in_the_stream": _figures(rule),
        "trees": {"stream": stream.booster.num_trees(), "alone": alone.booster.num_trees()},
    }
    return Matcher.of(stream, alone, report)


def _learned(
    pairs: LabelledPairs,
    columns: NDArray[np.float64],
    counted: Callable[[NDArray[np.float64]], NDArray[np.bool_]],
    seed: int,
) -> tuple[Trees, tuple[float, float, float], NDArray[np.float64]]:
    """Trees over these columns, their precision, recall and F1 on pairs that they did not see, and (p,) what they say
    of pairs that they did not see.

    counted: which pairs count at the lowest threshold, by their scores.
    """
    label = pairs.label
    part = np.array([zlib.crc32(identity.encode("utf-8", "replace")) % _FOLDS for identity in pairs.later])
    labelled = label >= 0
    tried: list[tuple[float, _Choice, NDArray[np.float64]]] = []
    for choice in _CHOICES:
        scores = np.zeros(len(label))
        for fold in range(_FOLDS):
            inside, outside = (part != fold) & labelled, part == fold
            if len(np.unique(label[inside])) < 2 or not outside.any():
                continue
            scores[outside] = _fit(columns[inside], label[inside], choice, seed).raw(columns[outside])
        tried.append((_log_loss(scores[labelled], label[labelled]), choice, scores))
    # By F1 it would often be chance: it depends on the few pairs next to a threshold.
    _, choice, scores = min(tried, key=lambda one: one[0])
    threshold, precision, recall, f1 = _best_threshold(pairs, scores, counted(scores))
    trees = replace(_fit(columns[labelled], label[labelled], choice, seed), threshold=threshold)
    return trees, (precision, recall, f1), scores


def _log_loss(scores: NDArray[np.float64], label: NDArray[np.int8]) -> float:
    """The mean of -ln of the probability that the scores, as logits, give to the labels."""
    return float(np.logaddexp(0, np.where(label == 1, -scores, scores)).mean())


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

    The best threshold is that whose neighbourhood has the best F1 on average: a single peak of the curve is chance.
    A greedy matching to a threshold is the beginning of that to a lower one.
    """
    found = [(float(t), *_measured(pairs, kept & (scores >= t))) for t in _THRESHOLDS]
    f1 = np.pad([row[3] for row in found], _NEAR, mode="edge")
    around = np.lib.stride_tricks.sliding_window_view(f1, 2 * _NEAR + 1).mean(axis=1)
    return found[len(found) - 1 - int(np.argmax(around[::-1]))]


def _measured(pairs: LabelledPairs, kept: NDArray[np.bool_]) -> tuple[float, float, float]:
    right, wrong = int((kept & (pairs.label == 1)).sum()), int((kept & (pairs.label == 0)).sum())
    precision = right / max(1, right + wrong)
    recall = right / max(1, int((pairs.label == 1).sum()) + pairs.missed)
    return precision, recall, 2 * precision * recall / max(precision + recall, 1e-12)


def _fit(columns: NDArray[np.float64], label: NDArray[np.int8], choice: _Choice, seed: int) -> Trees:
    """Trees without a threshold of their own."""
    start = np.ascontiguousarray(columns[:, COLUMNS.index("rule")]) if choice.from_rule else None
    data = lightgbm.Dataset(columns, label, init_score=start, params={"verbose": -1})
    options = {
        "objective": "binary",
        "num_leaves": choice.leaves,
        "min_data_in_leaf": choice.fewest,
        "extra_trees": choice.random,
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
    return Trees(lightgbm.train(options, data, choice.trees), 0.0, choice.from_rule)
