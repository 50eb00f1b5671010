import shutil
import socket
import subprocess
import threading
import urllib.error
import urllib.request

import orjson
import pytest

from detectors.duplicates.score import DUPLICATE_NEAR
from detectors.records import Dimension, Rule, Severity
from sinks.http import MetricsServer
from sinks.metrics import Metrics, TopicProgress

RULE = Rule("price.scale", Dimension.ACCURACY, Severity.ERROR, "a price off by a power of ten")


@pytest.fixture
def metrics() -> Metrics:
    """Every metric with a value."""
    metrics = Metrics("0.1.0", "static-test")
    metrics.records("products", "corrected", 3)
    metrics.findings("products", {RULE: 1})
    metrics.links("products", DUPLICATE_NEAR, 1, retracted=True)
    metrics.corrections("products", {"text.space": 2}, "standardised")
    metrics.corrections("products", {RULE.name: 1}, "suggested")
    metrics.batch("products", 3, {"decode": 0.002})
    metrics.end_to_end("products", [0.25, 0.3, 70.0])
    metrics.progress([TopicProgress("products", 7, 1.5)])
    metrics.view(10, 12)
    metrics.owned(4, 3, 9, 0.25)
    metrics.golden(2, 1)
    metrics.encoder(5, 2)
    metrics.retried("products", 2)
    metrics.rebalanced(0.3)
    metrics.ready(True)
    return metrics


def test_values_reach_the_exposition(metrics: Metrics) -> None:
    text = metrics.exposition().decode()
    for line in (
        'streamgauge_records_total{outcome="corrected",topic="products"} 3.0',
        'streamgauge_findings_total{dimension="accuracy",rule="price.scale",severity="error",topic="products"} 1.0',
        'streamgauge_findings_retracted_total{rule="duplicate.near"} 1.0',
        'streamgauge_corrections_total{kind="standardised",rule="text.space",topic="products"} 2.0',
        'streamgauge_end_to_end_seconds_bucket{le="0.25",topic="products"} 1.0',
        'streamgauge_end_to_end_seconds_bucket{le="0.5",topic="products"} 2.0',
        'streamgauge_end_to_end_seconds_bucket{le="+Inf",topic="products"} 3.0',
        'streamgauge_end_to_end_seconds_sum{topic="products"} 70.55',
        'streamgauge_lag_records{topic="products"} 7.0',
        "streamgauge_index_products 10.0",
        "streamgauge_links 4.0",
        "streamgauge_clusters 3.0",
        "streamgauge_link_caution_ratio 0.25",
        "streamgauge_golden_records 9.0",
        'streamgauge_golden_changes_total{kind="ended"} 1.0',
    ):
        assert line in text.splitlines()


def test_topics_that_were_revoked_leave_the_lag(metrics: Metrics) -> None:
    metrics.progress([])
    assert b"streamgauge_lag_records{" not in metrics.exposition()


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")
def test_promtool_finds_nothing_to_complain_about(metrics: Metrics) -> None:
    done = subprocess.run(
        ["promtool", "check", "metrics"], input=metrics.exposition(), capture_output=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def test_server_answers_metrics_and_health_and_a_second_one_takes_the_next_port(metrics: Metrics) -> None:
    state = {"ready": False}
    servers = []
    for _ in range(2):
        servers.append(
            MetricsServer(
                metrics.registry,
                lambda: (True, {}),
                lambda: (state["ready"], {"view": 3}),
                "127.0.0.1",
                servers[0].port if servers else 0,
            )
        )
        servers[-1].start()
    try:
        first, second = servers
        assert first.port < second.port < first.port + 100
        with urllib.request.urlopen(second.url, timeout=5) as answer:
            assert b"streamgauge_build_info" in answer.read()
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(f"http://127.0.0.1:{first.port}/ready", timeout=5)
        with refused.value as answer:
            assert (answer.code, orjson.loads(answer.read())) == (503, {"ok": False, "view": 3})
        state["ready"] = True
        with urllib.request.urlopen(f"http://127.0.0.1:{first.port}/ready", timeout=5) as answer:
            assert answer.status == 200
    finally:
        for server in servers:
            server.stop()


def test_a_client_that_says_nothing_keeps_neither_health_nor_the_end_waiting(metrics: Metrics) -> None:
    server = MetricsServer(metrics.registry, lambda: (True, {}), lambda: (True, {}), "127.0.0.1", 0)
    server.start()
    with socket.create_connection(("127.0.0.1", server.port)):
        with urllib.request.urlopen(f"http://127.0.0.1:{server.port}/live", timeout=5) as answer:
            assert answer.status == 200
        stopping = threading.Thread(target=server.stop)
        stopping.start()
        stopping.join(5)
        assert not stopping.is_alive()
