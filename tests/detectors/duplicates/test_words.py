from __future__ import annotations

import pytest

from detectors.duplicates.words import respelled, title_words, words_in


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("printmaster gold v17.0", "printmaster gold 17"),
        ("slots ii", "slots 2"),
        ("kids' games", "kid game"),
        ("studio pro upgrd", "studio professional upgrade"),
        ("capture (r) license", "capture (r) licence"),
    ],
)
def test_spellings_of_one_word(one: str, other: str) -> None:
    assert title_words(one).tokens == title_words(other).tokens


def test_what_a_title_says() -> None:
    said = title_words("encore software 10691 - the print shop v22.0 deluxe 2007 - win 98 me 2000 xp")
    assert said.words == ("encore", "10691", "print", "shop", "22", "deluxe", "2007")
    assert list(said.numbers) == ["v22.0", "2007"]
    assert [number & 1 for number in said.numbers.values()] == [0, 1]  # a version, a year
    edition, licence, platform, language = said.traits
    assert (edition.bit_count(), licence, platform.bit_count(), language) == (1, 0, 1, 0)


def test_chinese_runs_are_pairs() -> None:
    assert title_words("自然堂 bb霜").words == ("自然", "然堂", "bb", "霜")


def test_a_unit_behind_a_number_is_a_word_of_its_own() -> None:
    assert title_words("天然水 550ml*24瓶整箱").words == title_words("天然水 550ml*24瓶 整箱").words
    assert title_words("面膜 5片装保湿").words == ("面膜", "5", "片装", "保湿")
    assert title_words("可乐 6罐").words != title_words("可乐 6瓶").words
    assert title_words("2024 双肩包 5克拉").words == ("2024", "双肩", "肩包", "5", "克拉")


def test_words_that_a_title_spells_otherwise() -> None:
    title = "acrobat pro upg for mac, 2 lamps 正品"
    assert respelled(title, words_in(title)) == ["professional", "upgrade"]
