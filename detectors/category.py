"""A category against the categories of the nearest products."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final

from detectors.contract.model import Role
from detectors.neighbourhood import named, source_of
from detectors.records import Batch, Dimension, Evidence, Facts, Finding, Rule, Severity, Suggestion
from detectors.standardise.chinese import fold
from detectors.voting import Reliability, Vote, tally

__all__ = ["MISSING", "NEIGHBOURS", "CategoryDetector"]

NEIGHBOURS: Final = Rule(
    "category.neighbours",
    Dimension.ACCURACY,
    Severity.WARNING,
    "The nearest products agree on a category of another branch.",
)
MISSING: Final = Rule(
    "category.missing",
    Dimension.COMPLETENESS,
    Severity.WARNING,
    "The category is empty and the nearest products agree on one.",
)

MODEL: Final = "category-vote/1"

_PATH: Final = re.compile(r"\s*[>|/\\»›]\s*")
_WORD: Final = re.compile(r"\w+")


class CategoryDetector:
    """A vote of the neighbours, weighted by softmax(similarity / .07).

    Every source has its own categories, so a neighbour of another source has a vote only where its category is one that
    the record's source uses too, as far as this batch and its neighbours show.

    Missing: `category.missing`, as confident as such votes have been right on the records that have a category.
    Present: `category.neighbours` where such votes are right often enough in this stream and no neighbour has the
    record's category, its branch or a word in common with it, because neighbouring branches hold the same products.

    Stateful: counts how often votes agree (`detectors.voting.Reliability`).

    min_score: similarity below which a neighbour has no vote.
    min_agreement: share of votes, 0-1, that must have agreed before a vote speaks against a category.
    min_supporters: how many neighbours it takes to speak against a category.
    """

    rules: tuple[Rule, ...] = (NEIGHBOURS, MISSING)

    def __init__(self, *, min_score: float = 0.3, min_agreement: float = 0.96, min_supporters: int = 5) -> None:
        self.min_score = min_score
        self.min_agreement = min_agreement
        self.min_supporters = min_supporters
        self._reliability = Reliability()

    def detect(self, batch: Batch) -> list[Finding]:
        """Findings of this batch, ordered by row."""
        column = batch.contract.column_of(Role.CATEGORY)
        if column is None or batch.neighbours is None or not len(batch):
            return []
        values = batch.column(Role.CATEGORY)
        vocabulary: set[tuple[str, str]] | None = None  # made once somebody votes, which few do
        findings = []
        for row, (value, facts) in enumerate(zip(values, batch.neighbours.facts, strict=True)):
            empty = value is None or value == ""
            if not empty and not isinstance(value, str):
                continue
            wanted = not empty and self._reliability.wanted(row)
            if not empty and not wanted and any(other.category == value for other in facts):
                continue
            source = source_of(batch.records[row].identity)
            scores = batch.neighbours.scores[row].tolist()
            if vocabulary is None:
                vocabulary = _vocabulary(batch, values)
            vote = tally(
                (score, fold(other.category), place)
                for place, (other, score) in enumerate(zip(facts, scores, strict=False))
                if score >= self.min_score
                and isinstance(other.category, str)
                and other.category
                and ((source, other.category) in vocabulary or source_of(other.identity) == source)
            )
            level = None if vote is None else self._reliability.level(vote)
            if vote is None or level is None:
                continue
            if wanted:
                self._reliability.observe(level, agreed=fold(value) == vote.winner)
            agreement = self._reliability.agreement(level)
            if empty or (
                agreement >= self.min_agreement
                and len(vote.supporters) >= self.min_supporters
                and _is_foreign(value, facts, scores, self.min_score)
            ):
                findings.append(_finding(row, column, value, facts, scores, vote, agreement))
        return findings


def _vocabulary(batch: Batch, values: Sequence[Any]) -> set[tuple[str, str]]:
    """Sources with each category that they use, as far as this batch shows."""
    assert batch.neighbours is not None
    own = zip((record.identity for record in batch.records), values, strict=True)
    found = {(source_of(identity), value) for identity, value in own if isinstance(value, str)}
    facts, _ = batch.neighbours.distinct
    found.update((source_of(other.identity), other.category) for other in facts if other.category is not None)
    return found


def _is_foreign(value: str, facts: Sequence[Facts], scores: Sequence[float], min_score: float) -> bool:
    """Whether no neighbour has this category, its branch, or a word in common with it."""
    own = fold(value)
    branch, words = _PATH.split(own)[0], set(_WORD.findall(own))
    for other, score in zip(facts, scores, strict=False):
        if score < min_score or not isinstance(other.category, str):
            continue
        category = fold(other.category)
        if category == own or _PATH.split(category)[0] == branch or not words.isdisjoint(_WORD.findall(category)):
            return False
    return True


def _finding(
    row: int, column: str, value: Any, facts: Sequence[Facts], scores: Sequence[float], vote: Vote, agreement: float
) -> Finding:
    shown = vote.supporters[:5]
    winner = facts[shown[0]].category
    count = len(vote.supporters)
    agree = f"{count} similar products are in {winner!r:.120}"
    missing = value is None or value == ""
    return Finding(
        row=row,
        rule=MISSING if missing else NEIGHBOURS,
        column=column,
        observed=value,
        confidence=round(min(agreement, 0.99) * (1.0 if missing else 0.95), 4),
        evidence=Evidence(
            f"{agree}; this one has no category." if missing else f"{agree}; this one is in {value!r:.120}.",
            tuple(named(facts[place], scores[place], facts[place].category) for place in shown),
            {"share": round(vote.share, 4), "supporters": float(count), "agreement": round(agreement, 4)},
        ),
        suggestion=Suggestion(winner),
        model=MODEL,
    )
