"""Which products of the data are one, from a file of pairs or from a column of the data."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from streams.delimiters import no_column
from streams.errors import InputError
from streams.evaluate.duplicates.run import Run
from streams.evaluate.duplicates.scores import Counts, pair_counts, pairs_among
from streams.files import Row, read_rows

__all__ = ["Truth", "TruthPairs", "read_pairs", "truth_of_column", "truth_of_pairs", "value_of"]


@dataclass(frozen=True, slots=True)
class Truth:
    """What is true of the products of one run.

    product: identity -> name of its true cluster (of pairs: their transitive closure), also of products that have no
    partner. pairs: (earlier, later) as a file of pairs names them, with no closure; None where a column is the truth.
    unknown: of a file the pairs that name an id that no product has; of a column the pairs of a row that reads and was
    refused. What does not read has no value there, and of rows with one id the last one counts.
    """

    product: Mapping[str, str | int]
    pairs: frozenset[tuple[str, str]] | None
    unknown: int

    def counts(self, clusters: Mapping[str, str]) -> Counts:
        """All pairs inside clusters against the true pairs."""
        if self.pairs is None:
            return pair_counts(list(clusters.values()), [self.product[identity] for identity in clusters])
        right = sum(clusters[a] == clusters[b] for a, b in self.pairs)
        return Counts(right, sum(map(pairs_among, Counter(clusters.values()).values())), len(self.pairs))

    def recall_at(self, k: int, run: Run) -> float:
        """The share of those that had a partner before them and met it among their first k candidates.

        Of a file of pairs each pair is one to be met; of a column each record that has any true partner before it.
        """
        if self.pairs is not None:
            met = sum(earlier in run.looked[later].candidates[:k] for earlier, later in self.pairs)
            return met / max(1, len(self.pairs))
        seen: set[str | int] = set()
        asked = met = 0
        for identity in sorted(self.product, key=run.order.__getitem__):
            product = self.product[identity]
            if product in seen:
                asked += 1
                met += any(self.product.get(other) == product for other in run.looked[identity].candidates[:k])
            seen.add(product)
        return met / max(1, asked)


@dataclass(frozen=True, slots=True)
class TruthPairs:
    """A file of pairs: its path, the names of its two columns, and their values."""

    path: Path
    columns: tuple[str, str]
    ids: Sequence[tuple[str, str]]


def read_pairs(path: Path, columns: tuple[str, str], delimiter: str | None) -> TruthPairs:
    """The pairs of a file. Raises: FileError, InputError."""
    return TruthPairs(path, columns, list(_ids(path, columns, delimiter)))


def _ids(path: Path, columns: tuple[str, str], delimiter: str | None) -> Iterator[tuple[str, str]]:
    for row in read_rows(path, delimiter):
        if row.fields is None:
            raise InputError(f"Row {row.number} of {path} does not fit its header.", "Check the file and --delimiter.")
        missing = [column for column in columns if column not in row.fields]
        if missing:
            raise no_column(path, missing[0], row.fields, "--truth-columns", delimiter)
        yield str(row.fields[columns[0]]).strip(), str(row.fields[columns[1]]).strip()


def truth_of_pairs(given: TruthPairs, run: Run, second: int) -> Truth:
    """second: number of the file whose ids the second column names.

    Raises: InputError where no pair is in the data.
    """
    unknown = 0
    pairs: set[tuple[str, str]] = set()
    closure = _Closure(run.view.identities())
    for a, b in given.ids:
        earlier, later = run.identity.get((0, a)), run.identity.get((second, b))
        if earlier is None or later is None:
            unknown += 1
        elif earlier != later:
            closure.join(earlier, later)
            pairs.add((earlier, later) if run.order[earlier] < run.order[later] else (later, earlier))
    if given.ids and unknown == len(given.ids):
        (a, b), (first, other) = given.ids[0], given.columns
        example = next((repr(identifier) for _, identifier in run.identity), "no product")
        raise InputError(
            f"No pair of {given.path} is in the data: it names {first} {a!r} and {other} {b!r}, the data has "
            f"{example}.",
            "Check the order of --data and of --truth-columns, --delimiter, and the column that the contract calls id.",
        )
    return Truth(closure.names(), frozenset(pairs), unknown)


def value_of(row: Row, column: str, path: Path, delimiter: str | None) -> str | None:
    """What a row has in the column that is the truth; None for nothing. Raises: FileError for no such column."""
    if row.fields is None:
        return None
    if column not in row.fields:
        raise no_column(path, column, row.fields, "--truth-cluster", delimiter)
    value = row.fields[column]
    return None if value is None else str(value).strip() or None


def truth_of_column(values: Mapping[int, str], column: str, run: Run) -> Truth:
    """values: number of the row -> its value, of rows that have one. Raises: InputError where no two products agree."""
    value = {identity: values[number] for number, identity in run.accepted.items() if number in values}
    here = Counter(value.values())
    everywhere = here + Counter(values[number] for number in run.refused if number in values)
    if not any(n > 1 for n in here.values()):
        raise InputError(
            f"No two products of the data have the same {column}, so there is no duplicate to find.",
            "Name with --truth-cluster a column that says which rows are one product.",
        )
    product: dict[str, str | int] = {
        identity: value.get(identity, number) for number, identity in enumerate(run.view.identities())
    }
    unknown = sum(pairs_among(n) - pairs_among(here[name]) for name, n in everywhere.items())
    return Truth(product, None, unknown)


class _Closure:
    """The transitive closure of pairs."""

    def __init__(self, identities: Iterable[str]) -> None:
        self._parent = {identity: identity for identity in identities}

    def join(self, a: str, b: str) -> None:
        self._parent[self._root(a)] = self._root(b)

    def names(self) -> dict[str, str | int]:
        return {identity: self._root(identity) for identity in self._parent}

    def _root(self, x: str) -> str:
        while (above := self._parent[x]) != x:
            self._parent[x] = self._parent[above]
            x = above
        return x
