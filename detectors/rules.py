"""What a rule is: a named check, the dimension of quality that it watches, how bad it is when it is broken."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

__all__ = ["Dimension", "Rule", "Severity", "Word"]


class Word(StrEnum):
    """Words of a fixed list, for looking up in a hurry: each hashes as its text. Enum's own hash is Python."""

    __hash__ = str.__hash__


class Dimension(Word):
    """The dimension of data quality that a rule watches."""

    ACCURACY = "accuracy"
    COMPLETENESS = "completeness"
    CONFORMITY = "conformity"
    CONSISTENCY = "consistency"
    TIMELINESS = "timeliness"
    UNIQUENESS = "uniqueness"


class Severity(Word):
    """How bad it is when a rule is broken."""

    INFO = "info"
    WARNING = "warning"
    ERROR = "error"
    CRITICAL = "critical"


@dataclass(frozen=True, slots=True)
class Rule:
    """A named check. Names are bounded: they are labels of metrics.

    name: dotted, `family.check`, such as `price.neighbours` or `text.mojibake`.
    """

    name: str
    dimension: Dimension
    severity: Severity
    description: str
