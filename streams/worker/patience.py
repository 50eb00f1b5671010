"""Waiting for a broker that is gone for a moment, where a client does not do that by itself."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

import structlog
from aiokafka.errors import InvalidMessageError, KafkaError, MessageSizeTooLargeError
from kafka.errors import KafkaError as OtherKafkaError

from streams.errors import InfrastructureError, KafkaUnavailableError

__all__ = ["patiently"]

log = structlog.get_logger(__name__)

T = TypeVar("T")

_GONE = (KafkaError, OtherKafkaError, KafkaUnavailableError, ConnectionError, TimeoutError)
_OF_THE_RECORD = (MessageSizeTooLargeError, InvalidMessageError)


async def patiently(action: Callable[[], Awaitable[T]], seconds: float, what: str) -> T:
    """What `action` returns, tried again while Kafka does not answer: that is no fault of any record.

    what: the action in words, as in "links are decided".

    Raises: InfrastructureError after `seconds`; whatever else `action` raises.
    """
    silent_since: float | None = None
    while True:
        try:
            return await action()
        except _OF_THE_RECORD:
            raise
        except _GONE as error:
            log.warning("kafka.silent", waits_for=what, kind=type(error).__name__)
            if silent_since is None:  # what went before was work, not waiting
                silent_since = time.monotonic()
            if time.monotonic() - silent_since > seconds:
                raise InfrastructureError(
                    f"Kafka has not answered for {seconds:g} s, so that not all {what}: {error!r}.",
                    "Nothing of this batch was acknowledged; start the worker again when the broker is back.",
                ) from error
        await asyncio.sleep(0.5)
