"""The demo from start to stop, on a real Kafka with a real worker."""

from __future__ import annotations

import contextlib
import io
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import orjson
import psutil
import pytest
from rich.console import Console

from streams.demo.driver import DemoOptions, _Demo, run_demo
from streams.errors import InfrastructureError
from streams.settings import Settings

pytestmark = [pytest.mark.kafka, pytest.mark.slow, pytest.mark.usefixtures("kafka")]

_DEMO = [sys.executable, "-c", "from streams.cli.main import main; main()", "demo"]


def started(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*_DEMO, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "TMPDIR": str(folder), "COLUMNS": "100"},
    )


def wait_for(process: subprocess.Popen[str], words: str, seconds: float) -> None:
    assert process.stderr is not None
    deadline = time.monotonic() + seconds
    seen = []
    for text in process.stderr:
        seen.append(text)
        if words in text:
            return
        if time.monotonic() > deadline:
            break
    pytest.fail(f"{words!r} did not come: {seen}")


def descendants(process: subprocess.Popen[str]) -> list[psutil.Process]:
    with contextlib.suppress(psutil.NoSuchProcess):
        return psutil.Process(process.pid).children(recursive=True)
    return []


def test_finds_what_is_planted_loses_nothing_and_leaves_nothing_behind(tmp_path: Path) -> None:
    picture = tmp_path / "demo.svg"
    folder = tmp_path / "tmp"
    folder.mkdir()
    demo = started(folder, "--seconds", "30", "--json", "--seed", "4", "--picture", str(picture))
    out, err = demo.communicate(timeout=200)
    assert demo.returncode == 0, err
    body = orjson.loads(out.splitlines()[-1])
    assert body["lost"] == 0
    assert body["planted"] > 50
    assert body["recall"] >= 0.6
    assert body["precision"] >= 0.9
    assert body["repairs_right_share"] >= 0.97
    assert "<svg" in picture.read_text("utf-8")
    assert "duplicate links" in err
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_it_says_what_it_saw_and_stops_everything(tmp_path: Path, number: signal.Signals) -> None:
    demo = started(tmp_path, "--forever")
    wait_for(demo, "loading the catalogue", 120)
    children = descendants(demo)
    assert len(children) >= 2
    demo.send_signal(number)
    out, err = demo.communicate(timeout=60)
    assert demo.returncode == 130, err
    assert "What was planted" in out
    assert "not worked off yet when the demo was interrupted." in out
    assert " lost" not in out
    assert psutil.wait_procs(children, timeout=15)[1] == []
    assert [path.name for path in tmp_path.iterdir()] == []


def test_interrupted_before_the_first_event_it_says_so(tmp_path: Path) -> None:
    demo = started(tmp_path, "--json")
    wait_for(demo, "starting Apache Kafka", 60)
    demo.send_signal(signal.SIGINT)
    out, err = demo.communicate(timeout=60)
    assert demo.returncode == 130, err
    assert "The demo was stopped before Kafka had confirmed any event" in err
    body = orjson.loads(out)
    assert (body["events"], body["lost"], body["pending"]) == (0, 0, 0)
    assert list(tmp_path.iterdir()) == []


def test_lines_say_nothing_of_libraries(tmp_path: Path) -> None:
    """What the worker logs while it starts is shown where it is our own."""
    demo = _Demo(DemoOptions(), Console(file=io.StringIO()))
    demo.folder = tmp_path
    lines: list[dict[str, str]] = [
        {"logger": "streams.worker.app", "event": "worker.starts", "encoder": "static"},
        {"logger": "mode.services", "event": "[^--Consumer]: Starting..."},
    ]
    (tmp_path / "worker.log").write_bytes(b"\n".join(map(orjson.dumps, lines)))
    demo._look_at_worker(Settings(state_dir=tmp_path), 1)
    state = demo._state()
    assert (state.note, state.encoder) == ("worker.starts", "static")


def test_a_worker_that_ends_by_itself_ends_the_demo_with_its_last_words(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))

    def prepare(folder: Path, *_: object) -> dict[str, object]:
        return {"no_such_setting": True}

    with pytest.raises(InfrastructureError, match=r"The worker ended by itself with exit code 1: .*no_such_setting"):
        run_demo(DemoOptions(prepare=prepare))
    assert list(tmp_path.iterdir()) == []
