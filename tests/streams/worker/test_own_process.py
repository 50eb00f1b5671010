"""An object in a process of its own: real processes, really killed."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from importlib import import_module
from pathlib import Path
from typing import Any

import psutil
import pytest

from streams.errors import InfrastructureError
from streams.worker.own_process import OwnProcess
from tests.kafka_tools import wait_until

PARENT = """
import asyncio, sys, time
from streams.worker.own_process import OwnProcess
from tests.streams.worker.test_own_process import Tally
tally = OwnProcess("a tally", Tally)
asyncio.run(tally.call(Tally.add, 1))
print(tally.pid, flush=True)
time.sleep(60)
"""


class RefusedError(Exception):
    """Cannot be made from its message alone."""

    def __init__(self, one: str, other: str) -> None:
        super().__init__(f"{one} and {other}")


class Tally:
    """Counts."""

    def __init__(self, start: int = 0) -> None:
        self.count = start

    def add(self, more: int, *, often: int = 1) -> int:
        print("what is printed is no answer")  # noqa: T201 -- that is what is tested
        self.count += more * often
        return self.count

    def fail(self) -> None:
        raise KeyError("why")

    def fail_oddly(self) -> None:
        raise RefusedError("one", "other")

    def unspeakable(self) -> Any:
        return lambda: None

    def sleep(self, seconds: float) -> str:
        time.sleep(seconds)
        return "slept"


@pytest.fixture
async def tally() -> AsyncIterator[OwnProcess[Tally]]:
    own = OwnProcess("a tally", Tally, 40)
    yield own
    own.close()


async def test_calls_reach_the_object_and_its_state_stays(tally: OwnProcess[Tally]) -> None:
    assert tally.pid != os.getpid()
    assert await tally.call(Tally.add, 1) == 41
    assert await tally.call(Tally.add, 1, often=2) == 43


async def test_what_a_call_raises_is_raised_here_with_where_it_came_from(tally: OwnProcess[Tally]) -> None:
    with pytest.raises(KeyError, match="why") as caught:
        await tally.call(Tally.fail)
    assert 'raise KeyError("why")' in "".join(caught.value.__notes__)
    with pytest.raises(RuntimeError, match="RefusedError: one and other"):
        await tally.call(Tally.fail_oddly)
    with pytest.raises(Exception, match="pickle"):
        await tally.call(Tally.unspeakable)
    assert await tally.call(Tally.add, 2) == 42, "and it goes on"


async def test_the_answer_of_a_call_that_was_given_up_is_not_taken_for_that_of_the_next(
    tally: OwnProcess[Tally],
) -> None:
    given_up = asyncio.ensure_future(tally.call(Tally.sleep, 0.2))
    await asyncio.sleep(0)
    given_up.cancel()
    assert await tally.call(Tally.add, 1) == 41


async def test_a_process_that_ended_is_a_failure_of_the_infrastructure(tally: OwnProcess[Tally]) -> None:
    await tally.call(Tally.add, 1)
    psutil.Process(tally.pid).send_signal(signal.SIGKILL)
    for _ in range(2):
        with pytest.raises(InfrastructureError, match=r"The process of a tally has ended by signal 9\."):
            await tally.call(Tally.add, 1)


def refuse() -> Tally:
    raise OSError("no")


async def test_an_object_that_cannot_be_made_is_one_too() -> None:
    own = OwnProcess("a tally", refuse)
    try:
        with pytest.raises(InfrastructureError, match="ended with code 1"):
            await own.call(Tally.add, 1)
    finally:
        own.close()


def test_so_is_a_process_that_cannot_be_had(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    with pytest.raises(InfrastructureError, match="No process can be started for a tally: No such file or directory"):
        OwnProcess("a tally", Tally)


async def test_it_finds_the_program_wherever_it_is_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "elsewhere.py").write_text("class Thing:\n    def say(self):\n        return 'said'\n", "utf-8")
    trap = tmp_path / "trap"
    (trap / "streams").mkdir(parents=True)
    (trap / "streams" / "__init__.py").write_text("raise SystemExit(9)\n", "utf-8")
    monkeypatch.setattr(sys, "path", [folder or str(Path.cwd()) for folder in sys.path])
    monkeypatch.chdir(trap)
    thing = import_module("elsewhere").Thing
    own = OwnProcess("a thing", thing)
    try:
        assert await own.call(thing.say) == "said"
    finally:
        own.close()


async def test_signals_that_a_supervisor_sends_to_all_are_left_to_us(tally: OwnProcess[Tally]) -> None:
    await tally.call(Tally.add, 1)
    for number in (signal.SIGINT, signal.SIGTERM):
        psutil.Process(tally.pid).send_signal(number)
    assert await tally.call(Tally.add, 1) == 42
    assert os.getsid(tally.pid) == tally.pid, "Ctrl-C does not reach it before it can say so"


async def test_close_ends_it_whatever_it_does() -> None:
    own = OwnProcess("a tally", Tally)
    await own.call(Tally.add, 1)
    busy = asyncio.ensure_future(own.call(Tally.sleep, 60))
    await asyncio.sleep(0)
    began = time.monotonic()
    await asyncio.to_thread(own.close)
    assert time.monotonic() - began < 30
    assert not psutil.pid_exists(own.pid)
    with pytest.raises(InfrastructureError):
        await busy
    with pytest.raises(RuntimeError, match="after shutdown"):
        await own.call(Tally.add, 1)


def test_it_ends_with_us_when_we_are_killed() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", PARENT], stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[3]
    ) as parent:
        assert parent.stdout is not None
        pid = int(next(line for line in parent.stdout if line.strip().isdigit()))
        assert psutil.pid_exists(pid)
        parent.kill()
    assert wait_until(lambda: not psutil.pid_exists(pid) or psutil.Process(pid).status() == "zombie", 20)
