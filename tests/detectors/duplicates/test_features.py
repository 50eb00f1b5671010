from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from detectors.duplicates.candidates import statements
from detectors.duplicates.evidence import EvidenceRows
from detectors.duplicates.features import STEP, PairFeatures, pair_features
from detectors.duplicates.matcher import margins
from detectors.duplicates.rule import WEIGHTS, hopeless, points, reason, rule_scores, variants
from detectors.duplicates.sketch import flat_weights
from detectors.records import Facts
from detectors.standardise.chinese import fold
from tests.detectors.duplicates.offers import apply, log_of, new_view, random_entries


def compared(*titles: str, similarity: float = 0.5, description: str = "") -> PairFeatures:
    """The first title against the others."""
    facts = [Facts(f"a/{i}", title, description if i == 0 else "") for i, title in enumerate(titles)]
    rows = EvidenceRows()
    rows.put(range(len(facts)), [fold(f.title) for f in facts], facts, [f.price for f in facts])
    row, others = np.array([0]), np.arange(1, len(facts))[None]
    comparison = rows.compare(row, others)
    alike = np.full(others.shape, similarity, np.float32)
    return pair_features(rows, row, others, alike, comparison, flat_weights()[None], np.zeros(1, np.intp))


def test_words_count_as_said_inside_the_other_text() -> None:
    features = compared("webroot spysweeper", "webroot spy sweeper 3 pc", "oak bench")
    assert features.of("contained").tolist() == [[1, 0]]
    assert compared("dryer with nine programs", "dryer steel", description="stainless steel").of("contained") == 1


def test_a_word_that_stands_for_another() -> None:
    features = compared("puppet company wolf hand puppet", "puppet company fox hand puppet", "wolf mask")
    assert features.of("exchanged").tolist() == [[1, 0]]


def test_another_order_of_chinese_words_puts_none_in_the_place_of_another() -> None:
    features = compared(
        "雅诗兰黛小棕瓶特润修护肌活精华露75ml",
        "雅诗兰黛特润修护肌活精华露 小棕瓶 75ml",
        "雅诗兰黛小棕瓶特润修护肌活精华水75ml",
    )
    assert features.of("exchanged").tolist() == [[0, 1]]


@pytest.mark.parametrize(
    ("one", "other", "feature", "value"),
    [
        ("studio 7 for mac", "studio 7 win", "platform_conflict", 1),
        ("studio pro", "studio standard", "edition_conflict", 1),
        ("studio pro", "studio", "edition_differs", 1),
        ("studio 2006", "studio 2007", "year_conflict", 1),
        ("studio 8.0", "studio 8", "version_conflict", 0),
        ("studio 8", "studio 9", "numbers_left", 1),
        ("camera sx110isb", "camera sx110isr", "code_stem", 1),
        ("tea 500 ml", "tea 250 ml", "numbers_left", 0),
    ],
)
def test_features(one: str, other: str, feature: str, value: float) -> None:
    assert compared(one, other).of(feature).item() == value


def test_values_and_scores_are_exact() -> None:
    features = compared("oak bench with back", "oak garden bench", "steel bench", similarity=0.123456)
    assert (features.values * STEP == np.rint(features.values * STEP)).all()
    for clean in (False, True):
        total = sum(points(features, clean=clean).values())
        assert np.allclose(total, rule_scores(features, clean=clean), atol=1e-4)


def test_margins() -> None:
    scores = np.array([[1.0, 0.5, -9.0, -np.inf]])
    assert margins(scores, None).tolist() == [[0.5, 0, 0, 0]]
    assert margins(scores, np.array([[0, 1, 0, 0]])).tolist() == [[2, 2, -2, -2]]
    assert margins(np.array([[3.0]]), None).tolist() == [[2]]


def test_more_is_asked_in_a_marketplace() -> None:
    features = compared("puppet company wolf hand puppet", "puppet company fox hand puppet")
    assert rule_scores(features, clean=True) - rule_scores(features, clean=False) == 2.75


def test_variants_say_the_same_but_for_what_tells_them_apart() -> None:
    features = compared(
        "sanus euro foundations speaker stand in black",
        "sanus euro foundations speaker stand in silver",
        "sanus euro foundations speaker stand in black",
        "canon laser printer in silver",
    )
    assert variants(features).tolist() == [[True, False, False]]


def test_reasons_in_words() -> None:
    a = Facts("a/1", "Bose Acoustimass 5 Speaker System - AM53BK", currency="USD")
    b = Facts("b/1", "Bose AM53BK speaker, black", currency="USD")
    assert reason(a, b, (399.0, 379.95), 0.7, code="am53bk") == "same model code AM53BK; 399.00 USD and 379.95 USD"
    c = Facts("c/1", "Bose Acoustimass 5 Speaker System white")
    assert reason(a, c, (None, None), 0.9) == "titles 90% alike; both say bose acoustimass 5 speaker"


def test_nothing_is_looked_for_that_is_not_shared() -> None:
    a, b = Facts("a/1", "Bose speaker 500 ml AM53BK"), Facts("b/1", "Bose speaker 500 ml AM53BK red")
    assert reason(a, b, (None, None), 0.9, code="am53bk") == "same model code AM53BK; both 500 ml"
    assert reason(a, b, (None, None), 0.9, amounts=False) == "titles 90% alike; both say bose speaker 500 ml"


@pytest.mark.parametrize(
    ("one", "other", "code", "amounts"),
    [
        ("speaker am53bk 500 ml", "am53bk 0.5 l", 0, True),
        ("am52bk or am53bk", "speaker am53bk or am54bk", 1, False),
        ("speaker am53bk 500 ml", "am54bk 500 g", -1, False),
        ("1 g 2 ml 3 cm 4 w 5 gb 6 v 7 kg", "1.5 g 2.5 ml 3.5 cm 4.5 w 5.5 gb 6.5 v 7 kg", -1, True),
        ("7 kg speaker", "speaker 1 g 2 ml 3 cm 4 w 5 gb 6 v 7 kg", -1, True),
        ("speaker", "speaker", -1, False),
    ],
)
def test_what_may_be_shared(one: str, other: str, code: int, amounts: bool) -> None:
    rows = EvidenceRows()
    rows.put([0, 1], [one, other], [Facts("a/1", one), Facts("b/1", other)], [None, None])
    got = rows.shared_of(np.array([0]), np.array([1]))
    assert [x.item() for x in got] == [code, amounts]


def test_prices_far_apart_leave_no_hope() -> None:
    """At .5 alike, in a marketplace, from 1.23 on: 4.75 - 5.75 - 1.625 * 1.23 is below -3. One code, which may stand in
    the other's text, adds 2, and two may add more than any price takes.
    """
    similarity, coded = np.full(6, 0.5, np.float32), np.array([0, 0, 0, 1, 1, 2])
    price = np.array([1.2, 1.25, 3.0, 2.4, 2.5, 3.0], np.float32)
    got = [hopeless(similarity, price, coded, clean=clean, threshold=-3.0).tolist() for clean in (False, True)]
    assert got == [[False, True, True, False, True, False], [False, False, True, False, False, False]]


def test_what_no_price_can_outweigh_is_all_that_speaks_for_a_pair() -> None:
    """`hopeless` adds up whatever may speak for it."""
    speak_for = {name for name, weight in WEIGHTS.items() if weight > 0}
    assert speak_for == {"similarity", "contained", "overlap", "code_shared", "code_stem", "gtin_same"}


@pytest.mark.parametrize("clean", [False, True])
def test_what_is_left_out_would_not_have_been_said(clean: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(1)
    priced = []
    for one in random_entries(1, 400):
        code = re.search(r"[A-Z]X-\d+", one.facts.title)
        assert code is not None
        bare, where = one.facts.title.replace(code[0], ""), int(rng.integers(4))
        title = one.facts.title if where == 0 else bare
        facts = replace(one.facts, title=title, description=f"model {code[0]}" if where == 1 else "")
        priced.append(replace(one, facts=facts, match_price=round(float(np.exp(rng.normal(3, 1.5))), 2)))
    view = apply(new_view(), log_of(priced))
    hits = view.search([e.identity for e in priced], clean=clean)
    said = statements(view, hits, clean=clean)
    left_out: list[int] = []

    def nothing(similarity: np.ndarray, *args: np.ndarray, **how: Any) -> np.ndarray:
        left_out.append(int(hopeless(similarity, *args, **how).sum()))
        return np.zeros(similarity.shape, bool)

    monkeypatch.setattr("detectors.duplicates.candidates.hopeless", nothing)
    assert statements(view, hits, clean=clean) == said
    assert left_out[0] > 100 and sum(len(one.candidates) for one in said) > 100
