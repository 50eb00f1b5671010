"""`streamgauge broker`: the embedded Kafka alone."""

from __future__ import annotations

import signal
import time
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer

from streams.cli.options import ConfigOption, load_settings
from streams.cli.screen import errors, output

__all__ = ["broker"]


def broker(
    data: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Where its data is kept. Default: kafka in the state folder.")
    ] = None,
    port: Annotated[int, typer.Option(min=0, max=65_000, help="Of the first broker; 0 takes free ones.")] = 9092,
    brokers: Annotated[int, typer.Option(min=1, max=9, help="How many; each needs about 350 MB of memory.")] = 1,
    config: ConfigOption = None,
) -> None:
    """Run Apache Kafka on this machine until Ctrl-C.

    It is reached from this machine only and keeps its data between runs. It is for trying things out, not for
    production.
    """
    from streams.errors import BrokerError
    from streams.kafka.broker import EmbeddedKafka

    settings = load_settings(config)
    kafka = EmbeddedKafka(data or settings.state_dir / "kafka", port or None, brokers, kafka_home=settings.kafka_home)
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        with kafka:
            output.print(kafka.bootstrap_servers, soft_wrap=True)
            errors.print(f"Kafka is running; its data is in {kafka.data_dir}. Ctrl-C stops it.", soft_wrap=True)
            while all(kafka.running(node) for node in range(1, brokers + 1)):
                time.sleep(0.5)
            raise BrokerError("A broker ended by itself.", f"Its log is in {kafka.data_dir}.")
    except KeyboardInterrupt:  # the ordinary end of this command
        errors.print("Kafka is stopped.")


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt
