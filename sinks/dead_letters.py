"""Dead letters: records that could not be processed, as they were, with headers that say what happened.

The headers are those of Kafka Connect (`org.apache.kafka.connect.runtime.errors.DeadLetterQueueReporter`), so that
tools for its dead letter queues read ours. They are appended: of a repeated header the last one counts, which is what
happened most recently to a record that was replayed and died again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from detectors.records import Rejection, SourceRecord

__all__ = ["Death", "bury", "dead_letter", "parse", "without_errors"]

_PREFIX = "__connect.errors."
_TOPIC = _PREFIX + "topic"
_PARTITION = _PREFIX + "partition"
_OFFSET = _PREFIX + "offset"
_CONNECTOR = _PREFIX + "connector.name"
_STAGE = _PREFIX + "stage"
_CLASS = _PREFIX + "class.name"
_EXCEPTION = _PREFIX + "exception.class.name"
_MESSAGE = _PREFIX + "exception.message"

_CONNECTOR_NAME = b"streamgauge"
_LONGEST_MESSAGE = 2000  # characters: a dead letter has 64 KB for all its headers, of all its deaths

DeadLetter = tuple[bytes | None, bytes | None, list[tuple[str, bytes | None]]]


@dataclass(frozen=True, slots=True)
class Death:
    """What the headers of a dead letter say: where the record came from, at which stage it died, and of what."""

    topic: str
    partition: int
    offset: int
    stage: str
    error: str
    message: str


def dead_letter(rejection: Rejection) -> DeadLetter:
    """The item for the publisher: original key, value and headers untouched, the error's headers after them."""
    return bury(rejection.source, rejection.stage, rejection.error, rejection.message)


def bury(source: SourceRecord, stage: str, error: str, message: str, class_name: str = "streamgauge") -> DeadLetter:
    """The same for any failure. error: a short stable name, or an exception's class. class_name: where it happened."""
    headers: list[tuple[str, bytes | None]] = list(source.headers or ())
    headers += [
        (_TOPIC, source.topic.encode()),
        (_PARTITION, b"%d" % source.partition),
        (_OFFSET, b"%d" % source.offset),
        (_CONNECTOR, _CONNECTOR_NAME),
        (_STAGE, _text(stage)),
        (_CLASS, _text(class_name)),
        (_EXCEPTION, _text(error)),
        (_MESSAGE, _text(message[:_LONGEST_MESSAGE])),
    ]
    return source.key, source.value, headers


def parse(headers: Sequence[tuple[str, bytes | None]]) -> Death | None:
    """What a dead letter died of; None where these are not the headers of a dead letter."""
    last = {name: value or b"" for name, value in headers if name.startswith(_PREFIX)}
    try:
        return Death(
            topic=last[_TOPIC].decode("utf-8", "replace"),
            partition=int(last[_PARTITION]),
            offset=int(last[_OFFSET]),
            stage=last.get(_STAGE, b"").decode("utf-8", "replace"),
            error=last.get(_EXCEPTION, b"").decode("utf-8", "replace"),
            message=last.get(_MESSAGE, b"").decode("utf-8", "replace"),
        )
    except (KeyError, ValueError):
        return None


def without_errors(headers: Sequence[tuple[str, bytes | None]]) -> list[tuple[str, bytes | None]]:
    """The record's own headers, as they were before it died."""
    return [(name, value) for name, value in headers if not name.startswith(_PREFIX)]


def _text(value: str) -> bytes:
    return value.encode("utf-8", "replace")
