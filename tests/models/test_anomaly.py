from __future__ import annotations

import json
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file

from detectors.anomalies import FEATURES, KINDS, RULES, AnomalyDetector, AnomalyFeatures
from models.anomaly import AnomalyModel, TrainingReport
from models.anomaly_training import _layers, _member, _standardised, train_anomalies
from models.corruption import FAULTS, FaultName, corrupt
from models.errors import ArtefactError, TrainingError
from tests.models.synthetic import catalogue


@pytest.fixture(scope="module")
def model() -> AnomalyModel:
    return train_anomalies([catalogue(400, seed=1)])


WANTED = {
    FaultName.PRICE_TIMES_10: 0.8,
    FaultName.PRICE_TIMES_100: 0.95,
    FaultName.PRICE_TENTH: 0.8,
    FaultName.PRICE_HUNDREDTH: 0.95,
    FaultName.PRICE_PLACEHOLDER: 0.6,
    FaultName.CURRENCY_SWAP: 0.6,
    FaultName.BRAND_SWAP: 0.9,
    FaultName.CATEGORY_SWAP: 0.9,
    FaultName.DESCRIPTION_SWAP: 0.9,
}


@pytest.mark.parametrize("fault", list(FaultName))
def test_faults_in_products_it_never_saw_are_found(model: AnomalyModel, fault: FaultName) -> None:
    corrupted = corrupt(catalogue(240, seed=2), fault, np.random.default_rng(3))
    findings = AnomalyDetector(model).detect(corrupted.batch)
    rule = RULES[FAULTS[fault][0]]
    found = {finding.row for finding in findings if finding.rule == rule}
    assert len(found) / len(corrupted.rows) >= WANTED[fault]


def test_sound_products_are_left_alone(model: AnomalyModel) -> None:
    assert len(AnomalyDetector(model).detect(catalogue(1_000, seed=4))) <= 8  # 0.2 % in each of four kinds


def test_the_report_is_about_records_it_had_not_seen(model: AnomalyModel) -> None:
    assert model.report.records == 400
    assert set(model.report.recall) == {fault.value for fault in FaultName}
    assert set(model.report.false_alarms) == {kind.value for kind in KINDS}
    assert model.report.recall["price_times_100"] >= 0.95
    assert max(model.report.false_alarms.values()) <= 0.005


def test_training_again_gives_the_same_model(model: AnomalyModel) -> None:
    state = torch.random.get_rng_state()
    again = train_anomalies([catalogue(400, seed=1)])
    assert again.name == model.name
    assert torch.equal(torch.random.get_rng_state(), state)


def test_saved_loaded_and_pickled_it_is_the_same(model: AnomalyModel, tmp_path: Path) -> None:
    model.save(tmp_path / "model")
    model.save(tmp_path / "model")  # replaces
    features = AnomalyFeatures()(catalogue(50, seed=5))
    for other in (AnomalyModel.load(tmp_path / "model"), pickle.loads(pickle.dumps(model))):
        assert (other.name, other.report) == (model.name, model.report)
        assert np.array_equal(other.score(features), model.score(features))
        assert np.array_equal(other.thresholds, model.thresholds)
    assert sorted(path.name for path in (tmp_path / "model").iterdir()) == ["anomalies.json", "anomalies.safetensors"]


def test_a_model_for_other_features_is_refused(model: AnomalyModel, tmp_path: Path) -> None:
    model.save(tmp_path)
    described = json.loads((tmp_path / "anomalies.json").read_text())
    described["features"][0] = "something else"
    (tmp_path / "anomalies.json").write_text(json.dumps(described))
    with pytest.raises(ArtefactError, match=r"another version.*train anomalies"):
        AnomalyModel.load(tmp_path)


def test_its_scores_are_those_of_the_network_that_was_trained() -> None:
    members = [_member() for _ in range(3)]
    features = np.random.default_rng(1).normal(size=(40, len(FEATURES))).astype(np.float32)
    center, spread = torch.full((len(FEATURES),), 0.2), torch.full((len(FEATURES),), 0.5)
    platt = torch.tensor([[1.5], [-0.5]]).repeat(1, len(KINDS))
    with torch.inference_mode():
        x = _standardised(torch.from_numpy(features), center, spread)
        logits = torch.stack([member(x) for member in members]).mean(dim=0)
        expected = torch.sigmoid(logits * platt[0] + platt[1]).numpy()
    arrays = [tensor.numpy() for tensor in (center, spread, platt, torch.ones(len(KINDS)), center)]
    scores = AnomalyModel(_layers(members), *arrays, TrainingReport(0, {}, {})).score(features)
    assert scores.dtype == np.float32
    np.testing.assert_allclose(scores, expected, rtol=1e-5)


def test_scoring_loads_no_torch() -> None:
    program = "import sys, models.anomaly; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_layers_that_do_not_fit_are_a_damaged_model(model: AnomalyModel, tmp_path: Path) -> None:
    model.save(tmp_path)
    arrays = load_file(tmp_path / "anomalies.safetensors")
    save_file(arrays | {"layers.0.bias": arrays["layers.0.bias"][:2]}, tmp_path / "anomalies.safetensors")
    with pytest.raises(ArtefactError, match="cannot be read"):
        AnomalyModel.load(tmp_path)
    save_file({k: v for k, v in arrays.items() if not k.startswith("layers.2")}, tmp_path / "anomalies.safetensors")
    with pytest.raises(ArtefactError, match="cannot be read"):
        AnomalyModel.load(tmp_path)


@pytest.mark.parametrize("name", ["anomalies.json", "anomalies.safetensors"])
def test_a_damaged_model_says_so(model: AnomalyModel, tmp_path: Path, name: str) -> None:
    model.save(tmp_path / "model")
    (tmp_path / "model" / name).write_bytes(b"[]")
    with pytest.raises(ArtefactError, match="cannot be read"):
        AnomalyModel.load(tmp_path / "model")
    (tmp_path / "model" / name).unlink()
    with pytest.raises(ArtefactError, match="no anomaly model"):
        AnomalyModel.load(tmp_path / "model")


def test_too_few_products_are_an_error() -> None:
    with pytest.raises(TrainingError, match="There are 99 sound products with neighbours; at least 100"):
        train_anomalies([catalogue(99, seed=1)])
    with pytest.raises(TrainingError, match="There are 0"):
        train_anomalies([])


def test_a_kind_that_was_never_seen_is_never_found() -> None:
    batch = catalogue(150, seed=1)
    for record in batch.records:
        record.values["description"] = None  # type: ignore[index]  # the test's own batch
    model = train_anomalies([batch])
    k = list(KINDS).index(FAULTS[FaultName.DESCRIPTION_SWAP][0])
    assert model.thresholds[k] > 1
    assert "description" not in model.report.false_alarms
    scores = model.score(np.random.default_rng(0).normal(size=(50, len(FEATURES))).astype(np.float32) * 10)
    assert scores[:, k].max() < 0.01
    assert np.all((scores >= 0) & (scores <= 1))
