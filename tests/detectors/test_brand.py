from __future__ import annotations

from typing import Any

import pytest

from detectors.brand import BrandDetector, distance, is_alias, names, place_in, squash, tokens
from detectors.records import Facts, Finding
from tests.detectors.products import facts, product_batch

SONY = [(0.8 - 0.02 * n, facts(str(n), title=f"Sony headphones {n}", brand="Sony")) for n in range(6)]


def _detector() -> BrandDetector:
    """A detector that has seen sixty sound records, so that it trusts the votes."""
    detector = BrandDetector()
    row = {"title": "Sony headphones WH-1000", "brand": "Sony"}
    assert detector.detect(product_batch([row] * 60, [SONY] * 60)) == []
    return detector


def _one(
    brand: Any, title: str = "Sony headphones WH-1000", neighbours: list[tuple[float, Facts]] = SONY
) -> Finding | None:
    found = _detector().detect(product_batch([{"title": title, "brand": brand}], [neighbours]))
    return found[0] if found else None


@pytest.mark.parametrize(
    "brand", ["Sony", "SONY", "ｓｏｎｙ", "Sony Corporation", "索尼", "Sony/索尼", "No Brand", 7, ["Sony"]]
)
def test_the_same_brand_in_other_words_is_no_finding(brand: Any) -> None:
    assert _one(brand) is None


def test_a_brand_that_title_and_neighbours_contradict() -> None:
    found = _one("Philips")
    assert found is not None
    assert found.suggestion is not None
    assert (found.rule.name, found.suggestion.value) == ("brand.neighbours", "Sony")
    assert found.evidence.reason == (
        "The title names 'Sony', the brand of 6 similar products; this one says 'Philips'."
    )


def test_votes_are_not_trusted_before_they_were_seen_to_be_right() -> None:
    batch = product_batch([{"title": "Sony headphones", "brand": "Philips"}], [SONY])
    assert BrandDetector().detect(batch) == []


@pytest.mark.parametrize("brand", [None, ""])
def test_a_missing_brand_is_suggested_from_the_title(brand: Any) -> None:
    found = _one(brand)
    assert found is not None
    assert found.suggestion is not None
    assert (found.rule.name, found.suggestion.value, found.observed) == ("brand.missing", "Sony", brand)
    assert found.confidence > 0.97


@pytest.mark.parametrize("title", ["Wireless headphones", "Case for Sony headphones", "Ear pads compatible with Sony"])
def test_a_brand_that_the_title_does_not_claim_is_not_suggested(title: str) -> None:
    assert _one(None, title) is None


@pytest.mark.parametrize("brand", ["Snoy", "Sonny", "Sny", "Soni"])
def test_a_typing_error(brand: str) -> None:
    found = _one(brand)
    assert found is not None
    assert found.suggestion is not None
    assert (found.rule.name, found.suggestion.value) == ("brand.typo", "Sony")
    assert found.confidence == 0.97


def test_a_brand_that_is_frequent_is_no_typing_error() -> None:
    rows = [{"title": "Headphones", "brand": "Sonny"}] * 3
    assert [f.rule.name for f in _detector().detect(product_batch(rows, [SONY] * 3))] == []


def test_both_scripts_of_one_brand_are_one_voter() -> None:
    mixed = [
        (0.8, facts("a/1", title="x", brand="Xiaomi/小米")),
        (0.7, facts("b/1", title="y", brand="小米")),
        (0.7, facts("shop/2", title="y", brand="Xiaomi")),
    ]
    found = _one(None, "小米手机 12 Pro", mixed)
    assert found is not None
    assert found.suggestion is not None
    assert found.suggestion.value == "Xiaomi"  # as this source writes it


def test_edits_between_words() -> None:
    assert distance("sony", "snoy", 2) == 1
    assert distance("sony", "soni", 2) == 1
    assert distance("kitten", "sitting", 3) == 3
    assert distance("kitten", "sitting", 1) == 2
    assert distance("a", "abcd", 2) == 3


def test_names_in_titles() -> None:
    title = tokens("Novelty: DVD for LG TV, by Sony-Ericsson")
    assert place_in(title, "Sony") == 6
    assert place_in(title, "LG") == -1
    assert place_in(title, "Son") is None
    assert place_in(tokens("适用小米手机"), "小米") == -1
    assert place_in(tokens("全新小米手机"), "Xiaomi/小米") == 0
    assert squash("Ｐ＆Ｇ 寶潔") == "pg宝洁"


def test_names_that_may_be_one_brand() -> None:
    assert is_alias("HP", "Hewlett-Packard")
    assert is_alias("Samsung", "Samsung Electronics")
    assert is_alias("小米", "Xiaomi")
    assert not is_alias("Sony", "Philips")


def test_of_long_texts_the_beginning_is_read() -> None:
    long = "Sony " + "x" * 10**6
    assert [len(squash(long)), len(names(long)[0]), len(tokens(long)[1])] == [299, 299, 995]
    assert tokens(long)[0] == "sony"
