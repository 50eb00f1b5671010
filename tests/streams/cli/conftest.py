from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from streams.cli.main import main

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def state_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("STREAMGAUGE_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setenv("STREAMGAUGE_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "state"


@pytest.fixture
def streamgauge(state_dir: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs the command line: (exit code, standard output, standard error)."""

    def run(*arguments: object) -> tuple[int, str, str]:
        capsys.readouterr()
        try:
            main([str(argument) for argument in arguments])
            code = 0
        except SystemExit as end:
            code = int(end.code or 0)
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run
