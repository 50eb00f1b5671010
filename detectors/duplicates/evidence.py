"""What the decision needs to know of products, kept in arrays, one row a product.

Model codes, amounts with their units, the price and the text without separators, as they were read (see `reading`). A
batch's products are compared with all their candidates at once.
"""

from __future__ import annotations

import hashlib
import math
import sys
import unicodedata
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from functools import lru_cache
from importlib.metadata import version
from itertools import islice
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from detectors.duplicates.codes import CODES, codes_of, squashed, squeezed_code
from detectors.duplicates.grams import grams
from detectors.duplicates.inside import Searched, packed_body
from detectors.duplicates.kernels import names_compared, pairs_compared, words_compared
from detectors.duplicates.measures import PACK_KIND, UNITS, measures
from detectors.duplicates.reading import MARK_BYTES, Readings, read
from detectors.duplicates.room import grown
from detectors.duplicates.spread import Spread
from detectors.duplicates.texts import Gathered, MemoryTexts, Texts, join_texts, recalled, split_texts
from detectors.duplicates.words import GROUPS, NUMBERS, TOKENS, WORD_MASK, hash_name, title_words
from detectors.money import RATES, number
from detectors.records import Facts, split_identity
from detectors.standardise.chinese import fold

__all__ = ["EVIDENCE_MARK", "Comparison", "EvidenceRows"]

_DESCRIPTION_CHARS = 400  # that are searched for the other's codes and words
_RARE = 8  # a code or GTIN that more products share names no product
_LOOKED_AT = 64
_OWN, _OWN_SHARE = 12.0, 0.2  # what the other title does not say: in units of ln(products / products that say it)
_WORD_CHARS = 3
_TITLES, _TITLES_A_SOURCE = 5, 2  # a code on more different titles than both allow is a word

_FOREIGN_SLACK = 0.2  # of |ln price ratio| between two currencies: rates move, and countries differ

_COLUMNS = 3
_READ = ("codes", "stems", "units", "gtin", "mpn", "text", "numbers", "traits", "brand", "set")  # of `Readings.fixed`
_ARRAYS = (*map("_{}".format, _READ), "_tokens", "_kinds", "_price", "_rate", "_currency", "_chinese")
_REMEMBERED = 16_384  # of what is read from the store of texts, in each column
_NO_GRAMS = np.zeros(0, np.intp)

_U = np.uint64
T = TypeVar("T")


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
    searched: what all of these products are searched by.
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
    searched: Searched


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

    def __init__(self, texts: Gathered, number: int, unpack: Callable[[bytes], T], nothing: T) -> None:
        self._texts, self._number, self._unpack, self._nothing = texts, number, unpack, nothing
        self._read: dict[int, T] = {}

    def of(self, rows: Collection[int]) -> list[T]:
        """What these rows have."""
        return recalled(self._read, rows, _REMEMBERED, self._kept)

    def _kept(self, rows: Sequence[int]) -> list[T]:
        bodies = self._texts.get([row * _COLUMNS + self._number for row in rows])
        return [self._unpack(body) if body else self._nothing for body in bodies]

    def put(self, rows: Sequence[int], bodies: Sequence[bytes]) -> None:
        """What these rows have from now on."""
        if self._read:
            for row in rows:
                self._read.pop(row, None)
        self._texts.put([row * _COLUMNS + self._number for row in rows], bodies)

    def drop(self, rows: Sequence[int]) -> None:
        """Forget these rows."""
        for row in rows:
            self._read.pop(row, None)
        self._texts.drop([row * _COLUMNS + self._number for row in rows])


class EvidenceRows:
    """Evidence of products by row number. texts: where what is of no fixed size is kept; in memory unless said."""

    def __init__(self, texts: Texts | None = None) -> None:
        self._texts = Gathered(MemoryTexts() if texts is None else texts)
        self._n = 0
        self._codes = np.zeros((0, CODES), _U)
        self._units = np.zeros((0, UNITS), np.uint32)
        self._kinds = np.zeros(0, np.uint32)
        self._gtin = np.zeros(0, _U)
        self._mpn = np.zeros(0, _U)
        self._text = np.zeros(0, _U)
        self._price = np.zeros(0)  # logarithms
        self._rate = np.zeros(0)  # logarithms, NaN for a currency without a rate
        self._currency = np.zeros(0, _U)
        # Behind what is sketched, of a mostly Chinese title: its letters and digits, and its grams, without what is on
        # offer.
        self._said = _Column(self._texts, 1, lambda b: b.partition(b"\n")[2].decode(), "")
        self._grams = _Column(self._texts, 2, lambda b: np.frombuffer(b, "<i4").astype(np.intp), _NO_GRAMS)
        self._part: list[str] = []  # the part number
        self._shop: list[str] = []
        self._set = np.zeros(0, bool)
        self._stems = np.zeros((0, CODES), _U)
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
        self,
        rows: Sequence[int],
        folded: Sequence[str],
        facts: Sequence[Facts],
        prices: Sequence[float | None],
        readings: Readings | None = None,
    ) -> None:
        """Keep what these products say in these rows. folded: the titles as `fold` leaves them. readings: of these
        products; without them they are read now.
        """
        if not rows:
            return
        said = read(folded, facts) if readings is None else readings
        self._room(max(rows) + 1)
        index = np.asarray(rows)
        self._forget_keys(rows, index)
        searched: list[bytes] = []
        for row, text, fact in zip(rows, folded, facts, strict=True):
            self._shop[row] = sys.intern(split_identity(fact.identity)[0])
            part_number = self._part[row] = squeezed_code(fact.mpn)
            searched.append(squashed(f"{text} {part_number} {fact.description[:_DESCRIPTION_CHARS].lower()}"))
        for name in _READ:
            getattr(self, f"_{name}")[index] = said.fixed[name]
        self._note_keys(rows, index)
        self._tokens[index] = said.tokens
        self._texts.put([row * _COLUMNS for row in rows], map(packed_body, said.names, said.words, searched))
        self._grams.put(rows, said.grams)
        self._said.put(rows, [*map(b"\n".join, zip(said.sketched, said.said, strict=True))])
        self._texts.flush()
        self._chinese[index] = [len(mine) > 0 for mine in said.grams]
        amounts = self._units[index]
        kinds = np.where(amounts != 0, np.uint32(1) << (amounts & np.uint32(31)), np.uint32(0))
        self._kinds[index] = np.bitwise_or.reduce(kinds, axis=1)
        self._currency[index] = np.array([_currency(fact.currency) if fact.currency else 0 for fact in facts], _U)
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
        for row, fact in zip(rows, facts, strict=True):
            self._part[row] = squeezed_code(fact.mpn)
            self._shop[row] = sys.intern(split_identity(fact.identity)[0])
        self._note_keys(rows, index)

    def other_products(
        self,
        rows: NDArray[np.intp],
        others: NDArray[np.intp],
        contradicted: NDArray[np.bool_],
        weights: NDArray[np.uint8],
        epoch: NDArray[np.intp],
    ) -> NDArray[np.bool_]:
        """(p,) whether the mostly Chinese titles of rows (p,) and others (p,), which have no code in common, may be of
        two products; False where one of the two is not Chinese.

        Shops fill the title with what holds for all their products, so a likeness says little there. Two titles of one
        product leave next to nothing that only one of them says: at most what two or three rare pairs of characters
        weigh. That one adds to the other, is no difference; that one word stands in the place of another, is.
        contradicted: (p,) where amounts or prices say it already. weights: (epochs, buckets). epoch: (p,) which holds.
        """
        chinese = self._chinese[rows] & self._chinese[others]
        apart = chinese & (contradicted | (self._set[rows] != self._set[others]))
        pairs = np.flatnonzero(chinese & ~apart)
        a, b = rows[pairs].tolist(), others[pairs].tolist()
        apart[pairs] = [
            _other_product(*grams, *said, weights[which])
            for grams, said, which in zip(
                zip(self._grams.of(a), self._grams.of(b), strict=True),
                zip(self._said.of(a), self._said.of(b), strict=True),
                epoch[pairs].tolist(),
                strict=True,
            )
        ]
        return np.asarray(apart)

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

    def sketched(self, rows: Sequence[int]) -> list[str]:
        """What is sketched of the products of these rows."""
        kept = self._texts.get([row * _COLUMNS + 1 for row in rows])
        return [body.partition(b"\n")[0].decode() for body in kept]

    def searched(self, rows: NDArray[np.intp]) -> Searched:
        """What these rows are searched by; of a row that is named more often once."""
        rows = np.unique(rows)
        return Searched(rows, self._texts.get((rows * _COLUMNS).tolist()))

    def said_of_both(
        self,
        rows: NDArray[np.intp],
        others: NDArray[np.intp],
        weights: NDArray[np.uint8],
        epoch: NDArray[np.intp],
        searched: Searched,
    ) -> WordsCompared:
        """The words of rows (p,) and others (p,). weights: (epochs, buckets). epoch: (p,) which of them holds.
        searched: of all of these rows.
        """
        sums, exchanged = words_compared(
            rows, others, searched.places(rows), searched.places(others), self._tokens, weights, epoch, WORD_MASK,
            searched.bytes, searched.texts, searched.first_word, searched.word_at, searched.filters,
        )  # fmt: skip
        shared, own_a, own_b, rarest_a, rarest_b = sums.T
        return WordsCompared(shared, own_a, own_b, rarest_a, rarest_b, exchanged)

    def names_of_both(self, rows: NDArray[np.intp], others: NDArray[np.intp]) -> NDArray[np.int8]:
        """What the numbers, names and brands of rows (p,) and others (p,) say, as `names_compared` gives it."""
        return names_compared(rows, others, self._numbers, self._traits, self._brand, self._tokens)

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

    def shared_of(self, rows: NDArray[np.intp], others: NDArray[np.intp]) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
        """(p,) each: the place of the first model code of rows (p,) that others (p,) have too, -1 for none; whether
        they may share an amount.
        """
        (a, b), (u, v) = ((x[rows][:, :, None], x[others][:, None]) for x in (self._codes, self._units))
        cut = (self._units[rows, -1] != 0) | (self._units[others, -1] != 0)  # there may be more than are kept
        codes, amounts = (((x == y) & (x != 0)).any(axis=2) for x, y in ((a, b), (u, v)))
        return np.where(codes.any(axis=1), codes.argmax(axis=1), -1), amounts.any(axis=1) | cut

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
        self._texts.drop([row * _COLUMNS for row in rows])
        for column in (self._said, self._grams):
            column.drop(rows)

    def _forget_keys(self, rows: Sequence[int], index: NDArray[np.intp]) -> None:
        """Nobody finds these rows by their codes and GTIN any more. index: the same rows."""
        for key, place in self._keys_of(index):
            self._forget(key, rows[place])

    def _note_keys(self, rows: Sequence[int], index: NDArray[np.intp]) -> None:
        """These rows are found by their codes and GTIN from now on. index: the same rows."""
        for key, place in self._keys_of(index):
            self._note(key, rows[place])

    def _keys_of(self, index: NDArray[np.intp]) -> Iterable[tuple[int, int]]:
        """The codes and GTINs of rows, each with the place of its row."""
        keys = np.column_stack((self._codes[index], self._gtin[index]))
        return zip(keys[keys != 0].tolist(), np.nonzero(keys)[0].tolist(), strict=True)

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
        return np.asarray((self._codes[rows, 0] != 0) | (self._gtin[rows] != 0))

    def sharing(self, rows: NDArray[np.intp]) -> list[dict[int, int]]:
        """Of each of these rows those that share a code or the GTIN with it, where few do; not itself.

        With each, how many rows have the rarest of what both share.
        """
        shared: list[dict[int, int]] = [{} for _ in range(len(rows))]
        for key, place in self._keys_of(rows):
            others = self._crowd(key)
            common = len(others)
            if 1 < common <= 4 * _RARE:
                found = shared[place]
                for other in others:
                    if common < found.get(other, common + 1):
                        found[other] = common
        for row, found in zip(rows.tolist(), shared, strict=True):
            found.pop(row, None)
        return shared

    def prices_apart(self, rows: NDArray[np.intp], others: NDArray[np.intp]) -> NDArray[np.float32]:
        """|ln price ratio| of rows and others of the same shape, as in `Comparison`."""
        ca, cb = self._currency[rows], self._currency[others]
        foreign = (ca != cb) & (ca != 0) & (cb != 0)
        ratio = self._price[rows] - self._price[others]
        exchanged = ratio - (self._rate[rows] - self._rate[others])
        apart = np.where(foreign, np.abs(exchanged) - _FOREIGN_SLACK, np.abs(ratio))
        # rounded: a logarithm's last bit is not the same on every machine
        price: NDArray[np.float32] = np.round(np.maximum(np.nan_to_num(apart), 0), 5).astype(np.float32)
        return price

    def _words_among(self, rows: NDArray[np.intp], codes: NDArray[np.uint64]) -> set[int]:
        """Hashes of the codes of these rows that are words and no part number."""
        found: set[int] = set()
        for row, line in zip(rows.tolist(), codes.tolist(), strict=True):
            part = self._part[row]
            for key in line:
                if not key:
                    break
                crowd = self._crowd(key)
                if len(crowd) > _TITLES and not (part and key == hash_name(part)) and self._is_word(key, row):
                    found.add(key)
        return found

    def compare(self, rows: NDArray[np.intp], candidates: NDArray[np.intp]) -> Comparison:
        """rows (b,) against candidates (b, k), -1 for none, of which all is 0 or False."""
        there = np.nonzero(candidates >= 0)
        mine, theirs = rows[there[0]], candidates[there]
        words = self._words_among(rows, self._codes[rows])
        searched = self.searched(np.concatenate((rows, theirs)))
        is_word = np.zeros(len(searched.code_at), bool)
        if words:
            is_word[:] = [hash_name(name.decode()) in words for name in searched.codes()]
        flags, (mpn, gtin, units) = pairs_compared(
            mine, theirs, searched.places(mine), searched.places(theirs), self._codes, self._stems, self._mpn,
            self._gtin, self._text, self._kinds, self._units, 1 << PACK_KIND, np.array(sorted(words), _U),
            searched.bytes, searched.texts, searched.first_code, searched.code_at, is_word, searched.filters,
        )  # fmt: skip
        inside, conflict, equal, left, stem, same_text = flags

        def grid(values: NDArray[Any], dtype: type = np.bool_) -> NDArray[Any]:
            filled: NDArray[Any] = np.zeros(candidates.shape, dtype)
            filled[there] = values
            return filled

        return Comparison(
            code_in=grid(inside),
            code_conflict=grid(conflict),
            code_equal=grid(equal),
            code_left=grid(left),
            code_stem=grid(stem),
            mpn=grid(mpn, np.int8),
            units=grid(units, np.float32),
            price=grid(self.prices_apart(mine, theirs), np.float32),
            gtin=grid(gtin, np.int8),
            same_text=grid(same_text),
            searched=searched,
        )


def _mark() -> bytes:
    about = f"{version('opencc')} {unicodedata.unidata_version} {RATES}"
    digest = hashlib.blake2b(about.encode(), digest_size=MARK_BYTES)
    for part in (_mark, read, codes_of, measures, title_words, fold, grams, packed_body, number, split_identity):
        digest.update(Path(str(sys.modules[part.__module__].__file__)).read_bytes())
    return digest.digest()


EVIDENCE_MARK = _mark()  # now: later the program's files may be those of another release
"""A mark of this program's way to read a product: what was read by one with another mark is read anew."""


@lru_cache(maxsize=1024)
def _currency(code: str) -> int:
    return hash_name(code)


def _other_product(
    grams: NDArray[np.intp], other_grams: NDArray[np.intp], said: str, other_said: str, weights: NDArray[np.uint8]
) -> bool:
    both = np.isin(grams, other_grams, assume_unique=True)
    common, own = _weight(grams[both], weights), _weight(grams[~both], weights)
    least = min(own, _weight(other_grams, weights) - common)
    return least > min(_OWN, _OWN_SHARE * common) or _exchanged(said, other_said)


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
