"""Statements: what the owner of a product says it may be the same as. The owner of links decides from them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from detectors.duplicates.details import pair_details
from detectors.duplicates.difference import CODE, differences, variant_reason
from detectors.duplicates.entry import Entry
from detectors.duplicates.evidence import Comparison
from detectors.duplicates.features import PairFeatures, pair_features
from detectors.duplicates.rule import (
    DUPLICATE_EXACT,
    DUPLICATE_NEAR,
    THRESHOLD,
    UNNAMED_PRICE,
    certain,
    doubts,
    exact,
    reason,
    rule_scores,
    variants,
)
from detectors.duplicates.view import CatalogueView, Hits
from detectors.records import Version, split_identity

__all__ = [
    "SAME",
    "VARIANT",
    "Candidate",
    "Statement",
    "StatementError",
    "decode_statement",
    "deletion",
    "encode_statement",
    "statements",
    "update",
]


SAME, VARIANT = "same", "variant"
_VARIANTS = 3  # named of one product, at most


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


def statements(
    view: CatalogueView, hits: Hits, *, clean: bool = False, threshold: float = THRESHOLD
) -> list[Statement]:
    """A statement for each product of a search that the view still holds, or holds as deleted.

    clean: as the search was asked. threshold: score from which a candidate is named; another than the rule's own is
    for measuring.
    """
    said: list[Statement] = []
    accepted = _candidates(view, hits, clean, threshold) if len(hits.row) and len(view) else {}
    coded = view.evidence.coded(np.maximum(hits.row, 0)).tolist() if len(view) else [False] * len(hits.row)
    for i, identity in enumerate(hits.identities):
        found = view.peek(identity)
        if found is None:
            continue
        if found.deleted:
            said.append(deletion(found.identity, found.topic, found.partition, found.version, clean=clean))
            continue
        said.append(
            Statement(
                identity,
                found.topic,
                found.partition,
                found.version,
                found.match_version,
                int(hits.position[i]),
                found.facts.first_seen,
                split_identity(identity)[0],
                clean,
                tuple(sorted(accepted.get(i, ()), key=lambda c: (-c.score, c.identity))),
                coded=coded[i] if hits.row[i] >= 0 else None,
            )
        )
    return said


def _candidates(view: CatalogueView, hits: Hits, clean: bool, threshold: float) -> dict[int, list[Candidate]]:
    """By line of a search, those that may be the same, and variants."""
    found: dict[int, list[Candidate]] = {}
    row = np.maximum(hits.row, 0)
    comparison = view.evidence.compare(row, hits.candidates)
    features = features_of(view, hits, comparison)
    if view.matcher is None:
        scores, doubt = rule_scores(features, clean=clean), doubts(features, clean=clean)
    else:  # which has learned how common duplicates are
        doubt = np.zeros(hits.candidates.shape)
        scores = view.matcher.scores(features, details_of(view, hits), sources_of(view, hits) if clean else None)
    same, sure = exact(comparison), certain(comparison)
    weights, epoch = view.weights_for(hits.former)
    # Where a code or GTIN speaks, or the text is the same, other words do not matter.
    named = comparison.code_in | (comparison.gtin > 0) | comparison.same_text
    apart = (comparison.units > 0) | (comparison.price > UNNAMED_PRICE)
    unlike = variants(features)
    named_variants = [0] * len(row)
    line, place = np.nonzero((scores >= threshold) | unlike)
    mine, theirs = row[line], hits.candidates[line, place]
    facts_of_mine, facts_of_theirs = view.facts_of(mine.tolist()), view.facts_of(theirs.tolist())
    prices = zip(view.match_prices(mine), view.match_prices(theirs), strict=True)
    for i, a, b, facts, other, both_prices, other_version, score, doubted, near, *is_ in zip(
        line.tolist(),
        mine.tolist(),
        theirs.tolist(),
        facts_of_mine,
        facts_of_theirs,
        prices,
        view.match_versions(theirs),
        scores[line, place].tolist(),
        doubt[line, place].tolist(),
        hits.similarity[line, place].tolist(),
        *(what[line, place].tolist() for what in (scores < threshold, unlike, named, apart, same, sure)),
        strict=True,
    ):
        is_below, is_unlike, is_named, is_apart, is_same, is_sure = is_
        variant = is_below or (
            not is_named and view.evidence.other_product(a, b, weights[epoch[i]], contradicted=is_apart)
        )
        if variant and (not is_unlike or named_variants[i] == _VARIANTS):
            continue
        told = differences(facts, other) if is_unlike and not is_sure else ()
        # A code's ending may be the shop's own; whatever else is told says that two products are not the same. A
        # matcher has learned how much it says.
        variant = variant or (view.matcher is None and any(difference.what != CODE for difference in told))
        if variant and (not told or named_variants[i] == _VARIANTS):
            continue
        similarity = min(1.0, round(near, 4))
        if variant:
            named_variants[i] += 1
            why = variant_reason(facts, other, told, both_prices, similarity)
        else:
            why = reason(facts, other, both_prices, similarity)
        linked = DUPLICATE_EXACT if is_same else DUPLICATE_NEAR
        found.setdefault(i, []).append(
            Candidate(
                other.identity,
                other_version,
                score,
                similarity,
                is_sure and not variant,
                VARIANT if variant else linked.name,
                why,
                VARIANT if variant else SAME,
                0.0 if variant else doubted,
            )
        )
    return found


def features_of(view: CatalogueView, hits: Hits, comparison: Comparison) -> PairFeatures:
    """What is compared of the products of a search and their candidates. comparison: of the same."""
    row, asked, weights, epoch = _pairs(view, hits)
    return pair_features(view.evidence, row, asked, hits.similarity, comparison, weights, epoch)


def details_of(view: CatalogueView, hits: Hits) -> NDArray[np.float64]:
    """What a matcher looks at beside the features, of the same pairs."""
    row, asked, weights, epoch = _pairs(view, hits)
    return pair_details(view.evidence, row, asked, view.dense_of(hits.row, asked), weights, epoch)


def _pairs(
    view: CatalogueView, hits: Hits
) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.uint8], NDArray[np.intp]]:
    """(b,) rows, (b, k) candidates, -1 also for those of a product that the view lacks; the weights of words."""
    row = np.maximum(hits.row, 0)
    return row, np.where((hits.row < 0)[:, None], -1, hits.candidates), *view.weights_for(hits.former)


def sources_of(view: CatalogueView, hits: Hits) -> NDArray[np.intp]:
    """(b, k) a number for the source of each candidate."""
    return view.sources(np.maximum(hits.candidates, 0))


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
