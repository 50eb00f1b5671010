"""`streamgauge demo`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from streams.cli.options import load_settings
from streams.cli.screen import errors, output

__all__ = ["demo"]


def demo(
    seconds: Annotated[float, typer.Option(min=15, help="How long it runs, from its first event.")] = 60.0,
    forever: Annotated[bool, typer.Option("--forever", help="Run until Ctrl-C.")] = False,
    seed: Annotated[int, typer.Option(help="The same seed gives the same marketplace and the same faults.")] = 0,
    json: Annotated[bool, typer.Option("--json", help="Print the summary as one JSON object, last on stdout.")] = False,
    encoder: Annotated[str, typer.Option(help="static, or transformer.", metavar="NAME")] = "static",
    rate: Annotated[float | None, typer.Option(min=1, max=20_000, help="Events per second. [default: 400]")] = None,
    keep: Annotated[bool, typer.Option("--keep", help="Leave Kafka's data and the worker's log.")] = False,
    picture: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the last live screen to an SVG file.")
    ] = None,
) -> None:
    """Watch the monitor find and repair faults in a simulated marketplace.

    Starts an Apache Kafka and a worker of its own, lets suppliers, shoppers and bots loose on them, plants faults and
    keeps the truth. Ends with what was planted, found, repaired and falsely accused.
    """
    from streams.demo.driver import DemoOptions, run_demo
    from streams.demo.warm_up import WarmUp
    from streams.logs import configure_logs

    if encoder not in ("static", "transformer"):
        raise typer.BadParameter("Give static or transformer.", param_hint="--encoder")
    configure_logs(level="warning")  # the screen says the rest
    settings = load_settings(look=False)  # it has a Kafka and topics of its own
    options = DemoOptions(
        seconds=None if forever else seconds,
        seed=seed,
        json=json,
        encoder=encoder,
        rate=rate,
        keep=keep,
        picture=picture,
        prepare=WarmUp(settings.model_copy(update={"encoder": encoder})),
        kafka_home=settings.kafka_home,
    )
    code = run_demo(options, out=output, err=errors)
    if code:
        raise typer.Exit(code)
