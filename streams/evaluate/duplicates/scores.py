"""Scores of clusters against true clusters. Pairs are counted, never listed: clusters may have thousands of records."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

__all__ = ["ClusterScores", "Counts", "cluster_scores", "pair_counts", "pairs_among"]


@dataclass(frozen=True, slots=True)
class Counts:
    """Pairs: found ones that are true, found ones, true ones."""

    right: int
    found: int
    true: int

    @property
    def precision(self) -> float:
        """0 where nothing was found."""
        return self.right / max(1, self.found)

    @property
    def recall(self) -> float:
        """0 where nothing is true."""
        return self.right / max(1, self.true)

    @property
    def f1(self) -> float:
        """The harmonic mean of both."""
        return _harmonic(self.precision, self.recall)


@dataclass(frozen=True, slots=True)
class ClusterScores:
    """Clusters against true clusters, 0-1.

    pairwise_f1: over all pairs inside clusters. bcubed_*: B-cubed (Bagga and Baldwin, "Entity-Based Cross-Document
    Coreferencing Using the Vector Space Model", 1998), the mean over all records, those without a partner included:
    which share of a record's cluster is its product, and which share of its product is in its cluster.
    """

    pairwise_f1: float
    bcubed_precision: float
    bcubed_recall: float
    bcubed_f1: float


def pairs_among(n: int) -> int:
    """The number of pairs among n records."""
    return n * (n - 1) // 2


def pair_counts(clusters: Sequence[Hashable], truth: Sequence[Hashable]) -> Counts:
    """Pairs inside clusters against pairs inside true clusters; two labels a record."""
    return Counts(
        right=sum(map(pairs_among, Counter(zip(clusters, truth, strict=True)).values())),
        found=sum(map(pairs_among, Counter(clusters).values())),
        true=sum(map(pairs_among, Counter(truth).values())),
    )


def cluster_scores(clusters: Sequence[Hashable], truth: Sequence[Hashable]) -> ClusterScores:
    """The scores of these clusters, rounded to four places; two labels a record."""
    size, true_size = Counter(clusters), Counter(truth)
    precision = recall = 0.0
    for (cluster, product), n in Counter(zip(clusters, truth, strict=True)).items():
        precision += n * n / size[cluster]
        recall += n * n / true_size[product]
    n = max(1, len(clusters))
    return ClusterScores(
        pairwise_f1=round(pair_counts(clusters, truth).f1, 4),
        bcubed_precision=round(precision / n, 4),
        bcubed_recall=round(recall / n, 4),
        bcubed_f1=round(_harmonic(precision / n, recall / n), 4),
    )


def _harmonic(a: float, b: float) -> float:
    return 2 * a * b / (a + b) if a + b else 0.0
