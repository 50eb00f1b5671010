"""An object in a process of its own, so that what it computes takes no time from the stream's thread."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import traceback
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from multiprocessing.connection import Connection, Pipe
from multiprocessing.reduction import ForkingPickler
from typing import Any, Concatenate, Generic, ParamSpec, TypeVar

from streams.errors import InfrastructureError
from streams.worker.garbage import collect_seldom

__all__ = ["OwnProcess"]

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")

_SERVE = "import sys; from streams.worker.own_process import serve; serve(int(sys.argv[1]))"


class OwnProcess(Generic[T]):
    """Makes an object in a new process and calls its methods there, one call after another.

    The process ends when this one has ended, however that was, after the call that it is at. It begins with what Python
    finds then, so it is to begin with the program: later the program's files may be those of another release.

    make: a class, or a function of a module; with its arguments it goes to the other process, as do the arguments of
    calls and what they return or raise: by pickle. what: the object in words, as in "the ledger of links".

    Raises: InfrastructureError where no process can be had.
    """

    def __init__(self, what: str, make: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> None:
        self._what = what
        self._thread = ThreadPoolExecutor(1, "own-process")  # a call that is given up still gets its answer
        self._calls, theirs = Pipe()
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-c", _SERVE, str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
                pass_fds=(theirs.fileno(),),
                start_new_session=True,  # Ctrl-C is for us to act on
            )
        except OSError as error:
            self._calls.close()
            raise InfrastructureError(
                f"No process can be started for {what}: {error.strerror or error}.",
                "See how many processes and how much memory this machine allows.",
            ) from error
        finally:
            theirs.close()
        with contextlib.suppress(OSError):  # then the first call says that it ended
            self._calls.send((make, args, kwargs))

    @property
    def pid(self) -> int:
        """Of the process."""
        return self._process.pid

    async def call(self, method: Callable[Concatenate[T, P], R], *args: P.args, **kwargs: P.kwargs) -> R:
        """What a method of the object returns or raises.

        Raises: InfrastructureError where the process has ended; RuntimeError after `close`.
        """
        return await asyncio.wrap_future(self.begin(method, *args, **kwargs))

    def begin(self, method: Callable[Concatenate[T, P], R], *args: P.args, **kwargs: P.kwargs) -> Future[R]:
        """As `call`, from any thread: what it will return or raise, after every call that was begun before."""
        return self._thread.submit(self._ask, method.__name__, args, kwargs)

    def check(self) -> None:
        """Raises: InfrastructureError where the process has ended."""
        if self._process.poll() is not None:
            raise self._ended("What was not done was not acknowledged.")

    def close(self) -> None:
        """End the process, whatever it does: all that it knows it was told."""
        self._process.kill()
        self._process.wait()
        self._thread.shutdown()  # calls that waited find that it has ended
        self._calls.close()

    def _ask(self, method: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        try:
            self._calls.send((method, args, kwargs))
            done, answer = self._calls.recv()
        except (EOFError, OSError) as error:
            raise self._ended("Nothing of this batch was acknowledged.") from error
        if not done:
            raise answer
        return answer

    def _ended(self, consequence: str) -> InfrastructureError:
        code = self._process.wait()
        how = f"by signal {-code}" if code < 0 else f"with code {code}"
        return InfrastructureError(
            f"The process of {self._what} has ended {how}. {consequence}",
            "See whether memory ran out or somebody stopped it, and start the worker again.",
        )


def serve(file: int) -> None:
    """Be the process: make the object, then answer calls until there are no more. file: of the connection."""
    for number in (signal.SIGINT, signal.SIGTERM):  # a supervisor may send them to all; we end with our parent
        signal.signal(number, signal.SIG_IGN)
    calls: Connection[Any, Any] = Connection(file)
    make, args, kwargs = calls.recv()
    thing = make(*args, **kwargs)
    collect_seldom()
    with contextlib.suppress(EOFError, OSError):  # our parent has ended
        while True:
            method, args, kwargs = calls.recv()
            calls.send_bytes(_answer(thing, method, args, kwargs))


def _answer(thing: object, method: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> memoryview:
    try:
        return ForkingPickler.dumps((True, getattr(thing, method)(*args, **kwargs)))
    except Exception as error:
        error.add_note(traceback.format_exc())
        try:
            answer = ForkingPickler.dumps((False, error))
            ForkingPickler.loads(answer)  # of some exceptions only the way there works
        except Exception:
            return ForkingPickler.dumps((False, RuntimeError(f"{type(error).__name__}: {error}")))
        return answer
