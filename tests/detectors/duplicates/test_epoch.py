from __future__ import annotations

from detectors.duplicates.epoch import EpochPolicy


def test_epochs_come_at_each_growth() -> None:
    policy, counted, made = EpochPolicy(), 0, []
    for products in range(0, 100_000, 16):
        if policy.due(products, counted):
            counted = products
            made.append(products)
    assert made == [64, 128, 256, 512, 1024, 2048, 4096, 16384, 65536]


def test_a_large_catalogue_has_time_to_compute_its_rows_anew() -> None:
    policy = EpochPolicy()
    assert policy.margin(300_000, cells=True) == 150_000
    assert policy.margin(300, cells=True) == 500
    assert policy.margin(8_000, cells=False) == 500


def test_an_index_of_few_lists_does_not_hold_many_times_what_it_was_made_for() -> None:
    policy = EpochPolicy()
    assert not policy.due(131_071, 60_000)
    assert policy.due(131_072, 60_000)
    assert not policy.due(262_143, 65_536)
    assert policy.due(262_144, 65_536)
