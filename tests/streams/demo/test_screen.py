"""What the screen and the summary show, without Kafka."""

from __future__ import annotations

import dataclasses
import io
import re
import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path

import orjson
import pytest
from rich.cells import cell_len
from rich.console import Console

from streams.demo.picture import save_picture
from streams.demo.screen import excerpt, label, line, render, visible
from streams.demo.state import DemoState, Phase
from streams.demo.summary import as_object, render_summary
from streams.marketplace import Example, FaultKind, KindCount, Report

REPORT = Report(
    events=24_000,
    planted=60,
    found=45,
    findings=980,
    findings_right=970,
    links_right=890,
    variants_right=30,
    repairs=20,
    repairs_right=19,
    lost=0,
    dead_letters=3,
    corrected=23_997,
    first_finding_seconds=11.087,
    by_kind={
        "duplicate": KindCount(planted=1000, found=900, false=4),
        "variant": KindCount(planted=40, found=24),
        "mojibake": KindCount(planted=20, found=19, repaired=18, repaired_right=18),
        "price_times_100": KindCount(planted=20, found=16, repaired=2, repaired_right=1, false=6),
        "not_json": KindCount(planted=10, found=10),
        "brand_swap": KindCount(planted=10),
    },
    false_by_rule={"price.scale": 6, "duplicate.near": 4},
    examples={
        "duplicate": Example("duplicate", "锦程优选/A18209456", "寶島百貨/TW-KET-00077", "同一型号 NK-2450; same GTIN"),
        "mojibake": Example("mojibake", "Norvik ä¸\x8d\x07 Kettle", "Norvik 不锈钢电热水壶 Kettle", "read as latin-1"),
        "price_times_100": Example("price_times_100", "￥129900.00", "1299.0", "five like it cost 1,199-1,350 元"),
        "not_json": Example("not_json", "cut off", "dead letter", "unexpected end [of] data"),
    },
)
STATE = DemoState(
    phase=Phase.LIVE,
    report=REPORT,
    seconds=41.2,
    limit=60,
    sent=24_000,
    rate=412.3,
    p50_ms=38.4,
    p99_ms=210.2,
    metrics_url="http://127.0.0.1:9464/metrics",
    encoder="static",
)


def rendered(state: DemoState, width: int, height: int = 40) -> list[str]:
    console = Console(width=width, height=height, file=io.StringIO(), record=True, force_terminal=True)
    console.print(render(state, width, height))
    return console.export_text().splitlines()


@pytest.mark.parametrize("width", [80, 100, 120, 200])
def test_every_line_fills_the_width_whatever_it_holds(width: int) -> None:
    lines = rendered(STATE, width)
    assert {cell_len(text) for text in lines} == {width}
    assert all(text[0] in "╭│╰" and text[-1] in "╮│╯" for text in lines)


@pytest.mark.parametrize(("width", "height"), [(80, 24), (120, 40)])
def test_shows_the_figures_examples_and_where_metrics_are(width: int, height: int) -> None:
    text = "\n".join(rendered(STATE, width, height))
    for part in ("live", "19 s left", "412", "45/60", "900", "38/210 ms", "price × 100", "129900.00", "1299.0"):
        assert part in text
    assert "http://127.0.0.1:9464/metrics" in text
    assert "不锈钢" in text
    assert ("why" in text) == (width >= 120)


@pytest.mark.parametrize("height", [18, 24, 30])
def test_fits_the_terminal_s_height(height: int) -> None:
    many = {kind.value: KindCount(planted=5, found=3) for kind in FaultKind} | {"duplicate": KindCount(10, 5)}
    state = replace(STATE, report=replace(REPORT, by_kind=many))
    assert len(rendered(state, 80, height)) <= height


def test_where_room_is_short_it_shows_what_was_found() -> None:
    many = {kind.value: KindCount(planted=5) for kind in FaultKind} | {"impossible_time": KindCount(5, 3)}
    text = "\n".join(rendered(replace(STATE, report=replace(REPORT, by_kind=many)), 80, 20))
    assert "impossible time" in text
    assert "mojibake" not in text


def test_before_the_first_event_there_is_a_screen_too() -> None:
    nothing = replace(REPORT, events=0, planted=0, found=0, by_kind={}, examples={}, first_finding_seconds=None)
    state = DemoState(phase=Phase.KAFKA, report=nothing, note="fetching [bold]jars")
    text = "\n".join(rendered(state, 80))
    assert "starting Apache Kafka" in text
    assert "fetching [bold]jars" in text
    assert line(state) == "starting Apache Kafka"


def test_a_line_of_progress() -> None:
    assert line(STATE) == (
        "41/60 s  live · 24000 events · 412/s · 45 of 60 faults found · 900 duplicates · 3 dead letters · p99 210 ms"
    )


@pytest.mark.parametrize(
    ("text", "shown"), [("a\x07b", "a\\x07b"), ("a\u200bb", "a\\x200bb"), ("a\nb", "a b"), ("電熱水壺", "電熱水壺")]
)
def test_what_cannot_be_seen_is_written_out(text: str, shown: str) -> None:
    assert visible(text) == shown


def test_an_excerpt_shows_where_texts_differ_within_the_width() -> None:
    before = "寶島百貨電熱水壺 Norvik Aura Electric Kettle 1.7 L &amp; more 保温"
    after = before.replace("&amp;", "&")
    left, right = excerpt(before, after, 20)
    assert "&amp;" in left
    assert "& more" in right
    assert cell_len(left) <= 20 >= cell_len(right)
    assert excerpt("abc", "abd", 20) == ("abc", "abd")


def test_labels_are_words() -> None:
    assert label("price_times_100") == "price × 100"
    assert label("bad_enum") == "bad enum"


def test_the_summary_object_is_flat_and_as_documented() -> None:
    body = orjson.loads(orjson.dumps(as_object(REPORT)))
    by_kind = body.pop("by_kind")
    assert body == {
        "events": 24_000,
        "planted": 60,
        "found": 45,
        "recall": 0.75,
        "precision": 0.8333,
        "repairs": 20,
        "repairs_right_share": 0.95,
        "lost": 0,
        "first_finding_seconds": 11.09,
    }
    assert by_kind["mojibake"] == {"planted": 20, "found": 19, "repaired": 18, "repaired_right": 18, "false": 0}


def test_the_summary_names_everything_by_kind() -> None:
    console = Console(width=100, file=io.StringIO(), record=True)
    console.print(render_summary(REPORT))
    text = console.export_text()
    assert "price × 100" in text
    assert "duplicate links" in text
    assert re.search(r"variants +40 +24 +0", text)
    assert (
        "Precision 0.833: 50 of 60 findings name a planted fault; 890 more name duplicates that are so, 30 name "
        "variants." in " ".join(text.split())
    )
    assert "price.scale 6, duplicate.near 4" in text


def test_of_an_interrupted_run_nothing_is_called_lost() -> None:
    report = dataclasses.replace(REPORT, lost=88)
    assert as_object(report)["lost"] == 88
    assert "pending" not in as_object(report)
    interrupted = as_object(report, interrupted=True)
    assert (interrupted["lost"], interrupted["pending"]) == (0, 88)
    console = Console(width=200, file=io.StringIO(), record=True)
    console.print(render_summary(report, interrupted=True))
    text = console.export_text()
    assert "88 not worked off yet when the demo was interrupted." in text
    assert "lost" not in text


def test_a_picture_gives_chinese_characters_two_cells(tmp_path: Path) -> None:
    save_picture(STATE, tmp_path / "screen.svg", 120, 40)
    texts = [
        (float(element.attrib["textLength"]), "".join(element.itertext()))
        for element in ET.parse(tmp_path / "screen.svg").iter("{http://www.w3.org/2000/svg}text")
        if "textLength" in element.attrib
    ]
    cells = {round(length / cell_len(text), 1) for length, text in texts if text.strip() and cell_len(text)}
    assert len(cells) == 1
    assert any("不锈钢" in text for _, text in texts)
