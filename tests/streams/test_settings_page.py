"""The page of settings says what the settings are."""

from __future__ import annotations

from pathlib import Path

import pytest

from streams.cli.settings_errors import check_environment
from streams.settings import Settings
from streams.settings_page import settings_page

PAGE = Path(__file__).resolve().parents[2] / "docs" / "settings.md"


def _rows() -> dict[str, list[str]]:
    """The cells beside each setting, by its name in TOML."""
    lines = [line.strip("|").split(" | ") for line in settings_page().splitlines() if line.startswith("| `")]
    return {cells[0].strip(" `"): [cell.strip() for cell in cells[1:]] for cells in lines}


def test_the_page_of_settings_is_up_to_date() -> None:
    command = "from streams.settings_page import *; open('docs/settings.md', 'w').write(settings_page())"
    assert PAGE.read_text(encoding="utf-8") == settings_page(), (
        f'docs/settings.md is stale; make it anew: python -c "{command}"'
    )


def test_every_setting_is_told_in_a_sentence() -> None:
    rows = _rows()
    tables = {"kafka": Settings().kafka, "topics": Settings().topics}
    nested = {f"{table}.{name}" for table, model in tables.items() for name in type(model).model_fields}
    assert rows.keys() == (Settings.model_fields.keys() - tables.keys()) | nested
    assert all(len(cells[3]) > 15 for cells in rows.values())


def test_types_and_defaults_in_words() -> None:
    rows = _rows()
    assert rows["batch_records"][:3] == ["`STREAMGAUGE_BATCH_RECORDS`", "whole number, 1 to 10000", "`512`"]
    assert rows["metrics_port"][1:3] == ["whole number, 0 to 65535", "`9464`"]
    assert rows["commit_interval_seconds"][1:3] == ["number, more than 0", "`1.0`"]
    assert rows["allow_download"][1:3] == ["true or false", "`false`"]
    assert rows["encoder"][1:3] == ["`auto`, `static` or `transformer`", "`auto`"]
    assert rows["products"][1:3] == ["table, text to path", "`products`"]
    assert rows["rekey"][1:3] == ["list of texts", ""]
    assert rows["kafka.ssl_ca_file"][:3] == ["`STREAMGAUGE_KAFKA__SSL_CA_FILE`", "path", ""]
    assert [name for name, cells in rows.items() if "secret" in cells[1]] == ["kafka.sasl_password"]


def test_the_environment_is_read_as_the_page_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert check_environment({cells[0].strip("`"): "" for cells in _rows().values()}) == []
    file = tmp_path / "s.toml"
    file.write_text('[products]\na = "/a.yaml"\nb = "/b.yaml"\n')
    monkeypatch.setenv("STREAMGAUGE_PRODUCTS", '{"b": null, "c.d": "e.yaml"}')
    monkeypatch.setenv("STREAMGAUGE_REKEY", "a, b")
    monkeypatch.setenv("STREAMGAUGE_TOPICS__PREFIX", "shop.")
    settings = Settings.from_file(file)
    assert settings.products == {"a": Path("/a.yaml"), "b": None, "c.d": Path("e.yaml")}
    assert (settings.rekey, settings.topics.prefix, settings.behaviors) == ({"a", "b"}, "shop.", {})
