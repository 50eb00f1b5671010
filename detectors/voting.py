"""A weighted vote of neighbours on one value, and how far such votes can be trusted in this stream."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from detectors.neighbourhood import TEMPERATURE

__all__ = ["LEVELS", "Level", "Reliability", "Vote", "tally"]


@dataclass(frozen=True, slots=True)
class Vote:
    """What most of the weight is for.

    winner: the value. share: its share of the weight, 0-1. supporters: places of the neighbours that are for it, best
    first. best: the greatest similarity among the supporters.
    """

    winner: str
    share: float
    supporters: tuple[int, ...]
    best: float


@dataclass(frozen=True, slots=True)
class Level:
    """How clear a vote must be: share of the weight, number of supporters, similarity of the best of them."""

    share: float
    supporters: int
    best: float

    def holds(self, vote: Vote) -> bool:
        """Whether a vote is at least this clear."""
        return vote.share >= self.share and len(vote.supporters) >= self.supporters and vote.best >= self.best


LEVELS: Final = (Level(0.99, 8, 0.5), Level(0.95, 5, 0.5), Level(0.8, 3, 0.3))
"""From the clearest to the least clear that says anything."""


def tally(ballots: Iterable[tuple[float, str, int]]) -> Vote | None:
    """Count (similarity, value, place) ballots, weighted by exp(similarity / .07); None where there are none."""
    counted = list(ballots)
    if not counted:
        return None
    weights: dict[str, float] = {}
    exp = math.exp
    for score, value, _ in counted:
        weights[value] = weights.get(value, 0.0) + exp((score - 1.0) / TEMPERATURE)
    winner = max(weights, key=weights.__getitem__)
    supporters = sorted((-score, place) for score, value, place in counted if value == winner)
    return Vote(winner, weights[winner] / sum(weights.values()), tuple(p for _, p in supporters), -supporters[0][0])


class Reliability:
    """How often a vote agrees with the value that a record has, for each level of clearness.

    Measured on the stream itself, because catalogues differ: where categories are kept with care a vote of three is
    right in 99 of 100 cases, elsewhere one of twelve is right in 85. Faults in the stream make it look worse than it
    is, never better. Starts from twenty imagined votes of which 95 % agreed. Stateful: a few counters.
    """

    _PRIOR_VOTES: Final = 20.0
    _PRIOR_AGREEMENT: Final = 0.95
    _FORGET_AT: Final = 20_000.0
    _SAMPLED_FROM: Final = 2_000

    def __init__(self, levels: Sequence[Level] = LEVELS) -> None:
        self.levels = tuple(levels)
        self._agreed = [0.0] * len(self.levels)
        self._voted = [0.0] * len(self.levels)

    def level(self, vote: Vote) -> int | None:
        """The clearest level that holds, None where the vote says nothing."""
        return next((n for n, level in enumerate(self.levels) if level.holds(vote)), None)

    def wanted(self, row: int) -> bool:
        """Whether the vote on this row should be measured: every row at first, every eighth later."""
        return row % 8 == 0 or sum(self._voted) < self._SAMPLED_FROM

    def observe(self, level: int, *, agreed: bool) -> None:
        """Count one vote on a record that has a value."""
        self._voted[level] += 1
        self._agreed[level] += agreed
        if self._voted[level] > self._FORGET_AT:
            self._voted[level] /= 2
            self._agreed[level] /= 2

    def agreement(self, level: int) -> float:
        """The share of votes that agreed, 0-1."""
        agreed = self._agreed[level] + self._PRIOR_VOTES * self._PRIOR_AGREEMENT
        return agreed / (self._voted[level] + self._PRIOR_VOTES)
