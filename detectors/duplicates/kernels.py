"""The innermost loops of searching and comparing, compiled by Numba when this is first imported on a machine.

numpy does one thing to all pairs of a batch and then the next, and most of the time of a lookup went into what lies
between. These do all there is to do for one pair and then take the next. The interpreter's lock is free meanwhile.

What was compiled is kept where `NUMBA_CACHE_DIR` says, or else beside this file, or else in `~/.cache/numba`, in a
folder that is named by this file, by Numba's version and by the processor. Numba alone would run what it kept of
another version of a function where it was killed while it kept a new one.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, TypeVar, cast

import numpy as np
from llvmlite.binding import get_host_cpu_features, get_host_cpu_name
from numba import __version__ as numba_version
from numba import config as numba_config
from numba import njit, types
from numpy.typing import NDArray

__all__ = [
    "RUN",
    "add_products",
    "count",
    "looked_through",
    "names_compared",
    "nearest",
    "pairs_compared",
    "stands_inside",
    "summed",
    "words_compared",
]

F = TypeVar("F", bound=Callable[..., Any])

_config: Any = numba_config  # its names come from the environment


def _folder() -> Path | None:
    """Where what was compiled is kept; None where nothing can be written."""
    here = Path(__file__)
    digest = hashlib.blake2b(here.read_bytes(), digest_size=8)
    digest.update(f"{numba_version} {get_host_cpu_name()} {get_host_cpu_features().flatten()}".encode())
    for base in (_config.CACHE_DIR, here.with_name("__pycache__"), "~/.cache/numba"):
        if not base:
            continue
        try:
            folder = Path(base).expanduser() / f"{here.stem}-{digest.hexdigest()}"
            folder.mkdir(parents=True, exist_ok=True)
            tempfile.TemporaryFile(dir=folder).close()
        except (OSError, RuntimeError):  # the latter where there is no home
            continue
        return folder
    return None


_KEPT = _folder()

RUN = 4  # bytes; words that are shorter are found nowhere
_BITS = 10  # of a filter: 1,024 places a text, of which one of 400 bytes takes a third
_FILTER_WORDS = (1 << _BITS) // 32
_FACTOR = np.uint32(2_654_435_769)
_SPACE = ord(" ")
_LINE = 64  # bytes that a processor fetches at once
_HEAD = 8  # bytes of `packed_body` before the codes
_NONE = np.float32(-1e9)
_HAN, _HAN_BEGINS = 3, 0xE3  # bytes of a Chinese character, and the least that the first of them can be
_EXCHANGED_SHARE = 1 / 3  # of the words that both titles have


def _array(dtype: Any, dimensions: int, layout: Literal["C", "A"] = "C") -> Any:
    """An array that is only read."""
    return types.Array(dtype, dimensions, layout, readonly=True)


_BYTES, _ROWS, _ROWS_2D = _array(types.uint8, 1), _array(types.intp, 1, "A"), _array(types.intp, 2)
_I64, _I64_2D, _F32, _BOOL = _array(types.int64, 1), _array(types.int64, 2), _array(types.float32, 1, "A"), types.bool_
_U64, _U64_2D, _U32, _U32_2D = (
    _array(types.uint64, 1),
    _array(types.uint64, 2),
    _array(types.uint32, 1),
    _array(types.uint32, 2),
)
_I8_2D = _array(types.int8, 2)


def _compiled(*signature: Any, any_order: bool = False) -> Callable[[F], F]:
    """Compile a function for arguments of these types, or take it from where it was kept. It raises IndexError as
    numpy does. any_order: sums may be added up in any order; who calls it sees to it that the arrays are long enough.
    """

    def decorate(function: F) -> F:
        def made(*, cache: bool) -> Any:
            fast = {"reassoc", "nsz"} if any_order else False
            return njit(
                signature, cache=cache, nogil=True, error_model="numpy", fastmath=fast, boundscheck=not any_order
            )(function)

        if _KEPT is None:
            return cast(F, made(cache=False))
        elsewhere, _config.CACHE_DIR = _config.CACHE_DIR, str(_KEPT)
        try:
            return cast(F, made(cache=True))
        except Exception:  # what is there is damaged, or there is no room
            for file in _KEPT.rglob(f"*.{function.__name__}-*"):
                file.unlink(missing_ok=True)
            return cast(F, made(cache=False))
        finally:
            _config.CACHE_DIR = elsewhere

    return decorate


# -- searching


@_compiled(_array(types.int8, 1), _array(types.float32, 1), any_order=True)
def _product(value: NDArray[np.int8], query: NDArray[np.float32]) -> np.float32:
    total = np.float32(0)
    for d in range(len(query)):
        total += np.float32(value[d]) * query[d]
    return total


@_compiled(_I8_2D, _F32, _array(types.float32, 2), _F32, _ROWS_2D, types.float32[:, ::1])
def add_products(
    values: NDArray[np.int8],
    weights: NDArray[np.float32],
    queries: NDArray[np.float32],
    query_weights: NDArray[np.float32],
    rows: NDArray[np.intp],
    out: NDArray[np.float32],
) -> int:
    """Add to out (b, m) the inner products of queries (b, dim) with rows (b, m) of values (n, dim), times the weights
    of both; -1e9 where there is no row. Sums of whole numbers below 2**24: the same bits in whatever order.

    Most of the time goes into fetching rows from memory: so they are all asked for before the first is needed. What is
    returned means nothing, but nobody leaves the asking out for it.
    """
    asked, n = 0, len(weights)
    for i in range(rows.shape[0]):
        for j in range(rows.shape[1]):
            row = rows[i, j]
            if 0 <= row < n:
                for d in range(0, values.shape[1], _LINE):
                    asked += values[row, d]
        query = queries[i]
        for j in range(rows.shape[1]):
            row = rows[i, j]
            if not 0 <= row < n:
                out[i, j] = _NONE
            else:
                out[i, j] += _product(values[row], query) * (query_weights[i] * weights[row])
    return asked


@_compiled(
    _ROWS_2D, _array(types.float32, 2), _ROWS, _I64, _I64, _array(types.int32, 1), _BOOL, _I64, _I64,
    types.intp[:, ::1], types.float32[:, ::1],
)  # fmt: skip
def nearest(
    columns: NDArray[np.intp],
    scores: NDArray[np.float32],
    rows: NDArray[np.intp],
    limit: NDArray[np.int64],
    visible: NDArray[np.int64],
    source: NDArray[np.int32],
    others_only: bool,
    first_seen: NDArray[np.int64],
    digest: NDArray[np.int64],
    found: NDArray[np.intp],
    found_scores: NDArray[np.float32],
) -> None:
    """Into found (b, k) and found_scores the best of columns (b, m), or (1, m) of all lines the same, by their scores
    (b, m), best first, each once; of equal ones the one first seen. Left as they are where there are fewer.

    Left out are the row itself, -1, what is visible only from its limit on, and with `others_only` what is of its
    source.
    """
    k, rows_there = found.shape[1], len(visible)
    for i in range(scores.shape[0]):
        n = 0
        row = rows[i]
        line = columns[i if columns.shape[0] > 1 else 0]
        for j in range(scores.shape[1]):
            column, score = line[j], scores[i, j]
            if n == k and score < found_scores[i, k - 1]:
                continue
            if not 0 <= column < rows_there or column == row or visible[column] >= limit[i]:
                continue
            if score <= _NONE or (others_only and source[column] == source[row]):
                continue
            place = n
            known = False
            while place > 0:
                before = found[i, place - 1]
                if before == column:
                    known = True
                    break
                other = found_scores[i, place - 1]
                if other > score:
                    break
                if other == score:
                    if first_seen[before] < first_seen[column]:
                        break
                    if first_seen[before] == first_seen[column] and digest[before] <= digest[column]:
                        break
                place -= 1
            if known or place >= k:
                continue
            last = min(n, k - 1)
            for to in range(last, place, -1):
                found[i, to], found_scores[i, to] = found[i, to - 1], found_scores[i, to - 1]
            found[i, place], found_scores[i, place] = column, score
            n = last + 1


@_compiled(
    _ROWS, _ROWS, _ROWS, _array(types.uint8, 1), _I64, _array(types.uint16, 1), _array(types.int8, 1), types.intp,
    types.intp,
)  # fmt: skip
def summed(
    bucket: NDArray[np.intp],
    row: NDArray[np.intp],
    times: NDArray[np.intp],
    weights: NDArray[np.uint8],
    of_times: NDArray[np.int64],
    column: NDArray[np.uint16],
    sign: NDArray[np.int8],
    n: int,
    dim: int,
) -> NDArray[np.float64]:
    """(n, dim) whole numbers: of grams (m,) the weight of each, by its bucket and how often it stands there, with the
    bucket's sign, in its row and the bucket's column.
    """
    sums = np.zeros((n, dim), np.float64)
    most = len(of_times) - 1
    for i in range(len(bucket)):
        place = bucket[i]
        weight = np.int64(weights[place]) * of_times[min(times[i], most)]
        sums[row[i], column[place]] += np.float64(weight * sign[place])
    return sums


@_compiled(_ROWS, types.int32[::1])
def count(places: NDArray[np.intp], counts: NDArray[np.int32]) -> None:
    """Add one to counts (n,) at each of these places (m,), which may repeat."""
    for place in places:
        counts[place] += 1


# -- words inside texts


@_compiled(_BYTES, types.int64)
def _four(joined: NDArray[np.uint8], begin: int) -> np.uint32:
    """Four bytes as a number, the first of them the lowest."""
    number = np.uint32(0)
    for b in range(RUN):
        number |= np.uint32(joined[begin + b]) << np.uint32(8 * b)
    return number


@_compiled(types.uint32)
def _place_of(run: np.uint32) -> np.uint32:
    """The place of a run of four bytes in a filter."""
    return np.uint32(np.uint32(run * _FACTOR) >> np.uint32(32 - _BITS))


@_compiled(_BYTES, _I64)
def looked_through(
    joined: NDArray[np.uint8], sizes: NDArray[np.int64]
) -> tuple[
    NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], NDArray[np.uint32]
]:
    """Of bodies as `packed_body` gives them, joined, and their sizes: (n, 2) where the texts begin and end; (n + 1,)
    the number of each one's first code, and (m, 2) where codes begin and end; the same of the words; (n, 32)
    a filter of the runs of four bytes in each text.
    """
    n = len(sizes)
    texts, words_from = np.empty((n, 2), np.int64), np.empty(n, np.int64)
    first_code, first_word = np.zeros(n + 1, np.int64), np.zeros(n + 1, np.int64)
    filters = np.zeros((n, _FILTER_WORDS), np.uint32)
    begin = 0
    for i in range(n):
        codes = np.int64(_four(joined, begin))
        words_from[i] = begin + _HEAD + codes
        texts[i, 0], texts[i, 1] = words_from[i] + np.int64(_four(joined, begin + 4)), begin + sizes[i]
        number = 1 if codes else 0
        for place in range(begin + _HEAD, words_from[i]):
            number += joined[place] == _SPACE
        first_code[i + 1] = first_code[i] + number
        number = 0
        for place in range(words_from[i], texts[i, 0]):
            number += joined[place] == _SPACE
        first_word[i + 1] = first_word[i] + number
        begin = texts[i, 1]
    code_at, word_at = np.empty((first_code[n], 2), np.int64), np.empty((first_word[n], 2), np.int64)
    begin = 0
    for i in range(n):
        code, word = first_code[i], first_word[i]
        start = begin + _HEAD
        if code < first_code[i + 1]:
            for place in range(start, words_from[i] + 1):
                if place == words_from[i] or joined[place] == _SPACE:
                    code_at[code, 0], code_at[code, 1] = start, place
                    code += 1
                    start = place + 1
        start = words_from[i]
        for place in range(start, texts[i, 0]):
            if joined[place] == _SPACE:
                word_at[word, 0], word_at[word, 1] = start, place
                word += 1
                start = place + 1
        run = np.uint32(0)  # the last four bytes, as `_four` reads them
        for place in range(texts[i, 0], texts[i, 1]):
            run = (run >> np.uint32(8)) | (np.uint32(joined[place]) << np.uint32(24))
            if place - texts[i, 0] >= RUN - 1:
                bit = _place_of(run)
                filters[i, bit >> np.uint32(5)] |= np.uint32(1) << (bit & np.uint32(31))
        begin = texts[i, 1]
    return texts, first_code, code_at, first_word, word_at, filters


@_compiled(_BYTES, types.int64, types.int64, types.int64, types.int64, _U32)
def stands_inside(
    joined: NDArray[np.uint8], start: int, end: int, text_start: int, text_end: int, runs: NDArray[np.uint32]
) -> bool:
    """Whether the bytes from start to end stand between text_start and text_end, of which runs is the filter."""
    size = end - start
    if size > text_end - text_start:
        return False
    if size >= RUN:
        for begin in (start, end - RUN, start + (size - RUN) // 2):
            bit = _place_of(_four(joined, begin))
            if not (runs[bit >> np.uint32(5)] >> (bit & np.uint32(31))) & np.uint32(1):
                return False
    for place in range(text_start, text_end - size + 1):
        same = 0
        while same < size and joined[place + same] == joined[start + same]:
            same += 1
        if same == size:
            return True
    return False


@_compiled(_BYTES, types.int64, types.int64, types.int64, _I64_2D)
def _stands_in_words(joined: NDArray[np.uint8], begin: int, first: int, end: int, word_at: NDArray[np.int64]) -> bool:
    """Whether the Chinese character that begins there stands in one of the words from first to end."""
    for word in range(first, end):
        at, last = word_at[word, 0], word_at[word, 1]
        while at < last and joined[at] >= _HAN_BEGINS:
            if (
                joined[at] == joined[begin]
                and joined[at + 1] == joined[begin + 1]
                and joined[at + 2] == joined[begin + 2]
            ):
                return True
            at += _HAN
    return False


@_compiled(_BYTES, _array(types.bool_, 1), types.int64, _I64, _I64_2D, types.int64, types.int64)
def _some_is_new(
    joined: NDArray[np.uint8],
    held: NDArray[np.bool_],
    size: int,
    first_word: NDArray[np.int64],
    word_at: NDArray[np.int64],
    mine: int,
    theirs: int,
) -> bool:
    """Whether a word of mine that is held, of `size` words, says what theirs do not. Chinese characters that all stand
    among theirs too only stand in another order, or otherwise beside each other.
    """
    first, end = first_word[theirs], first_word[theirs + 1]
    for x in range(size):
        if not held[x]:
            continue
        word = first_word[mine] + x
        if word >= first_word[mine + 1]:
            return True
        start, stop = word_at[word, 0], word_at[word, 1]
        if joined[start] < _HAN_BEGINS or (stop - start) % _HAN != 0:
            return True
        for begin in range(start, stop, _HAN):
            if not _stands_in_words(joined, begin, first, end, word_at):
                return True
    return False


@_compiled(
    _ROWS, _ROWS, _ROWS, _ROWS, _U32_2D, _array(types.uint8, 2), _ROWS, types.uint32,
    _BYTES, _I64_2D, _I64, _I64_2D, _U32_2D,
)  # fmt: skip
def words_compared(
    rows: NDArray[np.intp],
    others: NDArray[np.intp],
    place: NDArray[np.intp],
    other_place: NDArray[np.intp],
    tokens: NDArray[np.uint32],
    weights: NDArray[np.uint8],
    epoch: NDArray[np.intp],
    mask: int,
    joined: NDArray[np.uint8],
    texts: NDArray[np.int64],
    first_word: NDArray[np.int64],
    word_at: NDArray[np.int64],
    filters: NDArray[np.uint32],
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Of pairs (p,): (p, 5) weights of the words that both say, that only the one and only the other says, and of the
    rarest of those of the one and of the other; (p,) whether the titles are the same but for few words.

    place, other_place: of them in what `looked_through` gave. mask: of a token, for its place in weights[epoch].
    """
    p, width = len(rows), tokens.shape[1]
    sums, exchanged = np.zeros((p, 5), np.int64), np.zeros(p, np.bool_)
    own, other_own = np.empty(width, np.bool_), np.empty(width, np.bool_)
    for i in range(p):
        a, b = tokens[rows[i]], tokens[others[i]]
        weight = weights[epoch[i]]
        size = other_size = 0
        while size < width and a[size] != 0:
            own[size] = True
            size += 1
        while other_size < width and b[other_size] != 0:
            other_own[other_size] = True
            other_size += 1
        for x in range(size):
            for y in range(other_size):
                if a[x] == b[y]:
                    own[x] = other_own[y] = False
        shared = only = other_only = rarest = other_rarest = np.int64(0)
        count = other_count = 0
        for side in range(2):
            mine, theirs = (place[i], other_place[i]) if side == 0 else (other_place[i], place[i])
            held = own if side == 0 else other_own
            words = a if side == 0 else b
            first, n = first_word[mine], first_word[mine + 1] - first_word[mine]
            rest = most = np.int64(0)
            number = 0
            for x in range(size if side == 0 else other_size):
                one = np.int64(weight[words[x] & mask])
                if held[x] and x < n:
                    start, end = word_at[first + x, 0], word_at[first + x, 1]
                    # Texts are of ASCII. What stands inside the other's text is said there after all.
                    held[x] = (
                        end - start < RUN
                        or joined[start] >= 128
                        or not stands_inside(joined, start, end, texts[theirs, 0], texts[theirs, 1], filters[theirs])
                    )
                if held[x]:
                    rest += one
                    most = max(most, one)
                    number += 1
                elif side == 0:
                    shared += one
            if side == 0:
                only, rarest, count = rest, most, number
            else:
                other_only, other_rarest, other_count = rest, most, number
        least = min(size - count, other_size - other_count)
        few = max(1.0, least * _EXCHANGED_SHARE)
        sums[i, 0], sums[i, 1], sums[i, 2], sums[i, 3], sums[i, 4] = shared, only, other_only, rarest, other_rarest
        exchanged[i] = (count > 0 and other_count > 0 and count <= few and other_count <= few and least > 0) and (
            _some_is_new(joined, own, size, first_word, word_at, place[i], other_place[i])
            or _some_is_new(joined, other_own, other_size, first_word, word_at, other_place[i], place[i])
        )
    return sums, exchanged


# -- codes, amounts and numbers


@_compiled(
    _ROWS, _ROWS, _ROWS, _ROWS, _U64_2D, _U64_2D, _U64, _U64, _U64, _U32, _U32_2D, types.uint32, _U64,
    _BYTES, _I64_2D, _I64, _I64_2D, _array(types.bool_, 1), _U32_2D,
)  # fmt: skip
def pairs_compared(
    rows: NDArray[np.intp],
    others: NDArray[np.intp],
    place: NDArray[np.intp],
    other_place: NDArray[np.intp],
    codes: NDArray[np.uint64],
    stems: NDArray[np.uint64],
    mpn: NDArray[np.uint64],
    gtin: NDArray[np.uint64],
    text: NDArray[np.uint64],
    kinds: NDArray[np.uint32],
    units: NDArray[np.uint32],
    pack: int,
    words: NDArray[np.uint64],
    joined: NDArray[np.uint8],
    texts: NDArray[np.int64],
    first_code: NDArray[np.int64],
    code_at: NDArray[np.int64],
    is_word: NDArray[np.bool_],
    filters: NDArray[np.uint32],
) -> tuple[NDArray[np.bool_], NDArray[np.int8]]:
    """Of pairs (p,) of rows: (6, p) code_in, code_conflict, code_equal, code_left, code_stem, same_text; (3, p) mpn,
    gtin, units, as in `Comparison`.

    place, other_place: as in `words_compared`. codes to units: of all rows. pack: the bit of `kinds` that says how many
    are sold together. words: codes that are words. is_word: which of `code_at` are.
    """
    p = len(rows)
    flags, numbers = np.zeros((6, p), np.bool_), np.zeros((3, p), np.int8)
    for i in range(p):
        r, s = rows[i], others[i]
        a, b = codes[r], codes[s]
        any_a = any_b = alone = equal = False
        for side in range(2):
            mine, theirs = (a, b) if side == 0 else (b, a)
            for code in mine:
                if code == 0:
                    continue
                known = False
                for word in words:
                    known |= word == code
                if known:
                    continue
                there = False
                for other in theirs:
                    there |= other == code
                equal |= there
                alone |= not there
                if side == 0:
                    any_a = True
                else:
                    any_b = True
        inside, left = equal, False
        if alone:  # What the hashes leave open: codes inside the other's text.
            left = True
            for side in range(2):
                mine, theirs = (place[i], other_place[i]) if side == 0 else (other_place[i], place[i])
                missed = False
                for code in range(first_code[mine], first_code[mine + 1]):
                    if is_word[code]:
                        continue
                    if stands_inside(
                        joined, code_at[code, 0], code_at[code, 1], texts[theirs, 0], texts[theirs, 1], filters[theirs]
                    ):
                        inside = True
                    else:
                        missed = True
                left &= missed
        stem = False
        for one in stems[r]:
            for other in stems[s]:
                stem |= one == other and one != 0
        flags[0, i], flags[1, i] = inside, any_a and any_b and not inside
        flags[2, i], flags[3, i], flags[4, i] = equal, left, stem
        flags[5, i] = text[r] == text[s] and text[r] != 0
        if mpn[r] != 0 and mpn[s] != 0:
            numbers[0, i] = 1 if mpn[r] == mpn[s] else 0 if inside and not left else -1
        if gtin[r] != 0 and gtin[s] != 0:
            numbers[1, i] = 1 if gtin[r] == gtin[s] else -1
        apart = kinds[r] & kinds[s]
        if apart != 0:
            for one in units[r]:
                for other in units[s]:
                    if one == other and one != 0:
                        apart &= ~(np.uint32(1) << (one & np.uint32(31)))
        # A title that names no number sells one piece.
        count = ((kinds[r] ^ kinds[s]) & pack) != 0
        while apart != 0:
            apart &= apart - np.uint32(1)
            count += 1
        numbers[2, i] = count
    return flags, numbers


@_compiled(_ROWS, _ROWS, _U32_2D, _U32_2D, _U32, _U32_2D)
def names_compared(
    rows: NDArray[np.intp],
    others: NDArray[np.intp],
    numbers: NDArray[np.uint32],
    traits: NDArray[np.uint32],
    brand: NDArray[np.uint32],
    tokens: NDArray[np.uint32],
) -> NDArray[np.int8]:
    """Of pairs (p,) of rows (p, 6 + 2 * groups): versions in conflict, named by one alone; years in conflict, named by
    one alone; numbers left; of each group of names whether they are in conflict, and how many differ, at most three;
    whether both name a brand, not the same one, and neither title names the other's.

    numbers to tokens: of all rows, as in `Readings`.
    """
    groups = traits.shape[1]
    said = np.zeros((len(rows), 6 + 2 * groups), np.int8)
    for i in range(len(rows)):
        r, s = rows[i], others[i]
        for kind in range(2):
            has = other_has = common = False
            for one in numbers[r]:
                if one != 0 and one & 1 == kind:
                    has = True
                    for other in numbers[s]:
                        common |= one == other
            for other in numbers[s]:
                other_has |= other != 0 and other & 1 == kind
            said[i, 2 * kind] = has and other_has and not common
            said[i, 2 * kind + 1] = has != other_has
        left = True
        for side in range(2):
            mine, theirs = (numbers[r], numbers[s]) if side == 0 else (numbers[s], numbers[r])
            missed = False
            for one in mine:
                there = one == 0
                for other in theirs:
                    there |= one == other
                missed |= not there
            left &= missed
        said[i, 4] = left
        for group in range(groups):
            one, other = traits[r, group], traits[s, group]
            said[i, 5 + 2 * group] = one != 0 and other != 0 and one & other == 0
            apart, count = one ^ other, 0
            while apart != 0 and count < 3:
                apart &= apart - np.uint32(1)
                count += 1
            said[i, 6 + 2 * group] = count
        if brand[r] != 0 and brand[s] != 0 and brand[r] != brand[s]:
            named = False
            for x in range(tokens.shape[1]):
                named |= tokens[s, x] == brand[r] or tokens[r, x] == brand[s]
            said[i, 5 + 2 * groups] = not named
    return said
