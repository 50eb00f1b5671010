"""Remembering what short texts came to: feeds repeat themselves, and long texts would fill the memory."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, wraps
from typing import Concatenate, ParamSpec, TypeVar

__all__ = ["memoised"]

P = ParamSpec("P")
R = TypeVar("R")


def memoised(
    entries: int, longest: int, cut: int | None = None
) -> Callable[[Callable[Concatenate[str, P], R]], Callable[Concatenate[str, P], R]]:
    """Keeps the results for the last `entries` texts of up to `longest` characters; of longer ones keeps nothing.

    cut: how many characters of a text are read, where the rest of a long one says nothing.
    """

    def decorate(function: Callable[Concatenate[str, P], R]) -> Callable[Concatenate[str, P], R]:
        remembered = lru_cache(maxsize=entries)(function)

        @wraps(function)
        def call(text: str, /, *args: P.args, **kwargs: P.kwargs) -> R:
            if len(text) > longest:
                text = text[:cut]
                if len(text) > longest:
                    return function(text, *args, **kwargs)
            if not args and not kwargs:
                return remembered(text)
            return remembered(text, *args, **kwargs)  # type: ignore[arg-type]  # every argument here is hashable

        return call

    return decorate
