"""How each fault is made: a record in, the message as it is sent and what is wrong with it out."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import orjson

from streams.marketplace.catalogue import Article
from streams.marketplace.events import FaultKind, Planted
from streams.marketplace.suppliers import Offer
from streams.marketplace.vocabulary import BRANDS

__all__ = ["damage_behaviour", "damage_product"]


@dataclass(frozen=True, slots=True)
class _Case:
    """What a fault of a product is made from. other: an article of another department. clean: see `Event`."""

    rng: random.Random
    record: dict[str, Any]
    offer: Offer
    other: Article
    clean: Mapping[str, tuple[Any, ...]]


@dataclass(frozen=True, slots=True)
class _Made:
    """A message with a fault: where, what was sent, what would be right there (see `Planted`)."""

    value: bytes
    field: str | None
    observed: Any = None
    accepted: tuple[Any, ...] = ()
    tolerance: float = 0.005


def damage_product(
    rng: random.Random,
    kind: FaultKind,
    record: Mapping[str, Any],
    clean: Mapping[str, tuple[Any, ...]],
    offer: Offer,
    other: Article,
) -> tuple[bytes, Planted] | None:
    """The offer's record with a fault of this kind; None where the record offers no place for it.

    clean: what each field may become by a repair. other: an article of another department.
    """
    made = _PRODUCT[kind](_Case(rng, dict(record), offer, other, clean))
    if made is None:
        return None
    return made.value, Planted(kind, made.field, offer.identity, made.observed, made.accepted, made.tolerance)


def damage_behaviour(
    rng: random.Random, kind: FaultKind, record: Mapping[str, Any], at: datetime
) -> tuple[bytes, Planted] | None:
    """The behaviour event with a fault of this kind; None where the event offers no place for it."""
    made = _BEHAVIOUR[kind](rng, dict(record), at)
    if made is None:
        return None
    identity = str(record["event_id"])
    return made.value, Planted(kind, made.field, identity, made.observed, made.accepted, made.tolerance)


def _with(record: dict[str, Any], field: str, bad: Any, *accepted: Any, tolerance: float = 0.005) -> _Made:
    record[field] = bad
    return _Made(orjson.dumps(record), field, bad, accepted, tolerance)


# --- the message -------------------------------------------------------------------------------------------------


def _cut(rng: random.Random, value: bytes) -> bytes:
    return value[: rng.randint(len(value) // 3, len(value) - 2)]


def _not_json(case: _Case) -> _Made:
    value = orjson.dumps(case.record)
    if case.rng.random() < 0.3:
        page = b"<html><head><title>502 Bad Gateway</title></head><body>502 Bad Gateway</body></html>"
        return _Made(page, None, "<html>...")
    return _Made(_cut(case.rng, value), None, "cut off")


def _wrong_encoding(case: _Case) -> _Made | None:
    text = orjson.dumps(case.record).decode()
    value = text.encode("gb18030") if case.offer.supplier.chinese else text.encode("cp1252", "ignore")
    try:
        value.decode()
    except UnicodeDecodeError:
        return _Made(value, None, "GB 18030" if case.offer.supplier.chinese else "Windows-1252")
    return None


def _duplicate_keys(case: _Case) -> _Made:
    field = case.rng.choice(("price", "title"))
    old = f"{case.offer.price * 1.2:.2f}" if field == "price" else f"{case.record['title']} (old)"
    value = b'{"' + field.encode() + b'":' + orjson.dumps(old) + b"," + orjson.dumps(case.record)[1:]
    return _Made(value, field, [old, case.record[field]], case.clean[field])


# --- the shape ---------------------------------------------------------------------------------------------------


def _missing(field: str) -> Callable[[_Case], _Made]:
    def make(case: _Case) -> _Made:
        if case.rng.random() < 0.5:
            del case.record[field]
            return _Made(orjson.dumps(case.record), field)
        return _with(case.record, field, case.rng.choice((None, "")), None)

    return make


def _wrong_type(case: _Case) -> _Made:
    field = case.rng.choice(("title", "brand", "category"))
    right = case.record[field]
    bad = case.rng.choice(([right], {"text": right}, {"value": right, "lang": "en"}))
    return _with(case.record, field, bad, right, None)


def _bad_date(rng: random.Random) -> str:
    return rng.choice(
        ("2026-13-45T99:00:00Z", "0000-00-00 00:00:00", "31/02/2026", "2026-02-30T10:00:00Z", "yesterday")
    )


# --- texts -------------------------------------------------------------------------------------------------------


def _mojibake(case: _Case) -> _Made | None:
    for field in ("title", "brand", "description"):
        right = case.record[field]
        for encoding in ("cp1252", "latin-1"):
            try:
                bad = right.encode().decode(encoding)
            except UnicodeDecodeError:
                continue
            if bad != right:
                return _with(case.record, field, bad, right)
    return None


def _html_entities(case: _Case) -> _Made:
    right = case.record["title"]
    words = right.split(" ")
    if "&" in right:
        bad = right.replace("&", "&amp;")
    elif case.rng.random() < 0.5 and len(words) > 2:
        place = case.rng.randrange(1, len(words))
        bad = " ".join(words[:place]) + "&nbsp;" + " ".join(words[place:])
    else:
        place = case.rng.randrange(len(words))
        bad = " ".join((*words[:place], f"<b>{words[place]}</b>", *words[place + 1 :]))
    return _with(case.record, "title", bad, right)


def _control_characters(case: _Case) -> _Made:
    right = case.record["title"]
    place = case.rng.randrange(1, len(right))
    bad = right[:place] + case.rng.choice(("\x00", "\x07", "\x08", "\x1b")) + right[place:]
    return _with(case.record, "title", bad, right)


def _repeated_phrase(case: _Case) -> _Made | None:
    right = case.record["title"]
    words = right.split(" ")
    if len(words) < 4:
        return None
    length = case.rng.randint(2, min(4, len(words)))
    start = case.rng.randint(0, len(words) - length)
    phrase = words[start : start + length]
    if "-" in phrase:
        return None
    bad = " ".join((*words[: start + length], *phrase, *words[start + length :]))
    return _with(case.record, "title", bad, right)


# --- prices ------------------------------------------------------------------------------------------------------


def _price(factor: float) -> Callable[[_Case], _Made | None]:
    def make(case: _Case) -> _Made | None:
        # Dividing loses the last digits: what is left cannot say which of several prices was meant.
        unit = 1.0 if case.offer.supplier.currency == "TWD" else 0.01
        wrong = round(case.offer.price * factor, 2)
        if 0 <= wrong < unit:
            return None
        tolerance = 0.51 * unit / factor if 0 < factor < 1 else 0.005
        written = case.offer.supplier.write_price(wrong)
        return _with(case.record, "price", written, case.offer.price, tolerance=tolerance)

    return make


def _price_text_broken(case: _Case) -> _Made:
    price = case.offer.price
    texts = ("call for price", f"{price:.2f}.00", f"{price:.0f} - {price * 1.3:.0f}", "N/A", "价格面议", "#VALUE!")
    return _with(case.record, "price", case.rng.choice(texts), case.offer.price, None)


def _placeholder(case: _Case) -> _Made:
    value = case.rng.choice((99999.0, 0.01, 1.0, 9999999.0, 0.0))
    return _with(case.record, "price", case.offer.supplier.write_price(value), case.offer.price, None)


def _currency_label(case: _Case) -> _Made:
    right = case.record["currency"]
    far = {"USD": ("CNY", "TWD"), "GBP": ("CNY", "TWD"), "EUR": ("CNY", "TWD")}
    bad = case.rng.choice(far.get(right, ("USD", "EUR", "GBP")))
    case.record["price"] = case.offer.price  # without the symbol that would give it away
    return _with(case.record, "currency", bad, right)


# --- what a product is said to be --------------------------------------------------------------------------------


def _brand_typo(case: _Case) -> _Made | None:
    right = case.record["brand"]
    places = [m.start() for m in re.finditer(r"[A-Za-z](?=[A-Za-z])", right)]
    if not places:
        return None
    place = case.rng.choice(places[1:] or places)
    swapped = right[:place] + right[place + 1] + right[place] + right[place + 2 :]
    dropped = right[:place] + right[place + 1 :]
    doubled = right[:place] + right[place] + right[place:]
    bad = case.rng.choice([text for text in (swapped, dropped, doubled) if text != right])
    return _with(case.record, "brand", bad, *case.clean["brand"])


def _brand_swap(case: _Case) -> _Made:
    right, brand = case.record["brand"], case.offer.article.brand
    others = [other for other in BRANDS if other != brand and not other.departments.isdisjoint(brand.departments)]
    other = case.rng.choice(others)
    bad = right.replace(brand.en, other.en).replace(brand.zh, other.zh).replace(brand.en.upper(), other.en.upper())
    return _with(case.record, "brand", bad, *case.clean["brand"])


def _category_swap(case: _Case) -> _Made:
    bad = case.offer.supplier.write_category(case.other.category)
    return _with(case.record, "category", bad, *case.clean["category"])


def _description_of_another(case: _Case) -> _Made:
    bad = case.offer.supplier.write_description(case.other)
    return _with(case.record, "description", bad, case.record["description"], None)


def _gtin_check_digit(case: _Case) -> _Made | None:
    right = case.record.get("gtin")
    if right is None:
        return None
    bad = right[:-1] + str((int(right[-1]) + case.rng.randint(1, 9)) % 10)
    return _with(case.record, "gtin", bad, right, None)


_PRODUCT: Mapping[FaultKind, Callable[[_Case], _Made | None]] = {
    FaultKind.NOT_JSON: _not_json,
    FaultKind.WRONG_ENCODING: _wrong_encoding,
    FaultKind.DUPLICATE_KEYS: _duplicate_keys,
    FaultKind.MISSING_TITLE: _missing("title"),
    FaultKind.MISSING_ID: _missing("sku"),
    FaultKind.WRONG_TYPE: _wrong_type,
    FaultKind.BAD_DATE: lambda case: _with(case.record, "updated_at", _bad_date(case.rng), None),
    FaultKind.MOJIBAKE: _mojibake,
    FaultKind.HTML_ENTITIES: _html_entities,
    FaultKind.CONTROL_CHARACTERS: _control_characters,
    FaultKind.REPEATED_PHRASE: _repeated_phrase,
    FaultKind.PRICE_TIMES_100: _price(100),
    FaultKind.PRICE_DIV_100: _price(0.01),
    FaultKind.PRICE_TEXT_BROKEN: _price_text_broken,
    FaultKind.NEGATIVE_PRICE: _price(-1),
    FaultKind.CURRENCY_LABEL: _currency_label,
    FaultKind.PLACEHOLDER_PRICE: _placeholder,
    FaultKind.BRAND_TYPO: _brand_typo,
    FaultKind.BRAND_SWAP: _brand_swap,
    FaultKind.CATEGORY_SWAP: _category_swap,
    FaultKind.DESCRIPTION_OF_ANOTHER: _description_of_another,
    FaultKind.GTIN_CHECK_DIGIT: _gtin_check_digit,
}


# --- behaviour ---------------------------------------------------------------------------------------------------


def _not_json_behaviour(rng: random.Random, record: dict[str, Any], at: datetime) -> _Made:
    return _Made(_cut(rng, orjson.dumps(record)), None, "cut off")


def _bad_enum(rng: random.Random, record: dict[str, Any], at: datetime) -> _Made:
    bad = rng.choice(("veiw", "pruchase", "clik", "undefined", "page_load", "购买"))
    return _with(record, "event_type", bad, record["event_type"], None)


def _bad_date_behaviour(rng: random.Random, record: dict[str, Any], at: datetime) -> _Made:
    return _with(record, "occurred_at", _bad_date(rng), None)


def _unknown_product(rng: random.Random, record: dict[str, Any], at: datetime) -> _Made | None:
    if record.get("sku") is None:
        return None
    return _with(record, "sku", f"{record['sku']}-{rng.choice('XZQ')}{rng.randint(100, 999)}", record["sku"])


def _price_contradiction(rng: random.Random, record: dict[str, Any], at: datetime) -> _Made | None:
    if record.get("price") is None:
        return None
    right = record["price"]
    return _with(record, "price", round(right * rng.choice((10, 100, 0.1, 7.2)), 2), right)


def _impossible_time(rng: random.Random, record: dict[str, Any], at: datetime) -> _Made:
    wrong = rng.choice(
        (
            at + timedelta(days=rng.randint(2, 400)),
            at.replace(year=1970, month=1, day=1),
            at.replace(year=2099),
        )
    )
    return _with(record, "occurred_at", wrong.strftime("%Y-%m-%dT%H:%M:%S.000Z"), at, None)


_BEHAVIOUR: Mapping[FaultKind, Callable[[random.Random, dict[str, Any], datetime], _Made | None]] = {
    FaultKind.NOT_JSON: _not_json_behaviour,
    FaultKind.BAD_ENUM: _bad_enum,
    FaultKind.BAD_DATE: _bad_date_behaviour,
    FaultKind.UNKNOWN_PRODUCT: _unknown_product,
    FaultKind.PRICE_CONTRADICTION: _price_contradiction,
    FaultKind.IMPOSSIBLE_TIME: _impossible_time,
}
