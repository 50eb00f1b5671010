"""Where commands write: results to standard output, everything else to standard error; colour only on a terminal."""

from __future__ import annotations

from rich.console import Console

__all__ = ["errors", "output"]

output = Console(highlight=False)
errors = Console(stderr=True, highlight=False)
