"""Prices written as text: the amount as a decimal and the currency as an ISO 4217 code.

Documented choices:

- A lone separator with three digits behind it ("1.299", "1,299") separates thousands, as on a price tag. A bare
  "1.299" without any currency is machine notation instead, a decimal, unless the record's currency is one that is
  written with a decimal comma.
- ¥ and ￥ are CNY or JPY, $ is the dollar or peso of the record's own currency; without one see `resolve_currency`.
- A separator that the currency is not usually written with ($1.299, €1,299) is read as one of thousands at 0.75: too
  little to be taken.
- Numerals may be Chinese (三千元, 1万2千, 壹佰元), an amount may have its small coins named (12元5角, 19块9).
- A bound or an estimate (1299元起, from 99, <99, 1299+, 约 99) is read as its number at 0.8: too little to be taken. A
  range (99-129) is no price.
- A minus stands at the very start (-$5), or at the number behind a sign ($-5), or is a bracket around the whole text
  ("(5.00)"). A dash behind a word or a code (售价-99, RMB-99), or with spaces around it (Sale - $5), separates. What
  lies between (Price: -5, –5, 5-) is read without a minus at 0.75.
- A percentage, a measure (100 ml), or a text with words that say nothing of money is no price.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from decimal import Decimal
from functools import cache

from babel import Locale
from babel.numbers import get_currency_precision, list_currencies
from price_parser import Price

from detectors.standardise.chinese import fold
from detectors.standardise.memoised import memoised
from detectors.standardise.numerals import with_digits
from detectors.standardise.text import ordinary_characters

__all__ = ["Money", "NoPrice", "currency_code", "parse_number", "parse_price", "resolve_currency"]


_TWO_WAYS = "can be read in two ways"


@dataclass(frozen=True, slots=True)
class Money:
    """A price that was read from a text.

    amount: signed. currencies: ISO codes that the text's own sign can mean, likeliest first; empty: it names none.
    certain: whether the first of `currencies` may be taken without a context. confidence: 0-1, in the amount.
    doubt: why the confidence is low, where it is: what follows "the price".
    """

    amount: Decimal
    currencies: tuple[str, ...] = ()
    certain: bool = False
    confidence: float = 1.0
    doubt: str = _TWO_WAYS


@dataclass(frozen=True, slots=True)
class NoPrice:
    """Why a text is no price: the end of a sentence that starts with "the price"."""

    reason: str


_DOLLARS = (
    *("USD", "AUD", "CAD", "HKD", "TWD", "SGD", "NZD", "MXN", "CLP", "COP", "ARS", "BRL", "UYU", "DOP", "CUP", "XCD"),
    *("BBD", "BMD", "BND", "BSD", "BZD", "FJD", "GYD", "JMD", "KYD", "LRD", "NAD", "SBD", "SRD", "TTD", "MOP"),
)
_YUAN = ("CNY", "JPY")
_HAN_YUAN = ("CNY", "TWD", "HKD", "MOP")
_UNCERTAIN = ("kr", "kr.", "rs", "rs.", "₨")  # no currency is likelier than the others
_SIGNS: dict[str, tuple[str, ...]] = {
    "$": _DOLLARS,
    "¥": _YUAN,
    "£": ("GBP", "EGP", "LBP", "SYP", "GIP", "FKP"),
    **dict.fromkeys(("元", "圆", "圓"), _HAN_YUAN),
    **dict.fromkeys(("块", "块钱", "人民币", "人民幣", "rmb", "yuan", "renminbi", "kuai", "cn¥", "cn￥"), ("CNY",)),
    **dict.fromkeys(("円", "日圓", "日円", "yen"), ("JPY",)),
    **dict.fromkeys(("kr", "kr."), ("SEK", "NOK", "DKK", "ISK")),
    **dict.fromkeys(("rs", "rs.", "₨"), ("INR", "PKR", "LKR", "NPR", "MUR")),
    **dict.fromkeys(("us$", "u$s", "$us", "美金", "美刀", "dollar", "dollars"), ("USD",)),
    **dict.fromkeys(("hk$", "港币", "港幣", "港纸"), ("HKD",)),
    **dict.fromkeys(("nt$", "nt", "台币", "臺幣", "台幣", "新台幣"), ("TWD",)),
    **dict.fromkeys(("a$", "au$"), ("AUD",)),
    **dict.fromkeys(("c$", "ca$"), ("CAD",)),
    **dict.fromkeys(("s$", "sg$"), ("SGD",)),
    **dict.fromkeys(("mx$", "mex$"), ("MXN",)),
    **dict.fromkeys(("fr.", "sfr", "sfr."), ("CHF",)),
    **dict.fromkeys(("€", "euro", "euros"), ("EUR",)),
    **dict.fromkeys(("rp", "rp."), ("IDR",)),
    **dict.fromkeys(("s/", "s/."), ("PEN",)),
    **dict.fromkeys(("zł", "zl", "zł."), ("PLN",)),
    **dict.fromkeys(("kč", "kč."), ("CZK",)),
    **dict.fromkeys(("lei", "leu"), ("RON", "MDL")),
    **dict.fromkeys(("лв", "лв."), ("BGN",)),
    **dict.fromkeys(("₽", "руб", "руб.", "р.", "рублей"), ("RUB",)),
    **dict.fromkeys(("₴", "грн", "грн."), ("UAH",)),
    **dict.fromkeys(("₺", "tl"), ("TRY",)),
    **dict.fromkeys(("₩", "원"), ("KRW",)),
    **dict.fromkeys(("₫", "đ", "vnđ"), ("VND",)),
    **dict.fromkeys(("฿", "บาท"), ("THB",)),
    "rm": ("MYR",),
    "r": ("ZAR",),
    "ft": ("HUF",),
    "₱": ("PHP",),
    "₹": ("INR",),
    "₪": ("ILS",),
    "nz$": ("NZD",),
    "r$": ("BRL",),
    "cl$": ("CLP",),
    "clp$": ("CLP",),
    "co$": ("COP",),
    "ar$": ("ARS",),
    "mop$": ("MOP",),
}

_DECIMAL_COMMA = frozenset(
    [
        "EUR",
        "IDR",
        "BRL",
        "TRY",
        "VND",
        "PLN",
        "CZK",
        "HUF",
        "RON",
        "RUB",
        "UAH",
        "SEK",
        "NOK",
        "DKK",
        "ISK",
        "BGN",
        "ARS",
        "CLP",
        "COP",
        "UYU",
        "PYG",
        "RSD",
        "BYN",
        "KZT",
    ]
)

# What a price tag says beside the amount without changing it.
_FILLERS = (
    *("from", "only", "just", "now", "price", "each", "per", "ea", "piece", "pc", "unit", "approx", "about", "sale"),
    *("incl", "including", "inc", "vat", "tax", "ab", "nur", "preis", "desde", "precio", "prix", "à", "partir", "de"),
    *("des", "mulai", "dari", "harga", "od", "cena", "up to", "under", "over"),
    *("起", "约", "約", "仅", "仅需", "僅", "只要", "价格", "價格", "售价", "售價", "现价", "特价", "特價", "原价"),
    *("以上", "以下", "以内", "以內", "低至", "最低", "最高", "不超过", "上下"),
    *("到手价", "券后", "含税", "包邮", "每", "件", "个", "個", "台", "套", "只", "瓶", "盒", "包", "支", "条", "双"),
    *("整", "正", "左右", "一口价", "一口價", "税込み", "税込", "税抜き", "税抜", "税别", "税別", "定価", "価格"),
)
_NO_MONEY = frozenset(  # ISO 4217 has codes for metals, bonds and tests
    ["XAG", "XAU", "XBA", "XBB", "XBC", "XBD", "XDR", "XPD", "XPT", "XSU", "XTS", "XUA", "XXX"]
)
_FREE = frozenset({"free", "for free", "gratis", "kostenlos", "免费", "免費", "无料", "無料"})
_MULTIPLIERS = {
    "万": 10_000,
    "萬": 10_000,
    "w": 10_000,
    "千": 1_000,
    "百万": 1_000_000,
    "亿": 100_000_000,
    "億": 100_000_000,
    "k": 1_000,
    "rb": 1_000,
    "ribu": 1_000,
    "jt": 1_000_000,
    "juta": 1_000_000,
}

_NUMBER = re.compile(
    r"(?<![0-9.,])(?:"
    r"[0-9]{1,3}(?:[ '’\u00a0\u202f\u2009][0-9]{3})+(?:[.,][0-9]{1,2})?(?![0-9])"  # 1 299,00
    r"|[0-9]+(?:[.,'’][0-9]+)*"
    r"|[.,][0-9]+)"
)
_CENTS = re.compile(r"(?<=[0-9])\s?€\s?(?=[0-9]{2}$)")
_NO_CENTS = re.compile(r"(?<=[0-9])[.,][-–—]{1,2}(?![0-9])")
_FIXED = re.compile("一口[价價]")
_COINS = re.compile(r"(?<![0-9.,])([0-9]{1,9})(块|元|圆|圓)钱?(?:0?([0-9])分|0?([0-9])[角毛]钱?(?:0?([0-9])分)?)")
_SHORT_COINS = re.compile(r"(?<![0-9.,])([0-9]{1,9})块([0-9]{1,2})(?=[^\w.,]|$)")
_ONLY_COINS = re.compile(r"(?<![0-9.,])([0-9])[角毛](?:([0-9])分)?(?![0-9])")
_CHINESE = re.compile("[元块圆圓角毛一二三四五六七八九十零〇两兩壹贰貳叁參肆伍陆陸柒捌玖拾百佰千仟万萬亿億价價]")
_BARE = re.compile(r"[+-]?[0-9]{1,15}(?:\.[0-9]{1,6})?")
_BOUND = re.compile(
    r"[<>≤≥≦≧≈~〜∼±]|起|约|約|左右|以上|以下|以内|以內|低至|最低|最高|不超过|上下"
    r"|(?<![^\W\d_])(?:from|ab|desde|od|des|à partir|mulai|dari|approx|about|up to|under|over)(?![^\W\d_])"
)
_RANGE = re.compile(r"[-–—~～〜至到]|to|bis|hasta")
_PLAIN = re.compile(r"[0-9]{1,15}(?:\.[0-9]{1,6})?")
_SCIENTIFIC = re.compile(r"[0-9]{1,15}(?:\.[0-9]{1,30})?e[+-]?[0-9]{1,2}", re.IGNORECASE)  # 2.794e+01, a float's repr
_LETTER = re.compile(r"[^\W_]|[%‰]")
_KANA = re.compile("[\u3040-\u30ff]")
_HAN = re.compile("[\u4e00-\u9fff]")
_MAX_LENGTH = 80


@cache
def _vocabulary() -> tuple[dict[str, tuple[str, ...]], re.Pattern[str], frozenset[str]]:
    """Signs, names and codes of currencies, lower case, to ISO codes; a pattern that finds them; all the ISO codes."""
    codes = frozenset(list_currencies()) - _NO_MONEY
    english, simplified, traditional = (Locale.parse(name) for name in ("en", "zh_Hans", "zh_Hant"))
    words: dict[str, tuple[str, ...]] = {}
    for code in sorted(codes):
        for locale in (english, simplified, traditional):
            name = locale.currencies.get(code)
            if name and not any(c.isdigit() or c == "(" for c in name):
                words.setdefault(name.lower(), (code,))
                words.setdefault(f"{name.lower()}s", (code,))
        symbol = english.currency_symbols.get(code)
        if symbol:
            words.setdefault(symbol.lower(), (code,))
    words.update({code.lower(): (code,) for code in codes})
    words.update(_SIGNS)
    return words, _any_of(words), codes


def _any_of(words: object) -> re.Pattern[str]:
    """Any of the words, the longest first; Latin and Cyrillic words only where no letter touches them."""

    def bounded(word: str) -> str:
        before = r"(?<![^\W\d_])" if word[0].isalpha() and ord(word[0]) < 0x2E80 else ""
        after = r"(?![^\W\d_])" if word[-1].isalpha() and ord(word[-1]) < 0x2E80 else ""
        return before + re.escape(word) + after

    ordered = sorted(words, key=lambda w: (-len(w), w))  # type: ignore[call-overload]  # any iterable of texts
    return re.compile("|".join(map(bounded, ordered)))


_FILLER = _any_of(_FILLERS)
_MULTIPLIER = re.compile(
    r"\s?(?:(百万|万|萬|千|亿|億)|(w|k|rb|ribu|jt|juta)(?![^\W\d_]))", re.IGNORECASE
)  # directly behind the number
_ONLY_A_NUMBER = re.compile(rf"([+-]?)({_NUMBER.pattern})(?:\s?(百万|万|萬|千|亿|億))?")
_DASHES = ("–", "—", "―")


@memoised(16_384, _MAX_LENGTH)
def parse_price(text: str, currency: str | None = None) -> Money | NoPrice:
    """The price that a text names.

    currency: the record's own ISO code where known; it decides between 1.299 as thousands and as a decimal.
    """
    text = text.strip()
    if _PLAIN.fullmatch(text):
        amount, confidence = _amount(text, bare=True, currencies=(currency,) if currency else ())
        return Money(amount, confidence=confidence) if amount is not None else NoPrice("is not a number")
    if _SCIENTIFIC.fullmatch(text):
        return Money(Decimal(text))
    if len(text) > _MAX_LENGTH:
        return NoPrice(f"is a text of {len(text)} characters")
    words, pattern, _ = _vocabulary()
    line = " ".join(ordinary_characters(text).lower().replace("−", "-").split())
    if line in _FREE:
        return Money(Decimal(0), confidence=0.9)
    if _CHINESE.search(line):
        line = _with_coins(with_digits(_FIXED.sub(" ", line)))
    line = _NO_CENTS.sub("", line)
    euro_cents = _CENTS.search(line)
    if euro_cents and line.count("€") == 1:
        line = _CENTS.sub(".", line) + " €"

    numbers = list(_NUMBER.finditer(line))
    if not numbers:
        return NoPrice("holds no number")
    multipliers = [_MULTIPLIER.match(line, n.end()) for n in numbers]
    ends = [m.end() if m else n.end() for m, n in zip(multipliers, numbers, strict=True)]
    written = [line[n.start() : end] for n, end in zip(numbers, ends, strict=True)]
    if len(set(written)) > 1:
        if len(numbers) == 2 and _RANGE.search(line[ends[0] : numbers[1].start()]):
            return NoPrice(f"is a range, from {written[0]} to {written[1]}")
        return NoPrice(f"holds {len(numbers)} numbers")

    number, multiplier = numbers[-1], multipliers[-1]
    head, tail = line[: numbers[0].start()], line[ends[-1] :]
    rest = f"{head}\x00{tail}"
    named = [words[found.group()] for found in pattern.finditer(rest)]
    rest = _FILLER.sub(" ", pattern.sub(" ", rest))
    if "%" in rest or "‰" in rest:
        return NoPrice("is a percentage")
    if "¢" in rest:
        return NoPrice("is in cents of nobody knows which currency")
    if _LETTER.search(rest):
        return NoPrice("holds words that are no currency")
    currencies = _agreed(named)
    if currencies is None:
        return NoPrice("names two currencies")

    likely = (currency,) if currency and (not currencies or currency in currencies) else currencies
    bare = _BARE.fullmatch(line) is not None
    amount, confidence = _amount(number.group(), bare=bare, currencies=likely, whole=bool(multiplier))
    if amount is None:
        return NoPrice(f"holds “{number.group()}”, which is not a number")
    if multiplier:
        amount = (amount * _MULTIPLIERS[(multiplier.group(1) or multiplier.group(2)).lower()]).normalize()
        confidence = min(confidence, 0.9)
    doubt = _TWO_WAYS
    if "+" in tail or _BOUND.search(f"{head}\x00{tail}"):
        confidence, doubt = min(confidence, 0.8), "is a bound or an estimate"
    sign = _sign(head, tail, pattern) if len(numbers) == 1 else 1
    if sign is None:
        confidence, doubt = min(confidence, 0.75), "has a dash or a bracket that can be a minus"
    certain = bool(currencies) and not any(w in _UNCERTAIN for w in pattern.findall(f"{head}\x00{tail}"))
    return Money(-amount if sign == -1 else amount, currencies, certain, confidence, doubt)


def _sign(head: str, tail: str, signs: re.Pattern[str]) -> int | None:
    """-1 for a minus before or a bracket around an amount, 1 where there is none, None where that is not clear."""
    before, dash, after = head.partition("-")
    before, behind = before.rstrip(), before != before.rstrip()
    if not dash:
        if head.strip().startswith("(") and tail.strip().endswith(")") and "(" not in head.strip()[1:]:
            return -1 if head.strip() == "(" and tail.strip() == ")" else None
        return None if head.startswith(_DASHES) or tail.rstrip().endswith(("-", *_DASHES)) else 1
    if "-" in after:
        return None
    if not before:
        return -1
    named = signs.fullmatch(before)
    close = after == after.lstrip()  # nothing but a sign between dash and number
    if close and not after and named and not before[-1].isalnum():
        return -1
    if before[-1].isalnum():
        return None if behind and close else 1
    return 1 if behind and not close else None


@memoised(16_384, _MAX_LENGTH)
def parse_number(text: str) -> Money | None:
    """The number that a text is in another notation (1,299; 1.2万; 三千; １２), None for any other text.

    No price: only Chinese multipliers count, and a unit, a bracket, a bound or a word makes it another text.
    """
    text = text.strip()
    if len(text) > _MAX_LENGTH:
        return None
    line = " ".join(ordinary_characters(text).lower().replace("−", "-").split())
    if _CHINESE.search(line):
        line = with_digits(line)
    found = _ONLY_A_NUMBER.fullmatch(line)
    if found is None:
        return None
    sign, digits, multiplier = found.groups()
    amount, confidence = _amount(digits, bare=multiplier is None, currencies=(), whole=multiplier is not None)
    if amount is None:
        return None
    if multiplier:
        amount, confidence = (amount * _MULTIPLIERS[multiplier]).normalize(), min(confidence, 0.9)
    return Money(-amount if sign == "-" else amount, confidence=confidence)


def _with_coins(line: str) -> str:
    """12元5角3分 as 12.53元, 19块9 as 19.9块, 5角 as 0.5元."""
    line = _COINS.sub(lambda m: f"{m[1]}.{m[4] or 0}{m[3] or m[5] or 0}{m[2]}", line)
    line = _SHORT_COINS.sub(r"\1.\2块", line)
    return _ONLY_COINS.sub(lambda m: f"0.{m[1]}{m[2] or 0}元", line)


def _agreed(named: list[tuple[str, ...]]) -> tuple[str, ...] | None:
    """What all signs in a text can mean together; None where they contradict each other."""
    if not named:
        return ()
    agreed = named[0]
    for other in named[1:]:
        agreed = tuple(code for code in agreed if code in other)
    return agreed or None


def _amount(
    number: str, *, bare: bool, currencies: tuple[str, ...], whole: bool = False
) -> tuple[Decimal | None, float]:
    """The number, and how sure its notation is. whole: it is followed by a multiplier, so that it is no price tag."""
    digits = number.replace("'", "").replace("’", "")
    digits = "".join(digits.split())
    dots, commas = digits.count("."), digits.count(",")
    confidence = 1.0
    separator: str | None = None
    if dots and commas:
        separator = max(".,", key=digits.rfind)
        if digits.count(separator) > 1:
            return None, 0.0
    elif dots + commas == 1:
        mark = "." if dots else ","
        before, _, after = digits.partition(mark)
        other = "," if mark == "." else "."
        if len(after) != 3 or not 1 <= len(before) <= 3 or before == "0" or whole:
            separator = mark
            if mark == "," and len(after) > 3 and currencies and currencies[0] not in _DECIMAL_COMMA:
                confidence = 0.75  # ¥1,2999 has lost a digit, or is grouped by ten thousands
        else:
            comma = bool(currencies) and currencies[0] in _DECIMAL_COMMA
            three = bool(currencies) and get_currency_precision(currencies[0]) == 3
            if mark == "." and (three or (bare and not comma)):
                separator, confidence = mark, 0.9
            else:
                separator, confidence = other, 0.95 if (comma if mark == "." else not comma) else 0.75
    elif dots + commas > 1:
        mark = "." if dots else ","
        head, *groups = digits.split(mark)
        if not head or not all(len(group) == 3 for group in groups[-1:]) or not all(2 <= len(g) <= 3 for g in groups):
            return None, 0.0
        separator = "," if mark == "." else "."
    return Price.fromstring(digits, decimal_separator=separator).amount, confidence


def resolve_currency(
    money: Money, column: str | None, beside: str, usual: frozenset[str] = frozenset()
) -> tuple[str | None, float]:
    """The currency of a price, as an ISO code or None, and how sure that is.

    column: the code in the record's currency column, which decides where the sign can mean it. usual: the codes in
    other records of its source, which decide where the sign can mean one of them alone. beside: a text of the record.
    ¥ with kana beside it is JPY; with cents, which the yen does not have, or with Chinese beside it, it is CNY. 元 is
    CNY beside a text in simplified characters. Else, and for $, the likeliest currency is only a suggestion. kr and Rs
    stay unknown.
    """
    if not money.currencies:
        return None, 0.0
    if column is not None and column in money.currencies:
        return column, 1.0
    if len(money.currencies) == 1:
        return money.currencies[0], 0.98
    possible = [code for code in money.currencies if code in usual]
    if len(possible) == 1:
        return possible[0], 0.95
    if money.currencies == _YUAN:
        if money.amount != money.amount.to_integral_value():
            return "CNY", 0.95
        if _KANA.search(beside):
            return "JPY", 0.92
        exponent = money.amount.as_tuple().exponent
        if _HAN.search(beside) or (isinstance(exponent, int) and exponent < 0):
            return "CNY", 0.92
    if money.currencies == _HAN_YUAN and _HAN.search(beside):
        simplified = fold(beside[:200]) == unicodedata.normalize("NFKC", beside[:200]).lower()
        return ("CNY", 0.92) if simplified else ("TWD", 0.6)
    if money.currencies[0] == "GBP":
        return "GBP", 0.95  # the other pounds are written with letters beside the sign
    return (money.currencies[0], 0.85) if money.certain else (None, 0.0)


@memoised(1_024, _MAX_LENGTH)
def currency_code(text: str) -> str | None:
    """The ISO code that a currency column means by a code, a sign or a name; None where that is not clear."""
    words, _, codes = _vocabulary()
    if text in codes:
        return text
    found = words.get(ordinary_characters(text).strip().lower())
    return found[0] if found is not None and len(found) == 1 else None
