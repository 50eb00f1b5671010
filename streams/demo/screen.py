"""The demo's live screen, and the lines that stand in for it where there is no terminal."""

from __future__ import annotations

import itertools
import unicodedata
from collections.abc import Iterable

from rich.cells import cell_len, set_cell_size
from rich.console import Console, Group, RenderableType
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from streams.demo.state import DemoState, Phase
from streams.marketplace.events import FaultKind
from streams.marketplace.truth import DUPLICATE, VARIANT, Example, KindCount, Report

__all__ = ["excerpt", "label", "line", "print_line", "render", "visible"]

_WIDE = 100  # columns from which the reason has one of its own
_FIXED_LINES = 13  # of the screen beside the rows of the table
_LEAD = 6  # cells shown before the first difference of an example
_LABEL = 22  # cells

# Rows keep their places: what is repaired first, then what is found, then what cannot be processed.
_ORDER = tuple(
    dict.fromkeys(
        (
            FaultKind.MOJIBAKE,
            FaultKind.HTML_ENTITIES,
            FaultKind.CONTROL_CHARACTERS,
            FaultKind.REPEATED_PHRASE,
            FaultKind.PRICE_TIMES_100,
            FaultKind.PRICE_DIV_100,
            FaultKind.CURRENCY_LABEL,
            FaultKind.NEGATIVE_PRICE,
            FaultKind.PRICE_CONTRADICTION,
            FaultKind.BRAND_TYPO,
            FaultKind.BRAND_SWAP,
            FaultKind.CATEGORY_SWAP,
            *FaultKind,
        )
    )
)


def label(kind: str) -> str:
    """A kind of fault in words."""
    return kind.replace("_", " ").replace("price times 100", "price × 100").replace("price div 100", "price ÷ 100")


def render(state: DemoState, width: int, height: int) -> RenderableType:
    """The whole screen for a terminal of this many columns and lines."""
    return Panel(
        Group(
            _progress(state, width - 4),
            Text(),
            _figures(state, width),
            Text(),
            _faults(state.report, width - 4, height),
        ),
        title=Text.assemble(("Streamgauge", "bold"), " · a simulated marketplace on Apache Kafka"),
        title_align="left",
        subtitle=_footer(state),
        subtitle_align="left",
        border_style="cyan",
        width=width,
    )


def line(state: DemoState) -> str:
    """One line of progress."""
    report = state.report
    left = "" if state.limit is None else f"/{state.limit:.0f}"
    parts = [f"{state.phase}"]
    if state.sent:
        parts = [
            f"{state.seconds:.0f}{left} s  {state.phase}",
            f"{state.sent} events",
            f"{state.rate:.0f}/s",
            f"{report.found} of {report.planted} faults found",
            f"{report.by_kind[DUPLICATE].found if DUPLICATE in report.by_kind else 0} duplicates",
            f"{report.dead_letters} dead letters",
        ]
        if state.p99_ms is not None:
            parts.append(f"p99 {state.p99_ms:.0f} ms")
    return " · ".join(parts)


def visible(text: str) -> str:
    """The text on one line with what cannot be seen written out, as in \\x07."""
    shown = []
    for char in text:
        if char in "\n\t\r":
            shown.append(" ")
        elif unicodedata.category(char) in {"Cc", "Cf", "Cs", "Co", "Cn"}:
            shown.append(f"\\x{ord(char):02x}")
        else:
            shown.append(char)
    return "".join(shown)


def excerpt(before: str, after: str, width: int) -> tuple[str, str]:
    """Both texts cut to `width` cells each, from a little before where they differ."""
    before, after = visible(before), visible(after)
    if max(cell_len(before), cell_len(after)) > width:
        same = sum(1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], zip(before, after, strict=False)))
        if cell_len(before[:same]) > _LEAD:
            start = same
            while start > 0 and cell_len(before[start - 1 : same]) < _LEAD:
                start -= 1
            before, after = "…" + before[start:], "…" + after[start:]
    return _cut(before, width), _cut(after, width)


def _cut(text: str, width: int) -> str:
    if cell_len(text) <= width:
        return text
    return set_cell_size(text, width - 1).rstrip() + "…"


def _progress(state: DemoState, width: int) -> RenderableType:
    grid = Table.grid(expand=True, padding=(0, 1))
    grid.add_column(no_wrap=True)
    grid.add_column(ratio=1)
    grid.add_column(no_wrap=True, justify="right")
    style = "bold green" if state.phase in (Phase.LIVE, Phase.DONE) else "bold yellow"
    if state.limit is None:
        time, done = f"{state.seconds:.0f} s", None
    else:
        time, done = f"{max(0.0, state.limit - state.seconds):.0f} s left", min(state.seconds, state.limit)
    bar: RenderableType = Text()
    if state.limit is not None:
        bar = ProgressBar(total=state.limit, completed=done or 0.0, complete_style="cyan", finished_style="green")
    grid.add_row(Text(str(state.phase), style=style), bar, Text(time))
    return grid


def _figures(state: DemoState, width: int) -> RenderableType:
    report = state.report
    links = report.by_kind.get(DUPLICATE, KindCount())
    figures = [
        ("events/s", f"{state.rate:,.0f}"),
        ("events", f"{state.sent:,}"),
        ("faults found", f"{report.found}/{report.planted}"),
        ("duplicates", f"{links.found:,}"),
        ("repairs", f"{report.repairs}"),
        ("dead letters", f"{report.dead_letters}"),
        ("p50 / p99", "–" if state.p50_ms is None else f"{state.p50_ms:.0f}/{state.p99_ms or 0:.0f} ms"),
    ]
    if width < _WIDE:
        del figures[1]
    grid = Table.grid(expand=True)
    for _ in figures:
        grid.add_column(justify="center", ratio=1, no_wrap=True)
    grid.add_row(*(Text(value, style="bold") for _, value in figures))
    grid.add_row(*(Text(name, style="dim") for name, _ in figures))
    return grid


def _faults(report: Report, width: int, height: int) -> RenderableType:
    wide = width >= _WIDE
    room = width - _LABEL - 9 - 6 - 2  # the count is 9 wide; gaps and the arrow
    each = max(8, (room * 9 // 16 if wide else room) // 2 - 2)
    table = Table(expand=True, box=None, padding=(0, 1), show_edge=False, header_style="dim", pad_edge=False)
    table.add_column("fault", width=_LABEL, no_wrap=True)
    table.add_column("found", width=9, justify="right", no_wrap=True)
    table.add_column("as it came → as it is now, or might be?", width=2 * each + 3, no_wrap=True)
    if wide:
        table.add_column("why", no_wrap=True, ratio=1, overflow="ellipsis")
    rows = _rows(report, max(3, height - _FIXED_LINES))
    for kind, count in rows:
        example = report.examples.get(kind)
        cells: list[RenderableType] = [
            Text(label(kind), style="" if count.found else "dim"),
            _count(count),
            _example(example, each),
        ]
        if wide:
            cells.append(Text(visible(example.reason) if example else "", style="dim"))
        table.add_row(*cells)
    if not rows:
        table.add_row(Text("nothing yet", style="dim"))
    return table


def _rows(report: Report, limit: int) -> list[tuple[str, KindCount]]:
    """Duplicates and variants, then the kinds in their order; where room is short, those with something found."""
    kinds = [(kind.value, report.by_kind[kind]) for kind in _ORDER if kind in report.by_kind]
    kinds = [item for item in kinds if item[1].planted]
    beside = [(kind, report.by_kind.get(kind, KindCount())) for kind in (DUPLICATE, VARIANT)]
    first = [(kind, count) for kind, count in beside if count.planted]
    if len(kinds) > limit - len(first):
        kinds = [item for item in kinds if item[1].found] or kinds
    return [*first, *kinds][:limit]


def _count(count: KindCount) -> Text:
    text = Text(str(count.found), style="bold green" if count.found else "dim")
    return text.append(f"/{count.planted}", style="dim")


def _example(example: Example | None, each: int) -> Text:
    if example is None:
        return Text()
    if example.after is None:
        return Text(_cut(visible(example.before), 2 * each + 3), style="red")
    before, after = excerpt(example.before, example.after, each)
    if example.suggested:
        return Text.assemble((before, "red"), (" → ", "dim"), (after, "yellow"), ("?", "dim"))
    return Text.assemble((before, "red"), (" → ", "dim"), (after, "green"))


def _footer(state: DemoState) -> Text:
    parts: Iterable[str] = filter(
        None,
        (
            state.note,
            f"metrics {state.metrics_url}" if state.metrics_url else "",
            "Ctrl-C ends it" if state.phase is not Phase.DONE else "",
            f"encoder {state.encoder}" if state.encoder else "",
        ),
    )
    return Text(" · ".join(parts), style="dim")


def print_line(console: Console, state: DemoState) -> None:
    """Print `line` as it is, unwrapped."""
    console.print(line(state), highlight=False, markup=False, soft_wrap=True)
