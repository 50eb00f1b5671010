from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.streams.worker.shop import Shop


@pytest.fixture
def shop(kafka_servers: str, topic_prefix: str, tmp_path: Path) -> Iterator[Shop]:
    from tests.streams.worker.shop import Shop  # not before pytest knows which warnings of kafka-python are no errors

    made = Shop(kafka_servers, topic_prefix, tmp_path)
    yield made
    for worker in made.workers:
        worker.kill()
