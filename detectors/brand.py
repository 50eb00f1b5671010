"""A brand against the title and the brands of the nearest products."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from detectors.contract.model import Role
from detectors.neighbourhood import named, source_of, text
from detectors.records import Batch, Dimension, Evidence, Facts, Finding, Rule, Severity, Suggestion
from detectors.standardise.chinese import fold
from detectors.standardise.memoised import memoised
from detectors.voting import Level, Reliability, Vote, tally

__all__ = ["MISSING", "NEIGHBOURS", "TYPO", "BrandDetector"]

NEIGHBOURS: Final = Rule(
    "brand.neighbours",
    Dimension.ACCURACY,
    Severity.WARNING,
    "The title names another brand, which the nearest products have, and not the one that the record has.",
)
MISSING: Final = Rule(
    "brand.missing",
    Dimension.COMPLETENESS,
    Severity.WARNING,
    "The brand is empty; the title names one that the nearest products have.",
)
TYPO: Final = Rule(
    "brand.typo",
    Dimension.ACCURACY,
    Severity.WARNING,
    "The brand is one or two letters away from one that the nearest products have.",
)

MODEL: Final = "brand-vote/1"

_LEVELS: Final = (Level(0.95, 4, 0.4), Level(0.8, 3, 0.3), Level(0.5, 2, 0.3))

_LONGEST: Final = 300
"""Characters of a brand that are read, as many as the catalogue keeps."""
_TOKEN: Final = re.compile(r"[^\W_]+")
_CJK: Final = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7a3]")
_PARTS: Final = re.compile(r"[/|()\[\]【】、,;]")
_FOR: Final = frozenset(
    ["for", "fits", "fit", "compatible", "with", "like", "style", "replacement", "pour", "für", "para", "untuk"]
)
_FOR_CJK: Final = ("适用", "兼容", "通用", "适配")
_NO_BRAND: Final = frozenset(
    [
        *("generic", "nobrand", "unbranded", "unknown", "none", "na", "other", "others", "oem", "noname"),
        *("无", "无品牌", "其他", "其它"),
    ]
)


class BrandDetector:
    """Asks the neighbours and the title; brands are compared folded (NFKC, case, simplified Chinese).

    The neighbours vote, weighted by softmax(similarity / .07); the vote counts where the title names the winner, not
    after a word such as "for". `brand.missing`: no brand; as confident as such votes have been right on the records
    that have one. `brand.neighbours`: the vote is against a brand that neither the title nor any neighbour names, and
    such votes are right often enough in this stream: where shops write the licence (Star Wars) and the maker (Hasbro)
    as they please, they are not. `brand.typo`: a rare brand within one letter (two from eight letters on; swapped
    letters count once) of one that at least two neighbours have, itself in no neighbour and not in its own title.

    Brands in different scripts (Xiaomi, 小米), one inside the other (HP, HP Inc.), with a word in common or one the
    initials of the other are taken for the same. Words for "no brand" are neither right nor wrong.

    Stateful: counts how often votes agree (`detectors.voting.Reliability`).

    min_score: similarity below which a neighbour has no vote.
    min_agreement: share of votes, 0-1, that must have agreed before a vote speaks against a brand.
    """

    rules: tuple[Rule, ...] = (NEIGHBOURS, MISSING, TYPO)

    def __init__(self, *, min_score: float = 0.3, min_agreement: float = 0.96) -> None:
        self.min_score = min_score
        self.min_agreement = min_agreement
        # A title that begins with its brand is one thing, a title that mentions it somewhere another.
        self._at_start = Reliability(_LEVELS)
        self._inside = Reliability(_LEVELS)

    def detect(self, batch: Batch) -> list[Finding]:
        """Findings of this batch, ordered by row."""
        column = batch.contract.column_of(Role.BRAND)
        if column is None or batch.neighbours is None or not len(batch):
            return []
        values, titles = batch.column(Role.BRAND), batch.column(Role.TITLE)
        frequency = Counter(squash(value) for value in values if isinstance(value, str))
        findings = []
        for row, (value, facts) in enumerate(zip(values, batch.neighbours.facts, strict=True)):
            missing = value is None or value == ""
            if not missing and (not (parts := names(text(value))) or parts[0] in _NO_BRAND):
                continue
            wanted = not missing and (self._at_start.wanted(row) or self._inside.wanted(row))
            title = tokens(text(titles[row]))
            # The first name alone: beside a right Chinese name the Latin one can be mistyped.
            proper = not missing and _find(title, _spellings(text(value))[0]) is not None
            if proper and not wanted:
                continue
            scores = batch.neighbours.scores[row].tolist()
            theirs = [names(other.brand) if other.brand else () for other in facts]
            aliases = _aliases(theirs)
            ballots = [
                (score, brand, place)
                for place, (parts, score) in enumerate(zip(theirs, scores, strict=False))
                if parts and score >= self.min_score and (brand := aliases.get(parts[0], parts[0])) not in _NO_BRAND
            ]
            own = _key(value, aliases)
            among_them = not missing and any(brand == own for _, brand, _ in ballots)
            if among_them and not wanted:
                continue
            source = source_of(batch.records[row].identity)
            case = _Case(row, column, value, own, source, title, facts, scores, ballots)
            vote, agreement = self._ask(case, wanted)
            if proper or among_them:
                continue
            finding = _typo(case) if not missing and frequency[squash(text(value))] <= 2 else None
            if finding is None and vote is not None:
                finding = self._judge(case, vote, agreement, missing)
            if finding is not None:
                findings.append(finding)
        return findings

    def _ask(self, case: _Case, wanted: bool) -> tuple[Vote | None, float]:
        """The vote, where the title names its winner, and how often such votes agree."""
        vote = tally(case.ballots)
        if vote is None:
            return None, 0.0
        start = _named_at(case, vote)
        if start is None or start < 0:
            return None, 0.0
        reliability = self._at_start if start == 0 else self._inside
        level = reliability.level(vote)
        if level is None:
            return None, 0.0
        if wanted:
            reliability.observe(level, agreed=case.own == vote.winner)
        return vote, reliability.agreement(level)

    def _judge(self, case: _Case, vote: Vote, agreement: float, missing: bool) -> Finding | None:
        name = case.spelling(vote)
        says = f"The title names {name!r:.60}, the brand of {len(vote.supporters)} similar products"
        if missing:
            return _finding(case, MISSING, vote, name, min(agreement, 0.99), f"{says}; the brand is empty.")
        if agreement < self.min_agreement or is_alias(text(case.value), name):
            return None
        reason = f"{says}; this one says {case.value!r:.60}."
        return _finding(case, NEIGHBOURS, vote, name, min(agreement, 0.99) * 0.95, reason)


@dataclass(frozen=True, slots=True)
class _Case:
    """A record and its neighbours' brands.

    own: its brand as it is compared. ballots: (similarity, brand, place) of the neighbours that have a brand.
    """

    row: int
    column: str
    value: Any
    own: str
    source: str
    title: tuple[str, ...]
    facts: Sequence[Facts]
    scores: Sequence[float]
    ballots: Sequence[tuple[float, str, int]]

    def spelling(self, vote: Vote) -> str:
        """The winner as this record's source writes it, as far as the neighbours show."""
        supporters = vote.supporters
        own = (place for place in supporters if source_of(self.facts[place].identity) == self.source)
        return text(self.facts[next(own, supporters[0])].brand)


def _typo(case: _Case) -> Finding | None:
    known: Counter[str] = Counter(brand for _, brand, _ in case.ballots)
    for brand, count in known.most_common():
        allowed = 2 if len(brand) >= 8 else 1
        if count < 2 or len(brand) < 4 or distance(case.own, brand, allowed) > allowed:
            continue
        vote = tally(ballot for ballot in case.ballots if ballot[1] == brand)
        assert vote is not None
        name = case.spelling(vote)
        in_title = _named_at(case, vote) is not None
        ours, theirs = set(_words(text(case.value))), set(_words(name))
        if (len(brand) == 4 and not in_title) or ours < theirs or theirs < ours:
            continue
        confidence = 0.97 if in_title else 0.8
        says = "the title and" if in_title else ""
        reason = f"{case.value!r:.60} is nearly {name!r:.60}, which {says} {count} similar products say.".replace(
            "  ", " "
        )
        return _finding(case, TYPO, vote, name, confidence, reason)
    return None


def _finding(case: _Case, rule: Rule, vote: Vote, brand: str, confidence: float, reason: str) -> Finding:
    shown = vote.supporters[:5]
    return Finding(
        row=case.row,
        rule=rule,
        column=case.column,
        observed=case.value,
        confidence=round(confidence, 4),
        evidence=Evidence(
            reason,
            tuple(named(case.facts[place], case.scores[place], case.facts[place].brand) for place in shown),
            {"share": round(vote.share, 4), "supporters": float(len(vote.supporters))},
        ),
        suggestion=Suggestion(brand),
        model=MODEL,
    )


@memoised(1 << 15, 100, cut=_LONGEST)
def squash(brand: str) -> str:
    """A brand for comparison: folded, letters and digits alone; of a long one the first 300 characters."""
    return alnum(brand)


def alnum(text: str) -> str:
    """A text, folded, letters and digits alone; of any length, and not remembered."""
    return "".join(c for c in fold(text) if c.isalnum())


@memoised(1 << 12, 500, cut=1_000)
def tokens(title: str) -> tuple[str, ...]:
    """The words of a text, folded; of a long one those in the first 1,000 characters."""
    return tuple(_TOKEN.findall(fold(title)))


@memoised(1 << 15, 100, cut=_LONGEST)
def names(brand: str) -> tuple[str, ...]:
    """The names that a brand is written with, squashed: two of `Xiaomi/小米` or `小米（Xiaomi）`, Latin ones first."""
    parts = [part for raw in _PARTS.split(fold(brand)) if (part := "".join(c for c in raw if c.isalnum()))]
    return tuple(sorted(dict.fromkeys(parts), key=lambda part: _CJK.search(part) is not None))


def _aliases(brands: Iterable[tuple[str, ...]]) -> dict[str, str]:
    """Names that stand beside another name in a brand, and which one is used for both."""
    found: dict[str, str] = {}
    for parts in brands:
        for part in parts[1:]:
            found[part] = parts[0]
    return found


def _key(brand: Any, aliases: Mapping[str, str]) -> str:
    """What a brand is compared by; the empty text for none."""
    parts = names(text(brand))
    return aliases.get(parts[0], parts[0]) if parts else ""


def _named_at(case: _Case, vote: Vote) -> int | None:
    """The word of the title at which it names the winner in any supporter's spelling; see `place_in`."""
    spellings = dict.fromkeys(text(case.facts[place].brand) for place in vote.supporters[:8])
    places = [place for name in spellings if (place := place_in(case.title, name)) is not None]
    return None if not places else min(places)


@memoised(1 << 15, 100, cut=_LONGEST)
def _spellings(brand: str) -> tuple[tuple[str, ...], ...]:
    return tuple(words for part in _PARTS.split(fold(brand)) if (words := tuple(_TOKEN.findall(part))))


def place_in(title: tuple[str, ...], brand: str) -> int | None:
    """The word of a title at which it names a brand, by any of its names; -1 after a word such as "for"; None: nowhere.

    Chinese names are found inside words.
    """
    for words in _spellings(brand):
        if (place := _find(title, words)) is not None:
            return place
    return None


def _find(title: tuple[str, ...], words: tuple[str, ...]) -> int | None:
    if _CJK.search(words[0]):
        joined = "".join(words)
        place = next((n for n, word in enumerate(title) if joined in word), None)
        if place is None:
            return None
        before = title[place].split(joined)[0][-3:]
        return -1 if any(word in before for word in _FOR_CJK) else place
    size = len(words)
    for n in range(len(title) - size + 1):
        if title[n : n + size] == words:
            return -1 if n and not _FOR.isdisjoint(title[max(0, n - 2) : n]) else n
    return None


@memoised(1 << 15, 100, cut=_LONGEST)
def _words(brand: str) -> tuple[str, ...]:
    return tuple(_TOKEN.findall(fold(brand)))


def is_alias(a: str, b: str) -> bool:
    """Whether two names may be the same brand's: other scripts, one inside the other, one the initials of the other."""
    if bool(_CJK.search(a)) is not bool(_CJK.search(b)):
        return True
    x, y = squash(a), squash(b)
    if not x or not y or x in y or y in x:
        return True
    if not set(_words(a)).isdisjoint(_words(b)):
        return True
    return x == "".join(w[0] for w in _words(b)) or y == "".join(w[0] for w in _words(a))


def distance(a: str, b: str, limit: int) -> int:
    """Edits between two words: insert, delete, replace, swap neighbours (optimal string alignment).

    Stops early: anything above `limit` is returned as `limit + 1`.
    """
    if abs(len(a) - len(b)) > limit:
        return limit + 1
    before: list[int] = []
    last = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        line = [i]
        for j, y in enumerate(b, 1):
            cost = min(last[j] + 1, line[j - 1] + 1, last[j - 1] + (x != y))
            if i > 1 and j > 1 and x == b[j - 2] and a[i - 2] == y:
                cost = min(cost, before[j - 2] + 1)
            line.append(cost)
        if min(line) > limit:
            return limit + 1
        before, last = last, line
    return min(last[-1], limit + 1)
