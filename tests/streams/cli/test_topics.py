from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.streams.cli.conftest import Run


@pytest.mark.kafka
def test_create_and_list(streamgauge: Run, kafka_servers: str, topic_prefix: str, tmp_path: Path) -> None:
    config = tmp_path / "s.toml"
    config.write_text(
        f'products = {{"{topic_prefix}products" = ""}}\nbehaviors = {{}}\n[topics]\nprefix = "{topic_prefix}"\n'
        f'partitions = 2\n[kafka]\nbootstrap_servers = "{kafka_servers}"\n'.replace('""', '"c.yaml"')
    )
    options = ("--config", config)
    code, out, err = streamgauge("topics", "create", "--no-sources", *options)
    assert code == 1
    assert "does not exist" in err
    code, out, _ = streamgauge("topics", "list", "--json", *options)
    assert {t["exists"] for t in json.loads(out)["topics"]} == {False}
    code, out, _ = streamgauge("topics", "create", "--json", *options)
    assert code == 0
    assert len(json.loads(out)["made"]) == 9
    code, out, err = streamgauge("topics", "create", *options)
    assert (code, out, err) == (0, "", "All topics were there already.\n")
    listed = json.loads(streamgauge("topics", "list", "--json", *options)[1])
    assert all(t["exists"] and not t["flaws"] for t in listed["topics"])
    assert {t["partitions"] for t in listed["topics"]} == {1, 2}
    assert any(r["resource"] == "GROUP" for r in listed["rights"])
    code, out, _ = streamgauge("topics", "list", *options)
    assert code == 0
    assert f"{topic_prefix}dead-letters" in out
    assert "TRANSACTIONAL_ID" in out
