"""From a topic's raw records to a batch: decoded, known by identity, in standard form."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from detectors.contract.model import Contract, Kind, Role
from detectors.decode import Decoder, Limits, Tombstone
from detectors.records import Batch, Correction, Finding, Record, Rejection, Rule, SourceRecord, Version
from detectors.standardise.standardiser import Standardiser
from detectors.standardise.time import to_millis

__all__ = ["Intake", "Taken"]


@dataclass(frozen=True, slots=True)
class Taken:
    """What became of a sequence of records; each is in the batch, in `rejections` or in `tombstones`.

    findings, corrections: of decoding and standardising, ordered by row of the batch.
    keep_original: rows of the batch whose bytes cannot be rebuilt from `Record.original`.
    """

    batch: Batch
    rejections: list[Rejection]
    tombstones: list[Tombstone]
    findings: list[Finding]
    corrections: list[Correction]
    keep_original: frozenset[int]


class Intake:
    """Takes records of one topic in. Keeps what its decoder keeps: the names of unknown columns that were told.

    auto_apply: per rule, the confidence from which standardising repairs; see `Standardiser`.
    """

    def __init__(
        self, contract: Contract, limits: Limits | None = None, auto_apply: Mapping[str, float] | None = None
    ) -> None:
        self._contract = contract
        self._decoder = Decoder(contract, limits)
        self._standardiser = Standardiser(contract, auto_apply)
        self._time = contract.column_of(Role.UPDATED_AT if contract.kind is Kind.PRODUCTS else Role.TIME)

    @property
    def rules(self) -> tuple[Rule, ...]:
        """Every rule that a finding of `take` may name."""
        return (*self._decoder.rules, *self._standardiser.rules)

    def take(self, records: Sequence[SourceRecord], generation: int = 0) -> Taken:
        """Decode and standardise records of one topic; raises nothing, whatever they hold.

        generation: of the source topic, the first part of each record's version.
        """
        decoded = self._decoder.decode(records)
        standard = self._standardiser.standardise(decoded.rows)
        times = self._times(decoded.sources, standard.values)
        batch = Batch(
            self._contract,
            [
                Record(source, identity, original, values, time, Version(generation, source.offset))
                for source, identity, original, values, time in zip(
                    decoded.sources, decoded.identities, decoded.rows, standard.values, times, strict=True
                )
            ],
        )
        findings = decoded.findings + standard.findings
        if decoded.findings:
            findings.sort(key=lambda finding: finding.row)
        return Taken(
            batch, decoded.rejections, decoded.tombstones, findings, standard.corrections, decoded.keep_original
        )

    def _times(self, sources: Sequence[SourceRecord], rows: Sequence[dict[str, Any]]) -> list[int]:
        """Each record's own time where it has one in standard form, else Kafka's; milliseconds since 1970, UTC."""
        name = self._time
        if name is None:
            return [source.timestamp for source in sources]
        times = [to_millis(value) if isinstance(value := row.get(name), str) else None for row in rows]
        if None not in times:
            return times  # type: ignore[return-value]  # just seen
        return [s.timestamp if time is None else time for s, time in zip(sources, times, strict=True)]
