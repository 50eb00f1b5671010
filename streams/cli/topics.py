"""`streamgauge topics`: make and show the topics of a deployment."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import orjson
import typer
from rich.table import Column, Table

from streams.cli.options import ConfigOption, JsonOption, ServersOption, load_settings
from streams.cli.screen import errors, output

if TYPE_CHECKING:
    from streams.kafka.topics import ExistingTopic, Topic

__all__ = ["create", "list_topics"]

_SHOWN = ("cleanup.policy", "retention.ms", "max.message.bytes", "min.compaction.lag.ms", "message.timestamp.type")


def create(
    sources: Annotated[bool, typer.Option("--sources/--no-sources", help="Make missing source topics too.")] = True,
    json: JsonOption = False,
    config: ConfigOption = None,
    bootstrap_servers: ServersOption = None,
) -> None:
    """Make those topics of the settings that are missing. Those that exist are left as they are."""
    from streams.kafka.topics import ensure_topics

    settings = load_settings(config, bootstrap_servers)
    made = ensure_topics(settings, create_sources=sources)
    if json:
        output.out(orjson.dumps({"made": made}).decode())
    elif made:
        for name in made:
            output.print(f"made {name}", markup=False, soft_wrap=True)
    else:
        errors.print("All topics were there already.")


def list_topics(json: JsonOption = False, config: ConfigOption = None, bootstrap_servers: ServersOption = None) -> None:
    """Show the topics of the settings as they are or would be made, and the rights (ACLs) that a deployment needs."""
    from streams.kafka.clients import admin_client
    from streams.kafka.topics import accesses, existing, topics

    settings = load_settings(config, bootstrap_servers)
    with admin_client(settings.kafka) as admin:
        found = existing(admin, [topic.name for topic in topics(settings)])
    wanted = topics(settings, found)
    rows = [_Row.of(topic, found.get(topic.name), settings.topics.replication) for topic in wanted]
    rights = accesses(settings)
    if json:
        output.out(orjson.dumps({"topics": rows, "rights": rights}).decode())
        return
    table = Table(
        Column("topic", overflow="fold"),
        "for",
        "partitions",
        "replicas",
        "kept",
        "largest record",
        "state",
        title="Topics",
    )
    for row in rows:
        table.add_row(
            row.topic,
            row.purpose,
            str(row.partitions),
            "broker's" if row.replication == -1 else str(row.replication),
            _kept(row.configs),
            _bytes(row.configs.get("max.message.bytes")),
            "; ".join(row.flaws) or ("ok" if row.exists else "missing"),
        )
    output.print(table)
    table = Table(
        "who",
        "resource",
        Column("name", overflow="fold"),
        "pattern",
        "operations",
        title="Rights (ACLs) where Kafka checks them",
    )
    for right in rights:
        table.add_row(right.who, right.resource, right.name, right.pattern, " ".join(right.operations))
    output.print(table)


@dataclass(frozen=True, slots=True)
class _Row:
    topic: str
    purpose: str
    exists: bool
    partitions: int
    replication: int
    configs: dict[str, str]
    flaws: list[str]

    @classmethod
    def of(cls, topic: Topic, have: ExistingTopic | None, replication: int) -> _Row:
        from streams.kafka.topics import flaws

        configs = topic.configs if have is None else have.configs
        return cls(
            topic=topic.name,
            purpose=topic.purpose.value,
            exists=have is not None,
            partitions=topic.partitions if have is None else have.partitions,
            replication=replication if have is None else have.replication,
            configs={key: configs[key] for key in _SHOWN if key in configs},
            flaws=[] if have is None else flaws(topic, have),
        )


def _kept(configs: dict[str, str]) -> str:
    policy = configs.get("cleanup.policy", "delete")
    if policy == "compact":
        return "compacted"
    days = int(configs.get("retention.ms", 604_800_000)) / 86_400_000
    text = "for ever" if days < 0 else f"{days:g} days"
    return text if policy == "delete" else f"compacted, {text}"


def _bytes(text: str | None) -> str:
    return "broker's" if text is None else f"{int(text) / 1024:,.0f} KiB"
