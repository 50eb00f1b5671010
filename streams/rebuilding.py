"""What `streamgauge rebuild` needs: counting the catalogue by encoder, following it, and foretelling how long it takes.

The re-embedding itself is the workers' (`streams.worker.rebuilder`); here it is asked for and watched.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from detectors.duplicates.candidates import statements
from detectors.duplicates.entry import Entry, decode_entries, quantise
from detectors.duplicates.view import CatalogueView
from streams.errors import KafkaUnavailableError, TopicError
from streams.kafka.clients import admin_client, kafka_python_options, silenced
from streams.kafka.topics import existing
from streams.worker.rebuild import REBUILD_KEY, Rebuild, read_rebuild

if TYPE_CHECKING:
    from models.protocol import Encoder
    from streams.settings import Settings

__all__ = ["CatalogueCount", "Cost", "ask", "measure", "read_catalogue", "read_to_end", "workers"]

_SILENCE = 60.0  # seconds without an answer
_SAMPLE = 1024  # products
_LOOKED_UP = 128  # of the sample
_MEASURE_SECONDS = 3.0  # of encoding, about
_SHARE = 2  # workers leave half of the time to the stream


class CatalogueCount:
    """The catalogue topic, read from its beginning on: its products by encoder, and what it says of rebuilds.

    products: by the encoder's name. rebuild: the newest, None for none. sample: some of the products.
    position, end: offsets: how far it was read, and how far the topic reached when reading began.

    A product counts as its last entry in the log says, which is the one that Kafka keeps.
    """

    def __init__(self, consumer: Any, place: Any) -> None:
        self._consumer, self._place = consumer, place
        self._encoder_of: dict[bytes, str] = {}
        self._names: dict[str, str] = {}
        self._seen = 0
        self._random = np.random.default_rng(1)
        self.products: Counter[str] = Counter()
        self.rebuild: Rebuild | None = None
        self.sample: list[Entry] = []
        self.end: int = consumer.end_offsets([place])[place]
        self.position = 0

    def read(self, milliseconds: int = 1000) -> int:
        """Read what is there, or wait that long for something; how many records that were."""
        records = self._consumer.poll(timeout_ms=milliseconds).get(self._place, ())
        self.position = self._consumer.position(self._place)
        entries = []
        for record in records:
            if record.key == REBUILD_KEY:
                self._note(record.value or b"")
            elif record.key is not None and record.value is None:
                self._count(record.key, None)
            elif record.key is not None:
                entries.append(record)
        for _, item in decode_entries(entries).items:
            if isinstance(item, Entry) and not item.deleted:
                self._count(item.identity.encode(), self._names.setdefault(item.encoder, item.encoder))
                self._take(item)
        return len(records)

    def foreign(self, encoder: str) -> int:
        """Products whose vector is of another encoder than this."""
        return self.products.total() - self.products[encoder]

    def _note(self, value: bytes) -> None:
        try:
            rebuild = read_rebuild(value)
        except ValueError:
            return  # the workers report it
        if rebuild.follows(self.rebuild):
            self.rebuild = rebuild

    def _count(self, key: bytes, encoder: str | None) -> None:
        before = self._encoder_of.pop(key, None)
        if before is not None:
            self.products[before] -= 1
        if encoder is not None:
            self._encoder_of[key] = encoder
            self.products[encoder] += 1

    def _take(self, entry: Entry) -> None:
        """Every entry has the same chance to be in the sample."""
        self._seen += 1
        if len(self.sample) < _SAMPLE:
            self.sample.append(entry)
        elif (place := int(self._random.integers(self._seen))) < _SAMPLE:
            self.sample[place] = entry


@contextmanager
def read_catalogue(settings: Settings) -> Iterator[CatalogueCount]:
    """The catalogue topic of a deployment, to be read.

    Raises: TopicError where it does not exist; KafkaUnavailableError where Kafka does not answer.
    """
    from kafka import KafkaConsumer, TopicPartition
    from kafka.errors import KafkaError

    name = settings.topics.named("catalogue")
    with admin_client(settings.kafka) as admin:
        found = existing(admin, [name])
    if name not in found:
        raise TopicError(
            f"There is no topic {name}, or we may not read it.",
            "Check topics.catalogue and topics.prefix in the settings; streamgauge topics create makes it.",
        )
    consumer = KafkaConsumer(
        **kafka_python_options(settings.kafka),
        enable_auto_commit=False,
        max_poll_records=4000,
        max_partition_fetch_bytes=8 << 20,
    )
    try:
        place = TopicPartition(name, 0)
        consumer.assign([place])
        consumer.seek_to_beginning(place)
        yield CatalogueCount(consumer, place)
    except KafkaError as error:
        raise KafkaUnavailableError(
            f"The catalogue cannot be read: {type(error).__name__}.",
            "What the workers do goes on; start this again to see how far they are.",
        ) from error
    finally:
        consumer.close()


def read_to_end(catalogue: CatalogueCount) -> Iterator[int]:
    """Read all that was there when reading began; yields the position now and then.

    Raises: KafkaUnavailableError where no record comes for a minute.
    """
    heard = time.monotonic()
    while catalogue.position < catalogue.end:
        if catalogue.read():
            heard = time.monotonic()
        elif time.monotonic() - heard > _SILENCE:
            raise KafkaUnavailableError(
                f"The catalogue was not read to its end: nothing came for {_SILENCE:g} s.",
                "See whether its partition has a leader: streamgauge doctor.",
            )
        yield catalogue.position


def workers(settings: Settings) -> int:
    """How many workers of this deployment are running."""
    # The client cannot read what Faust's members say of themselves, and warns of it.
    with admin_client(settings.kafka) as admin, silenced("kafka.admin"):
        return len(admin.describe_groups([settings.app_id])[settings.app_id]["members"])


def ask(settings: Settings, rebuild: Rebuild) -> None:
    """Ask the workers for a rebuild. Raises: KafkaUnavailableError where Kafka does not confirm it."""
    from kafka import KafkaProducer
    from kafka.errors import KafkaError

    producer = KafkaProducer(**kafka_python_options(settings.kafka), acks="all")
    try:
        key, value = rebuild.encode()
        producer.send(settings.topics.named("catalogue"), key=key, value=value, partition=0).get(timeout=60)
    except KafkaError as error:
        raise KafkaUnavailableError(
            f"The workers could not be asked: {type(error).__name__}.", "Run it again when Kafka answers."
        ) from error
    finally:
        producer.close(timeout=5)


@dataclass(frozen=True, slots=True)
class Cost:
    """What a product costs one worker on this machine, in seconds that leave the stream its half.

    embed: its vector, made and taken into the index. look_up: its duplicates, looked up and judged, in a catalogue as
    large as the sample: in a larger one they cost more.
    """

    embed: float
    look_up: float

    def seconds(self, embedded: int, looked_up: int) -> float:
        """For so many products."""
        return embedded * self.embed + looked_up * self.look_up


def measure(encoder: Encoder, sample: Sequence[Entry]) -> Cost:
    """Measure on a sample of the catalogue, for a few seconds. Nothing is published."""
    named = {entry.identity: entry for entry in sample}
    entries = list(named.values())
    view, done = CatalogueView(encoder.name, encoder.dim), 0
    encoder.encode([entry.facts.title for entry in entries[:1]])  # what is only slow once does not count
    size, began = 1, time.perf_counter()
    while done < len(entries) and time.perf_counter() - began < _MEASURE_SECONDS:
        part = entries[done : done + size]
        vectors = quantise(encoder.encode([entry.facts.title for entry in part]))
        view.apply(
            [
                (done + i, replace(entry, encoder=encoder.name, vector=vector, seen_from=done + i))
                for i, (entry, vector) in enumerate(zip(part, vectors, strict=True))
            ],
            done + len(part),
        )
        done, size = done + len(part), 2 * size
    embedded = time.perf_counter()
    asked = [entry.identity for entry in entries[max(0, done - _LOOKED_UP) : done]]
    statements(view, view.search(asked, as_matched=True))
    ended = time.perf_counter()
    return Cost(_SHARE * (embedded - began) / done, _SHARE * (ended - embedded) / len(asked))
