from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from models.distill import distil
from models.errors import EncoderError
from models.static import StaticEncoder, is_static, student_name
from models.transformer import TransformerEncoder
from tests.models.conftest import TRANSLATIONS


def test_distilling_twice_gives_the_same(teacher: TransformerEncoder) -> None:
    first = distil(teacher, pieces=600, dim=64)
    threads = torch.get_num_threads()
    torch.set_num_threads(1 if threads > 1 else 2)
    try:
        second = distil(teacher, pieces=600, dim=64)
    finally:
        torch.set_num_threads(threads)
    assert first.name == second.name
    # another number of threads adds up in another order, as another machine would: rounding, not other axes
    texts = [text for pair in TRANSLATIONS for text in pair]
    assert np.sum(first.encode(texts) * second.encode(texts), axis=1).min() > 0.9999


def test_names_tell_students_apart() -> None:
    names = {student_name("t", 256), student_name("u", 256), student_name("t", 128), student_name("t", 256, "words")}
    assert len(names) == 4
    assert student_name("t", 256) == student_name("t", 256)


def test_the_student_finds_translations(student: StaticEncoder) -> None:
    english = student.encode([en for en, _ in TRANSLATIONS])
    chinese = student.encode([zh for _, zh in TRANSLATIONS])
    cosines = english @ chinese.T
    right = (cosines.argmax(axis=1) == np.arange(len(TRANSLATIONS))).mean()
    assert right >= 0.75


def test_the_student_agrees_with_its_teacher(student: StaticEncoder, teacher: TransformerEncoder) -> None:
    texts = [text for pair in TRANSLATIONS for text in pair]
    pairs = np.triu_indices(len(texts), 1)
    ours, theirs = ((v @ v.T)[pairs] for v in (student.encode(texts), teacher.encode(texts)))
    assert np.corrcoef(ours, theirs)[0, 1] >= 0.6


def test_unrelated_titles_are_far_apart(student: StaticEncoder) -> None:
    vectors = student.encode([en for en, _ in TRANSLATIONS])
    others = (vectors @ vectors.T)[np.triu_indices(len(vectors), 1)]
    assert others.mean() < 0.3


@given(st.lists(st.text(max_size=40), max_size=8))
def test_every_text_has_a_unit_vector_of_its_own(student: StaticEncoder, texts: list[str]) -> None:
    vectors = student.encode(texts)
    assert vectors.shape == (len(texts), student.dim)
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(1, abs=1e-4)
    for text, vector in zip(texts, vectors, strict=True):
        assert student.encode([text])[0] == pytest.approx(vector, abs=1e-5)


def test_words_of_another_script_are_like_themselves_only(student: StaticEncoder) -> None:
    vectors = student.encode(["ᠮᠣᠩᠭᠣᠯ", "ᠪᠢᠴᠢᠭ", "", "ᠮᠣᠩᠭᠣᠯ", "ᠮᠣᠩᠭᠣᠯ ᠪᠢᠴᠢᠭ", "☃", "☄"])
    assert vectors[0] @ vectors[3] == pytest.approx(1)
    assert vectors[0] @ vectors[4] == pytest.approx(0.7, abs=0.15)
    for a, b in ((0, 1), (0, 2), (2, 5), (5, 6)):
        assert abs(vectors[a] @ vectors[b]) < 0.4


def test_a_word_of_another_script_tells_titles_apart(student: StaticEncoder) -> None:
    one, other = student.encode(["ᠮᠣᠩᠭᠣᠯ 64 GB", "ᠪᠢᠴᠢᠭ 64 GB"])
    assert 0.2 < one @ other < 0.9


def test_saved_loaded_and_pickled_it_is_the_same(student: StaticEncoder, tmp_path: Path) -> None:
    texts = [text for pair in TRANSLATIONS for text in pair]
    assert not is_static(tmp_path / "student")
    student.save(tmp_path / "student")
    student.save(tmp_path / "student")  # replaces
    assert is_static(tmp_path / "student")
    loaded = StaticEncoder.load(tmp_path / "student")
    for other in (loaded, pickle.loads(pickle.dumps(student))):
        assert (other.name, other.dim, other.description) == (student.name, student.dim, student.description)
        assert np.array_equal(other.encode(texts), student.encode(texts))
    assert [path.name for path in tmp_path.iterdir()] == ["student"]


@pytest.mark.parametrize("name", ["static.json", "table.safetensors", "tokenizer.json"])
def test_a_damaged_encoder_says_so(student: StaticEncoder, tmp_path: Path, name: str) -> None:
    student.save(tmp_path / "student")
    (tmp_path / "student" / name).write_bytes(b"{}")
    with pytest.raises(EncoderError, match=r"cannot be read.*train encoder"):
        StaticEncoder.load(tmp_path / "student")


def test_a_student_cannot_have_more_dimensions_than_its_teacher(teacher: TransformerEncoder) -> None:
    with pytest.raises(EncoderError, match="384 dimensions cannot have 385"):
        distil(teacher, dim=385, pieces=100)


def test_progress_ends_at_one(teacher: TransformerEncoder) -> None:
    told: list[float] = []
    distil(teacher, pieces=1_100, dim=16, progress=lambda _, share: told.append(share))
    assert told == sorted(told)
    assert told[-1] == 1.0
