"""Titles for catalogues of any size, recombined from real ones, with pairs that are truly one product mixed in.

A made title is the beginning of one real title and the end of another, half of its numbers drawn anew. A fifth are
copies of earlier ones with one or two edits. Random vectors would flatter every index; these crowd as real ones do.
"""

from __future__ import annotations

import csv
import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from streams.marketplace.catalogue import build_catalogue

__all__ = ["Made", "Vocabulary", "made_titles", "marketplace_vocabulary", "vocabulary_of"]

_COPIES = 0.2
_PARTNERS = 2_000  # at most this many pairs, and no more than a tenth of the catalogue
_DIGIT = re.compile(r"\d")


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """Real titles to recombine, pairs of titles that are one product, and texts for descriptions."""

    titles: Sequence[str]
    pairs: Sequence[tuple[str, str]]
    descriptions: Sequence[str]


@dataclass(frozen=True, slots=True)
class Made:
    """A made product. partner: the number of the earlier product that it truly is, -1 for none."""

    title: str
    description: str
    partner: int = -1


def marketplace_vocabulary() -> Vocabulary:
    """The titles of the simulated marketplace: each article in two ways of writing, the second in part Chinese."""
    titles, pairs, descriptions = [], [], []
    for article in build_catalogue(random.Random(1), 400):
        tail = " ".join(filter(None, (article.size, article.colour.en if article.colour else "")))
        feature = article.features[0]
        first = f"{article.brand.en} {article.line} {article.noun.en} {feature.en} {article.code} {tail}".strip()
        second = f"{article.noun.en} {article.brand.en} {article.code.replace('-', '')} {article.line} {tail}".strip()
        chinese = f"{article.brand.zh}{article.noun.zh} {feature.zh} {article.code} {article.size or ''}".strip()
        titles += [first, second, chinese]
        pairs.append((first, second))
        descriptions.append(" ".join(sentence.en for sentence in article.sentences))
    return Vocabulary(titles, pairs, descriptions)


def vocabulary_of(folder: Path) -> Vocabulary:
    """Titles, pairs and descriptions of a folder of data: two English sets with truth, and Chinese listings."""
    csv.field_size_limit(1 << 30)
    abt = _rows(folder / "products-abt-buy" / "abtbuy.csv")
    amazon = _rows(folder / "products-amazon-google" / "amazon.csv", "#")
    google = _rows(folder / "products-amazon-google" / "gp.csv", "#")
    names = {row["id"]: row["name"] for row in abt}
    titles_a, titles_g = ({row["id"]: row["title"] for row in rows} for rows in (amazon, google))
    pairs = [
        (names[row["idAbt"]], names[row["idBuy"]])
        for row in _rows(folder / "products-abt-buy" / "gt.csv")
        if row["idAbt"] in names and row["idBuy"] in names
    ]
    pairs += [
        (titles_a[row["D1"]], titles_g[row["D2"]])
        for row in _rows(folder / "products-amazon-google" / "gt.csv", "#")
        if row["D1"] in titles_a and row["D2"] in titles_g
    ]
    chinese = {row["title"] for row in _rows(folder / "chinese" / "tmall-cosmetics.csv")}
    titles = [*names.values(), *titles_a.values(), *titles_g.values(), *sorted(chinese)]
    descriptions = [row["description"] for row in (*abt, *amazon, *google) if row["description"]]
    return Vocabulary([title for title in titles if title.strip()], pairs, descriptions)


def _rows(path: Path, delimiter: str = ",") -> list[dict[str, str]]:
    with path.open(encoding="utf-8-sig", errors="replace", newline="") as file:
        return list(csv.DictReader(file, delimiter=delimiter))


def made_titles(vocabulary: Vocabulary, n: int, seed: int = 1) -> Iterator[Made]:
    """n products in the order in which they come."""
    rng = random.Random(seed)
    pairs = rng.sample(list(vocabulary.pairs), min(len(vocabulary.pairs), _PARTNERS, n // 20))
    places = sorted(rng.sample(range(n), 2 * len(pairs)))
    half = rng.sample(range(2 * len(pairs)), 2 * len(pairs))
    at: dict[int, tuple[int, str]] = {}
    for number, pair in enumerate(pairs):
        first, second = places[half[2 * number]], places[half[2 * number + 1]]
        at[first], at[second] = (number, pair[0]), (number, pair[1])
    came: dict[int, int] = {}
    recent: list[str] = []
    for place in range(n):
        description = rng.choice(vocabulary.descriptions)[: rng.randrange(60, 400)]
        if place in at:
            number, title = at[place]
            yield Made(title, description, came.get(number, -1))
            came.setdefault(number, place)
            continue
        title = _edited(rng, rng.choice(recent)) if recent and rng.random() < _COPIES else _made(rng, vocabulary.titles)
        if len(recent) < 50_000:
            recent.append(title)
        else:
            recent[rng.randrange(len(recent))] = title
        yield Made(title, description)


def _made(rng: random.Random, titles: Sequence[str]) -> str:
    a, b = (_words(rng.choice(titles)) for _ in range(2))
    words = a[: rng.randint(1, len(a))] + b[rng.randrange(len(b)) :]
    return "".join(_renumbered(rng, word) if rng.random() < 0.5 else word for word in words).strip()[:300]


def _words(title: str) -> list[str]:
    """The words with the blank after them; of unspaced text pieces of four characters."""
    words = re.findall(r"\S+\s*", title) or ["x"]
    if len(words) >= 3:
        return words
    return [title[i : i + 4] for i in range(0, len(title), 4)] or words


def _renumbered(rng: random.Random, word: str) -> str:
    return _DIGIT.sub(lambda _: str(rng.randrange(10)), word)


def _edited(rng: random.Random, title: str) -> str:
    words = title.split(" ")
    for _ in range(rng.randint(1, 2)):
        place, edit = rng.randrange(len(words)), rng.randrange(4)
        word = words[place]
        if edit == 0 and len(words) > 2:
            del words[place]
        elif edit == 1:
            words[place], words[-1] = words[-1], word
        elif edit == 2 and len(word) > 3 and not _DIGIT.search(word):
            cut = rng.randrange(1, len(word) - 1)
            words[place] = word[:cut] + word[cut + 1 :]
        else:
            words.insert(place, rng.choice(("new", "black", "2-pack", "正品", "sale", "original")))
    return " ".join(words)
