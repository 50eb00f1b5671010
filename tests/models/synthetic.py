"""A small catalogue with neighbours, made from nothing but a seed."""

from __future__ import annotations

import numpy as np

from detectors.records import Batch
from tests.detectors.products import facts, product_batch

_CATEGORIES = [
    ("Audio > Headphones", "headphones", 60, ("Sonara", "Bassett", "Auralis")),
    ("Kitchen > Knives", "knife", 25, ("Solinger", "Kaido", "Bladeworks")),
    ("Toys > Cars", "toy car", 12, ("Zoomer", "Wheelies", "Tinytown")),
    ("Office > Chairs", "office chair", 180, ("Sitwell", "Ergona", "Deskline")),
    ("Beauty > Cream", "hand cream", 9, ("Lumea", "Velvetine", "Petalis")),
    ("Garden > Hoses", "garden hose", 35, ("Aquaflex", "Greenline", "Sprinkly")),
]
_COLOURS = ("black", "white", "red", "blue", "green", "silver")


def catalogue(count: int, seed: int) -> Batch:
    """Products of six categories, eighteen brands, prices in EUR; each with twelve neighbours of its category."""
    rng = np.random.default_rng(seed)
    rows = []
    for n in range(count):
        category, noun, price, brands = _CATEGORIES[n % len(_CATEGORIES)]
        brand = brands[int(rng.integers(len(brands)))]
        title = (
            f"{brand} {_COLOURS[int(rng.integers(6))]} {noun} {chr(65 + int(rng.integers(26)))}{rng.integers(100, 999)}"
        )
        rows.append(
            {
                "id": str(n),
                "title": title,
                "description": f"This {noun} by {brand} is made with care. All about {title.lower()} in one box.",
                "brand": brand,
                "category": category,
                "price": round(float(price * np.exp(rng.normal(0, 0.2))), 2),
                "currency": "EUR",
            }
        )
    products = [facts(f"p{n}", **{k: v for k, v in row.items() if k != "id"}) for n, row in enumerate(rows)]
    neighbours = []
    for n in range(count):
        alike = [m for m in range(n % len(_CATEGORIES), count, len(_CATEGORIES)) if m != n]
        chosen = rng.choice(alike, size=min(12, len(alike)), replace=False).tolist()
        scored = [(0.75 + 0.1 * (rows[m]["brand"] == rows[n]["brand"]) - 0.01 * i, m) for i, m in enumerate(chosen)]
        neighbours.append([(score, products[m]) for score, m in sorted(scored, reverse=True)])
    return product_batch(rows, neighbours)
