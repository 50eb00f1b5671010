from __future__ import annotations

from dataclasses import fields

from detectors.duplicates.texts import facts_from, packed_facts
from detectors.records import Facts


def test_no_fact_is_lost_on_the_way() -> None:
    said = {
        field.name: field.name for field in fields(Facts) if field.name not in ("price", "first_seen", "updated_at")
    }
    facts = Facts(**said, price=3.5, first_seen=7, updated_at=9)  # type: ignore[arg-type]  # texts by name
    assert facts_from("identity", packed_facts(facts)) == facts
    assert facts_from("a/1", packed_facts(Facts("a/1", "灯"))) == Facts("a/1", "灯")
