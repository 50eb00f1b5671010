"""The errors of this package."""

from __future__ import annotations

__all__ = ["ArtefactError", "EncoderError", "ModelError", "TrainingError"]


class ModelError(Exception):
    """Something about a model that the user can put right.

    hint: what to do next, one sentence.
    """

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint

    def __str__(self) -> str:
        message = super().__str__()
        return f"{message} {self.hint}" if self.hint else message


class EncoderError(ModelError):
    """No encoder is to be had, or the one that was named cannot be used."""


class ArtefactError(ModelError):
    """A file of a trained model is missing, damaged or of another format."""


class TrainingError(ModelError):
    """There is too little to learn from."""
