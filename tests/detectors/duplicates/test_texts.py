from __future__ import annotations

from dataclasses import fields
from typing import Any

from detectors.duplicates.texts import facts_from, packed_facts
from detectors.records import Facts


def test_no_fact_is_lost_on_the_way() -> None:
    numbers: dict[str, Any] = {"price": 3.5, "first_seen": 7, "updated_at": 9}
    facts = Facts(**{field.name: numbers.get(field.name, field.name) for field in fields(Facts)})
    assert facts_from("identity", packed_facts(facts)) == facts
    assert facts_from("a/1", packed_facts(Facts("a/1", "灯"))) == Facts("a/1", "灯")
