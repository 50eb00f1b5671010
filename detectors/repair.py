"""Which suggestions are applied, and which a person should look at."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, Final

from detectors.records import Batch, Correction, Finding

__all__ = ["DEFAULT_AUTO_APPLY", "RepairPolicy", "Repaired", "undo"]

DEFAULT_AUTO_APPLY: Final[Mapping[str, float]] = MappingProxyType(
    {
        "price.scale": 0.95,
        "price.currency": 0.95,
        "brand.missing": 0.97,
        "brand.typo": 0.95,
        "category.missing": 0.97,
        "behavior.price": 0.97,
        "contract.enum": 0.95,
    }
)
"""Per rule, the confidence from which its suggestion is applied. A rule that is not listed only suggests."""


@dataclass(frozen=True, slots=True)
class Repaired:
    """What the policy made of a batch.

    batch: with the repaired values. corrections: ordered by row, each reversible by `undo`.
    reviews: findings whose suggestion was not applied, in the order of the findings.
    """

    batch: Batch
    corrections: list[Correction]
    reviews: list[Finding]


class RepairPolicy:
    """Applies a suggestion where its rule's confidence says so, and hands the rest to people.

    Of several suggestions for one field the value of the most confident is applied, if any is; of equal ones the
    first. What suggests another value goes to review.
    A suggestion that was applied already (by standardising) or that changes nothing is left alone. A suggestion for a
    value that is no longer there, because something else changed it, is never applied.

    auto_apply: per rule, the confidence (0-1) from which a suggestion is applied; goes over `DEFAULT_AUTO_APPLY`. A
    number above 1 means never.

    Raises: ValueError for a negative confidence.
    """

    def __init__(self, auto_apply: Mapping[str, float] | None = None) -> None:
        self.auto_apply = {**DEFAULT_AUTO_APPLY, **(auto_apply or {})}
        for rule, confidence in self.auto_apply.items():
            if confidence < 0:
                raise ValueError(f"auto_apply of {rule} is {confidence}; give a confidence from 0 to 1")

    def repair(self, batch: Batch, findings: Sequence[Finding], corrections: Iterable[Correction] = ()) -> Repaired:
        """The batch with what may be applied; `corrections` are those that its values already have."""
        done = {(c.row, c.column): c.after for c in corrections}
        proposals: dict[tuple[int, str], list[Finding]] = {}
        for finding in findings:
            if finding.suggestion is None or finding.column is None:
                continue
            place = finding.row, finding.column
            current = batch.records[finding.row].values.get(finding.column)
            if (place in done and _same(done[place], finding.suggestion.value)) or _same(
                current, finding.suggestion.value
            ):
                continue
            proposals.setdefault(place, []).append(finding)
        applied = {
            place: chosen
            for place, proposed in proposals.items()
            if (chosen := self._chosen(batch, proposed)) is not None
        }
        reviews = [
            finding
            for place, proposed in proposals.items()
            for finding in proposed
            if place not in applied or not _agree(finding, applied[place])
        ]
        order = {id(finding): n for n, finding in enumerate(findings)}
        reviews.sort(key=lambda finding: order[id(finding)])
        if not applied:
            return Repaired(batch, [], reviews)
        made = [_correction(f) for f in sorted(applied.values(), key=lambda f: (f.row, order[id(f)]))]
        return Repaired(_apply(batch, made), made, reviews)

    def _chosen(self, batch: Batch, proposed: Sequence[Finding]) -> Finding | None:
        best = max(proposed, key=lambda f: f.confidence)
        assert best.column is not None
        if not _same(batch.records[best.row].values.get(best.column), best.observed):
            return None
        # Others that say the same as the most confident one may be those whose rule is allowed to repair.
        agreeing = [finding for finding in proposed if _agree(finding, best)]
        allowed = [f for f in agreeing if f.confidence >= self.auto_apply.get(f.rule.name, math.inf)]
        return max(allowed, key=lambda f: f.confidence, default=None)


def undo(values: Mapping[str, Any], corrections: Sequence[Correction]) -> dict[str, Any]:
    """The values before the corrections of one record, given in the order in which they were made.

    A field that was not there comes back as None, which means the same: not known.
    """
    original = dict(values)
    for correction in reversed(corrections):
        original[correction.column] = correction.before
    return original


def _same(a: Any, b: Any) -> bool:
    return type(a) is type(b) and bool(a == b)


def _agree(a: Finding, b: Finding) -> bool:
    """Whether two findings suggest the same value."""
    if a.suggestion is None or b.suggestion is None:
        return False
    return _same(a.suggestion.value, b.suggestion.value)


def _correction(finding: Finding) -> Correction:
    assert finding.suggestion is not None
    assert finding.column is not None
    return Correction(
        row=finding.row,
        column=finding.column,
        before=finding.observed,
        after=finding.suggestion.value,
        confidence=finding.confidence,
        rule=finding.rule.name,
        reason=finding.evidence.reason,
    )


def _apply(batch: Batch, corrections: Iterable[Correction]) -> Batch:
    changes: dict[int, dict[str, Any]] = {}
    for correction in corrections:
        changes.setdefault(correction.row, {})[correction.column] = correction.after
    records = list(batch.records)
    for row, values in changes.items():
        records[row] = replace(records[row], values={**records[row].values, **values})
    return replace(batch, records=records)
