"""The anomaly classifier: a small network over the evidence of `detectors.anomalies`.

It is trained with torch (`models.anomaly_training`); its few thousand weights are applied with numpy, so that what
judges the stream need not load torch for them.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from detectors.anomalies import FEATURES, KINDS
from models.errors import ArtefactError
from models.folder import check_folder, written_folder

__all__ = ["CLIP", "NEVER", "AnomalyModel", "Layer", "TrainingReport"]

CLIP = 6.0  # standard deviations beyond which a feature says no more
NEVER = 2.0  # a threshold that no probability reaches

_FORMAT = 2
_FACTS = "anomalies.json"
_WEIGHTS = "anomalies.safetensors"
_FILES = (_WEIGHTS, _FACTS)
_ROOT = math.sqrt(2 / math.pi)
_SATURATED = 80.0  # a logit beyond which the exponential says no more than 0 or 1


@dataclass(frozen=True, slots=True)
class TrainingReport:
    """How training went.

    records: sound records it had. recall: per fault, the share that passes the threshold. false_alarms: per kind, the
    share of sound records that do. Both on records that the scoring network had not seen.
    """

    records: int
    recall: dict[str, float]
    false_alarms: dict[str, float]

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {"records": self.records, "recall": self.recall, "false_alarms": self.false_alarms}


@dataclass(frozen=True, slots=True)
class Layer:
    """A linear layer of each member of the ensemble. weight: (members, in, out) float32. bias: (members, 1, out)."""

    weight: NDArray[np.float32]
    bias: NDArray[np.float32]


class AnomalyModel:
    """A trained classifier; fits `detectors.anomalies.AnomalyScorer`.

    layers: of the members, whose logits are averaged, one for each kind; GELU (its form with tanh; Hendrycks and
    Gimpel, "Gaussian Error Linear Units", 2016) between them. center, spread: (features,) for standardising.
    platt: (2, kinds), slope and shift of the logits. thresholds: (kinds,). typical: (features,) medians.
    report: how it did in training, on records that it had not seen.
    """

    def __init__(
        self,
        layers: Sequence[Layer],
        center: NDArray[np.float32],
        spread: NDArray[np.float32],
        platt: NDArray[np.float32],
        thresholds: NDArray[np.float32],
        typical: NDArray[np.float32],
        report: TrainingReport,
    ) -> None:
        self.layers = tuple(layers)
        self.center = center
        self.spread = spread
        self.platt = platt
        self.thresholds = thresholds
        self.typical = typical
        self.report = report
        self.name = f"anomalies/{_FORMAT}-{_digest(self._arrays())}"

    def score(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """(n, f) features -> (n, kinds): the probability, 0-1, that a finding of this kind would be right."""
        x: NDArray[np.float32] = np.clip((features - self.center) / self.spread, -CLIP, CLIP)
        for place, layer in enumerate(self.layers):
            x = (_gelu(x) if place else x) @ layer.weight + layer.bias  # (members, n, out)
        logits = x.mean(axis=0) * self.platt[0] + self.platt[1]
        scores: NDArray[np.float32] = 1 / (1 + np.exp(-np.clip(logits, -_SATURATED, _SATURATED)))
        return scores

    def save(self, folder: Path) -> None:
        """Write the model as a folder of JSON and safetensors. One that is there already is replaced whole.

        Raises: ArtefactError where the folder holds anything else or cannot be written.
        """
        facts = {
            "format": _FORMAT,
            "features": [feature.name for feature in FEATURES],
            "kinds": list(KINDS),
            "report": self.report.as_dict(),
        }
        with written_folder(folder, _FILES) as unfinished:
            save_file(self._arrays(), unfinished / _WEIGHTS)
            (unfinished / _FACTS).write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")

    @staticmethod
    def check_target(folder: Path) -> None:
        """Raises: ArtefactError where `save` would refuse this folder for what it holds."""
        check_folder(folder, _FILES)

    @classmethod
    def load(cls, folder: Path) -> AnomalyModel:
        """Read what `save` wrote.

        Raises: ArtefactError where it is missing, damaged, or was made for other features than these.
        """
        again = "Train it again with streamgauge train anomalies."
        try:
            facts = json.loads((folder / _FACTS).read_text(encoding="utf-8"))
            arrays = load_file(folder / _WEIGHTS)
            made_for = (facts["format"], facts["features"], facts["kinds"])
            if made_for != (_FORMAT, [feature.name for feature in FEATURES], list(KINDS)):
                raise ArtefactError(f"The anomaly model in {folder} was made by another version.", again)
            return cls(
                _layers(arrays),
                center=arrays["center"],
                spread=arrays["spread"],
                platt=arrays["platt"],
                thresholds=arrays["thresholds"],
                typical=arrays["typical"],
                report=TrainingReport(**facts["report"]),
            )
        except FileNotFoundError as error:
            raise ArtefactError(f"There is no anomaly model in {folder}.", again) from error
        except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
            raise ArtefactError(f"The anomaly model in {folder} cannot be read ({error}).", again) from error

    def _arrays(self) -> dict[str, NDArray[np.float32]]:
        return {
            **{f"layers.{k}.weight": layer.weight for k, layer in enumerate(self.layers)},
            **{f"layers.{k}.bias": layer.bias for k, layer in enumerate(self.layers)},
            "center": self.center,
            "spread": self.spread,
            "platt": self.platt,
            "thresholds": self.thresholds,
            "typical": self.typical,
        }


def _layers(arrays: Mapping[str, NDArray[np.float32]]) -> list[Layer]:
    """Raises: KeyError, ValueError where they are missing or do not follow one on another."""
    count = sum(name.endswith(".weight") for name in arrays)
    layers = [Layer(arrays[f"layers.{k}.weight"], arrays[f"layers.{k}.bias"]) for k in range(count)]
    sizes = [len(FEATURES), *(layer.weight.shape[-1] for layer in layers)]
    members = len(layers[0].weight) if layers else 0
    for layer, into, out in zip(layers, sizes, sizes[1:], strict=False):
        if layer.weight.shape != (members, into, out) or layer.bias.shape != (members, 1, out):
            raise ValueError(f"a layer has the shape {layer.weight.shape}")
    if sizes[-1] != len(KINDS) or not members:
        raise ValueError("the last layer is missing")
    return layers


def _gelu(x: NDArray[np.float32]) -> NDArray[np.float32]:
    half = x * np.float32(0.5)
    return half + half * np.tanh(np.float32(_ROOT) * (x + np.float32(0.044715) * x * x * x))


def _digest(arrays: Mapping[str, NDArray[np.float32]]) -> str:
    digest = hashlib.blake2b(digest_size=4)
    for name in sorted(arrays):
        digest.update(name.encode())
        digest.update(arrays[name].tobytes())
    return digest.hexdigest()
