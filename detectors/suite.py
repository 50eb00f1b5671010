"""The detectors of a topic, and every rule there is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Final

from detectors.anomalies import RULES as ANOMALY_RULES
from detectors.anomalies import AnomalyDetector, AnomalyScorer
from detectors.behaviour.price import CataloguePriceDetector
from detectors.behaviour.repeats import RepeatDetector
from detectors.behaviour.times import TimeDetector
from detectors.behaviour.unknown_product import UnknownProductDetector
from detectors.brand import BrandDetector
from detectors.category import CategoryDetector
from detectors.contract.model import Column, ColumnType, Constraint, ConstraintKind, Contract, Kind
from detectors.contract.rules import ContractRules
from detectors.decode import Decoder
from detectors.duplicates.score import DUPLICATE_EXACT, DUPLICATE_NEAR, DUPLICATE_VARIANT
from detectors.price import PriceDetector
from detectors.protocol import Detector
from detectors.records import Dimension, Rule, Severity
from detectors.standardise.standardiser import Standardiser
from detectors.text import TextDetector

__all__ = ["NOTATION", "all_rules", "behavior_detectors", "product_detectors", "rules_page"]

NOTATION: Final[Mapping[str, str]] = MappingProxyType(
    {
        "boolean.notation": "A word for true or false becomes true or false",
        "currency.code": "A currency's sign or name becomes its ISO 4217 code",
        "gtin.notation": "An article number in another notation becomes its plain digits",
        "missing.empty": "An empty text becomes null: not known",
        "missing.value": "A value that the contract lists under `missing` becomes null: not known",
        "number.notation": "A number written as text becomes a number",
        "number.unit": "An amount such as `0.5 kg` becomes a number of the unit that the contract names for the column",
        "price.currency": "The currency that a price names fills the empty currency column",
        "price.currency_added": "The same where the record has no such column: it is added",
        "price.notation": "A price written as text becomes a number",
        "text.compatibility": "Characters that only look different, such as full-width forms, become the ordinary ones",
        "text.invisible": "Invisible characters are left out",
        "text.white_space": "White space is trimmed and becomes single spaces",
        "time.notation": "A time in any notation becomes ISO 8601",
    }
)
"""Rules that corrections alone name: the value said the same before, in another notation. No finding comes of them."""


def product_detectors(contract: Contract, scorer: AnomalyScorer | None = None) -> list[Detector]:
    """The detectors of a topic of products, in the order in which they run.

    Some keep state: make one list for each topic. scorer: the anomaly classifier, where there is one.
    """
    detectors: list[Detector] = [
        ContractRules(contract),
        PriceDetector(),
        CategoryDetector(),
        BrandDetector(),
        TextDetector(),
    ]
    if scorer is not None:
        detectors.append(AnomalyDetector(scorer))
    return detectors


def behavior_detectors(contract: Contract) -> list[Detector]:
    """The detectors of a topic of behaviour events, in the order in which they run; stateful too."""
    return [
        ContractRules(contract),
        RepeatDetector(),
        UnknownProductDetector(),
        CataloguePriceDetector(),
        TimeDetector(),
    ]


def all_rules() -> list[Rule]:
    """Every rule that a finding about one record can name, by name."""
    contract = _with_every_constraint()
    rules: list[Rule] = [*Decoder(contract).rules, *Standardiser(contract).rules]
    rules += [*ANOMALY_RULES.values(), DUPLICATE_EXACT, DUPLICATE_NEAR, DUPLICATE_VARIANT]
    for detector in (*product_detectors(contract), *behavior_detectors(contract)):
        rules.extend(detector.rules)
    return sorted({rule.name: rule for rule in rules}.values(), key=lambda rule: rule.name)


def rules_page(rules: Iterable[Rule]) -> str:
    """The rules and the notations as a page of Markdown, ending in a newline."""
    lines = [
        "# Rules",
        "",
        "What a finding can name; the corrections and suggestions that come of it name the same. Dimension and",
        "severity of the rules `contract.*` are those of the contract.",
        "",
        "| rule | dimension | severity | what it says |",
        "|---|---|---|---|",
    ]
    for rule in rules:
        of_contract = rule.name.startswith("contract.") and rule.name.partition(".")[2] in set(ConstraintKind)
        dimension, severity = ("", "") if of_contract else (rule.dimension.value, rule.severity.value)
        description = rule.description.rstrip(".").replace("|", "\\|")
        lines.append(f"| `{rule.name}` | {dimension} | {severity} | {description} |")
    lines += [
        "",
        "## Notation",
        "",
        "What a correction can name beside those: the value said the same before, in another notation. There is no",
        "finding, and `auto_apply` has nothing to say: these corrections are always made.",
        "",
        "| rule | what it does |",
        "|---|---|",
    ]
    lines += [f"| `{name}` | {text} |" for name, text in NOTATION.items()]
    return "\n".join(lines) + "\n"


def _with_every_constraint() -> Contract:
    arguments: dict[ConstraintKind, dict[str, object]] = {
        ConstraintKind.PATTERN: {"pattern": ".*"},
        ConstraintKind.ENUM: {"values": ("any",)},
    }
    columns = tuple(
        Column(
            kind.value,
            ColumnType.STRING,
            constraints=(Constraint(kind, Dimension.CONFORMITY, Severity.ERROR, arguments.get(kind, {})),),
        )
        for kind in ConstraintKind
    )
    return Contract("any", "1", "any", Kind.PRODUCTS, columns, frozenset(column.name for column in columns))
