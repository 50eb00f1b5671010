"""What listens: metrics and health, on one port, in a thread of its own so that a busy event loop cannot hide it."""

from __future__ import annotations

import errno
import threading
from collections.abc import Callable, Iterable
from socketserver import ThreadingMixIn
from typing import TYPE_CHECKING, Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import orjson
from prometheus_client import make_wsgi_app

from sinks.errors import SinkError

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

__all__ = ["HealthCheck", "MetricsServer"]

HealthCheck = Callable[[], tuple[bool, dict[str, Any]]]
_PORTS_TO_TRY = 100


_IDLE_SECONDS = 10.0  # that a client may take to ask


class _Server(ThreadingMixIn, WSGIServer):
    """A thread for each client: one that connects and says nothing must not keep health from the others."""

    daemon_threads = True
    block_on_close = False


class _QuietHandler(WSGIRequestHandler):
    timeout = _IDLE_SECONDS

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 -- the name is wsgiref's
        """A scrape every few seconds is not worth a line."""


class MetricsServer:
    """Serves `/metrics`, `/live` and `/ready`.

    Several workers on one host: the first free port from `port` on is taken; with 0 any free one.

    live, ready: (yes or no, details); no answers 503.

    Raises: SinkError when no port can be had.
    """

    def __init__(
        self, registry: CollectorRegistry, live: HealthCheck, ready: HealthCheck, host: str, port: int
    ) -> None:
        self._metrics = make_wsgi_app(registry)
        self._checks = {"/live": live, "/ready": ready}
        self._server = self._bind(host, port)
        self.host, self.port = host, self._server.server_port
        self._thread = threading.Thread(target=self._server.serve_forever, name="metrics", daemon=True)

    @property
    def url(self) -> str:
        """Where the metrics are."""
        return f"http://{self.host}:{self.port}/metrics"

    def start(self) -> None:
        """Begin to answer."""
        self._thread.start()

    def stop(self) -> None:
        """Stop answering and free the port."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)

    def _bind(self, host: str, port: int) -> WSGIServer:
        for candidate in range(port, port + _PORTS_TO_TRY) if port else (0,):
            try:
                return make_server(host, candidate, self._answer, _Server, _QuietHandler)
            except OSError as error:
                if error.errno != errno.EADDRINUSE:
                    raise SinkError(f"Cannot listen on {host}:{candidate}: {error.strerror}.") from error
        raise SinkError(f"No free port on {host} from {port} to {port + _PORTS_TO_TRY - 1} for the metrics.")

    def _answer(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        path = environ["PATH_INFO"]
        if path == "/metrics":
            answer: Iterable[bytes] = self._metrics(environ, start_response)
            return answer
        if path in self._checks:
            good, details = self._checks[path]()
            status, body = ("200 OK" if good else "503 Service Unavailable"), orjson.dumps({"ok": good, **details})
            start_response(status, [("Content-Type", "application/json")])
            return [body]
        start_response("404 Not Found", [("Content-Type", "text/plain; charset=utf-8")])
        return [b"Streamgauge answers /metrics, /live and /ready.\n"]
