"""How well duplicates are decided on real data with truth: two clean feeds, and pairs held out from training.

    python -m tests.benchmarks.matching [FOLDER]

Abt-Buy comes in one file: it is split by shop into two, each a clean feed. Labelled pairs of train and valid are mixed,
a fifth is held out, and a matcher is trained on the rest; five times, each time another fifth, for so few pairs are of
one product that one fifth says little. Prints one JSON object. Ends with 2 where the data is not there.
"""

from __future__ import annotations

import csv
import random
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

import orjson

from detectors.contract.load import load_contract
from detectors.contract.model import Contract
from models.encoder import load_encoder
from models.matcher import train_matcher
from models.protocol import Encoder
from streams.evaluate.duplicates import evaluate_duplicates
from streams.evaluate.matcher import evaluate_matcher, labelled_pairs
from streams.settings import Settings

CONTRACTS = Path(__file__).parents[1] / "contracts"
COLUMNS = ("ltable_id", "rtable_id", "label")
HELD_OUT = 5  # one in so many
SEED = 7


def clean_abt_buy(folder: Path) -> Contract:
    """The contract of Abt-Buy, as two clean feeds."""
    text = (CONTRACTS / "abt-buy.yaml").read_text(encoding="utf-8")
    text = text.replace("value: marketplace", "value: clean")
    text = text.replace("{property: source, value: abt-buy}", '{property: key, value: "{source}/{id}"}')
    path = folder / "abt-buy-clean.yaml"
    path.write_text(text, encoding="utf-8")
    return load_contract(path)


def split_by_shop(data: Path, truth: Path, folder: Path) -> list[Path]:
    """The rows of Abt and those of Buy, by the ids that the truth names."""
    with truth.open(encoding="utf-8", newline="") as file:
        abt = {row["idAbt"] for row in csv.DictReader(file)}
    with data.open(encoding="utf-8", newline="") as file:
        head, *rows = csv.reader(file)
    paths = [folder / "abt.csv", folder / "buy.csv"]
    for path, of_abt in zip(paths, (True, False), strict=True):
        with path.open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([head, *(row for row in rows if (row[0] in abt) is of_abt)])
    return paths


def hold_out(pairs: Path, folder: Path, turn: int) -> tuple[Path, Path]:
    """Files of labelled pairs to train on, and of those held out. turn: which fifth."""
    rows: list[list[str]] = []
    for name in ("train.csv", "valid.csv"):
        with (pairs / name).open(encoding="utf-8", newline="") as file:
            rows += list(csv.reader(file))[1:]
    random.Random(SEED).shuffle(rows)
    rows = rows[turn * len(rows) // HELD_OUT :] + rows[: turn * len(rows) // HELD_OUT]
    held = len(rows) // HELD_OUT
    paths = folder / f"{pairs.name}-train.csv", folder / f"{pairs.name}-test.csv"
    for path, part in zip(paths, (rows[held:], rows[:held]), strict=True):
        with path.open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([COLUMNS, *part])
    return paths


def measure(data: Path, encoder: Encoder) -> dict[str, object]:
    """Everything, by name."""
    found: dict[str, object] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        contracts = {
            "abt-buy": clean_abt_buy(folder),
            "amazon-google": load_contract(CONTRACTS / "amazon-google.yaml"),
        }
        abt, ag = data / "products-abt-buy", data / "products-amazon-google"
        feeds = {
            "abt-buy": (split_by_shop(abt / "abtbuy.csv", abt / "gt.csv", folder), abt / "gt.csv", "idAbt,idBuy", ","),
            "amazon-google": ([ag / "amazon.csv", ag / "gp.csv"], ag / "gt.csv", "D1,D2", "#"),
        }
        for which, (files, truth, columns, delimiter) in feeds.items():
            one, _, two = columns.partition(",")
            report = evaluate_duplicates(
                contracts[which], files, encoder, truth=truth, truth_columns=(one, two), delimiter=delimiter
            )
            found[f"{which}, two clean feeds"] = {k: getattr(report, k) for k in ("precision", "recall", "f1")}
        for which, contract in contracts.items():
            tables = [data / "pairs" / which / f"table{x}.csv" for x in "AB"]
            held_out = []
            for turn in range(HELD_OUT):
                train, test = hold_out(data / "pairs" / which, folder, turn)
                matcher = train_matcher(labelled_pairs(contract, tables, [train], COLUMNS, encoder))
                held_out.append(asdict(evaluate_matcher(contract, tables, test, COLUMNS, encoder, matcher)))
            found[f"{which}, held-out pairs"] = held_out
            found[f"{which}, f1 of held-out pairs"] = round(sum(scores["f1"] for scores in held_out) / HELD_OUT, 4)
    return found


if __name__ == "__main__":
    data = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).resolve().parents[3] / "shared" / "data"
    if not data.is_dir():
        sys.stderr.write(f"There is no folder {data}: name the one with the evaluation data.\n")
        sys.exit(2)
    encoder = load_encoder("static", cache_dir=Settings().cache_dir)
    sys.stdout.buffer.write(orjson.dumps(measure(data, encoder), option=orjson.OPT_INDENT_2) + b"\n")
