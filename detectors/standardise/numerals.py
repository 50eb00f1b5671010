"""Chinese numerals as digits: 三千 is 3000, 壹佰 is 100, 二〇二四 is 2024, 1万2千 is 12000.

A digit that ends a numeral right behind 百, 千 or 万 counts the next lower unit, as people say it: 三万五 is 35000 and
三万零五 is 30005.
"""

from __future__ import annotations

import re

__all__ = ["with_digits"]

_DIGITS = {
    **{character: value for value, character in enumerate("零一二三四五六七八九")},
    **{character: value for value, character in enumerate("零壹贰叁肆伍陆柒捌玖")},
    **dict.fromkeys("〇○", 0),
    **dict.fromkeys("两兩贰貳", 2),
    **dict.fromkeys("叁參叄", 3),
    **dict.fromkeys("陆陸", 6),
}
_UNITS = {
    **dict.fromkeys("十拾", 10),
    **dict.fromkeys("百佰", 100),
    **dict.fromkeys("千仟", 1_000),
    **dict.fromkeys("万萬", 10_000),
    **dict.fromkeys("亿億", 100_000_000),
}
_ANY = "".join((*_DIGITS, *_UNITS))
_HAN = re.compile(rf"(?<![0-9.,{_ANY}])[{''.join(_DIGITS)}十拾][{_ANY}]*")
_MIXED = re.compile(rf"(?<![0-9.,])[0-9]{{1,12}}(?:[{''.join(_UNITS)}]零?[0-9]{{1,4}})+[{''.join(_UNITS)}]?(?![0-9.,])")
_WHAT_IS_THERE = re.compile(rf"[{_ANY}]")


def with_digits(text: str) -> str:
    """The text with its Chinese numerals as digits. What is no whole number by their rules stays as it is."""
    if not _WHAT_IS_THERE.search(text):
        return text
    return _MIXED.sub(_as_digits, _HAN.sub(_as_digits, text))


def _as_digits(found: re.Match[str]) -> str:
    numeral = found.group()
    if all(character in _DIGITS for character in numeral):
        return "".join(str(_DIGITS[character]) for character in numeral)
    value = _value(re.findall(r"[0-9]+|[^0-9]", numeral))
    return numeral if value is None else str(value)


def _value(tokens: list[str]) -> int | None:
    """The number that digits and units make: each unit below ten thousand smaller than the one before, and so on."""
    total = section = 0  # above ten thousand; below it
    number: int | None = None  # read, its unit not yet
    zero = False  # between the last unit and the number
    large = small = 10**12  # the units that the next one must be below
    last = 1
    for token in tokens:
        if token in _UNITS:
            unit = _UNITS[token]
            if unit >= 10_000:
                if unit >= large or (number is None and not section):
                    return None
                total += (section + (number or 0)) * unit
                section, large, small = 0, unit, 10_000
            else:
                if unit >= small or (number is None and unit != 10):
                    return None
                section += (1 if number is None else number) * unit
                small = unit
            number, zero, last = None, False, unit
            continue
        value = _DIGITS[token] if token in _DIGITS else int(token)
        if number is not None or value >= 10_000:
            return None
        if token in _DIGITS and value == 0:
            zero = True
        else:
            number = value
    if number is None:
        return total + section
    said_short = not zero and number < 10 and last >= 100 and len(tokens) > 1
    return total + section + number * (last // 10 if said_short else 1)
