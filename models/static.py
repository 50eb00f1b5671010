"""The static encoder: a table of word vectors, for the CPU.

A text's vector is the weighted sum of the vectors of its word pieces, made unit length. The table is distilled from
the transformer by `models.distill`; this file only uses it, and needs neither torch nor transformers.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file
from tokenizers import Tokenizer

from models.errors import EncoderError
from models.folder import check_folder, written_folder

__all__ = ["DIM", "StaticEncoder", "is_static", "student_name"]

DIM = 256
"""Length of the vectors of a student where nobody says otherwise."""

_RECIPE = 3  # rises with every change in models.distill that changes vectors
_FORMAT = 1
_FACTS = "static.json"
_FILES = ("table.safetensors", "tokenizer.json", _FACTS)
_TEXTS_AT_ONCE = 256  # what is gathered for them stays in the cache of the processor


def is_static(folder: Path) -> bool:
    """Whether `StaticEncoder.save` wrote this folder."""
    return (folder / _FACTS).is_file()


def student_name(teacher: str, dim: int, vocabulary: str = "") -> str:
    """Identity of a student: of what it is made from, not of its bytes.

    Two machines that distil the same teacher get the same axes and differ by rounding at most, so their vectors are
    comparable and bear one name. teacher: digest of its weights. vocabulary: digest of a vocabulary of one's own.
    """
    made_from = f"{_RECIPE}/{teacher}/{dim}/{vocabulary}"
    return f"static-e5-{dim}-{hashlib.blake2b(made_from.encode(), digest_size=4).hexdigest()}"


class StaticEncoder:
    """Sums word vectors.

    name: identity of the recipe (teacher, vocabulary, dimensions), see `models.distill`.
    table: (words, dim) int8. scale: (words,) float32; `table[i] * scale[i]` is the vector of word piece i times its
    weight. tokenizer: its ids are the rows of the table; piece 0 stands for what it does not know.
    """

    def __init__(
        self, name: str, tokenizer: Tokenizer, table: NDArray[np.int8], scale: NDArray[np.float32], teacher: str
    ) -> None:
        if table.ndim != 2 or scale.shape != table.shape[:1]:
            raise ValueError(f"table {table.shape} and scale {scale.shape} do not fit")
        self.name = name
        self.tokenizer = tokenizer
        self.table = table
        self.scale = scale
        self.teacher = teacher

    @property
    def dim(self) -> int:
        """Length of a vector."""
        return int(self.table.shape[1])

    @property
    def description(self) -> str:
        """What it is and where it runs."""
        return f"static student of {self.teacher} on cpu, {self.dim} dimensions, {len(self.table):,} word pieces"

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Unit vectors (n, dim) float32 of n texts.

        A word of another script gets a vector drawn from its letters: it is like itself and like nothing else. So does
        a text without any word.
        """
        vectors = np.empty((len(texts), self.dim), np.float32)
        for start in range(0, len(texts), _TEXTS_AT_ONCE):
            chunk = texts[start : start + _TEXTS_AT_ONCE]
            vectors[start : start + len(chunk)] = self._encode(chunk)
        return vectors

    def _encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        ids = [encoding.ids or [0] for encoding in self.tokenizer.encode_batch_fast(texts, add_special_tokens=False)]
        flat = np.fromiter((i for row in ids for i in row), np.int64)
        starts = np.cumsum([0] + [len(row) for row in ids[:-1]])
        words = self.table[flat].astype(np.float32)
        words *= self.scale[flat, np.newaxis]
        sums: NDArray[np.float32] = np.add.reduceat(words, starts, axis=0)
        for row in np.flatnonzero(np.logical_or.reduceat(flat == 0, starts)).tolist():
            for word in self._unknown(texts[row]):
                sums[row] += _drawn(word, self.dim)
        norms = np.linalg.norm(sums, axis=1, keepdims=True)
        for row in np.flatnonzero(norms[:, 0] < 1e-6).tolist():
            sums[row] = _drawn(texts[row], self.dim)
            norms[row] = np.linalg.norm(sums[row])
        sums /= norms
        return sums

    def _unknown(self, text: str) -> list[str]:
        """The words, or parts of words, that no piece of the vocabulary covers; signs do not count."""
        encoding = self.tokenizer.encode(text, add_special_tokens=False)
        parts = (text[a:b].casefold() for i, (a, b) in zip(encoding.ids, encoding.offsets, strict=True) if i == 0)
        return [part for part in parts if any(map(str.isalnum, part))]

    def save(self, folder: Path) -> None:
        """Write the encoder as a folder. One that is there already is replaced whole.

        Raises: ArtefactError where the folder holds anything else or cannot be written.
        """
        with written_folder(folder, _FILES) as unfinished:
            save_file({"table": self.table, "scale": self.scale}, unfinished / "table.safetensors")
            self.tokenizer.save(str(unfinished / "tokenizer.json"), pretty=False)
            facts = {"format": _FORMAT, "name": self.name, "teacher": self.teacher}
            (unfinished / _FACTS).write_text(json.dumps(facts) + "\n", encoding="utf-8")

    @staticmethod
    def check_target(folder: Path) -> None:
        """Raises: ArtefactError where `save` would refuse this folder for what it holds."""
        check_folder(folder, _FILES)

    @classmethod
    def load(cls, folder: Path) -> StaticEncoder:
        """Read what `save` wrote.

        Raises: EncoderError where it is damaged or of another format.
        """
        try:
            facts = json.loads((folder / _FACTS).read_text(encoding="utf-8"))
            if facts["format"] != _FORMAT:
                raise ValueError(f"format {facts['format']}, this version reads {_FORMAT}")
            tensors = load_file(folder / "table.safetensors")
            tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
            return cls(facts["name"], tokenizer, tensors["table"], tensors["scale"], facts["teacher"])
        except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
            raise _damaged(folder, error) from error
        except Exception as error:  # tokenizers raises bare Exception
            if type(error) is not Exception:
                raise
            raise _damaged(folder, error) from error


def _damaged(folder: Path, error: Exception) -> EncoderError:
    return EncoderError(
        f"The static encoder in {folder} cannot be read ({error}).",
        "Delete the folder, and it is made anew; or run streamgauge train encoder.",
    )


@lru_cache(1 << 14)
def _drawn(text: str, dim: int) -> NDArray[np.float32]:
    """A vector about as long as that of a rare word: the components of those have a variance of 1."""
    seed = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return np.random.default_rng(int.from_bytes(seed, "little")).standard_normal(dim, np.float32)
