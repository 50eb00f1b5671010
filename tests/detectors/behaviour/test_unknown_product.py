from __future__ import annotations

from detectors.behaviour.unknown_product import UnknownProductDetector
from tests.detectors.products import behaviour_batch, facts

ROWS = [{"product": "p1"}, {"product": "p9"}, {"product": None}, {}]


def test_a_product_that_the_catalogue_does_not_know() -> None:
    found = UnknownProductDetector().detect(behaviour_batch(ROWS, [facts("p1"), None, None, None]))
    assert [(f.row, f.rule.name, f.column, f.observed) for f in found] == [
        (1, "behavior.unknown_product", "product", "p9")
    ]
    assert found[0].evidence.reason == "Product 'p9' is none of the 100 products of the catalogue."


def test_silent_while_there_is_no_catalogue() -> None:
    assert UnknownProductDetector().detect(behaviour_batch(ROWS, [None] * 4, catalogue_size=0)) == []
