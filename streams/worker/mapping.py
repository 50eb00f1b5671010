"""The mapping topic: which canonical product each offer belongs to, as every worker knows it."""

from __future__ import annotations

from collections.abc import Mapping as AnyMapping
from collections.abc import Sequence
from typing import Any

import orjson
import structlog
from aiokafka import ConsumerRecord

from streams.worker.follower import Follower

__all__ = ["Mapping"]

log = structlog.get_logger(__name__)


class Mapping:
    """The canonical identity of every product, followed from the mapping topic.

    Only what has a canonical identity other than its own is kept in memory.
    """

    def __init__(self, topic: str, options: AnyMapping[str, Any]) -> None:
        self._canonical: dict[str, str] = {}
        self.follower = Follower(topic, options, self._apply, committed=True)

    def canonical(self, identity: str) -> str:
        """The smallest identity linked with this one; itself where nothing is."""
        return self._canonical.get(identity, identity)

    async def _apply(self, records: Sequence[ConsumerRecord], position: int) -> None:
        for record in records:
            try:
                identity = record.key.decode("utf-8")
                canonical = None if record.value is None else orjson.loads(record.value)["canonical"]
            except (ValueError, TypeError, KeyError, AttributeError) as error:
                # The topic is compacted: this record stays, and no worker may end of it.
                log.error("mapping.unreadable", offset=record.offset, kind=type(error).__name__)
                continue
            if canonical is None or canonical == identity:
                self._canonical.pop(identity, None)
            else:
                self._canonical[identity] = canonical
