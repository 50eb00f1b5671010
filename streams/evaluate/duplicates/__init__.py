"""How well duplicates are found in data whose truth is known, and where and why they are not."""

from __future__ import annotations

from streams.evaluate.duplicates.evaluate import DuplicatesReport, evaluate_duplicates

__all__ = ["DuplicatesReport", "evaluate_duplicates"]
