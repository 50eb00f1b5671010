"""Which links the default makes in real catalogues of which nobody knows the duplicates.

    python -m tests.benchmarks.catalogues [--data FOLDER] [--only NAME ...] [--show N] [--seed 0]

Each catalogue is streamed in file order as one marketplace feed. Printed are the products, the links that a code or
GTIN or the same text makes and the others, and the caution in the end. With --show as many of the others, drawn at
random, for somebody to read. Writes build/catalogues.json. Ends with 2 where the data is not there.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
from itertools import islice
from pathlib import Path

import orjson
from rich.table import Table

from detectors.records import StoredRecord
from models.encoder import load_encoder
from streams.cli.screen import errors, output
from streams.evaluate.duplicates.run import Run
from streams.settings import Settings
from tests.benchmarks.detectors import BATCH, CATALOGUES, CONTRACT, ROOT


def main() -> int:
    """Stream, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data", help="the evaluation data")
    parser.add_argument("--only", action="append", choices=list(CATALOGUES), metavar="NAME", help="one; repeatable")
    parser.add_argument("--show", type=int, default=0, metavar="N", help="links without a code to print, of each")
    parser.add_argument("--seed", type=int, default=0, help="of what is drawn")
    options = parser.parse_args()
    if not options.data.is_dir():
        errors.print(f"There is no folder {options.data}: name one with --data.", markup=False)
        return 2
    encoder = load_encoder("static", cache_dir=Settings().cache_dir)
    table, result = Table("catalogue", "products", "links that are certain", "other links", "caution"), {}
    for name in options.only or CATALOGUES:
        run = Run(CONTRACT, encoder)
        with errors.status(name):
            rows = enumerate(CATALOGUES[name](options.data))
            while part := list(islice(rows, BATCH)):
                run.take([StoredRecord("products", 0, n, n, None, orjson.dumps(row), ()) for n, row in part])
        links = run.owner.links()
        others = [link for link in links if not link.certain]
        result[name] = {
            "products": len(run.view),
            "certain_links": len(links) - len(others),
            "other_links": len(others),
            "caution": run.owner.caution,
        }
        table.add_row(name, *(f"{figure:,}" for figure in result[name].values()))
        for link in random.Random(options.seed).sample(others, min(options.show, len(others))):
            later, earlier = run.view.facts(link.later), run.view.facts(link.earlier)
            assert later is not None and earlier is not None
            output.print(f"{name} {link.score:.2f}  {later.title}\n    {earlier.title}", markup=False, soft_wrap=True)
    output.print(table)
    target = ROOT / "build" / "catalogues.json"
    target.parent.mkdir(exist_ok=True)
    target.write_text(json.dumps(result, indent=1), "utf-8")
    output.print(f"written to {target}", soft_wrap=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
