"""`streamgauge` with an encoder that needs no weights, and that fails on request. Arguments as the command's own.

HASHING_RAISES_FOR: a text with this inside raises. HASHING_RAISES_ALWAYS: every text does. HASHING_DIM: another
dimension, which is another encoder. HASHING_SECONDS: that a text takes.
"""

from __future__ import annotations

import os
import time
import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

import streams.cli.rebuild
import streams.cli.run
from streams.cli.main import main

DIM = int(os.environ.get("HASHING_DIM", "64"))
SECONDS = float(os.environ.get("HASHING_SECONDS", "0"))
RAISES_FOR = os.environ.get("HASHING_RAISES_FOR", "\0")
RAISES_ALWAYS = bool(os.environ.get("HASHING_RAISES_ALWAYS"))


class HashingEncoder:
    """Texts as the trigrams they have, hashed: alike texts have alike vectors."""

    description = "hashed trigrams"

    def __init__(self, dim: int = DIM) -> None:
        self.name, self.dim = f"hashing-{dim}", dim

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        time.sleep(SECONDS * len(texts))
        vectors = np.zeros((len(texts), self.dim), np.float32)
        for row, text in enumerate(texts):
            if RAISES_ALWAYS or RAISES_FOR in text:
                raise ValueError("this text cannot be encoded")
            padded = f" {text.lower()} "
            for start in range(len(padded) - 2):
                place = zlib.crc32(padded[start : start + 3].encode("utf-8", "replace"))
                vectors[row, place % self.dim] += 1 if place & 1024 else -1
            vectors[row, 0] += 0.5
        unit: NDArray[np.float32] = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        return unit


def encoder(*_: Any) -> HashingEncoder:
    return HashingEncoder()


if __name__ == "__main__":
    streams.cli.run._encoder = streams.cli.rebuild._encoder = encoder
    main()
