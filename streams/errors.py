"""The errors that end a command or a worker, each one sentence and what to do next.

StreamgaugeError
└── InfrastructureError    stops a worker: exit code 1, nothing acknowledged
"""

from __future__ import annotations

__all__ = ["InfrastructureError", "StreamgaugeError"]


class StreamgaugeError(Exception):
    """Something that a person has to put right. `hint` says how."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class InfrastructureError(StreamgaugeError):
    """What fails for every record alike, or what every record needs: the worker stops, nothing is acknowledged."""
