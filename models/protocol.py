"""What an encoder is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

__all__ = ["Encoder", "Progress"]

Progress = Callable[[str, float], None]
"""Called with what is being done and the share of it that is done, 0-1."""


@runtime_checkable
class Encoder(Protocol):
    """Turns texts into vectors whose inner product says how alike the texts are.

    Vectors of two encoders are never compared: `name` is one's identity. Only those of equal names are of one kind.
    """

    @property
    def name(self) -> str:
        """Changes whenever the vectors would: it ends in a digest of the weights and the tokeniser."""

    @property
    def dim(self) -> int:
        """Length of a vector."""

    @property
    def description(self) -> str:
        """For people: which model, on which device."""

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Vectors (n, dim) float32 of n texts, each of unit length, also that of an empty text."""
