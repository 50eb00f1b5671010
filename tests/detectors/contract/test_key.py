from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.contract.key import KeyTemplate

_BOTH = frozenset({"source", "id"})


@given(st.text(min_size=1).filter(lambda s: "/" not in s), st.text(min_size=1))
def test_a_key_gives_its_parts_back(source: str, product: str) -> None:
    template = KeyTemplate("{source}/{id}")
    assert template.read(template.make({"source": source, "id": product})) == {"source": source, "id": product}


@pytest.mark.parametrize(
    ("template", "key", "parts"),
    [
        ("{id}", "a/b", {"id": "a/b"}),
        ("p:{id}.v1", "p:7.v1", {"id": "7"}),
        ("p:{id}.v1", "p:7", None),
        ("{source}/{id}", "acme/", None),
        ("{source}/{id}", "acme/1/2", {"source": "acme", "id": "1/2"}),
        ("{id}@{source}", "远东@天猫", {"id": "远东", "source": "天猫"}),
    ],
)
def test_reading(template: str, key: str, parts: dict[str, str] | None) -> None:
    assert KeyTemplate(template).read(key) == parts


@pytest.mark.parametrize(
    ("template", "problem"),
    [
        ("{source}/{id}", None),
        ("{id}", None),
        ("{sku}", "unknown placeholder {sku}"),
        ("x", "names no placeholder"),
        ("{id}-{id}", "twice"),
        ("{source}{id}", "a character between"),
        ("{id}}", "brace that is not closed"),
    ],
)
def test_problems(template: str, problem: str | None) -> None:
    found = KeyTemplate(template).problem(_BOTH)
    assert (found is None) if problem is None else (found is not None and problem in found)
