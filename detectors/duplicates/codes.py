"""The model codes that a text names, and how names are spelled without what stands between their letters."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache

from detectors.duplicates.words import hash_name
from detectors.records import Facts, split_identity
from detectors.standardise.memoised import Known, memoised

__all__ = [
    "CODES",
    "codes_of",
    "codes_of_product",
    "compounds",
    "has_codes",
    "names_in",
    "names_of",
    "numbered_words",
    "squashed",
    "squeezed_code",
    "stems_of",
]

CODES = 4  # kept of one product

_STEM = re.compile(r"([a-z]+[0-9]{2,}|[0-9]{2,}[a-z]+[0-9]{2,})[a-z]{0,4}")
# A word that may have a digit: whatever stands before the first one is skipped without a look at each word of it.
_NUMBERED_WORD = re.compile(r"(?<![a-z0-9])(?=[a-z/._-]{0,64}[0-9])[a-z0-9]+(?:[-/._][a-z0-9]+)*")
_NO_CODE = re.compile(
    r"spf\d+(pa)?|(\d+(\.\d+)?(gb|g|kg|mb|tb|ml|l|oz|inch|in|ft|mm|cm|m|w|watt|hz|mhz|ghz|mp|pack|pk|v|x|k|rpm|mah|users?|pcs?|bit|[kmg]bp?s"
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
_SEPARATORS, _PIECES, _SLASHES = re.compile(r"[-/._]"), re.compile(r"[._]"), re.compile(r"[-/]")
_DIGIT, _LETTER = re.compile("[0-9]"), re.compile("[a-z]")
_DOTTED_NUMBER = re.compile(r"\d+(\.\d+)+")
_NO_ALNUM = bytes(i for i in range(256) if not (48 <= i <= 57 or 97 <= i <= 122))


def _has_digit(text: str) -> bool:
    return _DIGIT.search(text) is not None


def _has_letter(text: str) -> bool:
    return _LETTER.search(text) is not None


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


_WORDS = Known(_word)


def numbered_words(folded: str) -> list[str]:
    """The words of a folded text that have a digit, with what joins them: `ps-lx350h`."""
    return _NUMBERED_WORD.findall(folded)


def compounds(numbered: Iterable[str]) -> list[str]:
    """Words such as `ps-lx350h` without their separators: they join the sketch, so that both spellings meet.

    numbered: as in `numbered_words`.
    """
    return [joined for word in numbered if (joined := _WORDS[word][0])]


def has_codes(numbered: Iterable[str]) -> bool:
    """Whether one of these words, as in `numbered_words`, is a model code, as far as no brand or shop is called so."""
    return any(_WORDS[word][1] for word in numbered)


@memoised(1 << 13, 300)
def codes_of(text: str, mpn: str | None = None, names: frozenset[str] = frozenset()) -> tuple[str, ...]:
    """The model codes of a folded title, the manufacturer's part number first; at most four.

    A code mixes letters and digits (4-18 characters) or is a run of 5-14 digits; amounts with a unit are none, nor is
    the spelling of a brand. names: of brand and shop, as in `names_of`.
    """
    return _codes_among(numbered_words(text), mpn, names)


def codes_of_product(folded: str, facts: Facts, numbered: Sequence[str] | None = None) -> tuple[str, ...]:
    """The model codes of a product, as `codes_of` finds them. folded: its title, as `fold` leaves it.

    numbered: of the title, as in `numbered_words`, for who has them already.
    """
    numbered = numbered_words(folded) if numbered is None else numbered
    if not facts.mpn and not has_codes(numbered):
        return ()  # most titles: what brand and shop are called need not be known
    return _codes_among(numbered, facts.mpn, names_of(facts))


def _codes_among(numbered: Iterable[str], mpn: str | None, names: frozenset[str]) -> tuple[str, ...]:
    found: dict[str, None] = {}
    if part_number := squeezed_code(mpn):
        found[part_number] = None
    for word in numbered:
        for code in _WORDS[word][1]:
            if not any(_is_name(code, name) for name in names):
                found[code] = None
    return tuple(found)[:CODES]


def stems_of(codes: Sequence[str]) -> list[int]:
    """Of each code what is left without a colour or country at its end; 0 where that says too little."""
    stems = [match.group(1) if (match := _STEM.fullmatch(code)) else "" for code in codes]
    return [hash_name(stem) if len(stem) >= 4 else 0 for stem in stems]


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


def squashed(lowered: str) -> bytes:
    """The letters and digits of ASCII in a lowered text, without anything between them."""
    return lowered.encode("ascii", "ignore").translate(None, _NO_ALNUM)


@memoised(1 << 14, 100)
def _squeezed(text: str) -> str:
    return squashed(text.lower()).decode()


def squeezed_code(mpn: str | None) -> str:
    """A part number without its separators, "" for one that names no product: too short, too long, without a digit."""
    squeezed = _squeezed(mpn) if mpn else ""
    return squeezed if 4 <= len(squeezed) <= 20 and _has_digit(squeezed) else ""
