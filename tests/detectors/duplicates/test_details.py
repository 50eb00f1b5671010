from __future__ import annotations

import numpy as np
import pytest

from detectors.duplicates.details import DETAILS, pair_details
from detectors.duplicates.evidence import EvidenceRows
from detectors.duplicates.features import STEP
from detectors.duplicates.sketch import flat_weights
from detectors.records import Facts
from detectors.standardise.chinese import fold


def details(*facts: Facts, dense: float = 0.5) -> dict[str, list[float]]:
    """The first product against the others, by name."""
    rows = EvidenceRows()
    rows.put(range(len(facts)), [fold(f.title) for f in facts], facts, [f.price for f in facts])
    others = np.arange(1, len(facts))[None]
    alike = np.full(others.shape, dense, np.float32)
    found = pair_details(rows, np.array([0]), others, alike, flat_weights()[None], np.zeros(1, np.intp))
    assert (np.isnan(found) | (found * STEP == np.rint(found * STEP))).all()
    return dict(zip(DETAILS, found[0].T.tolist(), strict=True))


def test_what_titles_say() -> None:
    found = details(
        Facts("a/1", "acrobat 8 upgrade mac 2007 ab-1234"),
        Facts("b/1", "adobe acrobat 8 upgrade 2007"),
        Facts("b/2", "oak bench"),
    )
    assert (found["words_fewest"], found["words_most"]) == ([5, 2], [6, 6])
    assert found["shared_words"] == [4, 0]
    assert found["run"] == [pytest.approx(0.8, abs=1e-3), 0]
    assert found["cosine"] == [pytest.approx(4 / 30**0.5, abs=1e-3), 0]
    assert found["first_word"] == [0, 0]
    assert (found["versions_same"], found["years_same"]) == ([1, 0], [1, 0])
    assert (found["licence_same"], found["platform_same"]) == ([1, 0], [0, 0])
    assert (found["codes_fewest"], found["codes_most"]) == ([0, 0], [1, 1])
    assert (found["weight_least"], found["weight_most"]) == ([25, 10], [30, 30])


def test_what_is_known_of_brand_and_price() -> None:
    one = Facts("a/1", "kontakt edition", brand="Sibelius Ltd.", price=99.0)
    found = details(
        one,
        Facts("b/1", "sibelius g7", price=113.0),
        Facts("b/2", "finale g7", brand="MakeMusic"),
        Facts("b/3", "notation", brand="sibelius"),
        dense=0.25,
    )
    assert found["brand_named"] == [1, 0, 1]
    assert found["prices_known"] == [2, 1, 1]
    assert found["dense"] == [0.25] * 3
    assert np.isnan(details(Facts("a/1", "lamp"), Facts("b/1", "lamp"))["brand_named"]).all()


def test_where_there_is_no_candidate_there_are_zeros() -> None:
    rows = EvidenceRows()
    rows.put([0], ["lamp"], [Facts("a/1", "lamp")], [None])
    nobody = np.full((1, 3), -1)
    found = pair_details(
        rows, np.array([0]), nobody, np.full((1, 3), -1, np.float32), flat_weights()[None], np.zeros(1, np.intp)
    )
    assert found.shape == (1, 3, len(DETAILS))
    assert not found.any()
