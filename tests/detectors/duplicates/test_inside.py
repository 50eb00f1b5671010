"""Words inside texts: the filter changes nothing of what is found."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from detectors.duplicates.inside import RUN, Searched, packed_body

CODES = st.lists(st.text("ab1", min_size=1, max_size=8).map(str.encode), max_size=3)
WORDS = st.lists(st.text("ab1中", min_size=1, max_size=8).map(str.encode), max_size=6)
TEXTS = st.text("ab1", max_size=30).map(str.encode)
PRODUCTS = st.lists(st.none() | st.tuples(CODES, WORDS, TEXTS), min_size=1, max_size=5)


def _searched(*products: tuple[list[bytes], list[bytes], bytes] | None) -> Searched:
    bodies = [b"" if one is None else packed_body(b" ".join(one[0]), b" ".join(one[1]), one[2]) for one in products]
    return Searched(np.arange(len(products)) * 10, bodies)


@given(PRODUCTS)
def test_it_finds_what_stands_there(products: list[tuple[list[bytes], list[bytes], bytes] | None]) -> None:
    n = len(products)
    words = [[] if one is None else one[1] for one in products]
    texts = [b"" if one is None else one[2] for one in products]
    words_of, text_of = (side.ravel() for side in np.meshgrid(np.arange(n), np.arange(n)))
    asked = np.zeros((len(words_of), max(map(len, words))), bool)
    expected = asked.copy()
    for pair, (mine, theirs) in enumerate(zip(words_of.tolist(), text_of.tolist(), strict=True)):
        for number, word in enumerate(words[mine]):
            asked[pair, number] = (pair + number) % 3 > 0
            expected[pair, number] = asked[pair, number] and len(word) >= RUN and word in texts[theirs]
    searched = _searched(*products)
    assert (searched.found_inside(asked, words_of, text_of) == expected).all()
    for place, one in enumerate(products):
        assert searched.codes(place) == ([] if one is None else one[0])
        assert [searched.has(place, word) for word in (b"a", b"ab1")] == [w in texts[place] for w in (b"a", b"ab1")]
    assert searched.places(np.arange(n) * 10).tolist() == [*range(n)]


def test_a_word_is_found_across_no_border_of_texts() -> None:
    searched = _searched(([], [b"shop"], b"sh"), ([b"shop"], [b"shop"], b"op"), ([], [b"print", b"shop"], b"theshopx"))
    one, none = np.ones((1, 1), bool), np.array([[False]])
    for text in (0, 1):
        assert (searched.found_inside(one, np.array([0]), np.array([text])) == none).all()
    assert searched.found_inside(np.ones((1, 2), bool), np.array([2]), np.array([2])).tolist() == [[False, True]]
    assert searched.found_inside(one, np.array([0]), np.array([2])).tolist() == [[True]]


def test_nothing_is_asked() -> None:
    place = np.zeros(1, np.intp)
    assert not _searched(([], [b"a"], b"")).found_inside(np.zeros((1, 2), bool), place, place).any()
