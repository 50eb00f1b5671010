"""Re-keying: a source topic that is not keyed by product goes through an internal topic that is.

All versions of a product must lie in one partition, or they have no order. Where the user's own topic does not do
that, its records are passed on under the product's identity; headers keep what they were. Whoever handles them sees
the user's own record again. Only versions speak of the internal topic, whose offsets order them.
"""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from detectors.contract.model import Contract
from detectors.decode import Decoder, Limits
from detectors.records import SourceRecord, StoredRecord

if TYPE_CHECKING:
    from sinks.publisher import Headers, Item, Publisher
    from streams.worker.delivery import Compute

__all__ = ["PassedOn", "RekeyWay", "carrier_of", "passing_headers", "restored"]

# The last headers of a record of the internal topic, in this order.
_POSITION = "streamgauge.source"  # topic/partition/offset
_TIMESTAMP = "streamgauge.timestamp"  # milliseconds since 1970, UTC
_KEY = "streamgauge.key"  # without a value for a record without a key
_OURS = (_POSITION, _TIMESTAMP, _KEY)


@dataclass(frozen=True, slots=True)
class PassedOn(StoredRecord):
    """A record of the user's topic as it was there. carrier: the record of the internal topic that brought it."""

    carrier: SourceRecord = field(kw_only=True, repr=False, compare=False)


def carrier_of(source: SourceRecord) -> SourceRecord:
    """The record whose partition and offset order the versions of its product."""
    return source.carrier if isinstance(source, PassedOn) else source


def passing_headers(record: SourceRecord) -> Headers:
    """The headers of a record on its way through the internal topic: its own, then ours."""
    return [
        *record.headers,
        (_POSITION, f"{record.topic}/{record.partition}/{record.offset}".encode()),
        (_TIMESTAMP, b"%d" % record.timestamp),
        (_KEY, record.key),
    ]


def restored(record: SourceRecord) -> SourceRecord:
    """A record of the internal topic as it was in the user's topic; itself where its headers do not say that."""
    ours = record.headers[-len(_OURS) :]
    if tuple(name for name, _ in ours) != _OURS:
        return record
    try:
        topic, partition, offset = ours[0][1].decode().split("/")
        return PassedOn(
            topic=topic,
            partition=int(partition),
            offset=int(offset),
            timestamp=int(ours[1][1]),
            key=ours[2][1],
            value=record.value,
            headers=record.headers[: -len(_OURS)],
            carrier=record,
        )
    except (ValueError, AttributeError, TypeError):
        return record


class RekeyWay:
    """Passes the records of a source topic on, keyed by identity. What does not decode keeps its own key.

    So do deletions that do not say what they delete. target: the full name of the internal topic.
    """

    def __init__(self, contract: Contract, limits: Limits, target: str, publisher: Publisher, compute: Compute) -> None:
        self._decoder = Decoder(contract, limits)
        self._target = target
        self._publisher = publisher
        self._compute = compute

    async def __call__(self, records: Sequence[SourceRecord], generation: int) -> Awaitable[None]:
        """Decode to know the products; the returned future is done when all is passed on."""
        keys = await self._compute.run(self._keys, records)
        items: list[Item] = [
            (keys.get(id(record), record.key), record.value, passing_headers(record)) for record in records
        ]
        sent = await self._publisher.send(self._target, items)

        async def confirmed() -> None:
            await sent

        return confirmed()

    def _keys(self, records: Sequence[SourceRecord]) -> dict[int, bytes]:
        decoded = self._decoder.decode(records)
        keys = {
            id(source): identity.encode("utf-8", "replace")
            for source, identity in zip(decoded.sources, decoded.identities, strict=True)
        }
        return keys | {id(t.source): t.identity.encode("utf-8", "replace") for t in decoded.tombstones}
