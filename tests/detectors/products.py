"""Batches for tests of detectors: records and neighbours in a line each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from detectors.contract.model import Column, Contract, Kind, Role
from detectors.records import Batch, Facts, Neighbours, Record, StoredRecord

__all__ = ["BEHAVIORS", "NOW", "PRODUCTS", "behaviour_batch", "facts", "product_batch"]

NOW = 1_760_000_000_000


def _contract(kind: Kind, roles: Sequence[Role]) -> Contract:
    columns = tuple(Column(role.value, role=role) for role in roles)
    return Contract("test", "1", kind.value, kind, columns, frozenset(column.name for column in columns))


PRODUCTS = _contract(
    Kind.PRODUCTS,
    [
        *(Role.ID, Role.TITLE, Role.DESCRIPTION, Role.BRAND, Role.CATEGORY),
        *(Role.PRICE, Role.CURRENCY, Role.GTIN, Role.MPN),
    ],
)
BEHAVIORS = _contract(
    Kind.BEHAVIORS,
    [Role.EVENT_ID, Role.USER, Role.PRODUCT, Role.TYPE, Role.TIME, Role.PRICE, Role.CURRENCY, Role.QUERY],
)


def facts(identity: str, **known: Any) -> Facts:
    """A product of source `shop`, unless the identity names one."""
    return Facts(identity if "/" in identity else f"shop/{identity}", **known)


def product_batch(
    rows: Sequence[Mapping[str, Any]],
    neighbours: Sequence[Sequence[tuple[float, Facts]]],
    contract: Contract = PRODUCTS,
) -> Batch:
    """Records of source `shop` with their neighbours as (similarity, facts), best first."""
    records = [
        Record(StoredRecord("products", 0, n, NOW, None, b"{}"), f"shop/own-{n}", dict(row), dict(row), NOW)
        for n, row in enumerate(rows)
    ]
    width = max([1, *map(len, neighbours)])
    scores = np.full((len(rows), width), -1, np.float32)
    for n, line in enumerate(neighbours):
        scores[n, : len(line)] = [score for score, _ in line]
    found = Neighbours([[other for _, other in line] for line in neighbours], scores, scores.copy())
    return Batch(contract, records, neighbours=found, catalogue_size=100)


def behaviour_batch(
    rows: Sequence[Mapping[str, Any]],
    products: Sequence[Facts | None] | None = None,
    *,
    offsets: Sequence[int] | None = None,
    timestamps: Sequence[int] | None = None,
    event_times: Sequence[int] | None = None,
    catalogue_size: int = 100,
    contract: Contract = BEHAVIORS,
    partition: int = 0,
) -> Batch:
    """Behaviour events at these offsets (0, 1, ...) and times (`NOW`)."""
    records = []
    for n, row in enumerate(rows):
        offset = n if offsets is None else offsets[n]
        timestamp = NOW if timestamps is None else timestamps[n]
        source = StoredRecord("behaviors", partition, offset, timestamp, None, b"{}")
        identity = str(row["event_id"]) if row.get("event_id") else f"behaviors/{partition}/{offset}"
        own = timestamp if event_times is None else event_times[n]
        records.append(Record(source, identity, dict(row), dict(row), own))
    return Batch(
        contract,
        records,
        products=[None] * len(rows) if products is None else products,
        catalogue_size=catalogue_size,
    )
