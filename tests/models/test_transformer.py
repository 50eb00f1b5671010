from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from models.errors import EncoderError
from models.transformer import TransformerEncoder
from models.weights import digest, find_transformer

TEXTS = [
    "Sony Turntable PSLX350H",
    "索尼唱机 PSLX350H",
    "洗面奶 女",
    "雪地靴 冬季",
    "women's snow boots for winter",
    "facial cleanser for women",
]


def test_cosines_are_those_of_the_model(teacher: TransformerEncoder) -> None:
    vectors = teacher.encode(TEXTS)
    assert vectors.shape == (6, 384)
    assert vectors.dtype == np.float32
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(1, abs=1e-5)
    cosines = vectors @ vectors.T
    expected = [
        [1.000, 0.911, 0.777, 0.778, 0.792, 0.805],
        [0.911, 1.000, 0.838, 0.832, 0.758, 0.763],
        [0.777, 0.838, 1.000, 0.839, 0.781, 0.825],
        [0.778, 0.832, 0.839, 1.000, 0.863, 0.752],
        [0.792, 0.758, 0.781, 0.863, 1.000, 0.847],
        [0.805, 0.763, 0.825, 0.752, 0.847, 1.000],
    ]
    assert cosines == pytest.approx(np.array(expected), abs=0.005)


def test_a_vector_does_not_depend_on_the_company_of_its_text(teacher: TransformerEncoder) -> None:
    long = "a very long description of nothing in particular " * 8
    together = teacher.encode([*TEXTS, long, ""])
    alone = np.concatenate([teacher.encode([text]) for text in [*TEXTS, long, ""]])
    assert together == pytest.approx(alone, abs=1e-4)


def test_no_texts_give_no_vectors(teacher: TransformerEncoder) -> None:
    assert teacher.encode([]).shape == (0, 384)


def test_weights_with_a_pooler_load_in_silence(
    teacher_folder: Path, teacher: TransformerEncoder, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "hub"
    shutil.copytree(teacher_folder, folder)
    tensors = load_file(folder / "model.safetensors")
    tensors["pooler.dense.weight"] = np.zeros((384, 384), np.float32)
    tensors["pooler.dense.bias"] = np.zeros(384, np.float32)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    encoder = TransformerEncoder(folder)
    assert capfd.readouterr() == ("", "")
    assert encoder.name != teacher.name
    assert encoder.encode(TEXTS) == pytest.approx(teacher.encode(TEXTS), abs=1e-5)


def test_missing_weights_are_an_error(teacher_folder: Path, tmp_path: Path) -> None:
    folder = tmp_path / "hub"
    shutil.copytree(teacher_folder, folder)
    tensors = load_file(folder / "model.safetensors")
    del tensors["encoder.layer.3.output.dense.weight"]
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(EncoderError, match=r"lacks weights: .*layer\.3"):
        TransformerEncoder(folder)


def test_damaged_weights_are_an_error(teacher_folder: Path, tmp_path: Path) -> None:
    for name in ("config.json", "tokenizer.json"):
        shutil.copy(teacher_folder / name, tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"no weights at all")
    with pytest.raises(EncoderError, match="cannot be loaded"):
        TransformerEncoder(tmp_path)


def test_a_folder_without_the_files_says_which(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(EncoderError, match=r"no model\.safetensors and no tokenizer\.json.*save_pretrained"):
        find_transformer(tmp_path, tmp_path, allow_download=False)


def test_the_digest_is_of_the_weights(teacher_folder: Path) -> None:
    assert digest(teacher_folder) == "c5bbc9c3"
