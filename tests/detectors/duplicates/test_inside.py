"""Words and codes inside texts: the filter changes nothing of what is found."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from detectors.duplicates.inside import Searched, packed_body
from detectors.duplicates.kernels import RUN, stands_inside, words_compared

CODES = st.lists(st.text("ab1", min_size=1, max_size=8).map(str.encode), max_size=3)
WORDS = st.lists(st.text("ab1中", min_size=1, max_size=8).map(str.encode), max_size=6)
TEXTS = st.text("ab1", max_size=30).map(str.encode)
PRODUCTS = st.lists(st.none() | st.tuples(CODES, WORDS, TEXTS), min_size=1, max_size=5)


def _searched(*products: tuple[list[bytes], list[bytes], bytes] | None) -> Searched:
    bodies = [b"" if one is None else packed_body(b" ".join(one[0]), b" ".join(one[1]), one[2]) for one in products]
    return Searched(np.arange(len(products)) * 10, bodies)


def _stands(searched: Searched, place: int, at: np.ndarray) -> bool:
    (start, end), (text_start, text_end) = at.tolist(), searched.texts[place].tolist()
    return stands_inside(searched.bytes, start, end, text_start, text_end, searched.filters[place])


@given(PRODUCTS)
def test_it_finds_what_stands_there(products: list[tuple[list[bytes], list[bytes], bytes] | None]) -> None:
    searched = _searched(*products)
    assert searched.codes() == [code for one in products if one is not None for code in one[0]]
    for mine, one in enumerate(products):
        codes, words, _ = one or ([], [], b"")
        for said, first, at in (
            (codes, searched.first_code, searched.code_at),
            (words, searched.first_word, searched.word_at),
        ):
            places = at[first[mine] : first[mine + 1]]
            assert [bytes(searched.bytes[start:end]) for start, end in places.tolist()] == said
            for theirs, other in enumerate(products):
                text = b"" if other is None else other[2]
                assert [_stands(searched, theirs, place) for place in places] == [word in text for word in said]
    assert searched.places(np.arange(len(products)) * 10).tolist() == [*range(len(products))]


def test_a_word_is_found_across_no_border_of_texts() -> None:
    searched = _searched(([], [b"shop"], b"sh"), ([b"shop"], [b"shop"], b"op"), ([], [b"print", b"shop"], b"theshopx"))
    assert [_stands(searched, place, searched.word_at[0]) for place in range(3)] == [False, False, True]
    assert not _stands(searched, 2, searched.word_at[2])


@given(PRODUCTS)
def test_words_that_both_say_one_says_and_that_stand_inside(
    products: list[tuple[list[bytes], list[bytes], bytes] | None],
) -> None:
    """Against the same in sets."""
    searched = _searched(*products)
    n, numbers = len(products), {b"": 0}
    tokens = np.zeros((n, 8), np.uint32)
    said = [[*dict.fromkeys(one[1])] if one is not None else [] for one in products]
    bodies = [None if one is None else (one[0], words, one[2]) for one, words in zip(products, said, strict=True)]
    searched = _searched(*bodies)
    for place, words in enumerate(said):
        tokens[place, : len(words)] = [numbers.setdefault(word, len(numbers)) for word in words]
    weights = np.stack((np.ones(64, np.uint8), np.arange(64).astype(np.uint8)))
    a, b = (side.ravel() for side in np.meshgrid(np.arange(n), np.arange(n)))
    epoch = (a + b) % 2
    sums, exchanged = words_compared(
        a, b, a, b, tokens, weights, epoch, 63,
        searched.bytes, searched.texts, searched.first_word, searched.word_at, searched.filters,
    )  # fmt: skip
    for i, (x, y) in enumerate(zip(a.tolist(), b.tolist(), strict=True)):
        own = []
        for mine, theirs in ((x, y), (y, x)):
            text = b"" if products[theirs] is None else products[theirs][2]
            own.append(
                [w for w in said[mine] if w not in said[theirs] and not (len(w) >= RUN and w.isascii() and w in text)]
            )
        weight = [[int(weights[epoch[i], numbers[w]]) for w in words] for words in own]
        whole = sum(int(weights[epoch[i], numbers[w]]) for w in said[x])
        rarest = [max(one, default=0) for one in weight]
        assert sums[i].tolist() == [whole - sum(weight[0]), sum(weight[0]), sum(weight[1]), *rarest]
        least = min(len(said[x]) - len(own[0]), len(said[y]) - len(own[1]))
        few = least > 0 and min(map(len, own)) > 0 and max(map(len, own)) <= max(1, least / 3)
        assert exchanged[i] == (few and (_new(own[0], said[y]) or _new(own[1], said[x])))


def _new(own: list[bytes], others: list[bytes]) -> bool:
    """Whether one of these words is more than Chinese characters that the others have too."""
    han = "中".encode()
    return any(word.replace(han, b"") or not any(other.startswith(han) for other in others) for word in own)


def test_nothing_is_there() -> None:
    searched = _searched(None, ([], [], b""))
    assert searched.codes() == []
    assert searched.texts.tolist() == [[8, 8], [16, 16]]
    assert not searched.filters.any()
    assert _searched().texts.shape == (0, 2)
