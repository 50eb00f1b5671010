from __future__ import annotations

import asyncio

import pytest
from aiokafka.errors import KafkaConnectionError, MessageSizeTooLargeError

from streams.errors import InfrastructureError, KafkaUnavailableError
from streams.worker.patience import patiently


class Sometimes:
    """Raises these errors in turn, then returns how often it was called."""

    def __init__(self, *errors: BaseException) -> None:
        self.errors = list(errors)
        self.calls = 0

    async def __call__(self) -> int:
        self.calls += 1
        if self.errors:
            raise self.errors.pop(0)
        return self.calls


async def test_a_broker_that_comes_back_is_waited_for() -> None:
    action = Sometimes(KafkaConnectionError("gone"), KafkaUnavailableError("gone"))
    assert await patiently(action, 30, "links are decided") == 3


async def test_a_broker_that_stays_away_stops_the_worker() -> None:
    action = Sometimes(*[KafkaConnectionError("gone")] * 9)
    with pytest.raises(InfrastructureError, match="so that not all links are decided"):
        await patiently(action, 0.1, "links are decided")
    assert action.calls == 2


async def test_long_work_is_no_silence() -> None:
    async def long_work_then_a_hiccup() -> int:
        if not action.calls:
            await asyncio.sleep(0.15)  # the work itself: longer than the broker may be gone
        return await action()

    action = Sometimes(KafkaConnectionError("gone"))
    assert await patiently(long_work_then_a_hiccup, 0.1, "links are decided") == 2


@pytest.mark.parametrize("error", [ValueError("no"), MessageSizeTooLargeError("too large"), InfrastructureError("no")])
async def test_what_is_no_fault_of_the_broker_is_raised_at_once(error: Exception) -> None:
    action = Sometimes(error)
    with pytest.raises(type(error)):
        await patiently(action, 30, "links are decided")
    assert action.calls == 1
