"""A trained matcher: decides which candidates are the same product, in the place of the rule.

Boosted trees over the features of a pair and over how far it is ahead of the product's other candidates. They start
from the score of the rule and learn what to add to it, so a few hundred labels already help.
Source: Friedman, Greedy Function Approximation (2001), as LightGBM does it.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from detectors.duplicates.features import FEATURES, STEP, PairFeatures
from detectors.duplicates.rule import THRESHOLD, evidence_scores, margins, rule_scores

__all__ = ["COLUMNS", "FILES", "Matcher", "MatcherError", "columns_of"]

_FORMAT = 1
FILES = ("trees.txt", "matcher.json")
_AHEAD = ("similarity", "contained", "overlap", "own_least", "code_shared")
COLUMNS = (*FEATURES, "rule", "rule_ahead", "rule_place", *(f"{name}_ahead" for name in _AHEAD))
_NO_RULE = -20.0


class MatcherError(ValueError):
    """A matcher's folder that is missing, damaged or of another format."""


def columns_of(features: PairFeatures, sources: NDArray[np.intp] | None) -> NDArray[np.float64]:
    """(b, k, len(COLUMNS)) what a matcher looks at. sources: as in `rule.margins`."""
    there = features.there
    scores = evidence_scores(features, clean=sources is not None)
    place = (scores[:, :, None] < scores[:, None, :]).sum(axis=2)
    rule = np.where(there, rule_scores(features, sources), _NO_RULE)
    ahead = [margins(np.where(there, features.of(name), -np.inf), sources) for name in _AHEAD]
    more = np.stack([rule, margins(scores, sources), place, *ahead], axis=2)
    found: NDArray[np.float64] = np.concatenate((features.values, np.rint(more * STEP) / STEP), axis=2)
    return found


@dataclass(frozen=True, slots=True)
class Matcher:
    """Trees that add to the score of the rule. threshold: of the sum, from which a pair is accepted.

    booster: of LightGBM, over `COLUMNS`. report: what was measured at training, as JSON.
    """

    name: str
    booster: Any
    threshold: float
    report: dict[str, Any]

    def scores(self, features: PairFeatures, sources: NDArray[np.intp] | None) -> NDArray[np.float64]:
        """(b, k) scores, as `rule_scores` gives them: at `THRESHOLD` and above a pair is accepted."""
        columns = columns_of(features, sources)
        out = np.full(features.there.shape, -np.inf)
        if features.there.any():
            out[features.there] = self.raw(columns[features.there]) - self.threshold + THRESHOLD
        return np.round(out, 4)

    def raw(self, columns: NDArray[np.float64]) -> NDArray[np.float64]:
        """(p,) sums of rule and trees of (p, len(COLUMNS))."""
        added = self.booster.predict(columns, raw_score=True, num_threads=1)
        return np.asarray(columns[:, COLUMNS.index("rule")] + added)

    @classmethod
    def of(cls, booster: Any, threshold: float, report: dict[str, Any]) -> Matcher:
        """A matcher, named after its content."""
        digest = hashlib.blake2b(f"{threshold}\n{booster.model_to_string()}".encode(), digest_size=4).hexdigest()
        return cls(f"matcher-{digest}", booster, threshold, report)

    def write(self, folder: Path) -> None:
        """Write `FILES` into a folder."""
        (folder / FILES[0]).write_text(self.booster.model_to_string(), encoding="utf-8")
        head = {
            "format": _FORMAT,
            "name": self.name,
            "columns": COLUMNS,
            "threshold": self.threshold,
            "report": self.report,
        }
        (folder / FILES[1]).write_bytes(orjson.dumps(head, option=orjson.OPT_INDENT_2))

    @classmethod
    def load(cls, folder: Path) -> Matcher:
        """The matcher that `write` left in a folder. Raises: MatcherError."""
        import lightgbm

        try:
            head = orjson.loads((folder / FILES[1]).read_bytes())
            trees = (folder / FILES[0]).read_text(encoding="utf-8")
            if head["format"] != _FORMAT or tuple(head["columns"]) != COLUMNS:
                raise MatcherError(f"{folder} holds a matcher of another version: train it again.")
            booster = lightgbm.Booster(model_str=trees)
            if booster.num_feature() != len(COLUMNS):
                raise MatcherError(f"{folder} holds trees that belong to another matcher: train it again.")
            matcher = cls.of(booster, float(head["threshold"]), dict(head["report"]))
        except MatcherError:
            raise
        except (OSError, ValueError, KeyError, TypeError, lightgbm.basic.LightGBMError) as error:
            raise MatcherError(f"{folder} holds no matcher that can be read: {error}") from error
        if matcher.name != head["name"]:
            raise MatcherError(f"{folder} was changed after training: train the matcher again.")
        return matcher
