"""Words inside texts: the filter changes nothing of what is found."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from detectors.duplicates.inside import RUN, found_inside

WORDS = st.lists(st.text("ab1中", max_size=8).map(str.encode), max_size=6).map(b" ".join)
TEXTS = st.text("ab1", max_size=30).map(str.encode)


@given(st.lists(WORDS, min_size=1, max_size=4), st.lists(TEXTS, min_size=1, max_size=4))
def test_it_finds_what_stands_there(lines: list[bytes], texts: list[bytes]) -> None:
    split = [line.split(b" ") for line in lines]
    line, text = (side.ravel() for side in np.meshgrid(np.arange(len(lines)), np.arange(len(texts))))
    asked = np.zeros((len(line), max(map(len, split))), bool)
    expected = asked.copy()
    for pair, (mine, theirs) in enumerate(zip(line.tolist(), text.tolist(), strict=True)):
        for place, word in enumerate(split[mine]):
            asked[pair, place] = (pair + place) % 3 > 0
            expected[pair, place] = asked[pair, place] and len(word) >= RUN and word in texts[theirs]
    assert (found_inside(asked, line, text, lines, texts) == expected).all()


def test_a_word_is_found_across_no_border_of_texts() -> None:
    one = np.zeros(1, np.intp)
    assert not found_inside(np.ones((1, 1), bool), one, one, [b"shop"], [b"sh", b"op"]).any()
    assert found_inside(np.ones((1, 2), bool), one, one, [b"print shop"], [b"theshopx"]).tolist() == [[False, True]]


def test_nothing_is_asked() -> None:
    assert not found_inside(np.zeros((1, 2), bool), np.zeros(1, np.intp), np.zeros(1, np.intp), [b"a"], [b""]).any()
