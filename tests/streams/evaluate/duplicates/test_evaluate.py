from __future__ import annotations

import csv
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

import orjson
import pytest

from detectors.contract.load import load_contract
from detectors.contract.model import Contract, Feed
from detectors.duplicates.score import THRESHOLD
from models.encoder import load_encoder
from models.errors import EncoderError
from streams.errors import InputError
from streams.evaluate.duplicates import DuplicatesReport, evaluate_duplicates
from streams.evaluate.duplicates.mistakes import Mistakes
from streams.evaluate.duplicates.scores import ClusterScores
from streams.evaluate.duplicates.verdict import words_apart
from streams.files import FileError
from streams.product_files import InputReport
from streams.settings import Settings
from tests.benchmarks.duplicates import SETS, measure
from tests.streams.evaluate.duplicates.words import Words

CONTRACTS = Path(__file__).parents[3] / "contracts"


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


# Three products; lamp 3 has no partner. The codes decide.
OFFERS = [
    ("id", "title", "description", "manufacturer", "price", "product"),
    ("1", "Sony speaker system SX-1001", "", "", "20", "speaker"),
    ("2", "Bose laser printer BX-2002", "", "", "90", "printer"),
    ("3", "Acme table lamp LQ-3003", "", "", "5", ""),
    ("4", "new Sony speaker system SX-1001", "", "", "21", "speaker"),
    ("5", "the Sony speaker system SX-1001", "", "", "22", "speaker"),
    ("6", "new Bose laser printer BX-2002", "", "", "91", "printer"),
    ("7", "Umbrella", "", "", "9", "printer"),
]


def _marketplace() -> Contract:
    return replace(load_contract(CONTRACTS / "amazon-google.yaml"), feed=Feed.MARKETPLACE)


def test_a_column_as_truth(tmp_path: Path) -> None:
    data = _write(tmp_path / "offers.csv", OFFERS)
    report = evaluate_duplicates(_marketplace(), [data], Words(), truth_cluster="product", delimiter="#")
    # Clusters {1 4 5} {2 6} {3} {7}; truth {1 4 5} {2 6 7} {3}. Pairs: found 3 + 1, true 3 + 3, right 4.
    assert (report.records, report.truth_unknown) == (7, 0)
    assert (report.precision, report.recall, report.f1) == (1, 0.6667, 0.8)
    # B-cubed recall: 1 4 5 and 3 at 1, 2 and 6 at 2/3, 7 at 1/3 -> (4 + 5/3) / 7 = 17/21 = .8095; F1 2 * 17 / 38.
    assert report.clusters == ClusterScores(pairwise_f1=0.8, bcubed_precision=1, bcubed_recall=0.8095, bcubed_f1=0.8947)
    # 4, 5, 6 and 7 have a partner before them, and with so few records everyone is a candidate.
    assert report.recall_at_10 == 1
    assert report.recall_at_1 == 0.75
    assert report.relations == {"same": 4, "variant": 0}
    assert set(report.seconds_by_stage) == {"read", "intake", "encode", "apply", "search", "state", "link"}
    assert report.seconds == pytest.approx(sum(report.seconds_by_stage.values()), abs=0.005)


def test_a_column_as_truth_over_several_files(tmp_path: Path) -> None:
    head, *rows = OFFERS
    files = [_write(tmp_path / f"{i}.csv", [head, *rows[i::3]]) for i in range(3)]
    for interleave in (False, True):
        report = evaluate_duplicates(
            _marketplace(), files, Words(), truth_cluster="product", delimiter="#", interleave=interleave
        )
        assert (report.records, report.precision, report.recall) == (7, 1, 0.6667)


def test_the_contracts_id_as_truth_makes_each_row_a_record(tmp_path: Path) -> None:
    head, *rows = OFFERS
    data = _write(
        tmp_path / "offers.csv", [head, *rows[:3], ("1", "new Sony speaker system SX-1001", "", "", "21", "")]
    )
    report = evaluate_duplicates(_marketplace(), [data], Words(), truth_cluster="id", delimiter="#")
    assert (report.records, report.precision, report.recall, report.recall_at_10) == (4, 1, 1, 1)


def test_the_closure_of_pairs_is_the_truth_of_clusters_only(tmp_path: Path) -> None:
    data = _write(tmp_path / "offers.csv", OFFERS)
    truth = _write(tmp_path / "truth.csv", [("a", "b"), ("1", "4"), ("5", "4"), ("2", "6"), ("6", "2"), ("2", "99")])
    report = evaluate_duplicates(_marketplace(), [data], Words(), truth=truth, truth_columns=("a", "b"), delimiter="#")
    # Found 14 15 45 26; the file names 14 45 26, its closure also 15.
    assert (report.truth_unknown, report.precision, report.recall, report.f1) == (1, 0.75, 1, 0.8571)
    assert report.clusters == ClusterScores(1, 1, 1, 1)


def test_refused_records_and_their_pairs_are_counted(tmp_path: Path) -> None:
    head, *rows = OFFERS
    nameless = ("", "a Sony speaker system SX-1001", "", "", "20", "speaker")  # no id
    data = _write(tmp_path / "offers.csv", [head, *rows, nameless])
    report = evaluate_duplicates(_marketplace(), [data], Words(), truth_cluster="product", delimiter="#")
    # Four speakers make six pairs, three of them with the one that was refused.
    assert (report.records, report.truth_unknown, report.recall) == (7, 3, 0.6667)


def test_what_does_not_read_and_what_comes_again_are_in_no_figure(tmp_path: Path) -> None:
    head, *rows = OFFERS
    again = ("7", "Umbrella", "", "", "9", "umbrella")  # was said to be a printer
    data = _write(tmp_path / "offers.csv", [head, *rows, again])
    with data.open("ab") as file:
        file.write("8#索尼音箱###20#speaker\n9#索尼音箱\n".encode("gb18030"))
    said: list[InputReport] = []
    report = evaluate_duplicates(
        _marketplace(), [data], Words(), truth_cluster="product", delimiter="#", on_input=said.append
    )
    assert sorted((found.reason, found.rows) for found in said[0].left_out) == [
        ("repeated_id", 1),
        ("wrong_encoding", 2),
    ]
    assert (report.records, report.truth_unknown, report.precision, report.recall) == (7, 0, 1, 1)
    # A file of pairs names the ids of these rows too.
    truth = _write(tmp_path / "truth.csv", [("a", "b"), ("1", "4"), ("1", "8"), ("2", "7"), ("7", "9")])
    report = evaluate_duplicates(_marketplace(), [data], Words(), truth=truth, truth_columns=("a", "b"), delimiter="#")
    assert (report.truth_unknown, report.recall) == (2, 0.5)


def test_the_curve_has_the_rules_own_threshold(tmp_path: Path) -> None:
    data = _write(tmp_path / "offers.csv", OFFERS)
    shares: list[float] = []
    report = evaluate_duplicates(
        _marketplace(),
        [data],
        Words(),
        truth_cluster="product",
        delimiter="#",
        curve=True,
        curve_progress=shares.append,
    )
    assert report.curve is not None
    [chosen] = [point for point in report.curve if point.chosen]
    assert (chosen.threshold, chosen.precision, chosen.recall, chosen.f1) == (THRESHOLD, 1, 0.6667, 0.8)
    assert (chosen.links, chosen.pairs, chosen.bcubed_f1) == (4, 4, 0.8947)
    assert [point.threshold for point in report.curve] == sorted(point.threshold for point in report.curve)
    assert report.curve[-1].pairs > 0
    assert shares == sorted(shares)


def _explained(tmp_path: Path, rows: Sequence[Sequence[str]]) -> tuple[DuplicatesReport, Mistakes]:
    data = _write(tmp_path / "offers.csv", rows)
    report = evaluate_duplicates(_marketplace(), [data], Words(), truth_cluster="product", delimiter="#", errors=5)
    assert report.errors is not None
    return report, report.errors


def test_mistakes_are_explained(tmp_path: Path) -> None:
    rows = [
        *OFFERS,
        ("8", "Canon wireless mouse CX-4004", "", "", "30", "mouse"),
        ("9", "new Canon wireless mouse CX-4004", "", "", "31", "another mouse"),
    ]
    report, mistakes = _explained(tmp_path, rows)
    assert (mistakes.wrong_links, dict(mistakes.wrong_causes)) == (1, {"no_partner": 1})
    [wrong] = mistakes.false_positives
    assert (wrong.earlier.identity, wrong.later.identity) == ("offers/8", "offers/9")
    assert (wrong.earlier.codes, wrong.later.price, wrong.certain, wrong.rank) == (("CX4004",), 31, True, 1)
    assert wrong.explanation == "neither has a true partner in the data"
    assert "same model code CX4004" in [term.words for term in wrong.terms]
    assert wrong.score == pytest.approx(sum(term.points for term in wrong.terms), abs=0.002)
    # The umbrella said to be a printer, against both printers.
    assert (mistakes.missed_pairs, dict(mistakes.missed_causes)) == (2, {"below_threshold": 2})
    assert sum(mistakes.against.values()) == 2
    missed = mistakes.false_negatives
    assert [m.later.title for m in missed] == ["Umbrella", "Umbrella"]
    assert {m.earlier.identity for m in missed} == {"offers/2", "offers/6"}
    for m in missed:
        assert m.score is not None
        assert m.score < THRESHOLD
        assert m.explanation == f"the score {m.score:.2f} is below the threshold {THRESHOLD:.2f}"
    orjson.dumps(asdict(report))


def test_what_is_linked_elsewhere_is_said(tmp_path: Path) -> None:
    head, *_ = OFFERS
    rows = [
        head,
        ("1", "oak garden bench with back", "", "", "100", "bench"),
        ("2", "oak garden bench with back and arms", "", "", "100", "bench with arms"),
        ("3", "oak garden bench with back, arms", "", "", "100", "bench"),
    ]
    _, mistakes = _explained(tmp_path, rows)
    assert dict(mistakes.wrong_causes) == {"partner_elsewhere": 1}
    assert dict(mistakes.missed_causes) == {"linked_elsewhere": 1}
    [wrong], [missed] = mistakes.false_positives, mistakes.false_negatives
    assert " belongs to offers/" in wrong.explanation
    assert " is linked to offers/2 " in missed.explanation
    assert "(wrong)" in missed.explanation


def test_what_only_caution_keeps_apart_is_said(tmp_path: Path) -> None:
    head, *_ = OFFERS
    rows = [
        head,
        *((str(100 + i), f"Acme lamp LQ-{7000 + i}", "", "", "5", f"lamp {i}") for i in range(64)),
        ("1", "oak garden bench with back solid", "", "", "100", "bench"),
        ("2", "oak garden bench with back, weatherproof, cushion, storage", "", "", "100", "bench"),
    ]
    report, mistakes = _explained(tmp_path, rows)
    assert (report.recall, report.caution) == (0, 0.8333)
    assert dict(mistakes.missed_causes) == {"caution": 1}
    [missed] = mistakes.false_negatives
    assert missed.score is not None
    assert missed.score >= THRESHOLD
    assert "duplicates are rare here (caution 83%): it counts as" in missed.explanation


def test_which_words_stand_for_others_is_said(tmp_path: Path) -> None:
    head, *_ = OFFERS
    rows = [
        head,
        ("1", "wolf hand puppet plush toy", "", "", "30", "puppet"),
        ("2", "fox hand puppet plush toy", "", "", "30.4", "puppet"),
        ("3", "倩碧润肤日霜", "", "倩碧", "300", "cream"),
        ("4", "倩碧润肤晚霜", "", "倩碧", "300", "cream"),
    ]
    _, mistakes = _explained(tmp_path, rows)
    terms = {term.feature: term.words for m in mistakes.false_negatives for term in m.terms}
    assert terms["exchanged"] == "the titles are the same but for words that stand for others: wolf against fox"
    assert terms["price"] == "prices 30.00 and 30.40, nearly the same"
    [chinese] = [m for m in mistakes.false_negatives if m.cause == "other_words"]
    assert chinese.explanation.endswith("that only one of the titles says speak against it: 日 against 晚")


@pytest.mark.parametrize(
    ("one", "other", "apart"),
    [
        ("Wolf hand puppet", "fox hand puppet", "wolf against fox"),
        ("兰蔻清滢柔肤水 400ml 粉水", "兰蔻清滢柔肤水粉水400ml", ""),
        ("雅诗兰黛小棕瓶精华 50ml", "雅诗兰黛小棕瓶眼霜 15ml", "精华, 50ml against 眼霜, 15ml"),
        ("lamp WH-1000XM5", "lamp WH-1000XM5 正品", "正品 in one alone"),
        ("lamp", "lamp", ""),
        ("", "", ""),
        (f"red {'big ' * 200}", f"blue {'big ' * 200}end", "red against blue"),  # only what comes first is compared
    ],
)
def test_what_only_one_of_two_titles_says(one: str, other: str, apart: str) -> None:
    assert words_apart(one, other) == apart


def test_long_titles_are_compared_soon() -> None:
    title = "一二黑白" * 250
    started = time.process_time()
    assert words_apart(title, title[::-1]) == words_apart(title[:100], title[:-101:-1])
    assert time.process_time() - started < 1  # seconds; all of it took four


def test_words_are_looked_for_only_in_what_is_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    head, *_ = OFFERS
    animals = ("wolf", "fox", "bear", "owl", "seal", "mole")
    rows = [(str(n), f"{animal} hand puppet plush toy", "", "", "30", "puppet") for n, animal in enumerate(animals)]
    data = _write(tmp_path / "offers.csv", [head, *rows])
    asked: list[tuple[str, str]] = []

    def noted(one: str, other: str) -> str:
        asked.append((one, other))
        return words_apart(one, other)

    for module in ("mistakes", "verdict"):
        monkeypatch.setattr(f"streams.evaluate.duplicates.{module}.words_apart", noted)
    report = evaluate_duplicates(_marketplace(), [data], Words(), truth_cluster="product", delimiter="#", errors=1)
    assert report.errors is not None
    assert report.errors.missed_pairs > 5
    [shown] = report.errors.false_negatives
    assert set(asked) == {(shown.earlier.title, shown.later.title)}


def test_what_differs_is_told_in_the_order_of_the_offers(tmp_path: Path) -> None:
    head, *_ = OFFERS
    rows = [
        head,
        ("1", "Acme desk lamp LQ-3003 20 W", "", "", "10", "lamp"),
        ("2", "Acme desk lamp LQ-4004 30 W", "", "", "20", "lamp"),
    ]
    _, mistakes = _explained(tmp_path, rows)
    [missed] = mistakes.false_negatives
    terms = {term.feature: term.words for term in missed.terms}
    assert (missed.earlier.identity, missed.later.identity) == ("offers/1", "offers/2")
    assert terms["code_conflict"] == "no model code in common: LQ3003 against LQ4004"
    assert terms["units"] == "amounts, colours or pieces differ: 20 w against 30 w"
    assert terms["price"] == "prices 10.00 and 20.00, one is 2 times the other"


def test_variants_are_listed_and_a_missed_pair_may_be_one(tmp_path: Path) -> None:
    head, *_ = OFFERS
    rows = [
        head,
        ("1", "Sony headphones WH-1000XM5 black", "", "", "300", "headphones"),
        ("2", "Sony headphones WH-1000XM5 silver", "", "", "300", "headphones"),
        ("3", "雅诗兰黛小棕瓶精华 50ml", "", "雅诗兰黛", "620", "50"),
        ("4", "雅诗兰黛小棕瓶精华 30ml", "", "雅诗兰黛", "420", "30"),
    ]
    report, mistakes = _explained(tmp_path, rows)
    assert report.relations == {"same": 0, "variant": 2}
    assert [(v.earlier.identity, v.later.identity, v.same) for v in mistakes.variants] == [
        ("offers/1", "offers/2", True),
        ("offers/3", "offers/4", False),
    ]
    assert mistakes.variants[0].reason.startswith(
        "another colour of “Sony headphones WH-1000XM5 black”: silver here, black there; titles "
    )
    assert dict(mistakes.missed_causes) == {"variant": 1}
    [missed] = mistakes.false_negatives
    assert missed.explanation == "the later one was stated to be a variant of the earlier one"
    assert missed.reason == mistakes.variants[0].reason


def test_what_the_columns_of_truth_lack_is_said(tmp_path: Path) -> None:
    data = _write(tmp_path / "offers.csv", OFFERS)
    with pytest.raises(FileError, match="no column 'group', it has id, title, description, manufacturer, price, prod"):
        evaluate_duplicates(_marketplace(), [data], Words(), truth_cluster="group", delimiter="#")
    single = _write(tmp_path / "single.csv", OFFERS[:4])
    with pytest.raises(InputError, match="No two products of the data have the same product"):
        evaluate_duplicates(_marketplace(), [single], Words(), truth_cluster="product", delimiter="#")


@pytest.mark.shared_data
@pytest.mark.slow
@pytest.mark.parametrize("name", ["abt-buy, one stream", "abt-buy, two feeds"])
def test_floors(shared_data: Path, name: str) -> None:
    try:
        encoder = load_encoder("static", cache_dir=Settings().cache_dir)
    except EncoderError as error:
        pytest.skip(f"the static encoder cannot be made here: {error}")
    report = measure(SETS[name], shared_data, encoder, 0)
    assert (report.records, report.truth_unknown) == (2161, 12)
    for figure, floor in SETS[name].floors.items():
        assert getattr(report, figure) >= floor, figure
