"""What the tests of rules and dashboards share: the metrics that a worker exposes, and which a query names."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families
from ruamel.yaml import YAML

from detectors.duplicates.score import DUPLICATE_NEAR
from detectors.records import Dimension, Rule, Severity
from sinks.metrics import Metrics, TopicProgress

ROOT = Path(__file__).resolve().parents[2]
DOCKER = ROOT / "docker"
PROMETHEUS = DOCKER / "prometheus"
RULES = sorted((PROMETHEUS / "rules").glob("*.yaml"))

_TARGET = {"job", "instance"}  # labels that Prometheus adds
_QUOTED = re.compile(r"\"[^\"]*\"|'[^']*'")
_NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
_SELECTOR = re.compile(r"(\bstreamgauge_\w+)\{([^}]*)\}")


def load_yaml(path: Path) -> Any:
    return YAML(typ="safe").load(path.read_text(encoding="utf-8"))


def tool(name: str, *arguments: str | Path) -> str:
    """Run a tool of Prometheus and return what it says; fails the test where the tool finds fault."""
    if shutil.which(name) is None:
        package = {"promtool": "prometheus", "amtool": "prometheus-alertmanager"}[name]
        pytest.skip(f"{name} is not installed (Debian: apt-get install {package})")
    done = subprocess.run([name, *map(str, arguments)], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def exposed() -> dict[str, set[str]]:
    """The labels of every sample that a worker exposes, by the sample's name."""
    rule = Rule("a.rule", Dimension.ACCURACY, Severity.ERROR, "a rule")
    metrics = Metrics("1.0", "static")
    metrics.records("products", "corrected", 1)
    metrics.findings("products", {rule: 1})
    metrics.links("products", DUPLICATE_NEAR, 1, retracted=True)
    metrics.corrections("products", {"text.space": 1}, "standardised")
    metrics.batch("products", 1, {"encode": 0.1})
    metrics.end_to_end("products", [0.1])
    metrics.progress([TopicProgress("products", 1, 1.0)])
    metrics.golden(1, 1)
    metrics.retried("products", 1)
    metrics.rebalanced(0.1)
    families = text_string_to_metric_families(metrics.exposition().decode())
    found: dict[str, set[str]] = {}
    for family in families:
        for sample in family.samples:
            found.setdefault(sample.name, set()).update(sample.labels)
    return {name: labels for name, labels in found.items() if not name.endswith("_created")}


def recorded() -> set[str]:
    """The names that the recording rules make."""
    groups = [group for path in RULES for group in load_yaml(path)["groups"]]
    return {rule["record"] for group in groups for rule in group["rules"] if "record" in rule}


def names(expression: str) -> set[str]:
    """The metrics of ours that a query reads."""
    return {name for name in _NAME.findall(_QUOTED.sub("", expression)) if "streamgauge" in name}


def unknown(expression: str) -> set[str]:
    """What a query reads and nobody exposes or records, and labels that it selects by and a metric does not have."""
    metrics = exposed()
    wrong = names(expression) - set(metrics) - recorded()
    for name, matchers in _SELECTOR.findall(expression):
        labels = set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", _QUOTED.sub("", matchers)))
        wrong |= {f"{name}{{{label}}}" for label in labels - metrics.get(name, set()) - _TARGET}
    return wrong
