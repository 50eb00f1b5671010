"""Contracts of the simulated marketplace."""
