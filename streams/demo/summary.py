"""What the demo ends with: a table for people, one flat object for programs."""

from __future__ import annotations

from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from streams.demo.screen import label
from streams.marketplace.truth import DUPLICATE, VARIANT, KindCount, Report

__all__ = ["as_object", "render_summary"]


def as_object(report: Report, *, interrupted: bool = False) -> dict[str, Any]:
    """The summary for `--json`. `by_kind` also has `duplicate`, whose planted are links, and `variant`, whose planted
    are relations between articles; neither is among `planted`.

    interrupted: the worker was not given the time to work everything off, so nothing counts as lost; what nothing
    accounts for yet is `pending` then.
    """
    first = report.first_finding_seconds
    return {
        "events": report.events,
        "planted": report.planted,
        "found": report.found,
        "recall": round(report.recall, 4),
        "precision": round(report.precision, 4),
        "repairs": report.repairs,
        "repairs_right_share": round(report.repairs_right_share, 4),
        "lost": 0 if interrupted else report.lost,
        **({"pending": report.lost} if interrupted else {}),
        "first_finding_seconds": None if first is None else round(first, 2),
        "by_kind": {
            kind: {
                "planted": count.planted,
                "found": count.found,
                "repaired": count.repaired,
                "repaired_right": count.repaired_right,
                "false": count.false,
            }
            for kind, count in sorted(report.by_kind.items())
        },
    }


def render_summary(report: Report, *, interrupted: bool = False) -> RenderableType:
    """Planted, found, repaired and falsely accused, by kind. interrupted: see `as_object`."""
    table = Table(
        title="What was planted, and what the monitor made of it", title_style="bold", box=None, pad_edge=False
    )
    table.add_column("fault", no_wrap=True)
    for name in ("planted", "found", "repaired", "right", "falsely accused"):
        table.add_column(name, justify="right", no_wrap=True)
    kinds = [item for item in sorted(report.by_kind.items()) if item[0] not in (DUPLICATE, VARIANT, "other")]
    for kind, count in kinds:
        table.add_row(label(kind), *_cells(count))
    if "other" in report.by_kind:
        table.add_row("other", *_cells(report.by_kind["other"]))
    table.add_section()
    links, variants = (report.by_kind.get(kind, KindCount()) for kind in (DUPLICATE, VARIANT))
    false = report.faults_said - report.faults_named - links.false - variants.false
    table.add_row(
        "all faults",
        *map(str, (report.planted, report.found, report.repairs, report.repairs_right, false)),
        style="bold",
    )
    for name, beside in (("duplicate links", links), ("variants", variants)):
        table.add_row(name, str(beside.planted), str(beside.found), "", "", str(beside.false), style="bold")
    return Group(table, Text(), *_sentences(report, interrupted))


def _cells(count: KindCount) -> list[Text]:
    values = (count.planted, count.found, count.repaired, count.repaired_right, count.false)
    return [Text(str(value), style="" if value else "dim") for value in values]


def _sentences(report: Report, interrupted: bool) -> list[Text]:
    sentences = [
        f"Recall {report.recall:.3f}: {report.found} of {report.planted} planted faults were found.",
        f"Precision {report.precision:.3f}: {report.faults_named} of {report.faults_said} findings name a planted "
        f"fault; {report.links_right} more name duplicates that are so, {report.variants_right} name variants.",
        f"{report.repairs_right} of {report.repairs} repairs put the true value there.",
        f"{report.events} events: {report.corrected} corrected or deleted, {report.dead_letters} dead letters, "
        + (
            f"{report.lost} not worked off yet when the demo was interrupted."
            if interrupted
            else f"{report.lost} lost."
        ),
    ]
    if report.first_finding_seconds is not None:
        sentences.append(f"The first finding came {report.first_finding_seconds:.1f} s after the worker was started.")
    if report.false_by_rule:
        worst = list(report.false_by_rule.items())[:6]
        sentences.append("False accusations by rule: " + ", ".join(f"{rule} {n}" for rule, n in worst) + ".")
    return [Text(sentence) for sentence in sentences]
