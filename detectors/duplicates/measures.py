"""The amounts and colours that a text states: sizes, weights, packs, each in the base unit of its kind."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache

from detectors.duplicates.words import hash_name
from detectors.standardise.memoised import Known

__all__ = [
    "COLOUR_KIND",
    "PACK_KIND",
    "UNIT",
    "UNITS",
    "amounts_said",
    "amounts_written",
    "measures",
    "measures_in_words",
    "without_amounts",
]

UNITS = 6  # amounts kept of one product
_LONGEST = 12  # a number of more characters is no amount

# Factor to the base unit, by kind. A kind is what makes two amounts comparable.
_KINDS: tuple[dict[str, float], ...] = (
    {"mb": 1, "gb": 1e3, "tb": 1e6},
    {"g": 1, "gr": 1, "kg": 1e3, "oz": 28.35, "克": 1, "千克": 1e3, "公斤": 1e3, "斤": 500},
    {"ml": 1, "l": 1e3, "毫升": 1, "升": 1e3},
    {
        "mm": 1,
        "cm": 10,
        "m": 1e3,
        "inch": 25.4,
        "in": 25.4,
        '"': 25.4,
        "ft": 304.8,
        "毫米": 1,
        "厘米": 10,
        "米": 1e3,
        "英寸": 25.4,
        "寸": 25.4,
    },
    {"w": 1, "watt": 1, "watts": 1, "瓦": 1},
    {"hz": 1, "mhz": 1, "ghz": 1e3},
    {"mp": 1, "megapixel": 1, "万像素": 0.01},
    {"pack": 1, "pk": 1},
    {"user": 1, "users": 1},
    {"port": 1},
    {"v": 1, "volt": 1, "伏": 1},
    {"x": 1},
    {"cu": 1},
    {"btu": 1},
    {"k": 1},
    {"rpm": 1},
    {"mah": 1, "毫安": 1},
    {"spf": 1},
    {"片": 1, "贴": 1},
    {"支": 1},
    {"件": 1},
    {"个": 1},
    {"瓶": 1},
    {"色": 1},
    {"gbram": 1},  # a device's memory beside its storage
)
UNIT = {unit: (kind, factor) for kind, units in enumerate(_KINDS) for unit, factor in units.items()}
_COLOURS = {
    colour: group[0]
    for group in (
        ("black", "黑色"),
        ("white", "白色"),
        ("silver", "银色"),
        ("gray", "grey", "灰色"),
        ("red", "红色"),
        ("blue", "navy", "蓝色", "藏青色"),
        ("green", "绿色"),
        ("青色",),
        ("pink", "粉色", "粉红色"),
        ("purple", "violet", "plum", "紫色"),
        ("yellow", "黄色"),
        ("orange", "橙色", "橘色"),
        ("brown", "棕色", "褐色", "咖啡色"),
        ("gold", "golden", "金色"),
        ("beige", "米色"),
        ("titanium", "钛色"),
        ("bronze", "古铜色"),
    )
    for colour in group
}
_STORED = frozenset(_KINDS[0])
COLOUR_KIND, PACK_KIND = len(_KINDS), len(_KINDS) + 1
_COLOUR = re.compile(  # first, for speed, whether any of them can begin here
    rf"(?=[{''.join(sorted({colour[0] for colour in _COLOURS}))}])"
    rf"(?:\b(?:{'|'.join(c for c in _COLOURS if c.isascii())})\b|{'|'.join(c for c in _COLOURS if not c.isascii())})"
)
_CJK_UNITS = "|".join(sorted((u for u in UNIT if ord(u[0]) > 127), key=len, reverse=True))
_MEASURE = re.compile(rf'(\d+(?:\.\d+)?)[ \t-]*("|[a-z]+|{_CJK_UNITS})')
# What a bare G or T is. Of devices it is memory and storage: in pairs (`8+256G`, `16+1T`), and where the number is one
# that hardly anything is weighed in. Or it is a generation of networks (`5G 手机`).
_BARE = frozenset("gt")
_DEVICE = re.compile(
    r"手机|平板|笔记本|[u优硬]盘|内存|闪存|存储|固态|[td][fd]卡|\b(?:usb|ssd|iphone|ipad|smartphone|flash|memory)\b"
)
_MEMORY = re.compile(
    r"(?<![\d.])([1-4]|6|8|1[0268]|24|32|64)(?:gb?)? ?[+/] ?(?:(16|32|64|128|256|512|1024)gb?|([124])tb?)(?![a-z])"
)
_MEMORY_NAMED = re.compile(r"(?<![\d.])(\d{1,3}) ?gb? ?(?:ram(?![a-z])|运行内存|运存)")
_STORAGE = re.compile(r"(?<![\d.])(128|256|512)[ -]?g(?![a-z])")
_STORAGE_OF_DEVICE = re.compile(
    r"(?<![\d.])(?:(8|16|32|64|120|128|240|250|256|480|500|512)[ -]?g|(\d{1,2})[ -]?t)(?![a-z])"
)
_OF_NETWORKS = "|".join(
    (
        *(
            "手机",
            "全网通",
            "双模",
            "智能",
            "网",
            "版",
            "移动",
            "联通",
            "电信",
            "平板",
            "路由",
            "lte",
            "phone",
            "smartphone",
        ),
        *("smartphone", "mobile", "cell", "unlocked", "sim", "router", "modem", "hotspot", "wireless", "tablet"),
    )
)
_NETWORK = re.compile(
    rf"(?<![\d.+])([2-6])g(?=[ -]*(?:{_OF_NETWORKS}))|(?:(?<=全网通)|(?<=双模)|(?<=支持)|(?<=lte ))([2-6])g(?![a-z])"
)
_NETWORK_OF_DEVICE = re.compile(r"(?<![\d.+])([2-6])g(?![a-z+])")
# Devices are of colours that makers name: 雅丹黑, 远峰蓝.
_DEVICE_COLOUR = re.compile(
    "(?:(?<![\u4e00-\u9fff])[\u4e00-\u9fff]{1,3})?([黑白银灰红蓝绿青粉紫黄橙棕金])(?![\u4e00-\u9fff])"
)
_SPF = re.compile(r"spf[ \t]*(\d+)")
_TIMES = re.compile(
    r"(?:ml|g|kg|l|oz|mb|gb|cm|mm|毫升|升|千克|公斤|克|[片支瓶盒袋只个包罐])[ \t]*[*x×][ \t]*(\d{1,3})(?![\d.])"
)
_PACKED = re.compile(r"(\d{1,3}|[两二三四五六七八九十])[只支瓶盒袋片个件包罐条对双块枚](?:套?装|套)")
_NUMERALS = {numeral: str(i) for i, numeral in enumerate("二三四五六七八九十", 2)} | {"两": "2"}


def _measure(written: tuple[str, str]) -> int:
    """An amount in 32 bits: a hash of kind and value, the kind in the low 5 bits; 0 where the unit is none."""
    value, unit = written
    kind, factor = UNIT.get(unit, (-1, 0.0))
    if kind < 0 or len(value) > _LONGEST:
        return 0
    return _amount(kind, str(round(float(value) * factor, 2)))


@lru_cache(maxsize=1 << 13)
def _amount(kind: int, value: str) -> int:
    return (hash_name(f"{kind}:{value}") & 0xFFFFFFE0) | kind


_MEASURED = Known(_measure)


def amounts_written(text: str) -> list[tuple[str, str]]:
    """The amounts of a folded text, (value, unit), and what looks like one. As they are written there, but for a bare G
    or T.
    """
    found = _MEASURE.findall(text)
    return _MEASURE.findall(_spelled_out(text)) if _speaks_of_g(text, found) else found


def _speaks_of_g(text: str, written: Iterable[tuple[str, str]]) -> bool:
    """Whether `_spelled_out` may find something. written: what `_MEASURE` finds."""
    units = {unit for _, unit in written}
    return not _BARE.isdisjoint(units) or ("gb" in units and ("+" in text or "/" in text or "ram" in text))


def _spelled_out(text: str) -> str:
    """A folded text in which the unit of a bare G or T is written out where it is one of devices, memory has a unit of
    its own (of two phones with the same memory the storage may differ), and a generation of networks has none.
    """
    device = _DEVICE.search(text) is not None
    text = _MEMORY.sub(lambda m: f"{m[1]}gbram+{m[2]}gb" if m[2] else f"{m[1]}gbram+{m[3]}tb", text)
    text = _MEMORY_NAMED.sub(r"\1gbram", text)
    if device:
        text = _STORAGE_OF_DEVICE.sub(lambda m: f"{m[1]}gb" if m[1] else f"{m[2]}tb", text)
    else:
        text = _STORAGE.sub(r"\1gb", text)
    network = _NETWORK_OF_DEVICE if device or _is_device(_MEASURE.findall(text)) else _NETWORK
    return network.sub(lambda m: f"net{m[m.lastindex or 0]}", text)


def without_amounts(text: str, written: Iterable[tuple[str, str]]) -> str:
    """A folded text without its amounts. written: of it, as in `amounts_written`."""
    if all(unit not in UNIT for _, unit in written):
        return text
    if _speaks_of_g(text, _MEASURE.findall(text)):
        text = _spelled_out(text)
    return _MEASURE.sub(lambda match: " " if match[2] in UNIT else match[0], text)


def _is_device(written: Iterable[tuple[str, str]]) -> bool:
    return any(unit in _STORED for _, unit in written)


_COLOUR_AMOUNTS = {word: _amount(COLOUR_KIND, colour) for word, colour in _COLOURS.items()}


def measures(text: str, written: Iterable[tuple[str, str]] | None = None) -> tuple[int, ...]:
    """The colours and amounts of a folded text, at most six, each as in `_measure`.

    written: of the text, as in `amounts_written`, for who has them already.
    """
    written = amounts_written(text) if written is None else written
    found = dict.fromkeys(map(_MEASURED.__getitem__, written))
    found.pop(0, None)
    if "spf" in text:
        found |= dict.fromkeys([_MEASURED[value, "spf"] for value in _SPF.findall(text)])
    pack = _pack(text)
    if pack:
        found[pack] = None
    if not text.isascii() and _is_device(written):
        text = _DEVICE_COLOUR.sub(r" \1色", text)
    if colours := _COLOUR.findall(text):
        return (*dict.fromkeys([_COLOUR_AMOUNTS[colour] for colour in colours]), *found)[:UNITS]
    return tuple(found)[:UNITS]


def _pack(text: str) -> int:
    """How many are sold together, and whether they are a set, as an amount; 0 for a title that speaks of one piece."""
    times = _TIMES.findall(text) if "x" in text or "*" in text or "×" in text else []
    if "装" in text or "套" in text:
        times += [_NUMERALS.get(n, n) for n in _PACKED.findall(text)]
    if not times:
        return 0
    count = max(map(int, times))
    return _amount(PACK_KIND, str(count)) if count > 1 else 0


def measures_in_words(folded: str) -> list[str]:
    """The amounts of a folded text as they are written there, such as `500 ml`."""
    return [
        f"{value} {unit.replace('gbram', 'gb ram')}"
        for value, unit in amounts_written(folded)
        if unit in UNIT and len(value) <= _LONGEST
    ]


def amounts_said(folded: str) -> tuple[list[tuple[int, str, str]], str]:
    """The colours and amounts of a folded text, and what it says beside them.

    Of each the kind (an index into what units name; `COLOUR_KIND` and `PACK_KIND` beside those), its value in the
    kind's base unit, and how it is written. How many are sold together is `PACK_KIND`, where it is more than one.
    """
    said: list[tuple[int, str, str]] = []

    def colour(match: re.Match[str]) -> str:
        said.append((COLOUR_KIND, _COLOURS[match.group()], match.group()))
        return " "

    def amount(match: re.Match[str]) -> str:
        value, unit = match.groups()
        if unit not in UNIT or len(value) > _LONGEST or match.string.startswith("/", match.end()):
            return match.group()  # `7000 MB/s` is no size
        kind, factor = UNIT[unit]
        said.append((kind, str(round(float(value) * factor, 2)), f"{value} {unit}"))
        return " "

    def pack(match: re.Match[str]) -> str:
        count = _NUMERALS.get(match.group(1), match.group(1))
        if int(count) > 1:
            said.append((PACK_KIND, count, match.group()))
        return " "

    def times(match: re.Match[str]) -> str:
        if int(match.group(1)) > 1:
            said.append((PACK_KIND, match.group(1), match.group(1)))
        return match.group()[: match.start(1) - match.start()].rstrip(" \t*x×") + " "

    if _speaks_of_g(folded, _MEASURE.findall(folded)):
        folded = _spelled_out(folded)
    if not folded.isascii() and _is_device(_MEASURE.findall(folded)):
        folded = _DEVICE_COLOUR.sub(r" \1色", folded)
    rest = _TIMES.sub(times, _PACKED.sub(pack, _COLOUR.sub(colour, folded)))
    return said, _MEASURE.sub(amount, rest)
