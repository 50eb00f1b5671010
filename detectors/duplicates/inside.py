"""Which words stand inside which texts: asked of all words and texts of a batch at once.

Most words stand in none. So a filter comes first (Bloom, Space/time trade-offs in hash coding with allowable errors,
1970), over the runs of four bytes of each text: what it lets pass is looked for in the text itself.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

__all__ = ["RUN", "found_inside"]

RUN = 4  # bytes; shorter words are found nowhere
_BITS = 10  # of a filter: 1,024 places a text, of which one of 400 bytes takes a third
_FACTOR = np.uint32(2_654_435_769)


def found_inside(
    asked: NDArray[np.bool_],
    line: NDArray[np.intp],
    text: NDArray[np.intp],
    lines: Sequence[bytes],
    texts: Sequence[bytes],
) -> NDArray[np.bool_]:
    """(p, w), which of the words that are `asked` (p, w) for stand inside a text.

    line, text: (p,) places in `lines`, each the words of a product with spaces between, and in `texts`.
    """
    found = np.zeros(asked.shape, bool)
    pairs, places = np.nonzero(asked)
    if not len(pairs):
        return found
    joined = b" ".join(lines)
    body = np.frombuffer(joined, np.uint8)
    starts = np.concatenate(([0], np.flatnonzero(body == ord(" ")) + 1))
    sizes = np.diff(starts, append=len(body) + 1) - 1
    begins = np.cumsum([0, *[len(words) + 1 for words in lines[:-1]]])
    firsts = np.searchsorted(starts, begins)
    runs, there = _runs(joined + b" "), _filters(texts)
    words, of = firsts[line[pairs]] + places, text[pairs]
    spare = sizes - RUN
    passed = spare[words] >= 0
    for begin in (starts, starts + np.maximum(spare, 0), starts + np.maximum(spare, 0) // 2):
        at = np.minimum(begin, len(runs) - 1)
        passed &= there[of, runs[at[words]]]
    for i in np.flatnonzero(passed).tolist():
        start = int(starts[words[i]])
        if joined[start : start + int(sizes[words[i]])] in texts[of[i]]:
            found[pairs[i], places[i]] = True
    return found


def _runs(joined: bytes) -> NDArray[np.uint32]:
    """(n,) the place in a filter of the run that begins at each byte."""
    run = np.ndarray(len(joined), "<u4", joined + bytes(RUN), strides=(1,))
    places: NDArray[np.uint32] = (run * _FACTOR) >> np.uint32(32 - _BITS)
    return places


def _filters(texts: Sequence[bytes]) -> NDArray[np.bool_]:
    """(texts, 2 ** bits) the filter of each text; runs that end in the next text are in it, too."""
    there = np.zeros(len(texts) << _BITS, bool)
    begins = np.arange(len(texts), dtype=np.uint32) << np.uint32(_BITS)  # 32 bits: a quarter of the time of 64
    there[np.repeat(begins, [len(text) for text in texts]) | _runs(b"".join(texts))] = True
    return there.reshape(len(texts), -1)
