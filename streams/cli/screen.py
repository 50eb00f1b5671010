"""Where commands write: results to standard output, everything else to standard error; colour only on a terminal."""

from __future__ import annotations

import sys

from rich.console import Console

__all__ = ["errors", "output"]

_WIDE = 160  # columns where nobody watches: a file or a pipe has no width of its own

output = Console(highlight=False, width=None if sys.stdout.isatty() else _WIDE)
errors = Console(stderr=True, highlight=False)
