"""A description against the title and the nearest products."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import Final

import numpy as np

from detectors.contract.model import Role
from detectors.neighbourhood import named, source_of, text
from detectors.records import Batch, Dimension, Evidence, Facts, Finding, Rule, Severity
from detectors.standardise.chinese import fold
from detectors.standardise.memoised import memoised

__all__ = ["MISMATCH", "TextDetector"]

MISMATCH: Final = Rule(
    "text.mismatch",
    Dimension.CONSISTENCY,
    Severity.WARNING,
    "The description has nothing in common with the title or with the nearest products: it may be another product's.",
)

MODEL: Final = "text-overlap/1"

_CHARACTERS: Final = 1000
_WORD: Final = re.compile(r"[^\W_]+")
_CJK: Final = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7a3]")
_LATIN: Final = re.compile(r"[a-z]")
_SOURCES: Final = 10_000
_PRIOR_ODD: Final = 1.5
_PRIOR_SEEN: Final = 50
_NEIGHBOURS: Final = 10
"""The nearest, whose words a description of the right kind of product shares."""


class TextDetector:
    """Words of the title that the description repeats (Chinese by pairs of characters, numbers left out).

    A finding needs all of: a description of at least `min_words` words that repeats at most a tenth of the title's; at
    most one of the words that several of the nearest titles share; the same script; and at least three neighbours of
    the same source whose descriptions repeat `usual` of their own titles on average.

    Sources differ in what they write: where more than `natural` of a source's descriptions look like this, nothing
    is said about that source. Every source starts with fifty imagined descriptions of which one and a half do, so
    nothing is said before some of its own were seen.

    Stateful: two counters for each of at most ten thousand sources.
    """

    rules: tuple[Rule, ...] = (MISMATCH,)

    def __init__(self, *, min_words: int = 8, usual: float = 0.35, natural: float = 0.025) -> None:
        self.min_words = min_words
        self.usual = usual
        self.natural = natural
        self._seen: Counter[str] = Counter()
        self._odd: Counter[str] = Counter()

    def detect(self, batch: Batch) -> list[Finding]:
        """Findings of this batch, ordered by row."""
        column = batch.contract.column_of(Role.DESCRIPTION)
        if column is None or batch.neighbours is None or not len(batch):
            return []
        titles, descriptions = batch.column(Role.TITLE), batch.column(Role.DESCRIPTION)
        findings = []
        for row, (raw_title, raw_description) in enumerate(zip(titles, descriptions, strict=True)):
            if len(text(raw_description)) < 3 * self.min_words:
                continue
            title = words(text(raw_title))
            if len(title) < 3:
                continue
            description = words(text(raw_description)[:_CHARACTERS])
            if len(description) < self.min_words:
                continue
            source = source_of(batch.records[row].identity)
            self._seen[source] += 1
            repeated = len(title & description) / len(title)
            if repeated > 0.1 or not _same_script(raw_title, raw_description):
                continue
            facts = batch.neighbours.facts[row]
            usual = _usual(facts, source)
            if usual is None or usual < self.usual or _shared(facts[:_NEIGHBOURS], title, description) > 1:
                continue
            self._odd[source] += 1
            rate = (self._odd[source] + _PRIOR_ODD) / (self._seen[source] + _PRIOR_SEEN)
            if rate > self.natural:
                continue
            scores = batch.neighbours.scores[row]
            findings.append(
                Finding(
                    row=row,
                    rule=MISMATCH,
                    column=column,
                    observed=raw_description,
                    confidence=round(0.95 - 10 * rate, 4),
                    evidence=Evidence(
                        f"The description repeats {repeated:.0%} of the title's words; those of similar products "
                        f"repeat {usual:.0%} of theirs.",
                        tuple(named(f, s, f.title) for f, s in zip(facts[:3], scores, strict=False)),
                        {"repeated": round(repeated, 4), "usual": round(usual, 4), "rate": round(rate, 4)},
                    ),
                    model=MODEL,
                )
            )
        if len(self._seen) > _SOURCES:
            self._seen.clear()
            self._odd.clear()
        return findings


def words(value: str) -> frozenset[str]:
    """The words of a text, folded: three letters or more, Chinese as pairs of characters, no numbers.

    Of a long text those in the first 1,000 characters.
    """
    return _words_of_title(value) if len(value) <= _TITLE else _words_of_prose(value)


def _words(value: str) -> frozenset[str]:
    found: set[str] = set()
    for word in _WORD.findall(fold(value)):
        if _CJK.match(word):
            found.update(word[n : n + 2] for n in range(len(word) - 1))
        elif len(word) >= 3 and not word.isdigit():
            found.add(word)
    return frozenset(found)


# Titles come back as neighbours time and again; of the longer texts fewer are remembered, so as not to fill the memory.
_TITLE: Final = 200
_words_of_title = memoised(1 << 13, _TITLE)(_words)
_words_of_prose = memoised(1 << 10, _CHARACTERS, cut=_CHARACTERS)(_words)


def _same_script(title: str, description: str) -> bool:
    a, b = fold(title[:_CHARACTERS]), fold(description[:_CHARACTERS])
    return (_CJK.search(a) is None) is (_CJK.search(b) is None) and (_LATIN.search(a) is None) is (
        _LATIN.search(b) is None
    )


def _usual(facts: Sequence[Facts], source: str) -> float | None:
    """How much of their titles the descriptions of this source's neighbours repeat, 0-1; None below three of them."""
    shares = [
        len(title & words(other.description[:_CHARACTERS])) / len(title)
        for other in facts
        if other.description and source_of(other.identity) == source and (title := words(other.title))
    ]
    return float(np.mean(shares)) if len(shares) >= 3 else None


def _shared(facts: Sequence[Facts], title: frozenset[str], description: frozenset[str]) -> int:
    """How many of the words that the title or several of the nearest titles have are in the description."""
    counts = Counter(word for other in facts for word in words(other.title))
    return len(({word for word, count in counts.items() if count >= 2} | title) & description)
