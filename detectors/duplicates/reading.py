"""What the decision reads of a product's texts: model codes, amounts, words. Read once, and kept as numbers.

Whoever publishes a product reads it. The entry carries what was read, so that no view has to read it again. That is of
use to the same program alone, and begins with its mark: see `EVIDENCE_MARK`.
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detectors.duplicates.codes import CODES, codes_of_product, compounds, numbered_words, squeezed_code, stems_of
from detectors.duplicates.grams import gram_counts
from detectors.duplicates.measures import UNIT, UNITS, amounts_written, measures, spelled_out
from detectors.duplicates.words import (
    GROUPS,
    NUMBERS,
    TOKENS,
    TitleWords,
    brand_word,
    hash_name,
    respelled,
    without_promotion,
    words_in,
    words_said,
)
from detectors.records import Facts

__all__ = ["MARK_BYTES", "Readings", "fits", "pack", "read", "unpack"]

MARK_BYTES = 8
_FIXED = np.dtype(
    [
        ("codes", "<u8", CODES),
        ("stems", "<u8", CODES),
        ("gtin", "<u8"),
        ("mpn", "<u8"),
        ("text", "<u8"),
        ("units", "<u4", UNITS),
        ("numbers", "<u4", NUMBERS),
        ("traits", "<u4", len(GROUPS)),
        ("brand", "<u4"),
        ("set", "?"),
        ("sizes", "<u4", 6),
    ]
)
_CHECKSUM = struct.Struct("<I")
_CHECKED = MARK_BYTES + _CHECKSUM.size
_HEAD_BYTES = _CHECKED + _FIXED.itemsize
_INSIDE = re.compile(r".{5,}|[a-z]+[0-9]{3,}")  # codes that count when they stand inside the other's text
_LETTERS = re.compile("[a-z]+")
# A set, or a refill, against a single piece. Free gifts are written otherwise.
_SET = re.compile("套装|礼盒|组合|套组|[件部]套|量贩|三部曲|三步曲|替换装")
_CJK = re.compile("[\u3400-\u9fff]+")
_ALNUM = re.compile(r"[^\W_]+")
_NO_SIGN = bytes(i for i in range(128) if not chr(i).isalnum())


@dataclass(frozen=True, slots=True)
class Readings:
    """What the texts of n products say.

    fixed: (n,) records of the hashes of the model codes and of what is left of each without its ending, of GTIN, part
    number and title; of amounts as in `measures`; of numbers and traits as in `TitleWords`; of the brand's first word;
    whether a Chinese title speaks of a set; and how many bytes each of the following has.
    tokens: (n, TOKENS) uint32 hashes of the title's words in their order, then zeros.
    names: the long codes, with spaces between. words: those of the tokens, with spaces between. said: of a mostly
    Chinese title the letters and digits, without what is on offer; grams: its grams, as int32, each once. Of other
    titles both are empty. sketched: what is sketched of the title and the brand.
    """

    fixed: NDArray[Any]
    tokens: NDArray[np.uint32]
    names: Sequence[bytes]
    words: Sequence[bytes]
    said: Sequence[bytes]
    grams: Sequence[bytes]
    sketched: Sequence[bytes]


def read(folded: Sequence[str], facts: Sequence[Facts]) -> Readings:
    """Read these products. folded: the titles as `fold` leaves them."""
    n = len(folded)
    fixed = np.zeros(n, _FIXED)
    chinese = [*map(_mostly_cjk, folded)]
    folded = [spelled_out(text, chinese=mostly) for text, mostly in zip(folded, chinese, strict=True)]
    # Found once here and handed on: to remember more than the last few titles costs more than to read them.
    numbered, written = [*map(numbered_words, folded)], [*map(amounts_written, folded)]
    words = [*map(words_in, folded)]
    codes = [*map(codes_of_product, folded, facts, numbered)]
    names = [" ".join(filter(_INSIDE.fullmatch, mine)).encode() if mine else b"" for mine in codes]
    every_code = [*chain.from_iterable(codes)]
    there = _filled(codes, CODES)
    hashes, stems, units = np.zeros((n, CODES), np.uint64), np.zeros((n, CODES), np.uint64), np.zeros((n, UNITS), "<u4")
    hashes[there], stems[there] = [*map(hash_name, every_code)], stems_of(every_code)
    amounts = [*map(measures, folded, written)]
    units[_filled(amounts, UNITS)] = [*chain.from_iterable(amounts)]
    fixed["codes"], fixed["stems"], fixed["units"] = hashes, stems, units
    fixed["gtin"] = [hash_name("gtin:" + fact.gtin.lstrip("0")) if fact.gtin else 0 for fact in facts]
    fixed["mpn"] = [hash_name(part) if (part := squeezed_code(fact.mpn)) else 0 for fact in facts]
    fixed["text"] = [hash_text(text) for text in folded]
    brands = [brand_word(fact.brand or "") for fact in facts]
    fixed["brand"] = [token for token, _ in brands]
    titles = [*map(words_said, folded, words)]
    fixed["traits"] = np.array([title.traits for title in titles], np.uint32).reshape(n, len(GROUPS))
    fixed["numbers"] = _numbers(titles, written)
    tokens = np.zeros((n, TOKENS), np.uint32)
    filled = _filled([title.tokens for title in titles], TOKENS)
    tokens[filled] = [token for title in titles for token in title.tokens]
    said, buckets, fixed["set"] = _chinese(folded, chinese)
    kept = [" ".join(title.words).encode() for title in titles]
    sketched = [
        _sketched(text, [*compounds(mine), *respelled(text, all_words)], brand)
        for text, mine, all_words, (_, brand) in zip(folded, numbered, words, brands, strict=True)
    ]
    whole = Readings(fixed, tokens, names, kept, said, buckets, sketched)
    fixed["sizes"][:, 0] = filled.sum(axis=1) * 4
    for column, parts in enumerate((names, kept, said, buckets, sketched), 1):
        fixed["sizes"][:, column] = [*map(len, parts)]
    return whole


def _filled(lists: Sequence[Sequence[object]], width: int) -> NDArray[np.bool_]:
    """(n, width) the places that lists take which are written into rows of this width."""
    lengths = np.fromiter(map(len, lists), np.intp, len(lists))
    return np.asarray(np.arange(width) < lengths[:, None])


def pack(readings: Readings, mark: bytes) -> list[bytes]:
    """Each product's reading, in bytes: mark, checksum, what is of fixed size, the rest. mark: `MARK_BYTES` long."""
    fixed, size = readings.fixed.tobytes(), _FIXED.itemsize
    tokens, width = readings.tokens.astype("<u4").tobytes(), 4 * TOKENS
    bodies = [
        b"".join((fixed[i * size : (i + 1) * size], tokens[i * width : i * width + count], *parts))
        for i, (count, *parts) in enumerate(
            zip(
                readings.fixed["sizes"][:, 0].tolist(),
                readings.names,
                readings.words,
                readings.said,
                readings.grams,
                readings.sketched,
                strict=True,
            )
        )
    ]
    return [b"".join((mark, _CHECKSUM.pack(zlib.crc32(body)), body)) for body in bodies]


def fits(packed: bytes, mark: bytes) -> bool:
    """Whether this is a reading that this program made, and whole."""
    if not packed.startswith(mark) or len(packed) < _HEAD_BYTES:
        return False
    (checksum,) = _CHECKSUM.unpack_from(packed, MARK_BYTES)
    return bool(zlib.crc32(memoryview(packed)[_CHECKED:]) == checksum)


def unpack(packed: Sequence[bytes]) -> Readings:
    """What `pack` gave, of readings that fit."""
    fixed = np.frombuffer(b"".join([one[_CHECKED:_HEAD_BYTES] for one in packed]), _FIXED)
    parts: tuple[list[bytes], ...] = ([], [], [], [], [], [])
    ends_of = (np.cumsum(fixed["sizes"], axis=1, dtype=np.intp) + _HEAD_BYTES).tolist()
    for one, ends in zip(packed, ends_of, strict=True):
        start = _HEAD_BYTES
        for part, end in zip(parts, ends, strict=True):
            part.append(one[start:end])
            start = end
    tokens = np.zeros((len(packed), TOKENS), np.uint32)
    there = 4 * np.arange(TOKENS) < fixed["sizes"][:, :1]
    tokens[there] = np.frombuffer(b"".join(parts[0]), "<u4")
    return Readings(fixed, tokens, *parts[1:])


def _sketched(folded: str, more: list[str], brand: str) -> bytes:
    """What is sketched of a folded title and its brand: the words; compounds once more without their separators, and
    words once more in the one spelling of all; and the brand's first word, for one shop begins with it the title that
    another leaves it out of. One line of text. more: those compounds and words.
    """
    if brand and brand not in folded:
        more.append(brand)
    text = f"{folded} {' '.join(more)}" if more else folded
    return text.replace("\n", " ").encode("utf-8", "replace")


def _numbers(titles: Sequence[TitleWords], written: Sequence[Iterable[tuple[str, str]]]) -> NDArray[np.uint32]:
    """(n, NUMBERS) the versions and years that titles name, without what is an amount."""
    numbers = np.zeros((len(titles), NUMBERS), np.uint32)
    for i, (title, mine) in enumerate(zip(titles, written, strict=True)):
        if title.numbers:
            amounts = {value for value, unit in mine if unit in UNIT}
            named = tuple(dict.fromkeys(n for raw, n in title.numbers.items() if raw not in amounts))[:NUMBERS]
            numbers[i, : len(named)] = named
    return numbers


def _chinese(folded: Sequence[str], chinese: Sequence[bool]) -> tuple[list[bytes], list[bytes], NDArray[np.bool_]]:
    """What mostly Chinese titles say, their grams, and whether they speak of a set."""
    said, buckets, is_set = [b""] * len(folded), [b""] * len(folded), np.zeros(len(folded), bool)
    texts = {i: without_promotion(text) for i, text in enumerate(folded) if chinese[i]}
    if texts:
        counts = gram_counts(list(texts.values()))
        ends = np.searchsorted(counts.row, np.arange(1, len(texts)))
        for (i, text), mine in zip(texts.items(), np.split(counts.bucket.astype("<i4"), ends), strict=True):
            buckets[i] = mine.tobytes()
            said[i] = "".join(_ALNUM.findall(text)).encode("utf-8", "replace")
            is_set[i] = _SET.search(text) is not None
    return said, buckets, is_set


def hash_text(folded: str) -> int:
    """A title's hash without signs and spaces; 0 for a title without a letter or digit."""
    if folded.isascii():
        squeezed = folded.encode().translate(None, _NO_SIGN).decode()
    else:
        squeezed = "".join(_ALNUM.findall(folded))
    return hash_name(squeezed) if squeezed else 0


def _mostly_cjk(folded: str) -> bool:
    if folded.isascii():
        return False
    return 2 * sum(map(len, _CJK.findall(folded))) >= sum(map(len, _LETTERS.findall(folded)))
