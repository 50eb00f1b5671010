"""The articles that exist: what suppliers offer under their own numbers and in their own words."""

from __future__ import annotations

import math
import random
import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from stdnum import ean

from streams.marketplace.vocabulary import BRANDS, CATEGORIES, COLOURS, LINES, SENTENCES, Bilingual, Brand, Category

__all__ = ["Article", "build_catalogue"]

_VARIANT_SHARE = 0.25  # of the families that come in several colours or sizes
_PRICE_SPREAD = 0.16  # standard deviation of ln price between families that are alike


@dataclass(frozen=True, slots=True)
class Article:
    """One thing that can be bought, whoever offers it. Two articles of one family differ in colour or size only.

    code: the maker's number, unique. gtin: 13 digits, unique, its check digit right. usd: a usual price.
    """

    number: int
    family: int
    category: Category
    brand: Brand
    line: str
    noun: Bilingual
    features: tuple[Bilingual, ...]
    sentences: tuple[Bilingual, ...]
    size: str | None
    colour: Bilingual | None
    code: str
    gtin: str
    usd: float


def build_catalogue(rng: random.Random, families: int) -> list[Article]:
    """Articles of `families` families per category, those of one family side by side."""
    articles: list[Article] = []
    family = 0
    codes: set[str] = set()
    for category in CATEGORIES:
        brands = [brand for brand in BRANDS if category.department in brand.departments]
        lines: dict[Brand, list[str]] = defaultdict(lambda: rng.sample(LINES, len(LINES)))
        noun_price = {noun: math.exp(rng.gauss(0, 0.2)) for noun in category.nouns}
        for _ in range(families):
            brand = rng.choice(brands)
            noun = rng.choice(category.nouns)
            line = lines[brand].pop() if lines[brand] else rng.choice(LINES)
            features = tuple(rng.sample(category.features, 2))
            sentences = tuple(rng.sample(SENTENCES, 3))
            stem = _stem(rng, brand, codes)
            usd = category.price * brand.tier * noun_price[noun] * math.exp(rng.gauss(0, _PRICE_SPREAD))
            for variant, (size, colour) in enumerate(_variants(rng, category)):
                suffix = colour[0] if colour else ""
                if size is not None:
                    suffix = re.sub(r"\D", "", size) + suffix
                number = len(articles)
                articles.append(
                    Article(
                        number=number,
                        family=family,
                        category=category,
                        brand=brand,
                        line=line,
                        noun=noun,
                        features=features,
                        sentences=sentences,
                        size=size,
                        colour=colour[1] if colour else None,
                        code=f"{stem}-{suffix}" if suffix else stem,
                        gtin=_gtin(rng, number),
                        usd=round(usd * _size_factor(category.sizes, size) * (1 + 0.01 * variant), 2),
                    )
                )
            family += 1
    return articles


def _stem(rng: random.Random, brand: Brand, taken: set[str]) -> str:
    letters = re.sub(r"[^A-Z]", "", brand.en.upper().encode("ascii", "ignore").decode())
    while True:
        stem = f"{letters[0]}{rng.choice(letters[1:])}-{rng.randint(1000, 9999)}"
        if stem not in taken:
            taken.add(stem)
            return stem


def _variants(rng: random.Random, category: Category) -> list[tuple[str | None, tuple[str, Bilingual] | None]]:
    """Size and colour of each article of a family: mostly one article, else up to four that differ in one of both."""
    size = rng.choice(category.sizes) if category.sizes else None
    colour = rng.choice(COLOURS) if category.coloured else None
    if rng.random() >= _VARIANT_SHARE:
        return [(size, colour)]
    if category.sizes and (colour is None or rng.random() < 0.5):
        return [(other, colour) for other in category.sizes]
    if colour is not None:
        return [(size, other) for other in rng.sample(COLOURS, rng.randint(2, 4))]
    return [(size, colour)]


def _size_factor(sizes: Sequence[str], size: str | None) -> float:
    """What a size costs against the middle one."""
    if size is None or len(sizes) < 2:
        return 1.0
    return math.exp(0.28 * (sizes.index(size) - (len(sizes) - 1) / 2))


def _gtin(rng: random.Random, number: int) -> str:
    digits = f"{rng.choice(('400', '690', '760', '501'))}{rng.randint(1000, 9999)}{number:05d}"
    return digits + str(ean.calc_check_digit(digits))
