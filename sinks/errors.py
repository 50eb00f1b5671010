"""What can go wrong on the way out.

SinkError
├── PublishError      the broker did not confirm: the fault of the infrastructure
└── RecordRefused     the broker refuses this one record, whatever the state of the infrastructure
"""

from __future__ import annotations

__all__ = ["PublishError", "RecordRefused", "SinkError"]


class SinkError(Exception):
    """Something could not be written or served."""


class PublishError(SinkError):
    """The broker did not confirm what was sent, in time or at all."""


class RecordRefused(SinkError):  # noqa: N818 -- it says what happened to one record; nothing went wrong
    """The broker refuses one record: too large, or without a key on a compacted topic.

    index: of the item in what was given to the publisher. Everything else was confirmed.
    """

    def __init__(self, index: int, reason: str) -> None:
        super().__init__(f"record {index}: {reason}")
        self.index = index
        self.reason = reason
