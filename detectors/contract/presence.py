"""Columns of a contract that the data does not have: most often another name for one that it has."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from difflib import get_close_matches

from detectors.contract.draft import names_of
from detectors.contract.model import ConstraintKind, Contract, Role
from detectors.contract.terms import NEEDED_ROLES

__all__ = ["Absent", "absent_columns"]


@dataclass(frozen=True, slots=True)
class Absent:
    """A column of a contract that is in none of the rows.

    role: that the contract gives it. needed: whether records without it are rejected or found fault with.
    meant: the column of the data that was probably meant; None where nothing is close.
    """

    name: str
    role: Role | None
    needed: bool
    meant: str | None

    def __str__(self) -> str:
        return self.told()

    def told(self, first: int | None = None) -> str:
        """What is wrong, in a sentence. first: how many rows were looked at; None for all."""
        what = f"The column {self.name!r}" + (f" (role {self.role})" if self.role else "")
        rows = "the rows" if first is None else f"the first {first:,} rows"
        meant = f" Did you mean {self.meant!r}?" if self.meant is not None else ""
        return f"{what} of the contract is in none of {rows}.{meant}"


def absent_columns(contract: Contract, seen: Collection[str]) -> list[Absent]:
    """The columns of a contract that are not among the names seen in the data, in the contract's order.

    seen: in the data's order; of names that are as close the first is the one that was meant.
    """
    strange = [name for name in seen if name not in contract.known_columns]
    absent = []
    for column in contract.columns:
        if column.name not in seen:
            required = column.constraint(ConstraintKind.REQUIRED) is not None
            needed = required or column.role in NEEDED_ROLES[contract.kind]
            absent.append(Absent(column.name, column.role, needed, _meant(contract, column.name, column.role, strange)))
    for name in sorted(contract.known_columns - {column.name for column in contract.columns}):
        if name not in seen:
            absent.append(Absent(name, None, needed=False, meant=_meant(contract, name, None, strange)))
    return absent


def _meant(contract: Contract, name: str, role: Role | None, strange: list[str]) -> str | None:
    by_lower = {other.lower(): other for other in reversed(strange)}
    if close := get_close_matches(name.lower(), by_lower, 1, 0.7):
        return by_lower[close[0]]
    inside = [other for other in strange if len(other) > 1 and (other in name or (len(name) > 1 and name in other))]
    if inside:
        return min(inside, key=lambda other: (abs(len(other) - len(name)), strange.index(other)))
    return None if role is None else next(iter(names_of(role, contract.kind, strange)), None)
