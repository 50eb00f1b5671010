"""The topics that a deployment needs: how each is made, what is wrong with those that exist, which rights they take."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from streams.errors import TopicError
from streams.kafka.clients import admin_client

if TYPE_CHECKING:
    from kafka import KafkaAdminClient

    from streams.settings import Settings

__all__ = ["Access", "ExistingTopic", "Purpose", "Topic", "accesses", "ensure_topics", "existing", "flaws", "topics"]

_HOUR = 3_600_000  # milliseconds
_DAY = 24 * _HOUR
_KAFKAS_LARGEST = 1_048_588  # bytes: Kafka's own limit for a record batch
_HEADERS = 65_536  # bytes that a dead letter has for what is said about it


class Purpose(StrEnum):
    """What a topic is for."""

    SOURCE = "source"
    CORRECTED = "corrected records"
    FINDINGS = "findings"
    REVIEW = "review items"
    DEAD_LETTERS = "dead letters"
    CATALOGUE = "catalogue"
    LINKS = "links"
    MAPPING = "mapping"
    GOLDEN = "golden records"
    REKEYED = "source records, re-keyed"


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic as it should be.

    partitions: that it is made with; `single`: it must have exactly one, because its order is what it is for.
    configs: Kafka's topic settings that differ from the broker's own. essential: those that, different, break a
    guarantee; the others are a matter of taste once the topic exists.
    """

    name: str
    purpose: Purpose
    partitions: int
    configs: Mapping[str, str] = field(default_factory=dict)
    essential: frozenset[str] = frozenset()
    single: bool = False


@dataclass(frozen=True, slots=True)
class ExistingTopic:
    """A topic as Kafka has it.

    configs: all its settings; empty where we may not read them. operations: what Kafka lets us do with it, such as
    READ and WRITE; None where it does not say.
    """

    name: str
    topic_id: str
    partitions: int
    replication: int
    configs: Mapping[str, str]
    operations: frozenset[str] | None


@dataclass(frozen=True, slots=True)
class Access:
    """A right that somebody needs: `operations` on a resource. pattern: LITERAL or PREFIXED."""

    who: str
    resource: str
    name: str
    pattern: str
    operations: tuple[str, ...]


def topics(settings: Settings, present: Mapping[str, ExistingTopic] | None = None) -> list[Topic]:
    """Every topic of a deployment, sources first.

    present: what exists already: a corrected topic gets as many partitions as its source has, dead letters may be as
    large as the largest record of any source and its headers.
    """
    present = present or {}
    names = settings.topics
    compacted = {"cleanup.policy": "compact"}

    def partitions_like(source: str) -> int:
        return present[source].partitions if source in present else names.partitions

    def as_long_as(source: str) -> dict[str, str]:
        """What passes through may wait as long as it may in the source itself."""
        retention = present[source].configs.get("retention.ms") if source in present else None
        return kept(7) if retention is None else kept(7) | {"retention.ms": retention}

    def kept(days: int) -> dict[str, str]:
        return {"cleanup.policy": "delete", "retention.ms": str(days * _DAY)}

    sources = [*settings.products, *settings.behaviors]
    largest = [_KAFKAS_LARGEST, settings.max_record_bytes]
    largest += [int(present[s].configs.get("max.message.bytes", 0)) for s in sources if s in present]
    size = max(largest)
    # What we say about a record comes with the record's own values, before and after.
    roomy = {"max.message.bytes": str(2 * size + _HEADERS)}
    dead = kept(30) | {
        "max.message.bytes": str(size + _HEADERS),
        "message.timestamp.type": "LogAppendTime",  # retention counts from when the record died
    }
    policy = frozenset({"cleanup.policy"})
    return [
        *(Topic(name, Purpose.SOURCE, names.partitions, {"max.message.bytes": str(size)}) for name in sources),
        *(
            Topic(names.rekeyed(name), Purpose.REKEYED, partitions_like(name), as_long_as(name) | roomy, policy)
            for name in settings.products
            if name in settings.rekey
        ),
        *(
            Topic(names.corrected(name), Purpose.CORRECTED, partitions_like(name), compacted | roomy, policy)
            for name in settings.products
        ),
        *(
            Topic(names.corrected(name), Purpose.CORRECTED, partitions_like(name), kept(7) | roomy, policy)
            for name in settings.behaviors
        ),
        Topic(names.named("findings"), Purpose.FINDINGS, names.partitions, kept(30) | roomy, policy),
        Topic(names.named("review"), Purpose.REVIEW, names.partitions, kept(30) | roomy, policy),
        Topic(
            names.named("dead_letters"),
            Purpose.DEAD_LETTERS,
            names.partitions,
            dead,
            policy | {"max.message.bytes", "message.timestamp.type"},
        ),
        Topic(
            names.named("catalogue"),
            Purpose.CATALOGUE,
            1,
            compacted | {"min.compaction.lag.ms": str(_HOUR)},
            policy,
            single=True,
        ),
        Topic(names.named("links"), Purpose.LINKS, 1, kept(7), policy, single=True),
        Topic(names.named("mapping"), Purpose.MAPPING, 1, compacted, policy, single=True),
        Topic(names.named("golden"), Purpose.GOLDEN, 1, compacted, policy, single=True),
    ]


def existing(admin: KafkaAdminClient, names: Iterable[str]) -> dict[str, ExistingTopic]:
    """Those of these topics that exist, or rather: that Kafka lets us see."""
    from kafka.admin import ConfigResource, ConfigResourceType
    from kafka.errors import KafkaError

    wanted = set(names)
    # All are asked for, not ours by name: asking for a topic that is missing can make a broker create it.
    described = [t for t in admin.describe_topics() if t["name"] in wanted and t["error_code"] == 0]
    configs: Mapping[str, Mapping[str, Any]] = {}
    if described:
        resources = [ConfigResource(ConfigResourceType.TOPIC, topic["name"]) for topic in described]
        try:
            configs = admin.describe_configs(resources, config_filter="all").get("topic", {})
        except KafkaError:
            configs = {}
    found = {}
    for topic in described:
        operations = topic.get("authorized_operations")
        found[topic["name"]] = ExistingTopic(
            name=topic["name"],
            topic_id=str(topic.get("topic_id")),
            partitions=len(topic["partitions"]),
            replication=min((len(p["replica_nodes"]) for p in topic["partitions"]), default=0),
            configs={key: str(config["value"]) for key, config in configs.get(topic["name"], {}).items()},
            operations=None if operations is None else frozenset(operations),
        )
    return found


def flaws(topic: Topic, found: ExistingTopic) -> list[str]:
    """What is wrong with a topic that exists, each in a few words; only what breaks a guarantee."""
    wrong = []
    if topic.single and found.partitions != 1:
        wrong.append(f"it has {found.partitions} partitions and must have 1")
    for key in _wrong_configs(topic, found):
        must = "must be at least" if key == "max.message.bytes" else "must be"
        wrong.append(f"{key} is {found.configs[key]} and {must} {topic.configs[key]}")
    return wrong


def _wrong_configs(topic: Topic, found: ExistingTopic) -> list[str]:
    """Those essential settings that are not as they must be; what we may not read is taken to be right."""
    wrong = []
    for key in sorted(topic.essential):
        have, want = found.configs.get(key), topic.configs[key]
        if have is None or have == want or (key == "max.message.bytes" and int(have) >= int(want)):
            continue
        wrong.append(key)
    return wrong


def ensure_topics(settings: Settings, *, create_sources: bool = False) -> list[str]:
    """Make those topics that are missing; returns their names. Those that exist are left as they are.

    create_sources: make missing source topics too; else a missing one is an error, because a consumer would wait for
    it in silence.

    Raises: TopicError where a topic cannot be made, a source is missing or one exists in a form that breaks a
    guarantee; KafkaUnavailableError; ConfigError.
    """
    with admin_client(settings.kafka) as admin:
        found = existing(admin, [topic.name for topic in topics(settings)])
        wanted = topics(settings, found)
        missing = [topic for topic in wanted if topic.name not in found]
        lacking = [topic.name for topic in missing if topic.purpose is Purpose.SOURCE]
        if lacking and not create_sources:
            raise TopicError(
                f"The source topic {lacking[0]!r} does not exist in Kafka at {settings.kafka.bootstrap_servers}, "
                "or we may not read it.",
                "Name your own topics in the settings (products, behaviors), grant READ on them, or make them with "
                "`streamgauge topics create`.",
            )
        for topic in wanted:
            if topic.name in found and (wrong := flaws(topic, found[topic.name])):
                raise TopicError(
                    f"The topic {topic.name} cannot be used: {'; '.join(wrong)}.", _remedy(topic, found[topic.name])
                )
        return _create(admin, missing, settings.topics.replication)


def _remedy(topic: Topic, found: ExistingTopic) -> str:
    if topic.single and found.partitions != 1:
        return "Delete it, or set topics.prefix to give this deployment topics of its own."
    changes = ",".join(f"{key}={topic.configs[key]}" for key in _wrong_configs(topic, found))
    return (
        f"Change it: kafka-configs.sh --alter --entity-type topics --entity-name {topic.name} --add-config {changes} "
        "(with your --bootstrap-server); or set topics.prefix to give this deployment topics of its own."
    )


def _create(admin: KafkaAdminClient, missing: Sequence[Topic], replication: int) -> list[str]:
    from kafka.errors import KafkaError, KafkaTimeoutError

    if not missing:
        return []
    request = {
        topic.name: {
            "num_partitions": topic.partitions,
            "replication_factor": replication,
            "configs": dict(topic.configs),
        }
        for topic in missing
    }
    try:
        answer = admin.create_topics(request, raise_errors=False)["topics"]
    except KafkaError as error:
        raise TopicError(
            f"Kafka did not make the topics: {error}.", "`streamgauge doctor` looks for the cause."
        ) from error
    made = []
    for result in answer:
        match result["error_code"]:
            case 0:
                made.append(str(result["name"]))
            case 36:  # TOPIC_ALREADY_EXISTS: another worker was quicker
                pass
            case 29 | 31:  # TOPIC_AUTHORIZATION_FAILED, CLUSTER_AUTHORIZATION_FAILED
                raise TopicError(
                    f"Kafka does not let us make the topic {result['name']}.",
                    "Grant CREATE on it, or let an administrator run `streamgauge topics create`.",
                )
            case _:
                raise TopicError(
                    f"Kafka did not make the topic {result['name']}: {result['error_message']}",
                    "topics.partitions and topics.replication say how topics are made.",
                )
    try:
        admin.wait_for_topics([topic.name for topic in missing], timeout_ms=30_000)
    except KafkaTimeoutError as error:
        raise TopicError("Kafka made the topics but none of its brokers leads them yet.", "Try again.") from error
    return made


def accesses(settings: Settings) -> list[Access]:
    """Every right that a deployment needs, by who needs it."""
    rights: list[Access] = []

    def grant(who: str, resource: str, name: str, *operations: str, pattern: str = "LITERAL") -> None:
        rights.append(Access(who, resource, name, pattern, operations))

    for topic in topics(settings):
        match topic.purpose:
            case Purpose.SOURCE:
                grant("worker", "TOPIC", topic.name, "READ", "DESCRIBE", "DESCRIBE_CONFIGS")
                grant("send, replay", "TOPIC", topic.name, "WRITE", "DESCRIBE")
            case Purpose.CATALOGUE | Purpose.LINKS | Purpose.MAPPING | Purpose.GOLDEN | Purpose.REKEYED:
                grant("worker", "TOPIC", topic.name, "READ", "WRITE", "DESCRIBE", "DESCRIBE_CONFIGS")
            case Purpose.DEAD_LETTERS:
                grant("worker", "TOPIC", topic.name, "WRITE", "DESCRIBE", "DESCRIBE_CONFIGS")
                grant("replay", "TOPIC", topic.name, "READ", "DESCRIBE")
            case _:
                grant("worker", "TOPIC", topic.name, "WRITE", "DESCRIBE", "DESCRIBE_CONFIGS")
        grant("topics create", "TOPIC", topic.name, "CREATE", "DESCRIBE")
    grant("worker", "GROUP", settings.app_id, "READ")
    # Faust's own topics: changelogs.
    grant("worker", "TOPIC", f"{settings.app_id}-", "CREATE", "READ", "WRITE", "DESCRIBE", pattern="PREFIXED")
    grant("worker", "TRANSACTIONAL_ID", settings.app_id, "WRITE", "DESCRIBE", pattern="PREFIXED")
    grant("replay", "GROUP", f"{settings.app_id}-replay", "READ", "DESCRIBE", pattern="PREFIXED")  # one for each filter
    return rights
