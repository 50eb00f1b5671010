"""The amounts and colours that a text states: sizes, weights, packs, each in the base unit of its kind."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache

from detectors.duplicates.words import hash_name
from detectors.standardise.memoised import Known

__all__ = [
    "COLOUR_KIND",
    "MEMORY_KIND",
    "PACK_KIND",
    "UNIT",
    "UNITS",
    "amounts_said",
    "amounts_written",
    "measures",
    "measures_in_words",
    "spelled_out",
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
    {"network": 1},  # its generation
    {"码": 1},  # sizes of clothes
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
COLOUR_KIND, PACK_KIND, MEMORY_KIND = len(_KINDS), len(_KINDS) + 1, len(_KINDS) + 2
_COLOUR = re.compile(  # first, for speed, whether any of them can begin here
    rf"(?=[{''.join(sorted({colour[0] for colour in _COLOURS}))}])"
    rf"(?:\b(?:{'|'.join(c for c in _COLOURS if c.isascii())})\b|{'|'.join(c for c in _COLOURS if not c.isascii())})"
)
_CJK_UNITS = "|".join(sorted((u for u in UNIT if ord(u[0]) > 127), key=len, reverse=True))
_MEASURE = re.compile(rf'(\d+(?:\.\d+)?)[ \t-]*("|[a-z]+|{_CJK_UNITS})')
# What Chinese titles say of weight and volume.
_BASE = {UNIT[unit][0]: unit for unit in ("g", "ml")}
_WEIGHED = re.compile(
    r"(?<![a-z\d./-])(\d{1,6}(?:\.\d{1,3})?) ?(毫升|升(?![级降])|千克|公斤|斤|克(?![拉罗])|(?:l(?!码)|kg)(?![a-z\d]))"
)
_CANS = re.compile(r"(?<=\d)听(?![诊力说课写])")
# A device's memory and storage together: `8+256G`, `12GB+512GB`, `16+1T`. A G alone may be a gram.
_PLUS = r"(?: ?gb? ?\+ ?|\+| \+ )"  # and no Galaxy S10+ 128GB
_MEMORY = re.compile(  # 4G 128GB may be a network and a storage
    rf"(?<![a-z\d.+])(?:([3468]|1[0268]|24)(?:{_PLUS}(64|128|256|512|1024) ?gb?|(?: ?gb |(?<!4)g )(128|256|512)gb?"
    rf"|\+(128|256|512))|(8|1[26]|24){_PLUS}([124]) ?tb?)(?![a-z\d.+*×])"
)
# What makers call the colours of such devices: 雅丹黑, 远峰蓝.
_DEVICE_COLOUR = re.compile(
    "(?:(?<![\u4e00-\u9fff])[\u4e00-\u9fff]{1,3})?([黑白银灰红蓝绿粉紫黄橙棕]|(?<![瑰粉槟])金)(?![\u4e00-\u9fff])"
)
_NETWORK = re.compile(
    r"(?<![\d.+])([45])g(?: ?(?=手机|智能手机|全网通|双模|双卡|路由|wi-?fi)"
    r"| (?=(?:lte|phone|smartphone|unlocked|router)\b))|(?:(?<=全网通)|(?<=双模))([45])g(?![a-z\d])"
)
_NETWORK_OF_DEVICE = re.compile(r"(?<![\d.+])([45])g(?![a-z\d+])")
_LETTER_SIZE = re.compile("(?<![a-z])([2-6]?x{0,3}[sml])码")
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


def spelled_out(text: str, *, chinese: bool = False) -> str:
    """A folded text as it is compared with others: a device's memory and storage are written as `8gb+256gb`. chinese:
    also write weight and volume in grams and millilitres (`1.5升` as `1500ml`).
    """
    if _may_say_memory(text):
        text = _MEMORY.sub(_in_gb, text)
    if not chinese:
        return text
    text = _WEIGHED.sub(_in_base, text)
    return _CANS.sub("罐", text) if "听" in text else text


def _in_gb(match: re.Match[str]) -> str:
    memory, storage, spaced, bare, more, much = match.groups()
    return f"{memory}gb+{storage or spaced or bare}gb" if memory else f"{more}gb+{much}tb"


def _in_base(match: re.Match[str]) -> str:
    kind, factor = UNIT[match[2]]
    amount = str(round(float(match[1]) * factor, 3)).removesuffix(".0") + _BASE[kind]
    return f"{amount} " if match.end() < len(match.string) else amount


def amounts_written(text: str) -> list[tuple[str, str]]:
    """The amounts of a text, as `spelled_out` leaves it, as they are written: (value, unit), and what looks like one.
    A generation of networks has the unit `network`.
    """
    found = _MEASURE.findall(text)
    if ("5", "g") in found or ("4", "g") in found:
        return _MEASURE.findall(_networks_said(text))
    return found


def _networks_said(text: str) -> str:
    network = _NETWORK_OF_DEVICE if _memories(text) else _NETWORK
    return network.sub(lambda m: f"{m[m.lastindex or 0]} network ", text)


def _memories(text: str) -> list[tuple[str, str]]:
    """Of each memory and storage of a folded text both in GB."""
    found = _MEMORY.findall(text) if _may_say_memory(text) else []
    return [
        (memory or more, storage or spaced or bare or str(1024 * int(much)))
        for memory, storage, spaced, bare, more, much in found
    ]


def _may_say_memory(text: str) -> bool:
    """For speed: most texts do not."""
    return "+" in text or "gb " in text or ("g " in text and not text.isascii())


_COLOUR_AMOUNTS = {word: _amount(COLOUR_KIND, colour) for word, colour in _COLOURS.items()}


def measures(text: str, written: Iterable[tuple[str, str]] | None = None) -> tuple[int, ...]:
    """The colours and amounts of a folded text, at most six, each as in `_measure`.

    written: of the text, as in `amounts_written`, for who has them already.
    """
    if written is None:
        text = spelled_out(text)
        written = amounts_written(text)
    found = dict.fromkeys(map(_MEASURED.__getitem__, written))
    found.pop(0, None)
    if "spf" in text:
        found |= dict.fromkeys([_MEASURED[value, "spf"] for value in _SPF.findall(text)])
    if "码" in text:
        found |= dict.fromkeys([_letter_size(size) for size in _LETTER_SIZE.findall(text)])
    pack = _pack(text)
    if pack:
        found[pack] = None
    if memories := _memories(text):
        # Of two that share one of the two no amount in GB tells that they differ. A bare G is a gram elsewhere.
        both = [_amount(MEMORY_KIND, "+".join(memory)) for memory in memories]
        found = dict.fromkeys((*both, *(_MEASURED[storage, "g"] for _, storage in memories))) | found
        text = _DEVICE_COLOUR.sub(r" \1色", text)
    if colours := _COLOUR.findall(text):
        return (*dict.fromkeys([_COLOUR_AMOUNTS[colour] for colour in colours]), *found)[:UNITS]
    return tuple(found)[:UNITS]


def _letter_size(written: str) -> int:
    return _amount(UNIT["码"][0], written.replace("xxx", "3x").replace("xx", "2x"))


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
        f"{value} {unit}"
        for value, unit in amounts_written(spelled_out(folded))
        if unit in UNIT and unit != "network" and len(value) <= _LONGEST
    ]


def amounts_said(folded: str) -> tuple[list[tuple[int, str, str]], str]:
    """The colours and amounts of a folded text, and what it says beside them.

    Of each the kind (an index into what units name; `COLOUR_KIND` and `PACK_KIND` beside those), its value in the
    kind's base unit, and how it is written. How many are sold together is `PACK_KIND`, where it is more than one; a
    device's memory and storage together are `MEMORY_KIND`.
    """
    said: list[tuple[int, str, str]] = []

    def colour(match: re.Match[str]) -> str:
        said.append((COLOUR_KIND, _COLOURS[match.group()], match.group()))
        return " "

    def device_colour(match: re.Match[str]) -> str:
        said.append((COLOUR_KIND, _COLOURS[f"{match[1]}色"], match.group()))
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

    memories, folded = _memories(folded), _networks_said(folded)
    if memories:
        said += [(MEMORY_KIND, "+".join(memory), f"{' + '.join(memory)} GB") for memory in memories]
        folded = _DEVICE_COLOUR.sub(device_colour, _MEMORY.sub(" ", folded))
    rest = _TIMES.sub(times, _PACKED.sub(pack, _COLOUR.sub(colour, folded)))
    return said, _MEASURE.sub(amount, rest)
