"""A simulated marketplace: suppliers, shoppers, bots and planted faults whose truth is kept."""

from streams.marketplace.events import Event, FaultKind, Planted
from streams.marketplace.market import Marketplace, Mix
from streams.marketplace.truth import Example, KindCount, Position, Report, Truth

__all__ = ["Event", "Example", "FaultKind", "KindCount", "Marketplace", "Mix", "Planted", "Position", "Report", "Truth"]
