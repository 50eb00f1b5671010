"""A price against the prices of the nearest products."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from detectors.contract.model import Role
from detectors.money import RATES, number, rescale, show
from detectors.neighbourhood import named, same_product, softmax_weights, source_of
from detectors.records import (
    Batch,
    Dimension,
    Evidence,
    Facts,
    Finding,
    Neighbours,
    Rule,
    Severity,
    Suggestion,
)

__all__ = [
    "CURRENCY",
    "NEIGHBOURS",
    "PLACEHOLDER",
    "PLACEHOLDERS",
    "SCALE",
    "PriceDetector",
    "PriceTable",
    "log_price",
    "mixture",
    "price_table",
]

SCALE: Final = Rule(
    "price.scale",
    Dimension.ACCURACY,
    Severity.ERROR,
    "The price is a power of ten away from the prices of the nearest products: a decimal point went astray.",
)
CURRENCY: Final = Rule(
    "price.currency",
    Dimension.ACCURACY,
    Severity.ERROR,
    "The price fits the nearest products' prices only in another currency than the one it is labelled with.",
)
PLACEHOLDER: Final = Rule(
    "price.placeholder",
    Dimension.ACCURACY,
    Severity.ERROR,
    "The price is a number that people type where they have no price, far from the nearest products' prices.",
)
NEIGHBOURS: Final = Rule(
    "price.neighbours",
    Dimension.ACCURACY,
    Severity.WARNING,
    "The price is far from the prices of the nearest products, for no known reason.",
)

MODEL: Final = "price-bayes/1"

_FACTORS: Final = (Decimal(100), Decimal("0.01"), Decimal(10), Decimal("0.1"))
"""What the true price may have been multiplied with."""
_SHIFTS: Final = tuple(math.log(f) for f in _FACTORS)
_PRIOR_SCALE: Final = (0.003, 0.003, 0.001, 0.001)
_PRIOR_CURRENCY: Final = 0.005
_PRIOR_PLACEHOLDER: Final = 0.003
_PRIOR_OTHER: Final = 0.001
_WIDTH: Final = 16.0
"""All prices there are, in units of the natural log."""
_GRID: Final = 0.03
"""How far apart neighbouring price points are, in units of the natural log: makes a mass of a density."""

PLACEHOLDERS: Final = frozenset(
    [0.01, 0.1, 0.11, 1.0, 1.11, 11.11, 111.0, 111.11, 1111.0, 11111.0, 123.0, 1234.0, 12345.0, 123456.0, 1234567.0]
    + [float(10**n - 1) for n in range(4, 10)]
    + [10**n - 0.01 for n in range(4, 9)]
)

_OFFERS_WEIGHT: Final = 20.0
"""How much more an offer of the same product says than a merely similar product with the same similarity."""
_MAX_CURRENCIES: Final = 12
_AGREE: Final = 0.4
"""Offers of the same product agree on a price that is within this of theirs, in units of the natural log."""
_OFFERS: Final = 4
_SPREAD: Final = math.log(1.35)
_FAR: Final = math.log(2.5)
_USUAL: Final = 0.1  # of the density where most prices are
_CONFIDENCE_FAR: Final = 0.8
"""So many offers of the same product, so close together, speak against a price so far from them."""
_CAP_OFFERS: Final = 0.99
_CAP_SIMILAR: Final = 0.9
"""What a scale found against merely similar products can be worth at most: not enough to be applied unseen."""


@dataclass(frozen=True, slots=True)
class PriceTable:
    """Neighbours' prices as arrays, each (n, k): natural log of the price in US dollars, who counts, same product."""

    logs: NDArray[np.float64]
    usable: NDArray[np.bool_]
    same: NDArray[np.bool_]
    weights: NDArray[np.float64]
    widths: NDArray[np.float64]


class PriceDetector:
    """Bayes over the known ways in which a price goes wrong, against what the nearest products cost.

    The price p of a record, as x = ln(p / rate) in one currency, is held against a mixture over its neighbours,
    f(x) = sum_j w_j t3((x - x_j) / h_j) / h_j, where w_j = softmax(similarity / .07), t3 is Student's t with three
    degrees of freedom and h_j narrows with the similarity (prices of real catalogues: half of the pairs at similarity
    .15 differ by more than e^.9, at .5 by e^.4, at .85 by e^.08). Other offers of the same product (equal GTIN, maker's
    number or model number) weigh 20 times as much and are narrower still. The record's own price is never among them.

    Hypotheses: clean f(x); a scale of 10^s, f(x - ln 10^s); another label c, f(ln(p / rate_c)) for every currency among
    the neighbours; a placeholder; anything else, spread evenly over all prices. Scales and labels are weighed by how
    often the neighbours' prices end on the same decimal place (19.99 ends at -2, 1,900 at 2): 1999 among prices in
    .99 is more likely 19.99 than among whole ones.

    Apart from that, four offers of the same product within a factor of 1.35 speak against a price that is 2.5 times or
    more away from them, known cause or not.

    Silent where all neighbours of the same source are in another category, where price or currency is unknown, where
    fewer than `min_neighbours` priced neighbours (two offers of the same product) are close enough, and where a single
    neighbour speaks for another scale and the price is usual among the others: then the fault is more likely its own.

    min_score: similarity below which a neighbour does not count.
    alarm: the posterior of "clean" below which there is a finding.
    """

    rules: tuple[Rule, ...] = (SCALE, CURRENCY, PLACEHOLDER, NEIGHBOURS)

    def __init__(self, *, min_neighbours: int = 4, min_score: float = 0.25, alarm: float = 0.3) -> None:
        if min_neighbours < 2:
            raise ValueError(f"min_neighbours is {min_neighbours}; at least 2 are needed to agree")
        self.min_neighbours = min_neighbours
        self.min_score = min_score
        self.alarm = alarm

    def detect(self, batch: Batch) -> list[Finding]:
        """Findings of this batch, ordered by row."""
        column = batch.contract.column_of(Role.PRICE)
        if batch.neighbours is None or column is None or not len(batch):
            return []
        labels = [label if isinstance(label, str) and label else None for label in batch.column(Role.CURRENCY)]
        prices = [number(value) for value in batch.column(Role.PRICE)]
        logs = np.array([log_price(price, label) for price, label in zip(prices, labels, strict=True)])
        table = price_table(batch, labels, logs, self.min_score)
        enough = (table.usable.sum(axis=1) >= self.min_neighbours) | (table.same.sum(axis=1) >= 2)
        rows = np.flatnonzero(enough & ~np.isnan(logs))
        if not len(rows):
            return []
        suspects = rows[self._suspicious(logs[rows], _take(table, rows))]
        findings = (self._judge(batch, int(row), prices, labels, table) for row in suspects)
        return [finding for finding in findings if finding is not None]

    def _suspicious(self, logs: NDArray[np.float64], table: PriceTable) -> NDArray[np.bool_]:
        """Rows where "clean" may not be the obvious answer; errs on the side of looking closer."""
        density: NDArray[np.float64] = mixture(logs, table)
        suspicious: NDArray[np.bool_] = density < 0.08
        return suspicious

    def _judge(
        self,
        batch: Batch,
        row: int,
        prices: Sequence[float | None],
        labels: Sequence[str | None],
        table: PriceTable,
    ) -> Finding | None:
        assert batch.neighbours is not None
        price, label = prices[row], labels[row]
        assert price is not None
        facts = batch.neighbours.facts[row]
        used = [j for j in np.flatnonzero(table.usable[row]).tolist() if j < len(facts)]
        one = _take(table, np.array([row]))
        x = log_price(price, label)

        def density(at: float) -> float:
            return float(mixture(np.array([at]), one)[0])

        endings = [_ending(number(facts[j].price) or 1.0) for j in used if facts[j].currency == label]
        own_ending = _ending(price)
        clean = density(x) * _share(own_ending, endings)
        hypotheses: list[tuple[float, Rule, Any]] = []
        for factor, shift, prior in zip(_FACTORS, _SHIFTS, _PRIOR_SCALE, strict=True):
            ending = _share(own_ending - (factor.adjusted()), endings)
            hypotheses.append((prior * density(x - shift) * ending, SCALE, factor))
        hypotheses.extend(self._labels(batch, row, price, label, used, density, own_ending))
        if price in PLACEHOLDERS:
            mass = _PRIOR_PLACEHOLDER / (len(PLACEHOLDERS) * _GRID)
            hypotheses.append((mass * 0.5, PLACEHOLDER, None))
        hypotheses.append((_PRIOR_OTHER / _WIDTH * 0.5, NEIGHBOURS, None))
        total = clean + sum(h[0] for h in hypotheses)
        if clean > self.alarm * total:
            offers = table.logs[row][table.same[row]]
            if len(offers) < _OFFERS or np.ptp(offers) > _SPREAD or abs(float(np.median(offers)) - x) < _FAR:
                return None
            return self._finding(batch, row, NEIGHBOURS, None, _CONFIDENCE_FAR, 0.0, table, used)
        if int(table.same[row].sum()) < 2 and _all_of_another_kind(batch, row, used):
            return None
        mass, rule, value = max(hypotheses, key=lambda h: h[0])
        if rule is SCALE:
            rest = _without_foremost(one, x - math.log(value))
            at_price, repaired = mixture(np.array([x, x - math.log(value)]), rest)
            if at_price >= repaired:  # a single neighbour speaks for another scale, against all others
                usual = mixture(rest.logs[rest.usable], rest).max(initial=0.0)
                if at_price >= _USUAL * usual:
                    return None
                mass, rule, value = min(total - clean, _CAP_SIMILAR * total), NEIGHBOURS, None
        return self._finding(batch, row, rule, value, mass / total, clean / total, table, used)

    def _labels(
        self,
        batch: Batch,
        row: int,
        price: float,
        label: str | None,
        used: list[int],
        density: Any,
        own_ending: int,
    ) -> list[tuple[float, Rule, Any]]:
        """The hypothesis "another label" for the currencies among the neighbours."""
        assert batch.neighbours is not None
        if label is None:
            return []
        facts = batch.neighbours.facts[row]
        source = source_of(batch.records[row].identity)
        # What the same source writes is a better guess at what this record should say than what others write.
        seen: Counter[str] = Counter()
        for j in used:
            currency = facts[j].currency
            if currency is not None and currency != label:
                seen[currency] += 3 if source_of(facts[j].identity) == source else 1
        total = seen.total()
        found: list[tuple[float, Rule, Any]] = []
        for currency, count in seen.most_common(_MAX_CURRENCIES):
            endings = [_ending(number(facts[j].price) or 1.0) for j in used if facts[j].currency == currency]
            likelihood = density(log_price(price, currency)) * _share(own_ending, endings)
            found.append((_PRIOR_CURRENCY * count / total * likelihood, CURRENCY, currency))
        return found

    def _finding(
        self,
        batch: Batch,
        row: int,
        rule: Rule,
        value: Any,
        posterior: float,
        clean: float,
        table: PriceTable,
        used: Sequence[int],
    ) -> Finding:
        assert batch.neighbours is not None
        column = batch.contract.column_of(Role.PRICE)
        labels = batch.column(Role.CURRENCY)
        observed, label = batch.column(Role.PRICE)[row], labels[row] or ""
        facts, scores = batch.neighbours.facts[row], batch.neighbours.scores[row]
        offers = [j for j in used if table.same[row, j]]
        shown = (offers if len(offers) >= 2 else sorted(used, key=lambda j: -table.weights[row, j]))[:5]
        who = _who(facts, shown, same=len(offers) >= 2)
        says = f"this one says {show(number(observed) or 0.0)} {label}".rstrip()
        confidence, suggestion = posterior, None
        if rule is SCALE:
            repaired = rescale(observed, 1 / value)
            suggestion = Suggestion(repaired)
            x = log_price(number(repaired), label or None)
            agree = [j for j in offers if abs(table.logs[row, j] - x) < _AGREE]
            confidence = min(posterior, _CAP_OFFERS if len(agree) >= 2 and len(agree) == len(offers) else _CAP_SIMILAR)
            reason = f"{who}; {says}, and {show(number(repaired) or 0.0)} {label}".rstrip() + " would fit."
        elif rule is CURRENCY:
            column, observed, suggestion = batch.contract.column_of(Role.CURRENCY), label, Suggestion(value)
            reason = f"{who}; {says}, which fits as {value}."
        elif rule is PLACEHOLDER:
            suggestion = Suggestion(None)
            reason = f"{who}; {says}, which is what people type where they have no price."
        else:
            reason = f"{who}; {says}."
        return Finding(
            row=row,
            rule=rule,
            column=column,
            observed=observed,
            confidence=round(min(confidence, 1 - clean, 0.999), 4),
            evidence=Evidence(
                reason,
                tuple(named(facts[j], scores[j], facts[j].price) for j in shown),
                {"posterior": round(posterior, 6), "posterior_clean": round(clean, 6), "offers": float(len(offers))},
            ),
            suggestion=suggestion,
            model=MODEL,
        )


def price_table(batch: Batch, labels: Sequence[str | None], logs: NDArray[np.float64], min_score: float) -> PriceTable:
    """The prices of each record's neighbours.

    labels: the records' currencies. logs: (n,) their own prices by `log_price`; a row without one has no neighbours.
    min_score: similarity below which a neighbour does not count.
    """
    assert batch.neighbours is not None
    neighbours: Neighbours = batch.neighbours
    facts, places = neighbours.distinct
    priced = np.array([log_price(number(other.price), other.currency) for other in facts] + [math.nan])[places]
    labelled = np.array([other.currency is not None for other in facts] + [False])[places]
    alike = labelled == np.array([label is not None for label in labels], np.bool_)[:, None]
    prices = np.where(alike & ~np.isnan(logs)[:, None], priced, math.nan)
    there = ~np.isnan(prices)
    same = same_product(batch, there)
    usable = there & ((neighbours.scores >= min_score) | same)
    similarity = np.clip(neighbours.scores.astype(np.float64), 0, 1)
    weights = softmax_weights(neighbours.scores, usable) * np.where(same, _OFFERS_WEIGHT, 1.0)
    total = weights.sum(axis=1, keepdims=True)
    weights = np.divide(weights, total, out=np.zeros_like(weights), where=total > 0)
    widths = np.where(same, 0.15, 0.12 + 0.65 * (1 - similarity))
    return PriceTable(np.nan_to_num(prices), usable, same, weights, widths)


def _without_foremost(one: PriceTable, repaired: float) -> PriceTable:
    """The neighbours of one record but the one that says most for a repaired price, as `log_price` gives it.

    Which of two prices is wrong the two alone do not tell.
    """
    rest = one.usable.copy()
    rest[0, int(np.argmax(_shares(np.array([repaired]), one)[0]))] = False
    return replace(one, usable=rest, weights=np.where(rest, one.weights, 0.0))


def _all_of_another_kind(batch: Batch, row: int, used: Sequence[int]) -> bool:
    """Whether all neighbours whose category can be compared are in another one: cases among telephones."""
    assert batch.neighbours is not None
    own = batch.column(Role.CATEGORY)[row]
    source = source_of(batch.records[row].identity)
    facts = [batch.neighbours.facts[row][j] for j in used]
    known = [other.category for other in facts if other.category and source_of(other.identity) == source]
    return bool(own) and bool(known) and own not in known


def _who(facts: Sequence[Facts], shown: Sequence[int], *, same: bool) -> str:
    """These products and what they cost, in words: `5 offers of the same product cost 199-219 USD`."""
    ranges = []
    for currency in dict.fromkeys(facts[j].currency for j in shown):
        found = [facts[j].price or 0.0 for j in shown if facts[j].currency == currency]
        low, high = show(min(found)), show(max(found))
        ranges.append(f"{low if low == high else f'{low}-{high}'} {currency or ''}".rstrip())
    kind = "offers of the same product" if same else "of the most similar products"
    return f"{len(shown)} {kind} cost {' and '.join(ranges)}"


def _take(table: PriceTable, rows: NDArray[Any]) -> PriceTable:
    return PriceTable(table.logs[rows], table.usable[rows], table.same[rows], table.weights[rows], table.widths[rows])


def log_price(price: float | None, currency: str | None) -> float:
    """Natural log of the price in US dollars (in its own unit where no currency is known); NaN where unknown."""
    rate = 1.0 if currency is None else RATES.get(currency)
    return math.nan if price is None or rate is None else math.log(price / rate)


def mixture(x: NDArray[np.float64], table: PriceTable) -> NDArray[np.float64]:
    """The density of the neighbours' prices at x. x: (n,). Returns (n,)."""
    result: NDArray[np.float64] = _shares(x, table).sum(axis=1)
    return result


def _shares(x: NDArray[np.float64], table: PriceTable) -> NDArray[np.float64]:
    """What each neighbour adds to `mixture`. x: (n,). Returns (n, k)."""
    z = (x[:, None] - table.logs) / table.widths
    # Student's t with three degrees of freedom: 2 / (pi sqrt 3) (1 + z^2 / 3)^-2
    kernel = 0.36755259694786135 / (1 + z * z / 3) ** 2 / table.widths
    shares: NDArray[np.float64] = kernel * table.weights
    return shares


def _ending(price: float) -> int:
    """The decimal place on which a price ends: -2 of 19.99, 0 of 1999, 2 of 1900; between -4 and 6."""
    exponent = Decimal(repr(price)).normalize().as_tuple().exponent
    assert isinstance(exponent, int)
    return max(-4, min(6, exponent))


def _share(ending: int, endings: Sequence[int]) -> float:
    """How often prices end here, with half a vote for each of the eleven places that an ending can have."""
    return (endings.count(ending) + 0.5) / (len(endings) + 5.5)
