"""Everything that Prometheus may scrape, in a registry of our own.

Labels are bounded: topic, outcome, rule, dimension, severity, kind, stage. Never a product, user or seller.
"""

from __future__ import annotations

import platform
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import HistogramMetricFamily
from prometheus_client.registry import Collector

from detectors.records import Rule

__all__ = ["Metrics", "TopicProgress"]

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
_RECORDS = (1, 2, 5, 10, 25, 50, 100, 250, 500, 1000, 2500)


@dataclass(frozen=True, slots=True)
class TopicProgress:
    """How far a worker is with the partitions it owns of one topic.

    lag: records not yet acknowledged. commit_age: seconds since something was last committed, None where nothing was.
    """

    topic: str
    lag: int
    commit_age: float | None


class _BulkHistogram(Collector):
    """A histogram that takes a whole batch of values at once; the client's own takes them one by one."""

    def __init__(self, name: str, documentation: str, label: str, registry: CollectorRegistry) -> None:
        self._name, self._documentation, self._label = name, documentation, label
        self._counts: dict[str, NDArray[np.int64]] = {}
        self._sums: dict[str, float] = {}
        registry.register(self)

    def observe(self, label: str, values: ArrayLike) -> None:
        array = np.asarray(values, np.float64)
        if not array.size:
            return
        counts = self._counts.setdefault(label, np.zeros(len(_SECONDS) + 1, np.int64))
        # A value on a bucket's edge belongs to that bucket: le means less or equal.
        counts += np.bincount(np.searchsorted(_SECONDS, array, side="left"), minlength=len(counts))
        self._sums[label] = self._sums.get(label, 0.0) + float(array.sum())

    def collect(self) -> Iterator[HistogramMetricFamily]:
        family = HistogramMetricFamily(self._name, self._documentation, labels=[self._label])
        edges = [str(float(edge)) for edge in _SECONDS] + ["+Inf"]
        for label, counts in list(self._counts.items()):
            running = np.cumsum(counts).tolist()
            family.add_metric([label], list(zip(edges, running, strict=True)), self._sums[label])
        yield family


class Metrics:
    """One worker's metrics.

    >>> metrics = Metrics("1.0", "static")
    >>> metrics.records("products", "corrected", 3)
    >>> b'streamgauge_records_total{outcome="corrected",topic="products"} 3.0' in metrics.exposition()
    True
    """

    def __init__(self, version: str, encoder: str) -> None:
        self.registry = registry = CollectorRegistry()
        self._records = Counter(
            "streamgauge_records_total", "Source records by how they ended", ["topic", "outcome"], registry=registry
        )
        self._findings = Counter(
            "streamgauge_findings_total",
            "Findings made",
            ["topic", "rule", "dimension", "severity"],
            registry=registry,
        )
        self._retracted = Counter(
            "streamgauge_findings_retracted_total",
            "Findings taken back on better evidence",
            ["rule"],
            registry=registry,
        )
        self._corrections = Counter(
            "streamgauge_corrections_total",
            "Changes to fields: standardised (notation), repaired (a fault), suggested (left to a person)",
            ["topic", "rule", "kind"],
            registry=registry,
        )
        self._batch = Histogram(
            "streamgauge_batch_records", "Records in a micro-batch", ["topic"], buckets=_RECORDS, registry=registry
        )
        self._stage = Histogram(
            "streamgauge_stage_seconds",
            "Seconds that a micro-batch spent in a stage",
            ["topic", "stage"],
            buckets=_SECONDS,
            registry=registry,
        )
        self._end_to_end = _BulkHistogram(
            "streamgauge_end_to_end_seconds",
            "Seconds from a source record's timestamp to the confirmation of its output",
            "topic",
            registry,
        )
        self._lag = Gauge("streamgauge_lag_records", "Records not yet acknowledged", ["topic"], registry=registry)
        self._commit_age = Gauge(
            "streamgauge_commit_age_seconds", "Seconds since offsets were last committed", ["topic"], registry=registry
        )
        self._index = Gauge("streamgauge_index_products", "Products in the view of the catalogue", registry=registry)
        self._catalogue_position = Gauge(
            "streamgauge_catalogue_position_records", "Catalogue entries applied to the view", registry=registry
        )
        self._links = Gauge(
            "streamgauge_links", "Links between offers of one product, where this worker owns them", registry=registry
        )
        self._clusters = Gauge(
            "streamgauge_clusters", "Products of two offers or more, where this worker owns links", registry=registry
        )
        self._caution = Gauge(
            "streamgauge_link_caution_ratio",
            "How much more is asked of links as few products are listed twice, where this worker owns links",
            registry=registry,
        )
        self._golden = Gauge(
            "streamgauge_golden_records",
            "Products with a golden record, where this worker owns links",
            registry=registry,
        )
        self._golden_changes = Counter(
            "streamgauge_golden_changes_total", "Golden records written, and ended", ["kind"], registry=registry
        )
        self._texts = Counter("streamgauge_encoder_texts_total", "Texts asked of the encoder", registry=registry)
        self._hits = Counter(
            "streamgauge_encoder_cache_hits_total", "Texts whose vector was known already", registry=registry
        )
        self._retries = Counter(
            "streamgauge_batch_retries_total", "Micro-batches tried again", ["topic"], registry=registry
        )
        self._rebalances = Counter(
            "streamgauge_rebalances_total", "Rebalances of the consumer group", registry=registry
        )
        self._rebalance_seconds = Histogram(
            "streamgauge_rebalance_seconds", "Seconds a rebalance took", buckets=_SECONDS, registry=registry
        )
        self._ready = Gauge("streamgauge_ready", "1 when recovered and not stalled", registry=registry)
        Gauge(
            "streamgauge_build_info", "Version, Python and encoder", ["version", "python", "encoder"], registry=registry
        ).labels(version, platform.python_version(), encoder).set(1)

    def records(self, topic: str, outcome: str, count: int) -> None:
        """Count source records. outcome: `corrected`, `dead_letter`, `deleted`."""
        if count:
            self._records.labels(topic, outcome).inc(count)

    def findings(self, topic: str, found: Mapping[Rule, int]) -> None:
        """Count findings, given by rule."""
        for rule, count in found.items():
            self._findings.labels(topic, rule.name, rule.dimension.value, rule.severity.value).inc(count)

    def links(self, topic: str, rule: Rule, count: int, *, retracted: bool) -> None:
        """Count duplicate findings, made or retracted."""
        if retracted:
            self._retracted.labels(rule.name).inc(count)
        else:
            self.findings(topic, {rule: count})

    def corrections(self, topic: str, made: Mapping[str, int], kind: str) -> None:
        """Count changes, given by the name of the rule. kind: `standardised`, `repaired`, or `suggested`, which are
        left to people.
        """
        for rule, count in made.items():
            self._corrections.labels(topic, rule, kind).inc(count)

    def batch(self, topic: str, size: int, stages: Mapping[str, float]) -> None:
        """A micro-batch of `size` records and the seconds it spent in each stage."""
        self._batch.labels(topic).observe(size)
        for stage, seconds in stages.items():
            self._stage.labels(topic, stage).observe(seconds)

    def end_to_end(self, topic: str, seconds: ArrayLike) -> None:
        """Seconds from each record's timestamp to the confirmation of what it caused, (n,)."""
        self._end_to_end.observe(topic, np.maximum(seconds, 0.0))

    def progress(self, topics: Iterable[TopicProgress]) -> None:
        """Lag and commit age of the topics that this worker owns partitions of; others are dropped."""
        self._lag.clear()
        self._commit_age.clear()
        for topic in topics:
            self._lag.labels(topic.topic).set(topic.lag)
            if topic.commit_age is not None:
                self._commit_age.labels(topic.topic).set(topic.commit_age)

    def view(self, products: int, position: int) -> None:
        """Size of the view and its place in the catalogue."""
        self._index.set(products)
        self._catalogue_position.set(position)

    def owned(self, links: int, clusters: int, golden: int, caution: float) -> None:
        """Links, products of several offers, and golden records, held by the owner of links, and its caution."""
        self._links.set(links)
        self._clusters.set(clusters)
        self._caution.set(caution)
        self._golden.set(golden)

    def golden(self, written: int, ended: int) -> None:
        """Golden records were written, and ended."""
        if written:
            self._golden_changes.labels("written").inc(written)
        if ended:
            self._golden_changes.labels("ended").inc(ended)

    def encoder(self, texts: int, hits: int) -> None:
        """Texts asked of the encoder, and how many of them were known."""
        self._texts.inc(texts)
        self._hits.inc(hits)

    def retried(self, topic: str, times: int) -> None:
        """Micro-batches were tried again."""
        self._retries.labels(topic).inc(times)

    def rebalanced(self, seconds: float) -> None:
        """A rebalance ended."""
        self._rebalances.inc()
        self._rebalance_seconds.observe(seconds)

    def ready(self, ready: bool) -> None:
        """Whether the worker is recovered and not stalled."""
        self._ready.set(1 if ready else 0)

    def exposition(self) -> bytes:
        """The text that Prometheus scrapes."""
        return generate_latest(self.registry)
