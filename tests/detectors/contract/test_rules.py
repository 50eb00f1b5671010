from __future__ import annotations

import pickle
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.contract.load import parse_contract
from detectors.contract.model import Contract
from detectors.contract.rules import ContractRules
from detectors.protocol import Detector
from detectors.records import Batch, Dimension, Finding, Record, Severity, StoredRecord, Suggestion

_HEAD = """\
apiVersion: v3.1.0
kind: DataContract
id: shop
version: 1.0.0
schema:
  - name: goods
    properties:
      - {name: sku, customProperties: [{property: role, value: id}]}
      - {name: name, customProperties: [{property: role, value: title}]}
"""


@cache
def contract_of(column: str) -> Contract:
    return parse_contract(_HEAD + f"      - {{name: x, {column}}}\n", "test")


def batch_of(contract: Contract, values: Sequence[Any], column: str = "x") -> Batch:
    records = [
        Record(StoredRecord("goods", 0, i, 0, None, b"{}"), f"goods/{i}", {column: v}, {column: v}, 0)
        for i, v in enumerate(values)
    ]
    return Batch(contract, records)


def broken(column: str, values: Sequence[Any]) -> list[tuple[int, str, Any]]:
    contract = contract_of(column)
    findings = ContractRules(contract).detect(batch_of(contract, values))
    return [(f.row, f.rule.name, f.observed) for f in findings]


def rows(column: str, values: Sequence[Any]) -> list[int]:
    return [row for row, _, _ in broken(column, values)]


def test_required() -> None:
    assert broken("required: true", ["a", None, "", 0, False]) == [
        (1, "contract.required", None),
        (2, "contract.required", ""),
    ]


@pytest.mark.parametrize(
    ("kind", "right", "wrong"),
    [
        ("string", ["a", 7, 1.5, None], [True, [], {}]),
        ("number", [1, 1.5, "1.5", "-2e3", None], ["abc", True, [1], "1,5"]),
        ("integer", [1, "12", 3.0, None], [1.5, "1.5", "x", False]),
        ("boolean", [True, "false", None], [1, "yes please"]),
        ("timestamp", ["2019-10-01T00:00:00Z", "2019-10-01", None], ["yesterday", 7, "2019-13-01"]),
        ("date", ["2019-10-01", None], ["2019-02-30", []]),
        ("time", ["12:30:00", None], ["25:00", 3]),
        ("object", [{}, None], [[], "x"]),
        ("array", [[], None], [{}, "x"]),
    ],
)
def test_types(kind: str, right: list[Any], wrong: list[Any]) -> None:
    assert rows(f"logicalType: {kind}", right) == []
    assert rows(f"logicalType: {kind}", right + wrong) == list(range(len(right), len(right) + len(wrong)))


@pytest.mark.parametrize(
    ("options", "right", "wrong"),
    [
        ("minimum: 0, maximum: 10", [0, 10, 5.5, "7", None], [-1, 10.1, "11", "-3"]),
        ("exclusiveMinimum: 0, exclusiveMaximum: 10", [0.1, 9.9], [0, 10]),
    ],
)
def test_ranges_of_numbers(options: str, right: list[Any], wrong: list[Any]) -> None:
    column = f"logicalType: number, logicalTypeOptions: {{{options}}}"
    assert rows(column, right) == []
    assert rows(column, right + wrong) == list(range(len(right), len(right) + len(wrong)))


def test_ranges_of_times() -> None:
    column = 'logicalType: timestamp, logicalTypeOptions: {minimum: "2020-01-01", exclusiveMaximum: "2021-01-01"}'
    values = ["2020-01-01T00:00:00Z", "2020-06-01", "2020-12-31T23:30:00-01:00", "2019-12-31T23:59:59Z", None]
    assert rows(column, values) == [2, 3]
    assert rows('logicalType: time, logicalTypeOptions: {minimum: "08:00:00"}', ["08:00", "07:59:59"]) == [1]


def test_lengths_patterns_and_lists() -> None:
    assert rows("logicalType: string, logicalTypeOptions: {minLength: 2, maxLength: 3}", ["ab", "a", "abcd", None]) == [
        1,
        2,
    ]
    assert rows("logicalType: string, logicalTypeOptions: {pattern: '[0-9]{3}'}", ["123", 123, 12, "1234", None]) == [
        2,
        3,
    ]
    assert rows("enum: [{value: view}, {value: 1}]", ["view", 1, "1", None, "VIEW", [], {}]) == [4, 5, 6]


def test_a_listed_value_in_another_case_is_suggested() -> None:
    contract = contract_of("enum: [{value: view}, {value: cart}]")
    first, second = ContractRules(contract).detect(batch_of(contract, [" View", "viewed"]))
    assert (first.suggestion, first.confidence) == (Suggestion("view"), 0.97)
    assert (second.suggestion, second.confidence) == (None, 1.0)
    assert second.evidence.reason == "The field 'x' is 'viewed', which is none of view, cart."


def test_unique_remembers_between_batches() -> None:
    contract = contract_of("unique: true")
    rules = ContractRules(contract)
    assert rules.detect(batch_of(contract, ["a", "b", None, None])) == []
    (finding,) = rules.detect(batch_of(contract, ["c", "b", "a"]))
    assert (finding.row, finding.observed) == (2, "a")
    assert finding.evidence.reason == "'a' must be unique in 'x'; goods/0 has it too."


def test_the_same_record_again_is_no_repeat() -> None:
    contract = contract_of("unique: true")
    rules = ContractRules(contract)
    batch = batch_of(contract, ["a", "b"])
    assert rules.detect(batch) == []
    assert rules.detect(batch) == []


def test_unique_keeps_no_long_values() -> None:
    contract = contract_of("unique: true")
    rules = ContractRules(contract)
    long = ["一" * 100_000 + end for end in "aba"]
    values = [*long, "\ud800", "5", 5, 5.0, [long[0]], [long[0]]]
    assert [f.row for f in rules.detect(batch_of(contract, values))] == [2, 6, 8]
    assert len(pickle.dumps(rules)) < 5_000


def test_unique_tells_long_identities_apart() -> None:
    contract = contract_of("unique: true")
    (one,) = batch_of(contract, ["a"]).records
    records = [replace(one, identity="s/" + "x" * 900 + end) for end in "aab"]
    (finding,) = ContractRules(contract).detect(Batch(contract, records))
    assert finding.row == 2
    assert len(finding.evidence.reason) < 150


def test_memory_of_unique_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("detectors.contract.rules._REMEMBERED", 3)
    contract = contract_of("unique: true")
    rules = ContractRules(contract)
    rules.detect(batch_of(contract, list("abcdef")))
    assert [f.observed for f in rules.detect(batch_of(contract, list("xfa")))] == ["f"]


def test_rules_carry_what_the_contract_says() -> None:
    contract = contract_of("quality: [{metric: nullValues, mustBe: 0, severity: critical, dimension: timeliness}]")
    rules = ContractRules(contract)
    assert isinstance(rules, Detector)
    (rule,) = rules.rules
    assert (rule.name, rule.dimension, rule.severity) == ("contract.required", Dimension.TIMELINESS, Severity.CRITICAL)
    (finding,) = rules.detect(batch_of(contract, [None]))
    assert finding.rule == rule


def test_price_and_time_types_are_left_to_standardising() -> None:
    contract = contract_of("logicalType: number, customProperties: [{property: role, value: price}]")
    assert ContractRules(contract).detect(batch_of(contract, ["on request"])) == []


def test_findings_come_by_row_and_rules_pickle() -> None:
    contract = contract_of("required: true, logicalType: integer, logicalTypeOptions: {minimum: 5}")
    rules: ContractRules = pickle.loads(pickle.dumps(ContractRules(contract)))
    findings: list[Finding] = rules.detect(batch_of(contract, [1, None, "x", 4]))
    assert [(f.row, f.rule.name) for f in findings] == [
        (0, "contract.range"),
        (1, "contract.required"),
        (2, "contract.type"),
        (3, "contract.range"),
    ]
    assert rules.detect(batch_of(contract, [])) == []


_VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-20, 20),
    st.floats(-20, 20),
    st.sampled_from(["", "view", "VIEW", "5", "5.5", "2020-05-01", "2020-05-01T00:00:00Z", "12:00"]),
    st.text(max_size=5),
    st.lists(st.integers(), max_size=2),
)
_ALL = (
    "required: true, logicalType: {kind}, logicalTypeOptions: {options}, enum: [{{value: view}}, {{value: 5}}], "
    "quality: [{{metric: invalidValues, arguments: {{pattern: '[a-z0-9]+'}}, mustBe: 0}}]"
)


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("string", "{minLength: 1, maxLength: 3}"),
        ("number", "{minimum: 0, maximum: 10}"),
        ("integer", "{exclusiveMinimum: 0}"),
        ("timestamp", "{minimum: '2020-06-01'}"),
        ("boolean", "{}"),
    ],
)
@given(values=st.lists(_VALUES, max_size=8))
def test_a_batch_finds_what_single_records_find(kind: str, options: str, values: list[Any]) -> None:
    contract = contract_of(_ALL.format(kind=kind, options=options))
    rules = ContractRules(contract)
    together = [(f.row, f.rule.name) for f in rules.detect(batch_of(contract, values))]
    alone = [
        (row, finding.rule.name)
        for row, value in enumerate(values)
        for finding in rules.detect(batch_of(contract, [value]))
    ]
    assert together == alone


def test_names_and_patterns_may_hold_braces() -> None:
    contract = parse_contract(
        _HEAD + "      - {name: '{0}', logicalType: string, logicalTypeOptions: {pattern: '[a-z]{2,3}'}}\n", "test"
    )
    (finding,) = ContractRules(contract).detect(batch_of(contract, ["{1}"], "{0}"))
    assert finding.evidence.reason == "The field '{0}' is '{1}', which does not match [a-z]{2,3}."
