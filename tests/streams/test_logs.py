from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest
from aiokafka.errors import GroupCoordinatorNotAvailableError

from streams import logs


@pytest.fixture
def written() -> Iterator[io.StringIO]:
    """What is logged, as JSON."""
    root = logging.getLogger()
    before = root.handlers[:], root.level, {name: logging.getLogger(name).level for name in logs._QUIET}
    stream = io.StringIO()
    logs.configure_logs("json", stream=stream)
    yield stream
    root.handlers[:], level, levels = before
    root.setLevel(level)
    for name, minimum in levels.items():
        logging.getLogger(name).setLevel(minimum)


def _said(stream: io.StringIO) -> list[str]:
    return [json.loads(line)["event"] for line in stream.getvalue().splitlines()]


def test_what_a_client_says_at_every_try_is_gathered(written: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    (gathered,) = (f for f in logging.getLogger().handlers[0].filters if isinstance(f, logs._Gathered))
    monkeypatch.setattr(gathered, "_clock", lambda: now[0])
    client, ours = logging.getLogger("aiokafka.conn"), logging.getLogger("streams.worker.links")
    for second in range(25):
        now[0] = 100.0 + second
        client.error("Unable connect to node with id %s: %s", 1, "refused")
        ours.error("links are decided again")
    assert [line for line in _said(written) if line.startswith("Unable")] == [
        "Unable connect to node with id 1: refused",
        "Unable connect to node with id 1: refused (and 9 times more since)",
        "Unable connect to node with id 1: refused (and 9 times more since)",
    ]
    assert _said(written).count("links are decided again") == 25


def test_a_group_coordinator_that_is_not_there_yet_is_told_when_it_stays_away(
    written: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [3.0]  # of a machine that has just started
    (gathered,) = (f for f in logging.getLogger().handlers[0].filters if isinstance(f, logs._Gathered))
    monkeypatch.setattr(gathered, "_clock", lambda: now[0])
    client = logging.getLogger("aiokafka.consumer.group_coordinator")
    for second in range(25):
        now[0] = 3.0 + second
        client.error("Group Coordinator Request failed: %s", GroupCoordinatorNotAvailableError())
        if second == 9:
            assert _said(written) == []
    assert _said(written) == [
        "Group Coordinator Request failed: [Error 15] GroupCoordinatorNotAvailableError (and 10 times more since)",
        "Group Coordinator Request failed: [Error 15] GroupCoordinatorNotAvailableError (and 9 times more since)",
    ]


def test_other_lines_and_tracebacks_of_a_client_are_shown(written: io.StringIO) -> None:
    client = logging.getLogger("aiokafka.consumer.fetcher")
    for _ in range(2):
        try:
            raise ValueError("broken")
        except ValueError:
            client.exception("Unexpected error")
    client.error("Failed fetch messages from %s", 1)
    for topic in ("products", "streamgauge.links", "products"):
        client.error("Topic %s is not authorized for this client", topic)
    logging.getLogger("kafka.conn").error("refused")
    logging.getLogger("kafka.conn").error("refused")
    assert _said(written) == [
        "Unexpected error",
        "Unexpected error",
        "Failed fetch messages from 1",
        "Topic products is not authorized for this client",
        "Topic streamgauge.links is not authorized for this client",
        "refused",
    ]
