"""How often Python looks for garbage in a worker."""

from __future__ import annotations

import gc

__all__ = ["collect_seldom"]

_THRESHOLDS = (100_000, 20, 100)  # of the three generations


def collect_seldom() -> None:
    """Leave alone what there is now, and look for garbage among what comes more seldom than Python does by itself.

    The view's many objects live for ever: looking for garbage among them costs pauses and finds none.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_THRESHOLDS)
