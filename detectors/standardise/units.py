"""Measures in a text, in a base unit; and the amount of a column whose contract names its unit, in that unit.

Base units: gram, millilitre, millimetre, gigabyte, milliampere-hour, watt, volt, hertz, megapixel, piece.

Documented choices: an upper-case G behind 8, 16, 32 ... 2048 is a gigabyte (64G), behind 1-6 a network (5G, no
measure), else a gram (125G); `in` counts as inch only directly behind its number or a hyphen (15.6in); oz is a mass
unless it is written fl oz; fractions such as 33-1/3 are left out, and numbers inside model codes (XBR-52W).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from detectors.records import Span
from detectors.standardise.memoised import memoised
from detectors.standardise.text import ordinary_characters

__all__ = ["Measure", "amount_in", "is_unit", "measures"]


@dataclass(frozen=True, slots=True)
class Measure:
    """A quantity named in a text.

    kind: mass, volume, length, storage, charge, power, voltage, frequency, resolution or count. value: in `unit`, the
    base unit of the kind. span: where it stands in the text.
    """

    kind: str
    value: float
    unit: str
    span: Span


_BASE = {
    "mass": "g",
    "volume": "ml",
    "length": "mm",
    "storage": "GB",
    "charge": "mAh",
    "power": "W",
    "voltage": "V",
    "frequency": "Hz",
    "resolution": "MP",
    "count": "pcs",
}
# kind -> words (lower case) -> factor to the base unit
_UNITS: dict[str, dict[str, float]] = {
    "mass": {
        **dict.fromkeys(("mg", "毫克"), 0.001),
        **dict.fromkeys(("g", "gr", "gram", "grams", "gm", "克"), 1.0),
        **dict.fromkeys(("kg", "kgs", "kilo", "kilos", "kilogram", "kilograms", "千克", "公斤"), 1000.0),
        **dict.fromkeys(("斤", "市斤"), 500.0),
        "两": 50.0,
        **dict.fromkeys(("oz", "ounce", "ounces", "盎司"), 28.349523125),
        **dict.fromkeys(("lb", "lbs", "pound", "pounds", "磅"), 453.59237),
    },
    "volume": {
        **dict.fromkeys(("ml", "millilitre", "milliliter", "毫升", "cc"), 1.0),
        **dict.fromkeys(("cl",), 10.0),
        **dict.fromkeys(("l", "litre", "liter", "litres", "liters", "ltr", "升", "公升"), 1000.0),
        **dict.fromkeys(("fl oz", "fl. oz", "fl.oz", "floz", "fluid ounce", "fluid ounces", "液体盎司"), 29.5735295625),
        **dict.fromkeys(("gal", "gallon", "gallons", "加仑"), 3785.411784),
    },
    "length": {
        **dict.fromkeys(("mm", "毫米"), 1.0),
        **dict.fromkeys(("cm", "厘米", "公分"), 10.0),
        **dict.fromkeys(("m", "metre", "meter", "metres", "meters", "米"), 1000.0),
        **dict.fromkeys(("inch", "inches", "in", '"', "''", "″", "”", "英寸", "吋", "寸"), 25.4),
        **dict.fromkeys(("ft", "foot", "feet", "英尺"), 304.8),
    },
    "storage": {"mb": 1 / 1024, "gb": 1.0, "tb": 1024.0},
    "charge": {**dict.fromkeys(("mah", "毫安", "毫安时"), 1.0), "ah": 1000.0},
    "power": {**dict.fromkeys(("w", "watt", "watts", "瓦", "瓦特"), 1.0), **dict.fromkeys(("kw", "千瓦"), 1000.0)},
    "voltage": dict.fromkeys(("v", "volt", "volts", "伏"), 1.0),
    "frequency": {**dict.fromkeys(("hz", "赫兹"), 1.0), "khz": 1e3, "mhz": 1e6, "ghz": 1e9},
    "resolution": {
        **dict.fromkeys(("mp", "megapixel", "megapixels"), 1.0),
        **dict.fromkeys(("万像素", "万画素"), 0.01),
    },
    "count": dict.fromkeys(
        (
            *("pc", "pcs", "piece", "pieces", "pk", "pack", "packs", "pair", "pairs", "ct", "count"),
            *("片", "粒", "支", "瓶", "包", "盒", "袋", "罐", "件", "只", "双", "条", "对", "张", "抽", "枚", "块"),
        ),
        1.0,
    ),
}
_MEANING = {word: (kind, factor) for kind, words in _UNITS.items() for word, factor in words.items()}


def _pattern() -> re.Pattern[str]:
    words = sorted(_MEANING, key=lambda word: (-len(word), word))
    latin = "|".join(re.escape(w) for w in words if w[0].isascii() and w[0].isalpha() and w != "in")
    signs = "|".join(re.escape(w) for w in words if not (w[0].isascii() and w[0].isalpha()))
    return re.compile(
        r"(?<![0-9A-Za-z.,/])(?<![A-Za-z]-)([0-9]+(?:\.[0-9]+|(?:,[0-9]{3})+(?![0-9]))?)"
        rf"(?:[\s-]?({latin})(?![A-Za-z0-9])|-?(in)(?![A-Za-z0-9-])|\s?({signs}))",
        re.IGNORECASE,
    )


_MEASURE = _pattern()
_STORAGE_SIZES = frozenset(2.0**n for n in range(3, 12))


@memoised(16_384, 500)
def measures(text: str) -> tuple[Measure, ...]:
    """Every measure named in a text, in its order there."""
    # Full width and ordinary characters are one to one, so that places in the text stay what they are; the few
    # squared signs (㎏, ㎜) are not looked for.
    line = ordinary_characters(text)
    if len(line) != len(text):
        line = text
    found = []
    for match in _MEASURE.finditer(line):
        number, word = match.group(1), match.group(2) or match.group(3) or match.group(4)
        value = float(number.replace(",", ""))
        kind, factor = _MEANING[word.lower()]
        if word == "G" and value <= 6:
            continue
        if word == "G" and value in _STORAGE_SIZES:
            kind, factor = "storage", 1.0
        if word == "M" or value == float("inf"):  # 12M is a size, a memory or a month, seldom metres
            continue
        span = Span(match.start(), match.end(), text[match.start() : match.end()])
        found.append(Measure(kind, round(value * factor, 6), _BASE[kind], span))
    return tuple(found)


def is_unit(word: str) -> bool:
    """Whether a word or sign is a unit, such as `kg`, `毫升` or `inch`."""
    return word.lower() in _MEANING


def amount_in(text: str, unit: str) -> float | None:
    """The amount that a text consists of, in this unit; None where it is more than one amount, or of another kind."""
    stripped = text.strip()
    found = measures(stripped)
    kind, factor = _MEANING[unit.lower()]
    if len(found) != 1 or found[0].kind != kind or found[0].span.text != stripped:
        return None
    return round(found[0].value / factor, 6)
