"""What the rule says of one pair of products, feature by feature and in words."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

import numpy as np

from detectors.duplicates.candidates import features_of, statements
from detectors.duplicates.codes import codes_of_product
from detectors.duplicates.measures import measures_in_words
from detectors.duplicates.rule import points, rule_scores
from detectors.duplicates.score import THRESHOLD
from detectors.duplicates.statement import SAME
from detectors.duplicates.view import CatalogueView, Hits
from detectors.records import Facts
from detectors.standardise.chinese import fold

__all__ = ["Term", "Verdict", "terms_of", "verdicts", "words_apart"]

_PIECE = re.compile(r"[^\W_]+(?:[-./'][^\W_]+)*")
_CHINESE = re.compile(r"([\u2e80-\u9fff])")
_COMPARED = 100  # pieces of a title; comparing takes time by their square, or worse


@dataclass(frozen=True, slots=True)
class Term:
    """One piece of evidence. points: what it adds to the score of the rule. words: what was seen."""

    feature: str
    points: float
    words: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the rule says of a pair.

    vetoed: the score is enough, yet the pair is not taken, because other words of the titles speak of two products.
    points: by feature what it adds to the score, weightiest first; features that say nothing are left out.
    similarity: of the titles, 0-1. price_ratio: of the dearer one to the other.
    """

    score: float
    vetoed: bool
    points: Mapping[str, float]
    similarity: float
    price_ratio: float


def verdicts(
    view: CatalogueView, asked: Sequence[tuple[str, str, Mapping[str, float]]], *, clean: bool
) -> list[Verdict]:
    """Verdicts of (later, earlier, all that the later one was compared with -> similarity), by what the view knows now.

    The earlier one is among them.
    """
    if not asked:
        return []
    hits = _as_hits(view, asked)
    column = np.array([list(line).index(earlier) for _, earlier, line in asked])
    taken = [
        earlier in {candidate.identity for candidate in said.candidates if candidate.relation == SAME}
        for said, (_, earlier, _) in zip(statements(view, hits, clean=clean), asked, strict=True)
    ]
    comparison = view.evidence.compare(hits.row, hits.candidates)
    features = features_of(view, hits, comparison)
    scores, gained = rule_scores(features, clean=clean), points(features, clean=clean)
    found = []
    for i, (_, earlier, line) in enumerate(asked):
        gains = {name: round(float(gain[i, column[i]]), 3) for name, gain in gained.items() if gain[i, column[i]]}
        score = round(float(scores[i, column[i]]), 4)
        found.append(
            Verdict(
                score,
                score >= THRESHOLD and not taken[i],
                dict(sorted(gains.items(), key=lambda item: (-abs(item[1]), item[0]))),
                line[earlier],
                math.exp(float(comparison.price[i, column[i]])),
            )
        )
    return found


def terms_of(view: CatalogueView, earlier: str, later: str, verdict: Verdict) -> tuple[Term, ...]:
    """The evidence of a verdict in words; of what the two say differently, the earlier one's comes first."""
    a, b = view.entry_at(view.row_of(earlier)), view.entry_at(view.row_of(later))
    words = {
        **_words(a.facts_read, b.facts_read, a.match_price, b.match_price, verdict.price_ratio),
        "similarity": f"titles {verdict.similarity:.0%} alike",
    }
    return tuple(Term(name, gain, words.get(name, name.replace("_", " "))) for name, gain in verdict.points.items())


def _as_hits(view: CatalogueView, asked: Sequence[tuple[str, str, Mapping[str, float]]]) -> Hits:
    n, width = len(asked), max(len(line) for _, _, line in asked)
    candidates = np.full((n, width), -1, np.intp)
    similarity = np.full((n, width), -1, np.float32)
    for i, (_, _, line) in enumerate(asked):
        candidates[i, : len(line)] = [view.row_of(other) for other in line]
        similarity[i, : len(line)] = list(line.values())
    row = np.array([view.row_of(later) for later, _, _ in asked], np.intp)
    nothing = np.zeros((n, 0), np.float32)
    position = np.array([view.offset_at(r) for r in row.tolist()], np.int64)
    former, identities = view.former(position), [later for later, _, _ in asked]
    return Hits(identities, row, position, former, candidates[:, :0], nothing, nothing, candidates, similarity)


def _words(a: Facts, b: Facts, price_a: float | None, price_b: float | None, times: float) -> dict[str, str]:
    text_a, text_b = fold(a.title), fold(b.title)
    codes_a, codes_b = codes_of_product(text_a, a), codes_of_product(text_b, b)
    shared = [code.upper() for code in codes_a if code in codes_b]
    own_a = _listed(code.upper() for code in codes_a if code not in codes_b)
    own_b = _listed(code.upper() for code in codes_b if code not in codes_a)
    amounts_a, amounts_b = measures_in_words(text_a), measures_in_words(text_b)
    only_a = _listed(amount for amount in amounts_a if amount not in amounts_b)
    only_b = _listed(amount for amount in amounts_b if amount not in amounts_a)
    differ = f"{only_a} against {only_b}" if only_a and only_b else only_a or only_b
    codes = f"{own_a or 'none'} against {own_b or 'none'}"
    apart = words_apart(a.title, b.title)
    return {
        "code_shared": f"same model code {shared[0]}" if shared else f"one's code stands in the other's text ({codes})",
        "code_conflict": f"no model code in common: {codes}",
        "code_left": f"each has a code that the other lacks: {codes}",
        "units": "amounts, colours or pieces differ" + (f": {differ}" if differ else ""),
        "price": f"prices {_money(price_a, a.currency)} and {_money(price_b, b.currency)}, {_times(times)}",
        "code_stem": f"model codes differ at their end only: {codes}",
        "gtin_same": f"same GTIN {a.gtin}",
        "gtin_conflict": f"GTIN {a.gtin} and {b.gtin}",
        "mpn_conflict": f"part numbers {a.mpn} and {b.mpn}",
        "contained": "what the shorter title says, the other says too, by the weight of its words",
        "overlap": "words in common, by their weight",
        "exchanged": "the titles are the same but for words that stand for others" + (f": {apart}" if apart else ""),
    }


def words_apart(one: str, other: str) -> str:
    """What only one of two titles says near its beginning, in words; of Chinese the characters. Empty where nothing is
    found.
    """
    a, b = _pieces(one), _pieces(other)
    only_a, only_b = [], []
    for what, i, j, m, n in SequenceMatcher(None, a[:_COMPARED], b[:_COMPARED], autojunk=False).get_opcodes():
        if what != "equal":
            only_a += _own(a[i:j], b)
            only_b += _own(b[m:n], a)
    sides = [_listed(only) for only in (only_a, only_b) if only]
    return " against ".join(sides) if len(sides) == 2 else f"{sides[0]} in one alone" if sides else ""


def _pieces(title: str) -> list[str]:
    """The words of a title as they stand there, of Chinese each character."""
    return [part for word in _PIECE.findall(fold(title)) for part in _CHINESE.split(word) if part]


def _own(pieces: Sequence[str], others: Sequence[str]) -> list[str]:
    """Pieces that follow each other, without those that the other title says elsewhere; Chinese ones as runs."""
    runs = "".join(piece if _CHINESE.match(piece) else f" {piece} " for piece in pieces).split()
    text = "".join(others)
    return [run for run in runs if run not in (text if _CHINESE.match(run) else others)]


def _listed(words: Iterable[str]) -> str:
    return ", ".join(dict.fromkeys(words))


def _times(times: float) -> str:
    shown = f"{times:.2g}"
    return "nearly the same" if shown == "1" else f"one is {shown} times the other"


def _money(price: float | None, currency: str | None) -> str:
    if price is None:
        return "no price"
    return f"{price:.2f} {currency}" if currency else f"{price:.2f}"
