from __future__ import annotations

import numpy as np
import pytest

from detectors.duplicates.codes import codes_of, compounds, names_of, numbered_words
from detectors.duplicates.evidence import EvidenceRows
from detectors.duplicates.measures import measures, measures_in_words, spelled_out
from detectors.duplicates.reading import read
from detectors.duplicates.sketch import flat_weights
from detectors.records import Facts
from detectors.standardise.chinese import fold


@pytest.mark.parametrize(
    ("title", "codes"),
    [
        ("bose acoustimass 5 series iii speaker system - am53bk", ("am53bk",)),
        ("sony turntable - ps-lx350h", ("pslx350h",)),
        ("logitech mouse 910-000298 blue", ("910000298",)),
        ("canon 50 mm f/1.8 lens 10 megapixel 500ml", ()),
        ("小米无线耳机am53bk黑色", ("am53bk",)),
        ("windows 98 and 2000", ()),
        ("samsung 990 pro 1tb nvme ssd, up to 7450mb/s, sata 6gb/s, lan 1000mbps", ()),
        ("防晒霜spf30pa+++ 隔离spf50+", ()),
        ("粉底液30ml50ml 喷雾50ml3支装 洗发露400ml700ml", ()),
        ("jigsaw (500-piece) 3-step 6axis 8-count 2x-large 1st-grade preschool-1st 40cms 12lbs 4-in-1 4in1", ()),
        ("frame 8x10 16x20 cat6 usb-3 size-10 eu42 3-6years 6-12months 5-year-old 12ct 400tc 1-18-scale", ()),
        ("sony alpha-350 psu 300-hdx 76ct003", ("alpha350", "300hdx", "76ct003")),
        ("pfister 4052-trpseb 7256ddeck canon 580exii", ("4052trpseb", "7256ddeck", "580exii")),
        ("dell 400-ajqo 870-evo-plus ktm 690duke 1735-euro", ("400ajqo", "870evoplus", "690duke", "1735euro")),
        ("kx-1000th axe-200st ct-24 2811-sec", ("kx1000th", "axe200st", "ct24", "2811sec")),
    ],
)
def test_codes(title: str, codes: tuple[str, ...]) -> None:
    assert codes_of(title) == codes


def test_a_part_number_comes_first() -> None:
    assert codes_of("kettle nk-2450", "NK-2450-BK") == ("nk2450bk", "nk2450")
    assert codes_of("kettle", "none") == ()


def test_the_spelling_of_a_brand_is_no_code() -> None:
    names = names_of(Facts("SK-II/1", brand="Pro-X 12"))
    assert names == {"skii", "prox12"}
    assert codes_of("sk-ii skiisk2 prox12 skii4711", names=names) == ("skii4711",)


def test_compounds_lose_their_separators() -> None:
    assert compounds(numbered_words("sony ps-lx350h version 1.2.3")) == ["pslx350h"]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("0.5 l", "500ml"),
        ("500毫升", "500 ml"),
        ("1.5kg bag", "1500 g"),
        ("black", "黑色"),
        ("grey", "gray"),
        ("荣耀x50 12+512g", "荣耀x50 12gb+512gb"),
        ("小米14 16+1t", "小米14 16g+1tb"),
        ("小米14 16+512 白", "小米14 16g 512g 白"),
        ("荣耀x50 8+256g 雅丹黑", "荣耀x50 8 + 256 gb 黑色"),
    ],
)
def test_equal_measures(one: str, other: str) -> None:
    assert measures(one) == measures(other) != ()


@pytest.mark.parametrize(
    ("title", "amounts"),
    [
        ("荣耀x50 5g 12+512g 全网通", ["12 gb", "512 gb"]),
        ("荣耀x50 5g手机", []),
        ("tp-link 4g wifi 路由器", []),
        ("雅漾眼霜 5g 小样", ["5 g"]),  # of cream, not of networks
        ("雅漾 舒缓眼霜 5g 网红款", ["5 g"]),
        ("金士顿 内存条 4g", ["4 g"]),
        ("chocolate 256g", ["256 g"]),
        ("galaxy s10+ 128gb", ["128 gb"]),
        ("iphone 8+ 64gb", ["64 gb"]),
        ("iphone 8 256gb", ["256 gb"]),
        ("糖果 8g 64g", ["8 g", "64 g"]),
        ("饼干 8g+16g", ["8 g", "16 g"]),
        ("laptop ssd 512gb ram 16gb", ["512 gb", "16 gb"]),
    ],
)
def test_what_a_g_is(title: str, amounts: list[str]) -> None:
    assert measures_in_words(title) == amounts


@pytest.mark.parametrize(
    ("title", "spelled"),
    [
        ("精华 30毫升正品", "精华 30ml 正品"),
        ("洗衣液 2升", "洗衣液 2000ml"),
        ("大米10斤", "大米5000g"),
        ("猫粮 2.5kg 成猫", "猫粮 2500g  成猫"),
        ("可乐330ml*24听", "可乐330ml*24罐"),
        ("净化器 5升级版 5克拉", "净化器 5升级版 5克拉"),
        ("荣耀x50 8g 256g", "荣耀x50 8gb+256gb"),
        ("手机 y13l 3l码", "手机 y13l 3l码"),  # a model and a size
        ("雅思15听力", "雅思15听力"),
    ],
)
def test_chinese_titles_as_they_are_compared(title: str, spelled: str) -> None:
    assert spelled_out(title, chinese=True) == spelled_out(spelled_out(title, chinese=True), chinese=True) == spelled


def test_other_titles_keep_their_units() -> None:
    found = read(["coca-cola 可乐 2l", "可口可乐 2升"], [Facts("a/1"), Facts("a/2")])
    assert found.words == [b"coca cola \xe5\x8f\xaf\xe4\xb9\x90 2l", "可口 口可 可乐 2000ml".encode()]


def test_the_end_of_a_word_is_a_colour_of_devices_alone() -> None:
    assert len(measures("粉底 30ml 美白")) == 1
    assert len(measures("小米14 8+256g 岩石黑")) == len(measures("小米14 8+256g")) + 1


@pytest.mark.parametrize(
    ("one", "other", "kinds"),
    [
        ("荣耀X50 5G 12+256G 雅川绿", "荣耀X50 5G 12GB+256GB 雅川绿", 0),
        ("荣耀X50 5G 12+256G 雅川绿", "荣耀X50 5G 12+512G 雅丹黑", 3),  # colour, both together, and storage
        ("荣耀X50 5G 8+256G", "荣耀X50 5G 12+256G", 1),
        ("荣耀X50 12+512G", "荣耀X50 256G", 1),
        ("荣耀X50 12+512G", "荣耀X50 256GB", 1),
        ("荣耀X50 5G手机", "荣耀X50 4G手机", 1),
        ("Samsung Galaxy A52 4G 128GB", "Samsung Galaxy A52 5G 128GB", 1),
        ("OPPO R9s 4+128G 玫瑰金", "OPPO R9s 4GB+128GB 粉色", 0),
        ("纯棉T恤 XXL码", "纯棉T恤 2XL码", 0),
        ("laptop 8GB RAM", "laptop 16GB", 1),
        ("Samsung Galaxy S10+ 128GB", "Samsung Galaxy 128GB", 0),
        ("iPhone 8+ 64GB", "iPhone 64GB", 0),
        ("chocolate 256g", "chocolate 100g", 1),
        ("纯棉T恤 L码", "纯棉T恤 XL码", 1),
        ("跑步鞋 42码", "跑步鞋 42.5码", 1),
        ("纯棉T恤 L码", "纯棉T恤 M码 L码", 0),
        ("金士顿 内存条 2G", "金士顿 内存条 4G", 1),
    ],
)
def test_devices_that_differ(one: str, other: str, kinds: int) -> None:
    assert _pair(Facts("a/1", one), Facts("b/1", other))["units"] == kinds


def _rows(*facts: Facts) -> EvidenceRows:
    rows = EvidenceRows()
    rows.put(range(len(facts)), [fold(f.title) for f in facts], facts, [f.price for f in facts])
    return rows


def _pair(a: Facts, b: Facts) -> dict[str, float]:
    c = _rows(a, b).compare(np.array([1]), np.array([[0]]))
    return {name: float(getattr(c, name)[0, 0]) for name in c.__slots__ if name != "searched"}


def test_comparison_of_one_product_in_two_words() -> None:
    a = Facts("a/1", "Bose Acoustimass 5 Speaker System - AM53BK", price=399.0, currency="USD")
    b = Facts("b/1", "Bose AM-53BK speakers, black", price=379.95, currency="USD")
    got = _pair(a, b)
    assert got["code_in"] == got["code_equal"] == 1
    assert got["code_conflict"] == got["code_left"] == got["units"] == got["gtin"] == got["same_text"] == 0
    assert got["price"] == pytest.approx(np.log(399 / 379.95), abs=1e-4)


def test_a_code_inside_the_description_counts() -> None:
    got = _pair(Facts("a/1", "Bose speakers - AM53BK"), Facts("b/1", "Bose speakers", "model AM 53 BK, black"))
    assert (got["code_in"], got["code_equal"], got["code_conflict"]) == (1, 0, 0)


def test_variants_differ() -> None:
    got = _pair(
        Facts("a/1", "Canon S550 camera 26109 blue 10 mm", gtin="4006381333931", mpn="S550-BL"),
        Facts("b/1", "Canon S550 camera 26110 black 12 mm", gtin="96385074", mpn="S550-BK"),
    )
    assert got["code_left"] == 1
    assert got["units"] == 2  # colour and length
    assert (got["mpn"], got["gtin"]) == (-1, -1)


def test_prices_in_two_currencies_are_exchanged() -> None:
    same = _pair(Facts("a/1", "x", price=100.0, currency="USD"), Facts("b/1", "x", price=700.0, currency="CNY"))
    other = _pair(Facts("a/1", "x", price=100.0, currency="USD"), Facts("b/1", "x", price=7.0, currency="CNY"))
    assert same["price"] < 0.2
    assert other["price"] > 4


def test_who_shares_a_code_is_found_until_dropped() -> None:
    facts = [Facts(f"a/{i}", title) for i, title in enumerate(("tv AM53BK", "电视 AM53BK", "tv XY99Z"))]
    rows = _rows(*facts)
    assert rows.sharing(np.array([0, 1])) == [{1: 2}, {0: 2}]
    rows.drop([1])
    assert rows.sharing(np.array([0])) == [{}]


def test_a_code_on_many_titles_of_a_shop_is_a_word() -> None:
    shop = [
        Facts(f"a/{i}", f"{thing} wifi6e") for i, thing in enumerate(("router", "tv", "phone", "hub", "cam", "lamp"))
    ]
    rows = _rows(*shop)
    assert rows.compare(np.array([4]), np.array([[0]])).code_equal.item()
    assert not rows.compare(np.array([5]), np.array([[0]])).code_in.item()
    shops = [Facts(f"{i}/1", f"{f.title}") for i, f in enumerate(shop)]
    assert _rows(*shops).compare(np.array([5]), np.array([[0]])).code_equal.item()


@pytest.mark.parametrize(
    ("one", "other", "kinds"),
    [
        ("爽肤水200ml", "爽肤水200ml*2", 1),
        ("洁面乳2支装", "洁面乳", 1),
        ("面霜80g两瓶装", "面霜80g*2", 0),
        ("防晒霜spf30", "防晒霜spf50", 1),
        ("面膜12片", "面膜20片", 1),
        ("喷雾50ml3支装", "喷雾50ml*3", 0),
    ],
)
def test_packs_and_sun_protection(one: str, other: str, kinds: int) -> None:
    assert _pair(Facts("a/1", one), Facts("b/1", other))["units"] == kinds


@pytest.mark.parametrize(
    ("one", "other", "differ"),
    [
        ("【预售】兰蔻水份缘舒缓凝霜 补水保湿", "兰蔻水份缘舒缓凝霜 补水保湿 舒缓弹润", False),
        ("自然堂活泉保湿睫毛膏 正品包邮", "自然堂活泉保湿卸妆乳 正品包邮", True),
        ("佰草集典萃美白亮颜日霜提亮肤色", "佰草集典萃美白亮颜晚霜提亮肤色", True),
        ("欧珀莱臻白柔肤水套装 补水保湿", "欧珀莱臻白柔肤水 补水保湿", True),
        ("bose speakers black", "sony printer", False),
    ],
)
def test_chinese_titles_without_a_code(one: str, other: str, differ: bool) -> None:
    rows = _rows(Facts("a/1", one), Facts("a/2", other))
    here, other, never = np.array([1, 0]), np.array([0, 1]), np.zeros(2, bool)
    found = rows.other_products(here, other, never, flat_weights()[None], np.zeros(2, np.intp))
    assert found.tolist() == [differ, differ]


def test_memory_and_storage_may_be_written_otherwise() -> None:
    one = Facts("a/1", "荣耀X50 5G 12GB+512GB 雅丹黑 智能手机")
    rows = _rows(
        one, Facts("a/2", "荣耀X50 12+512G 雅丹黑 5G手机 官方正品"), Facts("a/3", "荣耀 12GB+512GB 路由器 雅丹黑 家用")
    )
    pairs, never = (np.array([1, 2]), np.array([0, 0])), np.zeros(2, bool)
    found = rows.other_products(*pairs, never, flat_weights()[None], np.zeros(2, np.intp))
    assert found.tolist() == [False, True]


def test_what_contradicts_titles_makes_two_products_of_chinese_ones_alone() -> None:
    rows = _rows(Facts("a/1", "自然堂活泉保湿睫毛膏"), Facts("a/2", "自然堂活泉保湿睫毛膏"), Facts("a/3", "sony tv"))
    pairs = np.array([1, 1, 2]), np.array([0, 0, 0])
    found = rows.other_products(*pairs, np.array([False, True, True]), flat_weights()[None], np.zeros(3, np.intp))
    assert found.tolist() == [False, True, False]
