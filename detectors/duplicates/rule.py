"""The decision whether two products are the same, without labels: a sum of evidence with fixed weights."""

from __future__ import annotations

import re
from collections.abc import Collection
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from detectors.duplicates.evidence import Comparison
from detectors.duplicates.features import FEATURES, MOST_PRICE, PairFeatures
from detectors.duplicates.measures import measures_in_words
from detectors.duplicates.words import GROUPS
from detectors.records import Facts
from detectors.standardise.chinese import fold

__all__ = [
    "doubts",
    "hopeless",
    "reason",
    "rule_scores",
]

UNNAMED_PRICE = 0.34  # |ln price ratio| (1.4 times) from which Chinese titles without a code are of two products

# Weights of what speaks for and against, multiples of 1/32 so that sums are exact.
WEIGHTS = {
    "similarity": 1.0,
    "contained": 3.0,
    "overlap": 1.25,
    "code_shared": 2.0,
    "code_conflict": -1.5,
    "code_stem": 1.5,
    "code_left": -0.5,
    "mpn_conflict": -1.5,
    "gtin_same": 3.0,
    "gtin_conflict": -2.0,
    "units": -1.25,
    "price": -1.625,
    "year_conflict": -1.75,
    "numbers_left": -0.5,
    "platform_conflict": -3.0,
    "language_differs": -1.0,
    "licence_differs": -0.625,
    "edition_differs": -0.5,
    "brand_conflict": -0.5,
}
_BIAS = -5.0
# Offers of one marketplace are mostly of different products, and whoever offers many products says the same of all and
# changes one word: so more is asked there.
_MARKETPLACE_BIAS, _MARKETPLACE_EXCHANGED = -0.75, -2.0
# What full caution takes of titles that share no code: at once, and for what each says that the other does not.
_DOUBT, _DOUBT_OWN, _DOUBT_WEIGHT = 1.0, 0.125, 8.0
# Of titles that differ in little else: by the weight of their words, and in price (3 times).
_VARIANT_CONTAINED, _VARIANT_OVERLAP, _VARIANT_PRICE = 0.75, 0.5, 1.1
_ROUNDED = 0.01  # more than a score gains when features are rounded
_WORD = re.compile(r"[^\W_]+(?:[./-][^\W_]+)*")
_WORDS_SAID = 4
_VECTOR = np.array([WEIGHTS.get(name, 0.0) for name in FEATURES])


def rule_scores(features: PairFeatures, *, clean: bool) -> NDArray[np.float64]:
    """(b, k) sums of `WEIGHTS` over the features, -inf where there is no candidate; at `THRESHOLD` and above they are
    accepted. clean: of clean feeds.

    A score is of its pair alone. How far a candidate is ahead of the others would say more, but which others were there
    depends on what came first, and links must not: of several the owner of links takes the best.
    """
    scores = features.values @ _VECTOR + _BIAS
    if not clean:
        scores += _MARKETPLACE_BIAS + _MARKETPLACE_EXCHANGED * features.of("exchanged") * ~features.named
    return np.where(features.there, np.round(scores, 4), -np.inf)


def hopeless(
    similarity: NDArray[np.float32],
    price: NDArray[np.float32],
    coded: NDArray[np.intp],
    *,
    clean: bool,
    threshold: float,
) -> NDArray[np.bool_]:
    """(p,) pairs whose prices are so far apart that whatever else they say, they are neither the same nor variants.

    similarity, price: as the features. coded: how many of the two have a code or GTIN. One's code may stand in the
    other's text.
    """
    most = WEIGHTS["similarity"] * similarity + WEIGHTS["contained"] + WEIGHTS["overlap"]
    most = most + WEIGHTS["code_shared"] * (coded > 0) + (WEIGHTS["code_stem"] + WEIGHTS["gtin_same"]) * (coded > 1)
    most = most + WEIGHTS["price"] * np.minimum(price, MOST_PRICE) + _BIAS + (0.0 if clean else _MARKETPLACE_BIAS)
    return np.asarray((price > _VARIANT_PRICE + _ROUNDED) & (most < threshold - _ROUNDED))


def doubts(features: PairFeatures, *, clean: bool) -> NDArray[np.float64]:
    """(b, k) what full caution (see `caution`) takes from the scores: nothing where a code, GTIN or the same text
    speaks, nor between clean feeds.
    """
    if clean:
        return np.zeros(features.there.shape)
    own = np.minimum(features.of("own_least"), _DOUBT_WEIGHT)
    return np.asarray((_DOUBT + _DOUBT_OWN * own) * ~features.named)


def variants(features: PairFeatures) -> NDArray[np.bool_]:
    """(b, k) the candidates that, where they are not the same product, may be another colour, size or version of it.

    The titles say the same, by the weight of their words, but for a word, an amount or a code's ending that tells them
    apart. `differences` decides which of them are variants.
    """
    differs = (
        (features.of("units") > 0)
        | (features.of("exchanged") > 0)
        | (features.of("code_stem") > 0)
        | (features.of("year_conflict") > 0)
        | (features.of("version_conflict") > 0)
    )
    for group in GROUPS:
        differs |= features.of(f"{group}_conflict") > 0
    alike = (features.of("contained") >= _VARIANT_CONTAINED) & (features.of("overlap") >= _VARIANT_OVERLAP)
    other = (features.of("brand_conflict") > 0) | (features.of("price") > _VARIANT_PRICE)
    return np.asarray(features.there & differs & alike & ~other)


def points(features: PairFeatures, *, clean: bool) -> dict[str, NDArray[np.float64]]:
    """What each feature adds to the scores, (b, k) each; likeness together with what every pair starts from."""
    found = {name: features.of(name) * weight for name, weight in WEIGHTS.items()}
    found["similarity"] += _BIAS + (0.0 if clean else _MARKETPLACE_BIAS)
    if not clean:
        found["exchanged"] = _MARKETPLACE_EXCHANGED * features.of("exchanged") * ~features.named
    return found


def certain(c: Comparison) -> NDArray[np.bool_]:
    """Which pairs name one product by themselves: the same GTIN, or the same code and nothing that contradicts."""
    contradicted = c.code_left | (c.units > 0) | (c.mpn < 0) | (c.gtin < 0)
    return np.asarray((c.gtin > 0) | ((c.code_equal | c.same_text) & ~contradicted))


def exact(c: Comparison) -> NDArray[np.bool_]:
    """Which candidates are exact duplicates: the same text and the same code or GTIN."""
    return np.asarray(c.same_text & ((c.code_in & (c.gtin >= 0)) | (c.gtin > 0)))


def reason(
    a: Facts,
    b: Facts,
    prices: tuple[float | None, float | None],
    similarity: float,
    *,
    code: str = "",
    amounts: bool = True,
) -> str:
    """Why two products are taken for one, in words: what they share, then what the prices are.

    code: a model code that both have, "" for none. amounts: whether they may share one; else none is looked for.
    """
    text_a, text_b = fold(a.title), fold(b.title)
    parts = []
    if a.gtin and b.gtin and a.gtin.lstrip("0") == b.gtin.lstrip("0"):
        parts.append(f"same GTIN {a.gtin}")
    if code:
        parts.append(f"same model code {code.upper()}")
    if text_a == text_b:
        parts.append("same title")
    elif not code:
        parts.append(f"titles {similarity:.0%} alike")
        words_b = _words(text_b)
        if common := [word for word in _words(text_a) if word in words_b]:
            parts.append(f"both say {' '.join(common[:_WORDS_SAID])}")
    amounts_b = measures_in_words(text_b) if amounts else []
    both = [amount for amount in measures_in_words(text_a) if amount in amounts_b] if amounts_b else []
    if both:
        parts.append(f"both {both[0]}")
    if prices[0] is not None and prices[1] is not None:
        parts.append(f"{_money(prices[0], a.currency)} and {_money(prices[1], b.currency)}")
    return "; ".join(parts)


@lru_cache(maxsize=1 << 13)
def _words(text: str) -> Collection[str]:
    """The words of a folded title, each once, Chinese ones as they stand together."""
    return dict.fromkeys(_WORD.findall(text))


def _money(price: float, currency: str | None) -> str:
    return f"{price:.2f} {currency}" if currency else f"{price:.2f}"
