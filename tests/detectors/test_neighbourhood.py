from __future__ import annotations

import numpy as np

from detectors.neighbourhood import same_product
from tests.detectors.products import facts, product_batch

ONE = {"title": "Canon EOS5D body", "gtin": "4006381333931", "mpn": "EOS5D-B"}


def _same(row: dict[str, object], *neighbours: tuple[float, dict[str, object]]) -> list[bool]:
    line = [(score, facts(str(n), **known)) for n, (score, known) in enumerate(neighbours)]
    batch = product_batch([row], [line])
    assert batch.neighbours is not None
    return same_product(batch, np.ones((1, len(line)), np.bool_))[0].tolist()


def test_a_gtin_says_so_at_any_score_and_a_part_number_only_for_titles_that_are_alike() -> None:
    assert _same(ONE, (0.1, {"gtin": "4006381333931"}), (0.9, {"gtin": "4006381333930"})) == [True, False]
    assert _same(ONE, (0.61, {"mpn": "EOS5D-B"}), (0.59, {"mpn": "EOS5D-B"})) == [True, False]


def test_model_numbers_count_for_close_titles_that_name_the_same_ones() -> None:
    near = {"title": "body of Canon EOS5D"}
    more = {"title": "Canon EOS5D body with EF50mm EF2470"}
    none = {"title": "Canon camera body"}
    assert _same({"title": ONE["title"]}, (0.81, near), (0.79, near), (0.9, more), (0.9, none)) == [
        True,
        False,
        False,
        False,
    ]


def test_what_nobody_has_makes_nothing_the_same() -> None:
    assert _same({"title": "camera", "gtin": None, "mpn": ""}, (0.95, {"title": "camera"}), (0.9, {"mpn": ""})) == [
        False,
        False,
    ]
    assert _same({"title": "camera", "gtin": 5, "mpn": ["x"]}, (0.95, {"title": "camera", "gtin": "5"})) == [False]


def test_only_those_in_question_are_the_same() -> None:
    batch = product_batch(
        [ONE, {"title": "camera"}], [[(0.9, facts("1", gtin=ONE["gtin"])), (0.9, facts("2", gtin=ONE["gtin"]))], []]
    )
    assert same_product(batch, np.array([[True, False], [True, True]])).tolist() == [[True, False], [False, False]]
