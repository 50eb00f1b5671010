from __future__ import annotations

import errno
import itertools
import mmap
import random
from pathlib import Path

import pytest

from streams.errors import InfrastructureError
from streams.worker.text_file import TextFile


def test_texts_come_back_whatever_was_changed_dropped_and_moved(tmp_path: Path) -> None:
    rng = random.Random(1)
    file, want = TextFile(tmp_path, dead_bytes=200_000), {}
    sizes = []
    for _ in range(600):
        rows = rng.sample(range(300), 20)
        bodies = [rng.randbytes(rng.randrange(1, 900)) for _ in rows]
        file.put(rows, bodies)
        want |= dict(zip(rows, bodies, strict=True))
        gone = rng.sample(sorted(want), min(3, len(want)))
        file.drop(gone)
        for row in gone:
            del want[row]
        row = rng.choice(sorted(want))
        assert file.get([row]) == [want[row]]
        sizes.append(file.size)
    assert file.get([*want, *gone, 10_000]) == [*want.values(), *[b""] * (len(gone) + 1)]
    assert sum(later < earlier for earlier, later in itertools.pairwise(sizes)) > 3  # cleared away
    assert max(sizes) < 1_000_000  # of more than five million bytes written
    file.close()
    assert list(tmp_path.iterdir()) == []


def test_texts_that_were_written_out_come_back(tmp_path: Path) -> None:
    file = TextFile(tmp_path)
    bodies = [bytes([row]) * 300_000 for row in range(9)]
    file.put(range(9), bodies)
    assert file.get(range(9)) == bodies
    file.close()


def test_texts_come_back_where_a_file_cannot_be_mapped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.ENOMEM, "Cannot allocate memory")

    monkeypatch.setattr(mmap, "mmap", refuse)
    file = TextFile(tmp_path)
    bodies = [bytes([row]) * 300_000 for row in range(9)]
    file.put(range(9), bodies)
    assert file.get(range(9)) == bodies
    file.close()


def test_a_folder_that_cannot_be_written_is_said_so(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file")
    with pytest.raises(InfrastructureError, match="cannot be written"):
        TextFile(tmp_path / "state")


@pytest.mark.parametrize("more", [0, 20])  # few rows are read in another way than many
def test_rows_that_never_had_a_text_have_none(tmp_path: Path, more: int) -> None:
    file = TextFile(tmp_path)
    assert file.get(range(more + 2)) == [b""] * (more + 2)
    file.drop([5])
    file.put([0, 1], [b"zero", b"one"])
    assert file.get([1, 7, 10_000, *[0] * more]) == [b"one", b"", b"", *[b"zero"] * more]
    file.drop([1, 10_000])
    assert file.get([0, 1]) == [b"zero", b""]
    file.close()
