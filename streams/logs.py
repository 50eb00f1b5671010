"""Structured logs: JSON where nobody watches, aligned text on a terminal. No event bodies, no personal data."""

from __future__ import annotations

import logging
import re
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
# A fresh broker has no coordinator of groups for some seconds, which its clients log as an error at every try.
_ORDINARY_AT_FIRST = re.compile("Group Coordinator Request failed.*GroupCoordinatorNotAvailable")
_GATHERED_SECONDS = 10.0
_GATHERED_LINES = 1_000  # different ones that are remembered


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
    """Of what a Kafka client says over and over in the same words, one line in ten seconds.

    A line tells how often it was left out since it was last shown; one with a traceback is always shown. What is
    ordinary in a broker's first seconds is shown once it has gone on for ten.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._shown: dict[tuple[str, str], tuple[float, int]] = {}  # when, and how often it was left out since

    def __call__(self, record: logging.LogRecord) -> bool:
        if record.name.partition(".")[0] not in _REPEATING or record.exc_info:
            return True
        line, now = (record.name, record.getMessage()), self._clock()
        shown, left_out = self._shown.get(line, (now if _ORDINARY_AT_FIRST.search(line[1]) else -_GATHERED_SECONDS, 0))
        if now - shown < _GATHERED_SECONDS:
            self._shown[line] = shown, left_out + 1
            return False
        if len(self._shown) >= _GATHERED_LINES:
            self._shown.clear()
        self._shown[line] = now, 0
        if left_out:
            record.msg, record.args = f"{line[1]} (and {left_out} times more since)", ()
        return True
