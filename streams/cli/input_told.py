"""What files lack that are measured or learned from, told before the figures that rest on them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from streams.cli.screen import errors

if TYPE_CHECKING:
    from streams.product_files import InputReport

__all__ = ["InputTold"]


class InputTold:
    """Tells a person what a report says. report: the one that was told."""

    report: InputReport

    def __call__(self, report: InputReport) -> None:
        """Say on standard error which rows were left out, and which columns of the contract the files lack."""
        self.report = report
        for file, columns in report.absent.items():
            for column in columns:
                _say(f"WARNING: {file}: {column.told(report.looked.get(file))}")
        out = sum(found.rows for found in report.left_out)
        if out:
            are = "is not counted as a product of its own" if out == 1 else "are not counted as products of their own"
            _say(f"WARNING: {out:,} of {report.rows:,} rows {are}; all figures are of the rest:")
            for found in report.left_out:
                _say(f"  {found}")


def _say(text: str) -> None:
    errors.print(text, markup=False, soft_wrap=True)
