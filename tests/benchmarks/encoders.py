"""Which encoder should be the default: what each finds, how quick it is, what it takes. Writes build/encoders.json.

Titles of real shops, where the evaluation data is beside the checkout, and the simulated marketplace's own words for
English against Chinese. Found means: the partner is among the ten nearest titles (at 1: the nearest).

    abt-buy         one stream: each title asks those that came before it
    amazon-google   one shop's titles ask the other's
    tmall           an edited title of a Chinese listing asks the titles of before, its own old one among them
    en-zh           an English product phrase without brand or code asks the Chinese ones, its translation among them

`dense` is the encoder alone, `both` the one vector that the view compares (dense and sketch), of titles alone.

    python -m tests.benchmarks.encoders [--encoder static transformer]
"""

from __future__ import annotations

import argparse
import csv
import json
import random
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from numpy.typing import NDArray

from detectors.duplicates.grams import BUCKETS, GramCounts, gram_counts
from detectors.duplicates.kernels import count
from detectors.duplicates.reading import read
from detectors.duplicates.sketch import document_weights, sketch
from detectors.duplicates.view import DENSE_SHARE
from detectors.records import Facts
from detectors.standardise.chinese import fold
from models.encoder import load_encoder
from models.protocol import Encoder
from streams.marketplace.catalogue import build_catalogue
from streams.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
RESULT = ROOT / "build" / "encoders.json"
KINDS = ("static", "transformer")
TMALL_QUERIES = 1_000
SPEED_TEXTS = 500


@dataclass(frozen=True, slots=True)
class Task:
    """Queries ask for partners among the pool.

    truth: pairs of (query, pool) rows. in_order: the pool is the queries, and each asks those before it.
    """

    name: str
    queries: Sequence[str]
    pool: Sequence[str]
    truth: Sequence[tuple[int, int]]
    in_order: bool = False


def tasks(data: Path | None) -> list[Task]:
    """What can be asked here."""
    found = [_english_chinese()]
    if data is not None:
        found = [_abt_buy(data), _amazon_google(data), _tmall(data), *found]
    return found


def _rows(path: Path, delimiter: str = ",") -> list[dict[str, str]]:
    with path.open(encoding="utf-8-sig", errors="replace", newline="") as file:
        return list(csv.DictReader(file, delimiter=delimiter))


def _abt_buy(data: Path) -> Task:
    rows = _rows(data / "products-abt-buy" / "abtbuy.csv")
    place = {row["id"]: i for i, row in enumerate(rows)}
    truth = []
    for pair in _rows(data / "products-abt-buy" / "gt.csv"):
        a, b = place.get(pair["idAbt"]), place.get(pair["idBuy"])
        if a is not None and b is not None:
            truth.append((max(a, b), min(a, b)))
    titles = [row["name"] for row in rows]
    return Task("abt-buy", titles, titles, truth, in_order=True)


def _amazon_google(data: Path) -> Task:
    folder = data / "products-amazon-google"
    amazon, google = _rows(folder / "amazon.csv", "#"), _rows(folder / "gp.csv", "#")
    a, b = ({row["id"]: i for i, row in enumerate(rows)} for rows in (amazon, google))
    title = "title" if "title" in amazon[0] else "name"
    other = "name" if "name" in google[0] else "title"
    pairs = [(b[t["D2"]], a[t["D1"]]) for t in _rows(folder / "gt.csv", "#") if t["D1"] in a and t["D2"] in b]
    return Task("amazon-google", [row[other] for row in google], [row[title] for row in amazon], pairs)


def _tmall(data: Path) -> Task:
    first: dict[str, str] = {}
    edited: dict[str, str] = {}
    for row in _rows(data / "chinese" / "tmall-cosmetics.csv"):
        before = first.setdefault(row["id"], row["title"])
        if row["title"] != before:
            edited.setdefault(row["id"], row["title"])
    place = {identifier: i for i, identifier in enumerate(first)}
    chosen = sorted(edited)
    random.Random(1).shuffle(chosen)
    chosen = chosen[:TMALL_QUERIES]
    truth = [(i, place[identifier]) for i, identifier in enumerate(chosen)]
    return Task("tmall", [edited[identifier] for identifier in chosen], list(first.values()), truth)


def _english_chinese() -> Task:
    pairs: dict[str, str] = {}
    for article in build_catalogue(random.Random(1), 20):
        english = " ".join([article.noun.en, *(feature.en for feature in article.features)])
        pairs.setdefault(english, "".join([article.noun.zh, *(feature.zh for feature in article.features)]))
    return Task("en-zh", list(pairs), list(pairs.values()), [(i, i) for i in range(len(pairs))])


def _counts(titles: Sequence[str]) -> GramCounts:
    said = read([fold(title) for title in titles], [Facts("", title=title) for title in titles])
    return gram_counts([text.decode() for text in said.sketched])


def _weights(pool: GramCounts) -> NDArray[np.uint8]:
    frequencies = np.zeros(BUCKETS, np.int32)
    count(pool.bucket, frequencies)
    return document_weights(frequencies, pool.n)


def _both(dense: NDArray[np.float32], counts: GramCounts, weights: NDArray[np.uint8]) -> NDArray[np.float32]:
    both = np.hstack((dense * DENSE_SHARE**0.5, sketch(counts, weights) * (1 - DENSE_SHARE) ** 0.5))
    return both.astype(np.float32)


def recall(
    task: Task, queries: NDArray[np.float32], pool: NDArray[np.float32], depths: Sequence[int] = (1, 10)
) -> list[float]:
    """The share of true pairs whose pool row is among the first `depth` of its query, for each depth."""
    found = [0] * len(depths)
    for query, partner in task.truth:
        scores = pool[:query] @ queries[query] if task.in_order else pool @ queries[query]
        rank = int((scores > scores[partner]).sum())
        for i, depth in enumerate(depths):
            found[i] += rank < depth
    return [round(hits / len(task.truth), 4) for hits in found]


def measure(kind: str, data: Path | None) -> dict[str, Any]:
    """Everything about one encoder, in this process."""
    process = psutil.Process()
    before, began = process.memory_info().rss, time.perf_counter()
    encoder: Encoder = load_encoder(kind, cache_dir=Settings().cache_dir)  # type: ignore[arg-type]  # one of KINDS
    encoder.encode(["warm"])
    figures: dict[str, Any] = {
        "encoder": encoder.description,
        "start_s": round(time.perf_counter() - began, 1),
        "memory_mb": round((process.memory_info().rss - before) / 1e6),
    }
    for task in tasks(data):
        pool = encoder.encode(list(task.pool))
        queries = pool if task.queries is task.pool else encoder.encode(list(task.queries))
        asked, known = _counts(task.queries), _counts(task.pool)
        weights = _weights(known)
        figures[task.name] = {
            "pairs": len(task.truth),
            "dense": recall(task, queries, pool),
            "both": recall(task, _both(queries, asked, weights), _both(pool, known, weights)),
        }
    texts = list(tasks(data)[0].pool)[:SPEED_TEXTS]
    began = time.perf_counter()
    encoder.encode(texts)
    figures["texts_per_s"] = round(len(texts) / (time.perf_counter() - began))
    return figures


def main() -> int:
    """Measure each encoder in a process of its own; print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--encoder", nargs="+", choices=KINDS, default=list(KINDS))
    parser.add_argument("--one", choices=KINDS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    folder = ROOT.parent / "shared" / "data"
    data = folder if folder.is_dir() else None
    if options.one:
        print(json.dumps(measure(options.one, data)))  # noqa: T201 -- the result
        return 0
    if data is None:
        print("Without the evaluation data only en-zh is measured.", file=sys.stderr)  # noqa: T201 -- for the user
    results: dict[str, Any] = {}
    for kind in options.encoder:
        print(f"{kind} ...", file=sys.stderr, flush=True)  # noqa: T201 -- progress
        command = [sys.executable, "-m", "tests.benchmarks.encoders", "--one", kind]
        ended = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
        results[kind] = json.loads(ended.stdout.splitlines()[-1])
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text(json.dumps(results, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    print(json.dumps(results, indent=2, ensure_ascii=False))  # noqa: T201 -- the result
    return 0


if __name__ == "__main__":
    sys.exit(main())
