from __future__ import annotations

import csv
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from detectors.contract.load import load_contract
from models.encoder import load_encoder
from models.errors import EncoderError
from streams.errors import InputError
from streams.evaluate.duplicates import evaluate_duplicates
from streams.files import FileError
from streams.settings import Settings

CONTRACTS = Path(__file__).parents[3] / "contracts"


class Words:
    """An encoder for tests: a fixed random vector for each word."""

    name, dim, description = "words-64", 64, "words"

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        out = np.zeros((len(texts), self.dim), np.float32)
        for row, text in enumerate(texts):
            for word in text.lower().split():
                out[row] += np.random.default_rng(zlib.crc32(word.encode())).standard_normal(self.dim)
        return out / np.maximum(np.linalg.norm(out, axis=1, keepdims=True), 1e-9)


def _write(path: Path, rows: Sequence[Sequence[str]]) -> Path:
    with path.open("w", newline="") as file:
        csv.writer(file, delimiter="#").writerows(rows)
    return path


HEAD = ("id", "title", "description", "manufacturer", "price")
NAMES = [f"{brand} {thing} {brand[0]}X-{1000 + i}" for i, (brand, thing) in enumerate(
    (b, t) for b in ("Sony", "Bose", "Canon") for t in ("speaker system", "laser printer", "wireless mouse", "camera")
)]  # fmt: skip


@pytest.fixture
def shops(tmp_path: Path) -> tuple[Path, Path, Path]:
    one = _write(tmp_path / "one.csv", [HEAD, *((str(i), n, "", "", "20") for i, n in enumerate(NAMES))])
    two = _write(tmp_path / "two.csv", [HEAD, *((str(50 + i), f"new {n}", "", "", "21") for i, n in enumerate(NAMES))])
    pairs = [("idOne", "idTwo"), *((str(i), str(50 + i)) for i in range(len(NAMES))), ("3", "999")]
    return one, two, _write(tmp_path / "truth.csv", pairs)


@pytest.mark.parametrize("interleave", [False, True])
def test_two_clean_shops(shops: tuple[Path, Path, Path], interleave: bool) -> None:
    one, two, truth = shops
    contract = load_contract(CONTRACTS / "amazon-google.yaml")
    report = evaluate_duplicates(
        contract,
        [one, two],
        Words(),
        truth=truth,
        truth_columns=("idOne", "idTwo"),
        delimiter="#",
        interleave=interleave,
    )
    assert (report.records, report.truth_unknown) == (24, 1)
    assert (report.precision, report.recall, report.f1, report.recall_at_1, report.recall_at_10) == (1, 1, 1, 1, 1)


def test_one_file_may_hold_both_records_of_a_pair(shops: tuple[Path, Path, Path], tmp_path: Path) -> None:
    one, _, _ = shops
    truth = _write(tmp_path / "own.csv", [("idOne", "idTwo"), ("0", "1"), ("3", "999")])
    contract = load_contract(CONTRACTS / "amazon-google.yaml")
    report = evaluate_duplicates(contract, [one], Words(), truth=truth, truth_columns=("idOne", "idTwo"), delimiter="#")
    assert (report.records, report.truth_unknown, report.recall) == (12, 1, 0)


def test_a_truth_about_other_data_is_said_and_not_measured(shops: tuple[Path, Path, Path]) -> None:
    one, two, truth = shops
    contract = load_contract(CONTRACTS / "amazon-google.yaml")
    for files, columns in (
        ([two, one], ("idOne", "idTwo")),
        ([one, two], ("idTwo", "idOne")),
        ([one], ("idOne", "idTwo")),
    ):
        with pytest.raises(InputError, match=r"No pair of .*truth\.csv is in the data: .*Check the order of --data"):
            evaluate_duplicates(contract, files, Words(), truth=truth, truth_columns=columns, delimiter="#")


@pytest.mark.parametrize("far", [0, 300])
def test_a_new_price_neither_makes_nor_cuts_a_link(tmp_path: Path, far: int) -> None:
    """far: rows between a product and its new price, so that both are in one batch, or not."""
    # No codes: prices decide.
    names = ["oak garden bench with back", "steel kettle for camping", "wool blanket in grey"]
    one = _write(tmp_path / "one.csv", [HEAD, *((str(i), n, "", "", "20") for i, n in enumerate(names))])
    two = [(str(50 + i), f"new {n}", "", "", "20" if i else "900") for i, n in enumerate(names)]
    other = [(str(1000 + i), f"Acme lamp LQ-{7000 + i}", "", "", "5") for i in range(far)]
    prices = [(str(50 + i), f"new {n}", "", "", "900" if i else "20") for i, n in enumerate(names)]
    again = _write(tmp_path / "again.csv", [HEAD, *two, *other, *prices])
    truth = _write(tmp_path / "truth.csv", [("idOne", "idTwo"), ("1", "51"), ("2", "52")])
    contract = load_contract(CONTRACTS / "amazon-google.yaml")
    report = evaluate_duplicates(
        contract, [one, again], Words(), truth=truth, truth_columns=("idOne", "idTwo"), delimiter="#"
    )
    assert report.records == 6 + far
    assert (report.precision, report.recall, report.recall_at_1) == (1, 1, 1)


def test_what_is_asked_wrongly_is_said(shops: tuple[Path, Path, Path]) -> None:
    one, two, truth = shops
    contract = load_contract(CONTRACTS / "amazon-google.yaml")
    with pytest.raises(FileError, match="no column 'idA', it has idOne, idTwo"):
        evaluate_duplicates(contract, [one, two], Words(), truth=truth, truth_columns=("idA", "idTwo"), delimiter="#")
    with pytest.raises(InputError, match="3 data files"):
        evaluate_duplicates(
            contract, [one, two, two], Words(), truth=truth, truth_columns=("idOne", "idTwo"), delimiter="#"
        )
    with pytest.raises(InputError, match="product"):
        behaviour = load_contract(CONTRACTS / "rees46.yaml")
        evaluate_duplicates(behaviour, [one], Words(), truth=truth, truth_columns=("idOne", "idTwo"), delimiter="#")


@pytest.mark.shared_data
@pytest.mark.slow
def test_floors_on_abt_buy_in_one_stream(shared_data: Path) -> None:
    try:
        encoder = load_encoder("static", cache_dir=Settings().cache_dir)
    except EncoderError as error:
        pytest.skip(f"the static encoder cannot be made here: {error}")
    folder = shared_data / "products-abt-buy"
    contract = load_contract(CONTRACTS / "abt-buy.yaml")
    report = evaluate_duplicates(
        contract,
        [folder / "abtbuy.csv"],
        encoder,
        truth=folder / "gt.csv",
        truth_columns=("idAbt", "idBuy"),
    )
    assert (report.records, report.truth_unknown) == (2161, 12)
    assert report.f1 >= 0.84
    assert report.recall_at_10 >= 0.97
