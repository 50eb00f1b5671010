"""Caution: how much more is asked of a marketplace's offers where few products turn out to be listed twice.

The same likeness of two titles says much where every second product is listed twice, and little where hardly one is:
what evidence is worth depends on how common the thing is (Bayes). How common it is can be read off without labels, from
the products that carry a model code or GTIN: of those it is known how many have another offer that is certainly the
same. So the threshold comes from the stream, and from the whole of it: what came first does not matter.
"""

from __future__ import annotations

import math

__all__ = ["caution_of"]

_COMMON, _RARE = 1 / 2, 1 / 16  # shares listed twice from which on there is no caution, and up to which it is full
# What is thought before anything is seen: half of the caution, as if so many products had shown it.
_BELIEVED, _SEEN = math.sqrt(_COMMON * _RARE), 64


def caution_of(coded: int, twice: int) -> float:
    """The caution, 0 to 1 in ten-thousandths: a third more for every halving of the share that is listed twice.

    coded: products that carry a code or GTIN. twice: those of them that have another offer for certain.
    """
    share = (twice + _BELIEVED * _SEEN) / (coded + _SEEN)
    wanted = math.log2(_COMMON / share) / math.log2(_COMMON / _RARE)
    return round(min(1.0, max(0.0, wanted)), 4)
