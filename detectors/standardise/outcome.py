"""What standardising one value comes to, before it is tied to a row and a column."""

from __future__ import annotations

from typing import Any, NamedTuple

from detectors.records import Dimension, Rule, Severity, Suggestion

__all__ = ["RULES", "SURE", "TEXT_DAMAGE", "Fault", "Outcome", "Step"]

SURE = 0.9
"""The confidence from which a reading of a notation is taken. One below it is a suggestion, and the value stays."""


class Step(NamedTuple):
    """One change of a value; the value before it is the one that the step before left."""

    after: Any
    rule: str
    reason: str
    confidence: float = 1.0


class Fault(NamedTuple):
    """Damage in a value.

    repaired: the steps beside it repair the damage, so the value they end in is the suggestion.
    suggestion: a repair that is proposed and not made.
    """

    rule: Rule
    reason: str
    confidence: float
    repaired: bool = False
    suggestion: Suggestion | None = None


class Outcome(NamedTuple):
    """Changes in the order in which they were made, and the damage that was seen."""

    steps: tuple[Step, ...] = ()
    faults: tuple[Fault, ...] = ()


def _rule(name: str, dimension: Dimension, severity: Severity, description: str) -> Rule:
    return Rule(name, dimension, severity, description)


MOJIBAKE = _rule(
    "text.mojibake",
    Dimension.CONFORMITY,
    Severity.ERROR,
    "Text was read in the wrong encoding, or lost characters in one",
)
HTML = _rule("text.html", Dimension.CONFORMITY, Severity.WARNING, "HTML tags or entities in a title or brand")
CONTROL_CHARACTERS = _rule(
    "text.control_characters", Dimension.CONFORMITY, Severity.WARNING, "Control characters in a text"
)
REPEATED_PHRASE = _rule(
    "text.repeated_phrase", Dimension.CONFORMITY, Severity.WARNING, "The same phrase twice in a row in a title"
)
PRICE_UNPARSEABLE = _rule(
    "price.unparseable", Dimension.CONFORMITY, Severity.ERROR, "The price is not one amount of money"
)
PRICE_AMBIGUOUS = _rule(
    "price.ambiguous",
    Dimension.CONFORMITY,
    Severity.WARNING,
    "The price can be read in two ways (a separator, a dash), or is only a bound or an estimate",
)
PRICE_CURRENCY_AMBIGUOUS = _rule(
    "price.currency_ambiguous",
    Dimension.CONFORMITY,
    Severity.WARNING,
    "The price's sign stands for several currencies, and nothing says which",
)
PRICE_NEGATIVE = _rule("price.negative", Dimension.ACCURACY, Severity.ERROR, "The price is below zero")
PRICE_CURRENCY_CONFLICT = _rule(
    "price.currency_conflict",
    Dimension.CONSISTENCY,
    Severity.WARNING,
    "The price names another currency than the currency column",
)
TIME_UNPARSEABLE = _rule("time.unparseable", Dimension.CONFORMITY, Severity.ERROR, "The time cannot be read")
TIME_AMBIGUOUS = _rule(
    "time.ambiguous",
    Dimension.CONFORMITY,
    Severity.WARNING,
    "The date can be read in two ways, such as day or month first, and nothing says which",
)
GTIN_CHECK_DIGIT = _rule(
    "gtin.check_digit", Dimension.ACCURACY, Severity.WARNING, "The check digit of the article number is wrong"
)
GTIN_FORMAT = _rule(
    "gtin.format", Dimension.CONFORMITY, Severity.WARNING, "The article number is no GTIN of 8, 12, 13 or 14 digits"
)

TEXT_DAMAGE = (MOJIBAKE, HTML, CONTROL_CHARACTERS, REPEATED_PHRASE)
"""Damage in texts that is repaired."""

RULES: tuple[Rule, ...] = (
    *TEXT_DAMAGE,
    PRICE_UNPARSEABLE,
    PRICE_AMBIGUOUS,
    PRICE_CURRENCY_AMBIGUOUS,
    PRICE_NEGATIVE,
    PRICE_CURRENCY_CONFLICT,
    TIME_UNPARSEABLE,
    TIME_AMBIGUOUS,
    GTIN_CHECK_DIGIT,
    GTIN_FORMAT,
)
