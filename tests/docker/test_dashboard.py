"""Grafana's provisioning and the dashboard."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import orjson
import pytest

from tests.docker.monitoring import DOCKER, exposed, load_yaml, names, tool, unknown

GRAFANA = DOCKER / "grafana"
DASHBOARD: dict[str, Any] = orjson.loads((GRAFANA / "dashboards" / "streamgauge.json").read_bytes())
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]


def title(panel: dict[str, Any]) -> str:
    return str(panel["title"])


def queries() -> list[str]:
    found = [target["expr"] for panel in PANELS for target in panel["targets"]]
    return found + [annotation["expr"] for annotation in DASHBOARD["annotations"]["list"]]


def test_rows() -> None:
    rows = [panel["title"] for panel in DASHBOARD["panels"] if panel["type"] == "row"]
    assert rows == ["At a glance", "Flow", "Quality", "Duplicates and catalogue", "Health"]


@pytest.mark.parametrize("panel", PANELS, ids=title)
class TestPanel:
    def test_says_what_it_shows(self, panel: dict[str, Any]) -> None:
        assert panel["title"]
        assert panel["description"]
        assert panel["fieldConfig"]["defaults"]["unit"]
        assert panel["fieldConfig"]["defaults"]["thresholds"]["steps"][0]["value"] is None

    def test_takes_the_chosen_data_source(self, panel: dict[str, Any]) -> None:
        for part in (panel, *panel["targets"]):
            assert part["datasource"] == {"type": "prometheus", "uid": "${datasource}"}

    def test_reads_what_exists(self, panel: dict[str, Any]) -> None:
        for target in panel["targets"]:
            assert not unknown(target["expr"])


def test_panels_do_not_overlap() -> None:
    taken: dict[tuple[int, int], str] = {}
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        for x in range(place["x"], place["x"] + place["w"]):
            for y in range(place["y"], place["y"] + place["h"]):
                assert (x, y) not in taken, (panel["title"], taken[x, y])
                taken[x, y] = panel["title"]
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])
    assert len({panel["title"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])


def test_every_metric_is_shown() -> None:
    families = {re.sub("_(bucket|sum|count)$", "", name) for name in exposed()}
    shown = {re.sub("_(bucket|sum|count)$", "", name) for query in queries() for name in names(query)}
    through_rules = {"streamgauge_encoder_cache_hits_total"}
    assert families - shown - through_rules == set()


def test_the_topic_can_be_chosen() -> None:
    variables = {variable["name"]: variable for variable in DASHBOARD["templating"]["list"]}
    assert set(variables) == {"datasource", "topic"}
    assert not unknown(variables["topic"]["definition"].removeprefix("label_values(").split(",")[0])
    assert sum("$topic" in query for query in queries()) > 10


def test_queries_are_promql(tmp_path: Path) -> None:
    filled = [
        query.replace("$__rate_interval", "1m").replace("$__range", "1h").replace("$topic", ".+") for query in queries()
    ]
    assert not [query for query in filled if "$" in query]
    rules = [{"record": f"query:{number}", "expr": query} for number, query in enumerate(filled)]
    path = tmp_path / "queries.yaml"
    path.write_bytes(orjson.dumps({"groups": [{"name": "dashboard", "rules": rules}]}))  # JSON is YAML
    tool("promtool", "check", "rules", path)


def test_provisioning_leads_to_the_dashboard() -> None:
    (source,) = load_yaml(GRAFANA / "provisioning" / "datasources" / "prometheus.yaml")["datasources"]
    assert (source["type"], source["url"]) == ("prometheus", "http://prometheus:9090")
    chosen = next(v for v in DASHBOARD["templating"]["list"] if v["name"] == "datasource")["current"]
    assert chosen["value"] == source["uid"]
    (provider,) = load_yaml(GRAFANA / "provisioning" / "dashboards" / "streamgauge.yaml")["providers"]
    grafana = load_yaml(DOCKER / "compose.yaml")["services"]["grafana"]
    folder = provider["options"]["path"]
    assert f"./grafana/dashboards:{folder}:ro" in grafana["volumes"]
    assert grafana["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"] == f"{folder}/streamgauge.json"
