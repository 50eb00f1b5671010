"""What is wrong with a contract: where, why, and what would be right."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime
from functools import cache
from importlib import resources
from types import UnionType
from typing import Any, Union, get_args, get_origin
from zoneinfo import available_timezones

import jsonschema
from open_data_contract_standard.model import OpenDataContractStandard
from pydantic import BaseModel
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from detectors.contract.key import KeyTemplate
from detectors.contract.model import Feed, Kind, Role, Survivorship
from detectors.contract.problems import ContractError, Problem, did_you_mean
from detectors.contract.terms import (
    BEHAVIOUR_ROLES,
    KEY_PLACEHOLDERS,
    NEEDED_ROLES,
    PRODUCT_ROLES,
    SEVERITIES,
    SURVIVING_ROLES,
    custom_properties,
    infer_kind,
)
from detectors.standardise.units import is_unit

__all__ = ["check_contract", "contract_advice", "plain_contract"]

_Path = tuple[str | int, ...]

_COLUMN_PROPERTIES = ("role", "missing", "survivorship", "unit")
_SCHEMA_PROPERTIES = ("feed", "key", "source", "kind", "timezone", "trust")
_RANGES = [(low, high) for low in ("minimum", "exclusiveMinimum") for high in ("maximum", "exclusiveMaximum")]
_RANGES.append(("minLength", "maxLength"))
_OPERATORS = (
    "mustBe, mustNotBe, mustBeGreaterThan, mustBeGreaterOrEqualTo, mustBeLessThan, mustBeLessOrEqualTo, "
    "mustBeBetween, mustNotBeBetween"
)


def check_contract(text: str) -> list[Problem]:
    """Everything that is wrong with a contract, by line; empty where nothing is.

    text: Open Data Contract Standard, v3, YAML.
    """
    return _read(text)[1]


def contract_advice(text: str) -> list[Problem]:
    """What can be used and is hardly meant so, by line; empty where nothing is, or where the contract is not sound."""
    _, problems, advice = _read(text)
    return [] if problems else advice


def plain_contract(text: str, name: str) -> dict[str, Any]:
    """A contract's YAML as plain data, after checking. Raises ContractError with every problem."""
    data, problems, _ = _read(text)
    if problems:
        raise ContractError(name, problems)
    return data


def _read(text: str) -> tuple[dict[str, Any], list[Problem], list[Problem]]:
    """The contract, what is wrong with it, and advice."""
    if (delimiter := _delimiter(text)) is not None:
        return {}, [
            Problem(
                1, "", f"This looks like CSV (fields between {delimiter!r}), not like a contract in YAML.",
                "`streamgauge contract draft --data FILE` proposes a contract for such data.",
            )
        ], []  # fmt: skip
    try:
        document = YAML(typ="rt").load(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        what = (error.problem or error.context or "unreadable").splitlines()[0]
        return {}, [Problem(1 if mark is None else mark.line + 1, "", f"This is not YAML: {what}.")], []
    except (YAMLError, ValueError, RecursionError) as error:
        return {}, [Problem(1, "", f"This is not YAML: {str(error).splitlines()[0]}.")], []
    if not isinstance(document, CommentedMap):
        return {}, [Problem(1, "", "This is not a contract.", "Start with `apiVersion: v3.1.0`.")], []
    data: dict[str, Any] = _plain(document)
    check = _Check(document, data)
    check.run()
    return data, check.sorted(), check.advice


def _delimiter(text: str) -> str | None:
    """What is between the fields, where the first lines are those of a table: equally many, and no YAML mapping."""
    lines = [line for line in text[:20_000].splitlines() if line.strip()][:5]
    if not lines or re.match(r"\s*(#|---|%|[\[{])|[^,;\t]*:(\s|$)", lines[0]):
        return None
    for delimiter in ("\t", ";", ",", "|"):
        try:
            widths = {len(fields) for fields in csv.reader(lines, delimiter=delimiter, strict=True)}
        except csv.Error:
            continue
        if len(widths) == 1 and widths.pop() > 1:
            return delimiter
    return None


def _plain(node: Any) -> Any:
    """ruamel's nodes, which know their lines, as the plain data that a JSON schema describes."""
    match node:
        case Mapping():
            return {str(key): _plain(value) for key, value in node.items()}
        case str():
            return str(node)
        case Sequence():
            return [_plain(value) for value in node]
        case bool():
            return node
        case float():
            return float(node)
        case int():
            return int(node)
        case date() | datetime():
            return node.isoformat()
    return node


@cache
def _validator() -> jsonschema.Draft201909Validator:
    published = resources.files("open_data_contract_standard") / "schema.json"
    schema = json.loads(published.read_text(encoding="utf-8"))
    # The published conditions on logicalType also hold where there is none, and then ask for what belongs to a map.
    for condition in schema["$defs"]["SchemaBaseProperty"]["allOf"]:
        if "if" in condition:
            condition["if"]["required"] = [] if "anyOf" in condition["if"] else ["logicalType"]
            for choice in condition["if"].get("anyOf", ()):
                choice["required"] = ["logicalType"]
    return jsonschema.Draft201909Validator(schema)


@cache
def _keys(model: type[BaseModel]) -> Mapping[str, Any]:
    """The keys that an object of the standard can have, each with its annotation."""
    return {field.alias or name: field.annotation for name, field in model.model_fields.items()}


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    elif get_origin(annotation) in (Union, UnionType, list):
        for argument in get_args(annotation):
            yield from _models(argument)


class _Check:
    def __init__(self, document: CommentedMap, data: dict[str, Any]) -> None:
        self._document = document
        self._data = data
        self._problems: list[Problem] = []
        self.advice: list[Problem] = []
        self._unknown: set[_Path] = set()
        self._roles_given = 0

    def sorted(self) -> list[Problem]:
        return sorted(dict.fromkeys(self._problems), key=lambda p: (p.line, p.path))

    def run(self) -> None:
        self._misspelt(self._data, OpenDataContractStandard, ())
        self._standard()
        if str(self._data.get("apiVersion", "")).startswith("v2"):
            self._add(("apiVersion",), "contracts of version 2 of the standard cannot be read.", "Write `v3.1.0`.")
        schemas = self._data.get("schema")
        if not schemas:
            self._add(("schema",), "the contract has no schema.", "List the topic and its columns under `schema`.")
        for index, schema in enumerate(schemas if isinstance(schemas, list) else []):
            if isinstance(schema, dict):
                self._schema(schema, ("schema", index))

    # where

    def _add(self, path: _Path, message: str, suggestion: str | None = None) -> None:
        self._problems.append(Problem(self._line(path), self._named(path), message, suggestion))

    def _line(self, path: _Path) -> int:
        node: Any = self._document
        line = 0
        for step in path:
            try:
                if isinstance(node, CommentedMap) and step in node:
                    line = node.lc.key(step)[0]
                elif isinstance(node, CommentedSeq) and isinstance(step, int):
                    line = node.lc.item(step)[0]
                else:
                    break
                node = node[step]
            except (KeyError, IndexError, TypeError, AttributeError):
                break
        return int(line) + 1

    def _named(self, path: _Path) -> str:
        node: Any = self._data
        text = ""
        for step in path:
            inside = step in node if isinstance(node, dict) else isinstance(node, list)
            node = node[step] if inside else None
            if isinstance(step, int):
                name = (node.get("name") or node.get("property")) if isinstance(node, dict) else None
                text += f"[{name if isinstance(name, str) else step}]"
            else:
                text += f".{step}" if text else step
        return text

    # the standard

    def _misspelt(self, node: Any, model: type[BaseModel], path: _Path) -> None:
        if isinstance(node, list):
            for index, item in enumerate(node):
                self._misspelt(item, model, (*path, index))
        if not isinstance(node, dict):
            return
        keys = _keys(model)
        for key, value in node.items():
            if key not in keys:
                self._unknown_key((*path, key), keys)
                continue
            if (below := next(_models(keys[key]), None)) is not None:
                self._misspelt(value, below, (*path, key))

    def _unknown_key(self, path: _Path, known: Mapping[str, Any]) -> None:
        if path not in self._unknown:
            self._unknown.add(path)
            suggestion = did_you_mean(path[-1], known) or f"Known here: {', '.join(sorted(known))}."
            self._add(path, f"`{path[-1]}` is not a key of the standard here.", suggestion)

    def _standard(self) -> None:
        for error in _validator().iter_errors(self._data):
            self._standard_error(error, ())

    def _standard_error(self, error: jsonschema.ValidationError, above: _Path) -> None:
        path = (*above, *error.relative_path)
        value: Any = error.instance
        wanted: Any = error.validator_value
        match error.validator:
            case "unevaluatedProperties":
                pass  # misspelt keys are found by name; this one also fires for every other fault below it
            case "additionalProperties":
                known = error.schema.get("properties", {}) if isinstance(error.schema, Mapping) else {}
                for key in value:
                    if key not in known:
                        self._unknown_key((*path, key), known)
            case "required":
                missing = error.message.split("'")[1]
                if any(p[:-1] == path for p in self._unknown if did_you_mean(p[-1], [missing])):
                    return  # it is there, misspelt
                self._add(path, f"`{missing}` is missing.", _EXAMPLES.get(missing))
            case "enum":
                allowed = [str(v) for v in wanted]
                known = f"Allowed: {', '.join(allowed)}."
                self._add(path, f"{value!r} is not allowed here.", did_you_mean(value, allowed) or known)
            case "type":
                self._add(path, f"{_short(value)} is not of the type {wanted}.")
            case "oneOf" if "mustBe" in json.dumps(wanted):
                self._add(path, "a quality rule needs exactly one comparison.", f"One of {_OPERATORS}.")
            case "anyOf" | "oneOf":
                best = jsonschema.exceptions.best_match(error.context)
                if best is None:
                    self._add(path, f"{_short(value)} does not fit the standard.")
                else:
                    self._standard_error(best, path)
            case _:
                self._add(path, f"{error.message[:200]}.")

    # what the columns mean

    def _schema(self, schema: dict[str, Any], path: _Path) -> None:
        custom = self._custom(schema, path, _SCHEMA_PROPERTIES)
        for name, choice in (("feed", Feed), ("kind", Kind)):
            if name in custom and custom[name][1] not in list(choice):  # a value may be anything, a list too
                value, words = custom[name][1], [c.value for c in choice]
                suggestion = did_you_mean(value, words) or f"Write {' or '.join(words)}."
                self._add(custom[name][0], f"{value!r} is not a {name}.", suggestion)
        if "source" in custom and not (isinstance(custom["source"][1], str) and custom["source"][1]):
            self._add(custom["source"][0], "the source must be a name.", "Write `{property: source, value: my-shop}`.")
        if "timezone" in custom:
            at, value = custom["timezone"]
            zones = available_timezones()
            if not isinstance(value, str) or value not in zones:
                suggestion = did_you_mean(value, zones) or "Write one such as Asia/Shanghai, Europe/Berlin or UTC."
                self._add(at, f"{value!r} is no time zone.", suggestion)
        if "trust" in custom:
            at, value = custom["trust"]
            if not (isinstance(value, list) and value and all(isinstance(v, str) and v for v in value)):
                self._add(at, "`trust` must list sources.", "Write `value: [my-shop, marketplace]`, the best first.")
            elif len(set(value)) < len(value):
                self._add(at, "`trust` lists a source twice.", "Keep it where it belongs.")

        columns = schema.get("properties")
        if not isinstance(columns, list) or not columns:
            self._add(path, "the schema has no columns.", "List them under `properties`.")
            return
        roles: dict[Role, _Path] = {}
        names: set[str] = set()
        self._roles_given = 0
        for index, column in enumerate(columns):
            if isinstance(column, dict):
                at = (*path, "properties", index)
                if isinstance(column_name := column.get("name"), str):
                    if column_name in names:
                        self._add(at, f"there are two columns {column_name!r}.", "Remove one of them.")
                    names.add(column_name)
                self._column(column, at, roles)
        self._roles(roles, path, custom)

    def _custom(self, node: dict[str, Any], path: _Path, known: Sequence[str]) -> dict[str, tuple[_Path, Any]]:
        """The custom properties that we know: name -> where, value."""
        found: dict[str, tuple[_Path, Any]] = {}
        for index, name, value in custom_properties(node):
            at = (*path, "customProperties", index)
            if name in known:
                if name in found:
                    self._add(at, f"the custom property {name!r} is given twice.", "Remove one of them.")
                found[name] = ((*at, "value"), value)
            elif suggestion := did_you_mean(name, known):
                self._add(at, f"the custom property {name!r} is not known here.", suggestion)
        return found

    def _roles(self, roles: dict[Role, _Path], path: _Path, custom: dict[str, tuple[_Path, Any]]) -> None:
        misnamed = len(roles) < self._roles_given  # some role is misspelt: what is missing may be that one
        named = custom["kind"][1] if "kind" in custom else None
        kind = Kind(named) if named in set(Kind) else infer_kind(roles)
        if kind is None:
            if misnamed:
                return
            suggestion = "Give the column that names the product {property: role, value: id} under customProperties."
            self._add(path, "no column has the role id.", suggestion)
            return
        fitting = PRODUCT_ROLES if kind is Kind.PRODUCTS else BEHAVIOUR_ROLES
        for role, at in roles.items():
            if role not in fitting:
                better = {Role.ID: "event_id or product", Role.UPDATED_AT: "time", Role.TIME: "updated_at"}.get(role)
                suggestion = f"Write {better}." if better else f"Roles here: {', '.join(sorted(fitting))}."
                self._add(at, f"the role {role} does not fit a contract of {kind}.", suggestion)
        for role in NEEDED_ROLES[kind]:
            if role not in roles and not misnamed:
                suggestion = f"Give one column {{property: role, value: {role}}} under customProperties."
                self._add(path, f"no column has the role {role}, which {kind} need.", suggestion)
        if "key" in custom:
            at, template = custom["key"]
            problem = (
                KeyTemplate(template).problem(KEY_PLACEHOLDERS[kind])
                if isinstance(template, str)
                else "the key template must be a text"
            )
            if problem:
                self._add(at, f"{problem}.")
        template = custom["key"][1] if "key" in custom else "{id}"
        if kind is Kind.PRODUCTS and Role.SOURCE in roles and "{source}" not in str(template):
            at = custom["key"][0] if "key" in custom else path
            self.advice.append(
                Problem(
                    self._line(at),
                    self._named(at),
                    f"a column has the role source and the key {template!r} has no {{source}}: a deletion (a record "
                    "without value) does not tell whose product it deletes.",
                    'Key the topic by `{source}/{id}` and say so: {property: key, value: "{source}/{id}"}.',
                )
            )

    def _column(self, column: dict[str, Any], path: _Path, roles: dict[Role, _Path]) -> None:
        custom = self._custom(column, path, _COLUMN_PROPERTIES)
        if "role" in custom:
            at, value = custom["role"]
            self._roles_given += 1
            if not isinstance(value, str) or value not in set(Role):
                words = [role.value for role in Role]
                suggestion = did_you_mean(value, words) or f"Roles: {', '.join(words)}."
                self._add(at, f"{value!r} is not a role.", suggestion)
            elif value in roles:
                self._add(at, f"the role {value} is given to two columns.", "Keep it at one of them.")
            else:
                roles[Role(value)] = at
        if "missing" in custom:
            at, value = custom["missing"]
            if not all(isinstance(v, str | int | float) for v in (value if isinstance(value, list) else [value])):
                self._add(at, "`missing` must list texts or numbers.", 'Write `value: ["0.0", "N/A"]`.')
        if "survivorship" in custom:
            self._survivorship(*custom["survivorship"], custom["role"][1] if "role" in custom else None)
        if "unit" in custom:
            at, value = custom["unit"]
            if not isinstance(value, str) or not is_unit(value):
                self._add(at, f"{value!r} is not a unit.", "Write one such as g, kg, ml, 毫升, cm, inch, GB or W.")
            elif "role" in custom or column.get("logicalType") not in ("number", "integer"):
                self._add(
                    at,
                    "only a number without a role can have a unit.",
                    "Give the column `logicalType: number` and no role, or leave the unit out.",
                )
        options = column.get("logicalTypeOptions")
        if isinstance(options, dict):
            self._options(options, (*path, "logicalTypeOptions"))
            if "logicalType" not in column:
                self._add((*path, "logicalTypeOptions"), "logicalTypeOptions says nothing without a logicalType.")
        quality = column.get("quality")
        for index, rule in enumerate(quality if isinstance(quality, list) else ()):
            if isinstance(rule, dict):
                at = (*path, "quality", index)
                severity = rule.get("severity")
                if severity is not None and str(severity).lower() not in SEVERITIES:
                    suggestion = did_you_mean(severity, SEVERITIES) or "Write info, warning, error or critical."
                    self._add((*at, "severity"), f"{severity!r} is not a severity.", suggestion)
                if isinstance(arguments := rule.get("arguments"), dict):
                    self._options(arguments, (*at, "arguments"))

    def _survivorship(self, at: _Path, value: Any, role: Any) -> None:
        if value not in set(Survivorship):
            words = [policy.value for policy in Survivorship]
            self._add(at, f"{value!r} is not a policy.", did_you_mean(value, words) or f"Write {', '.join(words)}.")
        elif role in set(Role) and role not in SURVIVING_ROLES:
            suggestion = (
                "The currency comes with the price."
                if role == Role.CURRENCY
                else f"Roles that have one: {', '.join(sorted(SURVIVING_ROLES))}."
            )
            self._add(at, f"the role {role} has no policy in a golden record.", suggestion)
        elif role == Role.PRICE and value == Survivorship.LONGEST:
            self._add(at, "a price has no length.", "Write recency, trust, majority or completeness.")

    def _options(self, options: dict[str, Any], path: _Path) -> None:
        pattern = options.get("pattern")
        if isinstance(pattern, str):
            try:
                re.compile(pattern)
            except (re.error, RecursionError, OverflowError) as error:
                at = (*path, "pattern")
                self._add(at, f"the regular expression {pattern!r} does not compile: {error}.")
        for low, high in _RANGES:
            a, b = options.get(low), options.get(high)
            comparable = (isinstance(a, str) and isinstance(b, str)) or (
                isinstance(a, int | float) and isinstance(b, int | float)
            )
            strict = low == "exclusiveMinimum" or high == "exclusiveMaximum"
            if comparable and (a > b or (strict and a == b)):  # type: ignore[operator]  # both are of one kind
                self._add((*path, low), f"no value can be within {low} {a} and {high} {b}.", "Swap them?")


_EXAMPLES = {
    "apiVersion": "Add `apiVersion: v3.1.0`.",
    "kind": "Add `kind: DataContract`.",
    "id": "Add `id: my-shop-products`, a name that stays.",
    "version": "Add `version: 1.0.0`.",
    "name": "Add `name:`.",
}


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
