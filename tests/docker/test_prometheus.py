"""Prometheus and Alertmanager: configuration, rules, alerts and the page that explains them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from streams.settings import Settings
from tests.docker.monitoring import DOCKER, PROMETHEUS, ROOT, RULES, exposed, load_yaml, tool, unknown

CASES = sorted((Path(__file__).parent / "rules").glob("*.test.yaml"))


def rules_of(kind: str) -> list[dict[str, Any]]:
    groups = [group for path in RULES for group in load_yaml(path)["groups"]]
    return [rule for group in groups for rule in group["rules"] if kind in rule]


def headings() -> dict[str, str]:
    """The sections of the page on alerts: title to text."""
    parts = re.split(r"^## (.+)$", (ROOT / "docs" / "alerts.md").read_text(encoding="utf-8"), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def test_configuration() -> None:
    assert f"{len(RULES)} rule files found" in tool("promtool", "check", "config", PROMETHEUS / "prometheus.yml")


def test_rules() -> None:
    said = tool("promtool", "check", "rules", "--lint=all", "--lint-fatal", *RULES)
    assert said.count("SUCCESS") == len(RULES)


@pytest.mark.parametrize("cases", CASES, ids=lambda path: path.name)
def test_alerts_fire_when_they_must_and_only_then(cases: Path) -> None:
    tool("promtool", "test", "rules", cases)


def test_every_alert_is_seen_firing() -> None:
    fired = {
        case["alertname"]
        for path in CASES
        for test in load_yaml(path)["tests"]
        for case in test.get("alert_rule_test", ())
        if case.get("exp_alerts")
    }
    assert fired == {rule["alert"] for rule in rules_of("alert")}


@pytest.mark.parametrize("rule", rules_of("alert"), ids=lambda rule: f"{rule['alert']}-{rule['labels']['severity']}")
class TestAlert:
    def test_is_explained(self, rule: dict[str, Any]) -> None:
        assert rule["annotations"]["runbook"] == f"docs/alerts.md#{rule['alert'].lower()}"
        section = headings()[rule["alert"]]
        assert all(word in section for word in ("**Means:**", "**Look at:**", "**Do:**"))

    def test_says_how_bad_it_is_and_what(self, rule: dict[str, Any]) -> None:
        assert rule["labels"] == {"severity": rule["labels"]["severity"]}
        assert rule["labels"]["severity"] in ("critical", "warning")
        assert set(rule["annotations"]) == {"summary", "description", "runbook"}
        assert rule["for"]

    def test_reads_what_exists(self, rule: dict[str, Any]) -> None:
        assert not unknown(rule["expr"])


@pytest.mark.parametrize("rule", rules_of("record"), ids=lambda rule: str(rule["record"]))
def test_recording_rule_reads_what_exists(rule: dict[str, Any]) -> None:
    assert not unknown(rule["expr"])
    assert re.fullmatch(r"[a-z_]+:[a-z_]+:[a-z0-9_]+|streamgauge:[a-z_]+:[a-z0-9_]+", rule["record"])


def test_every_section_has_its_alert() -> None:
    assert set(headings()) == {rule["alert"] for rule in rules_of("alert")}


def test_the_check_of_names_sees_what_is_wrong() -> None:
    assert unknown("rate(streamgauge_no_such_total[5m])") == {"streamgauge_no_such_total"}
    assert unknown('streamgauge_ready{job="x", topic=~"y"}') == {"streamgauge_ready{topic}"}
    assert unknown("topic:streamgauge_no_such:rate5m") == {"topic:streamgauge_no_such:rate5m"}
    assert not unknown('sum by (le) (rate(streamgauge_end_to_end_seconds_bucket{topic="a", le="1.0"}[5m]))')
    assert "streamgauge_records_total" in exposed()


def test_it_scrapes_the_workers_port() -> None:
    jobs = {job["job_name"]: job for job in load_yaml(PROMETHEUS / "prometheus.yml")["scrape_configs"]}
    assert jobs["streamgauge"]["dns_sd_configs"][0]["port"] == Settings.model_fields["metrics_port"].default


class TestAlertmanager:
    def test_configuration(self) -> None:
        assert "SUCCESS" in tool("amtool", "check-config", DOCKER / "alertmanager" / "alertmanager.yml")

    @pytest.mark.parametrize("severity", ["critical", "warning"])
    def test_routes(self, severity: str) -> None:
        path = DOCKER / "alertmanager" / "alertmanager.yml"
        said = tool("amtool", "config", "routes", "test", f"--config.file={path}", f"severity={severity}")
        assert said.split()[0] == "nobody"

    def test_inhibits_alerts_that_exist(self) -> None:
        rules = load_yaml(DOCKER / "alertmanager" / "alertmanager.yml")["inhibit_rules"]
        matchers = " ".join(text for rule in rules for text in rule["source_matchers"] + rule["target_matchers"])
        named = set(re.findall(r"Streamgauge\w+", matchers))
        assert named <= {rule["alert"] for rule in rules_of("alert")}
        assert named
