"""False alarms and recall of the product detectors on real catalogues, with faults put in by hand.

    python -m tests.benchmarks.detectors [--data FOLDER] [--share 0.03] [--seed 0]

Each catalogue is streamed through the view in file order, so that a record sees only what came before it. Once as it
is: whatever is said of a field that is there counts as a false alarm (some are real errors of the source). Once with
a fault in a share of the records: found when a finding is at the field, right when its suggestion is the true value;
applied are the suggestions that the repair policy applies.
Writes build/detectors.json and a table.
"""

from __future__ import annotations

import argparse
import csv
import json
import random
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from detectors.contract.model import Column, Contract, Kind, Role
from detectors.duplicates.entry import Entry, quantise
from detectors.duplicates.epoch import epoch_chunks
from detectors.duplicates.view import CatalogueView
from detectors.money import RATES
from detectors.records import Batch, Facts, Finding, Neighbours, Record, StoredRecord, Version
from detectors.repair import RepairPolicy
from detectors.suite import product_detectors
from models.encoder import load_encoder
from models.protocol import Encoder
from streams.settings import Settings

Row = dict[str, Any]
ROOT = Path(__file__).resolve().parents[2]
BATCH = 512
_ROLES = (Role.ID, Role.TITLE, Role.DESCRIPTION, Role.BRAND, Role.CATEGORY, Role.PRICE, Role.CURRENCY)
CONTRACT = Contract(
    "catalogue",
    "1",
    "products",
    Kind.PRODUCTS,
    tuple(Column(role.value, role=role) for role in _ROLES),
    frozenset(role.value for role in _ROLES),
)


def _number(text: str) -> float | None:
    try:
        return float(text.replace("£", "").replace(",", "").split(" ")[0]) or None
    except ValueError:
        return None


def _path(text: str) -> str | None:
    """A breadcrumb in JSON as one line; a text as it is."""
    try:
        steps = json.loads(text)
    except ValueError:
        return text or None
    if not isinstance(steps, list):
        return text or None
    return " > ".join(step if isinstance(step, str) else str(step.get("name", "")) for step in steps)


def _toys(folder: Path) -> Iterator[Row]:
    with (folder / "catalogues" / "amazon-uk-toys.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.reader(file):
            yield _row(row[0], row[1], "", row[3], row[2], _number(row[4]), "GBP")


def _shop(name: str, title: str, description: str, category: str) -> Callable[[Path], Iterator[Row]]:
    def read(folder: Path) -> Iterator[Row]:
        with (folder / "catalogues" / f"{name}-products.csv").open(encoding="utf-8", newline="") as file:
            for n, row in enumerate(csv.DictReader(file)):
                brand = "" if row["brand"] == "No Brand" else row["brand"]
                price = _number(row["final_price"])
                path = _path(row[category]) or ""
                yield _row(str(n), row[title], row[description], brand, path, price, row["currency"])

    return read


def _tmall(folder: Path) -> Iterator[Row]:
    seen = set()
    with (folder / "chinese" / "tmall-cosmetics.csv").open(encoding="utf-8-sig", newline="") as file:
        for row in csv.DictReader(file):
            if row["id"] not in seen:
                seen.add(row["id"])
                yield _row(row["id"], row["title"], "", row["店名"], "", _number(row["price"]), "CNY")


def _row(
    identifier: str, title: str, description: str, brand: str, category: str, price: float | None, currency: str
) -> Row:
    return {
        "id": identifier,
        "title": title,
        "description": description or None,
        "brand": brand or None,
        "category": category or None,
        "price": price,
        "currency": currency or None,
    }


CATALOGUES: dict[str, Callable[[Path], Iterator[Row]]] = {
    "toys": _toys,
    "lazada": _shop("lazada", "title", "product_description", "breadcrumb"),
    "shein": _shop("shein", "product_name", "description", "category_tree"),
    "shopee": _shop("shopee", "title", "Product Description", "breadcrumb"),
    "tmall": _tmall,
}


def _scaled(factor: float) -> Callable[[Row, Row, random.Random], Row]:
    return lambda row, _, rng: {"price": round(row["price"] * factor, 6)}


def _typo(row: Row, _: Row, rng: random.Random) -> Row:
    brand = row["brand"]
    place = rng.randrange(len(brand))
    dropped = brand[:place] + brand[place + 1 :]
    swapped = brand[:place] + brand[place + 1 : place + 2] + brand[place : place + 1] + brand[place + 2 :]
    return {"brand": rng.choice([dropped, swapped])}


def _label(row: Row, _: Row, rng: random.Random) -> Row:
    return {"currency": rng.choice([c for c in ("USD", "EUR", "CNY", "IDR", "MXN", "JPY") if c != row["currency"]])}


FAULTS: dict[str, tuple[str, Callable[[Row, Row, random.Random], Row]]] = {
    "price x100": ("price", _scaled(100)),
    "price /100": ("price", _scaled(0.01)),
    "price x10": ("price", _scaled(10)),
    "price /10": ("price", _scaled(0.1)),
    "currency label": ("currency", _label),
    "price placeholder": ("price", lambda _, __, rng: {"price": rng.choice([0.01, 1.0, 9999.0, 99999.0])}),
    "brand missing": ("brand", lambda *_: {"brand": None}),
    "brand swap": ("brand", lambda _, other, __: {"brand": other["brand"]}),
    "brand typo": ("brand", _typo),
    "category missing": ("category", lambda *_: {"category": None}),
    "category swap": ("category", lambda _, other, __: {"category": other["category"]}),
    "description swap": ("description", lambda _, other, __: {"description": other["description"]}),
}


def neighbours_of(name: str, rows: Sequence[Row], encoder: Encoder) -> list[tuple[slice, Neighbours]]:
    """The neighbours of each block of rows among those that came before."""
    view = CatalogueView(encoder.name, encoder.dim)
    position, blocks = 0, []
    for start in range(0, len(rows), BATCH):
        part = rows[start : start + BATCH]
        vectors = quantise(encoder.encode([row["title"] for row in part]))
        entries: list[tuple[int, Any]] = []
        for n, (row, vector) in enumerate(zip(part, vectors, strict=True)):
            known = {role.value: row[role.value] for role in _ROLES if role is not Role.ID}
            facts = Facts(f"{name}/{row['id']}", **{**known, "description": (row["description"] or "")[:400]})
            version = Version(0, start + n)
            entries.append(
                (
                    position + n,
                    Entry(
                        facts.identity,
                        "products",
                        0,
                        version,
                        match_version=version,
                        encoder=encoder.name,
                        vector=vector,
                        facts=facts,
                    ),
                )
            )
        position += len(part)
        view.apply(entries, position)
        blocks.append((slice(start, start + len(part)), view.lookup([f"{name}/{row['id']}" for row in part])))
        if len(view) >= max(256, 4 * view.epoch.n):
            chunks = epoch_chunks(view.make_epoch(1))
            view.apply([(position + n, chunk) for n, chunk in enumerate(chunks)], position + len(chunks))
            position += len(chunks) + 1
    return blocks


@dataclass(frozen=True, slots=True)
class Fault:
    """What was done to a row. true: the value that the column had."""

    kind: str
    column: str
    true: Any


def spoil(rows: Sequence[Row], share: float, seed: int) -> tuple[list[Row], dict[int, Fault]]:
    """The rows with a fault in a share of them, of every kind alike."""
    rng = random.Random(seed)
    spoiled, planted = list(rows), {}
    for n, row in enumerate(rows):
        if rng.random() >= share:
            continue
        kind = rng.choice(list(FAULTS))
        column, make = FAULTS[kind]
        other = rng.choice(rows)
        if row[column] is None or row["price"] is None:
            continue
        change = make(row, other, rng)
        if change[column] != row[column] and (change[column] is not None or kind.endswith("missing")):
            spoiled[n] = {**row, **change}
            planted[n] = Fault(kind, column, row[column])
    return spoiled, planted


def run(
    name: str, rows: Sequence[Row], blocks: Sequence[tuple[slice, Neighbours]]
) -> tuple[list[tuple[int, Finding]], dict[tuple[int, str], Any], Counter[str]]:
    """Findings by row, values that the repair policy put there, seconds per detector."""
    detectors, policy = product_detectors(CONTRACT), RepairPolicy()
    said: list[tuple[int, Finding]] = []
    applied: dict[tuple[int, str], Any] = {}
    seconds: Counter[str] = Counter()
    for block, neighbours in blocks:
        records = [
            Record(StoredRecord("products", 0, block.start + n, 0, None, None), f"{name}/{row['id']}", row, row, 0)
            for n, row in enumerate(rows[block])
        ]
        batch = Batch(CONTRACT, records, neighbours=neighbours, catalogue_size=block.stop)
        findings: list[Finding] = []
        for detector in detectors:
            started = time.perf_counter()
            findings += detector.detect(batch)
            seconds[type(detector).__name__] += time.perf_counter() - started  # type: ignore[assignment]  # a sum
        said += [(block.start + finding.row, finding) for finding in findings]
        for correction in policy.repair(batch, findings).corrections:
            applied[block.start + correction.row, correction.column] = correction.after
    return said, applied, seconds


def measure(name: str, rows: list[Row], encoder: Encoder, share: float, seed: int) -> dict[str, Any]:
    """All figures of one catalogue."""
    rows = [row for row in rows if row["currency"] in RATES]
    blocks = neighbours_of(name, rows, encoder)
    alarms, _, seconds = run(name, rows, blocks)
    alarms = [(n, finding) for n, finding in alarms if rows[n][str(finding.column)] is not None]
    figures: dict[str, Any] = {
        "records": len(rows),
        "false_alarms": dict(Counter(finding.rule.name for _, finding in alarms)),
        "false_alarm_share": round(len(alarms) / len(rows), 5),
        "microseconds_per_record": {key: round(value / len(rows) * 1e6, 1) for key, value in seconds.items()},
    }
    spoiled, planted = spoil(rows, share, seed)
    said, applied, _ = run(name, spoiled, blocks)
    found: dict[int, Finding] = {}
    right_ones = wrong_ones = 0
    for n, finding in said:
        fault = planted.get(n)
        if fault and ({finding.column, fault.column} <= {"price", "currency"} or finding.column == fault.column):
            found.setdefault(n, finding)
            right_ones += 1
        elif rows[n][str(finding.column)] is not None:
            wrong_ones += 1
    kinds = {}
    for kind in FAULTS:
        of_kind = [n for n, fault in planted.items() if fault.kind == kind]
        hit = [n for n in of_kind if n in found]
        suggested = [n for n in hit if found[n].suggestion is not None]
        right = sum(_says(found[n], planted[n]) for n in suggested)
        kinds[kind] = {"planted": len(of_kind), "found": len(hit), "suggested": len(suggested), "right": right}
    figures["kinds"] = kinds
    figures["precision"] = round(right_ones / max(1, right_ones + wrong_ones), 4)
    repaired = {place: value for place, value in applied.items() if rows[place[0]][place[1]] is not None}
    right = sum(value == rows[n][column] for (n, column), value in repaired.items())
    figures["repairs"] = len(repaired)
    figures["repairs_right"] = right
    return figures


def _says(finding: Finding, fault: Fault) -> bool:
    assert finding.suggestion is not None
    value = finding.suggestion.value
    if isinstance(fault.true, float) and isinstance(value, float):
        return abs(value / fault.true - 1) < 0.02
    return bool(value == fault.true)


def main() -> int:
    """Measure every catalogue and write build/detectors.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    parser.add_argument("--share", type=float, default=0.03)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    if not options.data.is_dir():
        print(  # noqa: T201 -- a program for people
            f"There is no folder {options.data}; name one with --data.",
            file=sys.stderr,
        )
        return 2
    csv.field_size_limit(1 << 30)
    encoder = load_encoder("static", cache_dir=Settings().cache_dir)
    result = {}
    for name, read in CATALOGUES.items():
        result[name] = figures = measure(name, list(read(options.data)), encoder, options.share, options.seed)
        print(  # noqa: T201 -- the same
            f"{name}: {figures['records']} records, false alarms {figures['false_alarm_share']:.3%}"
            f" {figures['false_alarms']}, precision {figures['precision']}, repairs right"
            f" {figures['repairs_right']}/{figures['repairs']}, us {figures['microseconds_per_record']}"
        )
        for kind, counts in figures["kinds"].items():
            if counts["planted"]:
                print(  # noqa: T201 -- the same
                    f"    {kind:18} " + "  ".join(f"{key} {value}" for key, value in counts.items())
                )
    target = ROOT / "build" / "detectors.json"
    target.parent.mkdir(exist_ok=True)
    target.write_text(json.dumps(result, indent=1, ensure_ascii=False), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
