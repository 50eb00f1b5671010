"""Runs one Java process and ends it when the process that asked for it ends, however that happens.

Started as a script of its own, by path, so that it needs nothing but the standard library:

    python broker_watch.py GRACE_SECONDS FOLDER COMMAND...

Its standard input is a pipe that the parent holds open: the end of it means stop. A change of parent means the same,
for a pipe that some other child of the parent keeps open. FOLDER, unless empty, is removed when all is over. The
first line of its standard output is the process id of the command.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from typing import Any


def _die_with_parent() -> None:
    """Linux: should this very process be killed, the kernel ends the command."""
    import ctypes

    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # 1 is PR_SET_PDEATHSIG


def _main() -> int:
    grace, folder, command = float(sys.argv[1]), sys.argv[2], sys.argv[3:]
    parent = os.getppid()
    stop = threading.Event()

    def wait_for_the_end() -> None:
        with contextlib.suppress(OSError):
            while os.read(0, 1024):
                pass
        stop.set()

    linux: dict[str, Any] = {"preexec_fn": _die_with_parent} if sys.platform == "linux" else {}
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=2, **linux)
    os.write(1, b"%d\n" % child.pid)
    threading.Thread(target=wait_for_the_end, daemon=True).start()
    while child.poll() is None and not stop.wait(0.1):
        if os.getppid() != parent:
            stop.set()
    if child.poll() is None:
        if grace > 0:
            child.terminate()
        deadline = time.monotonic() + grace
        while child.poll() is None and time.monotonic() < deadline:
            time.sleep(0.02)
        child.kill()
        child.wait()
    if stop.is_set() and folder:
        shutil.rmtree(folder, ignore_errors=True)
    return child.returncode


if __name__ == "__main__":
    code = _main()
    os._exit(code if code >= 0 else 128 - code)  # the reading thread may be blocked: no orderly end of the interpreter
