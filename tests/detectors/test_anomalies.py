from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from detectors.anomalies import FEATURES, KINDS, AnomalyDetector, AnomalyFeatures, AnomalyKind
from detectors.contract.model import Column, Contract, Kind, Role
from tests.detectors.products import facts, product_batch

NAMES = [feature.name for feature in FEATURES]
LAMPS = [
    (
        0.9 - 0.02 * n,
        facts(
            f"l{n}",
            title=f"Lumo desk lamp model {n}",
            description="desk lamp with warm light and a long arm",
            brand="Lumo",
            category="Home > Lamps",
            price=20.0 + n,
            currency="EUR",
        ),
    )
    for n in range(6)
]
SOUND = {
    "title": "Lumo desk lamp black",
    "description": "black desk lamp with warm light",
    "brand": "Lumo",
    "category": "Home > Lamps",
    "price": 22.0,
    "currency": "EUR",
}


def _features(**changed: object) -> dict[str, float]:
    values = AnomalyFeatures()(product_batch([{**SOUND, **changed}], [LAMPS]))
    assert values.shape == (1, len(FEATURES))
    assert values.dtype == np.float32
    return dict(zip(NAMES, values[0].tolist(), strict=True))


def test_a_sound_record_fits() -> None:
    found = _features()
    assert found["price_fit"] > found["price_fit_x100"] + 3
    assert abs(found["price_deviation"]) < 1
    assert found["category_share"] == pytest.approx(1)
    assert found["brand_share"] == pytest.approx(1)
    assert (found["brand_in_title"], found["brand_rival"], found["category_rival"]) == (1, 0, 0)
    assert found["description_title"] == pytest.approx(0.75)


def test_a_price_times_a_hundred_would_fit_as_a_hundredth() -> None:
    found = _features(price=2200.0)
    assert found["price_fit_x100"] > found["price_fit"] + 3
    assert found["price_deviation"] > 3


def test_a_wrong_label_fits_under_another() -> None:
    near = [(score, facts(f"y{n}", price=3000.0 + n, currency="JPY")) for n, score in enumerate((0.9, 0.8, 0.8, 0.7))]
    batch = product_batch([{**SOUND, "price": 3100.0}], [near])
    found = dict(zip(NAMES, AnomalyFeatures()(batch)[0].tolist(), strict=True))
    assert found["price_fit_label"] > found["price_fit"] + 3
    assert found["price_label_shared"] == 0


def test_other_peoples_values_do_not_fit() -> None:
    found = _features(brand="Zoomer", category="Toys > Cars", description="a fast red racing car for children")
    assert (found["category_share"], found["category_branch"], found["brand_share"]) == (0, 0, 0)
    assert found["brand_rival"] == pytest.approx(1)
    assert (found["brand_in_title"], found["brand_rival_in_title"]) == (0, 1)
    assert found["description_title"] == 0
    assert found["description_gap"] > 0.4


def test_a_category_that_only_other_shops_use_says_nothing() -> None:
    theirs = [(0.9, facts("other/1", title="lamp", category="Beleuchtung")), (0.8, facts("2", category="Home > Lamps"))]
    found = dict(zip(NAMES, AnomalyFeatures()(product_batch([SOUND], [theirs]))[0].tolist(), strict=True))
    assert found["category_rival"] == 0
    assert found["category_share"] == pytest.approx(1)


@pytest.mark.parametrize("kind", list(AnomalyKind))
def test_an_unknown_field_is_all_zeros(kind: AnomalyKind) -> None:
    found = _features(**{kind.value: None})
    assert all(value == 0 for name, value in found.items() if name.startswith(kind.value))
    others = [k for k in KINDS if k is not kind]
    assert all(found[f"{other}_known"] == 1 for other in others)


def test_without_neighbours_nothing_is_known() -> None:
    features = AnomalyFeatures()(product_batch([SOUND, SOUND], [[], LAMPS]))
    assert np.all(np.isfinite(features))
    assert dict(zip(NAMES, features[0].tolist(), strict=True))["price_known"] == 0


def test_one_kind_can_be_computed_again() -> None:
    before, after = (product_batch([{**SOUND, "price": price}], [LAMPS]) for price in (22.0, 999.0))
    extract = AnomalyFeatures()
    features = extract(before)
    extract.update(features, after, [AnomalyKind.PRICE])
    assert np.array_equal(features, extract(after))


class _Scorer:
    """Scores one kind by one feature."""

    name = "stub/1"
    thresholds = np.full(len(KINDS), 0.5, np.float32)
    typical = AnomalyFeatures()(product_batch([SOUND], [LAMPS]))[0]

    def __init__(self, kind: AnomalyKind, feature: str, above: float) -> None:
        self.place, self.feature, self.above = KINDS.index(kind), NAMES.index(feature), above

    def score(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        scores = np.zeros((len(features), len(KINDS)), np.float32)
        scores[:, self.place] = np.where(features[:, self.feature] > self.above, 0.97, 0.01)
        return scores


def test_a_finding_says_what_drove_it() -> None:
    batch = product_batch([SOUND, {**SOUND, "brand": "Zoomer"}], [LAMPS, LAMPS])
    (finding,) = AnomalyDetector(_Scorer(AnomalyKind.BRAND, "brand_rival", 0.5)).detect(batch)
    assert (finding.row, finding.rule.name, finding.column, finding.observed) == (1, "anomaly.brand", "brand", "Zoomer")
    assert finding.confidence == pytest.approx(0.97)
    assert finding.model == "stub/1"
    assert finding.suggestion is not None
    assert finding.suggestion.value == "Lumo"
    assert finding.evidence.reason == (
        "0% of the similar products, weighed by likeness, have 'Zoomer', 100% have 'Lumo'. "
        "What spoke for it most: how many similar products have one other brand."
    )
    assert finding.evidence.statistics == {"brand_rival": pytest.approx(1)}
    assert [n.value for n in finding.evidence.neighbours] == ["Lumo"] * 5


def test_a_price_is_shown_beside_its_neighbours() -> None:
    batch = product_batch([{**SOUND, "price": 2200.0}], [LAMPS])
    (finding,) = AnomalyDetector(_Scorer(AnomalyKind.PRICE, "price_fit_x100", -3)).detect(batch)
    assert finding.evidence.reason.startswith(
        "The most similar products cost 20 EUR, 21 EUR, 22 EUR, 23 EUR, 24 EUR; this one says 2200 EUR."
    )
    assert finding.suggestion is None


def test_a_field_that_is_not_known_is_never_accused() -> None:
    everything = _Scorer(AnomalyKind.DESCRIPTION, "nearest", 0)
    batch = product_batch([{**SOUND, "description": None}, SOUND], [LAMPS, LAMPS])
    assert [f.row for f in AnomalyDetector(everything).detect(batch)] == [1]
    contract = Contract("t", "1", "t", Kind.PRODUCTS, (Column("title", role=Role.TITLE),), frozenset({"title"}))
    assert AnomalyDetector(everything).detect(product_batch([{"title": "a"}], [LAMPS], contract)) == []
