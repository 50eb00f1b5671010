"""`streamgauge replay`: dead letters back to where they came from."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from typing import Annotated

import orjson
import typer
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from streams.cli.options import ConfigOption, JsonOption, ServersOption, load_settings
from streams.cli.screen import errors, output

__all__ = ["replay"]


def replay(
    topic: Annotated[str | None, typer.Option(help="Only those that came from this topic.")] = None,
    stage: Annotated[
        str | None,
        typer.Option(
            help="Only those that died at this stage: decode, contract, process, publish; or catalogue, links, "
            "which are left out unless named."
        ),
    ] = None,
    error: Annotated[str | None, typer.Option(help="Only those that died of this error, such as not_json.")] = None,
    since: Annotated[
        str | None, typer.Option(metavar="TIME", help="Only those that died then or later (ISO 8601).")
    ] = None,
    until: Annotated[str | None, typer.Option(metavar="TIME", help="Only those that died before (ISO 8601).")] = None,
    again: Annotated[
        bool, typer.Option("--again", help="Also those that were replayed before, and those that died again.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be sent, and send nothing.")] = False,
    json: JsonOption = False,
    config: ConfigOption = None,
    bootstrap_servers: ServersOption = None,
) -> None:
    """Send dead letters back to the topics they came from: original key, value and headers, in their old partition.

    A header streamgauge.replayed says how often. A letter that died again of the same error is left out: mend what
    it died of, then replay it with --again.

    A letter is acknowledged only after Kafka has confirmed what was sent, so a run that breaks off can be repeated.
    What was replayed once, with whatever filters, is left out without --again, as long as Kafka remembers it (a week,
    unless your brokers say otherwise). It ends with the letters that were there when it began.
    """
    from streams.replayer import STAGES, Filters, replay_letters

    if stage is not None and stage not in STAGES:
        raise typer.BadParameter(f"--stage {stage!r} is none: write {', '.join(STAGES[:-1])} or {STAGES[-1]}.")
    filters = Filters(topic, stage, error, _time(since, "--since"), _time(until, "--until"))
    settings = load_settings(config, bootstrap_servers)
    hidden = not errors.is_terminal
    looks = (SpinnerColumn(), TextColumn("{task.description}"), TextColumn("{task.completed:,.0f} letters"))
    with Progress(*looks, TimeElapsedColumn(), console=errors, transient=True, disable=hidden) as bar:
        task = bar.add_task("looking at" if dry_run else "replaying", total=None)
        result = replay_letters(
            settings, filters, dry_run=dry_run, again=again, on_progress=lambda n: bar.update(task, completed=n)
        )
    if json:
        causes = [
            {"topic": death[0], "stage": death[1], "error": death[2], "letters": count}
            for death, count in result.causes.most_common()
        ]
        counts = {
            "read": result.read,
            "sent": result.sent,
            "passed_over": result.passed_over,
            "foreign": result.foreign,
            "died_again": result.died_again,
            "repeated": result.repeated,
            "before": result.before,
        }
        output.out(orjson.dumps(counts | {"dry_run": dry_run, "causes": causes}).decode())
        return
    _show(result.causes, "would be sent" if dry_run else "sent")
    text = f"{result.read:,} letters read, {result.sent:,} {'would be sent' if dry_run else 'sent'}"
    if result.passed_over:
        text += f", {result.passed_over:,} passed over by the filters"
    if result.foreign:
        text += f", {result.foreign:,} left because their headers do not say where they came from"
    if result.before:
        text += f", {result.before:,} left because a run with other filters replayed them (--again sends them, too)"
    if result.repeated:
        text += f", {result.repeated:,} left because they are later deaths of records that were sent"
    errors.print(text, markup=False, soft_wrap=True)
    if result.died_again:
        errors.print(
            f"{result.died_again:,} left because they died again of the same error after a replay: mend what they died "
            "of, then add --again.",
            markup=False,
            soft_wrap=True,
        )


def _show(causes: Counter[tuple[str, str, str]], done: str) -> None:
    if causes:
        table = Table("topic", "stage", "error", done)
        for (topic, stage, error), count in causes.most_common():
            table.add_row(topic, stage, error, f"{count:,}")
        output.print(table)


def _time(text: str | None, option: str) -> int | None:
    """Milliseconds since 1970; a time without zone is UTC."""
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(f"{option} {text!r} is no time: write 2026-01-31 or 2026-01-31T12:00:00Z.") from None
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)
