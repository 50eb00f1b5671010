from __future__ import annotations

import json
from collections.abc import Collection
from itertools import permutations
from pathlib import Path

import pytest

from streams.cli.columns import noting_columns
from streams.cli.main import main
from streams.files import read_rows

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


def test_a_draft_says_how_many_rows_do_not_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = tmp_path / "goods.csv"
    data.write_text("sku,title\n" + "".join(f"{i},lamp {i}\n" for i in range(30)) + "1\n1,2,3\n")
    assert call("draft", "--data", str(data)) == 0
    assert capsys.readouterr().out.startswith("# Drafted from 30 of 32 rows. Every guess")


@pytest.mark.parametrize(("delimiter", "name"), [(";", "';'"), ("\t", "a tab"), ("|", "'|'")])
def test_another_delimiter_is_found_and_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], delimiter: str, name: str
) -> None:
    data = tmp_path / "goods.csv"
    rows = [("sku", "标题", "价格"), *((str(i), f"灯 {i}", "1,5") for i in range(30)), ("broken",)]
    data.write_text("".join(delimiter.join(row) + "\n" for row in rows), encoding="utf-8")
    assert call("draft", "--data", str(data)) == 0
    out, err = capsys.readouterr()
    assert err == f"The fields of {data} are taken to be between {name}; --delimiter says otherwise.\n"
    assert out.startswith("# Drafted from 30 of 31 rows.")
    assert "role title: its name" in out


@pytest.mark.parametrize("more", [(), ("--delimiter", ",")])
def test_a_name_without_a_format_can_be_given_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], more: tuple[str, ...]
) -> None:
    data = tmp_path / "goods.dat"
    data.write_text("id,title\n1,lamp\n")
    assert call("draft", "--data", str(data), *more) == 1
    said = "Error: The name goods.dat does not tell the format: add --format csv, jsonl or parquet.\n"
    assert capsys.readouterr().err == said
    assert call("draft", "--data", str(data), "--format", "csv", *more) == 0
    assert "role title" in capsys.readouterr().out


def test_columns_that_are_in_no_row(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = tmp_path / "goods.csv"
    contract = _CONTRACTS / "abt-buy.yaml"
    data.write_text("id,name,description,price,manufacturer\n1,lamp,,2,x\n")
    assert call("check", str(contract), "--data", str(data)) == 0
    assert capsys.readouterr().out == f"{contract} is a sound contract.\n"
    data.write_text("id,name,description,prices,manufacturer\n1,lamp,,2,x\n")
    assert call("check", str(contract), "--data", str(data)) == 0
    assert capsys.readouterr().out.splitlines() == [
        f"{data}: warning: The column 'price' (role price) of the contract is in none of the rows. "
        "Did you mean 'prices'?",
        f"{contract} is a sound contract, with 1 warning(s).",
    ]
    data.write_text("id,title,description,price,manufacturer\n1,lamp,,2,x\n")
    assert call("check", str(contract), "--data", str(data), "--json") == 1
    assert json.loads(capsys.readouterr().out)["absent"] == [
        {"name": "name", "role": "title", "needed": True, "meant": "title"}
    ]
    data.write_text("id,name\n")
    assert call("check", str(contract), "--data", str(data)) == 1
    assert "has no rows to look at" in capsys.readouterr().err


def test_columns_are_noted_in_the_order_of_the_header(tmp_path: Path) -> None:
    data = tmp_path / "goods.csv"
    orders = list(permutations(("id", "name", "maker", "price")))
    seen: list[tuple[list[str], int]] = []

    def tell(columns: Collection[str], count: int) -> None:
        seen.append((list(columns), count))

    for names in orders:
        data.write_text(f"{','.join(names)}\n1,2,3,4\n5,6,7,8\n")
        assert len(list(noting_columns(read_rows(data), 1_000, tell))) == 2
    assert seen == [(list(names), 2) for names in orders]


def test_a_key_without_the_source_is_warned_of(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "c.yaml"
    text = (_CONTRACTS / "tmall.yaml").read_text(encoding="utf-8")
    file.write_text(text, encoding="utf-8")
    assert call("check", str(file)) == 0
    before = capsys.readouterr().out
    assert ("warning" in before) is ("{source}" not in text)
    other = "\n".join(
        line if "property: key" not in line else line.replace("{source}/{id}", "{id}") for line in text.splitlines()
    )
    file.write_text(other, encoding="utf-8")
    assert call("check", str(file), "--json") == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["ok"] is True
    assert [warning["message"] for warning in answer["warnings"]] == [
        "a column has the role source and the key '{id}' has no {source}: a deletion (a record without value) does not "
        "tell whose product it deletes."
    ]
