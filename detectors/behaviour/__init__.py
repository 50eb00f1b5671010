"""Detectors for behaviour events: repeats, unknown products, prices, times."""
