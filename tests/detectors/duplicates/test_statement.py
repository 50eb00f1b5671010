from __future__ import annotations

from dataclasses import replace

import orjson

from detectors.duplicates.links import LinkOwner
from detectors.duplicates.statement import (
    SAME,
    VARIANT,
    Candidate,
    Statement,
    decode_statement,
    encode_statement,
)
from detectors.records import Version

ONE = Version(0, 1)


def _statement() -> Statement:
    same = Candidate("a/1", ONE, 2.5, 0.9, True, "duplicate.near", "same title", SAME)
    variant = Candidate("a/2", ONE, -2.5, 0.8, False, VARIANT, "differ in blue against black", VARIANT)
    return Statement("b/1", "products", 0, ONE, ONE, 7, 5, "b", False, (same, variant))


def test_variants_travel_apart() -> None:
    statement = _statement()
    key, value = encode_statement(statement)
    assert decode_statement(key, value) == statement
    body = orjson.loads(value)
    assert [c[0] for c in body["candidates"]] == ["a/1"]
    del body["variants"]
    assert decode_statement(key, orjson.dumps(body)).candidates == statement.candidates[:1]


def test_no_link_follows_from_a_variant() -> None:
    statement = _statement()
    owner = LinkOwner()
    others = [replace(statement, identity=i, source="a", position=1, candidates=()) for i in ("a/1", "a/2")]
    owner.apply([*others, statement])
    assert [(link.later, link.earlier) for link in owner.links()] == [("b/1", "a/1")]
