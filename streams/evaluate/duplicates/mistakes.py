"""The worst mistakes of a run: what was linked wrongly and why, what was missed and what stopped it.

A wrong pair inside a cluster comes from a wrong link, so links are what is shown; how many wrong pairs a cluster has
in all is counted beside. Numbers of examined mistakes are of all of them, not of those that are shown.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from detectors.duplicates.codes import codes_of_product
from detectors.duplicates.links import Link
from detectors.duplicates.measures import measures_in_words
from detectors.duplicates.score import THRESHOLD
from detectors.duplicates.statement import VARIANT
from detectors.duplicates.view import CANDIDATES
from detectors.records import Facts, split_identity
from detectors.standardise.chinese import fold
from streams.evaluate.duplicates.run import Run
from streams.evaluate.duplicates.truth import Truth
from streams.evaluate.duplicates.verdict import Term, Verdict, terms_of, verdicts, words_apart

__all__ = ["Mistake", "Mistakes", "Offer", "Variant", "find_mistakes"]

_DEEP = 500  # neighbours among which one is looked for that was no candidate
_DESCRIPTION_CHARS = 200


@dataclass(frozen=True, slots=True)
class Offer:
    """One record of a pair as the catalogue knows it. amounts: with their units, as the title writes them."""

    identity: str
    title: str
    description: str
    brand: str | None
    price: float | None
    currency: str | None
    gtin: str | None
    mpn: str | None
    codes: tuple[str, ...]
    amounts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Mistake:
    """A pair that is linked and should not be, or should be in one cluster and is not.

    rank: of the earlier one among the later one's candidates, from 1; None where it was none. score: of the rule;
    similarity: 0-1; both None where nobody compared the two. certain: a code or GTIN was taken to name both.
    cause: a short stable name. explanation: the cause in words. reason: what the finding says of a pair that was
    stated. terms: the evidence, weightiest first.
    cluster: records in the wrong link's cluster; of a missed pair, in the two clusters together.
    """

    later: Offer
    earlier: Offer
    score: float | None
    similarity: float | None
    rank: int | None
    certain: bool
    cause: str
    explanation: str
    reason: str
    terms: tuple[Term, ...]
    cluster: int


@dataclass(frozen=True, slots=True)
class Variant:
    """A pair of which the later one is said to be another colour, size or version of the earlier one.

    reason: what the finding says. same: whether they are one product by the truth, so that this is a mistake too.
    """

    later: Offer
    earlier: Offer
    similarity: float
    reason: str
    same: bool


@dataclass(frozen=True, slots=True)
class Mistakes:
    """The worst mistakes, and variants.

    wrong_links, missed_pairs: how many there are; of a truth that is a column, a missed record is examined with the
    true partners among its candidates, or with the newest one before it. wrong_causes, missed_causes: how many have
    which cause. against: of the missed pairs below the threshold, which evidence took most from the score.
    false_positives: by score, highest first. false_negatives: of each cause its share, by score, highest first.
    variants: those that are one product by the truth first, then the most alike first.
    """

    threshold: float
    wrong_links: int
    wrong_causes: Mapping[str, int]
    false_positives: tuple[Mistake, ...]
    missed_pairs: int
    missed_causes: Mapping[str, int]
    against: Mapping[str, int]
    false_negatives: tuple[Mistake, ...]
    variants: tuple[Variant, ...]


def find_mistakes(run: Run, truth: Truth, clusters: Mapping[str, str], n: int) -> Mistakes:
    """The n worst wrong links, the n worst missed pairs and n variants. clusters: identity -> its cluster."""
    return _Search(run, truth, clusters).mistakes(n)


class _Search:
    def __init__(self, run: Run, truth: Truth, clusters: Mapping[str, str]) -> None:
        self._run, self._truth, self._clusters = run, truth, clusters
        self._size = Counter(clusters.values())
        self._links: dict[str, dict[str, Link]] = defaultdict(dict)
        for link in run.owner.links():
            self._links[link.later][link.earlier] = self._links[link.earlier][link.later] = link
        self._members: dict[str | int, list[str]] = defaultdict(list)
        for identity in sorted(truth.product, key=run.order.__getitem__):
            self._members[truth.product[identity]].append(identity)

    def mistakes(self, n: int) -> Mistakes:
        wrong = [link for link in self._run.owner.links() if not self._same(link.later, link.earlier)]
        wrong.sort(key=lambda link: (-link.score, link.later, link.earlier))
        wrong_causes = Counter(map(self._wrong_cause, wrong))

        missed = list(self._missed())
        looked = [(later, earlier) for earlier, later in missed if self._place(later, earlier) is not None]
        judged = dict(zip(looked, self._verdicts(looked), strict=True))
        causes = {(b, a): self._missed_cause(b, a, judged.get((b, a))) for a, b in missed}
        missed_causes = Counter(cause for cause, _ in causes.values())
        against = Counter(
            min(points := judged[pair].points, key=points.__getitem__)
            for pair, (cause, _) in causes.items()
            if cause == "below_threshold"
        )
        by_cause: dict[str, list[tuple[str, str]]] = defaultdict(list)
        for pair in sorted(causes, key=lambda pair: (-judged[pair].score if pair in judged else 0.0, pair)):
            by_cause[causes[pair][0]].append(pair)
        shown = [pair for cause, share in _shares(missed_causes, n).items() for pair in by_cause[cause][:share]]
        return Mistakes(
            threshold=THRESHOLD,
            wrong_links=len(wrong),
            wrong_causes=dict(wrong_causes.most_common()),
            false_positives=tuple(self._wrong(link) for link in wrong[:n]),
            missed_pairs=len(missed),
            missed_causes=dict(missed_causes.most_common()),
            against=dict(against.most_common()),
            false_negatives=tuple(self._miss(*pair, *causes[pair], judged.get(pair)) for pair in shown),
            variants=self._variants(n),
        )

    def _variants(self, n: int) -> tuple[Variant, ...]:
        found = [(not self._same(later, said.identity), later, said) for later, said in self._run.variants()]
        found.sort(key=lambda pair: (pair[0], -pair[2].similarity, pair[1], pair[2].identity))
        return tuple(
            Variant(self._offer(later), self._offer(said.identity), said.similarity, said.reason, not differ)
            for differ, later, said in found[:n]
        )

    def _same(self, a: str, b: str) -> bool:
        return self._truth.product[a] == self._truth.product[b]

    def _place(self, later: str, earlier: str) -> int | None:
        """Where the earlier one stood among the later one's candidates, from 0."""
        candidates = self._run.looked[later].candidates
        return candidates.index(earlier) if earlier in candidates else None

    def _verdicts(self, pairs: Sequence[tuple[str, str]], alike: float = 0.0) -> list[Verdict]:
        """Verdicts of (later, earlier). alike: of an earlier one that was no candidate."""
        looked = self._run.looked
        asked = []
        for later, earlier in pairs:
            line = dict(zip(looked[later].candidates, looked[later].similarity, strict=True))
            line.setdefault(earlier, alike)
            asked.append((later, earlier, line))
        return verdicts(self._run.view, asked, clean=self._run.clean)

    # -- wrong links

    def _wrong(self, link: Link) -> Mistake:
        place = self._place(link.later, link.earlier)
        cause = self._wrong_cause(link)
        [verdict] = self._verdicts([(link.later, link.earlier)], link.similarity)
        return Mistake(
            later=self._offer(link.later),
            earlier=self._offer(link.earlier),
            score=link.score,
            similarity=link.similarity,
            rank=None if place is None else place + 1,
            certain=link.certain,
            cause=cause,
            explanation=self._why_wrong(link, cause),
            reason=link.reason,
            terms=terms_of(self._run.view, link.earlier, link.later, verdict),
            cluster=self._size[self._clusters[link.later]],
        )

    def _wrong_cause(self, link: Link) -> str:
        """Where the true partners of the two are."""
        if self._strayed(link):
            return "partner_elsewhere"
        alone = all(len(self._members[self._truth.product[x]]) == 1 for x in (link.later, link.earlier))
        return "no_partner" if alone else "products_joined"

    def _strayed(self, link: Link) -> list[tuple[str, str]]:
        """(one of the two, its first true partner), where it has partners and none is in its cluster."""
        strayed = []
        for x in (link.later, link.earlier):
            partners = [q for q in self._members[self._truth.product[x]] if q != x]
            if partners and all(self._apart(x, q) for q in partners):
                strayed.append((x, partners[0]))
        return strayed

    def _why_wrong(self, link: Link, cause: str) -> str:
        if cause == "partner_elsewhere":
            return "; ".join(f"{x} belongs to {q} {self._quoted(q)}: {self._met(x, q)}" for x, q in self._strayed(link))
        if cause == "products_joined":
            return "the link joins a complete cluster to what does not belong to it"
        return "neither has a true partner in the data"

    def _met(self, a: str, b: str) -> str:
        """What became of a true pair, in a few words."""
        later, earlier = (a, b) if self._run.order[a] > self._run.order[b] else (b, a)
        place = self._place(later, earlier)
        if place is None:
            return f"was no candidate of {later}"
        [verdict] = self._verdicts([(later, earlier)])
        return f"candidate {place + 1} of {later}, score {verdict.score:.2f}"

    # -- missed pairs

    def _missed(self) -> Iterator[tuple[str, str]]:
        """(earlier, later)"""
        if self._truth.pairs is not None:
            yield from sorted(pair for pair in self._truth.pairs if self._apart(*pair))
            return
        for members in self._members.values():
            for i, later in enumerate(members[1:], 1):
                here = [q for q in self._run.looked[later].candidates if self._same(q, later)]
                if here:
                    yield from ((q, later) for q in here if self._apart(q, later))
                elif self._apart(members[i - 1], later):
                    yield members[i - 1], later

    def _apart(self, a: str, b: str) -> bool:
        return self._clusters[a] != self._clusters[b]

    def _missed_cause(self, later: str, earlier: str, verdict: Verdict | None) -> tuple[str, str]:
        if verdict is None:
            return "no_candidate", "the earlier one was not among the candidates of the later one"
        said = {c.identity: c for c in self._run.said[later].candidates}.get(earlier)
        if said is None:
            if verdict.vetoed:
                return "other_words", "the score is enough, but words that only one of the titles says speak against it"
            if verdict.score < THRESHOLD:
                return "below_threshold", f"the score {verdict.score:.2f} is below the threshold {THRESHOLD:.2f}"
            return "unsaid", "the rule takes the pair with what is known now, it did not when the later one came"
        if said.relation == VARIANT:
            return "variant", "the later one was stated to be a variant of the earlier one"
        owner = self._run.owner
        if not owner.holds(said):
            return "caution", (
                f"the score {said.score:.2f} is enough, but duplicates are rare here (caution {owner.caution:.0%}): "
                f"it counts as {said.score - owner.caution * said.doubt:.2f}"
            )
        better = [self._told(x, *best) for x in (later, earlier) for best in self._best_link(x)]
        if better:
            return "linked_elsewhere", f"score {verdict.score:.2f}, but " + "; ".join(better)
        return "kept_apart", "the pair was stated and is not linked: the guards of clusters keep the two apart"

    def _told(self, x: str, partner: str, link: Link) -> str:
        sure, right = ", certain" if link.certain else "", "right" if self._same(x, partner) else "wrong"
        return f"{x} is linked to {partner} {self._quoted(partner)} with {link.score:.2f}{sure} ({right})"

    def _best_link(self, x: str) -> list[tuple[str, Link]]:
        return sorted(self._links.get(x, {}).items(), key=lambda item: (-item[1].score, item[0]))[:1]

    def _miss(self, later: str, earlier: str, cause: str, why: str, verdict: Verdict | None) -> Mistake:
        place = self._place(later, earlier)
        said = {c.identity: c for c in self._run.said[later].candidates}.get(earlier)
        if place is None:
            similarity, why = self._deep(later, earlier)
            if similarity is not None:
                [verdict] = self._verdicts([(later, earlier)], similarity)
                why += f"; the rule would give it {verdict.score:.2f}"
        else:
            similarity = self._run.looked[later].similarity[place]
        if cause == "other_words" and (apart := words_apart(self._facts(earlier).title, self._facts(later).title)):
            why += f": {apart}"
        return Mistake(
            later=self._offer(later),
            earlier=self._offer(earlier),
            score=None if verdict is None else said.score if said is not None else verdict.score,
            similarity=None if similarity is None else round(similarity, 4),
            rank=None if place is None else place + 1,
            certain=said is not None and said.certain,
            cause=cause,
            explanation=why,
            reason="" if said is None else said.reason,
            terms=() if verdict is None else terms_of(self._run.view, earlier, later, verdict),
            cluster=self._size[self._clusters[later]] + self._size[self._clusters[earlier]],
        )

    def _deep(self, later: str, earlier: str) -> tuple[float | None, str]:
        """How alike a pair is that was not looked at, and who was nearer; by what the catalogue holds in the end."""
        view = self._run.view
        hits = view.search([later], _DEEP)
        found = [
            (view.identity_at(row), alike)
            for row, alike in zip(hits.neighbours[0].tolist(), hits.scores[0].tolist(), strict=True)
            if row >= 0
        ]
        if self._run.clean:
            source = split_identity(later)[0]
            found = [(q, alike) for q, alike in found if split_identity(q)[0] != source]
        place = next((i for i, (q, _) in enumerate(found) if q == earlier), None)
        # Those that only share a code are less alike than the nearest.
        nearest = sorted(self._run.looked[later].similarity, reverse=True)[:CANDIDATES]
        last = f", the last candidate was {nearest[-1]:.0%} alike" if nearest else ""
        if place is None:
            return None, f"no candidate: not even among the {len(found)} nearest{last}"
        return found[place][1], f"no candidate: number {place + 1} of the nearest, {found[place][1]:.0%} alike{last}"

    # -- words

    def _offer(self, identity: str) -> Offer:
        facts = self._facts(identity)
        text = fold(facts.title)
        return Offer(
            identity=identity,
            title=facts.title,
            description=facts.description[:_DESCRIPTION_CHARS],
            brand=facts.brand,
            price=facts.price,
            currency=facts.currency,
            gtin=facts.gtin,
            mpn=facts.mpn,
            codes=tuple(code.upper() for code in codes_of_product(text, facts)),
            amounts=tuple(dict.fromkeys(measures_in_words(text))),
        )

    def _facts(self, identity: str) -> Facts:
        return self._run.view.entry_at(self._run.view.row_of(identity)).facts

    def _quoted(self, identity: str) -> str:
        return f'"{self._facts(identity).title}"'


def _shares(counts: Mapping[str, int], n: int) -> dict[str, int]:
    """n shared out in proportion to counts, one at least of each, most frequent first."""
    total = sum(counts.values())
    ordered: Iterable[tuple[str, int]] = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    shares = {name: max(1, min(count, n * count // max(1, total))) for name, count in ordered}
    for name in shares:
        shares[name] += max(0, min(counts[name] - shares[name], n - sum(shares.values())))
    while sum(shares.values()) > n:
        largest = max(shares, key=shares.__getitem__)
        shares[largest] -= 1
    return shares
