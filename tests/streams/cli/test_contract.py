from __future__ import annotations

import json
from pathlib import Path

import pytest

from streams.cli.main import main

_CONTRACTS = Path(__file__).parents[2] / "contracts"


def call(*arguments: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(["contract", *arguments])
    return int(ended.value.code or 0)


def test_a_sound_contract(capsys: pytest.CaptureFixture[str]) -> None:
    assert call("check", str(_CONTRACTS / "tmall.yaml")) == 0
    assert "is a sound contract" in capsys.readouterr().out


def test_a_faulty_contract(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "c.yaml"
    text = (_CONTRACTS / "tmall.yaml").read_text(encoding="utf-8")
    file.write_text(text.replace("logicalType: timestamp", "logicaltype: timestamp"), encoding="utf-8")
    assert call("check", str(file)) == 1
    out = capsys.readouterr().out
    assert f"{file}:14: schema[products].properties[update_time].logicaltype" in out
    assert "Did you mean `logicalType`?" in out
    assert call("check", "--json", str(file)) == 1
    answer = json.loads(capsys.readouterr().out)
    assert answer["ok"] is False
    assert [(p["line"], p["suggestion"]) for p in answer["problems"]] == [(14, "Did you mean `logicalType`?")]


def test_a_file_that_is_not_there(capsys: pytest.CaptureFixture[str]) -> None:
    assert call("check", "nothing.yaml") == 1
    err = capsys.readouterr().err
    assert "nothing.yaml cannot be read" in err
    assert "Traceback" not in err


def test_a_draft_passes_the_check(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = tmp_path / "goods.csv"
    data.write_text("sku;标题;价格\n" + "".join(f"{i};洁面乳 {i};{i}.50\n" for i in range(1, 40)), encoding="utf-8")
    assert call("draft", "--data", str(data), "--delimiter", ";", "--topic", "shop") == 0
    draft = tmp_path / "draft.yaml"
    draft.write_text(capsys.readouterr().out, encoding="utf-8")
    assert "role title: its name" in draft.read_text(encoding="utf-8")
    assert call("check", str(draft)) == 0


def test_a_draft_of_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = tmp_path / "goods.csv"
    data.write_text("sku,title\n")
    assert call("draft", "--data", str(data)) == 1
    assert "has no rows" in capsys.readouterr().err
