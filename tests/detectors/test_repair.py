from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.records import Correction, Dimension, Evidence, Finding, Rule, Severity, Suggestion
from detectors.repair import RepairPolicy, undo
from tests.detectors.products import product_batch

SCALE = Rule("price.scale", Dimension.ACCURACY, Severity.ERROR, "A price that is off by a power of ten.")
OTHER = Rule("price.other", Dimension.ACCURACY, Severity.ERROR, "A rule that only ever suggests.")


def _finding(value: Any, confidence: float, row: int = 0, rule: Rule = SCALE, observed: Any = 2100.0) -> Finding:
    return Finding(row, rule, "price", observed, confidence, Evidence("because"), Suggestion(value))


def _batch(*prices: Any) -> Any:
    rows = [{"title": "camera", "price": price} for price in prices or (2100.0,)]
    return product_batch(rows, [[]] * len(rows))


def test_a_sure_suggestion_is_applied_and_the_rest_reviewed() -> None:
    batch = _batch(2100.0, 2100.0)
    sure, unsure = _finding(21.0, 0.97), _finding(21.0, 0.9, row=1)
    done = RepairPolicy().repair(batch, [sure, unsure])
    assert [record.values["price"] for record in done.batch.records] == [21.0, 2100.0]
    assert done.corrections == [Correction(0, "price", 2100.0, 21.0, 0.97, "price.scale", "because")]
    assert done.reviews == [unsure]
    assert batch.records[0].values["price"] == 2100.0


def test_a_rule_without_a_threshold_only_suggests() -> None:
    finding = _finding(21.0, 1.0, rule=OTHER)
    assert RepairPolicy().repair(_batch(), [finding]).reviews == [finding]
    assert RepairPolicy({"price.other": 0.5}).repair(_batch(), [finding]).reviews == []
    assert RepairPolicy({"price.scale": 1.1}).repair(_batch(), [_finding(21.0, 1.0)]).corrections == []


def test_of_two_suggestions_the_more_confident_is_applied() -> None:
    less, more = _finding(210.0, 0.96), _finding(21.0, 0.98)
    done = RepairPolicy().repair(_batch(), [less, more])
    assert [correction.after for correction in done.corrections] == [21.0]
    assert done.reviews == [less]


def test_a_more_confident_rule_that_may_not_repair_keeps_a_lesser_one_from_it() -> None:
    both = [_finding(21.0, 0.96), _finding(210.0, 0.99, rule=OTHER)]
    done = RepairPolicy().repair(_batch(), both)
    assert (done.corrections, done.reviews) == ([], both)


def test_a_suggestion_that_may_not_be_applied_itself_can_agree_with_one_that_may() -> None:
    allowed, other = _finding(21.0, 0.96), _finding(21.0, 0.99, rule=OTHER)
    done = RepairPolicy().repair(_batch(), [allowed, other])
    assert [(c.rule, c.after) for c in done.corrections] == [("price.scale", 21.0)]
    assert done.reviews == []


def test_what_was_standardised_already_is_not_applied_twice() -> None:
    finding = _finding(21.0, 1.0, observed="21,00 €")
    standardised = Correction(0, "price", "21,00 €", 21.0, 1.0, "price.notation", "another notation")
    assert RepairPolicy().repair(_batch(21.0), [finding], [standardised]).reviews == []
    assert RepairPolicy().repair(_batch(21.0), [finding]).corrections == []


def test_a_value_that_is_no_longer_there_is_not_repaired() -> None:
    finding = _finding(21.0, 1.0, observed=9.0)
    done = RepairPolicy().repair(_batch(), [finding])
    assert (done.corrections, done.reviews) == ([], [finding])


def test_findings_without_a_suggestion_or_a_column_need_no_policy() -> None:
    plain = Finding(0, SCALE, "price", 2100.0, 1.0, Evidence("because"))
    whole = Finding(0, SCALE, None, None, 1.0, Evidence("because"), Suggestion(1))
    batch = _batch()
    done = RepairPolicy().repair(batch, [plain, whole])
    assert (done.corrections, done.reviews) == ([], [])
    assert done.batch is batch


def test_a_negative_confidence_is_refused() -> None:
    with pytest.raises(ValueError, match="from 0 to 1"):
        RepairPolicy({"price.scale": -1})


_VALUES = st.one_of(st.none(), st.integers(), st.text(max_size=5))


@given(st.dictionaries(st.sampled_from("abc"), _VALUES), st.lists(st.tuples(st.sampled_from("abc"), _VALUES)))
def test_corrections_can_be_undone(original: dict[str, Any], changes: list[tuple[str, Any]]) -> None:
    values, made = dict(original), []
    for column, after in changes:
        made.append(Correction(0, column, values.get(column), after, 1.0, "any", "because"))
        values[column] = after
    known = {column: value for column, value in original.items() if value is not None}
    assert {column: value for column, value in undo(values, made).items() if value is not None} == known
