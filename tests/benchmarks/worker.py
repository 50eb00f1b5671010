"""A worker of `streamgauge run` in a process of its own, for benchmarks and for chaos."""

from __future__ import annotations

import atexit
import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any

__all__ = ["WorkerProcess"]

ROOT = Path(__file__).resolve().parents[2]


class WorkerProcess:
    """Starts `streamgauge run` with these settings (TOML values by name; nested ones as dicts).

    folder: for the settings, the log and the state. The log of several starts is one file.
    command: that takes `run --config FILE`; None: the one that is installed.
    """

    def __init__(
        self,
        folder: Path,
        name: str,
        settings: dict[str, Any],
        environment: dict[str, str] | None = None,
        command: Sequence[str] | None = None,
    ):
        self.folder, self.name = folder, name
        self.state = Path(settings.get("state_dir", folder / f"{name}-state"))
        self.app_id = str(settings["app_id"])
        self.log = folder / f"{name}.log"
        self._config = folder / f"{name}.toml"
        self._config.write_text(_toml({"metrics_port": 0, "state_dir": str(self.state), **settings}), "utf-8")
        self._environment = environment or {}
        self._command = command or (sys.executable, "-c", "from streams.cli.main import main; main()")
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the process; returns at once. Whatever happens to us, it does not outlive us."""
        atexit.register(self.kill)
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*self._command, "run", "--config", str(self._config)],
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, **self._environment},
                start_new_session=True,
            )

    def wait_ready(self, seconds: float = 120.0) -> None:
        """Until `/ready` says yes. Raises: RuntimeError with the end of the log."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if self.process is None or self.process.poll() is not None:
                break
            if self.ready():
                return
            time.sleep(0.05)
        raise RuntimeError(f"{self.name} did not become ready:\n{self.last_words()}")

    def ready(self) -> bool:
        """Whether `/ready` says yes now."""
        url = self.url()
        if url is None:
            return False
        try:
            with urllib.request.urlopen(url.replace("/metrics", "/ready"), timeout=2) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False

    def url(self) -> str | None:
        """Where its metrics are, once it listens."""
        if self.process is None:
            return None
        try:
            found = json.loads((self.state / f"{self.app_id}-{self.process.pid}.json").read_text("utf-8"))["metrics"]
        except (OSError, ValueError, KeyError):
            return None
        return None if found is None else str(found)

    def metrics(self) -> str:
        """Its exposition."""
        with urllib.request.urlopen(str(self.url()), timeout=5) as answer:
            return str(answer.read().decode())

    def kill(self) -> None:
        """SIGKILL."""
        self._signal(signal.SIGKILL)

    def pause(self) -> None:
        """SIGSTOP."""
        assert self.process is not None
        os.killpg(self.process.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """SIGCONT."""
        assert self.process is not None
        os.killpg(self.process.pid, signal.SIGCONT)

    def stop(self, seconds: float = 40.0) -> int | None:
        """SIGTERM and wait; the exit code."""
        if self.process is None:
            return None
        if self.process.poll() is None:
            self.process.terminate()
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            return None

    def last_words(self) -> str:
        """The end of the log."""
        return self.log.read_text("utf-8", "replace")[-3000:] if self.log.exists() else ""

    def _signal(self, number: signal.Signals) -> None:
        if self.process is not None and self.process.poll() is None:
            os.killpg(self.process.pid, number)
            self.process.wait(20)


def _toml(values: dict[str, Any]) -> str:
    plain = [f"{name} = {_value(value)}" for name, value in values.items() if not isinstance(value, dict)]
    tables = [f"[{name}]\n{_toml(value)}" for name, value in values.items() if isinstance(value, dict)]
    return "\n".join([*plain, *tables]) + "\n"


def _value(value: Any) -> str:
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else json.dumps(value)
