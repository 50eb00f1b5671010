"""A trained matcher: decides which candidates are the same product, in the place of the rule.

Boosted trees over what is compared in a pair and over how far it is ahead of the product's other candidates. They may
start from the score of the rule and learn what to add to it, so a few hundred labels already help. There are two sets
of them: the stream's, and one for a pair on its own where all products are known, and with them all its rivals: it
also looks at what the stream's trees say of the pair and of its rivals.
Sources: Friedman, Greedy Function Approximation (2001), as LightGBM does it; Wolpert, Stacked Generalization (1992).
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from detectors.duplicates.details import DETAILS
from detectors.duplicates.features import FEATURES, STEP, PairFeatures
from detectors.duplicates.rule import rule_scores
from detectors.duplicates.score import THRESHOLD

__all__ = ["COLUMNS", "FILES", "Matcher", "MatcherError", "Trees", "columns_of", "rivalled"]

_FORMAT = 3
FILES = ("stream.txt", "alone.txt", "matcher.json")
_AHEAD = ("similarity", "contained", "overlap", "own_least", "code_shared")
_OWN = (*FEATURES, *DETAILS, "rule", "rule_ahead", "rule_place", *(f"{name}_ahead" for name in _AHEAD))
_RIVALLED = ("similarity", "contained", "overlap", "rule")
COLUMNS = (
    *_OWN,
    *(f"{name}_{what}" for name in _RIVALLED for what in ("before_rivals", "rivals_place")),
    "rivals",
    "learned",  # the sum of the stream's trees
    *("learned_ahead", "learned_place"),  # among the later product's candidates
    *("learned_before_rivals", "learned_rivals_place"),
)
_NO_RULE = -20.0
_AHEAD_MOST = 2.0
_MOST, _LEARNED_MOST = 3.0, 6.0  # ahead of, or behind, the best rival


class MatcherError(ValueError):
    """A matcher's folder that is missing, damaged or of another format."""


def margins(scores: NDArray[np.float64], sources: NDArray[np.intp] | None) -> NDArray[np.float64]:
    """(b, k) how far each candidate is ahead of the best other one, from -2 to 2; 2 without another.

    sources: (b, k) of clean feeds: only candidates of one source are rivals, for they cannot all be the same
    product. In a marketplace they can, and being behind says nothing: from 0 to 2.
    """
    k = scores.shape[1]
    rivals = np.broadcast_to(~np.eye(k, dtype=bool), (len(scores), k, k))
    if sources is not None:
        rivals = rivals & (sources[:, :, None] == sources[:, None, :])
    best = np.where(rivals, scores[:, None, :], -np.inf).max(axis=2, initial=-np.inf)
    with np.errstate(invalid="ignore"):
        ahead = np.where(np.isneginf(best), _AHEAD_MOST, scores - best)
    least = 0.0 if sources is None else -_AHEAD_MOST
    return np.asarray(np.clip(np.nan_to_num(ahead), least, _AHEAD_MOST))


def columns_of(
    features: PairFeatures, details: NDArray[np.float64], sources: NDArray[np.intp] | None
) -> NDArray[np.float64]:
    """(b, k, len(COLUMNS)) what a matcher looks at. details: of the same pairs. sources: as in `margins`.

    What `rivalled` knows is not known in a stream, and NaN.
    """
    there = features.there
    scores = rule_scores(features, clean=sources is not None)
    place = (scores[:, :, None] < scores[:, None, :]).sum(axis=2)
    rule = np.where(there, scores, _NO_RULE)
    ahead = [margins(np.where(there, features.of(name), -np.inf), sources) for name in _AHEAD]
    more = np.stack([rule, margins(scores, sources), place, *ahead], axis=2)
    unknown = np.full((*there.shape, len(COLUMNS) - len(_OWN)), np.nan)
    return np.concatenate((features.values, details, np.rint(more * STEP) / STEP, unknown), axis=2)


def rivalled(
    columns: NDArray[np.float64], later: Sequence[str], earlier: Sequence[str], learned: NDArray[np.float64]
) -> NDArray[np.float64]:
    """(p, len(COLUMNS)) with what is known when all products are: how a pair stands among all pairs of its two.

    columns: (p, len(COLUMNS)) of `columns_of`. later, earlier: (p,) the products of each. learned: (p,) what the
    stream's trees say of it.
    """
    out = columns.copy()
    of_earlier = np.unique(np.asarray(earlier), return_inverse=True)[1]
    of_later = np.unique(np.asarray(later), return_inverse=True)[1]
    found: list[NDArray[np.generic]] = []
    for name in _RIVALLED:
        found += _standing(columns[:, COLUMNS.index(name)], of_earlier, _MOST)
    found += [np.bincount(of_earlier)[of_earlier], learned]
    for group in (of_later, of_earlier):
        found += _standing(learned, group, _LEARNED_MOST)
    out[:, len(_OWN) :] = np.stack([np.asarray(column, np.float64) for column in found], axis=1)
    return out


def _standing(
    value: NDArray[np.float64], group: NDArray[np.intp], most: float
) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    """(p,) how far each is ahead of the best other one of its group, `most` at most, and its place in it."""
    order = np.lexsort((-value, group))
    first = np.flatnonzero(np.concatenate((np.ones(1, bool), np.diff(group[order]) != 0)))
    length = np.diff(first, append=len(order))
    ranked = value[order]
    second = np.where(length > 1, ranked[np.minimum(first + 1, len(order) - 1)], ranked[first] - most)
    ahead, place = np.empty(len(order)), np.empty(len(order), np.intp)
    place[order] = np.arange(len(order)) - np.repeat(first, length)
    best_other = np.where(place[order] == 0, np.repeat(second, length), np.repeat(ranked[first], length))
    ahead[order] = np.clip(ranked - best_other, -most, most)
    return ahead, place


@dataclass(frozen=True, slots=True)
class Trees:
    """Boosted trees over `COLUMNS`. booster: of LightGBM.

    threshold: of their sum, from which a pair is accepted. from_rule: they add to the score of the rule.
    """

    booster: Any
    threshold: float
    from_rule: bool

    def raw(self, columns: NDArray[np.float64]) -> NDArray[np.float64]:
        """(p,) sums over (p, len(COLUMNS))."""
        added = np.asarray(self.booster.predict(columns, raw_score=True, num_threads=1), np.float64)
        return added + columns[:, COLUMNS.index("rule")] if self.from_rule else added


@dataclass(frozen=True, slots=True)
class Matcher:
    """stream: decides in the stream. alone: for a pair on its own, over `rivalled` columns.

    report: what was measured at training, as JSON.
    """

    name: str
    stream: Trees
    alone: Trees
    report: dict[str, Any]

    def scores(
        self, features: PairFeatures, details: NDArray[np.float64], sources: NDArray[np.intp] | None
    ) -> NDArray[np.float64]:
        """(b, k) scores, as `rule_scores` gives them: at `THRESHOLD` and above a pair is accepted."""
        columns = columns_of(features, details, sources)
        out = np.full(features.there.shape, -np.inf)
        if features.there.any():
            out[features.there] = self.stream.raw(columns[features.there]) - self.stream.threshold + THRESHOLD
        return np.round(out, 4)

    def accepts(self, columns: NDArray[np.float64], later: Sequence[str], earlier: Sequence[str]) -> NDArray[np.bool_]:
        """(p,) which pairs are the same product, each on its own, among all pairs of these products.

        columns: (p, len(COLUMNS)) of `columns_of`. later, earlier: (p,) the products of each.
        """
        known = rivalled(columns, later, earlier, self.stream.raw(columns))
        return np.asarray(self.alone.raw(known) >= self.alone.threshold)

    @classmethod
    def of(cls, stream: Trees, alone: Trees, report: dict[str, Any]) -> Matcher:
        """A matcher, named after its content."""
        content = [f"{t.threshold} {t.from_rule}\n{t.booster.model_to_string()}" for t in (stream, alone)]
        digest = hashlib.blake2b("\n".join(content).encode(), digest_size=4).hexdigest()
        return cls(f"matcher-{digest}", stream, alone, report)

    def write(self, folder: Path) -> None:
        """Write `FILES` into a folder."""
        for name, trees in zip(FILES, (self.stream, self.alone), strict=False):
            (folder / name).write_text(trees.booster.model_to_string(), encoding="utf-8")
        head = {
            "format": _FORMAT,
            "name": self.name,
            "columns": COLUMNS,
            "stream": {"threshold": self.stream.threshold, "from_rule": self.stream.from_rule},
            "alone": {"threshold": self.alone.threshold, "from_rule": self.alone.from_rule},
            "report": self.report,
        }
        (folder / FILES[-1]).write_bytes(orjson.dumps(head, option=orjson.OPT_INDENT_2))

    @classmethod
    def load(cls, folder: Path) -> Matcher:
        """The matcher that `write` left in a folder. Raises: MatcherError."""
        import lightgbm

        try:
            head = orjson.loads((folder / FILES[-1]).read_bytes())
            if head["format"] != _FORMAT or tuple(head["columns"]) != COLUMNS:
                raise MatcherError(f"{folder} holds a matcher of another version: train it again.")
            both: list[Trees] = []
            for file, part in zip(FILES, ("stream", "alone"), strict=False):
                booster = lightgbm.Booster(model_str=(folder / file).read_text(encoding="utf-8"))
                if booster.num_feature() != len(COLUMNS):
                    raise MatcherError(f"{folder} holds trees that belong to another matcher: train it again.")
                both.append(Trees(booster, float(head[part]["threshold"]), bool(head[part]["from_rule"])))
            stream, alone = both
            matcher = cls.of(stream, alone, dict(head["report"]))
        except MatcherError:
            raise
        except (OSError, ValueError, KeyError, TypeError, lightgbm.basic.LightGBMError) as error:
            raise MatcherError(f"{folder} holds no matcher that can be read: {error}") from error
        if matcher.name != head["name"]:
            raise MatcherError(f"{folder} was changed after training: train the matcher again.")
        return matcher
