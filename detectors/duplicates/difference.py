"""What tells two variants of a product apart: the colour, the size, the pack, the version, the licence's term.

The rule says which candidates come into question. Here their titles must say it: a pair of which nobody could name the
difference is none, nor is one where each title also says what the other does not. Only where the model codes agree but
for an ending, or for the size inside them, may shops say different things of one model.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from detectors.duplicates.codes import codes_of, has_codes, names_in, numbered_words
from detectors.duplicates.measures import COLOUR_KIND, MEMORY_KIND, PACK_KIND, UNIT, amounts_said
from detectors.duplicates.words import GROUPS, without_promotion, words_in, words_said
from detectors.records import Facts, split_identity
from detectors.standardise.chinese import fold

__all__ = ["CODE", "Difference", "differences", "variant_reason"]

# What differs in amounts of a unit, or of the others of its kind.
_NAMES = {
    "size": ("g", "ml", "mm", "cu", "k", "码"),
    "pack": ("pack", "片", "支", "件", "个", "瓶"),
    "storage": ("gb",),
    "capacity": ("mah",),
    "power": ("w", "btu"),
    "voltage": ("v",),
    "frequency": ("hz",),
    "resolution": ("mp",),
    "speed": ("x", "rpm"),
    "number of users": ("user",),
    "number of ports": ("port",),
    "number of colours": ("色",),
    "sun protection": ("spf",),
    "network": ("network",),
}
_KINDS = {UNIT[unit][0]: name for name, units in _NAMES.items() for unit in units}
_KINDS |= {COLOUR_KIND: "colour", PACK_KIND: "pack", MEMORY_KIND: "memory and storage"}
_PACK, _SIZE, _USERS, _TERM = "pack", "size", "number of users", "licence term"
CODE, _VERSION, _YEAR = "ending of the code", "version", "year"
_UNITS = ("MB", "GB", "TB", "L", "W", "Hz", "MHz", "GHz", "MP", "V", "mAh", "BTU")
_SHOWN = {unit.lower(): unit for unit in _UNITS} | {"cu": "cu ft", '"': "inch", "network": "G network"}

_MONTHS = {"year": 12, "yr": 12, "年": 12}
_TERM_SAID = re.compile(r"(?<![\d.])(\d{1,2})[ -]*(year|yr|month|年|个月)s?(?![a-z])")
_USERS_SAID = re.compile(r"(?<![\d.])(\d{1,5})[ -]*(?:seats?|devices?|computers?|用户|台电脑|台设备)")
_PACK_SAID = re.compile(
    r"(?:pack|set|box|case) of (\d{1,4})\b|(?<![\d.])(\d{1,4})[ -]*(?:pieces?|pcs?|count|ct|sheets?|capsules?|bags?)\b"
)
_PERSONS_SAID = re.compile(r"(?<![\d.])(\d{1,3})[ -]*(?:persons?\b|people\b|人(?![\u4e00-\u9fff]))")
_INCHES_SAID = re.compile(r"(?<![\d.])(\d{1,3}(?:\.\d+)?)[ -]*(?:''|'|\u2019|\u201d|\u2032)(?!\w)")
# Whether any of those five can match, in one look: most titles say none of them.
_COUNT_SAID = re.compile(
    r"[f\d](?:(?<= of) \d|(?<=\d)[ -]*(?:year|yr|month|年|个月|seat|device|computer|用户|台电脑|台设备|piece|pcs?|count"
    r"|ct|sheet|capsule|bag|person|people|人|'|\u2019|\u201d|\u2032))"
)
# Sizes of clothes. A single letter is one only where it stands by itself. First, for speed, whether one can begin here.
_SIZE_SAID = re.compile(
    r"(?=[\dsmlx大中小均])(?:\bsize[ :]*(xxs|xs|s|m|l|xl|xxl|\dxl|\d{1,3}(?:\.5)?)\b|\b(xxs|xs|xl|xxl|xxxl|\dxl)\b"
    r"|(?<=[,/(-] )(s|m|l)(?= *(?:[,/)-]|$))|(?<![a-z])([sml])码|(?<![\d.])(\d{2,3}(?:\.5)?)码"
    r"|\b(small|medium|large)\b|([大中小均]码|[大中小]号))"
)
_SIZES = {"small": "s", "medium": "m", "large": "l", "小号": "s", "中号": "m", "大号": "l"}
_SIZES |= {"小码": "s", "中码": "m", "大码": "l"}
_SET = re.compile("套|礼盒|组合|替换装")

_WITH_DIGIT = re.compile(r"(?<![a-z0-9])(?=[a-z/._-]*[0-9])[a-z0-9]+(?:[-/._][a-z0-9]+)*")
_MODEL_NUMBER = re.compile(r"v?\d{3}")  # too high for a version
_NUMBER = re.compile(r"\d+(\.\d+)*")
_NO_DIGIT = re.compile(r"\D+")
_NAMED = frozenset(word for alike in GROUPS.values() for names in alike for word in names)
_ENDING = re.compile(r"(?<=[0-9#])[a-z]{1,4}$")
_STEM_CHARS = 5
_SERIES = 2  # characters with which the codes of one maker's series begin alike
_CJK_LEFT = 4  # characters that one of two Chinese titles may add: more of them name another product
_BRAND_PARTS = re.compile(r"[/()（）|,]+")
_TITLE_SHOWN = 80


@dataclass(frozen=True, slots=True)
class Difference:
    """What tells two variants apart, such as the colour, and what each title says of it."""

    what: str
    one: str
    other: str


@dataclass(frozen=True, slots=True)
class _Said:
    """What one title says.

    told: by what can differ, the values with how they are written. left: its other words, of Chinese the characters.
    codes: its model codes. stems: what is left of each without the letters at its end, and without an amount of the
    title, with the code. is_set: several things are sold as one.
    """

    told: Mapping[str, Mapping[str, str]]
    left: frozenset[str]
    codes: tuple[str, ...]
    stems: Mapping[str, str]
    is_set: bool


def differences(a: Facts, b: Facts) -> tuple[Difference, ...]:
    """What tells two variants of one product apart; empty where they are none, as far as their titles tell."""
    x, y = _said(a), _said(b)
    found = [
        Difference(what, _written(told), _written(y.told[what]))
        for what, told in x.told.items()
        if what in y.told and not told.keys() & y.told[what].keys()
    ]
    if (_PACK in x.told) != (_PACK in y.told):
        found.append(Difference(_PACK, _written(x.told.get(_PACK)), _written(y.told.get(_PACK))))
    one_model = not set(x.codes).isdisjoint(y.codes)
    if not one_model and (ends := _endings(x, y)) is not None:
        one_model = True
        if not found and ends.what:
            found.append(ends)
    if not found or x.is_set != y.is_set or not (one_model or _say_the_same(x, y)):
        return ()
    return tuple(found)


def variant_reason(
    a: Facts, b: Facts, found: Sequence[Difference], prices: tuple[float | None, float | None], similarity: float
) -> str:
    """Why `a` is taken for a variant of `b`, in words. found: their differences."""
    what = " and ".join(difference.what for difference in found)
    here, there = ", ".join(d.one for d in found), ", ".join(d.other for d in found)
    title = b.title if len(b.title) <= _TITLE_SHOWN else b.title[: _TITLE_SHOWN - 1] + "…"
    parts = [f"another {what} of “{title}”: {here} here, {there} there", f"titles {similarity:.0%} alike"]
    if prices[0] is not None and prices[1] is not None:
        parts.append(" and ".join(f"{p:.2f} {f.currency or ''}".rstrip() for p, f in zip(prices, (a, b), strict=True)))
    return "; ".join(parts)


def _say_the_same(x: _Said, y: _Said) -> bool:
    """Whether two titles say the same beside what tells them apart; one may say more, unless both have codes."""
    own_x, own_y = x.left - y.left, y.left - x.left
    if x.codes and y.codes:
        return not own_x and not own_y and bool({c[:_SERIES] for c in x.codes} & {c[:_SERIES] for c in y.codes})
    return not (own_x and own_y) and sum(word > "\u2fff" for word in own_x or own_y) <= _CJK_LEFT


def _endings(x: _Said, y: _Said) -> Difference | None:
    """The codes of two titles that name one model: equal but for letters at the end, or for an amount inside.

    `what` is empty for the latter: the amount says it.
    """
    for stem, code in x.stems.items():
        if stem in y.stems:
            return Difference("" if "#" in stem else CODE, code.upper(), y.stems[stem].upper())
    return None


def _stems(codes: Iterable[str], numbers: Collection[str]) -> dict[str, str]:
    """As in `_Said`. numbers: digits of the title's amounts, as they may stand inside a code."""
    found: dict[str, str] = {}
    for code in codes:
        inside = (code.rpartition(number) for number in numbers)
        for text in (code, *(f"{head}#{tail}" for head, number, tail in inside if number)):
            stem = _ENDING.sub("", text)
            if len(stem) >= _STEM_CHARS and any(c.isdigit() for c in stem):
                found.setdefault(stem, code)
    return found


def _written(told: Mapping[str, str] | None) -> str:
    return " + ".join(told.values()) if told else "one"


def _said(facts: Facts) -> _Said:
    return _parsed(facts.title, facts.brand, facts.mpn, split_identity(facts.identity)[0])


@lru_cache(maxsize=1 << 13)
def _parsed(title: str, brand: str | None, mpn: str | None, source: str) -> _Said:
    text = fold(title)
    codes = codes_of(text, mpn, names_in(brand, source)) if mpn or has_codes(numbered_words(text)) else ()
    if not text.isascii():
        text = without_promotion(text)
    for name in _BRAND_PARTS.split(fold(brand)) if brand else ():
        if name.strip():
            text = text.replace(name.strip(), " ")
    is_set = _SET.search(text) is not None
    told: dict[str, dict[str, str]] = {}

    def tell(what: str, value: str, written: str) -> str:
        told.setdefault(what, {}).setdefault(value, written.strip())
        return " "

    # What is told is taken out, so that the words that are left say the rest.
    if codes:
        text = _WITH_DIGIT.sub(lambda m: m[0] if set(codes).isdisjoint(codes_of(m[0], m[0])) else " ", text)
    if _COUNT_SAID.search(text):
        text = _TERM_SAID.sub(lambda m: tell(_TERM, str(int(m[1]) * _MONTHS.get(m[2], 1)), m[0]), text)
        text = _USERS_SAID.sub(lambda m: tell(_USERS, m[1], m[0]), text)
        text = _PACK_SAID.sub(lambda m: tell(_PACK, m[1] or m[2], m[0]), text)
        text = _PERSONS_SAID.sub(lambda m: tell(_SIZE, f"{m[1]} persons", m[0]), text)
        text = _INCHES_SAID.sub(lambda m: tell(_SIZE, str(float(m[1]) * 25.4), f"{m[1]} inch"), text)
    text = _SIZE_SAID.sub(lambda m: tell(_SIZE, *_size(next(filter(None, m.groups())))), text)
    amounts, text = amounts_said(text)
    for kind, value, written in amounts:
        amount, _, unit = written.partition(" ")
        tell(_KINDS[kind], f"{kind}:{value}", f"{amount} {_SHOWN.get(unit, unit)}")
    words = words_said(text, words_in(text))
    left: set[str] = set()
    for raw, hashed in words.numbers.items():
        if hashed & 1:
            tell(_YEAR, str(hashed), raw)
        elif _MODEL_NUMBER.match(raw):
            left.add(raw)
        else:
            tell(_VERSION, str(hashed), raw)
    for group, mask, alike in zip(GROUPS, words.traits, GROUPS.values(), strict=True):
        for bit, names in enumerate(alike if mask else ()):
            if mask >> bit & 1:
                tell(group, str(bit), names[0])
    for word in words.words:
        if word[0] > "\u2fff":
            left.update(word)
        elif word not in _NAMED and not _NUMBER.fullmatch(word):
            left.add(word)
    numbers = {_NO_DIGIT.sub("", written) for values in told.values() for written in values.values()}
    return _Said(told, frozenset(left), codes, _stems(codes, frozenset(filter(None, numbers))), is_set)


def _size(written: str) -> tuple[str, str]:
    """A size of clothes in one spelling, and as it is shown."""
    return _SIZES.get(written, written.removesuffix("码")), written.upper() if len(written) <= 4 else written
