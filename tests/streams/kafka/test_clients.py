from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from pydantic import SecretStr

from streams.errors import ConfigError, KafkaUnavailableError
from streams.kafka.broker import EmbeddedKafka
from streams.kafka.clients import (
    admin_client,
    aiokafka_options,
    check_reachable,
    faust_broker_credentials,
    faust_broker_url,
    kafka_python_options,
    reach,
)
from streams.settings import KafkaSettings, TopicNames
from tests.benchmarks.worker import ROOT, WorkerProcess
from tests.kafka_tools import make_topic, read_all, send_all, wait_until

USER, PASSWORD = "worker", "se cret-7"


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """ca.pem, and broker.pem as Kafka wants it: the key in PKCS#8, then the certificate."""
    folder = tmp_path_factory.mktemp("certificates")

    def openssl(*arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)

    openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "ca.key", "-out", "ca.pem", "-days", "2",
            "-subj", "/CN=test CA", "-addext", "keyUsage=critical,keyCertSign,cRLSign")  # fmt: skip
    openssl(
        "req", "-newkey", "rsa:2048", "-nodes", "-keyout", "broker.key", "-out", "broker.csr", "-subj", "/CN=broker"
    )
    (folder / "names").write_text("subjectAltName=IP:127.0.0.1\nauthorityKeyIdentifier=keyid\n")
    openssl("x509", "-req", "-in", "broker.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2",
            "-extfile", "names", "-out", "broker.crt")  # fmt: skip
    openssl("pkcs8", "-topk8", "-nocrypt", "-in", "broker.key", "-out", "broker.pk8")
    (folder / "broker.pem").write_text((folder / "broker.pk8").read_text() + (folder / "broker.crt").read_text())
    return folder


@pytest.fixture(scope="module")
def secure(kafka: EmbeddedKafka, certificates: Path) -> Iterator[KafkaSettings]:
    broker = EmbeddedKafka(
        listeners=("SASL_SSL",),
        properties={
            "ssl.keystore.type": "PEM",
            "ssl.keystore.location": certificates / "broker.pem",
            "sasl.enabled.mechanisms": "SCRAM-SHA-512",
            "listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config": (
                "org.apache.kafka.common.security.scram.ScramLoginModule required;"
            ),
        },
        format_options=("--add-scram", f"SCRAM-SHA-512=[name={USER},password={PASSWORD}]"),
    )
    with broker:
        yield KafkaSettings(
            bootstrap_servers=broker.address("SASL_SSL"),
            security_protocol="SASL_SSL",
            sasl_username=USER,
            sasl_password=SecretStr(PASSWORD),
            ssl_ca_file=certificates / "ca.pem",
        )


@pytest.mark.kafka
def test_kafka_python_sends_and_reads_over_tls_with_scram(secure: KafkaSettings) -> None:
    options = kafka_python_options(secure)
    servers = options.pop("bootstrap_servers")
    topic = make_topic(servers, "kafka-python", **options)
    send_all(servers, topic, [(b"k", b"v")], **options)
    assert [(r.key, r.value) for r in read_all(servers, topic, **options)] == [(b"k", b"v")]
    with admin_client(secure) as admin:
        assert topic in admin.list_topics()


@pytest.mark.kafka
async def test_aiokafka_sends_and_reads_over_tls_with_scram(secure: KafkaSettings) -> None:
    options = kafka_python_options(secure)
    topic = make_topic(options.pop("bootstrap_servers"), "aiokafka", **options)
    async with AIOKafkaProducer(**aiokafka_options(secure), acks="all") as producer:
        await producer.send_and_wait(topic, b"v", key=b"k")
    consumer = AIOKafkaConsumer(topic, **aiokafka_options(secure), auto_offset_reset="earliest")
    async with consumer:
        record = await asyncio.wait_for(consumer.getone(), 20)
    assert (record.key, record.value) == (b"k", b"v")
    await reach(secure)


@pytest.mark.kafka
@pytest.mark.slow
def test_a_whole_worker_over_tls_with_scram(secure: KafkaSettings, tmp_path: Path) -> None:
    options = kafka_python_options(secure)
    servers = options.pop("bootstrap_servers")
    source = make_topic(servers, "shop-products", 2, **options)
    worker = WorkerProcess(
        tmp_path,
        "worker",
        {
            "app_id": "secure",
            "log_format": "json",
            "commit_interval_seconds": 0.3,
            "kafka": {
                "bootstrap_servers": secure.bootstrap_servers,
                "security_protocol": secure.security_protocol,
                "sasl_username": USER,
                "ssl_ca_file": str(secure.ssl_ca_file),
            },
            "products": {source: str(ROOT / "detectors" / "contract" / "samples" / "products.yaml")},
            "behaviors": {},
            "topics": {"prefix": "shop.", "partitions": 2},
        },
        {"STREAMGAUGE_KAFKA__SASL_PASSWORD": PASSWORD},
        (sys.executable, str(ROOT / "tests" / "streams" / "worker" / "hashing.py")),
    )
    names = TopicNames(prefix="shop.")

    def corrected() -> set[str]:
        records = read_all(servers, names.corrected(source), **options)
        return {orjson.loads(record.value)["_quality"]["identity"] for record in records}

    def links() -> dict[str, str]:
        records = read_all(servers, names.named("mapping"), isolation_level="read_committed", **options)
        newest = {record.key.decode(): orjson.loads(record.value)["canonical"] for record in records}
        return {identity: canonical for identity, canonical in newest.items() if identity != canonical}

    def offer(supplier: str, price: float) -> tuple[bytes, bytes]:
        body = {"supplier": supplier, "sku": "1", "title": "Canon PowerShot SX620 HS black", "price": price}
        return f"{supplier}/1".encode(), orjson.dumps({**body, "currency": "USD", "gtin": "4549292057515"})

    worker.start()
    try:
        worker.wait_ready(60)
        send_all(servers, source, [offer("north", 199.0)], **options)
        assert wait_until(lambda: corrected() == {"north/1"}), worker.last_words()
        send_all(servers, source, [offer("south", 205.0)], **options)
        assert wait_until(lambda: links() == {"south/1": "north/1"}), worker.last_words()
        assert corrected() == {"north/1", "south/1"}
        assert worker.stop() == 0
    finally:
        worker.kill()
    log = worker.log.read_text("utf-8")
    assert PASSWORD not in log
    assert "Unclosed" not in log, "every client is closed at the end"


@pytest.mark.kafka
def test_faust_gets_the_same_credentials(secure: KafkaSettings) -> None:
    credentials: Any = faust_broker_credentials(secure)
    assert (credentials.protocol.value, credentials.mechanism.value) == ("SASL_SSL", "SCRAM-SHA-512")
    assert (credentials.username, credentials.password) == (USER, PASSWORD)
    assert credentials.ssl_context.check_hostname
    assert (
        faust_broker_url(KafkaSettings(bootstrap_servers="a:1, b:2"), "kafkabatch")
        == "kafkabatch://a:1;kafkabatch://b:2"
    )
    assert faust_broker_credentials(KafkaSettings()) is None


@pytest.mark.kafka
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sasl_password": SecretStr("wrong")}, "refuses the user 'worker'"),
        ({"ssl_ca_file": None}, "is not trusted"),
        ({"security_protocol": "SSL"}, "closed the connection|cannot be used"),
        ({"security_protocol": "PLAINTEXT"}, "closed the connection|gave no answer|cannot be used"),
        ({"sasl_mechanism": "SCRAM-SHA-256"}, "does not offer SCRAM-SHA-256"),
    ],
)
def test_a_refusal_names_its_cause(secure: KafkaSettings, change: dict[str, Any], message: str) -> None:
    with pytest.raises(KafkaUnavailableError, match=message) as caught:
        check_reachable(secure.model_copy(update=change), 3)
    assert PASSWORD not in str(caught.value)
    assert caught.value.hint


@pytest.mark.kafka
def test_tls_against_a_plain_listener_is_told(kafka: EmbeddedKafka) -> None:
    check_reachable(KafkaSettings(bootstrap_servers=kafka.bootstrap_servers))
    with pytest.raises(KafkaUnavailableError, match="security_protocol is SSL"):
        check_reachable(KafkaSettings(bootstrap_servers=kafka.bootstrap_servers, security_protocol="SSL"), 3)


def test_nothing_there() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        with pytest.raises(KafkaUnavailableError, match=f"nothing listens at 127.0.0.1:{unused.getsockname()[1]}"):
            check_reachable(KafkaSettings(bootstrap_servers=f"127.0.0.1:{unused.getsockname()[1]}"))
    with pytest.raises(KafkaUnavailableError, match=r"the name in no\.such\.host\.invalid:9092 is not known"):
        check_reachable(KafkaSettings(bootstrap_servers="no.such.host.invalid:9092"))
    with pytest.raises(ConfigError, match="'somewhere' is no address"):
        check_reachable(KafkaSettings(bootstrap_servers="somewhere"))


def test_one_that_never_answers() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        with pytest.raises(KafkaUnavailableError, match=r"gave no answer within 0\.5 s"):
            check_reachable(KafkaSettings(bootstrap_servers=f"127.0.0.1:{silent.getsockname()[1]}"), 0.5)


def test_certificate_files_that_are_wrong(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("nonsense")
    for name in ("ca.pem", "missing.pem"):
        with pytest.raises(ConfigError, match=f"certificates in .*{name} cannot be read"):
            check_reachable(KafkaSettings(security_protocol="SSL", ssl_ca_file=tmp_path / name))
    with pytest.raises(ConfigError, match=r"The client's certificate .*ca\.pem or its key cannot be read"):
        check_reachable(KafkaSettings(security_protocol="SSL", ssl_cert_file=tmp_path / "ca.pem"))
