from __future__ import annotations

import hashlib

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors.duplicates.sketch import SKETCH_DIM, document_weights, flat_weights, sketch

FLAT = flat_weights()


def test_unit_length_and_likeness() -> None:
    z = sketch(
        ["sony digital camera dsc-w120", "sony dscw120 digital camera", "bose speaker", "", "耳机", "无线耳机"], FLAT
    )
    assert z.shape == (6, SKETCH_DIM)
    np.testing.assert_allclose(np.linalg.norm(z, axis=1), [1, 1, 1, 0, 1, 1])
    assert z[0] @ z[1] > 0.5 > abs(z[0] @ z[2])
    assert z[4] @ z[5] > 0.4


def test_the_bits_are_these() -> None:
    z = np.rint(sketch(["sony turntable - pslx350h", "索尼 无线耳机 黑色"], FLAT) * 4000).astype("<i2")
    assert hashlib.sha256(z.tobytes()).hexdigest()[:16] == "795c5f0f33c74cbd"


@settings(deadline=None, max_examples=50)
@given(st.lists(st.text(max_size=30), min_size=1, max_size=6))
def test_a_row_does_not_depend_on_its_batch(texts: list[str]) -> None:
    together = sketch(texts, FLAT)
    for i, text in enumerate(texts):
        np.testing.assert_array_equal(together[i], sketch([text], FLAT)[0])


def test_rare_grams_weigh_more() -> None:
    common = [f"sony camera number{i}" for i in range(500)]
    weights = document_weights([common[:300], common[300:]])
    assert weights.min() >= 1
    z = sketch(["sony camera", "sony camera qwertz", "qwertz"], weights)
    assert z[1] @ z[2] > z[1] @ z[0]
