from __future__ import annotations

import pytest

from detectors.standardise import memoised as module
from detectors.standardise.memoised import Known, memoised


def test_short_texts_are_remembered_and_long_ones_are_not() -> None:
    read: list[str] = []

    @memoised(2, 3)
    def length(text: str, plus: int = 0) -> int:
        read.append(text)
        return len(text) + plus

    assert [length(text) for text in ("abc", "abc", "abcd", "abcd")] == [3, 3, 4, 4]
    assert read == ["abc", "abcd", "abcd"]
    assert length("abc", 2) == length("abc", plus=2) == 5


def test_a_cut_text_is_remembered_by_its_beginning() -> None:
    read: list[str] = []

    @memoised(8, 3, cut=3)
    def same(text: str) -> str:
        read.append(text)
        return text

    assert [same(text) for text in ("abc", "abcd", "abce", "ab")] == ["abc", "abc", "abc", "ab"]
    assert read == ["abc", "ab"]


def test_a_text_longer_than_what_is_remembered_is_cut_all_the_same() -> None:
    @memoised(8, 2, cut=4)
    def same(text: str) -> str:
        return text

    assert [same(text) for text in ("a" * 3, "a" * 4, "a" * 9)] == ["aaa", "aaaa", "aaaa"]


def test_words_are_known_up_to_a_number_and_then_learned_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "KNOWN", 3)
    asked: list[str] = []

    def length(word: str) -> int:
        asked.append(word)
        return len(word)

    known = Known(length)
    assert [*map(known.__getitem__, ("a", "bb", "a", "ccc", "dddd", "a"))] == [1, 2, 1, 3, 4, 1]
    assert asked == ["a", "bb", "ccc", "dddd", "a"]
    assert len(known) == 2
