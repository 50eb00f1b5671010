"""`streamgauge rebuild`: the catalogue for another encoder, beside the stream."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import orjson
import typer
from rich.progress import BarColumn, Progress, TaskID, TaskProgressColumn, TextColumn, TimeRemainingColumn

from streams.cli.options import ConfigOption, JsonOption, ServersOption, load_settings
from streams.cli.screen import errors, output
from streams.errors import InfrastructureError
from streams.progress import duration

if TYPE_CHECKING:
    from models.protocol import Encoder
    from streams.rebuilding import CatalogueCount
    from streams.settings import Settings

__all__ = ["rebuild"]

_LINE_SECONDS = 10.0  # between two lines where nobody watches
_NOTHING_SECONDS = 30.0  # without progress, after which we say what may be amiss

Show = Callable[[str, int, int], None]
"""What is being done, how much of it is done, of how much."""


def rebuild(
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say how many products wait and how long they take; ask for nothing.")
    ] = False,
    json: JsonOption = False,
    config: ConfigOption = None,
    bootstrap_servers: ServersOption = None,
) -> None:
    """Re-embed the catalogue with the encoder of the settings, while the workers go on with their stream.

    Vectors of two encoders are never compared: after a change of `encoder` a product finds its duplicates only among
    those that came since. First start every worker with the new encoder, then run this. It asks the workers, and
    shows how far they are: they make the vectors of their own partitions, and then look all products up again. Links,
    clusters and golden records stay as they are until then; only what the new encoder sees differently changes.

    Ctrl-C ends only the showing. The workers go on, also after they were stopped or killed; run it again to see how
    far they are. It ends with exit code 0 when everything is done.
    """
    from streams.rebuilding import ask, read_catalogue, read_to_end, workers
    from streams.worker.rebuild import Rebuild

    settings = load_settings(config, bootstrap_servers)
    began = time.monotonic()
    with _showing() as show, read_catalogue(settings) as catalogue:
        for position in read_to_end(catalogue):
            show("reading the catalogue", position, catalogue.end)
        encoder = _encoder(settings, show)
        if dry_run:
            _foretell(encoder, catalogue, json)
            return
        waiting = catalogue.foreign(encoder.name)
        known = catalogue.rebuild
        unfinished = known is not None and not known.done and known.encoder == encoder.name
        if waiting or unfinished:
            if not workers(settings):
                raise InfrastructureError(
                    f"No worker of {settings.app_id} is running, and they do the work.",
                    "Start one with this encoder, `streamgauge run`, and run this again.",
                )
            if known is None or not unfinished:
                known = Rebuild(1 if known is None else known.number + 1, encoder.name)
                ask(settings, known)
            try:
                _follow(catalogue, encoder.name, known.number, show)
            except KeyboardInterrupt:
                errors.print("The workers go on by themselves; run it again to see how far they are.")
                raise
    left = catalogue.foreign(encoder.name)
    if json:
        result = {"products": catalogue.products.total(), "embedded": waiting - left, "left": left}
        seconds = round(time.monotonic() - began, 1)
        output.out(orjson.dumps({"encoder": encoder.name, **result, "seconds": seconds, "dry_run": False}).decode())
        return
    text = f"All {catalogue.products.total():,} products have a vector of {encoder.name}"
    if waiting or unfinished:
        text += f" and were looked up with it; {waiting - left:,} had none before"
    if left:
        text = (
            f"{waiting - left:,} products have a new vector and were looked up with it. {left:,} came meanwhile from "
            "a worker with another encoder: stop that one, and run this again"
        )
    errors.print(text + ".", markup=False, soft_wrap=True)


def _encoder(settings: Settings, show: Show) -> Encoder:
    from models.encoder import load_encoder

    return load_encoder(
        settings.encoder,
        settings.encoder_path,
        cache_dir=settings.cache_dir,
        allow_download=settings.allow_download,
        progress=lambda what, share: show(what, int(100 * share), 100),
    )


def _foretell(encoder: Encoder, catalogue: CatalogueCount, json: bool) -> None:
    """Say what there is to do, and how long it takes."""
    from streams.rebuilding import measure

    products, waiting = catalogue.products.total(), catalogue.foreign(encoder.name)
    seconds = 0.0
    if waiting:
        seconds = measure(encoder, catalogue.sample).seconds(waiting, products)
    if json:
        body = {
            "encoder": encoder.name,
            "products": products,
            "left": waiting,
            "encoders": {name: count for name, count in catalogue.products.most_common() if count},
            "estimated_seconds": round(seconds, 3),
            "dry_run": True,
        }
        output.out(orjson.dumps(body).decode())
        return
    for name, count in catalogue.products.most_common():
        if count:
            mark = "  <- the encoder of the settings" if name == encoder.name else ""
            output.print(f"{count:>12,}  {name}{mark}", markup=False, soft_wrap=True)
    if not waiting:
        errors.print(f"Nothing to do: no product of {products:,} has a vector of another encoder than {encoder.name}.")
        return
    errors.print(
        f"{waiting:,} products of {products:,} need a vector of {encoder.name}. One worker on this machine takes "
        f"{duration(seconds)} at least, measured on a sample; several share the vectors.",
        markup=False,
        soft_wrap=True,
    )


def _follow(catalogue: CatalogueCount, encoder: str, number: int, show: Show) -> None:
    """Show how far the workers are until they are done."""
    most = catalogue.foreign(encoder)
    changed, seen, told = time.monotonic(), (-1, -1), False
    while True:
        catalogue.read()
        state = catalogue.rebuild
        if state is not None and state.number >= number and state.done:
            return
        left = catalogue.foreign(encoder)
        most = max(most, left)
        looked_up = -1 if state is None or state.looked_up is None or state.number < number else state.looked_up
        if looked_up >= 0 and state is not None:
            show("products are looked up again", looked_up, state.products)
        else:
            show("vectors are made", most - left, most)
        if (left, looked_up) != seen:
            changed, seen, told = time.monotonic(), (left, looked_up), False
        elif not told and time.monotonic() - changed > _NOTHING_SECONDS:
            told = True
            errors.print(
                f"Nothing has moved for {_NOTHING_SECONDS:g} s. Only workers whose encoder is {encoder} take part: see "
                "what yours say of theirs at their start (encoder.ready), and whether one of them has stopped.",
                markup=False,
                soft_wrap=True,
            )


@contextmanager
def _showing() -> Iterator[Show]:
    """A bar with the time left; where nobody watches, a line now and then."""
    looks = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TextColumn("{task.fields[counts]}"))
    if errors.is_terminal:
        with Progress(*looks, TimeRemainingColumn(), console=errors, transient=True) as bar:
            tasks: dict[str, TaskID] = {}

            def draw(what: str, done: int, of: int) -> None:
                if what not in tasks:
                    for task in tasks.values():
                        bar.update(task, visible=False)
                    tasks[what] = bar.add_task(what, total=of, counts="")
                bar.update(tasks[what], completed=done, total=of, counts=f"{done:,} of {of:,}")

            yield draw
        return
    doing, first, since, said = "", 0, 0.0, time.monotonic()

    def line(what: str, done: int, of: int) -> None:
        nonlocal doing, first, since, said
        now = time.monotonic()
        if what != doing:
            doing, first, since = what, done, now
        if now - said < _LINE_SECONDS:
            return
        said = now
        text = f"{what}: {done:,} of {of:,}"
        if done > first:
            text += f", {duration((of - done) * (now - since) / (done - first))} left"
        errors.print(text, markup=False, soft_wrap=True)

    yield line
