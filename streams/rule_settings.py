"""Settings that name rules."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches

from detectors.suite import all_rules
from streams.errors import ConfigError

__all__ = ["check_auto_apply"]


def check_auto_apply(auto_apply: Mapping[str, float]) -> None:
    """Raises: ConfigError for a rule that there is none of, or a confidence that is none."""
    known = [rule.name for rule in all_rules()]
    for name, confidence in auto_apply.items():
        if name not in known:
            near = get_close_matches(name, known, 1)
            raise ConfigError(
                f"The setting auto_apply names the rule {name!r}, which there is none of.",
                f"Did you mean {near[0]!r}?" if near else "docs/rules.md lists them.",
            )
        if not 0 <= confidence <= 2:
            raise ConfigError(
                f"The setting auto_apply has {confidence:g} for {name}.",
                "Give the confidence from which its repairs are applied, 0 to 1; above 1 means never.",
            )
