from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from typing import Any

from detectors.duplicates.texts import Gathered, MemoryTexts, facts_from, packed_facts, recalled
from detectors.records import Facts


def test_no_fact_is_lost_on_the_way() -> None:
    numbers: dict[str, Any] = {"price": 3.5, "first_seen": 7, "updated_at": 9}
    facts = Facts(**{field.name: numbers.get(field.name, field.name) for field in fields(Facts)})
    assert facts_from("identity", packed_facts(facts)) == facts
    assert facts_from("a/1", packed_facts(Facts("a/1", "灯"))) == Facts("a/1", "灯")


def test_what_waits_is_read_as_if_it_were_there_and_dropped_as_such() -> None:
    store = MemoryTexts()
    texts = Gathered(store)
    texts.put([0, 2], [b"zero", b"two"])
    texts.flush()
    texts.put([2, 3], [b"TWO", b"three"])
    assert texts.get([3, 0, 1, 2, 9]) == [b"three", b"zero", b"", b"TWO", b""]
    texts.drop([2, 3, 9])
    texts.flush()
    assert store.get([0, 1, 2, 3, 9]) == [b"zero", b"", b"", b"", b""]


def test_what_is_recalled_is_read_once_and_its_memory_stays_bounded() -> None:
    asked: list[int] = []

    def read(rows: Sequence[int]) -> list[str]:
        asked.extend(rows)
        return [f"row {row}" for row in rows]

    known = {1: "a", 2: "b"}
    assert recalled(known, [2, 3, 3, 1], 3, read) == ["b", "row 3", "row 3", "a"]
    assert (known, asked) == ({1: "a", 2: "b", 3: "row 3"}, [3])
    assert recalled(known, [3, 4], 3, read) == ["row 3", "row 4"]
    assert (known, asked) == ({4: "row 4"}, [3, 4])
    assert recalled(known, [5, 6, 4, 7, 8], 3, read) == ["row 5", "row 6", "row 4", "row 7", "row 8"]
    assert known == {}
