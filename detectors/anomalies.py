"""The anomaly classifier's side of the stream: what it looks at, and what its scores mean.

`AnomalyFeatures` turns a batch into numbers: how far each field of a record is from what its neighbours say. What
they amount to is learned (`models.anomaly`); `AnomalyDetector` only needs something that scores.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from detectors.brand import alnum, is_alias, place_in, squash, tokens
from detectors.contract.model import Role
from detectors.money import RATES, number, show
from detectors.neighbourhood import named, softmax_weights, source_of, text
from detectors.price import PLACEHOLDERS, PriceTable, log_price, mixture, price_table
from detectors.records import Batch, Dimension, Evidence, Facts, Finding, Rule, Severity, Suggestion
from detectors.standardise.chinese import fold
from detectors.standardise.memoised import memoised
from detectors.text import words

__all__ = [
    "FEATURES",
    "KINDS",
    "RULES",
    "AnomalyDetector",
    "AnomalyFeatures",
    "AnomalyKind",
    "AnomalyScorer",
    "Feature",
]


class AnomalyKind(StrEnum):
    """The field that the classifier holds to be wrong."""

    PRICE = "price"
    CATEGORY = "category"
    BRAND = "brand"
    DESCRIPTION = "description"


KINDS: Final = tuple(AnomalyKind)

RULES: Final = {
    AnomalyKind.PRICE: Rule(
        "anomaly.price",
        Dimension.ACCURACY,
        Severity.WARNING,
        "The classifier holds the price or its currency to be wrong.",
    ),
    AnomalyKind.CATEGORY: Rule(
        "anomaly.category",
        Dimension.ACCURACY,
        Severity.WARNING,
        "The classifier holds the category to be another product's.",
    ),
    AnomalyKind.BRAND: Rule(
        "anomaly.brand",
        Dimension.ACCURACY,
        Severity.WARNING,
        "The classifier holds the brand to be another product's.",
    ),
    AnomalyKind.DESCRIPTION: Rule(
        "anomaly.description",
        Dimension.CONSISTENCY,
        Severity.WARNING,
        "The classifier holds the description to be another product's.",
    ),
}


@dataclass(frozen=True, slots=True)
class Feature:
    """One number that the classifier sees; `meaning` goes into the evidence."""

    name: str
    meaning: str


_PRICE: Final = (
    Feature("price_known", "whether a price is known"),
    Feature("price_neighbours", "how many similar products have a price"),
    Feature("price_fit", "how well the price fits those of similar products"),
    Feature("price_fit_x10", "how well a tenth of the price would fit"),
    Feature("price_fit_x100", "how well a hundredth of the price would fit"),
    Feature("price_fit_/10", "how well ten times the price would fit"),
    Feature("price_fit_/100", "how well a hundred times the price would fit"),
    Feature("price_fit_label", "how well the price would fit in another currency"),
    Feature("price_deviation", "how far the price is from the middle price of similar products"),
    Feature("price_distance", "how far, up or down, the price is from that middle"),
    Feature("price_spread", "how much similar products differ in price"),
    Feature("price_offers", "how many offers of the same product there are"),
    Feature("price_placeholder", "whether people type this price where they have none"),
    Feature("price_label_shared", "how many similar products have this currency"),
)
_CATEGORY: Final = (
    Feature("category_known", "whether a category is known"),
    Feature("category_share", "how many similar products are in this category"),
    Feature("category_rival", "how many similar products are in one other category"),
    Feature("category_branch", "how many similar products are in this branch"),
    Feature("category_nearest", "how near the nearest product of this category is"),
    Feature("category_rival_nearest", "how near the nearest product of the other category is"),
    Feature("category_words", "whether title and category share words"),
)
_BRAND: Final = (
    Feature("brand_known", "whether a brand is known"),
    Feature("brand_share", "how many similar products have this brand"),
    Feature("brand_rival", "how many similar products have one other brand"),
    Feature("brand_nearest", "how near the nearest product of this brand is"),
    Feature("brand_in_title", "whether the title names the brand"),
    Feature("brand_rival_in_title", "whether the title names the other brand"),
    Feature("brand_usual_in_title", "how often titles of similar products name their brand"),
    Feature("brand_alias", "whether both brands may be one"),
    Feature("brand_in_description", "whether the description names the brand"),
)
_DESCRIPTION: Final = (
    Feature("description_known", "whether there is a description"),
    Feature("description_length", "how long the description is"),
    Feature("description_title", "how many of the title's words the description repeats"),
    Feature("description_usual", "how many of their titles' words similar descriptions repeat"),
    Feature("description_gap", "how much less it repeats than similar descriptions do"),
    Feature("description_topic", "how many of the description's words similar products use"),
    Feature("description_shared", "how many words that similar titles share the description has"),
    Feature("description_brand", "whether the description names another brand of the neighbourhood"),
)
_NEIGHBOURHOOD: Final = (
    Feature("nearest", "how near the nearest product is"),
    Feature("near", "how near the similar products are"),
    Feature("nearest_meaning", "how near the nearest product is by meaning"),
)
FEATURES: Final = (*_PRICE, *_CATEGORY, *_BRAND, *_DESCRIPTION, *_NEIGHBOURHOOD)
"""What `AnomalyFeatures` gives, in this order."""

_OF_KIND: Final = {
    AnomalyKind.PRICE: _PRICE,
    AnomalyKind.CATEGORY: _CATEGORY,
    AnomalyKind.BRAND: _BRAND,
    AnomalyKind.DESCRIPTION: _DESCRIPTION,
}
_COLUMN: Final = {feature.name: place for place, feature in enumerate(FEATURES)}
_MIN_SCORE: Final = 0.2
_FLOOR: Final = 1e-4
_MAX_CURRENCIES: Final = 8
_TEXT_NEIGHBOURS: Final = 8
_CHARACTERS: Final = 1000
_LN10: Final = math.log(10.0)


class AnomalyScorer(Protocol):
    """What a trained classifier is to the detector."""

    @property
    def name(self) -> str:
        """Name and version, for findings."""

    @property
    def thresholds(self) -> NDArray[np.float32]:
        """(kinds,) the score from which there is a finding, in the order of `KINDS`; above 1 means never."""

    @property
    def typical(self) -> NDArray[np.float32]:
        """(f,) a sound record's features: evidence compares with them."""

    def score(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """(n, f) features -> (n, kinds): the probability, 0-1, that a finding of this kind would be right."""


class AnomalyFeatures:
    """Numbers about each record of a batch, from its neighbours; its own values are never among theirs.

    A field that is not known gives zeros, and its `_known` feature says so. `min_score`: similarity below which a
    neighbour does not count.
    """

    def __init__(self, min_score: float = _MIN_SCORE) -> None:
        self.min_score = min_score

    def __call__(self, batch: Batch) -> NDArray[np.float32]:
        """(n, len(FEATURES)) float32; zeros where the batch has no neighbours."""
        out = np.zeros((len(batch), len(FEATURES)), np.float32)
        if batch.neighbours is None or not len(batch):
            return out
        self.update(out, batch, KINDS)
        scores, dense = batch.neighbours.scores, batch.neighbours.dense
        if scores.shape[1]:
            out[:, -len(_NEIGHBOURHOOD) :] = np.stack(
                [scores.max(axis=1), scores.mean(axis=1), dense.max(axis=1)], axis=1
            )
        return out

    def update(self, features: NDArray[np.float32], batch: Batch, kinds: Iterable[AnomalyKind]) -> None:
        """Compute the features of these kinds again, in place: the batch's columns of these kinds have changed."""
        assert batch.neighbours is not None
        usable = batch.neighbours.scores >= self.min_score
        weights = softmax_weights(batch.neighbours.scores, usable)
        for kind in kinds:
            place = _COLUMN[_OF_KIND[kind][0].name]
            columns = slice(place, place + len(_OF_KIND[kind]))
            match kind:
                case AnomalyKind.PRICE:
                    features[:, columns] = self._price(batch)
                case AnomalyKind.CATEGORY:
                    features[:, columns] = self._category(batch, weights)
                case AnomalyKind.BRAND:
                    features[:, columns] = self._brand(batch, weights)
                case AnomalyKind.DESCRIPTION:
                    features[:, columns] = self._description(batch)

    def _price(self, batch: Batch) -> NDArray[np.float64]:
        out = np.zeros((len(batch), len(_PRICE)))
        labels = [label if isinstance(label, str) and label else None for label in batch.column(Role.CURRENCY)]
        prices = [number(value) for value in batch.column(Role.PRICE)]
        logs = np.array([log_price(price, label) for price, label in zip(prices, labels, strict=True)])
        table = price_table(batch, labels, logs, self.min_score)
        count = table.usable.sum(axis=1)
        rows = np.flatnonzero(~np.isnan(logs) & (count > 0))
        if not len(rows):
            return out
        x = logs[rows]
        some = PriceTable(*(getattr(table, name)[rows] for name in ("logs", "usable", "same", "weights", "widths")))

        def fit(at: NDArray[np.float64]) -> NDArray[np.float64]:
            return np.asarray(np.log(mixture(at, some) + _FLOOR))

        middle = _weighted_median(some.logs, some.weights)
        spread = _weighted_median(np.abs(some.logs - middle[:, np.newaxis]), some.weights)
        deviation = (x - middle) / (spread + 0.15)
        label_fit, label_share = self._labels(batch, rows, prices, labels, some)
        out[rows] = np.stack(
            [
                np.ones(len(rows)),
                np.log1p(count[rows]),
                fit(x),
                fit(x - _LN10),
                fit(x - 2 * _LN10),
                fit(x + _LN10),
                fit(x + 2 * _LN10),
                label_fit,
                np.clip(deviation, -20, 20) / 5,
                np.clip(np.abs(x - middle), 0, 8),
                spread,
                np.log1p(some.same.sum(axis=1)),
                np.array([prices[row] in PLACEHOLDERS for row in rows.tolist()], np.float64),
                label_share,
            ],
            axis=1,
        )
        return out

    @staticmethod
    def _labels(
        batch: Batch,
        rows: NDArray[np.intp],
        prices: Sequence[float | None],
        labels: Sequence[str | None],
        table: PriceTable,
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """How well each price would fit under the best other label of its neighbours; the share of its own label."""
        assert batch.neighbours is not None
        best = np.full(len(rows), math.log(_FLOOR))
        own = np.ones(len(rows))
        others: dict[str, list[int]] = {}
        for i, row in enumerate(rows.tolist()):
            label = labels[row]
            if label is None:
                continue
            facts = batch.neighbours.facts[row]
            found = [facts[j].currency for j in np.flatnonzero(table.usable[i]).tolist() if j < len(facts)]
            own[i] = found.count(label) / max(1, len(found))
            for currency in sorted({c for c in found if c is not None and c != label})[:_MAX_CURRENCIES]:
                others.setdefault(currency, []).append(i)
        for currency, places in others.items():
            if currency not in RATES:
                continue
            at = np.array([log_price(prices[rows[i]], currency) for i in places])
            part = PriceTable(
                *(getattr(table, name)[places] for name in ("logs", "usable", "same", "weights", "widths"))
            )
            best[places] = np.maximum(best[places], np.log(mixture(at, part) + _FLOOR))
        return best, own

    def _category(self, batch: Batch, weights: NDArray[np.float64]) -> NDArray[np.float64]:
        assert batch.neighbours is not None
        out = np.zeros((len(batch), len(_CATEGORY)))
        if batch.contract.column_of(Role.CATEGORY) is None:
            return out
        titles = batch.column(Role.TITLE)
        for row, value in enumerate(batch.column(Role.CATEGORY)):
            if not isinstance(value, str) or not value:
                continue
            facts, scores = batch.neighbours.facts[row], batch.neighbours.scores[row].tolist()
            own = fold(value)
            theirs = _categories(facts, own, source_of(batch.records[row].identity))
            vote = _Vote(theirs, weights[row].tolist(), scores, own)
            branch = _branch(own)
            in_branch = sum(
                w for c, w in zip(theirs, weights[row].tolist(), strict=False) if c and _branch(c) == branch
            )
            shared = not words(text(titles[row])).isdisjoint(words(value))
            out[row] = (1, vote.own, vote.rival, in_branch, vote.own_best, vote.rival_best, shared)
        return out

    def _brand(self, batch: Batch, weights: NDArray[np.float64]) -> NDArray[np.float64]:
        assert batch.neighbours is not None
        out = np.zeros((len(batch), len(_BRAND)))
        if batch.contract.column_of(Role.BRAND) is None:
            return out
        titles, descriptions = batch.column(Role.TITLE), batch.column(Role.DESCRIPTION)
        for row, value in enumerate(batch.column(Role.BRAND)):
            own = squash(text(value))
            if not own:
                continue
            facts, scores = batch.neighbours.facts[row], batch.neighbours.scores[row].tolist()
            brands = [squash(f.brand) if f.brand else None for f in facts]
            vote = _Vote(brands, weights[row].tolist(), scores, own)
            title = tokens(text(titles[row]))
            rival = "" if vote.rival_at is None else text(facts[vote.rival_at].brand)
            in_title = [place_in(tokens(f.title), f.brand) is not None for f in facts[:_TEXT_NEIGHBOURS] if f.brand]
            description = text(descriptions[row])[:_CHARACTERS]
            out[row] = (
                1,
                vote.own,
                vote.rival,
                vote.own_best,
                place_in(title, value) is not None,
                bool(rival) and place_in(title, rival) is not None,
                sum(in_title) / len(in_title) if in_title else 0.5,
                bool(rival) and is_alias(value, rival),
                bool(description) and own in alnum(description),
            )
        return out

    def _description(self, batch: Batch) -> NDArray[np.float64]:
        assert batch.neighbours is not None
        out = np.zeros((len(batch), len(_DESCRIPTION)))
        if batch.contract.column_of(Role.DESCRIPTION) is None:
            return out
        titles, brands = batch.column(Role.TITLE), batch.column(Role.BRAND)
        for row, value in enumerate(batch.column(Role.DESCRIPTION)):
            described = words(text(value)[:_CHARACTERS])
            if not described:
                continue
            title = words(text(titles[row]))
            facts = batch.neighbours.facts[row][:_TEXT_NEIGHBOURS]
            usual: list[float] = []
            used: set[str] = set()
            seen: Counter[str] = Counter()
            for other in facts:
                theirs = words(other.title)
                seen.update(theirs)
                used |= theirs
                if other.description:
                    told = words(other.description[:_CHARACTERS])
                    used |= told
                    if theirs:
                        usual.append(len(theirs & told) / len(theirs))
            repeated = len(title & described) / max(1, len(title))
            habit = sum(usual) / len(usual) if usual else 0.0
            topical = {word for word, count in seen.items() if count >= 2} | title
            own = squash(text(brands[row]))
            other_brands = {f.brand for f in facts if f.brand and squash(f.brand) != own}
            lead = tokens(text(value)[:_CHARACTERS])
            names_other = any(place_in(lead, brand) is not None for brand in other_brands)
            out[row] = (
                1,
                math.log1p(len(described)),
                repeated,
                habit,
                habit - repeated,
                len(described & (used | title)) / len(described),
                len(topical & described) / max(1, len(topical)),
                names_other,
            )
        return out


class _Vote:
    """The neighbours' weight for a value, and for the strongest other one."""

    def __init__(self, values: Any, weights: Sequence[float], scores: Sequence[float], own: str) -> None:
        self.own = self.rival = self.own_best = self.rival_best = 0.0
        self.rival_at: int | None = None
        others: dict[str, float] = {}
        first: dict[str, int] = {}
        total = 0.0
        for place, (value, weight, score) in enumerate(zip(values, weights, scores, strict=False)):
            if not value or not weight:
                continue
            total += weight
            if value == own:
                self.own += weight
                self.own_best = max(self.own_best, score)
            else:
                others[value] = others.get(value, 0.0) + weight
                first.setdefault(value, place)
        if others:
            rival = max(others, key=lambda value: others[value])
            self.rival_at = first[rival]
            self.rival = others[rival] / total
            self.rival_best = scores[self.rival_at]
        if total:
            self.own /= total


class AnomalyDetector:
    """Names the records that a trained classifier holds to be wrong. Keeps nothing between batches.

    scorer: the classifier. Its evidence is the features of the finding's kind whose being as in a sound record would
    have lowered the score most.
    """

    rules: tuple[Rule, ...] = tuple(RULES.values())

    def __init__(self, scorer: AnomalyScorer) -> None:
        self.scorer = scorer
        self._features = AnomalyFeatures()

    def detect(self, batch: Batch) -> list[Finding]:
        """Findings of this batch, ordered by row."""
        if batch.neighbours is None or not len(batch):
            return []
        features = self._features(batch)
        scores = self.scorer.score(features)
        rows, kinds = np.nonzero(scores >= self.scorer.thresholds)
        findings = []
        for row, k in zip(rows.tolist(), kinds.tolist(), strict=True):
            kind = KINDS[k]
            column = batch.contract.column_of(Role(kind.value))
            if column is not None and features[row, _COLUMN[_OF_KIND[kind][0].name]]:
                findings.append(self._finding(batch, row, kind, column, features[row], float(scores[row, k])))
        return findings

    def _finding(
        self, batch: Batch, row: int, kind: AnomalyKind, column: str, features: NDArray[np.float32], score: float
    ) -> Finding:
        assert batch.neighbours is not None
        facts, scores = batch.neighbours.facts[row], batch.neighbours.scores[row].tolist()
        reasons = self._drivers(features, kind)
        observed = batch.records[row].values.get(column)
        says, suggestion = _in_words(kind, batch, row, facts, features)
        spoke = " and ".join(feature.meaning for feature in reasons)
        shown = [(f, s, getattr(f, kind.value)) for f, s in zip(facts, scores, strict=False)][:5]
        return Finding(
            row=row,
            rule=RULES[kind],
            column=column,
            observed=observed,
            confidence=round(min(score, 0.999), 4),
            evidence=Evidence(
                f"{says} What spoke for it most: {spoke}." if spoke else says,
                tuple(named(f, s, v if kind is not AnomalyKind.DESCRIPTION else f.title) for f, s, v in shown),
                {f.name: round(float(features[_COLUMN[f.name]]), 4) for f in reasons},
            ),
            suggestion=suggestion,
            model=self.scorer.name,
        )

    def _drivers(self, features: NDArray[np.float32], kind: AnomalyKind) -> list[Feature]:
        """The features of this kind that drove the score, at most three, the strongest first."""
        candidates = [f for f in _OF_KIND[kind] if not f.name.endswith("_known")]
        places = [_COLUMN[f.name] for f in candidates]
        altered = np.repeat(features[np.newaxis], len(places) + 1, axis=0)
        altered[np.arange(len(places)), places] = self.scorer.typical[places]
        scores = self.scorer.score(altered)[:, KINDS.index(kind)]
        drop = scores[-1] - scores[:-1]
        order = np.argsort(-drop, kind="stable")[:3]
        return [candidates[i] for i in order.tolist() if drop[i] > 0.02]


def _in_words(
    kind: AnomalyKind, batch: Batch, row: int, facts: Sequence[Facts], features: NDArray[np.float32]
) -> tuple[str, Suggestion | None]:
    """One sentence about a finding, and the value that the neighbours would have there, where they agree on one."""
    if kind is AnomalyKind.PRICE:
        costs = [f"{show(f.price)} {f.currency or ''}".rstrip() for f in facts if f.price and f.price > 0][:5]
        price, label = number(batch.column(Role.PRICE)[row]) or 0.0, batch.column(Role.CURRENCY)[row]
        own = f"{show(price)} {label if isinstance(label, str) else ''}".rstrip()
        return f"The most similar products cost {', '.join(costs)}; this one says {own}.", None
    if kind is AnomalyKind.DESCRIPTION:
        repeated, usual = (float(features[_COLUMN[name]]) for name in ("description_title", "description_usual"))
        return (
            f"The description repeats {repeated:.0%} of the title's words; "
            f"those of similar products repeat {usual:.0%} of theirs.",
            None,
        )
    value = text(batch.column(Role(kind.value))[row])
    share, rival = (float(features[_COLUMN[f"{kind.value}_{name}"]]) for name in ("share", "rival"))
    other = _rival(kind, facts, value)
    have = f"{share:.0%} of the similar products, weighed by likeness, have {value!r:.80}"
    if other is None:
        return f"{have}.", None
    suggestion = Suggestion(other) if rival >= 0.8 else None
    return f"{have}, {rival:.0%} have {other!r:.80}.", suggestion


def _rival(kind: AnomalyKind, facts: Sequence[Facts], value: str) -> str | None:
    """The value that most of the neighbours have and this record has not, as the nearest of them writes it."""
    form = squash if kind is AnomalyKind.BRAND else fold
    counts: dict[str, int] = {}
    written: dict[str, str] = {}
    for other in facts:
        theirs = getattr(other, kind.value)
        if theirs and form(theirs) != form(value):
            counts[form(theirs)] = counts.get(form(theirs), 0) + 1
            written.setdefault(form(theirs), theirs)
    return written[max(counts, key=lambda key: counts[key])] if counts else None


def _categories(facts: Sequence[Facts], own: str, source: str) -> list[str | None]:
    """The neighbours' categories, folded. Every source has its own: those that this record's does not use are None."""
    folded = [fold(other.category) if other.category else None for other in facts]
    ours = {c for c, other in zip(folded, facts, strict=True) if source_of(other.identity) == source} | {own}
    return [c if c in ours else None for c in folded]


@memoised(1 << 14, 200)
def _branch(category: str) -> str:
    for sign in (">", "|", "/", "\\", "»", "›"):
        category = category.partition(sign)[0]
    return category.strip()


def _weighted_median(values: NDArray[np.float64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """(n, k) values and weights -> (n,) medians; values of weight 0 do not count."""
    order = np.argsort(values, axis=1)
    running = np.cumsum(np.take_along_axis(weights, order, axis=1), axis=1)
    place = (running >= running[:, -1:] / 2).argmax(axis=1)
    median: NDArray[np.float64] = np.take_along_axis(values, order, axis=1)[np.arange(len(values)), place]
    return median
