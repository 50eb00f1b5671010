"""What tests of all packages share: the embedded Kafka, names for topics, the evaluation data."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from streams.broker import EmbeddedKafka
from streams.errors import BrokerError


def pytest_configure(config: pytest.Config) -> None:
    # kafka-python 3.0 reads its own schemas in a way that Python 3.11 and 3.12 have deprecated (3.13 has not)
    config.addinivalue_line("filterwarnings", "ignore:(read|open)_text is deprecated:DeprecationWarning")


@pytest.fixture(scope="session")
def kafka() -> Iterator[EmbeddedKafka]:
    """One broker of Apache Kafka for the whole session. To kill one, start an `EmbeddedKafka` of your own."""
    broker = EmbeddedKafka()
    try:
        broker.start()
    except BrokerError as error:
        pytest.skip(f"Kafka is not available: {error}")
    try:
        yield broker
    finally:
        broker.stop()


@pytest.fixture(scope="session")
def kafka_servers(kafka: EmbeddedKafka) -> str:
    """The bootstrap servers of the session's Kafka."""
    return kafka.bootstrap_servers


@pytest.fixture
def topic_prefix() -> str:
    """A prefix that no other test uses, for topics, groups and application ids."""
    return f"t{uuid.uuid4().hex[:10]}-"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data for evaluation; it lies beside the checkout and is not part of the project."""
    root = Path(__file__).resolve().parents[1]
    for folder in (root.parent / "shared" / "data", root / "shared" / "data"):
        if folder.is_dir():
            return folder
    pytest.skip(f"the evaluation data is not here: there is no folder {root.parent / 'shared' / 'data'}")
