"""A simulated marketplace: suppliers, shoppers, bots and planted faults whose truth is kept."""

from streams.marketplace.events import Event, FaultKind, Planted
from streams.marketplace.market import Marketplace, Mix

__all__ = ["Event", "FaultKind", "Marketplace", "Mix", "Planted"]
