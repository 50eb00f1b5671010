from __future__ import annotations

import json
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.careful_json import OddityKind, TooDeepError, depth_of, read_carefully

_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)  # fmt: skip


@given(_JSON)
def test_sound_json_reads_as_itself(value: Any) -> None:
    careful = read_carefully(json.dumps(value), 50)
    assert careful.value == value
    assert careful.oddities == ()
    assert not careful.changed


@given(st.text(alphabet='{}[]":,0123456789eE+-.\\ud8ntfN aI', max_size=40))
def test_what_is_read_can_be_written(text: str) -> None:
    try:
        careful = read_carefully(text, 5)
    except (json.JSONDecodeError, TooDeepError):
        return
    assert orjson.loads(orjson.dumps(careful.value)) == careful.value


@pytest.mark.parametrize(
    ("text", "value", "oddities"),
    [
        ('{"a": 1, "a": 2}', {"a": 2}, [(OddityKind.DUPLICATE_KEY, "a", "a")]),
        ('{"o": {"a": 1, "a": 2}}', {"o": {"a": 2}}, [(OddityKind.DUPLICATE_KEY, "o", "a")]),
        ('{"a": 18446744073709551616}', {"a": "18446744073709551616"}, [
            (OddityKind.HUGE_NUMBER, "a", "18446744073709551616")]),
        ('{"a": -1e400}', {"a": "-1e400"}, [(OddityKind.HUGE_NUMBER, "a", "-1e400")]),
        ('{"a": [NaN, -Infinity]}', {"a": [None, None]}, [
            (OddityKind.NOT_A_NUMBER, "a", "NaN"), (OddityKind.NOT_A_NUMBER, "a", "-Infinity")]),
        ('{"a": "x\\ud800"}', {"a": "x\ufffd"}, [(OddityKind.LONE_SURROGATE, "a", "x\ufffd")]),
        ('{"\\udc00": 1}', {"\ufffd": 1}, [(OddityKind.LONE_SURROGATE, "\ufffd", "\ufffd")]),
    ],
)  # fmt: skip
def test_oddities(text: str, value: Any, oddities: list[tuple[OddityKind, str, str]]) -> None:
    careful = read_carefully(text, 50)
    assert careful.value == value
    assert [(o.kind, o.column, o.text) for o in careful.oddities] == oddities
    assert careful.changed


@pytest.mark.parametrize(
    ("number", "changed"),
    [("0.1", False), ("1e3", False), ("0.30000000000000004", False), ("0.1234567890123456789", True), ("1e-400", True),
     ("1e-99999999999999999999", True), ("18446744073709551615", False)],
)  # fmt: skip
def test_numbers_that_a_float_does_not_keep(number: str, changed: bool) -> None:
    assert read_carefully(number, 1).changed is changed


def test_depth() -> None:
    assert [depth_of(v) for v in (1, {}, [], {"a": [{}]}, [[[]], []])] == [0, 1, 1, 3, 3]
    assert read_carefully('{"a": [1]}', 2).value == {"a": [1]}
    for text in ('{"a": [[1]]}', "[" * 100_000):
        with pytest.raises(TooDeepError):
            read_carefully(text, 2)
