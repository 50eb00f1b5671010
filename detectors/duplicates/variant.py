"""The findings that a product is a variant of another: what its owner states of it, told to people."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from detectors.duplicates.score import DUPLICATE_VARIANT
from detectors.duplicates.statement import VARIANT, Statement
from detectors.records import Evidence, Finding, Neighbour, Version

if TYPE_CHECKING:
    from detectors.duplicates.view import CatalogueView

__all__ = ["variant_findings"]

_CONFIDENCE = 0.85  # about what was right among pairs of three catalogues that were read by hand


def variant_findings(
    brought: Sequence[tuple[str, Version]], said: Iterable[Statement], view: CatalogueView
) -> list[Finding]:
    """A finding for each variant that a statement names, at the record that brought the text.

    brought: the identity and version of each row's product. Where the record is not among them, it was told with an
    earlier batch. view: which the statements were made from.
    """
    rows: dict[tuple[str, Version], int] | None = None
    found: list[Finding] = []
    for statement in said:
        named = [candidate for candidate in statement.candidates if candidate.relation == VARIANT]
        if not named:
            continue
        if rows is None:
            rows = {product: row for row, product in enumerate(brought)}
        row = rows.get((statement.identity, statement.match_version))
        if row is None:
            continue
        mine = view.facts(statement.identity)
        for candidate in named:
            other = view.facts(candidate.identity)
            found.append(
                Finding(
                    row,
                    DUPLICATE_VARIANT,
                    None,
                    None if mine is None else mine.title,
                    _CONFIDENCE,
                    Evidence(
                        candidate.reason,
                        (Neighbour(candidate.identity, candidate.similarity, None if other is None else other.title),),
                        {"rule_score": candidate.score},
                    ),
                    model=view.encoder,
                    other=candidate.identity,
                )
            )
    return found
