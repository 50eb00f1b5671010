from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from streams.worker.snapshot import Snapshot, SnapshotError, SnapshotHead, SnapshotWriter, load_snapshot

HEAD = SnapshotHead(topic_id="t1", encoder="static-256", dim=256, position=500, written=1_000_000)
RIGHT: dict[str, Any] = {
    "topic_id": "t1", "encoder": "static-256", "dim": 256, "beginning": 0, "end": 500, "oldest": 999_999
}  # fmt: skip


def _written(path: Path, head: SnapshotHead = HEAD) -> Path:
    writer = SnapshotWriter(path, head)
    writer.block([np.arange(5), np.zeros((0, 3), np.int8)])
    writer.block([])
    writer.rest()
    writer.block([np.array(["a", "索尼"]), np.arange(3, dtype=np.uint8)])
    writer.finish()
    return path


def _loaded(path: Path, **about: Any) -> Snapshot | None:
    return load_snapshot(path, **{**RIGHT, **about})


def test_what_was_written_comes_back(tmp_path: Path) -> None:
    found = _loaded(_written(tmp_path / "state" / "x.snapshot"))
    assert found is not None
    assert found.head == HEAD
    assert [[array.tolist() for array in block] for block in found.rest] == [[["a", "索尼"], [0, 1, 2]]]
    assert [[array.tolist() for array in block] for block in found.blocks] == [[[0, 1, 2, 3, 4], []], []]
    assert [file.name for file in (tmp_path / "state").iterdir()] == ["x.snapshot"]


def test_there_may_be_none(tmp_path: Path) -> None:
    assert _loaded(tmp_path / "x.snapshot") is None


def test_a_changed_byte_anywhere_is_noticed(tmp_path: Path) -> None:
    path = _written(tmp_path / "x.snapshot")
    whole = path.read_bytes()
    for place in [*range(0, len(whole), 41), len(whole) - 1]:
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 4]) + whole[place + 1 :])
        with pytest.raises(SnapshotError, match="checksum"):
            _loaded(path)
    for cut in (0, 10, len(whole) - 1):
        path.write_bytes(whole[:cut])
        with pytest.raises(SnapshotError, match="checksum"):
            _loaded(path)


@pytest.mark.parametrize(
    ("about", "reason"),
    [
        ({"topic_id": "t2"}, "it is of another topic"),
        ({"encoder": "e5"}, "it is of the encoder static-256"),
        ({"dim": 384}, "it is of the encoder static-256"),
        ({"end": 499}, "it ends at offset 500, the topic at 499"),
        ({"beginning": 501, "end": 900}, "it ends at offset 500, and the topic begins at 501 now"),
        ({"oldest": 1_000_001}, "it is older than deletions are kept in the topic"),
    ],
)
def test_what_does_not_fit_is_not_used(tmp_path: Path, about: dict[str, Any], reason: str) -> None:
    with pytest.raises(SnapshotError) as error:
        _loaded(_written(tmp_path / "x.snapshot"), **about)
    assert str(error.value) == reason


def test_another_format_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streams.worker.snapshot.FORMAT", 99)
    path = _written(tmp_path / "x.snapshot")
    monkeypatch.undo()
    with pytest.raises(SnapshotError, match="another format"):
        _loaded(path)


def test_one_that_is_given_up_leaves_the_last_one(tmp_path: Path) -> None:
    path = _written(tmp_path / "x.snapshot")
    writer = SnapshotWriter(path, replace(HEAD, position=9))
    writer.block([np.arange(5)])
    writer.give_up()
    found = _loaded(path)
    assert found is not None
    assert found.head.position == 500
    assert len(list(found.blocks)) == 2
    assert len(list(tmp_path.iterdir())) == 1
