from __future__ import annotations

import hashlib

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors.duplicates.grams import BUCKETS, gram_counts
from detectors.duplicates.kernels import count
from detectors.duplicates.sketch import SKETCH_DIM, document_weights, flat_weights
from detectors.duplicates.sketch import sketch as sketch_of

FLAT = flat_weights()


def sketch(texts: list[str], weights: np.ndarray) -> np.ndarray:
    return sketch_of(gram_counts(texts), weights)


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
    frequencies = np.zeros(BUCKETS, np.int32)
    for part in (common[:300], common[300:]):
        count(gram_counts(part).bucket, frequencies)
    weights = document_weights(frequencies, len(common))
    assert weights.min() >= 1
    z = sketch(["sony camera", "sony camera qwertz", "qwertz"], weights)
    assert z[1] @ z[2] > z[1] @ z[0]


def test_frequencies_count_a_title_once() -> None:
    frequencies = np.zeros(BUCKETS, np.int32)
    count(gram_counts(["sony sony", "sony", "bose"]).bucket, frequencies)
    assert frequencies.max() == 2
    assert frequencies.sum() == 2 * len(gram_counts(["sony"]).bucket) + len(gram_counts(["bose"]).bucket)


@settings(deadline=None, max_examples=30)
@given(st.lists(st.text(max_size=20), min_size=1, max_size=6), st.data())
def test_some_texts_of_a_batch_are_counted_as_alone(texts: list[str], data: st.DataObject) -> None:
    rows = sorted(data.draw(st.sets(st.integers(0, len(texts) - 1))))
    got, want = gram_counts(texts).of(np.array(rows, np.intp)), gram_counts([texts[row] for row in rows])
    for name in ("bucket", "row", "times"):
        np.testing.assert_array_equal(getattr(got, name), getattr(want, name))
