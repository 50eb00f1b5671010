"""Re-keying: a source topic that is not keyed by product goes through an internal topic that is.

All versions of a product must lie in one partition, or they have no order. Where the user's own topic does not do
that, its records are passed on under the contract's key, unchanged otherwise; the header says where they came from.
"""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from typing import TYPE_CHECKING

from detectors.contract.model import Contract
from detectors.decode import Decoder, Limits
from detectors.records import SourceRecord

if TYPE_CHECKING:
    from sinks.publisher import Item, Publisher
    from streams.delivery import Compute

__all__ = ["SOURCE_POSITION", "RekeyWay"]

SOURCE_POSITION = "streamgauge.source"


class RekeyWay:
    """Passes the records of a source topic on, keyed by identity. What does not decode keeps its own key.

    Deletions keep their key too: it is all that says what they delete. target: the full name of the internal topic.
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
            (
                keys.get(id(record), record.key),
                record.value,
                [
                    *record.headers,
                    (SOURCE_POSITION, f"{record.topic}/{record.partition}/{record.offset}".encode()),
                ],
            )
            for record in records
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
