"""How a topic's Kafka key is made of a product's source and id, and read back."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cached_property

__all__ = ["KeyTemplate"]

_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")


class KeyTemplate:
    """A template such as `{source}/{id}`.

    Reading back gives each placeholder the shortest text that fits, the last one the rest: a source must not contain
    the text that follows it in the template.
    """

    def __init__(self, template: str) -> None:
        self.template = template
        self.names: tuple[str, ...] = tuple(_PLACEHOLDER.findall(template))

    def problem(self, allowed: frozenset[str]) -> str | None:
        """Why this template cannot be used with these placeholders; None where it can."""
        unknown = [name for name in self.names if name not in allowed]
        choice = " and ".join(f"{{{name}}}" for name in sorted(allowed))
        if unknown:
            return f"the key template {self.template!r} has the unknown placeholder {{{unknown[0]}}}: use {choice}"
        if not self.names:
            return f"the key template {self.template!r} names no placeholder: use {choice}"
        if len(set(self.names)) < len(self.names):
            return f"the key template {self.template!r} names a placeholder twice"
        if "}{" in self.template:
            return f"the key template {self.template!r} needs a character between its placeholders"
        if re.search(r"[{}]", _PLACEHOLDER.sub("", self.template)):
            return f"the key template {self.template!r} has a brace that is not closed"
        return None

    def make(self, values: Mapping[str, str]) -> str:
        """The key of these values. Raises KeyError where one is missing."""
        return _PLACEHOLDER.sub(lambda match: values[match[1]], self.template)

    def read(self, key: str) -> dict[str, str] | None:
        """The values that a key was made of; None where it does not fit the template."""
        match = self._pattern.fullmatch(key)
        return None if match is None else match.groupdict()

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        parts = _PLACEHOLDER.split(self.template)  # literal, name, literal, name, ..., literal
        pattern = re.escape(parts[0])
        for name, literal in zip(parts[1::2], parts[2::2], strict=True):
            pattern += f"(?P<{name}>.+?)" + re.escape(literal)
        return re.compile(pattern, re.DOTALL)
