"""A small catalogue for tests: offers whose vectors are a function of their words."""

from __future__ import annotations

import random
import zlib
from collections.abc import Iterable, Sequence

import numpy as np

from detectors.duplicates.entry import Entry, decode_entries, encode_entry, quantise
from detectors.duplicates.epoch import Epoch, epoch_chunks
from detectors.duplicates.view import CatalogueView
from detectors.records import Facts, StoredRecord, Version

DIM = 32
ENCODER = "words-32"


def vector(title: str) -> np.ndarray:
    words = [
        np.random.default_rng(zlib.crc32(word.encode("utf-8", "replace"))).standard_normal(DIM)
        for word in title.lower().split()
    ]
    return quantise(np.sum(words, axis=0)[None] if words else np.zeros((1, DIM)))[0]


def entry(
    identity: str, offset: int, title: str, price: float | None = None, *, match: int | None = None, **facts: object
) -> Entry:
    revision = int(facts.pop("revision", 0))  # type: ignore[call-overload]  # an int
    match_price, match_currency = facts.pop("match_price", price), facts.pop("match_currency", None)
    version = Version(0, offset)
    return Entry(
        identity=identity,
        topic="products",
        partition=zlib.crc32(identity.encode()) % 4,
        version=version,
        revision=revision,
        match_version=version if match is None else Version(0, match),
        match_price=match_price,  # type: ignore[arg-type]  # a float or None
        match_currency=match_currency,  # type: ignore[arg-type]  # a text or None
        encoder=ENCODER,
        vector=vector(title),
        facts=Facts(identity, title=title, price=price, **{"first_seen": offset, **facts}),  # type: ignore[arg-type]  # fields
    )


def deleted(identity: str, offset: int) -> Entry:
    version = Version(0, offset)
    partition = zlib.crc32(identity.encode()) % 4
    return Entry(identity, "products", partition, version, match_version=version, deleted=True)


def log_of(items: Iterable[Entry | Epoch], start: int = 0) -> list[StoredRecord]:
    """The catalogue topic's records of these entries and epochs."""
    parts: list[tuple[bytes, bytes | None, Sequence[tuple[str, bytes]]]] = []
    for item in items:
        if isinstance(item, Epoch):
            parts += [(*chunk.encode(), ()) for chunk in epoch_chunks(item)]
        else:
            parts.append(encode_entry(item))
    return [StoredRecord("catalogue", 0, i, 0, k, v, h) for i, (k, v, h) in enumerate(parts, start)]


def apply(view: CatalogueView, log: Sequence[StoredRecord], fetch: int | None = None) -> CatalogueView:
    """Apply a log in fetches of this size."""
    fetch = fetch or max(1, len(log))
    for i in range(0, len(log), fetch):
        decoded = decode_entries(log[i : i + fetch])
        assert not decoded.skipped
        view.apply(decoded.items, decoded.position)
    return view


def new_view(**options: int) -> CatalogueView:
    return CatalogueView(ENCODER, DIM, **options)


BRANDS = ("Sony", "Bose", "Canon", "索尼", "Logitech")
THINGS = ("speaker system", "laser printer", "wireless mouse", "digital camera", "无线耳机", "inkjet cartridge")


def random_entries(seed: int, n: int, offset: int = 0, ids: int | None = None) -> list[Entry]:
    """Offers of which many are of one product; with `ids` below n some are new versions of earlier ones."""
    rng = random.Random(seed)
    made = []
    for i in range(n):
        family = rng.randrange(max(1, n // 3))
        fixed = random.Random(family)
        title = f"{fixed.choice(BRANDS)} {fixed.choice(THINGS)} {fixed.choice('ABC')}X-{1000 + family}"
        title += rng.choice(("", " black", " 500 ml", " new", " 正品"))
        number = rng.randrange(ids) if ids else i
        made.append(entry(f"shop{rng.randrange(3)}/{number}", offset + i, title, round(20 + family % 50, 2)))
    return made
