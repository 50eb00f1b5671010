from __future__ import annotations

import pickle
from datetime import UTC
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from detectors.contract.load import ContractError, load_contract, parse_contract, sample_contract
from detectors.contract.model import ColumnType, ConstraintKind, Feed, Kind, Role
from detectors.records import Dimension, Severity

_CONTRACTS = Path(__file__).parents[2] / "contracts"

_HEAD = """\
apiVersion: v3.1.0
kind: DataContract
id: shop
version: 2.0.0
team: {name: data, members: [{username: a@example.com}, {username: b@example.com, role: owner}]}
schema:
  - name: goods
    physicalName: shop.goods
    properties:
      - {name: sku, customProperties: [{property: role, value: id}]}
      - {name: name, customProperties: [{property: role, value: title}]}
      - {name: note}
"""


def column(text: str) -> dict[ConstraintKind, tuple[Dimension, Severity, dict[str, object]]]:
    contract = parse_contract(_HEAD + text, "test")
    found = contract.columns[-1].constraints if contract.columns[-1].name == "x" else ()
    return {c.kind: (c.dimension, c.severity, dict(c.arguments)) for c in found}


def test_the_frame_of_a_contract() -> None:
    contract = parse_contract(_HEAD, "test")
    assert (contract.name, contract.version, contract.topic) == ("shop", "2.0.0", "shop.goods")
    assert contract.kind is Kind.PRODUCTS
    assert contract.owner == "b@example.com"
    assert contract.feed is Feed.MARKETPLACE
    assert contract.key == "{id}"
    assert contract.source is None
    assert contract.known_columns == {"sku", "name", "note"}
    assert [c.name for c in contract.columns] == ["sku", "name"]  # a column without role or rule is only known
    assert contract.column_of(Role.TITLE) == "name"


def test_a_contract_names_the_zone_of_times_that_name_none() -> None:
    head = _HEAD.replace(
        "    physicalName", "    customProperties: [{property: timezone, value: Asia/Shanghai}]\n    physicalName"
    )
    assert parse_contract(head, "test").zone == ZoneInfo("Asia/Shanghai")
    assert parse_contract(_HEAD, "test").zone is UTC
    with pytest.raises(ContractError, match=r"'Asia/Shangai' is no time zone.*Asia/Shanghai"):
        parse_contract(head.replace("Shanghai", "Shangai"), "test")


def test_demands_have_a_dimension_and_a_severity() -> None:
    found = column(
        "      - {name: x, logicalType: string, required: true, unique: true,"
        " logicalTypeOptions: {minLength: 2, maxLength: 5, pattern: '[a-z]+'}, enum: [{value: ab}, {value: cd}]}\n"
    )
    assert found == {
        ConstraintKind.REQUIRED: (Dimension.COMPLETENESS, Severity.ERROR, {}),
        ConstraintKind.TYPE: (Dimension.CONFORMITY, Severity.ERROR, {}),
        ConstraintKind.UNIQUE: (Dimension.UNIQUENESS, Severity.ERROR, {}),
        ConstraintKind.LENGTH: (Dimension.CONFORMITY, Severity.WARNING, {"minimum": 2, "maximum": 5}),
        ConstraintKind.PATTERN: (Dimension.CONFORMITY, Severity.WARNING, {"pattern": "[a-z]+"}),
        ConstraintKind.ENUM: (Dimension.CONFORMITY, Severity.ERROR, {"values": ("ab", "cd")}),
    }


def test_quality_rules_say_how_bad_it_is() -> None:
    found = column("""\
      - name: x
        logicalType: number
        logicalTypeOptions: {minimum: 1, exclusiveMaximum: 9}
        quality:
          - {metric: nullValues, mustBe: 0, severity: critical, dimension: coverage}
          - {metric: duplicateValues, mustBe: 0, severity: low}
          - {metric: invalidValues, mustBe: 0, severity: warning, dimension: consistency}
""")
    assert found[ConstraintKind.REQUIRED] == (Dimension.COMPLETENESS, Severity.CRITICAL, {})
    assert found[ConstraintKind.UNIQUE] == (Dimension.UNIQUENESS, Severity.INFO, {})
    assert found[ConstraintKind.RANGE] == (
        Dimension.CONSISTENCY,
        Severity.WARNING,
        {"minimum": 1, "exclusive_maximum": 9},
    )
    assert found[ConstraintKind.TYPE][:2] == (Dimension.CONSISTENCY, Severity.WARNING)


def test_quality_rules_of_their_own() -> None:
    found = column("""\
      - name: x
        quality:
          - metric: invalidValues
            arguments: {validValues: [1, "two"], pattern: "[0-9a-z]+"}
            mustBe: 0
            dimension: accuracy
          - {metric: rowCount, mustBeGreaterThan: 5}
          - {metric: nullValues, mustBeLessThan: 5, unit: percent}
          - {type: text, description: should be nice}
          - {type: sql, query: select 1, mustBe: 0}
""")
    assert found == {
        ConstraintKind.PATTERN: (Dimension.ACCURACY, Severity.WARNING, {"pattern": "[0-9a-z]+"}),
        ConstraintKind.ENUM: (Dimension.ACCURACY, Severity.ERROR, {"values": (1, "two")}),
    }


def test_missing_values_are_kept_as_text() -> None:
    contract = parse_contract(
        _HEAD
        + """\
      - name: x
        quality:
          - {metric: missingValues, arguments: {missingValues: [null, "", "N/A"]}, mustBe: 0}
        customProperties: [{property: missing, value: [0.0, "-"]}]
""",
        "test",
    )
    assert contract.columns[-1].missing == {"0.0", "-", "N/A"}


def test_real_feeds() -> None:
    amazon = load_contract(_CONTRACTS / "amazon-google.yaml")
    assert amazon.feed is Feed.CLEAN
    assert amazon.roles[Role.PRICE].missing == {"0.0"}
    rees46 = load_contract(_CONTRACTS / "rees46.yaml")
    assert (rees46.kind, rees46.source, rees46.key) == (Kind.BEHAVIORS, "rees46", "{user}")
    tmall = load_contract(_CONTRACTS / "tmall.yaml")
    assert tmall.column_of(Role.SOURCE) == "店名"
    assert tmall.roles[Role.UPDATED_AT].type is ColumnType.TIMESTAMP


@pytest.mark.parametrize("kind", list(Kind))
def test_samples(kind: Kind) -> None:
    contract = sample_contract(kind)
    assert contract.kind is kind
    assert contract.topic == kind.value
    assert pickle.loads(pickle.dumps(contract)) == contract


def test_two_schemas_need_a_choice() -> None:
    other = _HEAD.split("schema:\n")[1].replace("goods", "others")
    with pytest.raises(ContractError, match="several schemas"):
        parse_contract(_HEAD + other, "test")
    assert parse_contract(_HEAD + other, "test", "others").topic == "shop.others"
    with pytest.raises(ContractError, match="no schema 'third'"):
        parse_contract(_HEAD, "test", "third")


def test_errors_carry_every_problem(tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    with pytest.raises(ContractError, match=r"cannot be read: No such file or directory\. Check the path"):
        load_contract(file)
    file.write_bytes("apiVersion: 标题".encode("gbk"))
    with pytest.raises(ContractError, match=r"not UTF-8\. Is it a contract"):
        load_contract(file)
    file.write_text(_HEAD.replace("value: title", "value: titel").replace("kind: DataContract", "kind: Contract"))
    with pytest.raises(ContractError) as caught:
        load_contract(file)
    assert len(caught.value.problems) == 2
    assert pickle.loads(pickle.dumps(caught.value)).problems == caught.value.problems
