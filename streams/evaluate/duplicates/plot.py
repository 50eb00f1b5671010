"""The threshold curve as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from streams.errors import InputError
from streams.evaluate.duplicates.curve import CurvePoint

__all__ = ["ensure_plotting", "plot_curve"]

# Fonts with Chinese characters, on Linux, macOS and Windows; matplotlib brings none.
_CHINESE = ("Noto Sans CJK SC", "Source Han Sans SC", "WenQuanYi Micro Hei", "PingFang SC", "Microsoft YaHei", "SimHei")


def ensure_plotting() -> None:
    """Raises: InputError where matplotlib is not installed."""
    try:
        import matplotlib  # noqa: F401 -- only whether it is there
    except ImportError:
        raise InputError(
            "--plot needs matplotlib, which is not installed.",
            "Install it with `pip install 'streamgauge[plot]'`, or take --curve FILE for the same figures as CSV.",
        ) from None


def plot_curve(path: Path, points: Sequence[CurvePoint], subject: str) -> None:
    """Draw precision, recall and F1 over the threshold into a PNG. subject: what was measured, for the title.

    Raises: InputError.
    """
    ensure_plotting()
    from matplotlib.figure import Figure
    from matplotlib.font_manager import get_font_names

    there = set(get_font_names())
    chinese = [name for name in _CHINESE if name in there]
    title = "Duplicates by threshold"
    if subject.isascii() or chinese:
        title += f": {subject}"  # without a font for it the name would be a row of boxes
    x = [point.threshold for point in points]
    figure = Figure(figsize=(8.5, 5), dpi=150, layout="constrained")
    axes = figure.subplots()
    # Told apart by line and lightness, so that a print in grey reads the same.
    for name, label, style, width, colour in (
        ("precision", "precision", "--", 1.6, "#1b6ca8"),
        ("recall", "recall", ":", 2.0, "#c8791a"),
        ("f1", "F1", "-", 2.4, "#111111"),
        ("bcubed_f1", "B-cubed F1", "-.", 1.4, "#777777"),
    ):
        axes.plot(x, [getattr(point, name) for point in points], style, lw=width, color=colour, label=label)
    chosen = next(point for point in points if point.chosen)
    best = max(points, key=lambda point: point.f1)
    axes.axvline(chosen.threshold, color="#111111", lw=0.9)
    axes.annotate(
        f"the rule's own: {chosen.threshold:.2f}\nprecision {chosen.precision:.3f}\nrecall {chosen.recall:.3f}\n"
        f"F1 {chosen.f1:.3f}",
        (chosen.threshold, 0.03),
        xytext=(6, 0),
        textcoords="offset points",
        fontsize=9,
        bbox={"boxstyle": "round", "facecolor": "white", "edgecolor": "#bbbbbb"},
    )
    axes.plot([best.threshold], [best.f1], "o", ms=7, mfc="white", mec="#111111", mew=1.5)
    axes.plot(
        [], [], "o", ms=7, mfc="white", mec="#111111", mew=1.5, label=f"best F1 {best.f1:.3f} at {best.threshold:.2f}"
    )
    axes.set_xlim(x[0], x[-1])
    axes.set_ylim(0, 1.005)
    axes.set_xlabel("threshold (points of the rule's score)")
    axes.set_ylabel("over pairs inside the final clusters (0-1)")
    figure.suptitle(title, fontsize=12, fontfamily=["DejaVu Sans", *chinese])
    axes.grid(color="#e5e5e5", lw=0.7)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    figure.legend(loc="outside lower center", ncols=5, frameon=False, fontsize=9)
    try:
        figure.savefig(path, format="png")
    except OSError as error:
        raise InputError(f"Cannot write {path}: {error.strerror}.", "Name a file in a folder that is there.") from error
