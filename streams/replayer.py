"""Dead letters back to the topics they came from, acknowledged after the produce is confirmed."""

from __future__ import annotations

import hashlib
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sinks.dead_letters import Death, parse, without_errors
from streams.errors import KafkaUnavailableError, TopicError
from streams.kafka.clients import admin_client, kafka_python_options
from streams.kafka.topics import existing

if TYPE_CHECKING:
    from streams.settings import Settings

__all__ = ["Filters", "Replayed", "replay_letters"]

_CHUNK = 500  # letters between two acknowledgements
_SILENCE = 60  # seconds without an answer
_INTERNAL = ("catalogue", "links")  # what died there is ours: sending it back would only let it die again


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
            return f"{app_id}-replay"
        return f"{app_id}-replay-{hashlib.sha256(repr(self).encode()).hexdigest()[:8]}"

    def take(self, death: Death, timestamp: int) -> bool:
        """Whether a letter is one of those."""
        return (
            self.topic in (None, death.topic)
            and (death.stage not in _INTERNAL if self.stage is None else death.stage == self.stage)
            and self.error in (None, death.error)
            and (self.since is None or timestamp >= self.since)
            and (self.until is None or timestamp < self.until)
        )


@dataclass(slots=True)
class Replayed:
    """What became of the letters. causes: (topic, stage, error) to the number of letters sent.

    foreign: letters whose headers do not say where they came from.
    """

    read: int = 0
    sent: int = 0
    passed_over: int = 0
    foreign: int = 0
    causes: Counter[tuple[str, str, str]] = field(default_factory=Counter)


def replay_letters(
    settings: Settings,
    filters: Filters,
    *,
    dry_run: bool = False,
    again: bool = False,
    on_progress: Callable[[int], None] = lambda read: None,
) -> Replayed:
    """Replay the letters that are there now and were not replayed before (`again`: those too).

    A letter goes to the partition it came from, where that still exists: the same product must not appear in two.

    Raises: TopicError where the dead letters or a letter's topic do not exist or refuse the record;
    KafkaUnavailableError where Kafka does not confirm. What was not acknowledged is replayed by the next run.
    """
    from kafka import KafkaConsumer, KafkaProducer, TopicPartition
    from kafka.errors import KafkaError, KafkaTimeoutError

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
        targets = _Targets(settings)
        heard = time.monotonic()
        while any(consumer.position(place) < ends[place] for place in places):
            batches = consumer.poll(timeout_ms=1000)
            records = [r for place, batch in batches.items() for r in batch if r.offset < ends[place]]
            if batches:
                heard = time.monotonic()
            elif time.monotonic() - heard > _SILENCE:
                raise KafkaTimeoutError(f"no letters for {_SILENCE} s")
            chosen = _choose(records, filters, result)
            if producer is not None:
                _send(producer, chosen, targets)
                if records:
                    consumer.commit()
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


def _choose(records: Sequence[Any], filters: Filters, result: Replayed) -> list[tuple[Any, Death]]:
    chosen = []
    for record in records:
        result.read += 1
        death = parse(record.headers)
        if death is None:
            result.foreign += 1
        elif filters.take(death, record.timestamp):
            chosen.append((record, death))
        else:
            result.passed_over += 1
    return chosen


def _send(producer: Any, chosen: Sequence[tuple[Any, Death]], targets: _Targets) -> None:
    from kafka.errors import InvalidRecordError, MessageSizeTooLargeError

    targets.look_up({death.topic for _, death in chosen})
    sent = []
    for record, death in chosen:
        place = death.partition if targets.has(death.topic, death.partition) else None
        headers = without_errors(record.headers)
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
