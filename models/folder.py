"""Folders that hold one trained model: written whole, and never at the cost of somebody else's files."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from models.errors import ArtefactError

__all__ = ["check_folder", "written_folder"]

_ELSEWHERE = "Name a new folder, or an empty one."


def check_folder(folder: Path, own: Sequence[str]) -> None:
    """Raises: ArtefactError unless the folder is absent, empty, or holds nothing but the files named by `own`."""
    try:
        foreign = sorted(path.name for path in folder.iterdir() if path.name not in own)
    except FileNotFoundError:
        return
    except OSError as error:
        raise _cannot_be_written(folder, error) from error
    if foreign:
        raise ArtefactError(
            f"{folder} holds files that are not of such a model ({foreign[0]}), and is left as it is.", _ELSEWHERE
        )


@contextmanager
def written_folder(folder: Path, own: Sequence[str]) -> Iterator[Path]:
    """A folder to write the files `own` into, put into the place of `folder` at the end, or removed on an error.

    own: the last of them is the one without which the others are no model; no reader sees files of two models.

    Raises: ArtefactError where the folder holds other files or cannot be written.
    """
    folder = folder.resolve()
    check_folder(folder, own)
    unfinished: Path | None = None
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        unfinished = Path(tempfile.mkdtemp(prefix=folder.name + ".", dir=folder.parent))
        yield unfinished
        unfinished.chmod(0o755)
        folder.mkdir(exist_ok=True)
        (folder / own[-1]).unlink(missing_ok=True)
        for name in own:
            (unfinished / name).replace(folder / name)
    except OSError as error:
        raise _cannot_be_written(folder, error) from error
    finally:
        if unfinished is not None:
            shutil.rmtree(unfinished, ignore_errors=True)


def _cannot_be_written(folder: Path, error: OSError) -> ArtefactError:
    return ArtefactError(f"{folder} cannot be written: {error.strerror or error}.", "Name another folder.")
