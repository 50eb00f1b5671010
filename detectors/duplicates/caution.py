"""Caution: how much more is asked of a marketplace's offers where few products turn out to be listed twice.

The same likeness of two titles says much where every second product is listed twice, and little where hardly one is:
what evidence is worth depends on how common the thing is (Bayes). How common it is can be read off without labels, from
the products that carry a model code or GTIN: of those it is known how many have another offer with the same one. So the
threshold comes from the stream, and from the whole of it: which offers came first does not matter.
"""

from __future__ import annotations

import math

__all__ = ["UNKNOWN_CAUTION", "caution_after"]

UNKNOWN_CAUTION = 0.5
"""While too few products carry a code."""

_LEAST = 64  # products with a code, of fewer of which nothing can be said
_COMMON, _RARE = 1 / 2, 1 / 16  # shares listed twice from which on there is no caution, and up to which it is full
_STEPS = 4
_STAY = 0.03  # beyond the middle between two steps, so that a share that lies there does not change things each time


def caution_after(now: float, coded: int, twice: int) -> float:
    """The caution that follows on `now`: 0 to 1 in quarters, a third more for every halving of what is listed twice.

    coded: products that carry a code or GTIN. twice: those of them of which another offer carries it, too.
    """
    if coded < _LEAST:
        return now
    share = min(_COMMON, max(_RARE, twice / coded))
    wanted = math.log2(_COMMON / share) / math.log2(_COMMON / _RARE)
    return now if abs(wanted - now) <= 0.5 / _STEPS + _STAY else round(wanted * _STEPS) / _STEPS
