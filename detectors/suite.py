"""The detectors of a topic, and every rule there is."""

from __future__ import annotations

from detectors.behaviour.price import CataloguePriceDetector
from detectors.behaviour.repeats import RepeatDetector
from detectors.behaviour.times import TimeDetector
from detectors.behaviour.unknown_product import UnknownProductDetector
from detectors.contract.model import Contract
from detectors.price import PriceDetector
from detectors.protocol import Detector
from detectors.records import Rule

__all__ = ["all_rules", "behavior_detectors", "product_detectors"]


def product_detectors(contract: Contract) -> list[Detector]:
    """The detectors of a topic of products, in the order in which they run."""
    return [PriceDetector()]


def behavior_detectors(contract: Contract) -> list[Detector]:
    """The detectors of a topic of behaviour events, in the order in which they run. They keep state: one list each."""
    return [RepeatDetector(), UnknownProductDetector(), CataloguePriceDetector(), TimeDetector()]


def all_rules() -> list[Rule]:
    """Every rule that a finding can name, by name."""
    raise NotImplementedError
