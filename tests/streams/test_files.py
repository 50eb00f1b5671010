from __future__ import annotations

import io
import json
import sys
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.files import FileError, FileFormat, format_of, read_rows


def write(folder: Path, name: str, content: bytes) -> Path:
    path = folder / name
    path.write_bytes(content)
    return path


def test_csv_rows_become_objects(tmp_path: Path) -> None:
    path = write(tmp_path, "a.csv", '\ufeffid,标题\n1,"灯, 大"\n\n2,"two\nlines"\r\n3,"say ""x"""'.encode())
    rows = list(read_rows(path))
    assert [row.number for row in rows] == [1, 2, 3]
    assert [row.line for row in rows] == [2, 4, 6]
    assert [row.fields for row in rows] == [
        {"id": "1", "标题": "灯, 大"},
        {"id": "2", "标题": "two\nlines"},
        {"id": "3", "标题": 'say "x"'},
    ]
    assert rows[1].text == b'2,"two\nlines"'
    assert json.loads(rows[0].value) == rows[0].fields


def test_a_row_that_does_not_fit_is_the_text_it_is(tmp_path: Path) -> None:
    path = write(tmp_path, "a.csv", b"id,name\n1\n2,b,c\n3,\xff\n4,ok\n")
    rows = list(read_rows(path))
    assert [row.fields for row in rows] == [None, None, None, {"id": "4", "name": "ok"}]
    assert [row.value for row in rows[:3]] == [b"1", b"2,b,c", b"3,\xff"]


def test_a_quote_that_is_never_closed_costs_one_line(tmp_path: Path) -> None:
    path = write(tmp_path, "a.csv", b'id,name\n1,"open\n2,b\n3,c\n')
    rows = list(read_rows(path))
    assert [row.value for row in rows] == [b'1,"open', b'{"id":"2","name":"b"}', b'{"id":"3","name":"c"}']
    assert [row.line for row in rows] == [2, 3, 4]


def test_delimiters(tmp_path: Path) -> None:
    path = write(tmp_path, "a.csv", b"id#name\n1#x\n")
    assert [row.fields for row in read_rows(path, "#")] == [{"id": "1", "name": "x"}]
    path = write(tmp_path, "a.tsv", b"id\tname\n1\tx\n")
    assert [row.fields for row in read_rows(path)] == [{"id": "1", "name": "x"}]
    assert [row.fields for row in read_rows(write(tmp_path, "b.csv", b"id\tname\n1\tx\n"), r"\t")] == [
        {"id": "1", "name": "x"}
    ]
    with pytest.raises(FileError) as error:
        list(read_rows(path, "||"))
    assert str(error.value) == r"The delimiter '||' is not one character: name one, such as ',' or '\t' for a tab."


def test_json_lines_are_sent_as_they_are(tmp_path: Path) -> None:
    path = write(tmp_path, "a.jsonl", b'{"id": 1}\n\n[1]\n{"id": NaN}\n{"id": 2, "id": 3}')
    rows = list(read_rows(path))
    assert [(row.number, row.fields) for row in rows] == [(1, {"id": 1}), (2, None), (3, {"id": None}), (4, {"id": 3})]
    assert [row.value for row in rows] == [b'{"id": 1}', b"[1]", b'{"id": NaN}', b'{"id": 2, "id": 3}']


def test_json_that_a_worker_reads_carefully_has_its_fields(tmp_path: Path) -> None:
    deep = b'{"id": 7, "x": NaN, "y": ' + b"[" * 70 + b"]" * 70 + b"}"
    path = write(tmp_path, "a.jsonl", b'{"id": 7, "price": NaN}\n{"id": 98765432109876543210}\n' + deep)
    assert [row.fields for row in read_rows(path)] == [
        {"id": 7, "price": None},
        {"id": "98765432109876543210"},
        None,
    ]


def test_parquet(tmp_path: Path) -> None:
    import pyarrow
    import pyarrow.parquet

    path = tmp_path / "a.parquet"
    table = pyarrow.table(
        {
            "id": [1, 2],
            "at": [datetime(2024, 5, 1, tzinfo=UTC), None],
            "price": [Decimal("1.10"), None],
            "tags": [["a"], []],
        }
    )
    pyarrow.parquet.write_table(table, path)
    assert [row.fields for row in read_rows(path)] == [
        {"id": 1, "at": "2024-05-01T00:00:00+00:00", "price": "1.10", "tags": ["a"]},
        {"id": 2, "at": None, "price": None, "tags": []},
    ]


def test_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"id\n7\n")))
    assert [row.fields for row in read_rows(Path("-"), format=FileFormat.CSV)] == [{"id": "7"}]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", b"", "has no header"),
        ("a.csv", b"id,id\n", "names 'id' twice"),
        (
            "a b.csv",
            "编号,标题\n1,不锈钢电热水壶\n".encode("gb18030"),
            r"is not UTF-8 but looks like GB18030 \(GBK\): convert it first: "
            r"`iconv -f GB18030 -t UTF-8 '.*/a b\.csv' > '.*/a b\.utf8\.csv'`\.",
        ),
        ("a.csv", "id,café\n".encode("cp1252"), "iconv -f Windows-1252 -t UTF-8"),
        ("a.csv", b'id,"title\n1,2\n3,4\n', "does not read"),
        ("a.csv", b'id,"two\nlines"\n1,2\n', "spans 2 lines"),
        ("a.parquet", b"PAR", "Cannot read"),
        ("a.xyz", b"", "does not tell the format"),
    ],
)
def test_files_that_cannot_be_read(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    with pytest.raises(FileError, match=message):
        list(read_rows(write(tmp_path, name, content)))


def test_parquet_types_that_json_has_not_are_told(tmp_path: Path) -> None:
    import pyarrow
    import pyarrow.parquet

    path = tmp_path / "a.parquet"
    pyarrow.parquet.write_table(pyarrow.table({"id": [timedelta(seconds=3)]}), path)
    with pytest.raises(FileError, match="as Parquet"):
        list(read_rows(path))


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="There is no file"):
        list(read_rows(tmp_path / "a.csv"))


def test_formats_by_name() -> None:
    names = {
        "a.CSV": FileFormat.CSV,
        "a.tsv": FileFormat.CSV,
        "a.ndjson": FileFormat.JSONL,
        "a.parquet": FileFormat.PARQUET,
    }
    assert {name: format_of(Path(name)) for name in names} == names
    assert format_of(Path("-")) is FileFormat.JSONL
    with pytest.raises(FileError, match=r"the format: rename it to end in \.csv, \.tsv, \.jsonl or \.parquet\."):
        format_of(Path("a.yaml"))


@given(st.binary(max_size=300))
def test_any_bytes_give_rows_or_one_clear_error(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = write(tmp_path_factory.mktemp("files"), "a.csv", b"id,name\n" + content)
    rows = list(read_rows(path))
    assert [row.number for row in rows] == list(range(1, len(rows) + 1))
    # Nothing but ends of lines and empty lines goes missing.
    kept = b"".join(row.text for row in rows)
    assert kept.translate(None, b"\r\n \t\x0b\x0c") == content.translate(None, b"\r\n \t\x0b\x0c")
