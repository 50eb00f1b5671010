"""What tests of all packages share: the embedded Kafka, names for topics, the evaluation data."""

from __future__ import annotations

import os
import uuid
from collections.abc import Generator, Iterator
from pathlib import Path

import hypothesis
import pytest

from streams.errors import BrokerError
from streams.kafka.broker import EmbeddedKafka

# How long an example takes says something of the machine, not of the code.
hypothesis.settings.register_profile("streamgauge", deadline=None)
hypothesis.settings.load_profile("streamgauge")


def pytest_configure(config: pytest.Config) -> None:
    # kafka-python 3.0 reads its own schemas in a way that Python 3.11 and 3.12 have deprecated (3.13 has not)
    config.addinivalue_line("filterwarnings", "ignore:(read|open)_text is deprecated:DeprecationWarning")


_NO_DATA = "the evaluation data is not here"
_SKIPPED = pytest.StashKey[list[str]]()


def pytest_sessionstart(session: pytest.Session) -> None:
    session.config.stash[_SKIPPED] = []


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    # A clean clone is without the evaluation data; its tests may be skipped for that, and for nothing else.
    without_data = item.get_closest_marker("shared_data") and _NO_DATA in str(report.longrepr)
    if report.skipped and not hasattr(report, "wasxfail") and item.get_closest_marker("kafka") and not without_data:
        item.config.stash[_SKIPPED].append(item.nodeid)
    return report


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Continuous integration proves what needs Kafka, or fails: a test skipped there would be a hole in the proof."""
    if os.environ.get("CI") and session.config.stash[_SKIPPED] and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if os.environ.get("CI") and (skipped := config.stash[_SKIPPED]):
        terminalreporter.write_line(
            f"Tests that need Kafka were skipped, which CI does not allow: {', '.join(skipped)}", red=True
        )


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
    pytest.skip(f"{_NO_DATA}: there is no folder {root.parent / 'shared' / 'data'}")
