"""Remembering what short texts came to: feeds repeat themselves, and long texts would fill the memory."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, wraps
from inspect import signature
from typing import Concatenate, ParamSpec, TypeVar, cast

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
        remembered = cast(Callable[Concatenate[str, P], R], lru_cache(maxsize=entries)(function))

        @wraps(function)
        def call(text: str, /, *args: P.args, **kwargs: P.kwargs) -> R:
            if len(text) > longest:
                text = text[:cut]
                if len(text) > longest:
                    return function(text, *args, **kwargs)
            return remembered(text, *args, **kwargs)

        if len(signature(function).parameters) > 1:
            return call
        of_text, remembered_text = cast(Callable[[str], R], function), cast(Callable[[str], R], remembered)

        # Collecting and handing on arguments that are never given costs more than looking up what is known.
        @wraps(function)
        def call_of_text(text: str, /) -> R:
            if len(text) > longest:
                text = text[:cut]
                if len(text) > longest:
                    return of_text(text)
            return remembered_text(text)

        return cast(Callable[Concatenate[str, P], R], call_of_text)

    return decorate
