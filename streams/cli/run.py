"""`streamgauge run`: a worker."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated

import typer

from streams.cli.options import ConfigOption, ServersOption, load_settings

if TYPE_CHECKING:
    from models.protocol import Encoder
    from streams.settings import Settings

__all__ = ["run"]

_EVERY_SECONDS = 2.0  # between two lines of progress


def run(
    config: ConfigOption = None,
    bootstrap_servers: ServersOption = None,
    create_topics: Annotated[
        bool, typer.Option("--create-topics", help="Make source topics that are missing, too.")
    ] = False,
) -> None:
    """Run a worker on your Kafka until Ctrl-C or SIGTERM.

    Start as many as you like, with the same settings: they share the partitions. Which topics are read, with which
    contracts, is in the settings; without any it reads the topics products and behaviors as the demo writes them.

    Exit code 0 after Ctrl-C or SIGTERM; 1 when the infrastructure fails: nothing is then acknowledged that is not
    done, so starting again continues where it stopped. Every minute in which something was done a line says what.
    """
    settings = load_settings(config, bootstrap_servers)

    import structlog

    from streams.kafka.clients import check_reachable
    from streams.kafka.topics import ensure_topics
    from streams.logs import configure_logs

    configure_logs(settings.log_format, settings.log_level)
    log = structlog.get_logger(__name__)
    log.info("worker.loading", message="Kafka, the encoder and the detectors; that can take half a minute")
    # Before all that takes its time: that they are missing or damaged is told at once.
    scorer = None
    if settings.anomaly_model is not None:
        from models.anomaly import AnomalyModel

        scorer = AnomalyModel.load(settings.anomaly_model)
        log.info("anomalies.ready", model=scorer.name)

    matcher = None
    if settings.matcher_model is not None:
        from models.matcher import load_matcher

        matcher = load_matcher(settings.matcher_model)
        log.info("matcher.ready", model=matcher.name)

    check_reachable(settings.kafka)
    for name in ensure_topics(settings, create_sources=create_topics):
        log.info("topic.made", topic=name)
    encoder = _encoder(settings)

    from streams.worker.app import Worker

    code = Worker(settings, encoder, scorer, matcher).run()
    if code:
        raise typer.Exit(code)


def _encoder(settings: Settings) -> Encoder:
    """The encoder that the settings name, made with progress where it has to be made; says what it costs."""
    import structlog

    from models.encoder import load_encoder, texts_per_second

    log = structlog.get_logger(__name__)
    said = 0.0

    def progress(what: str, share: float) -> None:
        nonlocal said
        if time.monotonic() - said >= _EVERY_SECONDS:
            said = time.monotonic()
            log.info("encoder.progress", message=f"{what}: {share:.0%}")

    encoder = load_encoder(
        settings.encoder,
        settings.encoder_path,
        cache_dir=settings.cache_dir,
        allow_download=settings.allow_download,
        progress=progress,
    )
    log.info(
        "encoder.ready",
        encoder=encoder.name,
        message=encoder.description,
        dimensions=encoder.dim,
        texts_per_second=round(texts_per_second(encoder)),
    )
    return encoder
