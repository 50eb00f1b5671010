"""What the owner of links costs: memory and time per product, of statements and golden records, without Kafka.

One product in five is a second offer of the one before it.

    process_mb                  resident memory of the process that keeps them, before it knows anything
    links_bytes, golden_bytes   growth of resident memory per product: what is known of links; of what was said
    statement_us, golden_us     CPU time per product: taking a statement in; choosing and comparing a golden record

    python -m tests.benchmarks.owner [--products 100000]
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import sys
import time
from pathlib import Path

import psutil

from detectors.duplicates.golden import DEFAULT_RULES, GoldenState, golden_record
from detectors.duplicates.links import LinkOwner
from detectors.duplicates.statement import Candidate, Statement, decode_statement, encode_statement
from detectors.records import Facts, Version
from streams.worker.ledger import Ledger
from streams.worker.own_process import OwnProcess


def resident() -> int:
    """Bytes."""
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


def identity(n: int) -> str:
    """Of seven sources."""
    return f"source{n % 7}/{10_000_000 + n}"


def statement(n: int) -> Statement:
    """As it is read from its topic."""
    found: tuple[Candidate, ...] = ()
    if n % 5 == 4:
        why = f"same model code AM53BK{n}; 399.00 and 379.95 USD"
        found = (Candidate(identity(n - 1), Version(0, n - 1), 3.0, 0.8, True, "duplicate.near", why),)
    version = Version(0, n)
    said = Statement(
        identity(n), "products", 0, version, version, n, 1_700_000_000_000 + n, f"source{n % 7}", True, found
    )
    return decode_statement(*encode_statement(said))


def facts(p: str) -> Facts:
    """As the catalogue keeps them."""
    return Facts(
        p,
        title=f"Bose Acoustimass 5 Speaker System {p}",
        description="A speaker system for small rooms. " * 9,
        brand="Bose",
        category="Speakers",
        price=399.0,
        currency="USD",
        gtin="4006381333931",
        url=f"https://shop.example/{p}",
    )


async def process_bytes() -> int:
    """Resident memory of an empty ledger's process."""
    ledger = OwnProcess("the ledger of links", Ledger, {}, {})
    try:
        await ledger.call(Ledger.begin)
        return int(psutil.Process(ledger.pid).memory_info().rss)
    finally:
        ledger.close()


def main() -> int:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--products", type=int, default=100_000)
    n = parser.parse_args().products
    owner, state = LinkOwner(), GoldenState()
    empty, seconds = resident(), 0.0
    for i in range(0, n, 256):
        said = [statement(j) for j in range(i, min(n, i + 256))]
        began = time.process_time()
        owner.apply(said)
        seconds += time.process_time() - began
    linked = resident()
    began = time.process_time()
    for p in owner.identities():
        if members := owner.members(p):
            state.renew(golden_record(p, [facts(member) for member in members], DEFAULT_RULES))
    golden_seconds = time.process_time() - began
    full = resident()
    figures = {
        "products": n,
        "clusters": owner.clusters,
        "process_mb": round(asyncio.run(process_bytes()) / 1e6),
        "links_bytes": round((linked - empty) / n),
        "golden_bytes": round((full - linked) / n),
        "statement_us": round(seconds / n * 1e6, 1),
        "golden_us": round(golden_seconds / n * 1e6, 1),
    }
    print(json.dumps(figures))  # noqa: T201 -- the result
    return 0


if __name__ == "__main__":
    sys.exit(main())
