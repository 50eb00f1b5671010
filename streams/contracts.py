"""The contracts that the settings name."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from detectors.contract.load import load_contract, sample_contract
from detectors.contract.model import Contract, Kind
from streams.errors import ConfigError

__all__ = ["contracts_of"]


def contracts_of(topics: Mapping[str, Path | None], kind: Kind) -> dict[str, Contract]:
    """The contract of each source topic; where none is named, the sample contract of its kind.

    Raises: ContractError; ConfigError for a contract of the other kind.
    """
    contracts: dict[str, Contract] = {}
    for topic, path in topics.items():
        contract = sample_contract(kind) if path is None else load_contract(path)
        if contract.kind is not kind:
            raise ConfigError(
                f"The contract of topic {topic} is one of {contract.kind}, not of {kind}.",
                f"Name the topic under [{contract.kind}] in the settings, or correct the roles in {path}.",
            )
        contracts[topic] = contract
    return contracts
