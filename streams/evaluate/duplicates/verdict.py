"""What the rule says of one pair of products, feature by feature and in words."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields, replace

import numpy as np

from detectors.duplicates.evidence import Comparison, codes_of, measures_in_words, names_of
from detectors.duplicates.rule import THRESHOLD, rule_scores
from detectors.duplicates.statement import statements
from detectors.duplicates.view import CatalogueView, Hits
from detectors.records import Facts
from detectors.standardise.chinese import fold

__all__ = ["Term", "Verdict", "verdicts"]


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
    terms: weightiest first; features that say nothing are left out.
    """

    score: float
    vetoed: bool
    terms: tuple[Term, ...]


def verdicts(view: CatalogueView, pairs: Sequence[tuple[str, str, float]], *, clean: bool) -> list[Verdict]:
    """Verdicts of (later, earlier, similarity), with what the view knows now."""
    if not pairs:
        return []
    n = len(pairs)
    row = np.array([view.row_of(later) for later, _, _ in pairs], np.intp)
    other = np.array([[view.row_of(earlier)] for _, earlier, _ in pairs], np.intp)
    similarity = np.array([[alike] for _, _, alike in pairs], np.float32)
    nothing = np.zeros((n, 0), np.float32)
    hits = Hits([p for p, _, _ in pairs], row, other[:, :0], nothing, nothing, other, similarity)
    taken = [bool(said.candidates) for said in statements(view, hits, clean=clean)]
    comparison = view.evidence.compare(row, other)
    silent = replace(comparison, **{f.name: np.zeros_like(getattr(comparison, f.name)) for f in fields(comparison)})
    whole, alone = rule_scores(similarity, comparison), rule_scores(similarity, silent)
    # The points of a feature are what the score loses without it: so they follow the rule, whatever its weights are.
    points = {
        f.name: whole - rule_scores(similarity, replace(comparison, **{f.name: getattr(silent, f.name)}))
        for f in fields(comparison)
    }
    found = []
    for i, (later, earlier, alike) in enumerate(pairs):
        a, b = view.entry_at(view.row_of(later)), view.entry_at(view.row_of(earlier))
        words = _words(a.facts, b.facts, a.match_price, b.match_price, comparison, i)
        terms = [Term("similarity", round(float(alone[i, 0]), 3), f"titles {alike:.0%} alike")]
        terms += [
            Term(name, round(float(gain[i, 0]), 3), words.get(name, name.replace("_", " ")))
            for name, gain in points.items()
            if gain[i, 0]
        ]
        terms.sort(key=lambda term: (-abs(term.points), term.feature))
        score = float(whole[i, 0])
        found.append(Verdict(score, score >= THRESHOLD and not taken[i], tuple(terms)))
    return found


def _words(
    a: Facts, b: Facts, price_a: float | None, price_b: float | None, comparison: Comparison, i: int
) -> dict[str, str]:
    text_a, text_b = fold(a.title), fold(b.title)
    codes_a, codes_b = codes_of(text_a, a.mpn, names_of(a)), codes_of(text_b, b.mpn, names_of(b))
    shared = [code.upper() for code in codes_a if code in codes_b]
    own_a = _listed(code.upper() for code in codes_a if code not in codes_b)
    own_b = _listed(code.upper() for code in codes_b if code not in codes_a)
    amounts_a, amounts_b = measures_in_words(text_a), measures_in_words(text_b)
    only_a = _listed(amount for amount in amounts_a if amount not in amounts_b)
    only_b = _listed(amount for amount in amounts_b if amount not in amounts_a)
    differ = f"{only_a} against {only_b}" if only_a and only_b else only_a or only_b
    codes = f"{own_a or '-'} against {own_b or '-'}"
    times = math.exp(float(comparison.price[i, 0]))
    return {
        "code_in": f"same model code {shared[0]}" if shared else f"one's code stands in the other's text ({codes})",
        "code_equal": f"same model code {_listed(shared)}",
        "code_conflict": f"no model code in common: {codes}",
        "code_left": f"each has a code that the other lacks: {codes}",
        "units": "amounts, colours or pieces differ" + (f": {differ}" if differ else ""),
        "price": f"prices {_money(price_a, a.currency)} and {_money(price_b, b.currency)}, {times:.2g} times",
        "gtin": f"GTIN {a.gtin} and {b.gtin}",
        "mpn": f"part numbers {a.mpn} and {b.mpn}",
        "same_text": "same title",
    }


def _listed(words: Iterable[str]) -> str:
    return ", ".join(dict.fromkeys(words))


def _money(price: float | None, currency: str | None) -> str:
    if price is None:
        return "-"
    return f"{price:.2f} {currency}" if currency else f"{price:.2f}"
