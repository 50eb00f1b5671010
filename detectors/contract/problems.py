"""What can be wrong with a contract."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

__all__ = ["ContractError", "Problem", "did_you_mean"]


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with a contract.

    line: 1 for the first. path: where in the contract, such as `schema[products].properties[price].logicalType`;
    empty for the whole. message: what is wrong. suggestion: what would be right.
    """

    line: int
    path: str
    message: str
    suggestion: str | None = None

    def __str__(self) -> str:
        where = f"line {self.line}" + (f", {self.path}" if self.path else "")
        return f"{where}: {self.message}" + (f" {self.suggestion}" if self.suggestion else "")


class ContractError(Exception):
    """A contract cannot be used. `problems` has everything that is wrong with it; there is at least one."""

    def __init__(self, name: str, problems: Sequence[Problem]) -> None:
        self.name = name
        self.problems = tuple(problems)
        more = f" ({len(problems) - 1} more: streamgauge contract check {name})" if len(problems) > 1 else ""
        super().__init__(f"The contract {name} cannot be used: {problems[0]}{more}")

    def __reduce__(self) -> tuple[type[ContractError], tuple[str, tuple[Problem, ...]]]:
        return type(self), (self.name, self.problems)


def did_you_mean(word: object, known: Iterable[str]) -> str | None:
    """`Did you mean x?` where one of the known words is close; None where none is."""
    by_lower = {k.lower(): k for k in known}
    close = get_close_matches(str(word).lower(), by_lower, n=1, cutoff=0.7)
    return f"Did you mean `{by_lower[close[0]]}`?" if close else None
