from __future__ import annotations

from dataclasses import replace

import numpy as np
import orjson
import pytest

from detectors.duplicates.caution import UNKNOWN_CAUTION, caution_after
from detectors.duplicates.links import CAUTION, LinkOwner, LinkStatus
from detectors.duplicates.rule import doubts
from detectors.duplicates.statement import Candidate, Statement
from detectors.records import Version
from tests.detectors.duplicates.test_features import compared
from tests.detectors.duplicates.test_links import pairs, say


@pytest.mark.parametrize(
    ("coded", "twice", "caution"),
    [
        (63, 0, UNKNOWN_CAUTION),  # too few to say anything
        (64, 0, 1.0),
        (64, 64, 0.0),
        (1000, 500, 0.0),
        (1000, 250, 0.25),  # a third: one halving of three
        (1000, 125, 0.75),  # two thirds
        (1000, 62, 1.0),
    ],
)
def test_the_rarer_duplicates_are_the_more_is_asked(coded: int, twice: int, caution: float) -> None:
    assert caution_after(UNKNOWN_CAUTION, coded, twice) == caution


def test_a_share_between_two_steps_changes_nothing() -> None:
    between = 210  # (log2(0.5) - log2(.21)) / 3 = .417
    assert [caution_after(now, 1000, between) for now in (0.0, 0.25, 0.5, 1.0)] == [0.5, 0.5, 0.5, 0.5]
    near = 225  # .384: nearer to .5, by less than .03
    assert [caution_after(now, 1000, near) for now in (0.0, 0.25, 0.5, 1.0)] == [0.5, 0.25, 0.5, 0.5]


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
    assert owner.caution == 1.0
    assert {CAUTION, "b/1"} <= applied.touched
    assert {"a/1", "b/1"} <= applied.renewed
    assert (owner.members("a/1"), owner.members("b/1")) == (["a/1"], ["b/1"])

    applied = owner.apply(coded(64, twice=64, first=100))
    assert owner.caution == 0.0
    assert ("a/1", "b/1") in pairs(owner)
    assert made.link.id in {c.link.id for c in applied.changes if c.status is LinkStatus.MADE}

    owner.apply([replace(s, deleted=True, candidates=()) for s in coded(0, twice=64, first=100)])
    assert owner.caution == 1.0, "of 128 with a code none has another offer now"
    assert pairs(owner) == set()


def test_what_is_sure_is_never_doubted() -> None:
    owner = LinkOwner()
    owner.apply([*coded(640), *coded(0, twice=1)])
    assert owner.caution == 1.0
    assert pairs(owner) == {("s/0", "t/0")}


def test_which_offers_came_first_does_not_matter() -> None:
    twins, singles = coded(128, twice=128), coded(256, first=1000)
    found = []
    for order in ([*doubted(-2.25), *twins, *singles], [*singles, *twins, *doubted(-2.25)], [*twins, *singles][::-1]):
        owner = LinkOwner()
        for i in range(0, len(order), 7):
            owner.apply(order[i : i + 7])
        owner.apply(doubted(-2.25))
        found.append((owner.caution, ("a/1", "b/1") in pairs(owner)))
    assert found == [(0.0, True)] * 3, "of 512 with a code 256 have another offer"


def test_a_new_owner_is_as_cautious_as_the_former_one_and_goes_on_counting() -> None:
    former = LinkOwner()
    said = [*doubted(-2.25), *coded(64)]
    touched = former.apply(said).touched
    successor = LinkOwner()
    for identity in touched:
        successor.load(identity, orjson.loads(orjson.dumps(former.state_of(identity))))
    assert (successor.caution, pairs(successor)) == (1.0, set())
    assert successor.apply(said).changes == []
    for owner in (former, successor):
        owner.apply(coded(64, twice=64))
    assert former.caution == successor.caution == 0.0
    assert successor.links() == former.links()


def test_scores_are_as_exact_with_doubt() -> None:
    doubt = doubts(compared("oak bench with back", "oak garden bench", "steel bench"), clean=False)
    assert (doubt * 8192 == np.rint(doubt * 8192)).all()
