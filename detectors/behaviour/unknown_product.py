"""Behaviour events about a product that the catalogue does not know."""

from __future__ import annotations

from typing import Final

from detectors.contract.model import Role
from detectors.records import Batch, Dimension, Evidence, Finding, Rule, Severity

__all__ = ["UNKNOWN_PRODUCT", "UnknownProductDetector"]

UNKNOWN_PRODUCT: Final = Rule(
    "behavior.unknown_product",
    Dimension.CONSISTENCY,
    Severity.WARNING,
    "The event names a product that is not in the catalogue.",
)


class UnknownProductDetector:
    """Silent while there is no catalogue, and about events that name no product."""

    rules: tuple[Rule, ...] = (UNKNOWN_PRODUCT,)

    def detect(self, batch: Batch) -> list[Finding]:
        """Findings of this batch, ordered by row."""
        column = batch.contract.column_of(Role.PRODUCT)
        if column is None or batch.products is None or not batch.catalogue_size:
            return []
        unknown = [row for row, facts in enumerate(batch.products) if facts is None]
        findings = []
        for row in unknown:
            value = batch.records[row].values.get(column)
            if value is None or value == "":
                continue
            findings.append(
                Finding(
                    row=row,
                    rule=UNKNOWN_PRODUCT,
                    column=column,
                    observed=value,
                    confidence=0.95,
                    evidence=Evidence(
                        f"Product {value!r:.80} is none of the {batch.catalogue_size} products of the catalogue.",
                        statistics={"catalogue_size": float(batch.catalogue_size)},
                    ),
                )
            )
        return findings
