"""Labelled pairs of products, for training a matcher and for measuring it: the stream's own candidates and links."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from detectors.contract.model import Contract, Kind
from detectors.duplicates.candidates import details_of, features_of, sources_of
from detectors.duplicates.matcher import COLUMNS, Matcher, columns_of
from detectors.duplicates.view import CatalogueView, Hits
from models.matcher import LabelledPairs
from models.protocol import Encoder
from streams.delimiters import no_column
from streams.errors import InputError
from streams.evaluate.duplicates.run import Run
from streams.files import read_rows
from streams.product_files import OnInput, ProductFiles

__all__ = ["MatcherReport", "evaluate_matcher", "labelled_pairs", "pair_columns"]

_BATCH = 256

Progress = Callable[[int], None]
"""Called with the number of records handled so far."""

Label = tuple[str, str, int]
"""Id in the first file, id in the last file, 1 for the same product or 0."""


@dataclass(frozen=True, slots=True)
class MatcherReport:
    """What a matcher makes of labelled pairs.

    precision, recall, f1: each pair judged on its own, with all products known. stream: the same figures where a pair
    counts as found when the stream with this matcher has both in one cluster at the end; there each product has one
    partner only, unless a code or GTIN names more. pairs: labelled ones that are in the data. same: those of them that
    are the same product. unknown: pairs of which a record is not in the data.
    """

    precision: float
    recall: float
    f1: float
    stream: Mapping[str, float]
    pairs: int
    same: int
    unknown: int


def pair_columns(text: str) -> tuple[str, str, str]:
    """The three columns named by `--pair-columns`. Raises: InputError."""
    names = [name.strip() for name in text.split(",")]
    if len(names) != 3 or not all(names):
        raise InputError(
            f"--pair-columns {text!r} does not name three columns.",
            "Write the ids of both records and the label, as ltable_id,rtable_id,label.",
        )
    return names[0], names[1], names[2]


def labelled_pairs(
    contract: Contract,
    files: Sequence[Path],
    pairs: Sequence[Path],
    columns: tuple[str, str, str],
    encoder: Encoder,
    *,
    delimiter: str | None = None,
    pairs_delimiter: str | None = None,
    on_input: OnInput | None = None,
    progress: Progress | None = None,
) -> LabelledPairs:
    """Stream the files, and keep all candidates with what a matcher looks at and the labels that are known.

    pairs: files of labelled pairs; the first of `columns` names ids of the first data file, the second of the last.
    on_input: is told what was left out.

    Raises: InputError (also where the data has none of the pairs), FileError, models.EncoderError.
    """
    labels = [label for path in pairs for label in _labels(path, columns, pairs_delimiter)]
    run, candidates = _candidates(contract, files, encoder, delimiter, on_input, progress)
    known, _ = _in_data(run, labels, len(files) - 1, pairs[0])
    label = candidates.label.copy()
    place = {pair: i for i, pair in enumerate(zip(candidates.later, candidates.earlier, strict=True))}
    missed = 0
    for a, b, same in known:
        i = place.get((b, a), place.get((a, b)))
        if i is not None:
            label[i] = same
        else:
            missed += same
    return replace(candidates, label=label, missed=missed)


def evaluate_matcher(
    contract: Contract,
    files: Sequence[Path],
    pairs: Path,
    columns: tuple[str, str, str],
    encoder: Encoder,
    matcher: Matcher,
    *,
    delimiter: str | None = None,
    pairs_delimiter: str | None = None,
    on_input: OnInput | None = None,
    progress: Progress | None = None,
) -> MatcherReport:
    """Stream the files with this matcher deciding, and compare the clusters with the labels.

    on_input: is told what was left out.

    Raises: InputError (also where the data has none of the pairs), FileError, models.EncoderError.
    """
    labels = list(_labels(pairs, columns, pairs_delimiter))
    run, candidates = _candidates(contract, files, encoder, delimiter, on_input, progress, matcher)
    known, unknown = _in_data(run, labels, len(files) - 1, pairs)
    accepted: set[tuple[str, str]] = set()
    if len(candidates.columns):
        kept = np.flatnonzero(matcher.accepts(candidates.columns, candidates.later, candidates.earlier))
        accepted = {(candidates.later[i], candidates.earlier[i]) for i in kept.tolist()}
    label = [same for _, _, same in known]
    alone = _figures([(a, b) in accepted or (b, a) in accepted for a, b, _ in known], label)
    together = _figures([run.owner.canonical(a) == run.owner.canonical(b) for a, b, _ in known], label)
    return MatcherReport(**alone, stream=together, pairs=len(known), same=sum(label), unknown=unknown)


def _figures(found: Sequence[bool], label: Sequence[int]) -> dict[str, float]:
    right = sum(same for same, is_found in zip(label, found, strict=True) if is_found)
    precision, recall = right / max(1, sum(found)), right / max(1, sum(label))
    f1 = 2 * precision * recall / max(precision + recall, 1e-12)
    return {"precision": round(precision, 4), "recall": round(recall, 4), "f1": round(f1, 4)}


def _candidates(
    contract: Contract,
    files: Sequence[Path],
    encoder: Encoder,
    delimiter: str | None,
    on_input: OnInput | None,
    progress: Progress | None,
    matcher: Matcher | None = None,
) -> tuple[Run, LabelledPairs]:
    """Stream the files, and keep all candidates with what a matcher looks at; none has a label yet."""
    later: list[str] = []
    earlier: list[str] = []
    found: list[NDArray[np.float64]] = []

    def observe(view: CatalogueView, hits: Hits) -> None:
        comparison = view.evidence.compare(np.maximum(hits.row, 0), hits.candidates)
        features = features_of(view, hits, comparison)
        rows, places = np.nonzero(features.there)
        sources = sources_of(view, hits) if run.clean else None
        found.append(columns_of(features, details_of(view, hits), sources)[rows, places])
        later.extend(hits.identities[row] for row in rows.tolist())
        earlier.extend(view.identity_at(row) for row in hits.candidates[rows, places].tolist())

    if contract.kind is not Kind.PRODUCTS:
        raise InputError("Duplicates are looked for among products.", "Give the contract of a product topic.")
    if not 1 <= len(files) <= 2:
        raise InputError(f"{len(files)} data files are given.", "Give --data once or twice.")
    given = ProductFiles(contract, files, delimiter)
    run = Run(contract, encoder, observe=observe, took=given.took)
    run.view.matcher = matcher
    rows = ((part, row) for part in range(len(files)) for row in given.rows(part))
    number = 0
    while chunk := list(islice(rows, _BATCH)):
        run.take([given.record(part, row) for part, row in chunk])
        number += len(chunk)
        if progress is not None:
            progress(number)
    given.finish(on_input)
    columns = np.concatenate(found) if found else np.zeros((0, len(COLUMNS)))
    return run, LabelledPairs(later, earlier, columns, np.full(len(later), -1, np.int8))


def _labels(path: Path, columns: tuple[str, str, str], delimiter: str | None) -> Iterator[Label]:
    for row in read_rows(path, delimiter):
        if row.fields is None:
            raise InputError(f"Row {row.number} of {path} does not fit its header.", "Check the file.")
        missing = [column for column in columns if column not in row.fields]
        if missing:
            raise no_column(path, missing[0], row.fields, "--pair-columns", delimiter, "--pairs-delimiter")
        a, b, label = (str(row.fields[column]).strip() for column in columns)
        if label not in ("0", "1"):
            raise InputError(f"Row {row.number} of {path} is labelled {label!r}.", "A label is 1 (same product) or 0.")
        yield a, b, int(label)


def _in_data(run: Run, labels: Sequence[Label], second: int, path: Path) -> tuple[list[Label], int]:
    """The labels with identities in the place of ids, and how many are of records that the data has not."""
    known: list[Label] = []
    for a, b, label in labels:
        first, last = run.identity.get((0, a)), run.identity.get((second, b))
        if first is not None and last is not None:
            known.append((first, last, label))
    if labels and not known:
        raise InputError(
            f"No pair of {path} is in the data.",
            "Check the order of --data and of --pair-columns, --delimiter, and the column that the contract calls id.",
        )
    return known, len(labels) - len(known)
