"""From a search to statements: which of the products that were found may be the same, or a variant, and why."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from detectors.duplicates.codes import codes_of_product
from detectors.duplicates.details import pair_details
from detectors.duplicates.difference import CODE, differences, variant_reason
from detectors.duplicates.evidence import Comparison
from detectors.duplicates.features import PairFeatures, pair_features
from detectors.duplicates.rule import UNNAMED_PRICE, certain, doubts, exact, hopeless, reason, rule_scores, variants
from detectors.duplicates.score import DUPLICATE_EXACT, DUPLICATE_NEAR, THRESHOLD
from detectors.duplicates.statement import SAME, VARIANT, Candidate, Statement, deletion
from detectors.duplicates.view import CatalogueView, Hits
from detectors.records import split_identity
from detectors.standardise.chinese import fold

__all__ = ["details_of", "features_of", "sources_of", "statements"]

_VARIANTS = 3  # named of one product, at most


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
    lines = zip(
        hits.identities,
        view.standings(hits.identities),
        hits.row.tolist(),
        hits.position.tolist(),
        coded,
        strict=True,
    )
    for i, (identity, found, row, position, has_code) in enumerate(lines):
        if found is None:
            continue
        if found.deleted:
            said.append(deletion(identity, found.topic, found.partition, found.version, clean=clean))
            continue
        said.append(
            Statement(
                identity,
                found.topic,
                found.partition,
                found.version,
                found.match_version,
                position,
                found.first_seen,
                split_identity(identity)[0],
                clean,
                tuple(sorted(accepted.get(i, ()), key=lambda c: (-c.score, c.identity))),
                coded=has_code if row >= 0 else None,
            )
        )
    return said


def _candidates(view: CatalogueView, hits: Hits, clean: bool, threshold: float) -> dict[int, list[Candidate]]:
    """By line of a search, those that may be the same, and variants."""
    found: dict[int, list[Candidate]] = {}
    row = np.maximum(hits.row, 0)
    if view.matcher is None:
        hits = replace(hits, candidates=_promising(view, hits, clean, threshold))
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
    not_same = (scores < threshold)[line, place]
    asked = ~(not_same | named[line, place])
    not_same[asked] = view.evidence.other_products(
        mine[asked], theirs[asked], apart[line, place][asked], weights, epoch[line[asked]]
    )
    facts_of_mine, facts_of_theirs = view.facts_read_of(mine.tolist()), view.facts_read_of(theirs.tolist())
    prices = zip(view.match_prices(mine), view.match_prices(theirs), strict=True)
    codes, amounts = view.evidence.shared_of(mine, theirs)
    for i, facts, other, both_prices, other_version, score, doubted, near, variant, code, *is_ in zip(
        line.tolist(),
        facts_of_mine,
        facts_of_theirs,
        prices,
        view.match_versions(theirs),
        scores[line, place].tolist(),
        doubt[line, place].tolist(),
        hits.similarity[line, place].tolist(),
        not_same.tolist(),
        codes.tolist(),
        *(what[line, place].tolist() for what in (unlike, same, sure)),
        amounts.tolist(),
        strict=True,
    ):
        is_unlike, is_same, is_sure, shares_amount = is_
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
            shared = codes_of_product(fold(facts.title), facts)[code:] if code >= 0 else ()
            why = reason(facts, other, both_prices, similarity, code=next(iter(shared), ""), amounts=shares_amount)
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


def _promising(view: CatalogueView, hits: Hits, clean: bool, threshold: float) -> NDArray[np.intp]:
    """(b, k) the candidates without those of which the price alone says that they are none: they need no more work."""
    there = np.nonzero(hits.candidates >= 0)
    mine, theirs = np.maximum(hits.row, 0)[there[0]], hits.candidates[there]
    coded = view.evidence.coded(mine).astype(np.intp) + view.evidence.coded(theirs)
    price = view.evidence.prices_apart(mine, theirs)
    promising = hits.candidates.copy()
    promising[there] = np.where(
        hopeless(hits.similarity[there], price, coded, clean=clean, threshold=threshold), -1, theirs
    )
    return promising


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
