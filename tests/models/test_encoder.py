from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from zlib import crc32

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from models.encoder import CachedEncoder, load_encoder, texts_per_second
from models.errors import EncoderError
from models.protocol import Encoder
from models.static import StaticEncoder
from models.transformer import TransformerEncoder


class _Random:
    name = "random-8"
    dim = 8
    description = "a random vector for each text"

    def __init__(self) -> None:
        self.seen: list[str] = []

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        self.seen += texts
        vectors = np.empty((len(texts), self.dim), np.float32)
        for row, text in enumerate(texts):
            vectors[row] = np.random.default_rng(crc32(text.encode())).standard_normal(self.dim)
        return vectors


@given(st.lists(st.lists(st.sampled_from("abcdefgh"), max_size=12), max_size=8), st.integers(1, 6))
def test_a_cache_changes_nothing_but_the_work(calls: list[list[str]], capacity: int) -> None:
    direct, behind = _Random(), _Random()
    cached = CachedEncoder(behind, capacity)
    for texts in calls:
        assert np.array_equal(cached.encode(texts), direct.encode(texts))
    assert cached.texts == sum(map(len, calls))
    assert cached.misses == len(behind.seen)
    assert cached.hits + cached.misses == cached.texts


def test_what_was_used_last_is_remembered() -> None:
    behind = _Random()
    cached = CachedEncoder(behind, 2)
    cached.encode(["a", "b"])
    cached.encode(["a"])
    cached.encode(["c"])  # forgets b
    cached.encode(["a", "c"])
    assert (cached.hits, cached.misses) == (3, 3)
    cached.encode(["b", "b"])
    assert (cached.texts, cached.hits, cached.misses) == (8, 4, 4)
    assert behind.seen == ["a", "b", "c", "b"]


def test_a_cache_is_an_encoder_of_the_same_identity() -> None:
    cached = CachedEncoder(_Random())
    assert isinstance(cached, Encoder)
    assert (cached.name, cached.dim, cached.description) == ("random-8", 8, "a random vector for each text")
    with pytest.raises(ValueError, match="capacity"):
        CachedEncoder(_Random(), 0)


def test_speed_is_measured() -> None:
    assert texts_per_second(_Random(), seconds=0.01) > 1


def test_a_folder_is_told_by_what_it_holds(
    student: StaticEncoder, teacher: TransformerEncoder, teacher_folder: Path, tmp_path: Path
) -> None:
    student.save(tmp_path / "student")
    for kind in ("auto", "static"):
        assert load_encoder(kind, tmp_path / "student", cache_dir=tmp_path).name == student.name
    assert load_encoder("transformer", teacher_folder, cache_dir=tmp_path).name == teacher.name
    with pytest.raises(EncoderError, match="holds a static encoder"):
        load_encoder("transformer", tmp_path / "student", cache_dir=tmp_path)
    with pytest.raises(EncoderError, match="no encoder folder"):
        load_encoder("static", tmp_path / "nowhere", cache_dir=tmp_path)
