"""Words of a contract that its check and its reader share."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from detectors.contract.model import Kind, Role
from detectors.records import Dimension, Severity

__all__ = [
    "BEHAVIOUR_ROLES",
    "DIMENSIONS",
    "KEY_PLACEHOLDERS",
    "NEEDED_ROLES",
    "PRODUCT_ROLES",
    "SEVERITIES",
    "SURVIVING_ROLES",
    "custom_properties",
    "infer_kind",
]

BEHAVIOUR_ROLES = frozenset(
    {
        Role.EVENT_ID,
        Role.USER,
        Role.SESSION,
        Role.PRODUCT,
        Role.TYPE,
        Role.TIME,
        Role.PRICE,
        Role.CURRENCY,
        Role.QUERY,
        Role.REVIEW,
        Role.SOURCE,
    }
)
_BEHAVIOUR_ONLY = BEHAVIOUR_ROLES - {Role.PRICE, Role.CURRENCY, Role.SOURCE}
PRODUCT_ROLES = frozenset(Role) - _BEHAVIOUR_ONLY

# What a golden record takes from its offers by a policy of its own; a currency comes with its price.
SURVIVING_ROLES = frozenset(
    {Role.TITLE, Role.DESCRIPTION, Role.BRAND, Role.CATEGORY, Role.PRICE, Role.GTIN, Role.MPN, Role.URL, Role.IMAGE}
)

NEEDED_ROLES: Mapping[Kind, tuple[Role, ...]] = {
    Kind.PRODUCTS: (Role.ID, Role.TITLE),
    Kind.BEHAVIORS: (Role.PRODUCT,),
}

KEY_PLACEHOLDERS: Mapping[Kind, frozenset[str]] = {
    Kind.PRODUCTS: frozenset({"source", "id"}),
    Kind.BEHAVIORS: frozenset({"source", "event_id", "user", "session", "product"}),
}

# The standard leaves severity free; these words are common.
SEVERITIES: Mapping[str, Severity] = {
    "info": Severity.INFO,
    "low": Severity.INFO,
    "warning": Severity.WARNING,
    "warn": Severity.WARNING,
    "medium": Severity.WARNING,
    "error": Severity.ERROR,
    "high": Severity.ERROR,
    "critical": Severity.CRITICAL,
}

DIMENSIONS: Mapping[str, Dimension] = {d.value: d for d in Dimension} | {"coverage": Dimension.COMPLETENESS}


def custom_properties(node: Mapping[str, Any]) -> Iterator[tuple[int, str, Any]]:
    """(position, name, value) of the custom properties of an element of a contract; malformed ones are left out."""
    listed = node.get("customProperties")
    for index, item in enumerate(listed if isinstance(listed, list) else ()):
        if isinstance(item, Mapping) and isinstance(item.get("property"), str) and "value" in item:
            yield index, item["property"], item["value"]


def infer_kind(roles: Collection[Role]) -> Kind | None:
    """What a topic carries, by the roles of its columns; None where they do not tell."""
    if any(role in _BEHAVIOUR_ONLY - {Role.TIME} for role in roles):
        return Kind.BEHAVIORS
    return Kind.PRODUCTS if Role.ID in roles else None
