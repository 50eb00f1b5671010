"""An offer: what the catalogue keeps of a product record, and the entry that follows from it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from detectors.contract.model import Role
from detectors.duplicates.entry import DESCRIPTION_CHARS, TITLE_CHARS, Entry, unless_said
from detectors.duplicates.reading import pack, read
from detectors.records import Batch, Facts, Version
from detectors.standardise.chinese import fold

__all__ = ["facts_of", "next_entry", "with_readings"]

# What matching reads, beside the brand: a change of one of these makes a new match version; a new price does not.
_MATCHING = ("title", "description", "gtin", "mpn")

_ROLES = (
    *(Role.TITLE, Role.DESCRIPTION, Role.BRAND, Role.CATEGORY, Role.PRICE),
    *(Role.CURRENCY, Role.GTIN, Role.MPN, Role.URL, Role.IMAGE),
)

# Longest name and code that the catalogue keeps.
_NAME_CHARS = 300
_CODE_CHARS = 100
_ADDRESS_CHARS = 2_000  # a longer address is left out: cut, it would lead nowhere


def facts_of(batch: Batch) -> list[Facts]:
    """What the catalogue keeps of each record of a product batch, as if it were the first: see `next_entry`."""
    columns = [batch.column(role) for role in _ROLES]
    return [
        Facts(
            identity=record.identity,
            title=(_text(title) or "")[:TITLE_CHARS],
            description=(_text(description) or "")[:DESCRIPTION_CHARS],
            brand=_text(brand, _NAME_CHARS),
            category=_text(category, _NAME_CHARS),
            price=float(price) if isinstance(price, int | float) and not isinstance(price, bool) else None,
            currency=_text(currency, _CODE_CHARS),
            gtin=_text(gtin, _CODE_CHARS),
            mpn=_text(mpn, _CODE_CHARS),
            first_seen=record.event_time,
            url=_address(url),
            image=_address(image),
            updated_at=record.event_time,
        )
        for record, title, description, brand, category, price, currency, gtin, mpn, url, image in zip(
            batch.records, *columns, strict=True
        )
    ]


def _address(value: object) -> str | None:
    return value if isinstance(value, str) and 0 < len(value) <= _ADDRESS_CHARS else None


def _text(value: object, longest: int | None = None) -> str | None:
    if isinstance(value, str):
        return value[:longest]
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)[:longest]
    return None


def next_entry(
    facts: Facts,
    prior: Entry | None,
    topic: str,
    partition: int,
    version: Version,
    encoder: str,
    vector: NDArray[np.int8],
) -> Entry:
    """The entry that follows `prior`: what matching reads keeps its version and price unless it changed.

    A product was first seen when its life began: who comes back after a deletion begins anew.
    """
    match_version, match_price, match_currency = version, facts.price, None
    if prior is not None and not prior.deleted:
        if facts.first_seen != prior.facts.first_seen:
            facts = replace(facts, first_seen=prior.facts.first_seen)
        same = all(getattr(prior.facts, name) == getattr(facts, name) for name in _MATCHING)
        if same and prior.encoder == encoder and prior.brand_read == (facts.brand or ""):
            match_version, match_price = prior.match_version, prior.match_price
            match_currency = unless_said(facts.currency, prior.currency_read)
    return Entry(
        identity=facts.identity,
        topic=topic,
        partition=partition,
        version=version,
        match_version=match_version,
        match_price=match_price,
        encoder=encoder,
        vector=vector,
        facts=facts,
        match_currency=match_currency,
    )


def with_readings(entries: Sequence[Entry], mark: bytes) -> list[Entry]:
    """These entries, those that bring other texts with what matching reads of them. mark: see `EVIDENCE_MARK`."""
    new = [i for i, entry in enumerate(entries) if not entry.deleted and entry.match_version == entry.version]
    facts = [entries[i].facts_read for i in new]
    found = [*entries]
    for i, reading in zip(new, pack(read([fold(fact.title) for fact in facts], facts), mark), strict=True):
        found[i] = entries[i].carrying(reading)
    return found
