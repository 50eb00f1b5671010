"""What the words of a title say: which words there are, and what some of them mean for telling products apart.

Words are brought to one spelling first (`pro` and `professional`, `v.8`, `8.0` and `viii`, plural and singular). Some
of them say nothing on their own (`for`, `the`, what shops promise everywhere), some name an edition, a kind of licence,
a platform or a language, and bare numbers name a version or a year. Chinese runs are taken as pairs of characters.
"""

from __future__ import annotations

import hashlib
import re
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from operator import add

from detectors.standardise.chinese import fold
from detectors.standardise.memoised import Known

__all__ = [
    "GROUPS",
    "NUMBERS",
    "TOKENS",
    "TitleWords",
    "brand_word",
    "hash_name",
    "respelled",
    "title_words",
    "without_promotion",
    "words_in",
    "words_said",
]

TOKENS = 32  # words kept of one title
NUMBERS = 4
WORD_MASK = (1 << 20) - 1  # a word's bucket among the weights of an epoch

_SYNONYMS = {
    "&": "and",
    "acad": "academic",
    "basics": "basic",
    "bk": "black",
    "bkup": "backup",
    "bl": "blue",
    "comp": "complete",
    "dlx": "deluxe",
    "ed": "edition",
    "edu": "academic",
    "education": "academic",
    "educational": "academic",
    "eng": "english",
    "engl": "english",
    "engli": "english",
    "ent": "enterprise",
    "entprse": "enterprise",
    "fr": "french",
    "gov": "government",
    "govt": "government",
    "lic": "license",
    "licence": "license",
    "licens": "license",
    "macintosh": "mac",
    "macos": "mac",
    "ms": "microsoft",
    "osx": "mac",
    "pro": "professional",
    "prof": "professional",
    "publ": "publisher",
    "std": "standard",
    "symc": "symantec",
    "upg": "upgrade",
    "upgrd": "upgrade",
    "upgr": "upgrade",
    "ver": "version",
    "vers": "version",
    "win": "windows",
    "win32": "windows",
    "yr": "year",
}
_ROMAN = {"ii": "2", "iii": "3", "iv": "4", "vi": "6", "vii": "7", "viii": "8", "ix": "9"}

# Words of one group exclude one another: two titles that name different ones are of different variants.
GROUPS: dict[str, tuple[tuple[str, ...], ...]] = {
    "edition": (
        ("professional",),
        ("standard",),
        ("deluxe",),
        ("premium",),
        ("premier",),
        ("home",),
        ("basic",),
        ("ultimate",),
        ("enterprise",),
        ("gold",),
        ("platinum",),
        ("business",),
        ("small",),
        ("express", "lite"),
        ("advanced",),
        ("extended",),
        ("server",),
        ("client", "workstation"),
        ("elements",),
        ("design",),
        ("web",),
        ("production",),
        ("master",),
        ("plus",),
        ("collector", "limited"),
        ("mini",),
        ("max",),
        ("ultra",),
    ),
    "licence": (
        ("upgrade", "upsell", "crossgrade"),
        ("academic", "student", "teacher"),
        ("government",),
        ("oem",),
        ("license",),
        ("maintenance", "support"),
        ("renewal",),
        ("subscription",),
        ("refurbished",),
        ("addon",),
        ("media",),
    ),
    "platform": (
        ("mac",),
        ("windows", "vista", "xp", "pc"),
        ("linux",),
        ("unix", "solaris", "aix"),
        ("palm",),
        ("ps2",),
        ("ps3",),
        ("xbox",),
        ("wii",),
        ("ds",),
        ("psp",),
    ),
    "language": (
        ("english",),
        ("french",),
        ("german",),
        ("spanish",),
        ("italian",),
        ("japanese",),
        ("chinese",),
        ("dutch",),
        ("portuguese",),
    ),
}
_MEANING = {
    word: (group, 1 << bit)
    for group, (_, alike) in enumerate(GROUPS.items())
    for bit, words in enumerate(alike)
    for word in words
}
_SYSTEM = frozenset(("windows", "mac", "os", "xp", "nt", "me", "vista"))
_SYSTEM_NUMBERS = frozenset(("95", "98", "2000", "2003", "10", "10.2", "10.3", "10.4", "10.5", "7", "8", "x"))
_SILENT = frozenset(
    (
        *("a", "an", "and", "at", "by", "for", "from", "in", "inc", "of", "on", "or", "the", "to", "with", "w"),
        *("new", "software", "version", "edition", "v", "x", "cd", "dvd", "rom", "complete", "package", "product"),
        *("user", "box", "retail", "full", "small", "jewel", "case", "jc"),
    )
)
_WORD = re.compile(
    r"[a-z0-9\u00df-\u024f\u0370-\u03ff\u0400-\u052f]+(?:\.[0-9]+)*|[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7a3]+"
)
_NUMBER = re.compile(r"v?(\d{1,4})((?:\.\d+)*)")
# What Chinese shops promise of whatever they sell, and the brackets in which they write it.
_PROMISES = (
    *("全国包邮", "包邮", "免邮", "顺丰", "新款", "新品", "预售", "现货", "特价", "特惠", "热卖", "爆款", "促销"),
    *("清仓", "秒杀", "限时", "抢购", "旗舰店", "专卖店", "专营店", "直营", "天猫", "聚划算", "满减", "赠品", "上市"),
)
_SAID_OF_ALL = (  # with what each begins
    ("【", "【[^】]*】"),
    (r"\[", r"^\[[^]]*]"),
    ("专官原正", "(?:专柜|官方|原装)?正品(?:保证|代购)?"),
    ("双", "双(?:11|十一)"),
    *((promise[0], promise) for promise in _PROMISES),
)
_PROMOTION = re.compile(  # first, for speed, whether any of it can begin here
    f"(?=[{''.join(begin for begin, _ in _SAID_OF_ALL)}])(?:{'|'.join(said for _, said in _SAID_OF_ALL)})"
)
# Behind a number it is a word of its own, whatever follows: 24瓶整箱 is 24瓶 整箱.
_UNIT = re.compile("(?<=[0-9])(毫升|[瓶盒袋罐片]装?|克(?!拉))(?=[\u4e00-\u9fff])")
_NO_BRAND = (0, "")
_DROPPED = re.compile("['\u2019`\u00b4\u00ae\u2122]+")


@dataclass(frozen=True, slots=True)
class TitleWords:
    """What one title says.

    tokens: hashes of the words, each once; the low 20 bits are its bucket. words: the same words. numbers: as
    written, with a hash of the version or year, the kind in the lowest bit. traits: a mask for each of `GROUPS`.
    """

    tokens: tuple[int, ...]
    words: tuple[str, ...]
    numbers: Mapping[str, int]
    traits: tuple[int, ...]


def _spelled(word: str) -> str:
    """One spelling of a word."""
    word = _SYNONYMS.get(word) or _ROMAN.get(word) or word
    if len(word) > 3 and word[-1] == "s" and word[-2] != "s" and word not in _MEANING and word.isalpha():
        singular = word[:-1]
        return _SYNONYMS.get(singular) or singular
    return word


_SPELLED = Known(_spelled)


def _otherwise(word: str) -> str:
    """The spelling of a word where it is another one; nothing for a word that is not of ASCII."""
    if not word.isascii():
        return ""
    spelled = _SPELLED[word]
    return spelled if spelled != word else ""


_OTHERWISE = Known(_otherwise)


def _number(word: str) -> str:
    """A version or year in one spelling, "" for a word that is none: `v8`, `8.0` and `8` are the same."""
    match = _NUMBER.fullmatch(word)
    if match is None:
        return ""
    whole, rest = match.groups()
    while rest.endswith(".0"):
        rest = rest[:-2]
    return whole.lstrip("0") + rest if whole.strip("0") or rest else "0"


def hash_name(name: str) -> int:
    """64 bits, never 0."""
    return int.from_bytes(hashlib.blake2b(name.encode("utf-8", "replace"), digest_size=8).digest(), "little") | 1


def _hash_word(word: str) -> int:
    """32 bits, never 0."""
    return zlib.crc32(word.encode("utf-8", "replace")) or 1


_HASHED = Known(_hash_word)


def _read(raw: str) -> tuple[str, int, tuple[str, int, int, int, bool] | None]:
    """What a word says wherever it stands: the word that is kept and its hash (0 for one that says nothing). Of some
    more: the spelling, the hash of the version or year that it names (0 for none), its group and bit, and whether it
    names a system.
    """
    word = _SPELLED[raw]
    group, bit = _MEANING.get(word, (0, 0))
    if word in _SYSTEM or word in _SILENT:
        return word, 0, (word, 0, group, bit, word in _SYSTEM)
    number = _number(word)
    if not number:
        return word, _HASHED[word], (word, 0, group, bit, False) if bit or word in _SYSTEM_NUMBERS else None
    year = len(number) == 4 and number[:2] in ("19", "20")
    hashed = _HASHED[number]
    return number, hashed, (word, hashed & ~1 | year, group, bit, False)


_READ = Known(_read)


def words_in(folded: str) -> list[str]:
    """The words of a folded text as they stand there; Chinese ones are runs."""
    return _WORD.findall(folded)


def title_words(folded: str) -> TitleWords:
    """The words of a folded title."""
    return words_said(folded, words_in(folded))


def words_said(folded: str, words: Sequence[str]) -> TitleWords:
    """What `title_words` gives of a title, whose words, as in `words_in`, are known already."""
    text = _DROPPED.sub("", folded if folded.isascii() else _UNIT.sub(r"\1 ", without_promotion(folded)))
    if text != folded:
        words = words_in(text)
    tokens: dict[int, str] = {}
    numbers: dict[str, int] = {}
    traits = [0] * len(GROUPS)
    after_system = False
    for raw in words:
        if raw[0] > "\u2fff":
            pairs = [*map(add, raw, raw[1:])] or [raw]
            tokens.update(zip(map(_HASHED.__getitem__, pairs), pairs, strict=True))
            after_system = False
            continue
        word, token, more = _READ[raw]
        if more is None:
            after_system = False
            tokens[token] = word
            continue
        spelling, number, group, bit, system = more
        if after_system and spelling in _SYSTEM_NUMBERS:
            continue
        after_system = system
        if bit:
            traits[group] |= bit
        if number:
            numbers[raw] = number
        if token:
            tokens[token] = word
    return TitleWords(tuple(tokens)[:TOKENS], tuple(tokens.values())[:TOKENS], numbers, tuple(traits))


def respelled(folded: str, words: Iterable[str]) -> list[str]:
    """The words of a folded title that it spells otherwise than all: `professional` where it says `pro`.

    words: of the title, as in `words_in`.
    """
    otherwise = filter(None, map(_OTHERWISE.__getitem__, words))
    return [word for word in otherwise if word not in folded]


@lru_cache(maxsize=1 << 10)
def without_promotion(folded: str) -> str:
    """A folded Chinese title without what shops promise of everything."""
    return _PROMOTION.sub(" ", folded)


def brand_word(brand: str) -> tuple[int, str]:
    """A brand's first word, its hash and the word; 0 and "" for a brand without one."""
    return _BRANDS[brand] if brand else _NO_BRAND


def _brand_word(brand: str) -> tuple[int, str]:
    said = title_words(fold(brand))
    return (said.tokens[0], said.words[0]) if said.tokens else _NO_BRAND


_BRANDS = Known(_brand_word)
