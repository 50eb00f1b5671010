from __future__ import annotations

from detectors.duplicates.candidates import statements
from detectors.duplicates.score import DUPLICATE_VARIANT
from detectors.duplicates.variant import variant_findings
from detectors.records import Neighbour, Version
from tests.detectors.duplicates.offers import apply, entry, log_of, new_view

RED = entry("a/1", 0, "Sanus Euro Foundations Speaker Stand red", 40.0)
BLUE = entry("b/1", 1, "Sanus Euro Foundations Speaker Stand blue", 42.0)


def brought(identity: str, offset: int) -> tuple[str, Version]:
    return identity, Version(0, offset)


def test_a_variant_is_told_at_the_record_that_brought_the_text() -> None:
    view = apply(new_view(), log_of([RED, BLUE]))
    said = statements(view, view.search(["b/1"]))
    (found,) = variant_findings([brought("a/9", 5), brought("b/1", 1)], said, view)
    assert (found.row, found.rule, found.column, found.other) == (1, DUPLICATE_VARIANT, None, "a/1")
    assert (found.observed, found.confidence, found.suggestion) == (BLUE.facts.title, 0.85, None)
    assert found.evidence.reason.startswith(f"another colour of “{RED.facts.title}”: blue here, red there; titles ")
    assert found.evidence.neighbours == (
        Neighbour("a/1", said[0].candidates[0].similarity, "Sanus Euro Foundations Speaker Stand red"),
    )


def test_a_new_price_of_it_tells_nothing_again() -> None:
    cheaper = entry("b/1", 2, BLUE.facts.title, 9.0, match=1, match_price=42.0)
    view = apply(new_view(), log_of([RED, BLUE, cheaper]))
    said = statements(view, view.search(["b/1"], as_matched=True))
    assert [c.identity for c in said[0].candidates] == ["a/1"]
    assert variant_findings([brought("b/1", 2)], said, view) == []
    assert [f.row for f in variant_findings([brought("b/1", 1), brought("b/1", 2)], said, view)] == [0]


def test_at_most_three_are_told_and_what_is_the_same_is_none() -> None:
    colours = ("black", "white", "green", "pink", "blue")
    others = [entry(f"a/{i}", i, f"Sanus Euro Foundations Speaker Stand {c}", 40.0) for i, c in enumerate(colours)]
    view = apply(new_view(), log_of([*others, entry("b/1", 9, BLUE.facts.title, 42.0)]))
    said = statements(view, view.search(["b/1"]))
    found = variant_findings([brought("b/1", 9)], said, view)
    assert len(found) == 3
    assert {f.other for f in found} < {"a/0", "a/1", "a/2", "a/3"}


def test_what_names_another_colour_is_no_duplicate_however_alike() -> None:
    """Between clean feeds one difference would not weigh enough against all the rest."""
    flask, kettle = "Norvik Aura Vacuum Flask NF-2450{} 500 ml {}", "诺维克 Aura 电热水壶 双层防烫 1.7升 {}"
    first = [entry("a/1", 0, flask.format("RD", "red"), 20.0), entry("a/2", 1, kettle.format("红色"), 199.0)]
    later = [entry("b/1", 2, flask.format("BL", "blue"), 21.0), entry("b/2", 3, kettle.format("蓝色"), 209.0)]
    view = apply(new_view(), log_of([*first, *later]))
    said = statements(view, view.search(["b/1", "b/2"], clean=True), clean=True)
    assert [[(c.identity, c.relation) for c in s.candidates] for s in said] == [
        [("a/1", "variant")],
        [("a/2", "variant")],
    ]


def test_what_both_titles_say_elsewhere_hides_no_variant() -> None:
    """Both name one transfer rate, or one gift, and so share an amount of the kind that tells them apart."""
    disk, serum = "Samsung 990 PRO {} NVMe internal SSD, up to 7450 MB/s", "【送50ml】兰蔻小黑瓶精华肌底液 {}"
    first = [entry("a/1", 0, disk.format("1TB"), 99.0), entry("a/2", 1, serum.format("230ml"), 500.0)]
    later = [entry("b/1", 2, disk.format("2TB"), 129.0), entry("b/2", 3, serum.format("330ml"), 600.0)]
    view = apply(new_view(), log_of([*first, *later]))
    said = statements(view, view.search(["b/1", "b/2"], clean=True), clean=True)
    assert [[(c.identity, c.relation) for c in s.candidates] for s in said] == [
        [("a/1", "variant")],
        [("a/2", "variant")],
    ]


def test_an_ending_of_the_code_alone_makes_no_variant_of_a_duplicate() -> None:
    one = entry("a/1", 0, "Panasonic Countertop Microwave Oven NNSD667S", 99.0)
    other = entry("b/1", 1, "Panasonic Countertop Microwave Oven NNSD667SS", 99.0)
    view = apply(new_view(), log_of([one, other]))
    (said,) = statements(view, view.search(["b/1"], clean=True), clean=True)
    assert [(c.identity, c.relation) for c in said.candidates] == [("a/1", "same")]
