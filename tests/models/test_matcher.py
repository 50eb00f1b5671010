from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from detectors.duplicates.matcher import COLUMNS, rivalled
from models.errors import ArtefactError, TrainingError
from models.matcher import LabelledPairs, couples, load_matcher, save_matcher, train_matcher


def pairs_of(products: int, seed: int = 0) -> LabelledPairs:
    """Each product has three candidates; the one that contains the most of its words is the same."""
    rng = np.random.default_rng(seed)
    n = 3 * products
    columns = np.zeros((n, len(COLUMNS)))
    label = np.tile([1, 0, 0], products).astype(np.int8)
    columns[:, COLUMNS.index("contained")] = np.where(label == 1, rng.uniform(0.6, 1, n), rng.uniform(0, 0.7, n))
    columns[:, COLUMNS.index("rule")] = rng.uniform(-2, 0, n)
    columns[:, COLUMNS.index("similarity_before_rivals") :] = np.nan
    later = [f"b/{i // 3}" for i in range(n)]
    earlier = [f"a/{i // 3}" if label[i] else f"a/{rng.integers(products)}" for i in range(n)]
    return LabelledPairs(later, earlier, columns, label)


def test_it_learns_keeps_and_says_the_same_again(tmp_path: Path) -> None:
    pairs = pairs_of(200)
    matcher = train_matcher(pairs)
    report = matcher.report
    assert report["pairs_alone"]["f1"] > 0.9 > report["rule_in_the_stream"]["f1"]
    assert (report["pairs"], report["same"]) == (600, 200)
    assert train_matcher(pairs).name == matcher.name
    save_matcher(matcher, tmp_path / "m")
    again = load_matcher(tmp_path / "m")
    assert again.name == matcher.name
    for trees, kept in ((matcher.stream, again.stream), (matcher.alone, again.alone)):
        assert (kept.threshold, kept.from_rule) == (trees.threshold, trees.from_rule)
        one_by_one = np.concatenate([kept.raw(pairs.columns[i : i + 1]) for i in range(50)])
        assert (one_by_one == trees.raw(pairs.columns)[:50]).all()


def test_a_changed_or_missing_artefact_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ArtefactError, match="train matcher"):
        load_matcher(tmp_path / "none")
    save_matcher(train_matcher(pairs_of(60)), tmp_path / "m")
    head = tmp_path / "m" / "matcher.json"
    head.write_text(head.read_text().replace('"name": "matcher-', '"name": "matcher-0'))
    with pytest.raises(ArtefactError, match="changed after training"):
        load_matcher(tmp_path / "m")
    head.write_text("{}")
    with pytest.raises(ArtefactError, match="can be read"):
        load_matcher(tmp_path / "m")


def test_too_few_labels() -> None:
    with pytest.raises(TrainingError, match="20 of each"):
        train_matcher(pairs_of(10))


def test_couples_are_the_best_of_both() -> None:
    pairs = LabelledPairs(["b", "b", "c"], ["x", "y", "x"], np.zeros((3, len(COLUMNS))), np.zeros(3, np.int8))
    assert couples(pairs, np.array([1.0, 2.0, 0.5]), 0.0).tolist() == [False, True, True]
    assert couples(pairs, np.array([1.0, 2.0, 0.5]), 0.6).tolist() == [False, True, False]


def test_rivals_of_the_earlier_product() -> None:
    columns = np.zeros((3, len(COLUMNS)))
    columns[:, COLUMNS.index("overlap")] = [0.5, 0.75, 0.25]
    out = rivalled(columns, ["a", "b", "b"], ["x", "x", "y"], np.array([1.0, 3.0, -9.0]))
    assert out[:, COLUMNS.index("overlap_before_rivals")].tolist() == [-0.25, 0.25, 3]
    assert out[:, COLUMNS.index("overlap_rivals_place")].tolist() == [1, 0, 0]
    assert out[:, COLUMNS.index("rivals")].tolist() == [2, 2, 1]
    assert out[:, COLUMNS.index("learned")].tolist() == [1, 3, -9]
    assert out[:, COLUMNS.index("learned_before_rivals")].tolist() == [-2, 2, 6]
    assert out[:, COLUMNS.index("learned_rivals_place")].tolist() == [1, 0, 0]
    assert out[:, COLUMNS.index("learned_ahead")].tolist() == [6, 6, -6]
    assert out[:, COLUMNS.index("learned_place")].tolist() == [0, 0, 1]
