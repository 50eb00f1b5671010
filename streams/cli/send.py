"""`streamgauge send`: files into a topic."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import orjson
import typer
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from streams.cli.columns import format_told, noting_columns
from streams.cli.options import ConfigOption, JsonOption, ServersOption, load_settings
from streams.cli.screen import errors, output
from streams.delimiters import asked_delimiter
from streams.files import FileFormat, Row, not_utf8, read_rows

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from detectors.contract.model import Contract
    from streams.sender import Sent
    from streams.settings import Settings

__all__ = ["send"]

_LOOK = 1_000  # rows after which it is said which columns of the contract were in none of them


def send(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Files; - is standard input.")],
    topic: Annotated[str, typer.Option("--topic", "-t", help="Where the rows go.")],
    format: Annotated[  # noqa: A002 -- the option's name
        FileFormat | None, typer.Option(help="Needed where a file's name does not tell it.")
    ] = None,
    delimiter: Annotated[str | None, typer.Option(help="Of CSV. Default: a comma; a tab for .tsv.")] = None,
    contract: Annotated[Path | None, typer.Option(metavar="FILE", help="Its key template makes the keys.")] = None,
    key: Annotated[
        str | None, typer.Option(metavar="TEMPLATE", help="Makes the keys of columns, as in '{shop}/{sku}'.")
    ] = None,
    source: Annotated[
        str | None, typer.Option(help="The header `source`. Default: the file's name, where nothing else names it.")
    ] = None,
    rate: Annotated[str | None, typer.Option(metavar="N/s", help="Rows a second at most.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Rows of each file at most.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on after the last confirmed row of each file.")] = False,
    json: JsonOption = False,
    config: ConfigOption = None,
    bootstrap_servers: ServersOption = None,
) -> None:
    """Send the rows of files into a topic, in order.

    Rows of CSV and Parquet become JSON objects, column to value; JSON lines are sent as they are. A row that does not
    fit its header is sent as the text it is, so that it is accounted for. After Ctrl-C or a lost connection, --resume
    goes on after the last row that Kafka confirmed.
    """
    if contract is not None and key is not None:
        raise typer.BadParameter("--contract and --key both make the keys: give one of them.")
    if resume and Path("-") in files:
        raise typer.BadParameter("--resume does not work with standard input.")
    per_second = _rate(rate)
    settings = load_settings(config, bootstrap_servers)
    largest = _largest_record(settings, topic)
    started = time.monotonic()
    for path in files:
        if delimiter is None and (asked := asked_delimiter(path, format_told(path, format))) is not None:
            _say(f"WARNING: {path} has {asked}")
    if contract is None and key is None and topic not in settings.rekey:
        _say(_without_keys(settings, topic))
    job = _Job(settings, topic, format, delimiter, contract, key, source, per_second, largest, limit, resume)
    done = [job.send(path) for path in files]
    seconds = time.monotonic() - started
    refused = sum(len(one.refused) for one in done)
    if json:
        total = {name: sum(getattr(one, name) for one in done) for name in ("rows", "as_text", "without_key")}
        result = {"topic": topic, **total, "refused": refused, "seconds": round(seconds, 3)}
        output.out(orjson.dumps(result).decode())
    if refused:
        raise typer.Exit(1)


@dataclass(frozen=True)
class _Job:
    settings: Settings
    topic: str
    format: FileFormat | None
    delimiter: str | None
    contract_file: Path | None
    key: str | None
    source: str | None
    rate: float | None
    largest: int
    limit: int | None
    resume: bool

    def send(self, path: Path) -> Sent:
        from streams.kafka.clients import kafka_python_options
        from streams.sender import Bookmark, Sender, header_source, keys_from_columns, keys_from_contract

        kafka = self.settings.kafka
        standard_input = str(path) == "-"
        file_source = self.source or ("stdin" if standard_input else path.stem)
        contract = None
        key_of = None
        if self.contract_file is not None:
            from detectors.contract.load import load_contract

            contract = load_contract(self.contract_file)
            key_of = keys_from_contract(contract, file_source)
        elif self.key is not None:
            key_of = keys_from_columns(self.key)
        foreign: list[bytes] = []
        rows = _noting_what_is_not_utf8(read_rows(path, self.delimiter, format_told(path, self.format)), foreign)
        if contract is not None:
            judged = contract
            rows = noting_columns(rows, _LOOK, lambda seen, count: _absent(judged, path, seen, count))
        bookmark = None
        before = 0
        if not standard_input:
            bookmark = Bookmark(self.settings.state_dir / "send", path, self.topic, kafka.bootstrap_servers)
            if self.resume and path.is_file():
                before = bookmark.rows()
                rows = (row for row in rows if row.number > before)
        started = time.monotonic()
        looks = (SpinnerColumn(), TextColumn("{task.description}"), TextColumn("{task.completed:,.0f} rows"))
        hidden = not errors.is_terminal
        with Progress(*looks, TimeElapsedColumn(), console=errors, transient=True, disable=hidden) as bar:
            task = bar.add_task(f"{path.name} to {self.topic}", total=None)

            def show(sent: int) -> None:
                bar.update(task, completed=sent)

            with Sender(
                self.topic, kafka_python_options(kafka), largest=self.largest, rate=self.rate, on_progress=show
            ) as sender:
                try:
                    result = sender.send(
                        rows,
                        key_of,
                        self.source or header_source(contract, file_source),
                        limit=self.limit,
                        on_confirmed=bookmark.keep if bookmark is not None else lambda row: None,
                    )
                except KeyboardInterrupt:
                    if bookmark is not None:
                        _say(f"{path}: interrupted. --resume goes on after the last confirmed row.")
                    raise
        self._summary(path, result, before, time.monotonic() - started, keyed=key_of is not None)
        if foreign:
            _say(not_utf8(path, b"\n".join(foreign)))
        return result

    def _summary(self, path: Path, result: Sent, before: int, seconds: float, *, keyed: bool) -> None:
        text = f"{path}: {result.rows:,} rows to {self.topic} in {seconds:.1f} s"
        if before:
            text += f", {before:,} had been sent before"
        if result.as_text:
            text += f"; {result.as_text:,} as the text they are: they do not fit the header or are no JSON object"
        if result.without_key and keyed:
            text += f"; {result.without_key:,} without a key"
        _say(text)
        for number, reason in list(result.refused.items())[:5]:
            _say(f"{path}: row {number} was refused: {reason}")
        if len(result.refused) > 5:
            _say(f"{path}: {len(result.refused) - 5:,} more rows were refused")


def _without_keys(settings: Settings, topic: str) -> str:
    text = "WARNING: without --contract FILE or --key TEMPLATE (such as '{id}') the rows are sent without keys"
    if topic in settings.products:
        return (
            f"{text}, though the contract of {topic} makes keys: a worker needs all records of a product in one "
            f'partition. rekey = ["{topic}"] in the settings has the worker do it.'
        )
    return f"{text}, and records of one product or user can come in several partitions."


def _absent(contract: Contract, path: Path, seen: Collection[str], rows: int) -> None:
    from detectors.contract.presence import absent_columns

    for column in absent_columns(contract, seen):
        _say(f"WARNING: {path}: {column.told(rows)}")


def _noting_what_is_not_utf8(rows: Iterable[Row], foreign: list[bytes]) -> Iterator[Row]:
    """The rows as they are; a few of those that are not UTF-8 are put into `foreign` too."""
    for row in rows:
        if row.fields is None and len(foreign) < 50:
            try:
                row.text.decode()
            except UnicodeDecodeError:
                foreign.append(row.text)
        yield row


def _say(text: str) -> None:
    errors.print(text, markup=False, soft_wrap=True)


def _rate(text: str | None) -> float | None:
    if text is None:
        return None
    try:
        rate = float(text.strip().removesuffix("/s"))
    except ValueError:
        rate = 0.0
    if not 0 < rate < float("inf"):
        raise typer.BadParameter(f"--rate {text!r} is no number of rows a second: write 500 or 500/s.")
    return rate


def _largest_record(settings: Settings, topic: str) -> int:
    """Bytes that the topic takes. Raises: TopicError where it does not exist."""
    from streams.errors import TopicError
    from streams.kafka.clients import admin_client
    from streams.kafka.topics import existing

    with admin_client(settings.kafka) as admin:
        found = existing(admin, [topic])
        if topic not in found:
            raise TopicError(
                f"The topic {topic!r} does not exist in Kafka at {settings.kafka.bootstrap_servers}, "
                "or we may not see it.",
                "Make it: `streamgauge topics create` makes those of the settings.",
            )
    return int(found[topic].configs.get("max.message.bytes", 1_048_588))
