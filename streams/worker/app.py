"""One worker: the Faust app and everything that hangs on it, built from settings."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import faust
import orjson
import structlog
from aiokafka import ConsumerRecord, TopicPartition
from faust.types import TP
from threadpoolctl import threadpool_limits

from detectors.anomalies import AnomalyScorer
from detectors.contract.model import Kind
from detectors.decode import Limits
from detectors.duplicates.index import FLAT_ROWS
from detectors.duplicates.matcher import Matcher
from detectors.duplicates.view import CatalogueView
from detectors.intake import Intake
from detectors.records import Rejection, SourceRecord
from detectors.repair import RepairPolicy
from detectors.suite import behavior_detectors
from models.encoder import CachedEncoder
from models.protocol import Encoder
from models.whole_numbers import exact_inner_products
from sinks.http import MetricsServer
from sinks.metrics import Metrics, TopicProgress
from sinks.publisher import Publisher
from streams.contracts import contracts_of
from streams.errors import InfrastructureError
from streams.kafka.clients import admin_client, aiokafka_options, brief_consumer
from streams.kafka.topics import existing
from streams.progress import LoadLog, ProgressLog
from streams.rule_settings import check_auto_apply
from streams.settings import Settings
from streams.worker.assessing import Assessing
from streams.worker.assessor import Standards
from streams.worker.behaviors import BehaviorWay
from streams.worker.catalogue import Catalogue
from streams.worker.delivery import BatchAgent, Compute, DeliveryOptions, Handler, LagWatch, batch_agent
from streams.worker.faust_batches import make_app
from streams.worker.faust_batches import run as run_app
from streams.worker.garbage import collect_seldom
from streams.worker.generations import next_generation
from streams.worker.judge import Judge
from streams.worker.links import LinkWay
from streams.worker.mapping import Mapping
from streams.worker.outlet import Outlet
from streams.worker.patience import patiently
from streams.worker.products import ProductWay
from streams.worker.rebuilder import Rebuilder
from streams.worker.rekey import RekeyWay, restored
from streams.worker.text_file import TextFile

__all__ = ["Worker"]

log = structlog.get_logger(__name__)

Rehearse = Callable[[ConsumerRecord], Awaitable[None]]

_CATCHING_UP = 1000  # products that wait to be read
_DAY_MS = 86_400_000
_HUNG_SECONDS = 60.0  # without a turn of the event loop
_POISON_IN_A_ROW = 50  # records, after which the fault is not in the records
_LOOK_SECONDS = 1.0  # between two looks at the source topics, where something seems to have changed
_SELF_TEST = ("A known-good title, 128 GB, black", "一个已知良好的标题 128GB 黑色")


def _as_it_is(record: SourceRecord) -> SourceRecord:
    return record


def _policy(auto_apply: dict[str, float]) -> RepairPolicy:
    """The repair policy of the settings. Raises: ConfigError for a rule that there is none of."""
    check_auto_apply(auto_apply)
    return RepairPolicy(auto_apply)


class Worker:
    """Builds the app, its agents and what they share. `run` returns the process's exit code.

    encoder: of product titles. scorer, matcher: the anomaly classifier and the trained matcher, where there is one.

    Raises (when built): ContractError, ConfigError, InfrastructureError for a state folder that cannot be written.
    """

    def __init__(
        self, settings: Settings, encoder: Encoder, scorer: AnomalyScorer | None = None, matcher: Matcher | None = None
    ) -> None:
        self._settings = settings
        self._encoder = encoder
        self._client = aiokafka_options(settings.kafka)
        self._contracts = {
            **contracts_of(settings.products, Kind.PRODUCTS),
            **contracts_of(settings.behaviors, Kind.BEHAVIORS),
        }
        self._ready = asyncio.Event()
        self._generations_of: int | None = None
        self._generation_lock = asyncio.Lock()
        self._looked_at = 0.0
        self._retries: Counter[str] = Counter()
        self._beat: float | None = None
        self.metrics = Metrics(version("streamgauge"), encoder.name)
        self._progress = ProgressLog(self.metrics.registry)
        self._loading = LoadLog()
        self._write_state()

        self.app = make_app(settings)
        confirm = settings.broker_gone_seconds
        names = settings.topics
        self._compute = Compute("compute")
        self._encoding = Compute("encode")
        self._publisher = Publisher(self._client, confirm_seconds=confirm)
        self._outlet = Outlet(self._publisher, names.named("dead_letters"))
        self._texts = [TextFile(settings.state_dir), TextFile(settings.state_dir)]
        self._view = CatalogueView(
            encoder.name,
            encoder.dim,
            texts=self._texts[0],
            evidence=self._texts[1],
            inner_products=exact_inner_products(),
        )
        self._view.matcher = matcher
        self._mapping = Mapping(names.named("mapping"), self._client)
        self._catalogue = Catalogue(
            names.named("catalogue"),
            self._client,
            self._view,
            self._compute,
            self._publisher,
            self._outlet.bury,
            settings.view_wait_seconds,
            settings.state_dir / f"{settings.app_id}-catalogue.snapshot",
            self._catalogue_topic,
        )
        self._links = LinkWay(
            self._client,
            f"{settings.app_id}-links",
            names,
            {
                carrier: contract
                for topic, contract in self._contracts.items()
                if contract.kind is Kind.PRODUCTS
                for carrier in (topic, names.rekeyed(topic))
            },
            self._view,
            self._catalogue,
            self._outlet,
            self._compute,
            self.metrics,
            confirm,
            lambda: self.app.consumer_generation_id,
            lambda: self.app.commits.offsets[TP(names.named("links"), 0)],
            3 * settings.session_timeout_seconds / 5,  # three heartbeats
        )
        limits = Limits(settings.max_record_bytes, settings.max_nesting)
        products = {topic: contract for topic, contract in self._contracts.items() if contract.kind is Kind.PRODUCTS}
        self._assessing = Assessing(
            Standards(products, limits, settings.auto_apply, names, encoder.name, scorer),
            self._view,
            settings.neighbours,
            DeliveryOptions.of(settings),
        )
        self._agents = self._make_agents(limits)
        self._handled = {names.rekeyed(t) if t in settings.rekey else t for t in settings.products}
        self._read = {
            carrier
            for topic in settings.products
            for carrier in ((topic, names.rekeyed(topic)) if topic in settings.rekey else (topic,))
        }
        self._rebuilder = Rebuilder(
            self._view,
            self._catalogue,
            encoder,
            self._links,
            self._compute,
            self._encoding,
            self._may_write,
            self._links_generation,
            FLAT_ROWS,
        )
        self._lag = LagWatch(self.app, self._client, gone_seconds=confirm)
        self.app.sensors.add(_Rebalances(self.metrics))
        self.app.closers += [self._links.stop, self._assessing.stop, self._publisher.stop, self._catalogue.stop]
        for task in (self._begin, self._watch, self._rebuild):
            self.app.task(task)
        for follow in (self._catalogue.follow, self._mapping.follower.run):
            self.app.task(self._followed(follow))
        self._server = MetricsServer(
            self.metrics.registry, self._live, self._readiness, settings.metrics_host, settings.metrics_port
        )

    @property
    def metrics_url(self) -> str:
        """Where the metrics are."""
        return self._server.url

    def run(self) -> int:
        """Work until told to stop, or until the infrastructure fails; the process's exit code."""
        self._server.start()
        self._write_state()
        log.info(
            "worker.starts",
            metrics=self.metrics_url,
            encoder=self._encoder.description,
            message="reading the catalogue, which can take a while",
        )
        try:
            # BLAS's threads spin while they wait for one another: not on the core that the ledger of links needs.
            with threadpool_limits(max(1, (os.cpu_count() or 2) - 1), user_api="blas"):
                self._assessing.start()  # early: it takes seconds where there is a classifier
                return run_app(self.app)
        finally:
            self._progress.say()
            self._server.stop()
            self._compute.close()
            self._encoding.close()
            for texts in self._texts:
                texts.close()
            self._state_file.unlink(missing_ok=True)

    # -- agents

    def _make_agents(self, limits: Limits) -> list[BatchAgent]:
        settings, names = self._settings, self._settings.topics
        policy = _policy(settings.auto_apply)
        encoder = CachedEncoder(self._encoder)
        agents: list[BatchAgent] = []
        for topic, contract in self._contracts.items():
            if contract.kind is Kind.BEHAVIORS:
                intake = Intake(contract, limits, settings.auto_apply)
                judge = Judge(contract, behavior_detectors(contract), policy, names, topic)
                behaviors = BehaviorWay(
                    contract,
                    intake,
                    judge,
                    self._view,
                    self._mapping,
                    self._outlet,
                    self._compute,
                    self.metrics,
                    self._catching_up,
                )
                agents.append(self._agent(topic, behaviors, behaviors.rehearse))
                continue
            handled, source = topic, _as_it_is
            if topic in settings.rekey:
                handled, source = names.rekeyed(topic), restored
                passing = RekeyWay(contract, limits, handled, self._publisher, self._compute)
                agents.append(self._agent(topic, passing))
            products = ProductWay(
                topic,
                contract,
                self._assessing,
                encoder,
                self._view,
                self._catalogue,
                self._mapping,
                self._outlet,
                self._compute,
                self._encoding,
                self.metrics,
                names,
                settings.neighbours,
                frozenset((topic, names.rekeyed(topic))),
                self._look_again,
            )
            agents.append(self._agent(handled, products, products.rehearse, source=source))
        agents.append(self._agent(names.named("links"), self._links, inflight=1))
        return agents

    def _agent(
        self,
        topic: str,
        handler: Handler,
        rehearse: Rehearse | None = None,
        inflight: int | None = None,
        source: Callable[[SourceRecord], SourceRecord] = _as_it_is,
    ) -> BatchAgent:
        """rehearse: passes a record that went well through the handler's work once more, without consequences.

        source: the record that the handler and a dead letter see.
        """
        options = DeliveryOptions.of(self._settings)
        if inflight is not None:
            options = DeliveryOptions(
                options.batch_records, inflight, options.retries, options.backoff_seconds, options.drain_seconds
            )

        async def prepared(records: Sequence[ConsumerRecord], generation: int) -> Awaitable[None] | None:
            await self._prepare(generation)
            return await handler([source(record) for record in records], generation)

        async def self_test() -> None:
            await self._self_test()
            if agent.last_good is not None and rehearse is not None:
                await rehearse(source(agent.last_good))

        async def poison(record: ConsumerRecord, error: BaseException) -> None:
            kind = type(error).__name__  # its text may hold values of the record
            failed = agent.stats.poison_in_a_row
            if agent.last_good is None and failed > _POISON_IN_A_ROW:
                raise InfrastructureError(
                    f"Not one of the first {failed} records of {topic} could be processed: {kind}.",
                    "That is no fault of the records; look at its contract. Nothing of this batch was acknowledged.",
                ) from error
            dead = source(record)
            await self._outlet.bury([Rejection(dead, "process", kind, f"Processing failed with a {kind}.")])
            self.metrics.records(dead.topic, "dead_letter", 1)

        agent = batch_agent(self.app, topic, prepared, on_poison=poison, self_test=self_test, options=options)
        return agent

    async def _self_test(self) -> None:
        vectors = await self._encoding.run(self._encoder.encode, _SELF_TEST)
        if vectors.shape != (len(_SELF_TEST), self._encoder.dim):
            raise InfrastructureError(f"The encoder gives vectors of shape {vectors.shape}.")

    # -- start

    async def _begin(self) -> None:
        self._links.start()
        await self._publisher.start()
        await self._catalogue.follower.wait_recovered()
        await self._mapping.follower.wait_recovered()
        await self._catalogue.settle()
        collect_seldom()
        self._ready.set()
        log.info("worker.ready", products=len(self._view))

    async def _prepare(self, generation: int) -> None:
        """Before a batch: the view holds the catalogue, and the generations of the source topics are known."""
        await self._ready.wait()
        if self._generations_of == generation:
            return
        async with self._generation_lock:
            if self._generations_of != generation:
                patience = self._settings.broker_gone_seconds
                # What the former owners of our partitions published is known before we publish.
                await patiently(self._catalogue.caught_up, patience, "entries are read")
                await patiently(self._note_generations, patience, "source topics are looked at")
                self._generations_of = generation

    async def _look_again(self) -> None:
        """Whether the source topics are still what they were; asks at most once a second."""
        async with self._generation_lock:
            if time.monotonic() - self._looked_at > _LOOK_SECONDS:
                await patiently(
                    self._note_generations, self._settings.broker_gone_seconds, "source topics are looked at"
                )

    async def _note_generations(self) -> None:
        settings, rekeyed = self._settings, self._settings.topics.rekeyed
        siblings = {rekeyed(t) if t in settings.rekey else t: t if t in settings.rekey else rekeyed(t)
                    for t in settings.products}  # fmt: skip
        found = await asyncio.to_thread(self._existing, list(siblings))
        self._looked_at = time.monotonic()
        for topic, sibling in siblings.items():
            known, before = self._catalogue.generation(topic), self._catalogue.generation(sibling)
            if topic not in found:
                continue
            now = found[topic]
            changed = known is not None and (known.topic_id, known.partitions) != (now.topic_id, now.partitions)
            ends = await self._ends(topic, now.partitions) if changed else {}
            generation = next_generation(known, topic, now.topic_id, now.partitions, ends, before)
            if generation != known:
                log.info("topic.generation", topic=topic, number=generation.number, partitions=now.partitions)
                await self._catalogue.publish_generation(generation)

    async def _ends(self, topic: str, partitions: int) -> dict[int, int]:
        """The offset after the last record of each partition."""
        async with brief_consumer(self._client) as consumer:
            ends = await consumer.end_offsets([TopicPartition(topic, p) for p in range(partitions)])
        return {place.partition: end for place, end in ends.items()}

    async def _catalogue_topic(self) -> tuple[str, int]:
        """Kafka's id of the catalogue topic, and for how many milliseconds deletions stay in it."""
        name = self._settings.topics.named("catalogue")
        found = (await asyncio.to_thread(self._existing, [name])).get(name)
        if found is None:
            raise InfrastructureError(f"There is no topic {name}.", "Make it: streamgauge topics create.")
        return found.topic_id, int(found.configs.get("delete.retention.ms", _DAY_MS))

    def _existing(self, names: Sequence[str]) -> Any:
        with admin_client(self._settings.kafka) as admin:
            return existing(admin, names)

    def _followed(self, follow: Callable[[], Awaitable[None]]) -> Callable[[], Coroutine[Any, Any, None]]:
        async def followed() -> None:
            await follow()

        return followed

    # -- rebuilding the catalogue

    async def _rebuild(self) -> None:
        await self._ready.wait()
        await self._rebuilder.run()

    def _may_write(self, topic: str, partition: int) -> bool:
        """Whether this worker is the owner of a partition. The owner of links stands in where nobody reads it."""
        ours = self.app.commits.offsets
        if TP(topic, partition) in ours:
            return True
        generation = self._catalogue.generation(topic)
        has_owner = topic in self._read and (generation is None or partition < generation.partitions)
        return not has_owner and TP(self._settings.topics.named("links"), 0) in ours

    def _links_generation(self) -> int | None:
        """The group's generation, if this worker is the owner of links in it."""
        owned = TP(self._settings.topics.named("links"), 0) in self.app.commits.offsets
        return self.app.consumer_generation_id if owned else None

    # -- watching over it

    async def _watch(self) -> None:
        """Every two seconds: our processes, the metrics, the state file, stale catalogue entries of ours."""
        while not self.app.should_stop:
            self._beat = time.monotonic()
            self._assessing.check()
            self._links.check()
            self._report()
            self._write_state()
            if self._ready.is_set():
                ours = frozenset((tp.topic, tp.partition) for tp in self.app.consumer.assignment())
                await self._catalogue.reassert(ours)
            self._progress.tick()
            self._note_load()
            await self.app.sleep(2.0)
        if not self.app.crashed:
            log.info("worker.stops", message="what is in flight ends first")

    def _report(self) -> None:
        lag: Counter[str] = Counter()
        for tp, behind in self._lag.lag.items():
            lag[tp.topic] += behind
        ages = self._lag.commit_ages()
        self.metrics.progress([TopicProgress(topic, behind, ages.get(topic)) for topic, behind in lag.items()])
        self.metrics.view(len(self._view), self._catalogue.follower.position)
        for agent in self._agents:
            topic, retries = agent.stats.topic, agent.stats.retries
            self.metrics.retried(topic, retries - self._retries[topic])
            self._retries[topic] = retries
        self.metrics.ready(self._readiness()[0])

    def _note_load(self) -> None:
        lag, committed = self._lag.lag, self.app.commits.offsets
        ours = {tp for tp in lag if tp.topic in self._handled and tp in committed}
        self._loading.note(sum(lag[tp] for tp in ours), sum(committed[tp] for tp in ours), ours)

    def _catching_up(self) -> bool:
        """Whether products wait, as far as this worker knows: those of its own partitions."""
        topics = self._settings.products
        return any(behind > _CATCHING_UP for tp, behind in self._lag.lag.items() if tp.topic in topics)

    def _live(self) -> tuple[bool, dict[str, Any]]:
        """Whether the event loop still turns; asked from the metrics' own thread."""
        age = 0.0 if self._beat is None else time.monotonic() - self._beat
        return age < _HUNG_SECONDS, {"beat_age_seconds": round(age, 1)}

    def _readiness(self) -> tuple[bool, dict[str, Any]]:
        """Recovered, not stalled, the broker there; without partitions, or with topics that are idle, it is ready."""
        details = {
            "recovered": self._ready.is_set(),
            "stalled": self._lag.stalled,
            "broker_silent": self._lag.silent,
            "assigned": self._lag.assigned,
            "products": len(self._view),
        }
        return self._ready.is_set() and not (self._lag.stalled or self._lag.silent), details

    @property
    def _state_file(self) -> Path:
        return self._settings.state_dir / f"{self._settings.app_id}-{os.getpid()}.json"

    def _write_state(self) -> None:
        """The state file says where this worker can be found.

        Raises: InfrastructureError where the folder is full or read-only: what we keep there later could not be kept.
        """
        folder = self._settings.state_dir
        path = self._state_file
        server = getattr(self, "_server", None)
        body = {"pid": os.getpid(), "metrics": server.url if server else None, "written": time.time()}
        try:
            folder.mkdir(parents=True, exist_ok=True)
            draft = path.with_suffix(".tmp")
            draft.write_bytes(orjson.dumps(body))
            draft.replace(path)
        except OSError as error:
            raise InfrastructureError(
                f"The state folder {folder} cannot be written: {error.strerror or error}.",
                "Free space there, or name another one: STREAMGAUGE_STATE_DIR.",
            ) from error


class _Rebalances(faust.Sensor):
    """How often the group rebalanced, and how long it took."""

    logger = logging.getLogger("faust.sensors")

    def __init__(self, metrics: Metrics) -> None:
        super().__init__()
        self._metrics = metrics

    def on_rebalance_start(self, app: Any) -> dict[str, Any]:
        """The moment that partitions are taken away."""
        return {"began": time.monotonic()}

    def on_rebalance_end(self, app: Any, state: dict[str, Any]) -> None:
        """The moment that work goes on."""
        with contextlib.suppress(KeyError):
            self._metrics.rebalanced(time.monotonic() - state["began"])
