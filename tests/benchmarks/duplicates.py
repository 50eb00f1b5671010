"""Duplicate detection over the standard sets in one go: zero labels, the default encoder, one pass in file order.

    python -m tests.benchmarks.duplicates [--data FOLDER] [--only NAME ...] [--errors N]

| set | records | truth |
|---|---|---|
| abt-buy, one stream | both shops in one feed, a marketplace | gt.csv |
| abt-buy, two feeds | the same rows split by shop, each feed clean; of abt are the ids of five digits | gt.csv |
| amazon-google, two feeds | two files, each feed clean | gt.csv |
| tmall, snapshots | daily snapshots, every row a record of its own | rows with the same id are one listing |

The labelled pairs of abt-buy are no truth for a whole feed: a pair that is not listed there is unlabelled. The
snapshots say how stable clusters are when shops edit their titles; they do not say which shops sell one product, so a
link between two shops counts as wrong there.
Writes build/duplicates.json and a table. Ends with 1 where a figure is below its floor, 2 where the data is not there.
"""

from __future__ import annotations

import argparse
import csv
import dataclasses
import json
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.table import Table

from detectors.contract.load import load_contract
from detectors.contract.model import Feed
from models.encoder import load_encoder
from streams.cli.screen import errors, output
from streams.evaluate.duplicates import DuplicatesReport, evaluate_duplicates
from streams.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
CONTRACTS = ROOT / "tests" / "contracts"
_ABT_IDS = 100_000  # below it


@dataclass(frozen=True, slots=True)
class Standard:
    """A set: its contract, its files below the data folder, its truth, and the least that must be reached."""

    contract: str
    files: tuple[str, ...]
    truth: str | None = None
    truth_columns: tuple[str, str] | None = None
    truth_cluster: str | None = None
    delimiter: str = ","
    split: bool = False  # the one file is split by shop into two clean feeds
    floors: Mapping[str, float] = field(default_factory=dict)


_ABT_BUY = Standard(
    "abt-buy", ("products-abt-buy/abtbuy.csv",), "products-abt-buy/gt.csv", truth_columns=("idAbt", "idBuy")
)
SETS: dict[str, Standard] = {
    "abt-buy, one stream": dataclasses.replace(_ABT_BUY, floors={"f1": 0.86, "recall_at_10": 0.975}),
    "abt-buy, two feeds": dataclasses.replace(_ABT_BUY, split=True, floors={"f1": 0.93}),
    "amazon-google, two feeds": Standard(
        "amazon-google",
        ("products-amazon-google/amazon.csv", "products-amazon-google/gp.csv"),
        "products-amazon-google/gt.csv",
        truth_columns=("D1", "D2"),
        delimiter="#",
        floors={"f1": 0.69, "recall_at_10": 0.99},
    ),
    "tmall, snapshots": Standard("tmall", ("chinese/tmall-cosmetics.csv",), truth_cluster="id"),
}


def measure(standard: Standard, data: Path, encoder: Any, mistakes: int) -> DuplicatesReport:
    """The report of one set."""
    contract = load_contract(CONTRACTS / f"{standard.contract}.yaml")
    files = [data / name for name in standard.files]
    with tempfile.TemporaryDirectory() as folder:
        if standard.split:
            files = split_by_shop(files[0], Path(folder))
            contract = dataclasses.replace(contract, feed=Feed.CLEAN)
        return evaluate_duplicates(
            contract,
            files,
            encoder,
            truth=None if standard.truth is None else data / standard.truth,
            truth_columns=standard.truth_columns,
            truth_cluster=standard.truth_cluster,
            delimiter=standard.delimiter,
            errors=mistakes,
        )


def split_by_shop(stream: Path, folder: Path) -> list[Path]:
    """Two files, abt's rows and buy's, in the order of the stream."""
    targets = [folder / "abt.csv", folder / "buy.csv"]
    with stream.open(encoding="utf-8", newline="") as file:
        header, *rows = csv.reader(file)
    for target, is_abt in zip(targets, (True, False), strict=True):
        with target.open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([header, *(row for row in rows if (int(row[0]) < _ABT_IDS) is is_abt)])
    return targets


def main() -> int:
    """Measure the sets and write build/duplicates.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data", help="the evaluation data")
    parser.add_argument("--only", action="append", choices=list(SETS), metavar="NAME", help="a set; repeatable")
    parser.add_argument("--errors", type=int, default=0, metavar="N", help="mistakes of each set to put into the JSON")
    options = parser.parse_args()
    if not options.data.is_dir():
        errors.print(f"There is no folder {options.data}: name one with --data.", markup=False)
        return 2
    encoder = load_encoder("static", cache_dir=Settings().cache_dir)
    columns = ("records", "precision", "recall", "f1", "bcubed f1", "recall at 1", "recall at 10", "ms a record")
    table = Table("set", *columns, "floors")
    target = ROOT / "build" / "duplicates.json"
    target.parent.mkdir(exist_ok=True)
    # What --only leaves out stays as it was measured before.
    result = json.loads(target.read_text(encoding="utf-8")) if target.is_file() else {}
    reached = True
    for name in options.only or SETS:
        with errors.status(name):
            report = measure(SETS[name], options.data, encoder, options.errors)
        floors = SETS[name].floors
        missed = {figure for figure, floor in floors.items() if getattr(report, figure) < floor}
        reached = reached and not missed
        result[name] = {**dataclasses.asdict(report), "encoder": encoder.name, "floors": dict(floors)}
        scores = (report.precision, report.recall, report.f1, report.clusters.bcubed_f1)
        scores += (report.recall_at_1, report.recall_at_10)
        said = [f"{figure} {floor}{': MISSED' if figure in missed else ''}" for figure, floor in floors.items()]
        milliseconds = 1000 * report.seconds / max(1, report.records)
        table.add_row(
            name, f"{report.records:,}", *(f"{x:.4f}" for x in scores), f"{milliseconds:.2f}", "; ".join(said)
        )
        target.write_text(json.dumps(result, indent=1, ensure_ascii=False), encoding="utf-8")
    output.print(table)
    output.print(f"written to {target}", soft_wrap=True)
    return 0 if reached else 1


if __name__ == "__main__":
    sys.exit(main())
