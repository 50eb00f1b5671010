from __future__ import annotations

from itertools import islice

from tests.benchmarks.bad_input import generate, run


def test_every_bad_input_is_accounted_for() -> None:
    summary = run(20_000, seed=7)
    accounted = {name: count for name, count in summary.outcomes.items() if not name.startswith("finding")}
    assert sum(accounted.values()) == summary.inputs == 20_000
    whole = ("empty", "null_text", "no_value", "not_json", "not_an_object", "too_long", "too_deep", "wrong_encoding")
    errors = (*whole, "missing_id", "bad_id", "tombstone_key")
    for name in ("record", "tombstone", *(f"dead letter: {error}" for error in errors)):
        assert accounted[name] > 0, name


def test_the_same_seed_gives_the_same_inputs_and_outcomes() -> None:
    assert list(islice(generate(3, 500), 500)) == list(generate(3, 500))
    assert run(3_000, seed=3).outcomes == run(3_000, seed=3).outcomes
