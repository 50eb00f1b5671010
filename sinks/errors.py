"""What can go wrong on the way out.

SinkError
├── PublishError          the broker did not confirm: the fault of the infrastructure
├── PublishInterrupted    not written, because something before it was refused: to be sent again
└── RecordRefused         the broker refuses this one record, whatever the state of the infrastructure
"""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["PublishError", "PublishInterrupted", "RecordRefused", "SinkError"]


class SinkError(Exception):
    """Something could not be written or served."""


class PublishError(SinkError):
    """The broker did not confirm what was sent, in time or at all."""


class PublishInterrupted(SinkError):  # noqa: N818 -- nothing is wrong with these records; they want sending again
    """What was sent was not written, because something sent before it was refused. Sending it again is right."""


class RecordRefused(SinkError):  # noqa: N818 -- it says what happened to one record; nothing went wrong
    """The broker refuses a record: too large, or without a key on a compacted topic.

    index, reason: of the first item, of those given to the publisher, that is refused.
    refused: index to reason of every such item. Everything else was confirmed.
    """

    def __init__(self, index: int, reason: str, refused: Mapping[int, str] | None = None) -> None:
        super().__init__(f"record {index}: {reason}")
        self.index = index
        self.reason = reason
        self.refused = dict(refused) if refused else {index: reason}
