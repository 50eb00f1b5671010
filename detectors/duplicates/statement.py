"""Statements: what the owner of a product says it may be the same as. The owner of links decides from them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson

from detectors.records import Version, split_identity

if TYPE_CHECKING:
    from detectors.duplicates.entry import Entry

__all__ = [
    "SAME",
    "VARIANT",
    "Candidate",
    "Statement",
    "StatementError",
    "decode_statement",
    "deletion",
    "encode_statement",
    "update",
]


SAME, VARIANT = "same", "variant"


class StatementError(ValueError):
    """A record of the links topic that does not read."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A product that may be the same.

    score: of the rule. similarity: 0-1. certain: a code or GTIN names both by itself. relation: "same", or "variant"
    for another colour, size or version of the product, which no link follows from. doubt: what full caution takes from
    the score, see `caution`.
    """

    identity: str
    match_version: Version
    score: float
    similarity: float
    certain: bool
    rule: str
    reason: str
    relation: str = SAME
    doubt: float = 0.0


@dataclass(frozen=True, slots=True)
class Statement:
    """What one version of one product may be the same as; said also when there is nothing.

    position: catalogue offset of the entry that was looked up. clean: two records of `source` are never the same
    product. first_seen: of the product, in milliseconds. rebuild: the rebuild of the catalogue after which the product
    was looked up again, 0 for none; it replaces what the product said before of the same match version. coded: whether
    the product carries a model code or GTIN; None where that is not said, and is what it was.
    """

    identity: str
    topic: str
    partition: int
    version: Version
    match_version: Version
    position: int
    first_seen: int
    source: str
    clean: bool
    candidates: tuple[Candidate, ...] = ()
    deleted: bool = False
    rebuild: int = 0
    coded: bool | None = None


def deletion(identity: str, topic: str, partition: int, version: Version, *, clean: bool) -> Statement:
    """The statement that a product is gone."""
    source = split_identity(identity)[0]
    return Statement(identity, topic, partition, version, version, -1, 0, source, clean, deleted=True)


def update(entry: Entry, position: int, *, clean: bool) -> Statement:
    """The statement that a product has another price or another fact that matching does not read.

    It names no candidates and takes none back: those of the same match version stay. position: of the entry.
    """
    source = split_identity(entry.identity)[0]
    return Statement(
        entry.identity,
        entry.topic,
        entry.partition,
        entry.version,
        entry.match_version,
        position,
        entry.facts.first_seen,
        source,
        clean,
    )


def encode_statement(s: Statement) -> tuple[bytes, bytes]:
    """(key, value) for the links topic."""
    body: dict[str, Any] = {
        "topic": s.topic,
        "partition": s.partition,
        "version": [*s.version],
        "match_version": [*s.match_version],
        "position": s.position,
        "first_seen": s.first_seen,
        "source": s.source,
        "clean": s.clean,
        "candidates": [
            [c.identity, [*c.match_version], c.score, c.similarity, c.certain, c.rule, c.reason, c.doubt]
            for c in s.candidates
            if c.relation == SAME
        ],
    }
    # Apart from the others, so that whoever knows nothing of variants links none.
    variants_said = [
        [c.identity, [*c.match_version], c.score, c.similarity, c.reason] for c in s.candidates if c.relation == VARIANT
    ]
    if variants_said:
        body["variants"] = variants_said
    if s.deleted:
        body["deleted"] = True
    if s.coded is not None:
        body["coded"] = s.coded
    return s.identity.encode(), orjson.dumps(body)


def decode_statement(key: bytes | None, value: bytes | None) -> Statement:
    """The statement that `encode_statement` wrote. Raises: StatementError."""
    try:
        if not key or value is None:
            raise ValueError("no key or no value")
        body = orjson.loads(value)
        return Statement(
            key.decode(),
            _text(body["topic"]),
            int(body["partition"]),
            _version(body["version"]),
            _version(body["match_version"]),
            int(body["position"]),
            int(body["first_seen"]),
            _text(body["source"]),
            bool(body["clean"]),
            (
                *(_candidate(c) for c in body["candidates"]),
                *(_variant(c) for c in body.get("variants", ())),
            ),
            bool(body.get("deleted", False)),
            coded=None if (coded := body.get("coded")) is None else bool(coded),
        )
    except (ValueError, TypeError, KeyError) as error:
        raise StatementError(f"A record of the links topic does not read: {error}.") from error


def _candidate(raw: Sequence[Any]) -> Candidate:
    identity, version, score, similarity, sure, rule, why, *more = raw
    return Candidate(
        _text(identity),
        _version(version),
        float(score),
        float(similarity),
        bool(sure),
        _text(rule),
        _text(why),
        doubt=float(more[0]) if more else 0.0,
    )


def _variant(raw: Sequence[Any]) -> Candidate:
    identity, version, score, similarity, why = raw
    return Candidate(
        _text(identity), _version(version), float(score), float(similarity), False, VARIANT, _text(why), VARIANT
    )


def _version(raw: Any) -> Version:
    generation, offset = raw
    return Version(int(generation), int(offset))


def _text(raw: Any) -> str:
    if not isinstance(raw, str):
        raise TypeError("not a text")
    return raw
