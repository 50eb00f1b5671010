from __future__ import annotations

import csv
import sys
from pathlib import Path

import pytest

from streams.errors import InputError
from streams.evaluate.duplicates.curve import CurvePoint, write_curve
from streams.evaluate.duplicates.plot import plot_curve

POINTS = [
    CurvePoint(-2.0, False, 12, 13, 0.8, 0.9, 0.8471, 0.9, 0.95, 0.9243),
    CurvePoint(-1.0, True, 10, 10, 0.9, 0.8, 0.8471, 0.95, 0.9, 0.9243),
    CurvePoint(0.0, False, 5, 5, 1.0, 0.4, 0.5714, 1.0, 0.7, 0.8235),
]


def test_curve_as_csv(tmp_path: Path) -> None:
    file = tmp_path / "curve.csv"
    write_curve(file, POINTS)
    header, first, second, third = csv.reader(file.read_text(encoding="utf-8").splitlines())
    assert header == [
        "threshold", "chosen", "links", "pairs", "precision", "recall", "f1",
        "bcubed_precision", "bcubed_recall", "bcubed_f1",
    ]  # fmt: skip
    assert first == ["-2.0", "0", "12", "13", "0.8", "0.9", "0.8471", "0.9", "0.95", "0.9243"]
    assert second[:2] == ["-1.0", "1"]
    assert third[:2] == ["0.0", "0"]


@pytest.mark.parametrize("subject", ["offers.csv", "护肤品.csv"])
def test_curve_as_png(tmp_path: Path, subject: str) -> None:
    file = tmp_path / "curve.png"
    plot_curve(file, POINTS, subject)
    raw = file.read_bytes()
    assert raw[:8] == b"\x89PNG\r\n\x1a\n"
    width, height = int.from_bytes(raw[16:20], "big"), int.from_bytes(raw[20:24], "big")
    assert (width, height) == (1275, 750)


def test_a_picture_without_matplotlib_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(InputError, match=r"needs matplotlib.*pip install 'streamgauge\[plot\]'"):
        plot_curve(tmp_path / "curve.png", POINTS, "offers.csv")


def test_a_folder_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"Cannot write .*no/curve\.csv: No such file"):
        write_curve(tmp_path / "no" / "curve.csv", POINTS)
    with pytest.raises(InputError, match=r"Cannot write .*no/curve\.png: No such file"):
        plot_curve(tmp_path / "no" / "curve.png", POINTS, "offers.csv")
