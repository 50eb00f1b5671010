"""Golden cases of the score."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from detectors.suite import all_rules
from streams.marketplace import Event, FaultKind, Planted, Position, Truth
from streams.marketplace.truth import DUPLICATE, NAMES, VARIANT

TIME = datetime(2026, 3, 1, 12, tzinfo=UTC)


def product(
    identity: str = "a/1",
    article: int = 1,
    planted: tuple[Planted, ...] = (),
    value: bytes | None = b"{}",
    family: int | None = None,
) -> Event:
    clean: dict[str, tuple[Any, ...]] = {
        "title": ("Norvik Kettle",),
        "brand": ("Norvik", "诺维克"),
        "price": (19.99,),
        "updated_at": (TIME,),
    }
    key = identity.encode()
    return Event(
        "products", key, value, 0.0, planted=planted, identity=identity, article=article, family=family, clean=clean
    )


def behaviour(shadow: FaultKind | None = None, planted: tuple[Planted, ...] = ()) -> Event:
    return Event("behaviors", b"u", b"{}", 0.0, identity="e1", shadow=shadow, planted=planted, clean={"price": (5.0,)})


def price_fault(**more: Any) -> Planted:
    return Planted(FaultKind.PRICE_TIMES_100, "price", "a/1", "$1,999.00", (19.99,), **more)


def finding(
    rule: str, field: str | None = None, offset: int = 0, topic: str = "products", **more: Any
) -> dict[str, Any]:
    return {
        "id": f"{rule}{field}{topic}{offset}{more.get('other')}",
        "status": "open",
        "topic": topic,
        "partition": 0,
        "offset": offset,
        "rule": rule,
        "field": field,
        "evidence": {"reason": "because"},
        **more,
    }


def corrected(
    *corrections: dict[str, Any], findings: tuple[tuple[str, str], ...] = (), offset: int = 0
) -> dict[str, Any]:
    said = [{"id": "x", "rule": rule, "field": field} for rule, field in findings]
    return {
        "_quality": {
            "topic": "products",
            "partition": 0,
            "offset": offset,
            "findings": said,
            "corrections": list(corrections),
        }
    }


def correction(field: str, rule: str, after: Any) -> dict[str, Any]:
    return {"field": field, "rule": rule, "before": None, "after": after}


def told(*events: Event) -> Truth:
    truth = Truth(started=100.0)
    offsets = {"products": 0, "behaviors": 0}
    for event in events:
        truth.sent(event, Position(event.topic, 0, offsets[event.topic]), at=100.0)
        offsets[event.topic] += 1
    return truth


def test_nothing_told_nothing_scored() -> None:
    report = Truth().report()
    assert (report.events, report.planted, report.found, report.lost) == (0, 0, 0, 0)
    assert (report.recall, report.precision, report.repairs_right_share) == (1.0, 1.0, 1.0)
    assert report.first_finding_seconds is None


def test_a_finding_of_a_fitting_rule_at_the_fault_is_right() -> None:
    truth = told(product(planted=(price_fault(),)), product("a/2", 2))
    truth.finding(finding("price.scale", "price", suggested=19.99, observed=1999.0), at=104.5)
    report = truth.report()
    assert (report.planted, report.found, report.findings, report.findings_right) == (1, 1, 1, 1)
    assert report.first_finding_seconds == 4.5
    assert report.by_kind["price_times_100"].found == 1
    example = report.examples["price_times_100"]
    assert (example.before, example.after, example.reason) == ("1999.0", "19.99", "because")


def test_a_finding_at_a_sound_record_is_a_false_accusation() -> None:
    truth = told(product(planted=(price_fault(),)), product("a/2", 2))
    truth.finding(finding("price.scale", "price", offset=1))
    report = truth.report()
    assert (report.found, report.precision) == (0, 0.0)
    assert report.false_by_rule == {"price.scale": 1}
    assert report.by_kind["price_times_100"].false == 1


@pytest.mark.parametrize(("rule", "field"), [("brand.typo", "brand"), ("price.scale", "title"), ("text.html", "price")])
def test_a_finding_of_another_fault_at_a_damaged_record_is_false(rule: str, field: str) -> None:
    truth = told(product(planted=(price_fault(),)))
    truth.finding(finding(rule, field))
    assert (truth.report().found, truth.report().findings_right) == (0, 0)


def test_two_findings_of_one_fault_are_both_right_and_find_it_once() -> None:
    truth = told(product(planted=(price_fault(),)))
    truth.finding(finding("price.scale", "price"))
    truth.finding(finding("price.neighbours", "price"))
    report = truth.report()
    assert (report.found, report.findings, report.precision) == (1, 2, 1.0)


def test_a_finding_said_again_counts_once() -> None:
    truth = told(product())
    for _ in range(3):
        truth.finding(finding("brand.typo", "brand"))
    assert truth.report().findings == 1


def test_duplicates_are_right_when_both_are_offers_of_one_article() -> None:
    truth = told(product("a/1", 1), product("b/1", 1), product("c/1", 1), product("b/2", 2))
    truth.finding(finding("duplicate.near", offset=1, identity="b/1", other="a/1"))
    truth.finding(finding("duplicate.near", offset=3, identity="b/2", other="a/1"))
    report = truth.report()
    links = report.by_kind[DUPLICATE]
    assert (links.planted, links.found, links.false) == (2, 1, 1)
    assert (report.planted, report.findings_right, report.links_right) == (0, 1, 1)


def test_variants_are_right_when_both_are_of_one_family_and_count_beside_the_faults() -> None:
    family = [("a/1", 1, 7), ("b/1", 1, 7), ("a/2", 2, 7), ("a/3", 3, 7), ("a/9", 9, 8)]
    truth = told(*(product(identity, article, family=number) for identity, article, number in family))
    truth.finding(finding("duplicate.variant", offset=2, identity="a/2", other="a/1"))
    truth.finding(finding("duplicate.variant", offset=2, identity="a/2", other="b/1"))
    report = truth.report()
    variants = report.by_kind[VARIANT]
    assert (variants.planted, variants.found, variants.false) == (2, 1, 0)
    assert (report.findings_right, report.variants_right, report.links_right, report.precision) == (2, 2, 0, 1.0)
    assert report.by_kind[DUPLICATE].found == 0

    truth.finding(finding("duplicate.variant", offset=1, identity="b/1", other="a/1"))  # it is the same
    truth.finding(finding("duplicate.variant", offset=4, identity="a/9", other="a/1"))  # it is another product
    truth.finding(finding("duplicate.variant", offset=4, identity="a/9", other="nobody/1"))
    report = truth.report()
    assert (report.by_kind[VARIANT].false, report.precision) == (3, 0.0)
    assert report.false_by_rule == {"duplicate.variant": 3}


def test_links_that_close_a_circle_are_found_once() -> None:
    truth = told(product("a/1", 1), product("b/1", 1), product("c/1", 1))
    for later, earlier in (("b/1", "a/1"), ("c/1", "a/1"), ("c/1", "b/1")):
        truth.finding(finding("duplicate.near", offset=1, identity=later, other=earlier))
    assert truth.report().by_kind[DUPLICATE].found == 2


def test_a_retracted_duplicate_counts_no_longer_and_may_come_back() -> None:
    truth = told(product("a/1", 1), product("b/2", 2))
    claim = finding("duplicate.near", offset=1, identity="b/2", other="a/1")
    truth.finding(claim)
    truth.finding({**claim, "status": "retracted"})
    assert (truth.report().findings, truth.report().false_by_rule) == (0, {})
    truth.finding(claim)
    assert truth.report().false_by_rule == {"duplicate.near": 1}


def test_contradicting_a_wrong_catalogue_is_right_but_finds_nothing_planted_there() -> None:
    truth = told(behaviour(shadow=FaultKind.PRICE_TIMES_100))
    truth.finding(finding("behavior.price", "price", topic="behaviors"))
    report = truth.report()
    assert (report.findings_right, report.found, report.false_by_rule) == (1, 0, {})


def test_a_dead_letter_finds_what_cannot_be_processed() -> None:
    truth = told(product(planted=(Planted(FaultKind.NOT_JSON, None, "a/1", "cut off"),)), product("a/2", 2))
    truth.dead_letter(Position("products", 0, 0), "It is not JSON.", at=101.0)
    truth.dead_letter(Position("products", 0, 1), "It is not JSON.")
    report = truth.report()
    assert (report.found, report.dead_letters, report.lost) == (1, 2, 0)
    assert report.false_by_rule == {"dead letter": 1}
    assert report.precision == 0.5


def test_lost_is_what_nothing_accounts_for() -> None:
    truth = told(product("a/1"), product("a/2"), product("a/3", value=None), product("a/4"))
    truth.corrected(corrected(), at=101.0)
    truth.deleted("products", b"a/3")
    assert truth.report().lost == truth.waiting() == 2
    truth.corrected(corrected(offset=1))
    truth.corrected(corrected(offset=1))
    assert (truth.report().lost, truth.report().corrected) == (1, 3)


def test_answers_that_come_before_the_broker_s_confirmation_wait() -> None:
    truth = Truth()
    truth.finding(finding("price.scale", "price"))
    truth.corrected(corrected())
    truth.deleted("products", b"a/3")
    assert truth.report().findings == 0
    truth.sent(product(planted=(price_fault(),)), Position("products", 0, 0))
    truth.sent(product("a/3", value=None), Position("products", 0, 1))
    assert (truth.report().found, truth.report().lost) == (1, 0)


def test_latency_is_from_confirmation_to_corrected_record() -> None:
    truth = told(product())
    assert truth.corrected(corrected(), at=100.25) == 0.25
    assert truth.corrected(corrected(), at=100.5) is None


@pytest.mark.parametrize(("after", "right"), [(19.99, 1), ("19.99", 1), (19.993, 1), (20.0, 0), (None, 0), ("x", 0)])
def test_a_repaired_price_is_right_within_rounding(after: Any, right: int) -> None:
    truth = told(product(planted=(price_fault(),)))
    truth.corrected(corrected(correction("price", "price.scale", after), findings=(("price.scale", "price"),)))
    count = truth.report().by_kind["price_times_100"]
    assert (count.repaired, count.repaired_right) == (1, right)


def test_tolerance_and_emptying_are_right_where_nobody_can_know() -> None:
    truth = told(
        product(planted=(price_fault(tolerance=0.51),)),
        product(planted=(Planted(FaultKind.PLACEHOLDER_PRICE, "price", "a/1", "$0.01", (19.99, None)),)),
    )
    said = (("price.scale", "price"),)
    truth.corrected(corrected(correction("price", "price.scale", 20.0), findings=said))
    truth.corrected(corrected(correction("price", "price.scale", None), findings=said, offset=1))
    assert (truth.report().repairs, truth.report().repairs_right) == (2, 2)


def test_the_last_of_several_corrections_of_a_field_is_judged() -> None:
    truth = told(product(planted=(price_fault(),)))
    steps = correction("price", "price.notation", 1999.0), correction("price", "price.scale", 19.99)
    truth.corrected(corrected(*steps, findings=(("price.scale", "price"),)))
    assert (truth.report().repairs, truth.report().repairs_right) == (1, 1)


def test_standardising_is_no_repair_unless_it_changes_the_meaning() -> None:
    truth = told(product(), product())
    right = correction("price", "price.notation", 19.99), correction("updated_at", "time.notation", TIME.isoformat())
    truth.corrected(corrected(*right))
    assert truth.report().repairs == 0
    truth.corrected(corrected(correction("price", "price.notation", 1999.0), offset=1))
    assert (truth.report().repairs, truth.report().repairs_right) == (1, 0)


def test_standardising_a_damaged_field_without_a_finding_is_no_repair() -> None:
    truth = told(product(planted=(price_fault(),)))
    truth.corrected(corrected(correction("price", "price.notation", 1999.0)))
    assert truth.report().repairs == 0


@pytest.mark.parametrize(
    ("field", "after", "right"),
    [("title", "norvik  ＫＥＴＴＬＥ", 1), ("title", "Norvik", 0), ("brand", "诺维克", 1), ("brand", "Velunda", 0)],
)
def test_repairing_a_sound_field_is_right_only_if_it_means_the_same(field: str, after: str, right: int) -> None:
    truth = told(product())
    truth.corrected(corrected(correction(field, "brand.typo", after), findings=(("brand.typo", field),)))
    assert (truth.report().repairs, truth.report().repairs_right) == (1, right)


def test_every_pattern_names_a_rule_and_every_kind_has_patterns() -> None:
    rules = {rule.name for rule in all_rules()} | {"contract.type", "anomaly.price"}
    assert set(NAMES) == set(FaultKind)
    for kind, patterns in NAMES.items():
        assert any(rule.startswith(pattern.rstrip("*")) for pattern in patterns for rule in rules), kind
