"""Training the anomaly classifier.

It needs no labels. Sound records of the user's own stream are given faults (`models.corruption`) and the network
learns to tell them apart. What is left out of training is hardly found later, so every kind of fault is in.

Its scores are probabilities that a finding would be right, at the expected rate of faults: Platt, "Probabilistic
outputs for support vector machines", 1999, fitted on records that the network has not seen. The threshold of a kind is
the score that a sound record passes with the probability of the false-alarm budget. A sample of a thousand records does
not show what one in a thousand does, so the tail of the scores is taken as exponential (peaks over threshold; Coles,
"An Introduction to Statistical Modeling of Extreme Values", 2001).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import structlog
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from detectors.anomalies import FEATURES, KINDS, AnomalyFeatures, AnomalyKind
from detectors.records import Batch
from models.anomaly import CLIP, NEVER, AnomalyModel, Layer, TrainingReport
from models.corruption import FAULTS, corrupt, possible_faults
from models.errors import TrainingError
from models.threads import one_thread

__all__ = ["train_anomalies"]

_HIDDEN = 48
_FOLDS = 3
_EPOCHS = 12
_ROWS_PER_STEP = 256
_MIN_RECORDS = 100
_TOUCHED = {  # the features that a fault of a kind can change
    AnomalyKind.PRICE: (AnomalyKind.PRICE,),
    AnomalyKind.CATEGORY: (AnomalyKind.CATEGORY,),
    AnomalyKind.BRAND: (AnomalyKind.BRAND, AnomalyKind.DESCRIPTION),
    AnomalyKind.DESCRIPTION: (AnomalyKind.BRAND, AnomalyKind.DESCRIPTION),
}


@dataclass(frozen=True, slots=True)
class _Examples:
    """features: (n, f). targets: (n, kinds), 1 where the fault is of that kind. record: (n,) which record it was made
    from. fault: (n,) place in the list of faults, -1 for sound ones."""

    features: Tensor
    targets: Tensor
    record: NDArray[np.int64]
    fault: NDArray[np.int64]


def train_anomalies(
    batches: Sequence[Batch],
    *,
    false_alarms: float = 0.001,
    fault_rate: float = 0.01,
    seed: int = 0,
) -> AnomalyModel:
    """Train on batches of sound product records with their neighbours. Deterministic on one machine.

    false_alarms: the share of sound records that each kind may accuse. fault_rate: the expected share of records with
    a fault of one kind; the scores, read as probabilities, assume it.

    Raises: TrainingError below a hundred records, or where they have no neighbours.
    """
    log = structlog.get_logger(__name__)
    rng = np.random.default_rng(seed)
    examples = _examples(batches, rng)
    records = int(examples.record.max(initial=-1)) + 1
    if records < _MIN_RECORDS:
        raise TrainingError(
            f"There are {records} sound products with neighbours; at least {_MIN_RECORDS} are needed.",
            "Give a larger sample; about 2,000 are good.",
        )
    sound = examples.features[torch.from_numpy(examples.fault < 0)]
    center, spread = sound.mean(dim=0), sound.std(dim=0).clamp(min=0.05)
    x = _standardised(examples.features, center, spread)
    fold = rng.permutation(records)[examples.record] % _FOLDS
    with one_thread(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        members = [_member() for _ in range(_FOLDS)]
        unseen = torch.zeros_like(examples.targets)  # logits by the network that has not seen the record
        for k, member in enumerate(members):
            seen = torch.from_numpy(fold != k)
            _fit(member, x[seen], examples.targets[seen])
            with torch.inference_mode():
                unseen[~seen] = member(x[~seen])
    platt, thresholds = _calibrate(unseen, examples, false_alarms, fault_rate)
    scores = torch.sigmoid(unseen * platt[0] + platt[1]).numpy()
    report = _report(scores, thresholds, examples, records)
    log.info("anomalies.trained", **report.as_dict())
    return AnomalyModel(
        _layers(members),
        center.numpy(),
        spread.numpy(),
        platt.numpy(),
        thresholds,
        sound.median(dim=0).values.numpy(),
        report,
    )


def _member() -> nn.Sequential:
    """One small network of the ensemble; `AnomalyModel.score` does what it does."""
    return nn.Sequential(
        nn.Linear(len(FEATURES), _HIDDEN),
        nn.GELU(approximate="tanh"),
        nn.Linear(_HIDDEN, _HIDDEN),
        nn.GELU(approximate="tanh"),
        nn.Linear(_HIDDEN, len(KINDS)),
    )


def _layers(members: Sequence[nn.Sequential]) -> list[Layer]:
    layers = []
    for linears in zip(*([part for part in member if isinstance(part, nn.Linear)] for member in members), strict=True):
        weight = torch.stack([linear.weight.detach().T for linear in linears])
        bias = torch.stack([linear.bias.detach()[None] for linear in linears])
        layers.append(Layer(weight.contiguous().numpy(), bias.numpy()))
    return layers


def _examples(batches: Sequence[Batch], rng: np.random.Generator) -> _Examples:
    """Every record as it is, and once with each fault that it can have."""
    extract = AnomalyFeatures()
    features: list[NDArray[np.float32]] = []
    records: list[NDArray[np.int64]] = []
    faults: list[NDArray[np.int64]] = []
    start = 0
    names = list(FAULTS)
    for batch in batches:
        if batch.neighbours is None or not len(batch):
            continue
        as_they_are = extract(batch)
        features.append(as_they_are)
        records.append(np.arange(start, start + len(batch)))
        faults.append(np.full(len(batch), -1))
        for fault in possible_faults(batch):
            corrupted = corrupt(batch, fault, rng)
            if corrupted.rows:
                changed = as_they_are[corrupted.rows]
                extract.update(changed, corrupted.batch, _TOUCHED[FAULTS[fault][0]])
                features.append(changed)
                records.append(start + np.array(corrupted.rows))
                faults.append(np.full(len(corrupted.rows), names.index(fault)))
        start += len(batch)
    if not features:
        return _Examples(
            torch.zeros(0, len(FEATURES)), torch.zeros(0, len(KINDS)), np.zeros(0, np.int64), np.zeros(0, np.int64)
        )
    which = np.concatenate(faults)
    targets = np.zeros((len(which), len(KINDS)), np.float32)
    for place, name in enumerate(names):
        targets[which == place, KINDS.index(FAULTS[name][0])] = 1
    return _Examples(
        torch.from_numpy(np.concatenate(features)), torch.from_numpy(targets), np.concatenate(records), which
    )


def _fit(network: nn.Module, x: Tensor, targets: Tensor) -> None:
    optimiser = torch.optim.AdamW(network.parameters(), lr=3e-3, weight_decay=1e-2)
    steps = max(1, len(x) // _ROWS_PER_STEP)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, max_lr=6e-3, total_steps=_EPOCHS * steps)
    loss = nn.BCEWithLogitsLoss()
    network.train()
    for _ in range(_EPOCHS):
        for rows in torch.randperm(len(x)).chunk(steps):
            optimiser.zero_grad()
            loss(network(x[rows]), targets[rows]).backward()
            optimiser.step()
            if schedule.last_epoch < schedule.total_steps - 1:
                schedule.step()
    network.eval()


def _standardised(features: Tensor, center: Tensor, spread: Tensor) -> Tensor:
    return ((features - center) / spread).clamp(-CLIP, CLIP)


def _calibrate(
    logits: Tensor, examples: _Examples, budget: float, fault_rate: float
) -> tuple[Tensor, NDArray[np.float32]]:
    """Slope and shift (2, kinds) of the logits, and the threshold of each kind."""
    platt = torch.zeros(2, len(KINDS))
    thresholds = np.full(len(KINDS), NEVER, np.float32)
    sound = torch.from_numpy(examples.fault < 0)
    for k in range(len(KINDS)):
        faulty = examples.targets[:, k] > 0
        if not faulty.any():
            platt[1, k] = -20.0  # nothing of this kind was seen: never a finding
            continue
        slope, shift = _platt(logits[sound, k].double(), logits[faulty, k].double(), fault_rate)
        platt[0, k], platt[1, k] = slope, shift
        tail = _tail_quantile(logits[sound, k].double().numpy(), budget)
        thresholds[k] = 1 / (1 + math.exp(-min(max(slope * tail + shift, -30.0), 30.0)))
    return platt, thresholds


def _platt(sound: Tensor, faulty: Tensor, fault_rate: float) -> tuple[float, float]:
    """The logistic regression of "faulty" on the logit, the two sides weighed as they will occur."""
    x = torch.cat([sound, faulty])
    y = torch.cat([torch.zeros(len(sound)), torch.ones(len(faulty))]).double()
    weight = torch.where(y > 0, fault_rate / len(faulty), (1 - fault_rate) / len(sound))
    parameters = torch.tensor([1.0, math.log(fault_rate)], dtype=torch.double, requires_grad=True)
    optimiser = torch.optim.LBFGS([parameters], max_iter=50, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimiser.zero_grad()
        z = parameters[0] * x + parameters[1]
        # a weak pull towards slope 1 keeps perfectly separated sides finite
        loss = (weight * (nn.functional.softplus(z) - y * z)).sum() + 1e-4 * (parameters[0] - 1) ** 2
        loss.backward()  # type: ignore[no-untyped-call]  # torch gives it no types
        return loss

    optimiser.step(closure)  # type: ignore[no-untyped-call]  # torch gives it no types
    slope, shift = parameters.detach().tolist()
    return max(slope, 0.05), shift


def _tail_quantile(values: NDArray[np.float64], exceeded: float) -> float:
    """The value that is exceeded with this probability, the top twentieth of the values taken as exponential."""
    share = max(0.05, 20 / len(values))
    if share >= 1 or exceeded >= share:
        return float(np.quantile(values, 1 - min(exceeded, 1.0)))
    start = float(np.quantile(values, 1 - share))
    excess = float((values[values > start] - start).mean()) if (values > start).any() else 0.0
    return start + excess * math.log(share / exceeded)


def _report(
    scores: NDArray[np.float32], thresholds: NDArray[np.float32], examples: _Examples, records: int
) -> TrainingReport:
    recall, alarms = {}, {}
    for place, (name, (kind, _)) in enumerate(FAULTS.items()):
        rows = examples.fault == place
        k = KINDS.index(kind)
        if rows.any():
            recall[name.value] = round(float((scores[rows, k] >= thresholds[k]).mean()), 4)
    for k, kind in enumerate(KINDS):
        if thresholds[k] < NEVER:
            alarms[kind.value] = round(float((scores[examples.fault < 0, k] >= thresholds[k]).mean()), 5)
    return TrainingReport(records, recall, alarms)
