from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.standardise.text import TextKind, ordinary_characters, standardise_text, suspects

NAME, PHRASE, PROSE = TextKind.NAME, TextKind.PHRASE, TextKind.PROSE


def after(text: str, kind: TextKind = PHRASE) -> str:
    outcome = standardise_text(text, kind)
    return str(outcome.steps[-1].after) if outcome and outcome.steps else text


def rules(text: str, kind: TextKind = PHRASE) -> list[str]:
    outcome = standardise_text(text, kind)
    return [step.rule for step in outcome.steps] if outcome else []


def faults(text: str, kind: TextKind = PHRASE) -> list[str]:
    outcome = standardise_text(text, kind)
    return [fault.rule.name for fault in outcome.faults] if outcome else []


CHINESE = ["手机充电器", "智能手机 5G 全网通", "雅诗兰黛小棕瓶精华液", "自然堂（滋润型）135ml", "九阳豆浆机家用全自动"]


@pytest.mark.parametrize("right", [*CHINESE, "Café crème", "Möbel für Küche", "naïve Größe", "Ünïcödé 10 €"])
@pytest.mark.parametrize("codec", ["latin-1", "sloppy-windows-1252"])  # the second is ftfy's: as browsers read it
def test_utf8_read_in_a_one_byte_encoding_is_read_back(right: str, codec: str) -> None:
    wrong = right.encode().decode(codec)
    assert after(wrong) == right
    assert faults(wrong) == ["text.mojibake"]
    assert suspects([wrong], PHRASE) == [0]


@pytest.mark.parametrize(
    "right",
    [
        "手机充电",
        "自然堂活泉保湿水霜精",
        "Sony 液晶电视 5G",
        "九阳豆浆机家用全自动",
        "补水（滋润）面膜",
        "苹果，三星机",
    ],
)
def test_utf8_read_as_gbk_is_read_back(right: str) -> None:
    wrong = right.encode().decode("gb18030")
    assert wrong != right
    assert after(wrong) == right
    assert faults(wrong) == ["text.mojibake"]
    assert suspects([wrong], PHRASE) == [0]


def test_a_windows_sign_read_as_a_control_character_is_put_back() -> None:
    assert after("Beetlejuice\x99 Mask") == "Beetlejuice™ Mask"
    assert faults("Beetlejuice\x99 Mask") == ["text.mojibake"]


@pytest.mark.parametrize(
    "text", ["锟斤拷锟斤拷 手机", "sheriff\ufffds office", "鎵嬫満鍏呯數鍣\ufffd", "xbox手\x92m原装"]
)
def test_lost_characters_are_found_and_not_made_up(text: str) -> None:
    assert faults(text) == ["text.mojibake"]
    assert after(text) == text
    outcome = standardise_text(text, PHRASE)
    assert outcome is not None
    assert not outcome.faults[0].repaired


@pytest.mark.parametrize(
    "text",
    [
        "CHANDO/自然堂活泉保湿修护精华水（滋润型135ml 补水控油爽肤水",
        "一加联通手机壳",
        "歐萊雅 玻尿酸精華液",
        "繁體中文：蘋果手機殼",
        "囍字贴 犇羴鱻麤",
        "キヤノン EOS カメラ",
        "삼성 갤럭시 노트",
        "MAÇÃ DOCE É ÓTIMA",
        "PAPEL SUÍÇO À VISTA",
        "Crème brûlée – “à la carte”…",
        "Привет Москва",
        "Ελληνικά προϊόντα",
        "Điện thoại di động",
        "FunkyBuys® Set™ 10² ½ ℃ ㎡ № ① … ×3 ±1 µm",
        "👨‍👩‍👧 ❤️‍🔥 family",
        "क्‍ष हिन्दी",
        "می‌خواهم",
        "אבג\u200e abc",
        "AT&T, H&M; a < b > c <3 <新品>",
        "C:\\> & Co",
        "50% off",
        "Bora Bora Walkie Talkie Talkie",
        "高高兴兴 漂漂亮亮",
        "哈哈哈哈哈哈哈哈",
        "Star Wars Clone Wars Clone Commander Wolffe Figure",
        "case for ip 13 pro max/ 14 pro max/ 14 plus/ 11",
        "2 4 6 8 2 4 6 8",
        "全新拍照手机oppor11手机oppor11plus",
    ],
)
def test_what_is_right_stays(text: str) -> None:
    for kind in TextKind:
        assert standardise_text(text, kind) is None


@pytest.mark.parametrize(
    ("text", "right"),
    [
        ("Sony &amp; Philips", "Sony & Philips"),
        ("Sony &amp;amp; Philips", "Sony & Philips"),
        ("<b>Sony</b> TV<br/>55", "Sony TV 55"),
        ("&lt;p&gt;Sony&lt;/p&gt; TV", "Sony TV"),
        ("Women&#39;s &quot;Bag&quot;&nbsp;red", 'Women\'s "Bag" red'),
        ("苹果&nbsp;手机<font color='red'>正品</font>", "苹果 手机正品"),
        ("<script>alert(1)</script>Sony", "Sony"),
        ("Sony<!-- x --> TV", "Sony TV"),
        ("Sony<!-- x --> TV<style>a{}</STYLE> <b>55", "Sony TV 55"),
    ],
)
def test_markup_in_a_title_is_damage(text: str, right: str) -> None:
    assert after(text) == right
    assert faults(text) == ["text.html"]
    assert suspects([text], PHRASE) == [0]


def test_markup_in_a_description_is_a_habit_and_its_blocks_are_lines() -> None:
    text = "<div><p>Name: rack</p><p>Colour: <b>red</b></p></div>"
    assert after(text, PROSE) == "Name: rack\nColour: red"
    assert rules(text, PROSE) == ["text.html"]
    assert faults(text, PROSE) == []


@pytest.mark.parametrize(
    ("text", "right", "rule"),
    [
        ("So\x00ny\x07 TV", "Sony TV", "text.control_characters"),
        ("Sony\u200b TV\ufeff", "Sony TV", "text.invisible"),
        ("So\u00adny", "Sony", "text.invisible"),
        ("手机\u200d壳", "手机壳", "text.invisible"),
        ("abc\u200e", "abc", "text.invisible"),
        ("Ａｐｐｌｅ　１２８ＧＢ", "Apple 128GB", "text.compatibility"),
        ("Ｓｏｎｙ（Black）", "Sony(Black)", "text.compatibility"),
        ("Ａｐｐｌｅ（黑色）", "Apple（黑色）", "text.compatibility"),
        ("ｷﾔﾉﾝ ｶﾒﾗ ｶﾞ", "キヤノン カメラ ガ", "text.compatibility"),
        ("ﬁne 𝐒𝐚𝐥𝐞", "fine Sale", "text.compatibility"),
        ("Cafe\u0301", "Café", "text.compatibility"),
        ("豈⼈", "豈人", "text.compatibility"),
        ("  Sony \t TV\n", "Sony TV", "text.white_space"),
        ("Sony\u00a0TV\u3000手机", "Sony TV 手机", "text.white_space"),
    ],
)
def test_characters(text: str, right: str, rule: str) -> None:
    assert after(text) == right
    assert rule in rules(text)
    assert suspects([text], PHRASE) == [0]
    assert faults(text) == (["text.control_characters"] if rule == "text.control_characters" else [])


def test_the_lines_of_a_description_stay() -> None:
    assert after(" a  b \r\n\r\n c\n", PROSE) == "a b\n\nc"
    assert standardise_text("a\n\nb\nc", PROSE) is None
    assert suspects(["a\n\nb\nc"], PROSE) == []


@pytest.mark.parametrize(
    ("text", "right"),
    [
        ("Sony TV Sony TV", "Sony TV"),
        ("Sony TV Sony TV Sony TV", "Sony TV"),
        ("Sony TV Sony TV 55 inch", "Sony TV 55 inch"),
        ("Tamiya 1/24 Modell Auto Modell Auto", "Tamiya 1/24 Modell Auto"),
        ("Toalla De Baño De Baño", "Toalla De Baño"),
        ("My Dolls House Miniature Dolls House Miniature Cake", "My Dolls House Miniature Cake"),
        ("Car (japan import) (japan import) (japan import)", "Car (japan import)"),
        ("索尼液晶电视索尼液晶电视", "索尼液晶电视"),
        ("相宜本草相宜本草黑茶男士洁面乳", "相宜本草黑茶男士洁面乳"),
        ("索尼 电视机 索尼 电视机", "索尼 电视机"),
        ("自然堂 活泉洁面乳 125g正品自然堂 活泉洁面乳 125g正品", "自然堂 活泉洁面乳 125g正品"),
    ],
)
def test_a_phrase_twice_in_a_row_is_said_once(text: str, right: str) -> None:
    assert after(text) == right
    assert faults(text) == ["text.repeated_phrase"]
    assert suspects([text], PHRASE) == [0]
    assert faults(text, NAME) == []


@pytest.mark.parametrize("text", ["高高兴兴", "红红火火红红火火", "哈哈哈哈哈哈哈哈哈哈哈哈哈哈哈哈", "一二 三一二 三"])
def test_a_short_text_may_be_the_same_twice(text: str) -> None:
    assert standardise_text(text, PHRASE) is None


def test_a_description_that_stands_there_twice_is_said_once() -> None:
    text = "Belt drive system with two speeds, servo speed control."
    assert after(f"{text} {text}", PROSE) == text
    assert after(f"{text}\n{text}", PROSE) == text


def test_damage_of_several_kinds_is_repaired_step_by_step() -> None:
    assert rules(" CafÃ© &amp; Bar \x07") == [
        "text.mojibake",
        "text.html",
        "text.control_characters",
        "text.white_space",
    ]
    assert after(" CafÃ© &amp; Bar \x07") == "Café & Bar"


def test_ordinary_characters_reads_full_width() -> None:
    assert ordinary_characters("￥１，２９９．００（元）") == "¥1,299.00(元)"


texts = st.text(max_size=60) | st.text(
    alphabet="ab 12&;<>/bp\n\t`手机充电器鎵嬫満鍏呯數Ã©æ‰‹‹å…\u200b\u3000（ａ１", max_size=40
)


@given(st.lists(texts, max_size=6), st.sampled_from(TextKind))
def test_what_is_not_suspect_is_in_standard_form(column: list[str], kind: TextKind) -> None:
    suspect = set(suspects(column, kind))
    for place, text in enumerate(column):
        if place not in suspect:
            assert standardise_text(text, kind) is None


@given(texts, st.sampled_from(["latin-1", "cp1252", "cp1251", "cp1250", "mac-roman", "cp437"]))
def test_wrong_encodings_never_raise(text: str, codec: str) -> None:
    wrong = text.encode(errors="replace").decode(codec, "replace")
    for kind in TextKind:
        outcome = standardise_text(wrong, kind)
        if outcome is not None:
            assert kind not in (NAME, PHRASE) or suspects([wrong], kind) == [0]


@given(st.text(alphabet=st.characters(codec="gbk"), max_size=30))
def test_genuine_chinese_is_never_taken_for_mojibake_of_gbk(text: str) -> None:
    repaired = after(text)
    if repaired != text and "text.mojibake" in rules(text):
        assert repaired.encode().decode("gb18030", "replace") == text


@given(texts)
def test_gbk_mojibake_is_read_back_or_left(text: str) -> None:
    right = "".join(c for c in text if "一" <= c <= "龥")
    try:
        wrong = right.encode().decode("gbk")
    except UnicodeDecodeError:
        return
    assert after(wrong) in (wrong, right, after(right))


@pytest.mark.timeout(30)
@pytest.mark.parametrize("kind", TextKind)
def test_long_texts_end_in_time(kind: TextKind) -> None:
    for piece in (
        "a b ",
        "手机",
        "<",
        "&a",
        "Ã©",
        "<b ",
        "<script>",
        "<!--",
        " ",
        "\n",
        "\r",
        " \n",
        "鎵嬫満",
        "\u200d",
    ):
        standardise_text("x" + piece * (100_000 // len(piece) - 1) + "x", kind)
