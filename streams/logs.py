"""Structured logs: JSON where nobody watches, aligned text on a terminal. No event bodies, no personal data."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable
from typing import Literal, TextIO

import structlog

from streams.errors import StreamgaugeError

__all__ = ["configure_logs"]

# Libraries that log much of what their callers handle already.
_QUIET = {
    "aiokafka": logging.ERROR,
    "kafka": logging.ERROR,
    "faiss": logging.WARNING,
    "faust": logging.WARNING,
    "mode": logging.WARNING,
}
_REPEATING = ("aiokafka", "kafka")  # that say every try while a broker is away
_GATHERED_SECONDS = 10.0


def configure_logs(
    format: Literal["auto", "json", "text"] = "auto",  # noqa: A002 -- the setting's own name
    level: str = "info",
    stream: TextIO | None = None,
) -> None:
    """Send our logs and the libraries' to `stream` (standard error) in one form."""
    stream = sys.stderr if stream is None else stream
    as_json = format == "json" or (format == "auto" and not stream.isatty())
    shared: list[structlog.types.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.stdlib.PositionalArgumentsFormatter(),
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    last: list[structlog.types.Processor] = [structlog.stdlib.ProcessorFormatter.remove_processors_meta]
    if as_json:
        last += [structlog.processors.format_exc_info, structlog.processors.JSONRenderer(ensure_ascii=False)]
    else:
        last.append(structlog.dev.ConsoleRenderer(colors=stream.isatty()))
    handler = logging.StreamHandler(stream)
    handler.addFilter(_without_needless_traceback)
    handler.addFilter(_Gathered())
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(processors=last, foreign_pre_chain=shared))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for name, minimum in _QUIET.items():
        logging.getLogger(name).setLevel(max(minimum, root.level))


def _without_needless_traceback(record: logging.LogRecord) -> bool:
    """Faust logs a crash with its traceback; an error of ours says in its own words what is wrong."""
    if record.exc_info and isinstance(record.exc_info[1], StreamgaugeError):
        record.exc_info = None
    return True


class _Gathered:
    """Of what a Kafka client says over and over, one line in ten seconds, with how many it stands for.

    Lines are alike that come from the same place in the code, whatever node or partition they name; one with a
    traceback is always shown. What was left out last is told with the next line of its kind, whenever that comes.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._shown: dict[tuple[str, int], float] = {}  # by file and line of the code
        self._left_out: dict[tuple[str, int], int] = {}

    def __call__(self, record: logging.LogRecord) -> bool:
        if record.name.partition(".")[0] not in _REPEATING or record.exc_info:
            return True
        place, now = (record.pathname, record.lineno), self._clock()
        if now - self._shown.get(place, -_GATHERED_SECONDS) < _GATHERED_SECONDS:
            self._left_out[place] = self._left_out.get(place, 0) + 1
            return False
        self._shown[place] = now
        if left_out := self._left_out.pop(place, 0):
            record.msg, record.args = f"{record.getMessage()} ({left_out} more like it since the last one)", ()
        return True
