"""The commands that measure are run by hand; that they can be begun at all is tested here."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import pytest

from tests.benchmarks.index import cost_fetches

_FOLDER = Path(__file__).parent


@pytest.mark.parametrize("name", sorted(path.stem for path in _FOLDER.glob("[a-z]*.py") if path.stem[:5] != "test_"))
def test_a_benchmark_can_be_imported(name: str) -> None:
    assert import_module(f"tests.benchmarks.{name}").__doc__


def test_the_cost_of_a_record_is_of_one_fetch_at_least() -> None:
    assert [cost_fetches(fetches) for fetches in (1, 3, 4, 8, 40, 1_000)] == [1, 1, 1, 2, 10, 40]
