from __future__ import annotations

from pathlib import Path

import pytest

from models.errors import ArtefactError
from models.folder import check_folder, written_folder

_OWN = ("weights", "facts")


def write(folder: Path, text: str) -> None:
    with written_folder(folder, _OWN) as unfinished:
        for name in _OWN:
            (unfinished / name).write_text(text)


def contents(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in folder.iterdir()}


@pytest.mark.parametrize("before", ["absent", "empty", "of its own kind", "half"])
def test_a_folder_that_is_free_or_of_its_own_kind_is_written(tmp_path: Path, before: str) -> None:
    folder = tmp_path / "deep" / "model"
    if before != "absent":
        folder.mkdir(parents=True)
    for name in {"of its own kind": _OWN, "half": _OWN[:1]}.get(before, ()):
        (folder / name).write_text("old")
    write(folder, "new")
    assert contents(folder) == dict.fromkeys(_OWN, "new")
    assert [path.name for path in folder.parent.iterdir()] == ["model"]


def test_a_folder_that_a_link_leads_to_is_written(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    write(tmp_path / "link", "new")
    assert contents(tmp_path / "real") == dict.fromkeys(_OWN, "new")


@pytest.mark.parametrize("foreign", ["thesis.txt", ".hidden", "photos/"])
def test_a_folder_with_anything_else_is_left_as_it_is(tmp_path: Path, foreign: str) -> None:
    if foreign.endswith("/"):
        (tmp_path / foreign).mkdir()
    else:
        (tmp_path / foreign).write_text("dear to me")
    (tmp_path / "weights").write_text("old")
    with pytest.raises(ArtefactError, match=r"holds files that are not of such a model .* Name a new folder"):
        write(tmp_path, "new")
    assert (tmp_path / foreign).exists()
    assert (tmp_path / "weights").read_text() == "old"


def test_a_failure_half_way_leaves_the_old_model(tmp_path: Path) -> None:
    write(tmp_path / "model", "old")
    with pytest.raises(ZeroDivisionError), written_folder(tmp_path / "model", _OWN) as unfinished:
        (unfinished / "weights").write_text("new")
        raise ZeroDivisionError
    assert contents(tmp_path / "model") == dict.fromkeys(_OWN, "old")
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_a_path_that_cannot_be_made_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for folder in (tmp_path / "file", tmp_path / "file" / "below", Path("/proc/nope/x")):
        with pytest.raises(ArtefactError, match=r"cannot be written: .*\. Name another folder\."):
            write(folder, "new")
    with pytest.raises(ArtefactError, match="cannot be written"):
        check_folder(tmp_path / "file", _OWN)
