from __future__ import annotations

from pathlib import Path

import pytest

from streams.delimiters import asked_delimiter, likely_delimiter, no_column


@pytest.mark.parametrize(
    ("name", "text", "given", "said"),
    [
        (
            "a.csv",
            "id\tname\n1\tx\n",
            None,
            r"one column between commas and several between tabs: is --delimiter '\t' meant?",
        ),
        (
            "a.csv",
            "id|name\n1|x\n",
            None,
            "one column between commas and several between '|': is --delimiter '|' meant?",
        ),
        (
            "a.csv",
            "id,name\n1,x\n",
            ";",
            "one column between ';' and several between commas: is --delimiter ',' meant?",
        ),
        (
            "a.csv",
            "id;name\n1;x\n",
            r"\t",
            "one column between tabs and several between ';': is --delimiter ';' meant?",
        ),
        (
            "a.tsv",
            "id,name\n1,x\n",
            None,
            "one column between tabs and several between commas: is --delimiter ',' meant?",
        ),
        ("a.tsv", "id\tname\n1\tx\n", None, None),
        ("a.csv", "id,name\n1,x\n", None, None),
        ("a.csv", "id#name\n1#x\n", None, None),
        ("a.jsonl", '{"id;x": 1}\n', None, None),
    ],
)
def test_another_delimiter_is_asked_for(
    tmp_path: Path, name: str, text: str, given: str | None, said: str | None
) -> None:
    path = tmp_path / name
    path.write_text(text)
    assert asked_delimiter(path, given=given) == said


def test_one_column_may_be_all_there_is(tmp_path: Path) -> None:
    data = tmp_path / "goods.csv"
    for text in ("word\na;b\nc;d\n", "a,b;c\n1,2;3\n", "", "a;b\n1\n2\n3\n"):
        data.write_text(text)
        assert likely_delimiter(data) is None, text
    assert likely_delimiter(tmp_path / "goods.jsonl") is None


def test_what_may_be_set_where_a_column_is_missing(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("a;b\n1;2\n")
    assert str(no_column(path, "a", ["a;b"], "--pair-columns", None, "--pairs-delimiter")) == (
        f"{path} has no column 'a': it has one column between commas and several between ';': "
        "is --pairs-delimiter ';' meant?"
    )
    path.write_text("a,b\n1,2\n")
    assert str(no_column(path, "c", ["a", "b"], "--pair-columns", None, "--pairs-delimiter")) == (
        f"{path} has no column 'c', it has a, b: set --pair-columns or --pairs-delimiter."
    )
    assert str(no_column(tmp_path / "a.jsonl", "c", ["a", "b"], "--truth-columns", None)) == (
        f"{tmp_path / 'a.jsonl'} has no column 'c', it has a, b: set --truth-columns."
    )
