from __future__ import annotations

from importlib import resources
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.contract.check import check_contract
from detectors.contract.problems import ContractError, Problem, did_you_mean

SOUND = """\
apiVersion: v3.1.0
kind: DataContract
id: shop
version: 1.0.0
schema:
  - name: products
    customProperties:
      - {property: feed, value: clean}
      - {property: key, value: "{source}/{id}"}
    properties:
      - name: sku
        logicalType: string
        required: true
        customProperties: [{property: role, value: id}]
      - name: name
        customProperties: [{property: role, value: title}]
      - name: cost
        logicalType: number
        logicalTypeOptions: {minimum: 0, maximum: 10}
        quality:
          - {metric: invalidValues, mustBe: 0, severity: error, dimension: accuracy}
        customProperties: [{property: role, value: price}]
"""


def problems(old: str, new: str) -> list[tuple[int, str, str | None]]:
    assert old in SOUND
    return [(p.line, p.message, p.suggestion) for p in check_contract(SOUND.replace(old, new, 1))]


def test_a_sound_contract_has_no_problems() -> None:
    assert check_contract(SOUND) == []


@pytest.mark.parametrize("kind", ["products", "behaviors"])
def test_the_samples_are_sound(kind: str) -> None:
    file = resources.files("detectors.contract.samples") / f"{kind}.yaml"
    assert check_contract(file.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize("file", sorted((Path(__file__).parents[2] / "contracts").glob("*.yaml")), ids=lambda f: f.stem)
def test_the_contracts_of_the_tests_are_sound(file: Path) -> None:
    assert check_contract(file.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    ("old", "new", "line", "message", "suggestion"),
    [
        ("logicalType: string", "logicaltype: string", 12, "`logicaltype` is not a key", "Did you mean `logicalType`?"),
        ("logicalType: string", "logicalType: strin", 12, "'strin' is not allowed here", "Did you mean `string`?"),
        ("required: true", 'required: "yes"', 13, "'yes' is not of the type boolean", None),
        ("version: 1.0.0", "verzion: 1.0.0", 4, "`verzion` is not a key", "Did you mean `version`?"),
        ("id: shop\n", "", 1, "`id` is missing", "Add `id: my-shop-products`, a name that stays."),
        ("apiVersion: v3.1.0", "apiVersion: v2.2.2", 1, "contracts of version 2", "Write `v3.1.0`."),
        ("value: clean", "value: cleen", 8, "'cleen' is not a feed", "Did you mean `clean`?"),
        ("property: feed", "property: fed", 8, "the custom property 'fed' is not known", "Did you mean `feed`?"),
        ("{source}/{id}", "{source}/{sku}", 9, "unknown placeholder {sku}: use {id} and {source}", None),
        ("{source}/{id}", "{source}{id}", 9, "needs a character between", None),
        ("{source}/{id}", "fixed", 9, "names no placeholder", None),
        ("value: title", "value: titel", 16, "'titel' is not a role", "Did you mean `title`?"),
        ("value: price", "value: id", 22, "the role id is given to two columns", "Keep it at one of them."),
        ("value: price", "value: user", 14, "the role id does not fit a contract of behaviors", None),
        ("minimum: 0, maximum: 10", "minimum: 10, maximum: 0", 19, "no value can be within", "Swap them?"),
        ("minimum: 0, maximum: 10", "exclusiveMinimum: 1, maximum: 1", 19, "no value can be within", "Swap them?"),
        ("minimum: 0, maximum: 10", "minimun: 0", 19, "`minimun` is not a key", "Did you mean `minimum`?"),
        ("mustBe: 0, ", "", 21, "exactly one comparison", None),
        ("metric: invalidValues", "metric: invalidvalues", 21, "is not allowed here", "Did you mean `invalidValues`?"),
        ("severity: error", "severity: erorr", 21, "'erorr' is not a severity", "Did you mean `error`?"),
        ("dimension: accuracy", "dimension: acuracy", 21, "'acuracy' is not allowed", "Did you mean `accuracy`?"),
        (
            "value: title}",
            "value: title}, {property: survivorship, value: longes}",
            16,
            "'longes' is not a policy",
            "Did you mean `longest`?",
        ),
        ("value: price}", "value: price}, {property: survivorship, value: longest}", 22, "a price has no length", None),
        ("value: id}", "value: id}, {property: survivorship, value: trust}", 14, "the role id has no policy", None),
        (
            "value: price}",
            "value: price}, {property: unit, value: g}",
            22,
            "only a number without a role can have a unit",
            None,
        ),
        ("property: role, value: price", "property: unit, value: gramme", 22, "'gramme' is not a unit", None),
        ("property: feed, value: clean", "property: trust, value: own", 8, "`trust` must list sources", None),
        ("property: feed, value: clean", "property: trust, value: [a, a]", 8, "`trust` lists a source twice", None),
        ("name: cost", "name: sku", 17, "there are two columns 'sku'", "Remove one of them."),
        ("value: id}", "value: mpn}", 6, "no column has the role id", None),
        ("value: title}", "value: brand}", 6, "no column has the role title", None),
    ],
)
def test_each_fault_is_named_with_its_line(old: str, new: str, line: int, message: str, suggestion: str | None) -> None:
    found = problems(old, new)
    matching = [p for p in found if message in p[1]]
    assert matching, found
    assert matching[0][0] == line
    if suggestion is not None:
        assert matching[0][2] == suggestion


def test_one_fault_is_one_problem() -> None:
    assert len(problems("logicalType: string", "logicaltype: string")) == 1
    assert len(problems("value: title", "value: titel")) == 1
    assert len(problems("version: 1.0.0", "verzion: 1.0.0")) == 1


def test_a_regular_expression_must_compile() -> None:
    found = problems("logicalType: string", 'logicalType: string\n        logicalTypeOptions: {pattern: "(["}')
    assert [(line, message.split(":")[0]) for line, message, _ in found] == [
        (13, "the regular expression '([' does not compile")
    ]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("value: id}", "value: [id]}"),
        ("value: clean}", "value: [clean]}"),
        ("quality:\n", "quality: 5\n        unused:\n"),
    ],
)
def test_a_list_or_number_in_the_place_of_a_word_is_told(old: str, new: str) -> None:
    assert old in SOUND
    assert check_contract(SOUND.replace(old, new))


def test_a_path_names_columns() -> None:
    found = check_contract(SOUND.replace("value: price", "value: prize"))
    assert [p.path for p in found] == ["schema[products].properties[cost].customProperties[role].value"]


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("", 1, "This is not a contract."),
        ("- a", 1, "This is not a contract."),
        ("a: [", 1, "This is not YAML"),
        ("a: 1\na: 2", 2, "This is not YAML: found duplicate key"),
        ("a: !!python/object:os.system x\nb: &c [*c]", 1, "`version` is missing."),
    ],
)
def test_what_is_no_contract(text: str, line: int, message: str) -> None:
    found = check_contract(text)
    assert found[0].line == line
    assert any(p.message.startswith(message) for p in found), found


@given(st.text(max_size=300))
def test_any_text_has_problems_and_raises_nothing(text: str) -> None:
    assert check_contract(text)


@given(st.integers(0, len(SOUND)), st.integers(0, 30), st.text(max_size=8))
def test_a_damaged_contract_raises_nothing(at: int, cut: int, put: str) -> None:
    for problem in check_contract(SOUND[:at] + put + SOUND[at + cut :]):
        assert problem.line >= 1
        assert problem.message


def test_problem_and_error_read_as_sentences() -> None:
    problem = Problem(3, "schema", "`x` is not a key.", "Did you mean `y`?")
    assert str(problem) == "line 3, schema: `x` is not a key. Did you mean `y`?"
    error = ContractError("c.yaml", [problem, problem])
    assert "1 more: streamgauge contract check c.yaml" in str(error)
    assert did_you_mean("nothing like it", ["title"]) is None


@pytest.mark.parametrize(
    ("text", "delimiter"),
    [
        ("id,title,price\n1,Kettle,12.50\n", "','"),
        ("id;标题;价格\n1;洁面乳: 100g;9,50\n", "';'"),
        ("id\ttitle\n1\tKettle\n", "'\\t'"),
        ('"id","the, title"\n1,"Kettle\n red"\n', "','"),
    ],
)
def test_data_instead_of_a_contract_is_recognised(text: str, delimiter: str) -> None:
    (problem,) = check_contract(text)
    assert problem.message == f"This looks like CSV (fields between {delimiter}), not like a contract in YAML."
    assert "contract draft" in (problem.suggestion or "")


@pytest.mark.parametrize("text", ["# shops, goods\n" + SOUND, "---\n" + SOUND, "name: a, b\n" + SOUND, "\n\n" + SOUND])
def test_a_contract_is_not_taken_for_data(text: str) -> None:
    assert all("CSV" not in problem.message for problem in check_contract(text))
