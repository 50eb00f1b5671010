"""What the decision needs to know of a product, parsed once and kept in arrays, one row a product.

Model codes, amounts with their units, the price and the text without separators. A batch's products are compared with
all their candidates at once.
"""

from __future__ import annotations

import hashlib
import math
import re
import sys
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from functools import cache, lru_cache
from importlib.metadata import version
from itertools import islice
from pathlib import Path
from typing import Any, Generic, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from detectors.duplicates.inside import found_inside
from detectors.duplicates.room import grown
from detectors.duplicates.sketch import grams
from detectors.duplicates.spread import Spread
from detectors.duplicates.texts import Gathered, MemoryTexts, Texts, join_texts, recalled, split_texts
from detectors.duplicates.words import GROUPS, NUMBERS, TOKENS, WORD_MASK, brand_word, title_words, without_promotion
from detectors.money import RATES, number
from detectors.records import Facts, split_identity
from detectors.standardise.chinese import fold
from detectors.standardise.memoised import memoised

__all__ = [
    "Comparison",
    "EvidenceRows",
    "codes_of",
    "compounds",
    "evidence_mark",
    "measures",
    "measures_in_words",
]

_CODES, _UNITS = 4, 6  # kept of one product
_INSIDE = re.compile(r".{5,}|[a-z]+[0-9]{3,}")  # codes that count when they stand inside the other's text
_STEM = re.compile(r"([a-z]+[0-9]{2,}|[0-9]{2,}[a-z]+[0-9]{2,})[a-z]{0,4}")
_DESCRIPTION_CHARS = 400
_RARE = 8  # a code or GTIN that more products share names no product
_LOOKED_AT = 64
_OWN, _OWN_SHARE = 12.0, 0.2  # what the other title does not say: in units of ln(products / products that say it)
_WORD_CHARS = 3
_EXCHANGED_SHARE = 1 / 3  # of the words that both titles have
_TITLES, _TITLES_A_SOURCE = 5, 2  # a code on more different titles than both allow is a word

_FOREIGN_SLACK = 0.2  # of |ln price ratio| between two currencies: rates move, and countries differ

_COLUMNS = 3
_ARRAYS = (
    *("_codes", "_units", "_kinds", "_gtin", "_mpn", "_text", "_price", "_rate", "_currency", "_set"),
    *("_stems", "_tokens", "_numbers", "_traits", "_brand", "_chinese"),
)
_REMEMBERED = 16_384  # of what is read from the store of texts, in each column
_NO_GRAMS = np.zeros(0, np.intp)
_NO_CODES = [0] * _CODES  # never changed

_U = np.uint64
T = TypeVar("T")

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
COLOUR_KIND, PACK_KIND = len(_KINDS), len(_KINDS) + 1
_COLOUR = re.compile(
    r"\b(?:" + "|".join(c for c in _COLOURS if c.isascii()) + r")\b|" + "|".join(c for c in _COLOURS if not c.isascii())
)
# A word that may have a digit: whatever stands before the first one is skipped without a look at each word of it.
_NUMBERED_WORD = re.compile(r"(?<![a-z0-9])(?=[a-z/._-]{0,64}[0-9])[a-z0-9]+(?:[-/._][a-z0-9]+)*")
_CJK_UNITS = "|".join(sorted((u for u in UNIT if ord(u[0]) > 127), key=len, reverse=True))
_MEASURE = re.compile(rf'(\d+(?:\.\d+)?)[ \t-]*("|[a-z]+|{_CJK_UNITS})')
_SPF = re.compile(r"spf[ \t]*(\d+)")
_TIMES = re.compile(
    r"(?:ml|g|kg|l|oz|mb|gb|cm|mm|毫升|升|千克|公斤|克|[片支瓶盒袋只个包罐])[ \t]*[*x×][ \t]*(\d{1,3})(?![\d.])"
)
_PACKED = re.compile(r"(\d{1,3}|[两二三四五六七八九十])[只支瓶盒袋片个件包罐条对双块枚](?:套?装|套)")
_NUMERALS = {numeral: str(i) for i, numeral in enumerate("二三四五六七八九十", 2)} | {"两": "2"}
# A set, or a refill, against a single piece. Free gifts are written otherwise.
_SET = re.compile("套装|礼盒|组合|套组|[件部]套|量贩|三部曲|三步曲|替换装")
_NO_CODE = re.compile(
    r"spf\d+(pa)?|(\d+(\.\d+)?(gb|g|kg|mb|tb|ml|l|oz|inch|in|ft|mm|cm|m|w|watt|hz|mhz|ghz|mp|pack|pk|v|x|k|rpm|mah|users?|pcs?|bit"
    r"|st|nd|rd|th|d|p|i|port|ch|way|channel|pages?|s|lbs?|cms|kgs|gms?|mls|mins?|hrs?|yrs?))+\d?"
)
# What counts or measures in one word: `500-piece`, `3-step`, `6axis`, `4-in-1`, `2x-large`, `preschool-1st`, `8x10`.
_NOUN = (
    r"axis|bag|ball|bladed?|book|bottle|box|bulb|button|can|car|card|channel|class|colou?r|compartment|count|cup|day"
    r"|digit|dis[ck]|door|drawer|edition|foot|feet|gallon|grade|hour|inch|in-1|in-?one|key|large|layer|led?|level|line"
    r"|lit(?:er|re)|lobe|mat|met(?:er|re)|minute|month|outlet|pack|pair|panel|part|person|piece|pin|player|ply|pocket"
    r"|port|position|pound|quart|round|row|seat(?:er)?|series|shel(?:f|ve)|sheet|side|skein|slice|small|speed|stage"
    r"|step|tier|tray|unit|volume|way|week|yard|year|ct|fl-oz|kt|tc|vac|vdc"
)
_COUNTED = re.compile(
    rf"\d{{1,5}}(?:x|st|nd|rd|th)?-?(?:{_NOUN})s?(?:-old)?"
    r"|\d{1,2}-\d{1,2}-?(?:months?|years?|yrs?|scale)|(?:pre-?school|k|core)-\d(?:st|nd|rd|th)"
    r"|\d{1,3}x\d{1,3}(?:x\d{1,3})?|(?:size|ages?|eu|uk|us|vol|season|usb|cat|ddr)-?\d{1,2}"
)
_CJK = re.compile("[\u3400-\u9fff]")
_SEPARATORS, _PIECES, _SLASHES = re.compile(r"[-/._]"), re.compile(r"[._]"), re.compile(r"[-/]")
_DIGIT, _LETTER = re.compile("[0-9]"), re.compile("[a-z]")
_DOTTED_NUMBER = re.compile(r"\d+(\.\d+)+")
_NO_SIGN = bytes(i for i in range(128) if not chr(i).isalnum())
_NO_ALNUM = bytes(i for i in range(256) if not (48 <= i <= 57 or 97 <= i <= 122))


@lru_cache(maxsize=1 << 16)
def _hash(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=8).digest(), "little") | 1


def _has_digit(text: str) -> bool:
    return _DIGIT.search(text) is not None


def _has_letter(text: str) -> bool:
    return _LETTER.search(text) is not None


@lru_cache(maxsize=1 << 16)
def _word(word: str) -> tuple[str, tuple[str, ...]]:
    """A word -> (the compound without its separators, or ""; the model codes in it)."""
    if not _has_digit(word):
        return "", ()
    parts = _SEPARATORS.split(word)
    joined = "".join(parts)
    compound = joined if len(parts) > 1 and len(joined) <= 20 and not _DOTTED_NUMBER.fullmatch(word) else ""
    codes: dict[str, None] = {}
    for piece in _PIECES.split(word):
        code = piece.replace("-", "").replace("/", "")
        letters = _has_letter(code)
        if not _has_digit(code) or _NO_CODE.fullmatch(code) or _COUNTED.fullmatch(piece):
            continue
        if (letters and 4 <= len(code) <= 18) or (not letters and 5 <= len(code) <= 14 and "/" not in piece):
            codes[code] = None
        elif letters and len(code) > 18:
            for part in _SLASHES.split(piece):
                if len(part) >= 4 and _has_digit(part) and _has_letter(part):
                    codes[part] = None
    return compound, tuple(codes)


def compounds(text: str) -> list[str]:
    """Words such as `ps-lx350h` without their separators: they join the sketch, so that both spellings meet."""
    return [joined for word in _NUMBERED_WORD.findall(text) if (joined := _word(word)[0])]


@memoised(1 << 13, 300)
def codes_of(text: str, mpn: str | None = None, names: frozenset[str] = frozenset()) -> tuple[str, ...]:
    """The model codes of a folded title, the manufacturer's part number first; at most four.

    A code mixes letters and digits (4-18 characters) or is a run of 5-14 digits; amounts with a unit are none, nor is
    the spelling of a brand. names: of brand and shop, as in `names_of`.
    """
    found: dict[str, None] = {}
    if part_number := squeezed_code(mpn):
        found[part_number] = None
    for word in _NUMBERED_WORD.findall(text):
        for code in _word(word)[1]:
            if not any(_is_name(code, name) for name in names):
                found[code] = None
    return tuple(found)[:_CODES]


def _stems(codes: Sequence[str]) -> list[int]:
    """Of each code what is left without a colour or country at its end; 0 where that says too little."""
    stems = [match.group(1) if (match := _STEM.fullmatch(code)) else "" for code in codes]
    return [_hash(stem) if len(stem) >= 4 else 0 for stem in stems]


def _padded(values: Sequence[int], length: int) -> list[int]:
    return [*values, *[0] * (length - len(values))]


def names_of(facts: Facts) -> frozenset[str]:
    """What brand and shop are called, in letters and digits of ASCII only, where that is a name at all."""
    return names_in(facts.brand, split_identity(facts.identity)[0])


@lru_cache(maxsize=1 << 12)
def names_in(brand: str | None, shop: str) -> frozenset[str]:
    """As `names_of`, from the brand and the shop's name."""
    names = (_squeezed(name) for name in (brand, shop) if name)
    return frozenset(name for name in names if len(name) >= 2)


def _is_name(code: str, name: str) -> bool:
    """Whether a code is (part of) a name, or a name with too little beside it to name a product."""
    return code in name or (code.startswith(name) and len(code) - len(name) < 4)


def _squashed(lowered: str) -> bytes:
    """The letters and digits of ASCII in a lowered text, without anything between them."""
    return lowered.encode("ascii", "ignore").translate(None, _NO_ALNUM)


def _squeezed(text: str) -> str:
    return _squashed(text.lower()).decode()


def squeezed_code(mpn: str | None) -> str:
    """A part number without its separators, "" for one that names no product: too short, too long, without a digit."""
    squeezed = _squeezed(mpn) if mpn else ""
    return squeezed if 4 <= len(squeezed) <= 20 and _has_digit(squeezed) else ""


@lru_cache(maxsize=1 << 16)
def _measure(value: str, unit: str) -> int:
    """An amount in 32 bits: a hash of kind and value, the kind in the low 5 bits; 0 where the unit is none."""
    kind, factor = UNIT.get(unit, (-1, 0.0))
    if kind < 0 or len(value) > 12:
        return 0
    return _amount(kind, str(round(float(value) * factor, 2)))


def _amount(kind: int, value: str) -> int:
    return (_hash(f"{kind}:{value}") & 0xFFFFFFE0) | kind


@memoised(1 << 13, 300)
def _written(text: str) -> tuple[tuple[str, str], ...]:
    """The amounts of a folded text as they are written, (value, unit), and what looks like one."""
    return tuple(_MEASURE.findall(text))


_COLOUR_AMOUNTS = {word: _amount(COLOUR_KIND, colour) for word, colour in _COLOURS.items()}


def measures(text: str) -> tuple[int, ...]:
    """The colours and amounts of a folded text, at most six, each as in `_measure`."""
    found = dict.fromkeys([_measure(value, unit) for value, unit in _written(text)])
    found.pop(0, None)
    if "spf" in text:
        found |= dict.fromkeys([_measure(value, "spf") for value in _SPF.findall(text)])
    pack = _pack(text)
    if pack:
        found[pack] = None
    if colours := _COLOUR.findall(text):
        return (*dict.fromkeys([_COLOUR_AMOUNTS[colour] for colour in colours]), *found)[:_UNITS]
    return tuple(found)[:_UNITS]


def _pack(text: str) -> int:
    """How many are sold together, and whether they are a set, as an amount; 0 for a title that speaks of one piece."""
    times = _TIMES.findall(text) if "x" in text or "*" in text or "×" in text else []
    if "装" in text or "套" in text:
        times += [_NUMERALS.get(n, n) for n in _PACKED.findall(text)]
    if not times:
        return 0
    count = max(map(int, times))
    return _amount(PACK_KIND, str(count)) if count > 1 else 0


@dataclass(frozen=True, slots=True)
class Comparison:
    """Products against their candidates, each (b, k).

    code_in: a model code is shared, or a longer one stands inside the other's text. code_conflict: both have codes,
    none agrees. code_equal: a model code is shared. code_left: both have a code that is nowhere in the other's text.
    code_stem: two codes are equal but for a few letters at the end.
    mpn: 1 the same part number, -1 different ones, 0 where one has none. gtin: the same of GTINs.
    units: kinds of unit, and colours, that both state with no common value.
    price: |ln price ratio|, 0 where a price or an exchange rate is missing.
    same_text: the titles are the same but for case, spaces and signs.
    """

    code_in: NDArray[np.bool_]
    code_conflict: NDArray[np.bool_]
    code_equal: NDArray[np.bool_]
    code_left: NDArray[np.bool_]
    code_stem: NDArray[np.bool_]
    mpn: NDArray[np.int8]
    units: NDArray[np.float32]
    price: NDArray[np.float32]
    gtin: NDArray[np.int8]
    same_text: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class WordsCompared:
    """Weights of words in pairs of titles, (p,) each, in sixteenths: of what both say, of what only one of them says
    (its own), and of the rarest of the latter. exchanged: the titles are the same but for few words that stand for
    others: `wolf hand puppet` and `fox hand puppet`.
    """

    shared: NDArray[np.int64]
    own_a: NDArray[np.int64]
    own_b: NDArray[np.int64]
    rarest_a: NDArray[np.int64]
    rarest_b: NDArray[np.int64]
    exchanged: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Parsed:
    """What is known of n products by themselves.

    tokens: (n, TOKENS) hashes of the title's words in their order, then zeros. numbers: (n, NUMBERS) and traits:
    (n, groups), as in `TitleWords`. brand: (n,) the hash of its first word, 0 for none. codes: (n,) how many model
    codes. priced: (n,) whether the price is known.
    """

    tokens: NDArray[np.uint32]
    numbers: NDArray[np.uint32]
    traits: NDArray[np.uint32]
    brand: NDArray[np.uint32]
    codes: NDArray[np.intp]
    priced: NDArray[np.bool_]


class _Column(Generic[T]):
    """What a product says in bytes, by row, in a store of texts; the last ones read are remembered.

    number: of the column, below `_COLUMNS`. nothing: what a row has of which nothing was kept.
    """

    def __init__(
        self, texts: Gathered, number: int, pack: Callable[[T], bytes], unpack: Callable[[bytes], T], nothing: T
    ) -> None:
        self._texts, self._number, self._pack, self._unpack, self._nothing = texts, number, pack, unpack, nothing
        self._read: dict[int, T] = {}

    def __getitem__(self, row: int) -> T:
        value = self._read.get(row)
        if value is None:
            (value,) = self.of((row,))
        return value

    def of(self, rows: Collection[int]) -> list[T]:
        """What these rows have."""
        return recalled(self._read, rows, _REMEMBERED, self._kept)

    def _kept(self, rows: Sequence[int]) -> list[T]:
        bodies = self._texts.get([row * _COLUMNS + self._number for row in rows])
        return [self._unpack(body) if body else self._nothing for body in bodies]

    def put(self, rows: Sequence[int], values: Sequence[T]) -> None:
        """What these rows have from now on."""
        if self._read:
            for row in rows:
                self._read.pop(row, None)
        places = [row * _COLUMNS + self._number for row in rows]
        self._texts.put(places, [*map(self._pack, values)])

    def drop(self, rows: Sequence[int]) -> None:
        """Forget these rows."""
        for row in rows:
            self._read.pop(row, None)
        self._texts.drop([row * _COLUMNS + self._number for row in rows])


class _Body(NamedTuple):
    """What texts are searched by: the long codes, the words of the title in the order of the tokens, with spaces
    between, and the letters and digits of title, part number and description, without anything between.
    """

    names: tuple[bytes, ...]
    words: bytes
    squashed: bytes


def _packed_body(body: _Body) -> bytes:
    return b"\n".join((b" ".join(body.names), body.words, body.squashed))


def _body_from(packed: bytes) -> _Body:
    names, words, squashed = packed.split(b"\n")
    return _Body(tuple(names.split(b" ")) if names else (), words, squashed)


class EvidenceRows:
    """Evidence of products by row number. texts: where what is of no fixed size is kept; in memory unless said."""

    def __init__(self, texts: Texts | None = None) -> None:
        self._texts = Gathered(MemoryTexts() if texts is None else texts)
        self._n = 0
        self._codes = np.zeros((0, _CODES), _U)
        self._units = np.zeros((0, _UNITS), np.uint32)
        self._kinds = np.zeros(0, np.uint32)
        self._gtin = np.zeros(0, _U)
        self._mpn = np.zeros(0, _U)
        self._text = np.zeros(0, _U)
        self._price = np.zeros(0)  # logarithms
        self._rate = np.zeros(0)  # logarithms, NaN for a currency without a rate
        self._currency = np.zeros(0, _U)
        self._bodies = _Column(self._texts, 0, _packed_body, _body_from, _Body((), b"", b""))
        # of a mostly Chinese title: its letters and digits, and its grams, without what is on offer
        self._said = _Column(self._texts, 1, lambda said: said.encode("utf-8", "replace"), lambda b: b.decode(), "")
        self._grams = _Column(
            self._texts, 2, _packed_grams, lambda b: np.frombuffer(b, np.int32).astype(np.intp), _NO_GRAMS
        )
        self._part: list[str] = []  # the part number
        self._shop: list[str] = []
        self._set = np.zeros(0, bool)
        self._stems = np.zeros((0, _CODES), _U)
        self._tokens = np.zeros((0, TOKENS), np.uint32)
        self._numbers = np.zeros((0, NUMBERS), np.uint32)
        self._traits = np.zeros((0, len(GROUPS)), np.uint32)
        self._brand = np.zeros(0, np.uint32)
        self._chinese = np.zeros(0, bool)  # whether the title is mostly Chinese, and so has grams
        # hash of a code or GTIN -> its row, or rows as they came
        self._by_key: Spread[int, int | dict[int, None]] = Spread()

    def _room(self, rows: int) -> None:
        if rows <= self._n:
            return
        size = max(1024, 2 * rows)
        for name in _ARRAYS:
            setattr(self, name, grown(getattr(self, name), size))
        self._part += [""] * (size - self._n)
        self._shop += [""] * (size - self._n)
        self._n = size

    def put(
        self, rows: Sequence[int], folded: Sequence[str], facts: Sequence[Facts], prices: Sequence[float | None]
    ) -> None:
        """Parse these products into these rows. folded: the titles as `fold` leaves them."""
        if not rows:
            return
        self._room(max(rows) + 1)
        index = np.asarray(rows)
        self._forget_keys(rows, index)
        codes, stems, units, gtins, mpns = [], [], [], [], []
        names: list[tuple[bytes, ...]] = []
        squashed: list[bytes] = []
        for row, text, fact in zip(rows, folded, facts, strict=True):
            shop = self._shop[row] = sys.intern(split_identity(fact.identity)[0])
            found = codes_of(text, fact.mpn, names_in(fact.brand, shop))
            part_number = self._part[row] = squeezed_code(fact.mpn)
            description = fact.description[:_DESCRIPTION_CHARS].lower()
            squashed.append(_squashed(f"{text} {part_number} {description}"))
            gtin = _hash("gtin:" + fact.gtin.lstrip("0")) if fact.gtin else 0
            if found:
                hashes = [_hash(code) for code in found]
                names.append(tuple(code.encode() for code in found if _INSIDE.fullmatch(code)))
                codes.append(_padded(hashes, _CODES))
                stems.append(_padded(_stems(found), _CODES))
                for key in hashes:
                    self._note(key, row)
            else:
                names.append(())
                codes.append(_NO_CODES)
                stems.append(_NO_CODES)
            if gtin:
                self._note(gtin, row)
            units.append(_padded(measures(text), _UNITS))
            gtins.append(gtin)
            mpns.append(_hash(part_number) if part_number else 0)
        words = self._put_words(index, folded, facts)
        self._bodies.put(rows, [*map(_Body, names, words, squashed)])
        self._put_grams(rows, index, folded)
        self._texts.flush()
        amounts = np.array(units, np.uint32)
        self._codes[index], self._stems[index], self._units[index] = np.array(codes, _U), np.array(stems, _U), amounts
        kinds = np.where(amounts != 0, np.uint32(1) << (amounts & np.uint32(31)), np.uint32(0))
        self._kinds[index] = np.bitwise_or.reduce(kinds, axis=1)
        self._gtin[index], self._mpn[index] = np.array(gtins, _U), np.array(mpns, _U)
        self._text[index] = np.array([hash_text(text) for text in folded], _U)
        self._currency[index] = np.array([_hash(fact.currency) if fact.currency else 0 for fact in facts], _U)
        self._price[index] = np.log([number(price) or math.nan for price in prices])
        self._rate[index] = np.log([RATES.get(fact.currency or "", math.nan) for fact in facts])

    def block(self, rows: NDArray[np.intp]) -> list[NDArray[Any]]:
        """What is known of these rows, for `restore`."""
        self._room(int(rows.max(initial=-1)) + 1)
        places = (rows[:, None] * _COLUMNS + np.arange(_COLUMNS)).ravel().tolist()
        return [
            *(getattr(self, name)[rows] for name in _ARRAYS),
            *join_texts(self._texts.get(places)),
        ]

    def restore(self, rows: Sequence[int], facts: Sequence[Facts], block: Sequence[NDArray[Any]]) -> None:
        """Take back, into rows without a product, what `block` gave."""
        *arrays, texts, lengths = block
        index = np.asarray(rows)
        self._room(int(index.max(initial=-1)) + 1)
        for name, array in zip(_ARRAYS, arrays, strict=True):
            getattr(self, name)[index] = array
        places = (index[:, None] * _COLUMNS + np.arange(_COLUMNS)).ravel().tolist()
        self._texts.put(places, split_texts(texts, lengths))
        self._texts.flush()
        codes, gtins = self._codes[index].tolist(), self._gtin[index].tolist()
        for row, fact, mine, gtin in zip(rows, facts, codes, gtins, strict=True):
            self._part[row] = squeezed_code(fact.mpn)
            self._shop[row] = sys.intern(split_identity(fact.identity)[0])
            for key in (*mine, gtin):
                if key:
                    self._note(key, row)

    def _put_words(self, index: NDArray[np.intp], folded: Sequence[str], facts: Sequence[Facts]) -> Iterable[bytes]:
        """Set what the words of these titles say; gives the words, as in `_Body`."""
        n = len(index)
        tokens, numbers = np.zeros((n, TOKENS), np.uint32), np.zeros((n, NUMBERS), np.uint32)
        said = [title_words(text) for text in folded]
        lengths = np.fromiter((len(words.tokens) for words in said), np.intp, n)
        tokens[np.arange(TOKENS) < lengths[:, None]] = [token for words in said for token in words.tokens]
        for i, (words, text) in enumerate(zip(said, folded, strict=True)):
            if words.numbers:
                amounts = {value for value, unit in _written(text) if unit in UNIT}
                named = tuple(dict.fromkeys(n for raw, n in words.numbers.items() if raw not in amounts))[:NUMBERS]
                numbers[i, : len(named)] = named
        self._tokens[index], self._numbers[index] = tokens, numbers
        self._traits[index] = [words.traits for words in said]
        self._brand[index] = [brand_word(fact.brand) if fact.brand else 0 for fact in facts]
        return (" ".join(words.words).encode() for words in said)

    def _put_grams(self, rows: Sequence[int], index: NDArray[np.intp], folded: Sequence[str]) -> None:
        buckets, said, is_set = [_NO_GRAMS] * len(rows), [""] * len(rows), np.zeros(len(rows), bool)
        texts = {i: without_promotion(text) for i, text in enumerate(folded) if _mostly_cjk(text)}
        if texts:
            bucket, line = grams(list(texts.values()))
            order = np.argsort(line, kind="stable")
            ends = np.searchsorted(line[order], np.arange(1, len(texts)))
            for (i, text), mine in zip(texts.items(), np.split(bucket[order], ends), strict=True):
                buckets[i] = np.unique(mine)
                said[i] = "".join(filter(str.isalnum, text))
                is_set[i] = _SET.search(text) is not None
        self._grams.put(rows, buckets)
        self._said.put(rows, said)
        self._set[index] = is_set
        self._chinese[index] = [len(mine) > 0 for mine in buckets]

    def other_product(self, row: int, other: int, weights: NDArray[np.uint8], *, contradicted: bool = False) -> bool:
        """Whether two mostly Chinese titles without a code in common may be of two products; False for any other two.

        Shops fill the title with what holds for all their products, so a likeness says little there. Two titles of one
        product leave next to nothing that only one of them says: at most what two or three rare pairs of characters
        weigh. That one adds to the other, is no difference; that one word stands in the place of another, is.
        weights: of an epoch. contradicted: amounts or prices say it already.
        """
        if not self._chinese[row] or not self._chinese[other]:
            return False
        if contradicted or self._set[row] != self._set[other]:
            return True
        a, b = self._grams[row], self._grams[other]
        both = np.isin(a, b, assume_unique=True)
        common, of_a = _weight(a[both], weights), _weight(a[~both], weights)
        own = min(of_a, _weight(b, weights) - common)
        return own > min(_OWN, _OWN_SHARE * common) or _exchanged(self._said[row], self._said[other])

    def _is_word(self, key: int, row: int) -> bool:
        """Whether a code stands on too many different titles to name a product; of those that came before this row."""
        titles: set[int] = set()
        shops: set[str] = set()
        for other in islice(self._crowd(key), _LOOKED_AT):
            titles.add(int(self._text[other]))
            shops.add(self._shop[other])
            if other == row:
                break
        return len(titles) > max(_TITLES, _TITLES_A_SOURCE * len(shops))

    def said_of_both(
        self, rows: NDArray[np.intp], others: NDArray[np.intp], weights: NDArray[np.uint8], epoch: NDArray[np.intp]
    ) -> WordsCompared:
        """The words of rows (p,) and others (p,). weights: (epochs, buckets). epoch: (p,) which of them holds."""
        a, b = self._tokens[rows], self._tokens[others]
        width = int(max((a != 0).sum(axis=1).max(initial=1), (b != 0).sum(axis=1).max(initial=1)))
        a, b = a[:, :width], b[:, :width]
        weight_a = weights[epoch[:, None], a & WORD_MASK].astype(np.int64) * (a != 0)
        weight_b = weights[epoch[:, None], b & WORD_MASK].astype(np.int64) * (b != 0)
        shared_a, shared_b = _shared(a, b)
        own_a, own_b = ~shared_a & (a != 0), ~shared_b & (b != 0)
        asked, line = np.unique(rows, return_inverse=True)
        found, text = np.unique(others, return_inverse=True)
        bodies, found_bodies = self._bodies.of(asked.tolist()), self._bodies.of(found.tolist())
        words, texts = [body.words for body in bodies], [body.squashed for body in bodies]
        found_words, found_texts = [body.words for body in found_bodies], [body.squashed for body in found_bodies]
        # What stands inside the other's text is said there after all.
        own_a &= ~found_inside(own_a, line, text, words, found_texts)
        own_b &= ~found_inside(own_b, text, line, found_words, texts)
        rest_a, rest_b = weight_a * own_a, weight_b * own_b
        count_a, count_b = own_a.sum(axis=1), own_b.sum(axis=1)
        least = np.minimum((a != 0).sum(axis=1) - count_a, (b != 0).sum(axis=1) - count_b)
        few = np.maximum(1, least * _EXCHANGED_SHARE)
        return WordsCompared(
            shared=(weight_a - rest_a).sum(axis=1),
            own_a=rest_a.sum(axis=1),
            own_b=rest_b.sum(axis=1),
            rarest_a=rest_a.max(axis=1, initial=0),
            rarest_b=rest_b.max(axis=1, initial=0),
            exchanged=(count_a > 0) & (count_b > 0) & (count_a <= few) & (count_b <= few) & (least > 0),
        )

    def numbers_of_both(self, rows: NDArray[np.intp], others: NDArray[np.intp]) -> tuple[NDArray[np.bool_], ...]:
        """(p,) each: versions in conflict, named by one alone; years in conflict, named by one alone; numbers left."""
        a, b = self._numbers[rows], self._numbers[others]
        same = a[:, :, None] == b[:, None, :]
        in_b, in_a = same.any(axis=2) & (a != 0), same.any(axis=1) & (b != 0)
        found = []
        for kind in (0, 1):
            of_a, of_b = (a != 0) & ((a & 1) == kind), (b != 0) & ((b & 1) == kind)
            has_a, has_b = of_a.any(axis=1), of_b.any(axis=1)
            found += [has_a & has_b & ~(in_b & of_a).any(axis=1), has_a != has_b]
        return (*found, ((a != 0) & ~in_b).any(axis=1) & ((b != 0) & ~in_a).any(axis=1))

    def parsed(self, rows: NDArray[np.intp]) -> Parsed:
        """What is known of the products of these rows."""
        return Parsed(
            self._tokens[rows],
            self._numbers[rows],
            self._traits[rows],
            self._brand[rows],
            (self._codes[rows] != 0).sum(axis=1),
            ~np.isnan(self._price[rows]),
        )

    def traits(self, rows: NDArray[np.intp]) -> NDArray[np.uint32]:
        """(p, groups) masks, as in `TitleWords`."""
        return self._traits[rows]

    def brands_conflict(self, rows: NDArray[np.intp], others: NDArray[np.intp]) -> NDArray[np.bool_]:
        """(p,) whether both name a brand, not the same one, and neither title names the other's."""
        a, b = self._brand[rows], self._brand[others]
        named = (self._tokens[others] == a[:, None]).any(axis=1) | (self._tokens[rows] == b[:, None]).any(axis=1)
        return np.asarray((a != 0) & (b != 0) & (a != b) & ~named)

    def drop(self, rows: Sequence[int]) -> None:
        """Forget the products of these rows, each named once, where one was ever put there."""
        rows = [row for row in rows if row < self._n]
        index = np.array(rows, np.intp)
        self._forget_keys(rows, index)
        for name in _ARRAYS:
            getattr(self, name)[index] = 0
        self._price[index] = np.nan
        for row in rows:
            self._part[row] = ""
        for column in (self._bodies, self._said, self._grams):
            column.drop(rows)

    def _keys(self, row: int) -> list[int]:
        """Hashes of the codes and the GTIN of a row."""
        return [key for key in (*self._codes[row].tolist(), int(self._gtin[row])) if key]

    def _forget_keys(self, rows: Sequence[int], index: NDArray[np.intp]) -> None:
        """Nobody finds these rows by their codes and GTIN any more. index: the same rows."""
        keys = np.column_stack((self._codes[index], self._gtin[index]))
        for key, place in zip(keys[keys != 0].tolist(), np.nonzero(keys)[0].tolist(), strict=True):
            self._forget(key, rows[place])

    def _crowd(self, key: int) -> Collection[int]:
        """The rows that have this code or GTIN, in the order they came."""
        rows = self._by_key.among(key).get(key, ())
        return (rows,) if isinstance(rows, int) else rows

    def _note(self, key: int, row: int) -> None:
        named = self._by_key.among(key)
        rows = named.setdefault(key, row)
        if isinstance(rows, dict):
            rows[row] = None
        elif rows != row:
            named[key] = {rows: None, row: None}

    def _forget(self, key: int, row: int) -> None:
        named = self._by_key.among(key)
        rows = named.get(key)
        if rows == row:
            del named[key]
        elif isinstance(rows, dict):
            rows.pop(row, None)
            if len(rows) == 1:
                (named[key],) = rows

    def coded(self, rows: NDArray[np.intp]) -> NDArray[np.bool_]:
        """(p,) whether the products of these rows have a code or GTIN."""
        return np.asarray((self._codes[rows] != 0).any(axis=1) | (self._gtin[rows] != 0))

    def sharing(self, row: int) -> dict[int, int]:
        """Rows that share a code or the GTIN with this one, where few do; not itself.

        With each, how many rows have the rarest of what both share.
        """
        found: dict[int, int] = {}
        for key in self._keys(row):
            rows = self._crowd(key)
            common = len(rows)
            if common <= 4 * _RARE:
                for other in rows:
                    if common < found.get(other, common + 1):
                        found[other] = common
        found.pop(row, None)
        return found

    def _words_among(self, rows: NDArray[np.intp], codes: NDArray[np.uint64]) -> set[int]:
        """Hashes of the codes of these rows that are words and no part number."""
        found: set[int] = set()
        for row, line in zip(rows.tolist(), codes.tolist(), strict=True):
            part = self._part[row]
            for key in line:
                crowd = self._crowd(key)
                if len(crowd) > _TITLES and not (part and key == _hash(part)) and self._is_word(key, row):
                    found.add(key)
        return found

    def compare(self, rows: NDArray[np.intp], candidates: NDArray[np.intp]) -> Comparison:
        """rows (b,) against candidates (b, k), -1 for none (what is said of those has no meaning)."""
        there = candidates >= 0
        other = np.maximum(candidates, 0)
        a, b = self._codes[rows], self._codes[other]
        words = self._words_among(rows, a)
        if words:
            a, b = (np.where(np.isin(x, np.array(sorted(words), _U)), _U(0), x) for x in (a, b))
        has_a, has_b = (a != 0).any(axis=1, keepdims=True), (b != 0).any(axis=2)
        same = a[:, None, :, None] == b[:, :, None, :]
        in_b = same.any(axis=3) & (a != 0)[:, None]  # (b, k, codes of a)
        in_a = same.any(axis=2) & (b != 0)
        equal = in_b.any(axis=2)
        inside, left = equal.copy(), np.zeros(candidates.shape, bool)
        # What the hashes leave open: codes inside the other's text. Only where a code is there without its like.
        alone = ((a != 0)[:, None] & ~in_b).any(axis=2) | ((b != 0) & ~in_a).any(axis=2)
        open_i, open_j = np.nonzero(alone & there)
        of_a, of_b = rows[open_i].tolist(), other[open_i, open_j].tolist()
        for x, y, (names_i, _, text_i), (names_j, _, text_j) in zip(
            open_i.tolist(), open_j.tolist(), self._bodies.of(of_a), self._bodies.of(of_b), strict=True
        ):
            if words:
                names_i, names_j = (tuple(n for n in x if _hash(n.decode()) not in words) for x in (names_i, names_j))
            found_a = [name in text_j for name in names_i]
            found_b = [name in text_i for name in names_j]
            if any(found_a) or any(found_b):
                inside[x, y] = True
            left[x, y] = not all(found_a) and not all(found_b)
        ma, mb = self._mpn[rows][:, None], self._mpn[other]
        sa, sb = self._stems[rows][:, None, :, None], self._stems[other][:, :, None, :]
        stem = ((sa == sb) & (sa != 0)).any(axis=(2, 3))
        mpn = np.where((ma != 0) & (mb != 0), np.where(ma == mb, 1, np.where(inside & ~left, 0, -1)), 0)
        shared = self._kinds[rows][:, None] & self._kinds[other]
        units = np.zeros(candidates.shape, np.float32)
        x_, y_ = np.nonzero(shared)
        u, v = self._units[rows[x_]], self._units[other[x_, y_]]
        agree = (u[:, :, None] == v[:, None]).any(axis=2) & (u != 0)
        bits = np.bitwise_or.reduce(np.where(agree, np.uint32(1) << (u & np.uint32(31)), np.uint32(0)), axis=1)
        units[x_, y_] = np.bitwise_count(shared[x_, y_] & ~bits)
        # A title that names no number sells one piece.
        units += ((self._kinds[rows][:, None] ^ self._kinds[other]) & np.uint32(1 << PACK_KIND)) != 0
        ca, cb = self._currency[rows][:, None], self._currency[other]
        foreign = (ca != cb) & (ca != 0) & (cb != 0)
        price = self._price[rows][:, None] - self._price[other]
        exchanged = price - (self._rate[rows][:, None] - self._rate[other])
        apart = np.where(foreign, np.abs(exchanged) - _FOREIGN_SLACK, np.abs(price))
        # rounded: a logarithm's last bit is not the same on every machine
        price = np.round(np.maximum(np.nan_to_num(apart), 0), 5).astype(np.float32)
        ga, gb = self._gtin[rows][:, None], self._gtin[other]
        known = (ga != 0) & (gb != 0)
        gtin = np.where(known, np.where(ga == gb, 1, -1), 0).astype(np.int8)
        ta = self._text[rows][:, None]
        return Comparison(
            code_in=inside,
            code_conflict=has_a & has_b & ~inside,
            code_equal=equal,
            code_left=left,
            code_stem=stem,
            mpn=mpn.astype(np.int8),
            units=units,
            price=price,
            gtin=gtin,
            same_text=(ta == self._text[other]) & (ta != 0),
        )


@cache
def evidence_mark() -> str:
    """A mark of this program's way to read a product: what was parsed by one with another mark is parsed anew."""
    digest = hashlib.blake2b(f"{version('opencc')} {RATES}".encode(), digest_size=8)
    for part in (evidence_mark, title_words, fold, grams, number, split_identity):
        digest.update(Path(str(sys.modules[part.__module__].__file__)).read_bytes())
    return digest.hexdigest()


def _shared(a: NDArray[np.uint32], b: NDArray[np.uint32]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Of (p, w) values and (p, v) others, where a value stands among the others of its line; the same of the others.

    Column by column, each of all lines at once: that takes a seventh of the time of comparing (p, w, v) in one step.
    """
    a, b = np.ascontiguousarray(a.T), np.ascontiguousarray(b.T)
    in_b, in_a = np.zeros(a.shape, bool), np.zeros(b.shape, bool)
    for column, found in zip(a, in_b, strict=True):
        same = b == column
        in_a |= same
        np.logical_or.reduce(same, axis=0, out=found)
    return in_b.T, in_a.T


def _packed_grams(buckets: NDArray[np.intp]) -> bytes:
    return buckets.astype(np.int32).tobytes()


def hash_text(folded: str) -> int:
    """A title's hash without signs and spaces; 0 for a title without a letter or digit."""
    if folded.isascii():
        squeezed = folded.encode().translate(None, _NO_SIGN).decode()
    else:
        squeezed = "".join(filter(str.isalnum, folded))
    return _hash(squeezed) if squeezed else 0


def _mostly_cjk(folded: str) -> bool:
    if folded.isascii():
        return False
    return 2 * len(_CJK.findall(folded)) >= len(_LETTER.findall(folded))


def _weight(buckets: NDArray[np.intp], weights: NDArray[np.uint8]) -> float:
    return float(weights[buckets].sum(dtype=np.int64)) / 16


def _exchanged(a: str, b: str) -> bool:
    """Whether a short word of one text stands in the place of another one: 日霜 and 晚霜, 滋润型 and 清爽型."""
    if a == b:
        return False
    changes = SequenceMatcher(None, a, b, autojunk=False).get_opcodes()
    return any(
        what == "replace" and max(j - i, n - m) <= _WORD_CHARS and not a[i:j].isascii() and not b[m:n].isascii()
        for what, i, j, m, n in changes
    )


def measures_in_words(folded: str) -> list[str]:
    """The amounts of a folded text as they are written there, such as `500 ml`."""
    return [f"{value} {unit}" for value, unit in _written(folded) if unit in UNIT]


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
        if unit not in UNIT or len(value) > 12 or match.string.startswith("/", match.end()):
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

    rest = _TIMES.sub(times, _PACKED.sub(pack, _COLOUR.sub(colour, folded)))
    return said, _MEASURE.sub(amount, rest)
