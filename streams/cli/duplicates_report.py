"""What `evaluate duplicates` shows on a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from streams.evaluate.duplicates import DuplicatesReport
    from streams.evaluate.duplicates.mistakes import Mistake, Mistakes, Offer, Variant

__all__ = ["print_report"]

_TITLE_CHARS = 110
_CAUSES = {
    "partner_elsewhere": "one of the two belongs to another record",
    "products_joined": "joins a complete cluster to what does not belong to it",
    "no_partner": "neither has a true partner in the data",
    "no_candidate": "was no candidate: the search did not find it",
    "below_threshold": "was a candidate, the score is below the threshold",
    "other_words": "the score is enough, but words that only one title says speak against it",
    "caution": "the score is enough only where more products are listed twice",
    "unsaid": "the rule takes it with what is known at the end, it did not at the time",
    "linked_elsewhere": "was stated, but one of the two is linked to another record",
    "variant": "was stated as a variant: another colour, size, pack or version",
    "kept_apart": "was stated, but the guards of clusters keep the two apart",
}


def print_report(console: Console, report: DuplicatesReport, encoder: str) -> None:
    """The scores, then the mistakes and the variants where they were asked for."""
    console.print(Text(f"Duplicates, {encoder}", style="bold"), soft_wrap=True)
    table = Table("", "", show_header=False)
    for name in ("records", "truth_unknown", "precision", "recall", "f1", "recall_at_1", "recall_at_10"):
        _row(table, name, getattr(report, name))
    table.add_section()
    for name in ("pairwise_f1", "bcubed_precision", "bcubed_recall", "bcubed_f1"):
        _row(table, f"clusters: {name}", getattr(report.clusters, name))
    table.add_section()
    for name, count in report.relations.items():
        _row(table, f"pairs: {name}", count)
    _row(table, "caution", report.caution)
    table.add_section()
    for name, seconds in report.seconds_by_stage.items():
        _row(table, f"seconds: {name}", seconds)
    _row(table, "seconds", report.seconds)
    console.print(table)
    console.print("`streamgauge evaluate duplicates --help` says what the lines mean.", style="dim", markup=False)
    if report.errors is not None:
        _print_mistakes(console, report.errors)
        _print_variants(console, report.relations["variant"], report.errors.variants)


def _row(table: Table, name: str, value: float) -> None:
    table.add_row(name.replace("_", " "), f"{value:,}" if isinstance(value, int) else f"{value:.4g}")


def _print_mistakes(console: Console, mistakes: Mistakes) -> None:
    console.print()
    console.print(f"A pair is taken for one product from a score of {mistakes.threshold:.2f} on.")
    _print_causes(console, _many(mistakes.wrong_links, "wrong link"), mistakes.wrong_causes)
    for number, mistake in enumerate(mistakes.false_positives, 1):
        _print_mistake(console, f"FALSE POSITIVE {number}", mistake)
    console.print()
    _print_causes(console, _many(mistakes.missed_pairs, "missed pair"), mistakes.missed_causes)
    if mistakes.against:
        against = ", ".join(f"{name.replace('_', ' ')} {count:,}" for name, count in mistakes.against.items())
        console.print(f"  what took most from scores below the threshold: {against}", markup=False)
    for number, mistake in enumerate(mistakes.false_negatives, 1):
        _print_mistake(console, f"FALSE NEGATIVE {number}", mistake)


def _print_variants(console: Console, pairs: int, shown: Sequence[Variant]) -> None:
    console.print()
    console.print(Text(_many(pairs, "pair of variants", "pairs of variants"), style="bold"))
    for number, variant in enumerate(shown, 1):
        truth = "one product" if variant.same else "two products"
        console.print()
        console.print(
            Text.assemble((f"VARIANT {number}", "bold"), f"  {variant.similarity:.0%} alike, {truth} by the truth")
        )
        _print_offer(console, variant.earlier)
        _print_offer(console, variant.later)
        console.print(f"  finding   {variant.reason}", markup=False, soft_wrap=True)


def _many(number: int, one: str, more: str = "") -> str:
    return f"{number:,} {one if number == 1 else more or one + 's'}"


def _print_causes(console: Console, what: str, causes: Mapping[str, int]) -> None:
    console.print(Text(what, style="bold"))
    for cause, count in causes.items():
        console.print(f"  {count:>6,}  {_CAUSES.get(cause, cause)}", markup=False)


def _print_mistake(console: Console, name: str, m: Mistake) -> None:
    score = "never compared" if m.score is None else f"score {m.score:.2f}{', certain' if m.certain else ''}"
    alike = "" if m.similarity is None else f", {m.similarity:.0%} alike"
    rank = "no candidate" if m.rank is None else f"candidate {m.rank}"
    console.print()
    console.print(Text.assemble((name, "bold"), f"  {score}{alike}, {rank}, cluster of {m.cluster}"))
    _print_offer(console, m.earlier)
    _print_offer(console, m.later)
    evidence = "; ".join(f"{term.words} ({term.points:+.2f})" for term in m.terms)
    if evidence:
        console.print(f"  evidence  {evidence}", markup=False, soft_wrap=True)
    if m.reason:
        console.print(f"  finding   {m.reason}", markup=False, soft_wrap=True)
    console.print(f"  because   {m.explanation}", markup=False, soft_wrap=True)


def _print_offer(console: Console, offer: Offer) -> None:
    price = "no price" if offer.price is None else f"{offer.price:,.2f} {offer.currency or ''}".rstrip()
    about = [price, *(f"{name} {value}" for name, value in _known(offer))]
    console.print(
        Text.assemble("  ", (_cut(offer.title), "cyan"), f"  [{offer.identity}]  ", ("; ".join(about), "dim")),
        soft_wrap=True,
    )


def _known(offer: Offer) -> list[tuple[str, str]]:
    known = (
        ("brand", offer.brand),
        ("codes", ", ".join(offer.codes)),
        ("amounts", ", ".join(offer.amounts)),
        ("GTIN", offer.gtin),
        ("part number", offer.mpn),
    )
    return [(name, value) for name, value in known if value]


def _cut(title: str) -> str:
    return title if len(title) <= _TITLE_CHARS else f"{title[: _TITLE_CHARS - 1]}…"
