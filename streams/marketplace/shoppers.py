"""Shoppers and bots: sessions that search, look, put into the cart, buy and review."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

from streams.marketplace.suppliers import Offer
from streams.marketplace.vocabulary import REVIEWS

__all__ = ["Session", "Step"]

Step = tuple[str, Offer | None, dict[str, Any]]
"""Event type, the offer that it is about, further fields."""

_BOT_SHARE = 0.02


class Session:
    """What one visitor does, one step at a time; over when `next_step` gives None.

    rng: of the whole marketplace. number: makes the ids of user and session unique.
    """

    def __init__(self, rng: random.Random, number: int) -> None:
        self._rng = rng
        bot = rng.random() < _BOT_SHARE
        self.user = f"b{number:07d}" if bot else f"u{rng.randrange(20_000):06d}"
        self.session = f"s{number:08d}"
        self._chinese = rng.random() < 0.45
        self._looks_at: Offer | None = None
        self._plan = self._bot() if bot else self._shopper()

    def next_step(self, offers: Sequence[Offer]) -> Step | None:
        """The next step, over the offers that are known to shoppers, the most popular first."""
        if not self._plan:
            return None
        kind = self._plan.pop(0)
        if kind in ("search", "view") or self._looks_at is None:
            self._looks_at = offers[int(len(offers) * self._rng.random() ** 3)]
        offer = self._looks_at
        if kind == "search":
            noun = offer.article.noun.zh if self._chinese else offer.article.noun.en.lower()
            brand = offer.article.brand.zh if self._chinese else offer.article.brand.en
            query = self._rng.choice((noun, f"{brand} {noun}", f"{noun} {offer.article.size or ''}".strip()))
            return "search", None, {"query": query}
        if kind == "review":
            review = self._rng.choice(REVIEWS)
            return "review", offer, {"review": review.zh if self._chinese else review.en}
        return kind, offer, {}

    def _bot(self) -> list[str]:
        return ["view"] * self._rng.randint(30, 80)

    def _shopper(self) -> list[str]:
        rng = self._rng
        plan: list[str] = []
        for _ in range(rng.randint(1, 4)):
            if rng.random() < 0.5:
                plan.append("search")
            for _ in range(rng.randint(1, 4)):
                plan.append("view")
                if rng.random() < 0.5:
                    plan.append("click")
                if rng.random() < 0.2:
                    plan.append("cart")
                    if rng.random() < 0.5:
                        plan.append("purchase")
                        if rng.random() < 0.4:
                            plan.append("review")
        return plan
