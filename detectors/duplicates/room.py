"""Room in arrays that have one row for each product."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["grown"]

_JUMP, _FAR = 1 << 13, 1 << 22  # rows from which an array is given room for the latter


def grown(array: NDArray[Any], rows: int) -> NDArray[Any]:
    """The array with room for at least this many rows, zeros behind what it has.

    Room is given far ahead: pages of zeros take no memory before something is written there, and copying a large
    array would stop the stream. But not farther: a system refuses an array that is larger than its memory.
    """
    if rows <= len(array):
        return array
    room = max(1024, 2 * rows, _FAR if rows >= _JUMP else 0)
    wider = np.zeros((room, *array.shape[1:]), array.dtype)
    wider[: len(array)] = array
    return wider
