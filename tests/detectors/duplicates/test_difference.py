from __future__ import annotations

import pytest

from detectors.duplicates.difference import Difference, differences, variant_reason
from detectors.duplicates.measures import UNIT, amounts_said
from detectors.records import Facts


def told(one: str, other: str, **more: str) -> list[tuple[str, str, str]]:
    found = differences(Facts("a/1", one, **more), Facts("b/2", other, **more))
    return [(difference.what, difference.one, difference.other) for difference in found]


@pytest.mark.parametrize(
    ("one", "other", "what", "here", "there"),
    [
        ("Bose speaker stand red", "Bose speaker stand, navy", "colour", "red", "navy"),
        ("Oak tea 250 g", "Oak Tea 0.5 kg", "size", "250 g", "0.5 kg"),
        ("Oak flask 1.5 L", "Oak flask 750 ml", "size", "1.5 L", "750 ml"),
        ("Sony TV 46'", "Sony TV 52'", "size", "46 inch", "52 inch"),
        ("Basic T-shirt, M, cotton", "Basic T-shirt, XL, cotton", "size", "M", "XL"),
        ("Running shoe size 42", "Running shoe size 43", "size", "42", "43"),
        ("Nova SSD 500GB", "Nova SSD 1TB", "storage", "500 GB", "1 TB"),
        ("荣耀X50 5G 12+256G 手机", "荣耀X50 12GB+512GB 手机", "memory and storage", "12 + 256 GB", "12 + 512 GB"),
        ("小米14 8+256G 岩石灰", "小米14 8+256G 雪山粉", "colour", "岩石灰", "雪山粉"),
        ("荣耀X50 4G手机", "荣耀X50 5G手机", "network", "4 G network", "5 G network"),
        ("Nova charger 45 W", "Nova charger 65 W", "power", "45 W", "65 W"),
        ("Nova puzzle 100 pieces", "Nova puzzle 500 pieces", "pack", "100 pieces", "500 pieces"),
        ("Studio Draw 8", "Studio Draw v9.0", "version", "8", "v9.0"),
        ("Studio Draw 2006", "Studio Draw 2007", "year", "2006", "2007"),
        ("Studio Draw Deluxe", "Studio Draw Standard", "edition", "deluxe", "standard"),
        ("Studio Draw academic", "Studio Draw upgrade", "licence", "academic", "upgrade"),
        ("LoJack subscription 1 yr", "LoJack subscription 3 years", "licence term", "1 yr", "3 years"),
        ("Labeler 1 user", "Labeler 5 users", "number of users", "1 user", "5 users"),
        ("Studio Draw (Mac)", "Studio Draw (Windows)", "platform", "mac", "windows"),
        ("Canon camera SX110ISB", "Canon camera SX110ISR", "ending of the code", "SX110ISB", "SX110ISR"),
        ("Samsung 990 PRO 1TB NVMe SSD 7450 MB/s", "Samsung 990 PRO 2TB NVMe SSD 7450 MB/s", "storage", "1 TB", "2 TB"),
        ("Fleece jacket set of 2", "Fleece jacket set of 3", "pack", "set of 2", "set of 3"),
        ("Paper 500 sheets", "Paper 250 sheets", "pack", "500 sheets", "250 sheets"),
        ("Tent, 4 persons", "Tent, 6 persons", "size", "4 persons", "6 persons"),
        ("Antivirus 3 devices", "Antivirus 5 devices", "number of users", "3 devices", "5 devices"),
        ("【送50ml】兰蔻精华肌底液 230ml", "【送50ml】兰蔻精华肌底液 330ml", "size", "230 ml", "330 ml"),
        ("诺维克 电热水壶 双层防烫 红色", "諾維克 電熱水壺 雙層防燙 藍色", "colour", "红色", "蓝色"),
        ("悦诗风吟 绿茶喷雾 150ml", "【新款】悦诗风吟 绿茶喷雾 50毫升", "size", "150 ml", "50 毫升"),
        ("相宜本草 洁颜乳洗面奶 2支装", "相宜本草 洁颜乳洗面奶 包邮", "pack", "2支装", "one"),
        ("雅漾 舒缓面膜 19ml*5", "雅漾 舒缓面膜 19ml*3", "pack", "5", "3"),
        ("纯棉T恤 加厚 M码", "纯棉T恤 加厚 L码", "size", "M", "L"),
        ("跑步鞋 透气 42码", "跑步鞋 透气 43码", "size", "42", "43"),
        ("杀毒软件 家庭版 1年", "杀毒软件 家庭版 3年", "licence term", "1年", "3年"),
    ],
)
def test_what_tells_two_variants_apart(one: str, other: str, what: str, here: str, there: str) -> None:
    assert told(one, other) == [(what, here, there)]
    assert told(other, one) == [(what, there, here)]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Oak bench red", "Oak bench red"),
        ("Fox hand puppet", "Wolf hand puppet"),
        ("Norvik Aura kettle red", "Norvik Breeze kettle blue"),
        ("Weber cast iron griddle 7542", "Weber cast iron griddle 7531"),
        ("Whirlpool dishwasher DU1055SS", "Whirlpool dishwasher DU1100SS"),
        ("Canon camera black A590IS", "Canon camera silver SD1100IS"),
        ("Nova SSD 500GB 7000 MB/s", "Nova SSD 500GB 3500 MB/s"),
        ("雅诗兰黛 日霜 50ml", "雅诗兰黛 晚霜 75ml"),
        ("相宜本草 红石榴 保湿4件套", "相宜本草 红石榴 保湿乳液"),
        ("雅诗兰黛小棕瓶精华75ml", "雅诗兰黛小棕瓶精华50ml+肌初赋活原生液150ml"),
    ],
)
def test_what_is_another_product_is_no_variant(one: str, other: str) -> None:
    assert told(one, other) == told(other, one) == []


def test_every_kind_of_amount_has_a_name() -> None:
    for unit, (kind, _) in UNIT.items():
        assert amounts_said(f"3 {unit}")[0][0][0] == kind
        assert len(told(f"oak thing 3 {unit}", f"oak thing 7 {unit}")) == 1, unit


def test_shops_may_say_different_things_of_one_model() -> None:
    one = "Soniqa Comet Gaming Mouse SQ-8603-PU, silent click, Purple"
    other = "SONIQA SQ8603-BR Comet Gaming Mouse with dual mode, Brown"
    assert told(one, other) == [("colour", "purple", "brown")]
    assert told(one.replace("8603", "8604"), other) == []
    one, other = "Tessaro tent TE-3706-6GN, 6 persons, dry", "TESSARO TE3706-4GN tent for rain, 4 persons"
    assert told(one, other) == [("size", "6 persons", "4 persons")]


def test_several_differences_and_a_brand_that_one_title_leaves_out() -> None:
    assert differences(
        Facts("a/1", "Norvik flask 500 ml red", brand="Norvik"), Facts("b/2", "Flask, blue, 350 ml", brand="Norvik")
    ) == (Difference("colour", "red", "blue"), Difference("size", "500 ml", "350 ml"))


@pytest.mark.parametrize(
    ("one", "other", "brand", "what"),
    [
        ("Black+Decker drill red", "Black+Decker drill blue", "BLACK+DECKER", ("colour", "red", "blue")),
        ("3M Scotch tape silver 5 m", "3M Scotch tape silver 10 m", "3M", ("size", "5 m", "10 m")),
        ("红色小象 儿童雨衣 蓝色", "红色小象 儿童雨衣 黄色", "红色小象", ("colour", "蓝色", "黄色")),
    ],
)
def test_a_brand_that_is_a_colour_or_an_amount_hides_none(
    one: str, other: str, brand: str, what: tuple[str, str, str]
) -> None:
    assert told(one, other, brand=brand) == [what]


def said(a: Facts, b: Facts, prices: tuple[float | None, float | None] = (None, None)) -> str:
    return variant_reason(a, b, differences(a, b), prices, 0.876)


def test_reasons_in_words() -> None:
    a, b = Facts("a/1", "Oak flask red", currency="USD"), Facts("b/2", "Oak Flask, Blue", currency="EUR")
    assert said(a, b, (12.5, 11.0)) == (
        "another colour of “Oak Flask, Blue”: red here, blue there; titles 88% alike; 12.50 USD and 11.00 EUR"
    )
    assert said(Facts("a/1", "保温杯 黑色 500ml"), Facts("b/2", "保温杯 白色 350ml")) == (
        "another colour and size of “保温杯 白色 350ml”: 黑色, 500 ml here, 白色, 350 ml there; titles 88% alike"
    )
    long = said(Facts("a/1", f"{'Oak ' * 30}red"), Facts("b/2", f"{'Oak ' * 30}blue"))
    assert f"of “{('Oak ' * 30)[:79]}…”: red here" in long
