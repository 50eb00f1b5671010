"""What a detector is: a batch in, findings out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from detectors.records import Batch, Finding, Rule

__all__ = ["Detector"]


@runtime_checkable
class Detector(Protocol):
    """Looks at a batch and says what is wrong with it.

    A detector does no I/O, has no clock of its own (time comes from the records), leaves its input untouched and can
    be pickled. It may keep state between batches (counts, what it saw last) when its class says so; the same batches
    in the same order then give the same findings. A field that is missing, of another type or None is never an
    error: the detector has nothing to say about that record.
    """

    @property
    def rules(self) -> tuple[Rule, ...]:
        """Every rule this detector may name in a finding."""

    def detect(self, batch: Batch) -> list[Finding]:
        """Findings of this batch, ordered by row."""
