"""Dead letters back to the topics they came from, acknowledged after the produce is confirmed.

What is sent carries three headers of ours, which a next death leaves as they are: how often it was replayed, what it
had died of, and where it was before its first death. So a letter that died again of the same is known.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from sinks.dead_letters import Death, parse, without_errors
from streams.errors import KafkaUnavailableError, TopicError
from streams.kafka.clients import admin_client, kafka_python_options
from streams.kafka.topics import existing

if TYPE_CHECKING:
    from streams.settings import Settings

__all__ = ["STAGES", "Filters", "Mark", "Replayed", "replay_letters"]

_REPLAYED = "streamgauge.replayed"
_CAUSE = "streamgauge.replayed.cause"
_ORIGIN = "streamgauge.replayed.origin"
_OURS = frozenset({_REPLAYED, _CAUSE, _ORIGIN})

_CHUNK = 500  # letters between two acknowledgements
_SILENCE = 60  # seconds without an answer
STAGES = ("decode", "contract", "process", "publish", "catalogue", "links")
_INTERNAL = ("catalogue", "links")  # what died there is ours: sending it back would only let it die again


Headers = Sequence[tuple[str, bytes | None]]


@dataclass(frozen=True, slots=True)
class Filters:
    """Which letters: None takes all, but of a stage of our own (catalogue, links) only where it is named.

    since, until: milliseconds since 1970 of when the letter was written.
    """

    topic: str | None = None
    stage: str | None = None
    error: str | None = None
    since: int | None = None
    until: int | None = None

    def group(self, app_id: str) -> str:
        """The consumer group that remembers the place of this choice."""
        if self == Filters():
            return _group(app_id)
        return f"{_group(app_id)}-{hashlib.sha256(repr(self).encode()).hexdigest()[:8]}"

    def encode(self) -> str:
        """To be kept beside the place that the group remembers."""
        return json.dumps({name: value for name, value in asdict(self).items() if value is not None})

    @classmethod
    def decode(cls, text: str) -> Filters | None:
        """What `encode` gave; None for anything else."""
        try:
            return cls(**json.loads(text))
        except (ValueError, TypeError):
            return None

    def take(self, death: Death, timestamp: int) -> bool:
        """Whether a letter is one of those."""
        return (
            self.topic in (None, death.topic)
            and (death.stage not in _INTERNAL if self.stage is None else death.stage == self.stage)
            and self.error in (None, death.error)
            and (self.since is None or timestamp >= self.since)
            and (self.until is None or timestamp < self.until)
        )


def _group(app_id: str) -> str:
    return f"{app_id}-replay"


@dataclass(frozen=True, slots=True)
class Mark:
    """What the headers of a letter say of its replays.

    times: how often it was replayed. cause: stage and error of the death before the last replay. origin: topic,
    partition and offset of the record that died first; both are empty where it was never replayed.
    """

    times: int = 0
    cause: str = ""
    origin: str = ""

    @classmethod
    def of(cls, headers: Headers) -> Mark:
        """The mark of a record; of headers that do not read, that of a record never replayed."""
        ours = {name: (value or b"").decode("utf-8", "replace") for name, value in headers if name in _OURS}
        times = ours.get(_REPLAYED, "")
        return cls(int(times), ours.get(_CAUSE, ""), ours.get(_ORIGIN, "")) if times.isdecimal() else cls()

    def died_again(self, death: Death) -> bool:
        """Whether this death is the one that the letter had died before."""
        return self.times > 0 and self.cause == _cause(death)

    def origin_of(self, death: Death) -> str:
        """Where the record was before its first death; `death` is its last."""
        return self.origin or f"{death.topic}/{death.partition}/{death.offset}"

    def replayed(self, headers: Headers, death: Death) -> list[tuple[str, bytes | None]]:
        """The headers with which a letter goes back: its own as they were, then the mark."""
        return [
            *((name, value) for name, value in without_errors(headers) if name not in _OURS),
            (_REPLAYED, b"%d" % (self.times + 1)),
            (_CAUSE, _cause(death).encode()),
            (_ORIGIN, self.origin_of(death).encode()),
        ]


def _cause(death: Death) -> str:
    return f"{death.stage} {death.error}"


@dataclass(slots=True)
class Replayed:
    """What became of the letters. causes: (topic, stage, error) to the number of letters sent.

    foreign: letters whose headers do not say where they came from. died_again: letters left out because they died of
    what they had died of before a replay. repeated: letters left out because another death of the same record was
    sent in this run. before: letters left out because a run with other filters has replayed them.
    """

    read: int = 0
    sent: int = 0
    passed_over: int = 0
    foreign: int = 0
    died_again: int = 0
    repeated: int = 0
    before: int = 0
    causes: Counter[tuple[str, str, str]] = field(default_factory=Counter)


def replay_letters(
    settings: Settings,
    filters: Filters,
    *,
    dry_run: bool = False,
    again: bool = False,
    on_progress: Callable[[int], None] = lambda read: None,
) -> Replayed:
    """Replay the letters that are there now and were not replayed before, but those that died again of the same.

    again: those too, and those that were replayed before; of several deaths of one record, one.

    A letter goes to the partition it came from, where that still exists: the same product must not appear in two.

    Raises: TopicError where the dead letters or a letter's topic do not exist or refuse the record;
    KafkaUnavailableError where Kafka does not confirm. What was not acknowledged is replayed by the next run.
    """
    from kafka import KafkaConsumer, KafkaProducer, TopicPartition
    from kafka.errors import KafkaError, KafkaTimeoutError
    from kafka.structs import OffsetAndMetadata

    letters = settings.topics.named("dead_letters")
    options = kafka_python_options(settings.kafka)
    with admin_client(settings.kafka) as admin:
        found = existing(admin, [letters])
    if letters not in found:
        raise TopicError(
            f"There is no topic {letters} with dead letters, or we may not read it.",
            "Check topics.dead_letters and topics.prefix in the settings.",
        )
    result = Replayed()
    consumer = KafkaConsumer(
        **options,
        group_id=filters.group(settings.app_id),
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        max_poll_records=_CHUNK,
    )
    producer = (
        None if dry_run else KafkaProducer(**options, acks="all", linger_ms=20, max_request_size=64 * 1024 * 1024)
    )
    try:
        places = [TopicPartition(letters, partition) for partition in range(found[letters].partitions)]
        consumer.assign(places)
        if again:
            consumer.seek_to_beginning(*places)
        ends = consumer.end_offsets(places)
        others = () if again else _others(settings, filters, letters)
        targets = _Targets(settings)
        origins: set[str] = set()
        heard = time.monotonic()
        while any(consumer.position(place) < ends[place] for place in places):
            batches = consumer.poll(timeout_ms=1000)
            records = [r for place, batch in batches.items() for r in batch if r.offset < ends[place]]
            if batches:
                heard = time.monotonic()
            elif time.monotonic() - heard > _SILENCE:
                raise KafkaTimeoutError(f"no letters for {_SILENCE} s")
            chosen = _choose(records, filters, result, origins if again else None, others)
            if producer is not None:
                _send(producer, chosen, targets)
                if records:
                    kept = filters.encode()
                    consumer.commit({p: OffsetAndMetadata(consumer.position(p), kept, -1) for p in places})
            for _, death in chosen:
                result.causes[death.topic, death.stage, death.error] += 1
            result.sent += len(chosen)
            on_progress(result.read)
    except KafkaError as error:
        raise KafkaUnavailableError(
            f"The dead letters cannot be replayed: {type(error).__name__}.",
            "What was confirmed is acknowledged; run it again for the rest.",
        ) from error
    finally:
        if producer is not None:
            producer.close(timeout=5)
        consumer.close()
    return result


@dataclass(frozen=True, slots=True)
class _Other:
    """How far a run with other filters has come. ends: by partition of the dead letters."""

    filters: Filters
    ends: Mapping[int, int]

    def has_replayed(self, record: Any, death: Death) -> bool:
        return record.offset < self.ends.get(record.partition, 0) and self.filters.take(death, record.timestamp)


def _others(settings: Settings, filters: Filters, letters: str) -> list[_Other]:
    """What runs with other filters have replayed, as far as Kafka shows us their groups and remembers them."""
    prefix, own = _group(settings.app_id), filters.group(settings.app_id)
    with admin_client(settings.kafka) as admin:
        names = {group["group_id"] for group in admin.list_groups()}
        kept = sorted(name for name in names if name != own and (name == prefix or name.startswith(f"{prefix}-")))
        places = admin.list_group_offsets(kept) if kept else {}
    found = []
    for of_group in places.values():
        own_places = {place.partition: at for place, at in of_group.items() if place.topic == letters}
        of_others = {Filters.decode(at.metadata) for at in own_places.values()}
        if len(of_others) == 1 and (other := of_others.pop()) is not None:
            found.append(_Other(other, {partition: at.offset for partition, at in own_places.items()}))
    return found


class _Targets:
    """The partitions of the topics that letters go back to."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._partitions: dict[str, int] = {}

    def look_up(self, names: set[str]) -> None:
        """Raises: TopicError where one of these topics does not exist."""
        if new := names - self._partitions.keys():
            with admin_client(self._settings.kafka) as admin:
                self._partitions |= {name: topic.partitions for name, topic in existing(admin, new).items()}
        for name in sorted(new - self._partitions.keys()):
            raise TopicError(
                f"Dead letters came from the topic {name!r}, which does not exist any more.",
                "Make it again, or leave those letters out with --topic.",
            )

    def has(self, topic: str, partition: int) -> bool:
        return 0 <= partition < self._partitions[topic]


def _choose(
    records: Sequence[Any], filters: Filters, result: Replayed, origins: set[str] | None, others: Sequence[_Other]
) -> list[tuple[Any, Death]]:
    """The letters to send. origins: of those sent before in this run; None leaves out what died again of the same.
    others: runs whose letters are left out.
    """
    chosen = []
    for record in records:
        result.read += 1
        death = parse(record.headers)
        if death is None:
            result.foreign += 1
        elif not filters.take(death, record.timestamp):
            result.passed_over += 1
        elif any(other.has_replayed(record, death) for other in others):
            result.before += 1
        elif origins is None and Mark.of(record.headers).died_again(death):
            result.died_again += 1
        elif origins is not None and (origin := Mark.of(record.headers).origin_of(death)) in origins:
            result.repeated += 1
        else:
            chosen.append((record, death))
            if origins is not None:
                origins.add(origin)
    return chosen


def _send(producer: Any, chosen: Sequence[tuple[Any, Death]], targets: _Targets) -> None:
    from kafka.errors import InvalidRecordError, MessageSizeTooLargeError

    targets.look_up({death.topic for _, death in chosen})
    sent = []
    for record, death in chosen:
        place = death.partition if targets.has(death.topic, death.partition) else None
        headers = Mark.of(record.headers).replayed(record.headers, death)
        sent.append(producer.send(death.topic, value=record.value, key=record.key, headers=headers, partition=place))
    producer.flush()
    for (record, death), future in zip(chosen, sent, strict=True):
        try:
            future.get(timeout=60)
        except (MessageSizeTooLargeError, InvalidRecordError) as error:
            where = f"{record.topic}/{record.partition}/{record.offset}"
            raise TopicError(
                f"The topic {death.topic} refuses the dead letter {where}: {type(error).__name__}.",
                "Leave it out with a filter, or change the topic's max.message.bytes or cleanup.policy.",
            ) from error
