"""The way of a product event: decode, standardise, encode, publish, read back, look up, judge, correct.

Only what was read back from the catalogue is looked up: of two offers of one product, whoever handles them, the later
one's lookup then always finds the earlier. Decoding, standardising and judging are the assessor's; what goes out goes
out in the order of the source.
"""

from __future__ import annotations

import asyncio
import time
import weakref
from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from detectors.contract.model import Contract, Feed
from detectors.duplicates.candidates import statements
from detectors.duplicates.entry import Entry, quantise
from detectors.duplicates.evidence import EVIDENCE_MARK
from detectors.duplicates.offer import next_entry, with_readings
from detectors.duplicates.remembered import NeighbourRows, RememberedNeighbours
from detectors.duplicates.statement import Statement, encode_statement, update
from detectors.duplicates.variant import variant_findings
from detectors.records import Facts, Rejection, SourceRecord, Version
from streams.errors import InfrastructureError
from streams.worker.assessor import Question, Verdict
from streams.worker.rekey import carrier_of

if TYPE_CHECKING:
    from concurrent.futures import Future

    from detectors.duplicates.view import CatalogueView
    from models.encoder import CachedEncoder
    from sinks.metrics import Metrics
    from sinks.publisher import Item
    from streams.settings import TopicNames
    from streams.worker.assessing import Assessing
    from streams.worker.catalogue import Catalogue
    from streams.worker.delivery import Compute
    from streams.worker.mapping import Mapping
    from streams.worker.outlet import Outlet

__all__ = ["LOOKUP_BATCH", "ProductWay"]

# Misrouted records from which a topic is refused, and their share of the others.
_MISROUTED = 20
_MISROUTED_SHARE = 0.1

_NEVER = Version(-1, -1)
LOOKUP_BATCH = 256
"""Products that are looked up at once."""


_Vectors = dict[str, NDArray[np.int8]]  # by title


@dataclass(frozen=True, slots=True)
class _Row:
    """A record that the assessor took in, and what the catalogue keeps of it."""

    source: SourceRecord
    version: Version
    facts: Facts

    @property
    def identity(self) -> str:
        return self.facts.identity


@dataclass(frozen=True, slots=True)
class _Tombstone:
    """A record that deletes a product."""

    source: SourceRecord
    version: Version
    identity: str


@dataclass(frozen=True, slots=True)
class _Taken:
    """A batch as the assessor took it in, under a number."""

    number: int
    rows: Sequence[_Row]
    rejections: Sequence[Rejection]
    tombstones: Sequence[_Tombstone]


@dataclass(frozen=True, slots=True)
class _Prepared:
    """A batch decoded and encoded: what must stand in the catalogue before it can be looked up.

    kept: the rows that were taken and are no misrouted ones. rows: these.
    entries: to be published, in the order of the source.
    repeated: products whose record the catalogue holds already: it was handled before, perhaps not to its end.
    matched: those of them whose record is not newer than what matching read last; the others brought a new price.
    misrouted: records of products that live in another partition or topic, with the topic.
    """

    taken: _Taken
    kept: Sequence[int]
    rows: Sequence[_Row]
    entries: Sequence[Entry]
    repeated: frozenset[str]
    matched: frozenset[str]
    misrouted: Sequence[tuple[Rejection, str]]


@dataclass(frozen=True, slots=True)
class _Found:
    """What a batch's products have beside them in the catalogue.

    rows: the place of each product below. offsets: (products, k), of its neighbours, as in `Question`. scores, dense:
    (products, k), as in `Neighbours`. said: what is to be said of links. speaking: of which products.
    """

    rows: dict[str, int]
    offsets: NDArray[np.int64]
    scores: NDArray[np.float32]
    dense: NDArray[np.float32]
    said: Sequence[Statement]
    speaking: Collection[str]


@dataclass(frozen=True, slots=True)
class _Judged:
    """What follows from a batch. said: the items of links.

    read_back, judged: seconds until its entries came back from the catalogue, and that lookups and judging took.
    """

    verdict: Verdict
    said: list[Item]
    read_back: float
    judged: float


class ProductWay:
    """Handles micro-batches of one product topic.

    topic: the source topic. carriers: the topics that carry or carried its records, as they are and re-keyed.
    look_again: sees whether a source topic was made anew or got more partitions, and lets the catalogue know.
    """

    def __init__(
        self,
        topic: str,
        contract: Contract,
        assessing: Assessing,
        encoder: CachedEncoder,
        view: CatalogueView,
        catalogue: Catalogue,
        mapping: Mapping,
        outlet: Outlet,
        compute: Compute,
        encoding: Compute,
        metrics: Metrics,
        topics: TopicNames,
        neighbours: int,
        carriers: frozenset[str],
        look_again: Callable[[], Awaitable[None]],
    ) -> None:
        self._carriers = carriers
        self._look_again = look_again
        self._topic = topic
        self._clean = contract.feed is Feed.CLEAN
        self._assessing = assessing
        self._encoder = encoder
        self._view = view
        self._catalogue = catalogue
        self._mapping = mapping
        self._outlet = outlet
        self._compute = compute
        self._encoding = encoding
        self._metrics = metrics
        self._topics = topics
        self._corrected = topics.corrected(topic)
        self._neighbours = RememberedNeighbours(view, neighbours)
        self._misrouted = 0
        self._routed = 0
        self._unread: dict[str, Entry] = {}  # published by a batch before, and not yet read back
        self._judging: asyncio.Task[_Judged] | None = None  # of the last batch

    async def __call__(self, records: Sequence[SourceRecord], generation: int) -> Awaitable[None]:
        """Decode and encode the batch; the returned awaitable is done when everything it caused is confirmed."""
        started = time.perf_counter()
        topic = carrier_of(records[0]).topic
        known = self._catalogue.generation(topic)
        prepared = await self._prepared(records)
        if prepared.misrouted:
            await self._look_again()  # the topic may have grown just now, so that its products moved
            if self._catalogue.generation(topic) != known:
                prepared = await self._prepared(records)
        self._refuse_topic(records[0].topic, prepared.misrouted, len(prepared.rows))
        encoded = time.perf_counter()

        # Begun at once, while batches before this one are still on their way out; what is sent is sent in turn.
        judging = self._judging = asyncio.ensure_future(self._judged(prepared, self._judging))
        judging.add_done_callback(_seen)  # of a batch that is dropped nobody asks how it ended

        async def confirmed() -> None:
            judged = await judging
            begun = time.perf_counter()
            verdict, rows, tombstones = judged.verdict, prepared.rows, prepared.taken.tombstones
            outputs = {**verdict.outputs}
            if judged.said:
                outputs[self._topics.named("links")] = judged.said
            sources = {name: [rows[row].source for row in behind] for name, behind in verdict.rows.items()}
            if tombstones:
                corrected = self._corrected
                outputs[corrected], sources[corrected] = _in_turn(
                    outputs.get(corrected, ()), sources.get(corrected, ()), tombstones
                )
            rejections = [*prepared.taken.rejections, *(rejection for rejection, _ in prepared.misrouted)]
            refused = await self._outlet.send(outputs, rejections, sources)
            stages = {
                "encode": encoded - started,
                "read_back": judged.read_back,
                "judge": judged.judged,
                "publish": time.perf_counter() - begun,
            }
            self._count(records, prepared, verdict, stages, refused)

        second = confirmed()
        weakref.finalize(second, judging.cancel).atexit = False  # where it is dropped before its turn has come
        return second

    async def _judged(self, prepared: _Prepared, before: asyncio.Task[_Judged] | None) -> _Judged:
        """Everything that follows from a batch, whose entries are published and read back first.

        What it repairs is published and read back, too: whoever is looked up later sees it. before: what follows from
        the batch before this one.
        """
        begun = time.perf_counter()
        if prepared.entries:
            await self._catalogue.reached(await self._catalogue.publish(prepared.entries))
        read_back = time.perf_counter()
        if before is not None:
            await asyncio.wait([before])
        turn = time.perf_counter()
        found = await self._look_up(prepared)
        asked, said = await self._compute.run(self._ask, prepared, found)
        verdict = await asyncio.wrap_future(asked)
        if verdict.repaired and (revised := await self._compute.run(self._revised, prepared.rows, verdict.repaired)):
            end = await self._catalogue.publish(revised)
            await self._catalogue.reached(end)
            said += [(*encode_statement(update(entry, end - 1, clean=self._clean)), ()) for entry in revised]
        return _Judged(verdict, said, read_back - begun, time.perf_counter() - turn)

    async def _prepared(self, records: Sequence[SourceRecord]) -> _Prepared:
        """The batch decoded and encoded, each where it is done."""
        vectors: _Vectors = {}
        encoded = 0
        number, accepted = await self._assessing.take(self._topic, records)
        taken = _Taken(
            number,
            [
                _Row(records[place], self._version(records[place]), facts)
                for place, facts in zip(accepted.places, accepted.facts, strict=True)
            ],
            [Rejection(records[place], *why) for place, *why in accepted.rejections],
            [
                _Tombstone(records[place], self._version(records[place]), identity)
                for place, identity in accepted.tombstones
            ],
        )
        prepared = await self._compute.run(self._prepare, taken, vectors)
        while not isinstance(prepared, _Prepared):  # titles without a vector; the view may have moved on meanwhile
            found, new = await self._encoding.run(self._encode, prepared)
            vectors |= found
            encoded += new
            prepared = await self._compute.run(self._prepare, taken, vectors)
        texts = len(prepared.rows)
        self._metrics.encoder(texts, max(0, texts - encoded))
        return prepared

    async def _look_up(self, prepared: _Prepared) -> _Found:
        """Search a few products at a time, so that what else the compute thread has to do gets its turn."""
        named = (*(row.identity for row in prepared.rows), *(t.identity for t in prepared.taken.tombstones))
        identities = list(dict.fromkeys(named))
        # A new price says nothing new about links. A record that was handled before says it again, for whatever
        # version the catalogue holds now: its statement may have been lost with the worker that was about to make it.
        # Not so a new price: what it follows was said long ago, perhaps by the weights of an epoch that is forgotten.
        changed = {e.identity for e in prepared.entries if e.deleted or e.match_version == e.version}
        speaking = changed | prepared.matched
        turns = await self._compute.run(self._view.turns, identities, LOOKUP_BATCH)
        parts = [await self._compute.run(self._look_up_some, turn, speaking) for turn in turns]
        return _Found(
            {identity: row for row, identity in enumerate(identities)},
            np.concatenate([offsets for _, offsets, _ in parts]),
            np.concatenate([part.scores for part, _, _ in parts]),
            np.concatenate([part.dense for part, _, _ in parts]),
            [statement for _, _, said in parts for statement in said],
            speaking,
        )

    async def rehearse(self, record: SourceRecord) -> None:
        """Judge a record without any consequence: raises where a record that went well before does not any more."""
        await self._assessing.rehearse(self._topic, record)

    # On the compute thread: the view is touched nowhere else.

    def _prepare(self, taken: _Taken, fresh: _Vectors) -> _Prepared | list[str]:
        """What goes into the catalogue; or the titles that must be encoded first.

        fresh: vectors by title, of those that the catalogue does not hold.
        """
        view, encoder = self._view, self._encoder.name
        self._unread = {i: e for i, e in self._unread.items() if (view.version_of(i) or _NEVER) < e.version}
        kept: list[int] = []
        misrouted: list[tuple[Rejection, str]] = []
        known: list[Entry | None] = []
        for row, record in enumerate(taken.rows):
            lives = view.peek(record.identity)
            if lives is not None and self._elsewhere(lives, record):
                misrouted.append((_misrouted(record, lives), lives.topic))
            else:
                kept.append(row)
                known.append(lives)
        rows = [taken.rows[row] for row in kept]
        facts = [record.facts for record in rows]
        same = [
            entry is not None and not entry.deleted and entry.encoder == encoder and entry.facts.title == fact.title
            for entry, fact in zip(known, facts, strict=True)
        ]
        vectors, missing = self._vectors(facts, known, same, fresh)
        if missing:
            return missing

        entries: list[Entry] = []
        repeated: set[str] = set()
        matched: set[str] = set()
        latest: dict[str, Entry] = {}
        carriers = [(carrier_of(record.source), row) for row, record in enumerate(rows)]
        carriers += [(carrier_of(tombstone.source), -1 - i) for i, tombstone in enumerate(taken.tombstones)]
        todo = [(carrier.partition, carrier.offset, row, carrier.topic) for carrier, row in carriers]
        for partition, _, row, source_topic in sorted(todo):
            if row < 0:
                identity, version = taken.tombstones[-1 - row].identity, taken.tombstones[-1 - row].version
            else:
                identity, version = rows[row].identity, rows[row].version
            before = view.version_of(identity)
            if before is not None and before >= version:
                repeated.add(identity)
                if (held := view.peek(identity)) is not None and version <= held.match_version:
                    matched.add(identity)
                continue
            if row < 0:
                entry = Entry(identity, source_topic, partition, version, match_version=version, deleted=True)
            else:
                prior = latest.get(identity) or self._published(identity, version) or known[row]
                entry = next_entry(facts[row], prior, source_topic, partition, version, encoder, vectors[row])
            latest[identity] = entry
            entries.append(entry)
        self._unread |= latest
        entries = with_readings(entries, EVIDENCE_MARK)
        return _Prepared(taken, kept, rows, entries, frozenset(repeated), frozenset(matched), misrouted)

    def _published(self, identity: str, version: Version) -> Entry | None:
        """The entry before this version, where it is on its way to the view."""
        entry = self._unread.get(identity)
        return entry if entry is not None and entry.version < version else None

    def _elsewhere(self, known: Entry, record: _Row) -> bool:
        """Whether this product lives in another partition or topic, so that its versions could not be ordered."""
        if known.version.generation != record.version.generation:
            return known.topic not in self._carriers
        carrier = carrier_of(record.source)
        return (known.topic, known.partition) != (carrier.topic, carrier.partition)

    def _refuse_topic(self, topic: str, misrouted: Sequence[tuple[Rejection, str]], routed: int) -> None:
        self._misrouted += len(misrouted)
        self._routed += routed
        if self._misrouted < max(_MISROUTED, _MISROUTED_SHARE * (self._misrouted + self._routed)):
            return
        others = [lives for _, lives in misrouted if lives not in self._carriers]
        if others:
            raise InfrastructureError(
                f"{topic} brings products that {others[0]} brought before ({self._misrouted} of its records): a "
                "product of one source can live in one topic only, or nobody can say which of its records is newer.",
                f"Leave one of the two topics out of the settings; or give {topic} a source of its own in its "
                "contract, where its products are others; or set topics.prefix, for a deployment of its own.",
            )
        raise InfrastructureError(
            f"{topic} is not keyed by product: {self._misrouted} of its records came in another partition than their "
            "product did before, so that nobody can say which is newer.",
            f'Let us re-key it: rekey = ["{topic}"] in the settings, or STREAMGAUGE_REKEY={topic}.',
        )

    def _vectors(
        self,
        facts: Sequence[Facts],
        known: Sequence[Entry | None],
        same: Sequence[bool],
        fresh: _Vectors,
    ) -> tuple[NDArray[np.int8], list[str]]:
        """(n, d) int8: the vector of each record's title, and the titles of which there is none.

        A title that the catalogue holds is not encoded again.
        """
        out = np.zeros((len(facts), self._encoder.dim), np.int8)
        missing: dict[str, None] = {}
        for row, (fact, entry, is_known) in enumerate(zip(facts, known, same, strict=True)):
            vector = self._view.vector(entry.identity) if is_known and entry is not None else None
            if vector is None:
                vector = fresh.get(fact.title)
            if vector is None:
                missing[fact.title] = None
            else:
                out[row] = vector
        return out, list(missing)

    def _look_up_some(
        self, identities: Sequence[str], speaking: Collection[str]
    ) -> tuple[NeighbourRows, NDArray[np.int64], list[Statement]]:
        found, hits = self._neighbours.lookup(identities, speaking, clean=self._clean)
        offsets = self._assessing.shown(found.rows)
        return found, offsets, statements(self._view, hits, clean=self._clean) if speaking else []

    def _ask(self, prepared: _Prepared, found: _Found) -> tuple[Future[Verdict], list[Item]]:
        """The assessor is asked to judge the batch; and what is to be said of links meanwhile."""
        view = self._view
        order = [found.rows[row.identity] for row in prepared.rows]
        question = Question(
            kept=prepared.kept,
            versions=[(*row.version,) for row in prepared.rows],
            offsets=found.offsets[order],
            scores=found.scores[order],
            dense=found.dense[order],
            canonical=[self._mapping.canonical(row.identity) for row in prepared.rows],
            beside=variant_findings([(row.identity, row.version) for row in prepared.rows], found.said, view),
            catalogue_size=len(view),
        )
        asked = self._assessing.judge(self._topic, prepared.taken.number, question)
        handled = (*(e.identity for e in prepared.entries), *sorted(prepared.repeated))
        said = [*found.said]
        said += self._updates(dict.fromkeys(identity for identity in handled if identity not in found.speaking))
        return asked, [(*encode_statement(statement), ()) for statement in said]

    def _updates(self, identities: Iterable[str]) -> list[Statement]:
        """What says that a price changed: it changes no link, but the golden record."""
        view, said = self._view, []
        for identity in identities:
            entry = view.peek(identity)
            if entry is not None and not entry.deleted:
                said.append(update(entry, view.offset_at(view.row_of(identity)), clean=self._clean))
        return said

    def _revised(self, rows: Sequence[_Row], repaired: dict[int, Facts]) -> list[Entry]:
        """The entries of products whose facts a repair changed: neighbours are to see the repaired value.

        repaired: by row, the facts with their repaired values. Of a product that has a newer record already, which may
        be on its way to the view, nothing older is to be written behind that.
        """
        revised: dict[str, Entry] = {}
        for row, facts in repaired.items():
            record = rows[row]
            entry = self._view.entry(record.identity)
            if entry is None or entry.deleted or entry.version != record.version:
                continue
            if (newer := self._unread.get(record.identity)) is not None and newer.version > record.version:
                continue
            now = replace(
                entry.facts, brand=facts.brand, category=facts.category, price=facts.price, currency=facts.currency
            )
            if now != entry.facts:
                revised[record.identity] = entry.repaired(now)
        return list(revised.values())

    def _version(self, source: SourceRecord) -> Version:
        carrier = carrier_of(source)
        generation = self._catalogue.generation(carrier.topic)
        number = 0 if generation is None else generation.of(carrier.partition, carrier.offset, carrier.key)
        return Version(number, carrier.offset)

    def _count(
        self,
        records: Sequence[SourceRecord],
        prepared: _Prepared,
        verdict: Verdict,
        stages: dict[str, float],
        refused: int,
    ) -> None:
        topic, metrics, taken = records[0].topic, self._metrics, prepared.taken
        verdict.told.count(metrics, topic, refused)
        metrics.records(topic, "dead_letter", len(taken.rejections) + len(prepared.misrouted))
        metrics.records(topic, "deleted", len(taken.tombstones))
        metrics.batch(topic, len(records), stages)
        metrics.view(len(self._view), self._catalogue.follower.position)
        stamps = np.fromiter((record.timestamp for record in records), np.float64, len(records))
        metrics.end_to_end(topic, time.time() - stamps / 1e3)

    # On the thread of the encoder, which leaves Python alone for much of the time: other batches go on meanwhile.

    def _encode(self, titles: Sequence[str]) -> tuple[_Vectors, int]:
        """Vectors by title, and how many of them the encoder had not made before."""
        before = self._encoder.misses
        vectors = quantise(self._encoder.encode(titles))
        return dict(zip(titles, vectors, strict=True)), self._encoder.misses - before


def _seen(task: asyncio.Future[_Judged]) -> None:
    if not task.cancelled():
        task.exception()


def _in_turn(
    items: Sequence[Item], sources: Sequence[SourceRecord], tombstones: Sequence[_Tombstone]
) -> tuple[list[Item], list[SourceRecord]]:
    """Corrected records and tombstones in the order of the source, with the record behind each: of a product that is
    deleted and comes back the last word must be that it is there.
    """
    ends: list[Item] = [(carrier_of(t.source).key, None, [("version", b"%d:%d" % t.version)]) for t in tombstones]
    both = [*zip(sources, items, strict=True), *zip((t.source for t in tombstones), ends, strict=True)]
    both.sort(key=lambda one: (carrier_of(one[0]).partition, carrier_of(one[0]).offset))
    return [item for _, item in both], [source for source, _ in both]


def _misrouted(record: _Row, known: Entry) -> Rejection:
    return Rejection(
        record.source,
        "process",
        "misrouted",
        f"This product came in {known.topic}, partition {known.partition}, before: a topic must be keyed by product.",
    )
