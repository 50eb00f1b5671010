"""How often Python looks for garbage in a worker."""

from __future__ import annotations

import gc

__all__ = ["collect_seldom"]

# Of the three generations. The stream waits meanwhile, the longer the more objects there are in one: so few in the
# first two, and next to never the third, which is all there is.
_THRESHOLDS = (20_000, 4, 2_500)


def collect_seldom() -> None:
    """Leave alone what there is now, and look for garbage among what comes more seldom than Python does by itself.

    The view's many objects live for ever: looking for garbage among them costs pauses and finds none.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_THRESHOLDS)
