"""`streamgauge doctor`: what is wrong and what to do."""

from __future__ import annotations

from typing import Annotated

import orjson
import typer
from rich.markup import escape

from streams.cli.options import ConfigOption, JsonOption, ServersOption, load_settings
from streams.cli.screen import errors, output

__all__ = ["doctor"]

_COLOURS = {"ok": "green", "warn": "yellow", "fail": "bold red"}


def doctor(
    probe: Annotated[
        bool, typer.Option("--probe", help="Measure the broker's clock: makes, writes and removes one small topic.")
    ] = False,
    json: JsonOption = False,
    config: ConfigOption = None,
    bootstrap_servers: ServersOption = None,
) -> None:
    """Look at Kafka, the topics and their keys, the contracts, the encoder, the disk and the clock.

    Ends with 1 where something would keep a worker from working.
    """
    from streams.checks import Status, run_checks

    settings = load_settings(config, bootstrap_servers)
    checks = []
    with errors.status("looking") as status:  # shown on a terminal only

        def look(what: str) -> None:
            status.update(f"looking at {escape(what)}")
            status.start()

        looks = run_checks(settings, probe=probe, on_step=look)
        for check in looks:
            checks.append(check)
            if not json:
                status.stop()  # it would be drawn into the line
                output.print(f"{check.status.value:<5}", style=_COLOURS[check.status.value], end="")
                output.print(f"{check.name}: {check.message}", markup=False, soft_wrap=True)
                if check.todo:
                    output.print(f"     {check.todo}", markup=False, soft_wrap=True)
    failed = sum(check.status is Status.FAIL for check in checks)
    if json:
        output.out(orjson.dumps({"ok": failed == 0, "checks": checks}).decode())
    if failed:
        raise typer.Exit(1)
