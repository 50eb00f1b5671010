"""Sound values in another notation, or damaged on their way: what standardising and the contract's rules repair."""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from enum import StrEnum
from typing import Any

import numpy as np

from detectors.contract.model import ConstraintKind, Role
from detectors.money import number
from detectors.records import Batch

__all__ = ["DAMAGE", "DamageName", "damaged", "possible_damage"]


class DamageName(StrEnum):
    """What can happen to a value between its shop and us."""

    TITLE_REPEATED = "title_repeated"
    TITLE_MOJIBAKE = "title_mojibake"
    TITLE_HTML = "title_html"
    TITLE_CONTROL = "title_control"
    PRICE_AS_TEXT = "price_as_text"
    LISTED_VALUE = "listed_value"


DAMAGE: Mapping[DamageName, str] = {
    DamageName.TITLE_REPEATED: "a phrase of the title, or all of it, twice",
    DamageName.TITLE_MOJIBAKE: "a title that is not ASCII, read in the wrong encoding",
    DamageName.TITLE_HTML: "HTML tags or entities in the title",
    DamageName.TITLE_CONTROL: "a control character in the title",
    DamageName.PRICE_AS_TEXT: "the price as a text (1,299.00 USD; 1.299 €; 特价 - 99元)",
    DamageName.LISTED_VALUE: "a value that the contract lists, in other case or white space",
}
"""In words."""

_TITLES: Mapping[DamageName, Callable[[str, np.random.Generator], str | None]]
_HAN = re.compile("[\u4e00-\u9fff]")
_CONTROLS = "\x00\x07\x08\x1b"
_COMMA = ("EUR", "IDR", "BRL", "TRY", "PLN")  # written with a decimal comma


def possible_damage(batch: Batch) -> list[DamageName]:
    """What can happen to records of this contract."""
    has = {role: batch.contract.column_of(role) is not None for role in (Role.TITLE, Role.PRICE)}
    return [
        *(name for name in _TITLES if has[Role.TITLE]),
        *([DamageName.PRICE_AS_TEXT] if has[Role.PRICE] else []),
        *([DamageName.LISTED_VALUE] if _listed(batch) else []),
    ]


def damaged(batch: Batch, name: DamageName, rng: np.random.Generator) -> list[tuple[int, str, Any]]:
    """(row, column, value as it was sent) of every record that this can happen to; the batch stays as it is."""
    found: list[tuple[int, str, Any]] = []
    if name is DamageName.LISTED_VALUE:
        for of_list, listed in _listed(batch).items():
            for row, record in enumerate(batch.records):
                wrong = _otherwise_written(record.values.get(of_list), listed, rng)
                if wrong is not None:
                    found.append((row, of_list, wrong))
        return found
    role = Role.PRICE if name is DamageName.PRICE_AS_TEXT else Role.TITLE
    column = batch.contract.column_of(role)
    assert column is not None
    labels = batch.column(Role.CURRENCY)
    for row, value in enumerate(batch.column(role)):
        made: str | None = None
        if role is Role.PRICE:
            made = _price(value, labels[row], rng)
        elif isinstance(value, str) and value:
            made = _TITLES[name](value, rng)
        if made is not None and made != value:
            found.append((row, column, made))
    return found


def _repeated(title: str, rng: np.random.Generator) -> str | None:
    words = title.split(" ")
    if len(words) < 4 or rng.random() < 0.3:
        return title + title if _HAN.search(title) and len(title) >= 4 else f"{title} {title}" if words[1:] else None
    size = int(rng.integers(3, min(6, len(words))))
    start = int(rng.integers(len(words) - size + 1))
    return " ".join(words[: start + size] + words[start:])


def _mojibake(title: str, rng: np.random.Generator) -> str | None:
    if title.isascii():
        return None
    codecs = ("gb18030", "cp1252", "latin-1") if _HAN.search(title) else ("cp1252", "latin-1")
    try:
        return title.encode().decode(_one(codecs, rng))
    except UnicodeDecodeError:
        return None


def _marked_up(title: str, rng: np.random.Generator) -> str | None:
    tag = _one(("b", "p", "span", "h1"), rng)
    forms = [f"<{tag}>{title}</{tag}>", title.replace(" ", "<br/>", 1), title.replace(" ", "&nbsp;", 1)]
    return _one([*forms, html.escape(title)], rng)


def _with_control(title: str, rng: np.random.Generator) -> str:
    place = int(rng.integers(len(title) + 1))
    return title[:place] + _one(_CONTROLS, rng) + title[place:]


_TITLES = {
    DamageName.TITLE_REPEATED: _repeated,
    DamageName.TITLE_MOJIBAKE: _mojibake,
    DamageName.TITLE_HTML: _marked_up,
    DamageName.TITLE_CONTROL: _with_control,
}


def _price(value: Any, currency: Any, rng: np.random.Generator) -> str | None:
    price = number(value)
    if price is None or Decimal(repr(price)) != round(Decimal(repr(price)), 2):
        return None
    code = currency if isinstance(currency, str) else None
    cents = f"{price:,.2f}"
    if code in _COMMA and rng.random() < 0.5:
        cents = cents.translate(str.maketrans(".,", ",."))
    short = cents[:-3] if price == int(price) else cents
    forms = [cents, short, f"Price - {short}"]
    if code is not None:
        forms += [f"{code} {cents}", f"{short} {code}", f"{code}-{short}"]
    if code == "CNY":
        plain = f"{price:g}" if price < 1e6 else short
        forms += [f"{plain}元", f"￥{cents}", f"特价 - {plain}元", f"售价-{plain}", f"￥{plain}".translate(_FULL_WIDTH)]
        if price >= 10_000 and price % 100 == 0:
            forms.append(f"{price / 10_000:g}万")
    return _one(forms, rng)


_FULL_WIDTH = {ord("0") + n: chr(0xFF10 + n) for n in range(10)} | {ord("."): "．"}


def _listed(batch: Batch) -> dict[str, frozenset[str]]:
    """The columns whose texts the contract lists, and the lists."""
    return {
        column.name: frozenset(value for value in constraint.arguments["values"] if isinstance(value, str))
        for column in batch.contract.columns
        for constraint in column.constraints
        if constraint.kind is ConstraintKind.ENUM
    }


def _otherwise_written(value: Any, listed: frozenset[str], rng: np.random.Generator) -> str | None:
    if not isinstance(value, str) or value not in listed:
        return None
    forms = (value.upper(), value.lower(), value.title(), f" {value}", f"{value} ")
    wrong = [form for form in forms if form not in listed]
    return _one(wrong, rng) if wrong else None


def _one(choices: Sequence[str], rng: np.random.Generator) -> str:
    return choices[int(rng.integers(len(choices)))]
