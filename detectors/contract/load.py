"""Contracts out of Open Data Contract Standard YAML (v3)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from importlib import resources
from pathlib import Path
from typing import Any

from open_data_contract_standard.model import (
    DataQuality,
    OpenDataContractStandard,
    SchemaObject,
    SchemaProperty,
    Team,
)

from detectors.contract.check import check_contract, plain_contract
from detectors.contract.model import (
    Column,
    ColumnType,
    Constraint,
    ConstraintKind,
    Contract,
    Feed,
    Kind,
    Role,
    Survivorship,
)
from detectors.contract.problems import ContractError, Problem
from detectors.contract.terms import DIMENSIONS, SEVERITIES, infer_kind
from detectors.records import Dimension, Severity

__all__ = ["ContractError", "Problem", "check_contract", "load_contract", "parse_contract", "sample_contract"]

_TYPES: Mapping[str, ColumnType] = {t.value: t for t in ColumnType} | {
    "map": ColumnType.OBJECT,
    "vector": ColumnType.ARRAY,
}

# Where the contract does not say: which dimension a constraint watches and how bad breaking it is.
_DEFAULTS: Mapping[ConstraintKind, tuple[Dimension, Severity]] = {
    ConstraintKind.REQUIRED: (Dimension.COMPLETENESS, Severity.ERROR),
    ConstraintKind.TYPE: (Dimension.CONFORMITY, Severity.ERROR),
    ConstraintKind.UNIQUE: (Dimension.UNIQUENESS, Severity.ERROR),
    ConstraintKind.RANGE: (Dimension.ACCURACY, Severity.ERROR),
    ConstraintKind.LENGTH: (Dimension.CONFORMITY, Severity.WARNING),
    ConstraintKind.PATTERN: (Dimension.CONFORMITY, Severity.WARNING),
    ConstraintKind.ENUM: (Dimension.CONFORMITY, Severity.ERROR),
}

_RANGE_KEYS = {
    "minimum": "minimum",
    "maximum": "maximum",
    "exclusiveMinimum": "exclusive_minimum",
    "exclusiveMaximum": "exclusive_maximum",
}
_LENGTH_KEYS = {"minLength": "minimum", "maxLength": "maximum"}
_VALUE_RULES = (
    ConstraintKind.TYPE,
    ConstraintKind.RANGE,
    ConstraintKind.LENGTH,
    ConstraintKind.PATTERN,
    ConstraintKind.ENUM,
)


def load_contract(path: Path, schema_name: str | None = None) -> Contract:
    """The contract in a file.

    schema_name: which of its schemas, where it has several. Raises: ContractError with everything that is wrong.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        problem = Problem(1, "", f"The file cannot be read: {error.strerror}.", "Check the path and its permissions.")
        raise ContractError(str(path), [problem]) from error
    except UnicodeDecodeError as error:
        problem = Problem(
            1, "", "The file cannot be read: it is not UTF-8.", "Is it a contract? Convert it first, as with iconv."
        )
        raise ContractError(str(path), [problem]) from error
    return parse_contract(text, str(path), schema_name)


def parse_contract(text: str, name: str, schema_name: str | None = None) -> Contract:
    """The contract in a text. name: how errors call it. Raises: ContractError with everything that is wrong."""
    document = OpenDataContractStandard(**plain_contract(text, name))
    schemas = document.schema_ or []
    if schema_name is not None:
        schemas = [s for s in schemas if s.name == schema_name]
    if len(schemas) != 1:
        names = ", ".join(str(s.name) for s in document.schema_ or [])
        wrong = f"no schema {schema_name!r} in it" if not schemas else "it has several schemas"
        raise ContractError(name, [Problem(1, "schema", f"There is {wrong}.", f"Name one of: {names}.")])
    return _contract(document, schemas[0])


def sample_contract(kind: Kind) -> Contract:
    """The contract of the simulated marketplace's topic of this kind, which ships with the program."""
    file = resources.files("detectors.contract.samples") / f"{kind.value}.yaml"
    return parse_contract(file.read_text(encoding="utf-8"), f"{kind.value}.yaml")


def _contract(document: OpenDataContractStandard, schema: SchemaObject) -> Contract:
    custom = _custom(schema)
    properties = [p for p in schema.properties or [] if p.name]
    columns = tuple(_column(p) for p in properties)
    roles = {column.role for column in columns if column.role is not None}
    kind = Kind(custom["kind"]) if "kind" in custom else infer_kind(roles)
    assert kind is not None  # the check refused the contract otherwise
    if "key" in custom:
        key = str(custom["key"])
    elif kind is Kind.PRODUCTS:
        key = "{id}"
    else:
        key = "{user}" if Role.USER in roles else "{product}"
    return Contract(
        name=document.name or document.id or schema.name or "",
        version=document.version or "",
        topic=schema.physicalName or schema.name or "",
        kind=kind,
        columns=tuple(column for column in columns if column.role is not None or column.constraints),
        known_columns=frozenset(column.name for column in columns),
        owner=_owner(document),
        feed=Feed(custom.get("feed", Feed.MARKETPLACE)),
        key=key,
        source=custom.get("source"),
        timezone=custom.get("timezone", "UTC"),
        trust=tuple(custom.get("trust", ())),
    )


def _custom(element: SchemaObject | SchemaProperty) -> dict[str, Any]:
    return {item.property: item.value for item in element.customProperties or () if item.property is not None}


def _owner(document: OpenDataContractStandard) -> str | None:
    team = document.team
    members = (team.members or []) if isinstance(team, Team) else (team or [])
    owner = next((m for m in members if (m.role or "").lower() == "owner"), None)
    if owner is not None and (owner.username or owner.name):
        return owner.username or owner.name
    if isinstance(team, Team) and team.name:
        return team.name
    return next((m.username or m.name for m in members), None)


def _column(column: SchemaProperty) -> Column:
    custom = _custom(column)
    missing = custom.get("missing", [])
    missing = list(missing) if isinstance(missing, list) else [missing]
    for rule in column.quality or ():
        if rule.metric == "missingValues":
            missing += [v for v in (rule.arguments or {}).get("missingValues", ()) if v not in (None, "")]
    return Column(
        name=column.name or "",
        type=None if column.logicalType is None else _TYPES[column.logicalType],
        role=Role(custom["role"]) if "role" in custom else None,
        constraints=tuple(_constraints(column)),
        missing=frozenset(str(value) for value in missing),
        survivorship=Survivorship(custom["survivorship"]) if "survivorship" in custom else None,
        unit=custom.get("unit"),
    )


def _constraints(column: SchemaProperty) -> Iterator[Constraint]:
    """The demands on one column: its own keys, and the quality rules that say the same per record."""
    demands: dict[ConstraintKind, dict[str, Any]] = {}
    if column.required:
        demands[ConstraintKind.REQUIRED] = {}
    if column.logicalType is not None:
        demands[ConstraintKind.TYPE] = {}
    if column.unique or column.primaryKey:
        demands[ConstraintKind.UNIQUE] = {}
    demands |= _value_demands(column.logicalTypeOptions or {})
    if column.enum:
        demands[ConstraintKind.ENUM] = {"values": tuple(item.value for item in column.enum)}

    said: dict[ConstraintKind, DataQuality] = {}
    for rule in column.quality or ():
        if not _forbids_every_case(rule):
            continue
        match rule.metric:
            case "nullValues" | "missingValues":
                demands.setdefault(ConstraintKind.REQUIRED, {})
                said[ConstraintKind.REQUIRED] = rule
            case "duplicateValues":
                demands.setdefault(ConstraintKind.UNIQUE, {})
                said[ConstraintKind.UNIQUE] = rule
            case "invalidValues":
                own = _value_demands(rule.arguments or {})
                demands |= own
                # Without arguments it speaks of every demand on the value that the column has.
                said |= dict.fromkeys(own or [kind for kind in _VALUE_RULES if kind in demands], rule)

    for kind in ConstraintKind:
        if kind in demands:
            dimension, severity = _DEFAULTS[kind]
            if (rule_said := said.get(kind)) is not None:
                dimension = DIMENSIONS.get(rule_said.dimension or "", dimension)
                severity = SEVERITIES.get((rule_said.severity or "").lower(), severity)
            yield Constraint(kind, dimension, severity, demands[kind])


def _forbids_every_case(rule: DataQuality) -> bool:
    """Whether a rule holds for each record alone: none may break it. Shares and counts are not a record's matter."""
    return rule.mustBe == 0 or rule.mustBeLessOrEqualTo == 0 or (rule.mustBeLessThan == 1 and rule.unit != "percent")


def _value_demands(options: Mapping[str, Any]) -> dict[ConstraintKind, dict[str, Any]]:
    demands: dict[ConstraintKind, dict[str, Any]] = {}
    if limits := {ours: options[theirs] for theirs, ours in _RANGE_KEYS.items() if options.get(theirs) is not None}:
        demands[ConstraintKind.RANGE] = limits
    if lengths := {ours: options[theirs] for theirs, ours in _LENGTH_KEYS.items() if options.get(theirs) is not None}:
        demands[ConstraintKind.LENGTH] = lengths
    if isinstance(pattern := options.get("pattern"), str):
        re.compile(pattern)
        demands[ConstraintKind.PATTERN] = {"pattern": pattern}
    if isinstance(values := options.get("validValues"), list):
        demands[ConstraintKind.ENUM] = {"values": tuple(values)}
    return demands
