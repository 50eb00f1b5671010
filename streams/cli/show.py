"""`streamgauge show`: the newest records of a topic, readable."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import orjson
import typer
from rich.padding import Padding
from rich.text import Text

from streams.cli.options import ConfigOption, ServersOption, load_settings
from streams.cli.screen import errors, output

if TYPE_CHECKING:
    from sinks.dead_letters import Death

__all__ = ["lines_of", "show"]

_SEVERITIES = {"info": "cyan", "warning": "yellow", "error": "red", "critical": "bold red"}
_LONGEST = 500  # characters of one value
_INDENT = 2


def show(
    topic: Annotated[str, typer.Argument(help="Any topic: of your records, or one that a worker writes.")],
    last: Annotated[int, typer.Option("--last", "-n", min=0, max=100_000, help="How many of the newest.")] = 10,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Then go on with those that come.")] = False,
    key: Annotated[str | None, typer.Option(metavar="TEXT", help="Only records whose key contains this.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object a line, for each record.")] = False,
    config: ConfigOption = None,
    bootstrap_servers: ServersOption = None,
) -> None:
    """Show the newest records of a topic, the oldest of them first.

    Corrected records are shown with what was corrected, findings with rule, severity and reason, dead letters with
    what they died of, golden records with their offers. Ctrl-C ends it; nothing is committed.
    """
    from streams.errors import TopicError
    from streams.kafka.clients import admin_client
    from streams.kafka.topics import existing
    from streams.newest import Reader

    settings = load_settings(config, bootstrap_servers)
    with admin_client(settings.kafka) as admin:
        found = existing(admin, [topic])
        if topic not in found:
            names = sorted(
                t["name"] for t in admin.describe_topics() if t["error_code"] == 0 and not t.get("is_internal")
            )
            raise TopicError(f"There is no topic {topic!r}, or we may not see it.", _choice(topic, names))
    wanted = (lambda record: True) if key is None else _with_key(key)
    write = _write_json if json else _write_text
    try:
        with Reader(settings.kafka, topic, found[topic].partitions) as reader:
            with errors.status("reading"):  # shown on a terminal only
                records = reader.newest(last, wanted)
            for record in records:
                write(record)
            if not records and not follow:
                what = "no records" if key is None else f"no record whose key contains {key!r}"
                errors.print(f"{topic} has {what}.", markup=False, soft_wrap=True)
            if follow:
                for record in reader.follow(wanted):
                    write(record)
    except KeyboardInterrupt:  # the ordinary end of --follow
        if not follow:
            raise


def _choice(topic: str, names: list[str]) -> str:
    from detectors.contract.problems import did_you_mean

    if suggestion := did_you_mean(topic, names):
        return suggestion
    return f"There are: {', '.join(names[:20])}{' ...' if len(names) > 20 else ''}." if names else "There are none yet."


def _with_key(text: str) -> Any:
    raw = text.encode()
    return lambda record: record.key is not None and raw in record.key


# --- as JSON ------------------------------------------------------------------------------------------------------


def _write_json(record: Any) -> None:
    body = {
        "topic": record.topic,
        "partition": record.partition,
        "offset": record.offset,
        "timestamp": record.timestamp,
        "key": _decoded(record.key),
        "headers": [[name, _decoded(value)] for name, value in record.headers or ()],
    }
    fields = _parsed(record.value)
    # What does not read as JSON is a text; of both only one is there.
    body |= {"text": _decoded(record.value)} if fields is None and record.value is not None else {"value": fields}
    typer.echo(orjson.dumps(body))


def _decoded(value: bytes | None) -> str | None:
    return None if value is None else value.decode("utf-8", "replace")


def _parsed(value: bytes | None) -> dict[str, Any] | None:
    try:
        fields = orjson.loads(value or b"")
    except orjson.JSONDecodeError:
        return None
    return fields if isinstance(fields, dict) else None


# --- as text ------------------------------------------------------------------------------------------------------


def _write_text(record: Any) -> None:
    for text, depth in lines_of(record):
        if output.is_terminal:
            output.print(Padding(text, (0, 0, 0, _INDENT * depth)))
        else:  # a line a value, for grep
            output.print(" " * (_INDENT * depth) + text.plain, markup=False, soft_wrap=True)


def lines_of(record: Any) -> Iterator[tuple[Text, int]]:
    """A record as lines, each with how deep it is indented; the first names the record."""
    from sinks.dead_letters import parse

    when = datetime.fromtimestamp(record.timestamp / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")
    head = Text(f"{record.partition}/{record.offset}", "bold")
    head.append(f"  {when} UTC  ", "dim")
    head.append("no key" if record.key is None else _plain(_decoded(record.key)), "dim" if record.key is None else "")
    yield head, 0
    fields = _parsed(record.value)
    if (death := parse(record.headers or ())) is not None:
        yield from _dead(record, death, fields)
    elif record.value is None:
        yield Text("deleted (no value)", "magenta"), 1
    elif fields is None:
        yield _text_of(record.value), 1
    elif isinstance(quality := fields.get("_quality"), dict):
        yield from _corrected(fields, quality)
    elif isinstance(fields.get("rule"), str) and isinstance(fields.get("evidence"), dict):
        yield from _finding(fields)
    elif isinstance(fields.get("members"), list) and isinstance(provenance := fields.get("provenance"), dict):
        yield from _golden(fields, provenance)
    elif isinstance(fields.get("canonical"), str):
        yield Text.assemble("is the product ", (_plain(fields["canonical"]), "bold")), 1
        yield from _fields({name: value for name, value in fields.items() if name != "canonical"})
    else:
        yield from _fields(fields)


def _plain(value: Any) -> str:
    """A value on one line, its text as it is read; what a terminal would obey is replaced."""
    text = value if isinstance(value, str) else orjson.dumps(value, default=str).decode()
    text = "".join(c if c.isprintable() else " " if c.isspace() else "\ufffd" for c in text)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}… ({len(text):,} characters)"


def _quoted(value: Any) -> str:
    return f"“{_plain(value)}”" if isinstance(value, str) else _plain(value)


def _text_of(value: bytes) -> Text:
    """A value that is no JSON object."""
    try:
        text = value.decode()
    except UnicodeDecodeError:
        return Text(f"{len(value):,} bytes that are not UTF-8: {_plain(repr(value[:_LONGEST])[2:-1])}", "dim")
    return Text(_plain(text)) if text else Text("no bytes", "dim")


def _fields(fields: Mapping[str, Any], notes: Mapping[str, str] | None = None) -> Iterator[tuple[Text, int]]:
    for name, value in fields.items():
        line = Text.assemble((f"{_plain(name)}: ", "dim"), _plain(value))
        if notes is not None and name in notes:
            line.append(f"  {notes[name]}", "dim")
        yield line, 1


def _corrected(fields: Mapping[str, Any], quality: Mapping[str, Any]) -> Iterator[tuple[Text, int]]:
    yield from _fields({name: value for name, value in fields.items() if name != "_quality"})
    head = Text.assemble(("quality ", "dim"), (f"{quality.get('score')}", "bold"))
    canonical = quality.get("canonical")
    if canonical is not None and canonical != quality.get("identity"):
        head.append(f", is the product {_plain(canonical)}")
    yield head, 1
    for change in _dicts(quality.get("corrections")):
        line = Text.assemble(
            (f"{_plain(change.get('field'))}: ", "green"),
            f"{_quoted(change.get('before'))} → {_quoted(change.get('after'))}",
            (f"  {change.get('rule')} {change.get('confidence')}: {_plain(change.get('reason'))}", "dim"),
        )
        yield line, 2
    for finding in _dicts(quality.get("findings")):
        column = finding.get("field")
        where = "" if column is None else f" in {_plain(column)}"
        yield Text.assemble(("finding ", "dim"), (_plain(finding.get("rule")), "yellow"), where), 2


def _finding(fields: Mapping[str, Any]) -> Iterator[tuple[Text, int]]:
    severity, evidence = str(fields.get("severity")), fields["evidence"]
    head = Text.assemble((f"{severity} ", _SEVERITIES.get(severity, "")), (fields["rule"], "bold"))
    if fields.get("field") is not None:
        head.append(f" in {_plain(fields['field'])}")
    head.append(f"  {_plain(fields.get('identity'))}, confidence {fields.get('confidence')}", "dim")
    if fields.get("status") == "retracted":
        head.append("  retracted", "magenta")
    yield head, 1
    yield Text(_plain(evidence.get("reason"))), 2
    if fields.get("observed") is not None:
        yield Text.assemble(("observed ", "dim"), _quoted(fields["observed"])), 2
    if "suggested" in fields:
        yield Text.assemble(("suggested ", "dim"), _quoted(fields["suggested"])), 2
    for near in _dicts(evidence.get("neighbours"))[:3]:
        line = Text.assemble(("near ", "dim"), _plain(near.get("identity")), (f" {near.get('score')}", "dim"))
        if near.get("value") is not None:
            line.append(f" {_quoted(near['value'])}")
        yield line, 2


def _dead(record: Any, death: Death, fields: Mapping[str, Any] | None) -> Iterator[tuple[Text, int]]:
    from streams.replayer import Mark

    head = Text.assemble(("died ", "red"), f"at {death.stage} of ", (death.error, "bold red"))
    head.append(f"  from {death.topic} {death.partition}/{death.offset}", "dim")
    if times := Mark.of(record.headers).times:
        head.append(f"  replayed {times} time{'s' if times > 1 else ''}", "dim")
    yield head, 1
    yield Text(_plain(death.message)), 2
    if record.value is None:
        yield Text("no value", "dim"), 2
    elif fields is None:
        yield _text_of(record.value), 2
    else:
        for line, _ in _fields(fields):
            yield line, 2


def _golden(fields: Mapping[str, Any], provenance: Mapping[str, Any]) -> Iterator[tuple[Text, int]]:
    notes = {
        name: f"of {_plain(chosen.get('offer'))}, by {chosen.get('policy')}"
        for name, chosen in provenance.items()
        if isinstance(chosen, dict)
    }
    hidden = {"provenance", "members", "digest", "contract", "contract_version", "processing_time"}
    shown = {name: value for name, value in fields.items() if name not in hidden and value is not None}
    yield from _fields(shown, notes)
    yield Text.assemble(("offers that are this product: ", "dim"), ", ".join(map(_plain, fields["members"]))), 1


def _dicts(value: Any) -> list[dict[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []
