from __future__ import annotations

import time
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.evaluate.duplicates.scores import ClusterScores, Counts, cluster_scores, pair_counts

# Bagga and Baldwin's own figure: true clusters of 5, 2 and 5 records.
TRUE = "AAAAABBCCCCC"
# Its first response joins the two of B to the five of C.
FIRST = "111112222222"
# Its second response joins the five of A to the five of C.
SECOND = "111112211111"


def test_b_cubed_of_the_paper() -> None:
    # First: five records of A at 1; two of B at 2/7, five of C at 5/7. (5 + 4/7 + 25/7) / 12 = 64/84 = .7619
    # Second: ten records at 5/10, two at 1. (5 + 2) / 12 = .5833. No product is torn apart: recall 1.
    first, second = cluster_scores(FIRST, TRUE), cluster_scores(SECOND, TRUE)
    assert (first.bcubed_precision, first.bcubed_recall, first.bcubed_f1) == (0.7619, 1, 0.8649)
    assert (second.bcubed_precision, second.bcubed_recall, second.bcubed_f1) == (0.5833, 1, 0.7368)


def test_pairs_of_the_paper() -> None:
    # True: 10 + 1 + 10 = 21. First: C(5,2) + C(7,2) = 31. Second: C(10,2) + 1 = 46.
    assert pair_counts(FIRST, TRUE) == Counts(right=21, found=31, true=21)
    assert pair_counts(SECOND, TRUE) == Counts(right=21, found=46, true=21)
    assert cluster_scores(FIRST, TRUE).pairwise_f1 == round(2 * 21 / (31 + 21), 4)


def test_b_cubed_of_a_torn_product_and_singles() -> None:
    # Truth: {a b c} {d} {e}. Clusters: {a b} {c d} {e}.
    # Precision: a 1, b 1, c 1/2, d 1/2, e 1 -> 4/5. Recall: a 2/3, b 2/3, c 1/3, d 1, e 1 -> (5/3 + 2) / 5 = 11/15.
    # F1: 2 * .8 * .7333 / 1.5333 = .7652. Pairs: right ab; found ab, cd; true ab, ac, bc -> 2 * 1 / (2 + 3) = .4.
    scores = cluster_scores([1, 1, 2, 2, 3], ["x", "x", "x", "y", "z"])
    assert scores == ClusterScores(pairwise_f1=0.4, bcubed_precision=0.8, bcubed_recall=0.7333, bcubed_f1=0.7652)


def test_nothing_found_and_nothing_true_is_zero_and_not_an_error() -> None:
    assert (pair_counts([1, 2], [1, 2]).f1, pair_counts([], []).f1) == (0, 0)
    assert cluster_scores([1, 2], [1, 2]) == ClusterScores(0, 1, 1, 1)
    assert cluster_scores([], []) == ClusterScores(0, 0, 0, 0)


def test_pairs_of_a_huge_cluster_are_counted_without_listing_them() -> None:
    started = time.perf_counter()
    counts = pair_counts([0] * 200_000, [0] * 100_000 + [1] * 100_000)
    assert counts == Counts(right=9_999_900_000, found=19_999_900_000, true=9_999_900_000)
    assert time.perf_counter() - started < 5


@pytest.mark.parametrize(("right", "found", "true", "f1"), [(0, 0, 5, 0), (3, 4, 6, 0.6), (5, 5, 5, 1)])
def test_f1(right: int, found: int, true: int, f1: float) -> None:
    assert Counts(right, found, true).f1 == pytest.approx(f1)


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), max_size=25))
def test_counting_agrees_with_listing(labels: list[tuple[int, int]]) -> None:
    clusters, truth = [c for c, _ in labels], [t for _, t in labels]
    pairs = list(combinations(labels, 2))
    assert pair_counts(clusters, truth) == Counts(
        right=sum(a == b for a, b in pairs),
        found=sum(a[0] == b[0] for a, b in pairs),
        true=sum(a[1] == b[1] for a, b in pairs),
    )
    precision = sum(labels.count(x) / clusters.count(x[0]) for x in labels) / max(1, len(labels))
    recall = sum(labels.count(x) / truth.count(x[1]) for x in labels) / max(1, len(labels))
    scores = cluster_scores(clusters, truth)
    assert scores.bcubed_precision == pytest.approx(precision, abs=6e-5)
    assert scores.bcubed_recall == pytest.approx(recall, abs=6e-5)
