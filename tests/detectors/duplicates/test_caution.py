from __future__ import annotations

import random
from dataclasses import replace

import numpy as np
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors.duplicates.caution import caution_of
from detectors.duplicates.links import LinkOwner, LinkStatus
from detectors.duplicates.rule import doubts
from detectors.duplicates.statement import Candidate, Statement
from detectors.records import Version
from tests.detectors.duplicates.test_features import compared
from tests.detectors.duplicates.test_links import pairs, say


@pytest.mark.parametrize(
    ("coded", "twice", "caution"),
    [
        (0, 0, 0.5),  # nothing is known
        (8, 0, 0.5566),
        (64, 0, 0.8333),
        (64, 64, 0.0),
        (100_000, 50_000, 0.0002),
        (100_000, 25_000, 0.3334),  # a third for each halving
        (100_000, 12_500, 0.6665),
        (100_000, 6_250, 0.9994),
        (100_000, 3_000, 1.0),
    ],
)
def test_the_rarer_duplicates_are_the_more_is_asked(coded: int, twice: int, caution: float) -> None:
    assert caution_of(coded, twice) == caution


def test_doubted_is_what_shares_no_code_and_says_things_of_its_own() -> None:
    assert doubts(compared("oak bench", "oak bench"), clean=False).item() == 0, "the same text"
    assert doubts(compared("oak bench ab1234", "steel table ab1234"), clean=False).item() == 0, "a code"
    assert doubts(compared("oak bench", "oak bench blue"), clean=False).item() == 1
    assert 1 < doubts(compared("oak bench red", "oak bench blue"), clean=False).item() <= 2
    assert doubts(compared("oak bench red", "oak bench blue"), clean=True).item() == 0


def coded(n: int, *, twice: int = 0, first: int = 0) -> list[Statement]:
    """Statements of products with codes, of which `twice` are offered by two."""
    said = [replace(say(f"s/{i}", i), coded=True) for i in range(first, first + n)]
    for i in range(first, first + twice):
        said.append(replace(say(f"t/{i}", i, (f"s/{i}", i, 1.0, True)), coded=True))
    return said


def doubted(score: float) -> list[Statement]:
    twin = Candidate("a/1", Version(0, 9001), score, 0.8, False, "duplicate.near", "alike", doubt=1.5)
    return [replace(say("a/1", 9001), coded=False), replace(say("b/1", 9002), coded=False, candidates=(twin,))]


def test_a_doubted_pair_comes_and_goes_with_how_common_duplicates_are() -> None:
    owner = LinkOwner()
    (made,) = owner.apply(doubted(-2.25)).changes
    assert made.status is LinkStatus.MADE, "-2.25 less half of 1.5 is the threshold"
    applied = owner.apply(coded(64))
    (gone,) = applied.changes
    assert (gone.status, gone.link.id) == (LinkStatus.RETRACTED, made.link.id)
    assert owner.caution == caution_of(64, 0)
    assert "b/1" in applied.touched
    assert {"a/1", "b/1"} <= applied.renewed
    assert (owner.members("a/1"), owner.members("b/1")) == (["a/1"], ["b/1"])

    applied = owner.apply(coded(64, twice=64, first=100))
    assert owner.caution == caution_of(192, 128) == 0.0
    assert ("a/1", "b/1") in pairs(owner)
    assert made.link.id in {c.link.id for c in applied.changes if c.status is LinkStatus.MADE}

    owner.apply([replace(s, deleted=True, candidates=()) for s in coded(0, twice=64, first=100)])
    assert owner.caution == caution_of(128, 0), "of those with a code none has another offer now"
    assert pairs(owner) == set()


def test_what_is_sure_is_never_doubted() -> None:
    owner = LinkOwner()
    owner.apply([*coded(640), *coded(0, twice=1)])
    assert owner.caution == 1.0
    assert pairs(owner) == {("s/0", "t/0")}


def _mixed(seed: int) -> list[Statement]:
    """Products with and without codes and second offers, doubted pairs at all scores, new versions, deletions."""
    rng = random.Random(seed)
    said: list[Statement] = []
    newest: dict[str, int] = {}
    for offset in range(rng.randrange(60, 300)):
        identity = f"{rng.choice('abcd')}/{rng.randrange(60)}"
        others = rng.sample(sorted(newest), min(len(newest), rng.randrange(4)))
        kept = [
            Candidate(
                other,
                Version(0, newest[other]),
                round(rng.uniform(-3, 1), 4),
                0.8,
                sure,
                "duplicate.near",
                "alike",
                doubt=0.0 if sure else round(rng.uniform(1, 2), 4),
            )
            for other in others
            if other != identity
            for sure in (rng.random() < 0.3,)
        ]
        newest[identity] = offset
        deleted = rng.random() < 0.1
        said.append(
            replace(
                say(identity, offset, deleted=deleted),
                candidates=() if deleted else tuple(kept),
                coded=None if deleted else rng.random() < 0.7,
            )
        )
    return said


@settings(deadline=None, max_examples=100)
@given(st.integers(0, 10**6), st.randoms(use_true_random=False))
def test_what_comes_first_does_not_matter(seed: int, rng: random.Random) -> None:
    said = _mixed(seed)
    straight, other = LinkOwner(), LinkOwner()
    straight.apply(said)
    shuffled = said + rng.sample(said, 10)
    rng.shuffle(shuffled)
    world: set[str] = set()
    states: dict[str, bytes] = {}
    while shuffled:
        n = rng.randint(1, 40)
        applied = other.apply(shuffled[:n])
        shuffled = shuffled[n:]
        for change in applied.changes:
            (world.add if change.status is LinkStatus.MADE else world.remove)(change.link.id)
        states |= {p: orjson.dumps(other.state_of(p)) for p in applied.touched}
        live = [
            p for p in other.identities() if other.state_of(p).get("coded") and not other.state_of(p).get("deleted")
        ]
        assert other.coded == len(live)
    assert (other.coded, other.twice, other.caution) == (straight.coded, straight.twice, straight.caution)
    assert other.links() == straight.links()
    assert world == {link.id for link in straight.links()}

    successor = LinkOwner()
    order = list(states)
    rng.shuffle(order)
    for identity in order:
        successor.load(identity, orjson.loads(states[identity]))
    assert successor.links() == straight.links()
    assert (successor.coded, successor.twice, successor.caution) == (straight.coded, straight.twice, straight.caution)
    more = coded(100, twice=rng.randrange(100), first=5000)
    assert successor.apply(more).changes == other.apply(more).changes
    assert successor.links() == other.links()


def test_scores_are_as_exact_with_doubt() -> None:
    doubt = doubts(compared("oak bench with back", "oak garden bench", "steel bench"), clean=False)
    assert (doubt * 8192 == np.rint(doubt * 8192)).all()
