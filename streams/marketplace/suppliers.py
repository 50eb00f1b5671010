"""The suppliers: each with its own language, currency, notation of prices and times, and way of writing titles.

What a supplier does habitually is no fault: the same value, written differently.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from functools import lru_cache
from typing import Any

from opencc import OpenCC

from streams.marketplace.catalogue import Article
from streams.marketplace.vocabulary import Bilingual, Category

__all__ = ["RATES", "SUPPLIERS", "Offer", "Supplier", "accepted_values", "make_offer", "product_key", "write_offer"]

RATES: Mapping[str, float] = {"USD": 1.0, "GBP": 0.79, "EUR": 0.92, "CNY": 7.2, "TWD": 32.0}
"""Units of a currency for one US dollar."""

_CHINA = timezone(timedelta(hours=8))
_FULL_WIDTH = str.maketrans({chr(c): chr(c + 0xFEE0) for c in range(0x21, 0x7F)})
_to_traditional = OpenCC("s2t")


@lru_cache(maxsize=65_536)
def _traditional(text: str) -> str:
    return str(_to_traditional.convert(text))


@dataclass(frozen=True, slots=True)
class Supplier:
    """A supplier and its habits.

    write_title, write_price, write_time, write_category: how it notates each. gtin_share: of its offers with a GTIN.
    share: how likely an article is in its assortment.
    """

    name: str
    host: str
    chinese: bool
    currency: str
    share: float
    gtin_share: float
    write_sku: Callable[[Article, int], str]
    write_title: Callable[[Article, int], str]
    write_description: Callable[[Article], str]
    write_brand: Callable[[Article], str]
    write_category: Callable[[Category], str]
    write_price: Callable[[float], Any]
    write_time: Callable[[datetime], Any]
    round_price: Callable[[float], float]


@dataclass(slots=True)
class Offer:
    """One article as one supplier offers it. Its price changes, its text does not.

    style: 0 or 1, which of the supplier's ways of writing the title. usual: the price around which its price moves, as
    `price` in the supplier's currency.
    """

    supplier: Supplier
    article: Article
    sku: str
    style: int
    usual: float
    price: float
    with_gtin: bool

    @property
    def identity(self) -> str:
        """The supplier and its number for the product."""
        return f"{self.supplier.name}/{self.sku}"


def write_offer(offer: Offer, at: datetime) -> dict[str, Any]:
    """The record that the supplier sends for its offer."""
    supplier, article = offer.supplier, offer.article
    record: dict[str, Any] = {
        "supplier": supplier.name,
        "sku": offer.sku,
        "title": supplier.write_title(article, offer.style),
        "description": supplier.write_description(article),
        "brand": supplier.write_brand(article),
        "category": supplier.write_category(article.category),
        "price": supplier.write_price(offer.price),
        "currency": supplier.currency,
    }
    if offer.with_gtin:
        record["gtin"] = article.gtin
    record["mpn"] = article.code
    record["url"] = f"https://{supplier.host}/p/{offer.sku}"
    record["image"] = f"https://img.{supplier.host}/{offer.sku}.jpg"
    record["updated_at"] = supplier.write_time(at)
    return record


def accepted_values(record: Mapping[str, Any], offer: Offer, at: datetime) -> dict[str, tuple[Any, ...]]:
    """Of each field of a clean record the values that mean the same, the true one first.

    A brand or category means the same in every supplier's notation. at: what `updated_at` says.
    """
    accepted: dict[str, tuple[Any, ...]] = {field: (value,) for field, value in record.items()}
    article = offer.article
    brand = article.brand
    accepted["price"] = (offer.price,)
    accepted["updated_at"] = (at,)
    accepted["brand"] = (record["brand"], brand.en, brand.zh, f"{brand.en}/{brand.zh}")
    accepted["category"] = (record["category"], *_categories(article.category))
    return accepted


@lru_cache(maxsize=1024)
def _categories(category: Category) -> tuple[str, ...]:
    return tuple(supplier.write_category(category) for supplier in SUPPLIERS)


def product_key(identity: str) -> bytes:
    """The Kafka key of a product."""
    return identity.encode()


def _join(*parts: str | None, by: str = " ") -> str:
    return by.join(part for part in parts if part)


def _en(what: Bilingual | None) -> str | None:
    return what.en if what is not None else None


def _zh(what: Bilingual | None) -> str | None:
    return what.zh if what is not None else None


def _code(article: Article) -> str | None:
    return article.code if article.category.code else None


# --- titles ------------------------------------------------------------------------------------------------------


def _brand_first(article: Article, style: int) -> str:
    """Norvik Aura Electric Kettle NK-2450-BK, 1.7 L, double wall, Black."""
    feature = article.features[style].en
    name = _join(article.brand.en, article.line, article.noun.en, _code(article))
    return _join(name, article.size, feature, _en(article.colour), by=", ")


def _brand_last(article: Article, style: int) -> str:
    """Electric Kettle 1.7 L - double wall - Black - Norvik Aura (NK2450BK)."""
    code = _code(article)
    features = article.features[0].en if style else _join(*(f.en for f in article.features), by=", ")
    text = _join(_join(article.noun.en, article.size), features, _en(article.colour), by=" - ")
    return _join(f"{text} - {article.brand.en} {article.line}", f"({code.replace('-', '')})" if code else None)


def _loud(article: Article, style: int) -> str:
    """NORVIK NK2450-BK Aura Electric Kettle with double wall, Black, 1.7 L."""
    code = _code(article)
    head = _join(article.brand.en.upper(), code.replace("-", "", 1) if code else None, article.line, article.noun.en)
    return _join(_join(head, "with", article.features[style].en), _en(article.colour), article.size, by=", ")


def _shop_chinese(article: Article, style: int) -> str:
    """【正品】诺维克/Norvik Aura 1.7 L电热水壶 双层防烫 自动断电 黑色 NK-2450-BK 包邮."""
    brand, features = article.brand, _join(*(f.zh for f in article.features))
    body = _join(f"{brand.zh}/{brand.en}", article.line, f"{article.size or ''}{article.noun.zh}", features)
    body = _join(body, _zh(article.colour), _code(article))
    return f"{body} 正品包邮" if style else f"【正品】{body} 包邮"


def _traditional_title(article: Article, style: int) -> str:
    """諾維克（Norvik）Aura 電熱水壺 １．７Ｌ 雙層防燙 黑色 NK-2450-BK."""
    size = article.size.replace(" ", "").translate(_FULL_WIDTH) if article.size else None
    features = [_traditional(feature.zh) for feature in article.features[: 2 - style]]
    noun, brand = _traditional(article.noun.zh), f"{_traditional(article.brand.zh)}（{article.brand.en}）"
    colour = _traditional(article.colour.zh) if article.colour else None
    return _join(f"{brand}{article.line}", noun, size, *features, colour, _code(article))


def _mixed(article: Article, style: int) -> str:
    """Norvik 诺维克 Aura Electric Kettle 电热水壶 NK-2450-BK 1.7L Black 黑色."""
    size = article.size.replace(" ", "") if article.size else None
    colour = f"{article.colour.en} {article.colour.zh}" if article.colour else None
    noun = f"{article.noun.zh} {article.noun.en}" if style else f"{article.noun.en} {article.noun.zh}"
    return _join(article.brand.en, article.brand.zh, article.line, noun, _code(article), size, colour)


# --- descriptions ------------------------------------------------------------------------------------------------


def _plain(article: Article) -> str:
    first = f"{article.noun.en} by {article.brand.en}: {article.features[0].en}, {article.features[1].en}."
    return _join(first, *(s.en for s in article.sentences))


def _marked_up(article: Article) -> str:
    items = "".join(f"<li>{feature.en[0].upper()}{feature.en[1:]}</li>" for feature in article.features)
    return f"<p><b>{article.line} {article.noun.en}</b></p><ul>{items}</ul><p>{article.sentences[0].en}</p>"


def _short(article: Article) -> str:
    return f"{article.noun.en}, {article.features[1].en}. {article.sentences[1].en}"


def _chinese(article: Article) -> str:
    first = f"{article.brand.zh}{article.noun.zh}，{article.features[0].zh}，{article.features[1].zh}。"
    return first + "".join(s.zh for s in article.sentences)


def _both(article: Article) -> str:
    return f"{article.noun.en} {article.noun.zh}. {article.sentences[0].en} {article.sentences[0].zh}"


# --- prices ------------------------------------------------------------------------------------------------------


def _ending_99(price: float) -> float:
    return max(1.0, round(price)) - 0.01


def _ending_95(price: float) -> float:
    return max(1.0, round(price)) - 0.05


def _whole(price: float) -> float:
    return float(max(1, round(price)))


def _ending_9(price: float) -> float:
    return float(max(9, round(price / 10) * 10 - 1)) if price >= 60 else round(price, 1)


def _euro(price: float) -> str:
    return f"{price:,.2f} €".translate(str.maketrans(",.", ".,"))


def _yuan(price: float) -> str:
    if price >= 10_000 and price % 100 == 0:
        return f"￥{price / 10_000:g}万"
    return f"￥{price:,.2f}"


def _plain_number(price: float) -> float | int:
    return int(price) if price == int(price) else price


def _iso(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")


SUPPLIERS: tuple[Supplier, ...] = (
    Supplier(
        name="northgate",
        host="northgate.example",
        chinese=False,
        currency="USD",
        share=0.5,
        gtin_share=0.95,
        write_sku=lambda article, number: f"NG{number:06d}",
        write_title=_brand_first,
        write_description=_plain,
        write_brand=lambda article: article.brand.en,
        write_category=lambda category: f"{category.department_name.en} > {category.name.en}",
        write_price=lambda price: f"${price:,.2f}",
        write_time=_iso,
        round_price=_ending_99,
    ),
    Supplier(
        name="harbour-home",
        host="harbour-home.example",
        chinese=False,
        currency="GBP",
        share=0.4,
        gtin_share=0.8,
        write_sku=lambda article, number: f"hh-{number:05d}",
        write_title=_brand_last,
        write_description=_marked_up,
        write_brand=lambda article: article.brand.en,
        write_category=lambda category: category.name.en,
        write_price=_plain_number,
        write_time=lambda at: int(at.timestamp() * 1000),
        round_price=_ending_95,
    ),
    Supplier(
        name="eurodepot",
        host="eurodepot.example",
        chinese=False,
        currency="EUR",
        share=0.35,
        gtin_share=1.0,
        write_sku=lambda article, number: f"{number * 7 + 100_000}",
        write_title=_loud,
        write_description=_short,
        write_brand=lambda article: article.brand.en.upper(),
        write_category=lambda category: f"{category.department_name.en}/{category.name.en}",
        write_price=_euro,
        write_time=lambda at: at.strftime("%d %b %Y %H:%M:%S UTC"),
        round_price=_ending_99,
    ),
    Supplier(
        name="锦程优选",
        host="jincheng.example",
        chinese=True,
        currency="CNY",
        share=0.45,
        gtin_share=0.7,
        write_sku=lambda article, number: f"A{number * 13 + 18_000_000}",
        write_title=_shop_chinese,
        write_description=_chinese,
        write_brand=lambda article: f"{article.brand.en}/{article.brand.zh}",
        write_category=lambda category: category.name.zh,
        write_price=_yuan,
        write_time=lambda at: at.astimezone(_CHINA).isoformat(timespec="seconds"),
        round_price=_ending_9,
    ),
    Supplier(
        name="寶島百貨",
        host="baodao.example",
        chinese=True,
        currency="TWD",
        share=0.25,
        gtin_share=0.6,
        write_sku=lambda article, number: f"TW-{article.category.key[:3].upper()}-{number:05d}",
        write_title=_traditional_title,
        write_description=lambda article: _traditional(_chinese(article)),
        write_brand=lambda article: article.brand.en,
        write_category=lambda category: _traditional(f"{category.department_name.zh}/{category.name.zh}"),
        write_price=lambda price: f"{price:.0f}".translate(_FULL_WIDTH),
        write_time=lambda at: int(at.timestamp()),
        round_price=_whole,
    ),
    Supplier(
        name="pacific-bridge",
        host="pacific-bridge.example",
        chinese=False,
        currency="USD",
        share=0.3,
        gtin_share=0.9,
        write_sku=lambda article, number: f"PB.{number:05d}",
        write_title=_mixed,
        write_description=_both,
        write_brand=lambda article: article.brand.en,
        write_category=lambda category: category.name.en,
        write_price=lambda price: f"{price:.2f} USD",
        write_time=lambda at: at.astimezone(UTC).strftime("%Y/%m/%d %H:%M:%S"),
        round_price=_ending_99,
    ),
)


def make_offer(rng: random.Random, supplier: Supplier, article: Article, number: int) -> Offer:
    """An offer of the article at about its usual price."""
    price = article.usd * RATES[supplier.currency] * rng.uniform(0.94, 1.07)
    return Offer(
        supplier=supplier,
        article=article,
        sku=supplier.write_sku(article, number),
        style=rng.randint(0, 1),
        usual=price,
        price=supplier.round_price(price),
        with_gtin=rng.random() < supplier.gtin_share,
    )
