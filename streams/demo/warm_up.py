"""What the demo makes before its worker starts: the encoder, and a classifier of anomalies."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from streams.marketplace import Marketplace
from streams.settings import Settings

__all__ = ["WarmUp"]

_RECORDS = 1500  # of the catalogue, to train on
_FALSE_ALARMS = 0.0002  # of each kind: within the minute every product is judged several times


class WarmUp:
    """Trains the anomaly classifier on the catalogue before faults begin, as a user would on a clean slice of theirs.

    Fits `streams.demo.driver.Prepare`. encoder: as in the settings.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def __call__(self, folder: Path, market: Marketplace, say: Callable[[str], None]) -> Mapping[str, Any]:
        """Settings for the worker. Raises: EncoderError, TrainingError."""
        # torch makes this folder for compiled kernels as soon as it trains, though nothing is compiled here
        os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(folder / "torch"))
        from detectors.contract.load import sample_contract
        from detectors.contract.model import Kind
        from detectors.records import StoredRecord
        from models.anomaly_training import train_anomalies
        from models.encoder import load_encoder
        from streams.sample import with_neighbours

        settings = self._settings
        encoder = load_encoder(
            settings.encoder,
            settings.encoder_path,
            cache_dir=settings.cache_dir,
            progress=lambda what, share: say(f"{what}: {share:.0%}"),
        )
        now = time.time_ns() // 1_000_000
        records = [
            StoredRecord("products", 0, offset, now, event.key, event.value, event.headers)
            for offset, event in zip(range(_RECORDS), market.warm_up(), strict=False)
        ]
        say(f"training the anomaly classifier on {len(records)} clean products")
        batches = with_neighbours(sample_contract(Kind.PRODUCTS), records, encoder)
        model = train_anomalies(batches, false_alarms=_FALSE_ALARMS)
        target = folder / "anomalies"
        model.save(target)
        return {"anomaly_model": str(target)}
