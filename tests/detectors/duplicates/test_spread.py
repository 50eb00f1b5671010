"""A dict in parts."""

from __future__ import annotations

from detectors.duplicates.spread import Spread


def test_what_was_put_is_found_in_its_part_whatever_the_key() -> None:
    names: Spread[str, int] = Spread()
    for n in range(1000):
        names.among(f"p{n}")[f"p{n}"] = n
    assert [names.among(f"p{n}").get(f"p{n}") for n in range(1000)] == list(range(1000))
    assert sorted(names.values()) == list(range(1000))
    assert "p1000" not in names.among("p1000")


def test_no_part_has_much_more_than_its_share_also_where_the_last_bits_of_all_keys_are_the_same() -> None:
    numbers: Spread[int, None] = Spread()
    keys = [(n * 0x9E3779B97F4A7C15) % (1 << 64) | 1 for n in range(50_000)]
    for key in keys:
        numbers.among(key)[key] = None
    largest = max(len(numbers.among(key)) for key in keys)
    assert largest < 2 * len(keys) / 256, largest
