"""Remembering what texts and words came to: feeds repeat themselves, and long texts would fill the memory."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from functools import lru_cache, wraps
from inspect import signature
from typing import Concatenate, ParamSpec, TypeVar, cast

__all__ = ["Known", "memoised"]

P = ParamSpec("P")
R = TypeVar("R")
K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

KNOWN = 1 << 16


class Known(dict[K, V]):
    """What a function makes of words, remembered for up to `KNOWN` of them, and then learned again.

    An `lru_cache` takes twice as long to find one, and writes down each time that it did.
    """

    def __init__(self, function: Callable[[K], V]) -> None:
        super().__init__()
        self._function = function

    def __missing__(self, word: K) -> V:
        if len(self) >= KNOWN:
            self.clear()
        found = self[word] = self._function(word)
        return found


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
