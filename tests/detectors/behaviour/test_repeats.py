from __future__ import annotations

import pickle

import pytest

from detectors.behaviour.repeats import RepeatDetector
from detectors.contract.model import Contract, Kind
from detectors.records import Batch
from tests.detectors.products import BEHAVIORS, NOW, behaviour_batch

EVENT = {"event_id": "e1", "user": "u1", "product": "p1", "type": "view", "time": "2025-10-09T08:53:20Z", "price": 5.0}


def _names(detector: RepeatDetector, batch: Batch) -> list[tuple[int, str]]:
    return [(finding.row, finding.rule.name) for finding in detector.detect(batch)]


def test_the_same_event_at_another_place_is_a_repeat() -> None:
    detector = RepeatDetector()
    found = detector.detect(behaviour_batch([EVENT, {**EVENT, "event_id": "e2", "time": "later"}, EVENT]))
    assert [(f.row, f.rule.name, f.confidence) for f in found] == [(2, "behavior.repeat", 0.99)]
    assert found[0].evidence.reason == "The same event was seen before at behaviors/0/0."


def test_the_very_same_place_again_is_no_repeat_and_says_what_it_said() -> None:
    detector = RepeatDetector()
    batch = behaviour_batch([EVENT, EVENT, {**EVENT, "event_id": "e2"}])
    first = _names(detector, batch)
    assert first == [(1, "behavior.repeat"), (2, "behavior.replay")]
    assert _names(detector, batch) == first


def test_an_earlier_place_that_is_seen_later_is_the_first_one() -> None:
    detector = RepeatDetector()
    assert _names(detector, behaviour_batch([EVENT], offsets=[20])) == []
    assert _names(detector, behaviour_batch([EVENT], offsets=[10])) == []
    assert _names(detector, behaviour_batch([EVENT], offsets=[20])) == [(0, "behavior.repeat")]


def test_the_same_content_under_another_id_is_a_replay() -> None:
    assert _names(RepeatDetector(), behaviour_batch([EVENT, {**EVENT, "event_id": "e2"}])) == [(1, "behavior.replay")]


@pytest.mark.parametrize("column", ["user", "product", "type", "time", "price"])
def test_another_content_under_another_id_is_neither(column: str) -> None:
    assert _names(RepeatDetector(), behaviour_batch([EVENT, {**EVENT, "event_id": "e2", column: "else"}])) == []


@pytest.mark.parametrize("missing", ["user", "time"])
def test_without_user_or_time_content_says_nothing(missing: str) -> None:
    anonymous = {**EVENT, missing: None}
    assert _names(RepeatDetector(), behaviour_batch([anonymous, {**anonymous, "event_id": "e2"}])) == []


def test_the_same_id_with_another_content_is_neither() -> None:
    assert _names(RepeatDetector(), behaviour_batch([EVENT, {**EVENT, "price": 6.0}])) == []


def test_the_same_id_long_after_is_a_replay() -> None:
    batch = behaviour_batch([EVENT, EVENT, EVENT], timestamps=[NOW, NOW + 600_000, NOW + 600_001])
    assert _names(RepeatDetector(), batch) == [(1, "behavior.repeat"), (2, "behavior.replay")]


def test_events_without_an_id_are_known_by_their_content() -> None:
    columns = tuple(column for column in BEHAVIORS.columns if column.name != "event_id")
    contract = Contract("bare", "1", "behaviors", Kind.BEHAVIORS, columns, frozenset(c.name for c in columns))
    event = {name: value for name, value in EVENT.items() if name != "event_id"}
    found = RepeatDetector().detect(behaviour_batch([event, {**event, "user": "u2"}, event], contract=contract))
    assert [(f.row, f.rule.name, f.confidence) for f in found] == [(2, "behavior.replay", 0.8)]


def test_memory_is_bounded_and_survives_pickling() -> None:
    detector = RepeatDetector(capacity=100)
    for n in range(0, 1000, 10):
        rows = [{**EVENT, "event_id": f"e{i}", "user": f"u{i}"} for i in range(n, n + 10)]
        assert _names(detector, behaviour_batch(rows, offsets=range(n, n + 10))) == []
        assert len(detector._ids) + len(detector._old_ids) <= 100
    copied = pickle.loads(pickle.dumps(detector))
    again = behaviour_batch([{**EVENT, "event_id": "e960", "user": "u960"}], offsets=[2000])
    assert _names(copied, again) == [(0, "behavior.repeat")]
    forgotten = behaviour_batch([{**EVENT, "event_id": "e5", "user": "u5"}], offsets=[2001])
    assert _names(copied, forgotten) == []


def test_a_capacity_that_remembers_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="capacity"):
        RepeatDetector(capacity=1)
