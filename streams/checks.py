"""What `doctor` looks at: Kafka, the topics, their keys, the encoder, the disk, the clock."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from detectors.contract.model import Contract, Kind, Role
from streams.errors import ConfigError, KafkaUnavailableError, StreamgaugeError
from streams.kafka.clients import admin_client, check_reachable, kafka_python_options
from streams.kafka.topics import ExistingTopic, Purpose, accesses, existing, flaws, topics
from streams.newest import Reader

if TYPE_CHECKING:
    from streams.settings import Settings

__all__ = ["Check", "Status", "run_checks"]

_SAMPLE = 500  # records of each partition, the newest
_LITTLE_SPACE, _NO_SPACE = 5 * 1024**3, 512 * 1024**2  # bytes
_SKEW = 2.0  # seconds
_FUTURE = 5.0  # seconds that a record may be ahead of this machine's clock
_STRAY = 0.1  # share of records below which a fault of their keys is theirs, not the topic's
_NVIDIA, _AMD, _WSL = "/dev/nvidiactl", "/dev/kfd", "/dev/dxg"  # devices of GPUs that torch can use on Linux


class Status(StrEnum):
    """How a check ended."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Check:
    """One line of the doctor. todo: what to do about it, empty where all is well."""

    name: str
    status: Status
    message: str
    todo: str = ""


def run_checks(
    settings: Settings, *, probe: bool = False, models: bool = True, on_step: Callable[[str], None] = lambda what: None
) -> Iterator[Check]:
    """Every check in turn, Kafka first; one that cannot be made because of an earlier one is left out.

    probe: measure the broker's clock by writing one record into a topic that is made for it and removed.
    models: look for the encoder and the device too, which takes seconds.
    on_step: called with what is looked at next, before anything that can take a while.
    """
    on_step(f"Kafka at {settings.kafka.bootstrap_servers}")
    there = _reached(settings)
    yield from there.checks
    on_step("contracts")
    yield from _contracts(settings)
    if there.found is not None:
        on_step("topics")
        yield from _kafka(settings, there.found, probe, on_step)
    if models:
        on_step("encoder")
        yield from _encoder(settings)
    on_step("folders")
    yield from _folders(settings)


def _ok(name: str, message: str) -> Check:
    return Check(name, Status.OK, message)


def _failed(name: str, error: StreamgaugeError) -> Check:
    return Check(name, Status.FAIL, error.message, error.hint)


def _contract(settings: Settings, topic: str) -> Contract:
    from streams.contracts import contracts_of  # takes a second

    kind = Kind.PRODUCTS if topic in settings.products else Kind.BEHAVIORS
    path = settings.products[topic] if kind is Kind.PRODUCTS else settings.behaviors[topic]
    return contracts_of({topic: path}, kind)[topic]


def _contracts(settings: Settings) -> Iterator[Check]:
    from detectors.contract.load import ContractError

    for topic in (*settings.products, *settings.behaviors):
        try:
            contract = _contract(settings, topic)
        except ContractError as error:
            yield Check(f"contract of {topic}", Status.FAIL, str(error), "Correct the contract.")
        except ConfigError as error:
            yield _failed(f"contract of {topic}", error)
        else:
            named = settings.products.get(topic) or settings.behaviors.get(topic)
            built_in = "" if named else ", the built-in sample: the settings name no contract for this topic"
            yield _ok(f"contract of {topic}", f"{contract.name} {contract.version}{built_in}")


@dataclass(frozen=True, slots=True)
class _Reached:
    """found: our topics in Kafka; None where it cannot be reached."""

    checks: list[Check]
    found: dict[str, ExistingTopic] | None = None


def _reached(settings: Settings) -> _Reached:
    where = settings.kafka.bootstrap_servers
    try:
        started = time.monotonic()
        check_reachable(settings.kafka)
        milliseconds = 1000 * (time.monotonic() - started)
        with admin_client(settings.kafka) as admin:
            cluster = admin.describe_cluster()
            found = existing(admin, [topic.name for topic in topics(settings)])
            version = str(admin.get_broker_version_data(cluster["brokers"][0]["broker_id"]).broker_version)
    except StreamgaugeError as error:
        return _Reached([_failed("kafka", error)])
    version = version.strip("()").replace(", ", ".")
    brokers = len(cluster["brokers"])
    answer = f"{where} answers in {milliseconds:.0f} ms: Kafka {version}, {brokers} broker(s)"
    return _Reached([_ok("kafka", answer)], found)


def _kafka(
    settings: Settings, found: dict[str, ExistingTopic], probe: bool, on_step: Callable[[str], None]
) -> Iterator[Check]:
    yield from _topics(settings, found)
    yield from _rights(settings, found)
    for topic in (*settings.products, *settings.behaviors):
        if topic in found:
            on_step(f"the newest records of {topic}")
            yield from _records(settings, found[topic])
    if probe:
        on_step("the broker's clock")
        yield _probe_clock(settings)


def _topics(settings: Settings, found: dict[str, ExistingTopic]) -> Iterator[Check]:
    missing, good = [], 0
    for topic in topics(settings, found):
        if topic.name not in found:
            if topic.purpose is Purpose.SOURCE:
                yield Check(
                    f"topic {topic.name}", Status.FAIL, "this source does not exist, or we may not see it",
                    "Name your own topics in the settings, or run `streamgauge topics create`.",
                )  # fmt: skip
            else:
                missing.append(topic.name)
            continue
        wrong = flaws(topic, found[topic.name])
        if wrong:
            yield Check(
                f"topic {topic.name}", Status.FAIL, "; ".join(wrong),
                "Change it with Kafka's kafka-configs tool, or remove it and run `streamgauge topics create`."
            )  # fmt: skip
        elif 0 < found[topic.name].replication < 2 and settings.topics.replication > 1:
            yield Check(f"topic {topic.name}", Status.WARN, "it has no second replica", "Add replicas to it.")
        else:
            good += 1
    if missing:
        yield Check(
            "topics", Status.WARN, f"not there yet: {', '.join(missing)}",
            "A worker makes them when it starts; `streamgauge topics create` does so now."
        )  # fmt: skip
    if good:
        yield _ok("topics", f"{good} are as they should be")


def _rights(settings: Settings, found: dict[str, ExistingTopic]) -> Iterator[Check]:
    lacking = []
    for right in accesses(settings):
        topic = found.get(right.name)
        if right.who != "worker" or right.resource != "TOPIC" or topic is None or topic.operations is None:
            continue
        if absent := [operation for operation in right.operations if operation not in topic.operations]:
            lacking.append(f"{' and '.join(absent)} on {right.name}")
    if lacking:
        yield Check(
            "rights", Status.FAIL, f"a worker with these settings lacks {', '.join(lacking)}",
            "Grant them; `streamgauge topics list` shows all rights that are needed."
        )  # fmt: skip
    elif any(topic.operations is not None for topic in found.values()):
        yield _ok("rights", "a worker may do with the topics what it needs to")


def _records(settings: Settings, topic: ExistingTopic) -> Iterator[Check]:
    """Keys, columns and times of a sample of a source topic."""
    from kafka.errors import KafkaError

    from detectors.contract.load import ContractError

    name = f"keys of {topic.name}"
    try:
        with Reader(settings.kafka, topic.name, topic.partitions) as reader:
            sample = reader.newest_of_each(_SAMPLE)
    except KafkaUnavailableError as error:
        yield _failed(name, error)
        return
    except KafkaError as error:
        yield Check(name, Status.FAIL, f"its records cannot be read: {type(error).__name__}", "Grant READ on it.")
        return
    if not sample:
        yield _ok(name, "the topic is empty")
        return
    ahead = max(record.timestamp for record in sample) / 1000 - time.time()
    if ahead > _FUTURE:
        yield Check(
            "clock", Status.WARN, f"the newest record of {topic.name} is {ahead:.0f} s in the future",
            "Set the clocks of this machine and of the producers by NTP; `--probe` measures the broker's."
        )  # fmt: skip
    try:
        contract = _contract(settings, topic.name)
    except (ContractError, ConfigError):
        contract = None  # told already
    decoded = [(record, fields) for record in sample if (fields := _fields(record.value)) is not None]
    if contract is not None and decoded:
        yield from _columns(
            topic, contract, dict.fromkeys(column for _, fields in decoded for column in fields), len(decoded)
        )
    if topic.name in settings.rekey:
        yield _ok(name, "re-keyed by the worker")
    elif topic.name in settings.products and contract is not None:
        yield _keys(name, topic, len(sample), decoded, contract)


def _fields(value: bytes | None) -> dict[str, Any] | None:
    """The fields of a record; None where it would become a dead letter or is a deletion."""
    import orjson

    try:
        fields = orjson.loads(value or b"")
    except orjson.JSONDecodeError:
        return None
    return fields if isinstance(fields, dict) else None


def _columns(topic: ExistingTopic, contract: Contract, seen: Collection[str], count: int) -> Iterator[Check]:
    from detectors.contract.presence import absent_columns

    for column in absent_columns(contract, seen):
        what = f"its contract has the column {column.name!r}" + (f" (role {column.role})" if column.role else "")
        yield Check(
            f"columns of {topic.name}",
            Status.WARN,
            f"{what}, which none of the newest {count:,} records that read has",
            f"Did you mean {column.meant!r}?" if column.meant is not None else "Is that the name of the column?",
        )


def _keys(
    name: str, topic: ExistingTopic, newest: int, decoded: Sequence[tuple[Any, dict[str, Any]]], contract: Contract
) -> Check:
    """decoded: of the `newest` records those that read, with their fields. What does not read needs no key."""
    from streams.sender import keys_from_contract

    rekey = (
        f"Key the topic by {contract.key} (`streamgauge send --contract` does), "
        f'or set rekey = "{topic.name}" to have the worker do it.'
    )
    id_column, source_column = contract.column_of(Role.ID), contract.column_of(Role.SOURCE)
    products = [(record, fields) for record, fields in decoded if fields.get(str(id_column)) is not None]
    if not products:
        return Check(
            name,
            Status.WARN,
            f"none of the newest {newest:,} records has an id in the column {id_column!r}",
            f"Is {contract.name} the right contract for {topic.name}?",
        )
    without = sum(record.key is None for record, _ in products)
    no_key = f"{without:,} of the newest {len(products):,} products have no key"
    if without > _STRAY * len(products):
        return Check(name, Status.FAIL, no_key, rekey)
    partitions: defaultdict[tuple[str, str], set[int]] = defaultdict(set)
    other = 0
    for record, fields in products:
        header = dict(record.headers or ()).get("source", b"")
        source = (
            str(fields.get(source_column)) if source_column else (contract.source or header.decode("utf-8", "replace"))
        )
        partitions[source, str(fields[str(id_column)])].add(record.partition)
        other += record.key not in (None, keys_from_contract(contract, source)(fields))
    spread = sum(len(of) > 1 for of in partitions.values())
    if spread:
        return Check(name, Status.FAIL, f"{spread:,} products are in more than one partition", rekey)
    if without:
        return Check(name, Status.WARN, no_key, "See who sends them: such products can come in two partitions.")
    if other:
        return Check(
            name,
            Status.WARN,
            f"{other:,} of {len(products):,} keys are not made as the contract says ({contract.key})",
            "Correct the contract's key: a deletion (a record without value) names its product by the key alone.",
        )
    return _ok(name, f"the newest {len(products):,} products are keyed by product")


def _probe_clock(settings: Settings) -> Check:
    """The broker's clock by the time that it gives to a record."""
    from kafka import KafkaProducer
    from kafka.errors import KafkaError

    name = f"{settings.topics.prefix}streamgauge.doctor"
    try:
        with admin_client(settings.kafka) as admin:
            configs = {"message.timestamp.type": "LogAppendTime", "retention.ms": "3600000"}
            admin.create_topics({name: {"num_partitions": 1, "configs": configs}}, wait_for_metadata=True)
            try:
                producer = KafkaProducer(**kafka_python_options(settings.kafka))
                try:
                    producer.send(name, b"").get(timeout=20)  # opens the connections, so that the next is quick
                    before = time.time()
                    told = producer.send(name, b"").get(timeout=20).timestamp / 1000
                    after = time.time()
                finally:
                    producer.close(timeout=5)
            finally:
                admin.delete_topics([name])
    except KafkaError as error:
        return Check(
            "clock", Status.WARN, f"the broker's clock could not be measured: {type(error).__name__}",
            f"--probe needs the rights to make, write and remove the topic {name}."
        )  # fmt: skip
    skew = told - (before + after) / 2
    if abs(skew) > _SKEW + (after - before):
        which = "ahead of" if skew > 0 else "behind"
        return Check(
            "clock", Status.WARN, f"the broker's clock is {abs(skew):.1f} s {which} this machine's",
            "Set both by NTP: latencies and lateness are measured against this machine's clock."
        )  # fmt: skip
    return _ok("clock", f"the broker's differs from this machine's by {abs(skew):.1f} s")


def _gpu() -> str | None:
    """The name of a GPU that torch can use. Importing torch takes seconds: not where Linux shows no such device."""
    if sys.platform == "linux" and not any(Path(device).exists() for device in (_NVIDIA, _AMD, _WSL)):
        return None
    import torch

    return torch.cuda.get_device_name(0) if torch.cuda.is_available() else None


def _encoder(settings: Settings) -> Iterator[Check]:
    gpu = _gpu()
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    yield _ok("device", f"GPU {gpu}" if gpu else f"no GPU; {cores} CPU core(s), the static encoder is used")
    if settings.encoder == "transformer" and gpu is None:
        yield Check(
            "encoder", Status.WARN, "the transformer without a GPU encodes about a hundred texts a second",
            'Set encoder = "static" unless quality is worth that.'
        )  # fmt: skip
    from models.errors import ModelError
    from models.weights import find_transformer

    try:
        if settings.encoder_path is not None and not settings.encoder_path.is_dir():
            yield Check("encoder", Status.FAIL, f"there is no folder {settings.encoder_path}", "Correct encoder_path.")
            return
        folder = settings.encoder_path or find_transformer(None, settings.cache_dir, allow_download=False)
    except ModelError as error:
        yield Check("encoder", Status.FAIL, str(error.args[0]), error.hint)
    else:
        yield _ok("encoder", f"weights in {folder}")
    if settings.matcher_model is not None and not settings.matcher_model.exists():
        yield Check(
            "matcher",
            Status.FAIL,
            f"there is no {settings.matcher_model}",
            "Train one with `streamgauge train matcher`, or leave matcher_model unset.",
        )
    if settings.anomaly_model is not None:
        if settings.anomaly_model.exists():
            yield _ok("anomaly model", str(settings.anomaly_model))
        else:
            yield Check(
                "anomaly model", Status.FAIL, f"there is no {settings.anomaly_model}",
                "Train one with `streamgauge train anomalies`, or leave anomaly_model unset."
            )  # fmt: skip


def _folders(settings: Settings) -> Iterator[Check]:
    kinds: list[tuple[str, Path, Callable[[int], bool]]] = [
        ("state folder", settings.state_dir, lambda free: free < _NO_SPACE),
        ("cache folder", settings.cache_dir, lambda free: False),
    ]
    for name, folder, too_little in kinds:
        there = next(parent for parent in (folder, *folder.absolute().parents) if parent.exists())
        try:
            with tempfile.TemporaryFile(dir=there) as file:
                file.write(b"x")
        except OSError as error:
            yield Check(name, Status.FAIL, f"{folder} cannot be written: {error.strerror}", "Name another or grant it.")
            continue
        free = shutil.disk_usage(there).free
        text = f"{folder} has {free / 1024**3:.1f} GiB free"
        if too_little(free):
            yield Check(name, Status.FAIL, text, "Make room or name another folder: a worker that cannot write stops.")
        elif free < _LITTLE_SPACE:
            yield Check(name, Status.WARN, text, "Snapshots of the catalogue need 2 GB for each million products.")
        else:
            yield _ok(name, text)
