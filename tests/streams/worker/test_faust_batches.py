from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import faust
import pytest
from faust.exceptions import ImproperlyConfigured
from faust.transport import drivers
from faust.types import ConsumerMessage
from pydantic import SecretStr

from streams.errors import InfrastructureError
from streams.settings import KafkaSettings, Settings
from streams.worker.faust_batches import SCHEME, BatchApp, BatchSchema, Transport, check_faust, make_app
from tests.kafka_tools import wait_until


def test_this_faust_has_everything_that_we_touch() -> None:
    assert check_faust() == []


def test_the_url_scheme_is_ours() -> None:
    assert drivers.by_url(f"{SCHEME}://127.0.0.1:9092") is Transport


async def test_a_topic_in_batches_on_another_transport_is_refused() -> None:
    decode = BatchSchema().compile(faust.App("plain", broker="kafka://"))
    with pytest.raises(ImproperlyConfigured, match="kafkabatch"):
        await decode(ConsumerMessage("t", 0, 0, 0.0, 0, None, None, b"", None))


def test_every_broker_is_named_and_offsets_wait_for_us(tmp_path: Path) -> None:
    settings = Settings(
        kafka=KafkaSettings(bootstrap_servers="a:9092, b:9093"), state_dir=tmp_path, session_timeout_seconds=20
    )
    conf = make_app(settings).conf
    assert [str(url) for url in conf.broker] == ["kafkabatch://a:9092", "kafkabatch://b:9093"]
    assert (conf.broker_session_timeout, conf.broker_heartbeat_interval, conf.stream_wait_empty) == (20, 4, False)


def test_sasl_reaches_the_client(tmp_path: Path) -> None:
    kafka = KafkaSettings(security_protocol="SASL_SSL", sasl_username="u", sasl_password=SecretStr("p"))
    credentials = make_app(Settings(kafka=kafka, state_dir=tmp_path)).conf.broker_credentials
    assert isinstance(credentials, faust.SASLCredentials)
    assert (credentials.protocol.value, credentials.username, credentials.password) == ("SASL_SSL", "u", "p")


def test_a_state_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InfrastructureError, match="file"):
        make_app(Settings(state_dir=tmp_path / "file"))


async def test_the_app_drains_everything_that_delivers() -> None:
    class Part:
        drained = False

        async def drain(self) -> None:
            self.drained = True

        def open(self) -> None:
            self.drained = False

    app, parts = BatchApp("x", broker=f"{SCHEME}://"), [Part(), Part()]
    app.deliveries += parts
    await app.drain()
    assert [part.drained for part in parts] == [True, True]


async def test_what_the_app_opened_is_closed_last_and_a_fault_of_one_stops_no_other() -> None:
    closed = []

    async def close() -> None:
        closed.append("close")

    async def fail() -> None:
        closed.append("fail")
        raise OSError("gone")

    app = BatchApp("x", broker=f"{SCHEME}://")
    app.closers += [fail, close]
    await app.on_shutdown()
    assert closed == ["fail", "close"]


def test_a_worker_that_ended_in_time_lets_the_process_live(tmp_path: Path) -> None:
    before = threading.active_count()
    app = make_app(Settings(kafka=KafkaSettings(bootstrap_servers="127.0.0.1:1"), state_dir=tmp_path))
    app.shutdown_seconds = 3600
    with asyncio.Runner() as runner:
        runner.run(app.on_stop())
    assert threading.active_count() == before + 1
    app.ended()
    assert wait_until(lambda: threading.active_count() == before)
