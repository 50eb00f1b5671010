"""The words of the simulated marketplace: categories, product nouns, features, brands, colours, reviews.

Brands are invented. Prices are in US dollars and only meant to be in proportion.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import files

__all__ = ["BRANDS", "CATEGORIES", "COLOURS", "LINES", "REVIEWS", "SENTENCES", "Bilingual", "Brand", "Category"]


@dataclass(frozen=True, slots=True)
class Bilingual:
    """The same thing in English and in simplified Chinese."""

    en: str
    zh: str


@dataclass(frozen=True, slots=True)
class Brand:
    """A brand: its Latin and its Chinese name, the departments it sells in, and how dear it is (1 is ordinary)."""

    en: str
    zh: str
    departments: frozenset[str]
    tier: float


@dataclass(frozen=True, slots=True)
class Category:
    """A kind of product.

    price: of a middling product, in US dollars. code: whether titles carry a model number.
    sizes: the size in which products of one family differ, written as it is printed; empty where there is none.
    coloured: whether products of one family differ in colour.
    """

    key: str
    department: str
    department_name: Bilingual
    name: Bilingual
    nouns: tuple[Bilingual, ...]
    features: tuple[Bilingual, ...]
    price: float
    sizes: tuple[str, ...] = ()
    coloured: bool = False
    code: bool = True


def _b(text: str) -> Bilingual:
    en, _, zh = text.partition("=")
    return Bilingual(en, zh)


def _all(text: str) -> tuple[Bilingual, ...]:
    return tuple(_b(part.strip()) for part in text.split(";"))


_DEPARTMENTS = {
    "kitchen": _b("Home & Kitchen=家居厨具"),
    "electronics": _b("Electronics=数码电器"),
    "toys": _b("Toys & Games=玩具游戏"),
    "beauty": _b("Beauty=美妆护肤"),
    "clothes": _b("Clothing=服饰鞋包"),
    "food": _b("Grocery=食品饮料"),
    "outdoor": _b("Sports & Outdoors=运动户外"),
    "office": _b("Office & Tools=办公工具"),
}


def _category(line: str) -> Category:
    department, key, name, nouns, features, price, sizes, coloured, code = line.split("|")[:9]
    return Category(
        key=key,
        department=department,
        department_name=_DEPARTMENTS[department],
        name=_b(name),
        nouns=_all(nouns),
        features=_all(features),
        price=float(price),
        sizes=tuple(size for size in sizes.split(",") if size),
        coloured=coloured == "c",
        code=code == "m",
    )


CATEGORIES: tuple[Category, ...] = tuple(
    _category(line)
    for line in files(__package__).joinpath("categories.txt").read_text(encoding="utf-8").splitlines()
    if not line.startswith("#")
)

_BRANDS = """
kitchen office|1|Norvik=诺维克;Brewell=博维尔;Panterra=潘泰拉;Homlea=鸿乐雅;Cassolino=卡索利诺
kitchen|1.7|Velunda=维伦达;Morigami=森上;Steinhall=斯坦豪
kitchen|.65|Kukera=酷客来;Dailyware=日日家
electronics|1|Lumetra=流明特;Zentrix=森特锐;Aurivelle=奥瑞薇;Kaizuma=凯祖马;Voltmark Labs=沃玛克
electronics|1.6|Soniqa=索尼卡乐;Helixon=赫力讯;Nordwell=诺德威尔
electronics|.6|Pixby=皮克比;Tekko=泰酷
toys|1|Tumblewick=塔布维;Playora=乐玩兔;Bricklet=布里克;Mimosa Kids=含羞草
toys|1.5|Holzbär=霍兹熊;Wonderoak=奇橡
beauty|1|Lirelle=丽芮儿;Pureflora=纯植芙;Mei Yun=美韵;Dewberry Lab=露莓
beauty|1.9|Maison Aubé=欧贝之家;Hanaé=花惠
beauty|.6|Caowu=草物语;Softie=柔亲
clothes outdoor|1|Ridgeway Co=瑞奇威;Fjellund=菲兰德;Tessaro=泰萨罗;Kestrel & Pine=隼松
clothes|1.5|Alderstone=奥德斯通;Casa Núria=努里亚
clothes|.6|Basico=倍适可;Yishang=衣尚坊
food|1|Oakmere=橡湖;Yunwu Garden=云雾园;Brightfern=亮蕨;Señor Campo=田野先生
food|1.6|Chadao Hall=茶道馆;Cacao Réal=可可瑞尔
outdoor|1|Summitra=峰途;Trailbound=行野
office|1|Inkwell & Sons=墨井;Torqo=拓科;Lampara=朗帕拉
"""


def _brands() -> tuple[Brand, ...]:
    found = []
    for line in _BRANDS.strip().splitlines():
        departments, tier, names = line.split("|")
        for name in _all(names):
            found.append(Brand(name.en, name.zh, frozenset(departments.split()), float(tier)))
    return tuple(found)


BRANDS: tuple[Brand, ...] = _brands()

COLOURS: tuple[tuple[str, Bilingual], ...] = tuple(
    (code, _b(name))
    for code, name in (
        ("BK", "Black=黑色"),
        ("WH", "White=白色"),
        ("RD", "Red=红色"),
        ("BL", "Blue=蓝色"),
        ("GN", "Green=绿色"),
        ("GY", "Grey=灰色"),
        ("PK", "Pink=粉色"),
        ("YE", "Yellow=黄色"),
        ("BR", "Brown=棕色"),
        ("PU", "Purple=紫色"),
    )
)

LINES: tuple[str, ...] = (
    "Aura", "Breeze", "Comet", "Delta", "Ember", "Forte", "Glide", "Halo", "Iris", "Jade", "Koru", "Luna",
    "Mistral", "Nova", "Onyx", "Prisma", "Quill", "Rondo", "Sierra", "Terra", "Umbra", "Vista", "Willow",
    "Xeno", "Yara", "Zephyr", "Arc", "Bloom", "Crest", "Drift", "Echo", "Flint", "Grove", "Haven", "Ivory",
    "Juno", "Kite", "Loom", "Mesa", "Nimbus", "Opal", "Pulse", "Quartz", "Reef", "Solis", "Tide", "Unity",
    "Vale", "Wave", "Zenit",
)  # fmt: skip

SENTENCES: tuple[Bilingual, ...] = _all(
    "Designed for everyday use and easy to look after.=专为日常使用设计，打理方便。;"
    "Tested in our own laboratory before it leaves the factory.=出厂前经过自有实验室严格检测。;"
    "A thoughtful present for family and friends.=送家人朋友的贴心之选。;"
    "Comes with a manual and a two year guarantee.=附说明书，享两年质保。;"
    "Small enough for a flat, good enough for a big family.=小户型也适用，大家庭也够用。;"
    "Made from carefully chosen materials.=精选优质材料制成。;"
    "Our customers have liked it for years.=多年来深受顾客喜爱。;"
    "Packed without plastic.=采用无塑环保包装。"
)

REVIEWS: tuple[Bilingual, ...] = _all(
    "Works as described, very happy with it.=和描述一致，非常满意。;"
    "Arrived two days late but the quality is good.=晚到了两天，但质量不错。;"
    "Not worth the money, it broke after a week.=不值这个价，用了一周就坏了。;"
    "Bought it as a gift, she loves it!=买来送人的，她很喜欢！;"
    "Exactly what I was looking for.=正是我想要的。;"
    "Average. The colour looks different from the picture.=一般般，颜色和图片有色差。;"
    "Second one I have bought, great value.=第二次回购了，性价比很高。;"
    "Customer service answered within an hour.=客服一小时内就回复了。"
)
