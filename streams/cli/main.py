"""Entry of the command line. A command's module is imported only when that command is called."""

from __future__ import annotations

import importlib
import signal
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import wraps
from importlib.metadata import PackageNotFoundError, version
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

__all__ = ["COMMANDS", "Command", "build", "main"]

_OURS = frozenset({"streams", "detectors", "models", "sinks"})
_INTERRUPTED = 128 + signal.SIGINT


@dataclass(frozen=True, slots=True)
class Command:
    """A command: its words, where its function is, and the line that help shows.

    The function is an ordinary typer command; its docstring is the help of the command itself.
    """

    words: str
    module: str
    function: str
    help: str


COMMANDS = (
    Command("demo", "streams.cli.demo", "demo", "Watch the monitor find and repair faults in a simulated marketplace."),
    Command("run", "streams.cli.run", "run", "Run a worker on your Kafka."),
    Command("broker", "streams.cli.broker", "broker", "Run an Apache Kafka on this machine, for trying things out."),
    Command("send", "streams.cli.send", "send", "Send CSV, JSON lines or Parquet into a topic."),
    Command("topics create", "streams.cli.topics", "create", "Make the topics that a deployment needs."),
    Command(
        "topics list", "streams.cli.topics", "list_topics", "Show the topics, their settings and the rights needed."
    ),
    Command("doctor", "streams.cli.doctor", "doctor", "Look for what is wrong with Kafka, the topics or this machine."),
    Command("show", "streams.cli.show", "show", "Show the newest records of a topic, readable."),
    Command("replay", "streams.cli.replay", "replay", "Send dead letters back to the topics they came from."),
    Command(
        "rebuild", "streams.cli.rebuild", "rebuild", "Re-embed the catalogue with another encoder, beside the stream."
    ),
    Command("contract check", "streams.cli.contract", "check", "Say what is wrong with a data contract, and where."),
    Command("contract draft", "streams.cli.contract", "draft", "Propose a data contract from a sample of data."),
    Command(
        "evaluate duplicates", "streams.cli.evaluate", "duplicates", "Measure duplicate detection against a truth."
    ),
    Command("evaluate anomalies", "streams.cli.evaluate", "anomalies", "Measure the anomaly classifier and repairs."),
    Command("train encoder", "streams.cli.train", "encoder", "Make the static encoder for the CPU."),
    Command("evaluate matcher", "streams.cli.evaluate", "matcher", "Measure a trained matcher on labelled pairs."),
    Command("train matcher", "streams.cli.train", "matcher", "Train the matcher of duplicates on labelled pairs."),
    Command("train anomalies", "streams.cli.train", "anomalies", "Train the anomaly classifier on a clean sample."),
)

_GROUPS = {
    "topics": "Make and show the topics of a deployment.",
    "contract": "Check and draft data contracts.",
    "evaluate": "Measure the detectors on data whose truth is known.",
    "train": "Train the models.",
}


class _Group(TyperGroup):
    """A group that takes the beginning of a command for a mistyped one; typer finds those that are spelled alike."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """As typer does. Fails with a suggestion where commands begin with what was given."""
        given = args[0]
        if given not in self.commands:
            begun = [name for name in self.commands if given and name.startswith(given)]
            if begun:
                ctx.fail(f"No such command {given!r}. Did you mean {', '.join(map(repr, begun))}?")
        return super().resolve_command(ctx, args)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit: 0 done, 1 an error that a person can put right, 2 bad usage, 130 Ctrl-C."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    try:
        build(arguments)(arguments or ["--help"], prog_name="streamgauge")
    except KeyboardInterrupt:  # while a module was loading
        sys.exit(_INTERRUPTED)


def build(arguments: Sequence[str]) -> typer.Typer:
    """The app with every command; only the one that is called is more than its name and its line of help."""
    app = typer.Typer(
        name="streamgauge",
        cls=_Group,
        help="Finds and repairs faults in an online shop's product and behaviour events as they pass through Kafka.",
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode="rich",
        context_settings={"help_option_names": ["-h", "--help"]},
        callback=_global_options,
    )
    groups: dict[str, typer.Typer] = {}
    for command in COMMANDS:
        *group, name = command.words.split()
        parent = app
        if group:
            if group[0] not in groups:
                groups[group[0]] = typer.Typer(cls=_Group, no_args_is_help=True)
                app.add_typer(groups[group[0]], name=group[0], help=_GROUPS[group[0]])
            parent = groups[group[0]]
        called = list(arguments[: len(group) + 1]) == [*group, name]
        parent.command(name, short_help=command.help, no_args_is_help=False)(_load(command) if called else _stub)
    return app


def _global_options(
    show_version: Annotated[
        bool, typer.Option("--version", help="Show the version.", is_eager=True, callback=lambda v: _version(v))
    ] = False,
) -> None:
    pass


def _version(wanted: bool) -> None:
    if wanted:
        try:
            number = version("streamgauge")
        except PackageNotFoundError:
            number = "(not installed)"
        typer.echo(f"streamgauge {number}")
        raise typer.Exit


def _stub() -> None:
    """A command that was not called."""


def _load(command: Command) -> Callable[..., Any]:
    function: Callable[..., Any] = getattr(importlib.import_module(command.module), command.function)

    @wraps(function)
    def guarded(*args: Any, **kwargs: Any) -> Any:
        try:
            return function(*args, **kwargs)
        except KeyboardInterrupt:
            raise typer.Exit(_INTERRUPTED) from None
        except BrokenPipeError:
            raise  # typer ends quietly when the reader of our output has gone
        except Exception as error:
            if type(error).__module__.partition(".")[0] not in _OURS:
                raise
            _report(error)
            raise typer.Exit(1) from None

    return guarded


def _report(error: Exception) -> None:
    from streams.cli.screen import errors

    hint = getattr(error, "hint", "")
    message = str(getattr(error, "message", "") or error).removesuffix(str(hint)).rstrip()
    errors.print("Error: ", style="bold red", end="")
    errors.print(message, markup=False, soft_wrap=True)
    if hint:
        errors.print(str(hint), markup=False, soft_wrap=True)
