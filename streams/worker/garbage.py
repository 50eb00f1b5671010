"""How often Python looks for garbage in a worker."""

from __future__ import annotations

import gc

__all__ = ["collect_seldom"]

# Of the three generations. The stream waits while it is looked among those of the first or the second: at a million
# products for up to three millionths of a second each. Among those of the third, which is all there is, next to never.
_THRESHOLDS = (20_000, 4, 2_500)


def collect_seldom() -> None:
    """Leave alone what there is now, and look for garbage among what comes more seldom than Python does by itself.

    The view's many objects live for ever: looking for garbage among them costs pauses and finds none.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_THRESHOLDS)
