"""The container's health check, against the server that a worker has."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from sinks.http import MetricsServer

SCRIPT = Path(__file__).resolve().parents[2] / "docker" / "healthcheck.py"


@pytest.fixture
def server() -> Iterator[MetricsServer]:
    def live() -> tuple[bool, dict[str, Any]]:
        return True, {}

    def ready() -> tuple[bool, dict[str, Any]]:
        return False, {"recovered": False}

    server = MetricsServer(CollectorRegistry(), live, ready, "127.0.0.1", 0)
    server.start()
    yield server
    server.stop()


def check(port: int, path: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {
        "STREAMGAUGE_METRICS_PORT": str(port),
        "http_proxy": "http://127.0.0.1:9",  # must not be asked
    }
    command = [sys.executable, "-I", str(SCRIPT), path]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=30)


def test_healthy(server: MetricsServer) -> None:
    assert check(server.port, "/live").returncode == 0


def test_unhealthy_says_what_the_worker_says(server: MetricsServer) -> None:
    done = check(server.port, "/ready")
    assert done.returncode == 1
    assert '"recovered":false' in done.stdout


def test_nothing_listens(server: MetricsServer) -> None:
    server.stop()
    done = check(server.port, "/live")
    assert done.returncode == 1
    assert done.stdout.startswith(f"Nothing answers at port {server.port}")
    assert not done.stderr
