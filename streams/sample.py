"""A sample of products as detectors see them: decoded, encoded, with the neighbours that they have in the sample."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np

from detectors.contract.model import Contract, Kind
from detectors.duplicates.entry import Entry, quantise
from detectors.duplicates.offer import facts_of
from detectors.duplicates.view import CatalogueView
from detectors.intake import Intake
from detectors.records import Batch, SourceRecord
from models.protocol import Encoder
from models.whole_numbers import exact_inner_products
from streams.errors import InputError
from streams.product_files import OnInput, ProductFiles

__all__ = ["read_sample", "with_neighbours"]

_BATCH = 256

Progress = Callable[[int], None]
"""Called with the number of records handled so far."""


def read_sample(
    contract: Contract,
    files: Sequence[Path],
    *,
    delimiter: str | None = None,
    limit: int | None = None,
    on_input: OnInput | None = None,
) -> list[SourceRecord]:
    """The rows of files as records of the contract's topic, at most `limit`; the file's name stands in for the source.

    on_input: is told what of them is no product. Raises: InputError for a contract of behaviour events, and where the
    files have no products; FileError.
    """
    if contract.kind is not Kind.PRODUCTS:
        raise InputError("The classifier is for products.", "Give the contract of a product topic.")
    records: list[SourceRecord] = []
    given = ProductFiles(contract, files, delimiter)
    intake = Intake(contract)
    for part in range(len(files)):
        left = None if limit is None else limit - len(records)
        rows = islice(given.rows(part), left)
        while batch := [given.record(part, row) for row in islice(rows, _BATCH)]:
            given.took(intake.take(batch))
            records += batch
    given.finish(on_input)
    return records


def with_neighbours(
    contract: Contract,
    records: Sequence[SourceRecord],
    encoder: Encoder,
    *,
    k: int = 24,
    progress: Progress | None = None,
) -> list[Batch]:
    """Batches of these records, each product once (its last record), with the k nearest of all the others.

    A running catalogue shows a product only what came before it. Here everything is published twice, and the second
    time each product sees the whole sample, as it will see the whole catalogue later.
    """
    intake = Intake(contract)
    view = CatalogueView(encoder.name, encoder.dim, inner_products=exact_inner_products())
    batches: list[Batch] = []
    position = 0
    for start in range(0, len(records), _BATCH):
        batch = _last_of_each(intake.take(records[start : start + _BATCH]).batch)
        if not len(batch):
            continue
        batch = replace(batch, vectors=encoder.encode([fact.title for fact in facts_of(batch)]))
        batches.append(batch)
        position = _publish(view, batch, encoder.name, position, 0)
        if progress is not None:
            progress(start + len(batch))
    batches = _last_in_all(batches)
    for revision, batch in enumerate(batches, 1):
        position = _publish(view, batch, encoder.name, position, revision)
    found = []
    for batch in batches:
        near = view.lookup([record.identity for record in batch.records], k)
        found.append(replace(batch, neighbours=near, catalogue_size=len(view)))
    return found


def _publish(view: CatalogueView, batch: Batch, encoder: str, position: int, revision: int) -> int:
    assert batch.vectors is not None
    items = [
        (
            position + row,
            Entry(
                identity=record.identity,
                topic=record.source.topic,
                partition=record.source.partition,
                version=record.version,
                revision=revision,
                match_version=record.version,
                match_price=fact.price,
                encoder=encoder,
                vector=vector,
                facts=fact,
            ),
        )
        for row, (record, fact, vector) in enumerate(
            zip(batch.records, facts_of(batch), quantise(batch.vectors), strict=True)
        )
    ]
    view.apply(items, position + len(items))
    return position + len(items)


def _last_of_each(batch: Batch) -> Batch:
    last = {record.identity: row for row, record in enumerate(batch.records)}
    return _part(batch, sorted(last.values()))


def _last_in_all(batches: Sequence[Batch]) -> list[Batch]:
    last = {record.identity: n for n, batch in enumerate(batches) for record in batch.records}
    parts = (
        _part(batch, [row for row, record in enumerate(batch.records) if last[record.identity] == n])
        for n, batch in enumerate(batches)
    )
    return [part for part in parts if len(part)]


def _part(batch: Batch, rows: Sequence[int]) -> Batch:
    if len(rows) == len(batch):
        return batch
    vectors = None if batch.vectors is None else batch.vectors[np.array(rows, np.intp)]
    return replace(batch, records=[batch.records[row] for row in rows], vectors=vectors)
