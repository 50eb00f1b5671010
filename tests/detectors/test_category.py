from __future__ import annotations

from typing import Any

import pytest

from detectors.category import CategoryDetector
from detectors.records import Facts, Finding
from detectors.voting import Reliability, Vote, tally
from tests.detectors.products import facts, product_batch

PHONES = "Electronics > Phones"


def _alike(category: str = PHONES, source: str = "shop", count: int = 9) -> list[tuple[float, Facts]]:
    return [(0.8 - 0.01 * n, facts(f"{source}/{n}", title="Phone", category=category)) for n in range(count)]


def _one(category: Any, neighbours: list[tuple[float, Facts]], sound: int = 60) -> Finding | None:
    detector = CategoryDetector()
    rows = [{"title": "Phone", "category": PHONES}] * sound
    assert detector.detect(product_batch(rows, [_alike()] * sound)) == []
    found = detector.detect(product_batch([{"title": "Phone", "category": category}], [neighbours]))
    return found[0] if found else None


def test_another_branch_than_all_neighbours() -> None:
    found = _one("Toys > Dolls", _alike())
    assert found is not None
    assert found.suggestion is not None
    assert (found.rule.name, found.suggestion.value) == ("category.neighbours", PHONES)
    assert found.evidence.reason == "9 similar products are in 'Electronics > Phones'; this one is in 'Toys > Dolls'."


@pytest.mark.parametrize("category", [PHONES, "electronics > phones", "Electronics > Cases", "Toys > Phones", 5])
def test_the_same_branch_or_words_are_no_finding(category: Any) -> None:
    assert _one(category, _alike()) is None


def test_votes_are_not_trusted_before_they_were_seen_to_be_right() -> None:
    assert _one("Toys > Dolls", _alike(), sound=0) is None


@pytest.mark.parametrize("category", [None, ""])
def test_a_missing_category_is_suggested(category: Any) -> None:
    found = _one(category, _alike())
    assert found is not None
    assert found.suggestion is not None
    assert (found.rule.name, found.suggestion.value) == ("category.missing", PHONES)
    assert found.confidence > 0.97


def test_other_sources_have_no_vote_unless_the_categories_are_shared() -> None:
    assert _one(None, _alike("Handys", "other")) is None
    assert _one("Toys > Dolls", _alike("Handys", "other")) is None
    shared = [*_alike(count=1), *_alike(source="other", count=7)]
    found = _one(None, shared)
    assert found is not None


def test_a_divided_vote_says_nothing() -> None:
    assert _one(None, [*_alike(count=4), *_alike("Toys > Dolls", count=4)]) is None


def test_a_vote_is_weighted_by_similarity() -> None:
    vote = tally([(0.9, "a", 0), (0.83, "b", 1), (0.83, "b", 2)])
    assert vote == Vote("a", pytest.approx(0.576117, abs=1e-5), (0,), 0.9)
    assert tally([]) is None


def test_agreement_starts_from_twenty_imagined_votes() -> None:
    reliability = Reliability()
    assert reliability.agreement(0) == pytest.approx(0.95)
    for n in range(80):
        reliability.observe(0, agreed=n % 2 == 0)
    assert reliability.agreement(0) == pytest.approx(0.59)
    assert reliability.agreement(1) == pytest.approx(0.95)
