from __future__ import annotations

import json
from itertools import permutations
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest

from detectors.contract.load import load_contract
from detectors.intake import Intake
from streams.errors import InputError
from streams.product_files import InputReport, ProductFiles
from streams.sample import read_sample

ABT_BUY = Path(__file__).parents[1] / "contracts" / "abt-buy.yaml"
HEAD = "id,name,description,price,manufacturer\n"
ROWS = ["1,雅诗兰黛小棕瓶精华,,620,雅诗兰黛", "2,兰蔻清滢柔肤水,,350,兰蔻", "3,desk lamp,,9,Acme"]


def write(folder: Path, name: str, *lines: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(HEAD.encode() + b"".join((x if isinstance(x, bytes) else x.encode()) + b"\n" for x in lines))
    return path


def read(*paths: Path, contract: Path = ABT_BUY) -> InputReport:
    files = ProductFiles(load_contract(contract), paths, None)
    intake = Intake(load_contract(contract))
    for part in range(len(paths)):
        for row in files.rows(part):
            files.took(intake.take([files.record(part, row)]))
    said: list[InputReport] = []
    files.finish(said.append)
    [report] = said
    return report


def test_sound_files_leave_nothing_out(tmp_path: Path) -> None:
    assert read(write(tmp_path, "a.csv", *ROWS)) == InputReport(3, (), {}, {})


def test_what_is_left_out_is_counted_with_its_place_and_its_reason(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        "a.csv",
        *ROWS,
        "4,two\nlines",
        "",
        '5,"open,,3,',
        "1,desk lamp again,,8,",
        ",no id,,3,",
        "6,too,short",
    )
    report = read(path)
    assert (report.rows, report.absent) == (9, {})
    assert [(found.reason, found.rows, found.row, found.line) for found in report.left_out] == [
        ("not_a_row", 4, 4, 5),  # `4,two`, `lines`, the open quote, and what is too short
        ("repeated_id", 1, 7, 9),
        ("missing_id", 1, 8, 10),
    ]
    assert [str(found) for found in report.left_out] == [
        f"{path}: 4 rows, the first in line 5: it does not fit the header. Give it as many fields as the header has, "
        "and close its quotes.",
        f"{path}: 1 row, in line 9: the id '1' was there before, in line 2: such a row counts as a change of that "
        "product. Give every product an id of its own.",
        f"{path}: 1 row, in line 10: The record has no id: the field 'id' is empty.",
    ]


def test_an_id_of_another_file_is_told_with_the_file(tmp_path: Path) -> None:
    (tmp_path / "more").mkdir()
    one, two = write(tmp_path, "a.csv", *ROWS), write(tmp_path / "more", "a.csv", ROWS[1])
    [found] = read(one, two).left_out
    assert (found.file, found.line) == (str(two), 2)
    assert f"the id '2' was there before, in line 3 of {one}:" in found.message


def test_a_file_in_another_encoding_is_told_with_the_command_that_converts_it(tmp_path: Path) -> None:
    path = write(tmp_path, "a.csv", *(row.encode("gb18030") for row in ROWS))
    [found] = read(path).left_out
    assert (found.reason, found.rows, found.line) == ("wrong_encoding", 2, 2)
    assert found.message == (
        "the text is not UTF-8 but looks like GB18030 (GBK). Convert the file in its folder: "
        "`iconv -f GB18030 -t UTF-8 a.csv > a.utf8.csv`."
    )
    assert str(found) == f"{path}: 2 rows, the first in line 2: {found.message}"


def test_where_only_some_rows_are_in_another_encoding_the_file_is_not_to_be_converted(tmp_path: Path) -> None:
    path = write(tmp_path, "a.csv", ROWS[0], ROWS[1].encode("gb18030"))
    [found] = read(path).left_out
    assert (found.rows, found.line) == (1, 3)
    assert found.message == (
        "the text is not UTF-8 but looks like GB18030 (GBK), while other rows are UTF-8. Have all written as UTF-8."
    )


def test_where_no_row_reads_there_is_nothing_to_measure(tmp_path: Path) -> None:
    path = write(tmp_path, "a.csv", *(row.encode("gb18030") for row in ROWS[:2]))
    with pytest.raises(InputError, match=r"None of the 2 rows can be read as a product\.") as error:
        read(path)
    assert error.value.hint.startswith(
        f"{path}: 2 rows, the first in line 2: the text is not UTF-8 but looks like GB180"
    )


def test_json_lines_and_parquet(tmp_path: Path) -> None:
    lines = tmp_path / "a.jsonl"
    lines.write_text('{"id": 1, "name": "灯"}\n\n{"id": 2\n[1]\n')
    report = read(lines)
    assert [(found.reason, found.row, found.line) for found in report.left_out] == [
        ("not_json", 2, 3),
        ("not_an_object", 3, 4),
    ]
    table = tmp_path / "a.parquet"
    pyarrow.parquet.write_table(pyarrow.table({"id": ["1", None], "name": ["lamp", "chair"]}), table)
    [found] = read(table).left_out
    assert str(found) == f"{table}: 1 row, in row 2: The record has no id: the field 'id' is empty."


def test_columns_of_the_contract_that_the_data_lacks(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text("".join(json.dumps({"id": n, "name": "lamp", "price": n, "maker": "Acme"}) + "\n" for n in (1, 2)))
    report = read(path)
    assert [column.name for column in report.absent[str(path)]] == ["description", "manufacturer"]
    assert report.looked == {}
    path.write_text('{"id": 1, "title": "lamp", "price": 1}\n')
    with pytest.raises(InputError) as error:
        read(path)
    assert str(error.value) == (
        f"{path}: The column 'name' (role title) of the contract is in none of the rows. Did you mean 'title'? "
        "Correct the contract."
    )


def test_json_lines_may_have_a_column_late(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    rows = [f'{{"id": {n}, "maker": "Acme"}}\n' for n in range(1_500)]
    path.write_text("".join([*rows, '{"id": "late", "name": "lamp"}\n']))
    report = read(path)
    assert report.rows == 1_501
    assert [column.name for column in report.absent[str(path)]] == ["description", "price", "manufacturer"]
    assert report.looked == {}
    path.write_text("".join(rows))
    with pytest.raises(InputError, match=r"'name' \(role title\) of the contract is in none of the rows\.") as error:
        read(path)
    assert error.value.hint == "Correct the contract."


def test_json_lines_that_are_not_read_to_their_end_are_told_by_the_rows_that_were(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text("".join(f'{{"id": {n}, "name": "lamp", "price": 1}}\n' for n in range(1_500)))
    said: list[InputReport] = []
    records = read_sample(load_contract(ABT_BUY), [path], limit=1_200, on_input=said.append)
    assert (len(records), said[0].rows, said[0].looked) == (1_200, 1_200, {str(path): 1_200})
    path.write_text("".join(f'{{"id": {n}, "title": "lamp"}}\n' for n in range(1_500)))
    with pytest.raises(InputError, match="is in none of the first 1,200 rows"):
        read_sample(load_contract(ABT_BUY), [path], limit=1_200)


def test_names_without_end_are_not_kept_and_those_of_the_contract_are_found(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    strange = [json.dumps({"id": n, f"x{n}": 1, f"y{n}": 2}) for n in range(800)]
    path.write_text("\n".join([*strange, '{"id": "late", "name": "lamp", "manufacturers": "Acme"}']))
    report = read(path)
    assert [(column.name, column.meant) for column in report.absent[str(path)]] == [
        ("description", None),
        ("price", None),
        ("manufacturer", None),
    ]


@pytest.mark.parametrize("name", ["a.csv", "a.parquet"])
def test_a_header_without_the_title_is_refused_at_once(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    table = {"id": [str(n) for n in range(3)], "title": ["lamp"] * 3}
    if name == "a.csv":
        path.write_text("id,title\n" + "broken\n" + "".join(f"{n},lamp\n" for n in range(3)))
    else:
        pyarrow.parquet.write_table(pyarrow.table(table), path)
    files = ProductFiles(load_contract(ABT_BUY), [path], None)
    taken: list[int] = []
    with pytest.raises(InputError) as error:
        taken.extend(row.number for row in files.rows(0) if row.fields is not None)
    assert taken == []
    assert "The column 'name' (role title) of the contract is in none of the rows." in error.value.message
    assert error.value.hint == "Correct the contract" + (
        ", or set --delimiter where another sign is between the fields." if name == "a.csv" else "."
    )


def test_of_names_that_are_as_close_the_first_of_the_header_is_meant(tmp_path: Path) -> None:
    path, contract = tmp_path / "a.csv", tmp_path / "contract.yaml"
    text = ABT_BUY.read_text("utf-8")
    contract.write_text(text.replace("- name: description", "- name: 品牌商品说明", 1))
    for names in permutations(("品牌", "商品", "说明")):
        path.write_text(f"id,name,{','.join(names)}\n1,lamp,a,b,c\n")
        meant = {column.name: column.meant for column in read(path, contract=contract).absent[str(path)]}
        assert meant["品牌商品说明"] == names[0]


def test_a_column_that_is_merely_required_is_told_and_what_is_there_is_measured(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"id": 1, "name": "lamp"}\n')
    text = ABT_BUY.read_text("utf-8")
    contract = tmp_path / "contract.yaml"
    contract.write_text(text.replace("- name: manufacturer", "- name: manufacturer\n        required: true", 1))
    report = read(path, contract=contract)
    assert [column.name for column in report.absent[str(path)] if column.needed] == ["manufacturer"]
    assert report.left_out == ()
