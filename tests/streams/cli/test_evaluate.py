from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from detectors.duplicates.score import THRESHOLD
from streams.cli.main import main
from tests.streams.evaluate.duplicates.words import Words

CONTRACT = str(Path(__file__).parents[2] / "contracts" / "abt-buy.yaml")
OFFERS = [
    ("id", "name", "description", "price", "manufacturer", "product"),
    ("1", "Sony speaker system SX-1001", "", "20", "", "speaker"),
    ("2", "Bose laser printer BX-2002", "", "90", "", "printer"),
    ("3", "new Sony speaker system SX-1001", "", "21", "", "speaker"),
    ("4", "new Bose laser printer BX-2002", "", "91", "", "another printer"),
    ("5", "Umbrella", "", "9", "", "speaker"),
]


@pytest.fixture(autouse=True)
def _words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("models.encoder.load_encoder", lambda *_, **__: Words())


@pytest.fixture
def offers(tmp_path: Path) -> str:
    file = tmp_path / "offers.csv"
    with file.open("w", newline="") as out:
        csv.writer(out).writerows(OFFERS)
    return str(file)


def call(*arguments: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(["evaluate", "duplicates", "--contract", CONTRACT, *arguments])
    return int(ended.value.code or 0)


def test_as_json(offers: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert call("--data", offers, "--truth-cluster", "product", "--errors", "3", "--json") == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["records"], report["precision"], report["recall"], report["f1"]) == (5, 0.5, 0.3333, 0.4)
    # Clusters {1 3} {2 4} {5}, truth {1 3 5} {2} {4}. Precision (1 + 1/2 + 1 + 1/2 + 1) / 5 = .8,
    # recall (2/3 + 1 + 2/3 + 1 + 1/3) / 5 = .7333.
    assert report["clusters"] == {
        "pairwise_f1": 0.4,
        "bcubed_precision": 0.8,
        "bcubed_recall": 0.7333,
        "bcubed_f1": 0.7652,
    }
    assert report["relations"] == {"same": 2, "variant": 0}
    assert list(report["seconds_by_stage"]) == ["read", "intake", "encode", "apply", "search", "state", "link"]
    assert [m["later"]["identity"] for m in report["errors"]["false_positives"]] == ["offers/4"]
    assert {m["later"]["title"] for m in report["errors"]["false_negatives"]} == {"Umbrella"}


def test_the_mistakes_on_a_terminal(offers: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert call("--data", offers, "--truth-cluster", "product", "--errors", "3") == 0
    out = capsys.readouterr().out
    assert "1 wrong link\n" in out
    assert f"A pair is taken for one product from a score of {THRESHOLD:.2f} on." in out
    assert "FALSE POSITIVE 1  score " in out
    assert "same model code BX2002 (+" in out
    assert "because   neither has a true partner in the data" in out
    assert "FALSE NEGATIVE 1  score " in out
    assert f"below the threshold {THRESHOLD:.2f}" in out


def test_a_title_that_the_data_lacks_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = tmp_path / "offers.csv"
    data.write_text("id,title,product\n1,灯,a\n2,灯,a\n")
    assert call("--data", str(data), "--truth-cluster", "product") == 1
    assert capsys.readouterr().err == (
        f"Error: {data}: The column 'name' (role title) of the contract is in none of the rows. Did you mean 'title'?\n"
        "Correct the contract, or set --delimiter where another sign is between the fields.\n"
    )


def test_tabs_between_the_fields(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = "".join("\t".join(row) + "\n" for row in OFFERS)
    data, same = tmp_path / "offers.csv", tmp_path / "offers.tsv"
    data.write_text(text)
    same.write_text(text)
    assert call("--data", str(data), "--truth-cluster", "product") == 1
    assert capsys.readouterr().err == (
        f"Error: {data}: The column 'id' (role id) of the contract is in none of the rows. "
        "The column 'name' (role title) of the contract is in none of the rows.\n"
        "The file has one column between commas and several between tabs: is --delimiter '\\t' meant?\n"
    )
    for arguments in (["--data", str(data), "--delimiter", "\\t"], ["--data", str(same)]):
        assert call(*arguments, "--truth-cluster", "product", "--json") == 0
        report = json.loads(capsys.readouterr().out)
        assert (report["records"], report["f1"], report["input"]["left_out"]) == (5, 0.4, [])


def test_tabs_in_the_truth(offers: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    truth = tmp_path / "truth.tsv"
    truth.write_text("a\tb\n1\t3\n2\t4\n")
    assert call("--data", offers, "--truth", str(truth), "--truth-columns", "a,b", "--json") == 0
    assert json.loads(capsys.readouterr().out)["f1"] == 1
    wrong = truth.rename(tmp_path / "truth.csv")
    assert call("--data", offers, "--truth", str(wrong), "--truth-columns", "a,b") == 1
    assert capsys.readouterr().err == (
        f"Error: {wrong} has no column 'a': it has one column between commas and several between tabs: "
        "is --delimiter '\\t' meant?\n"
    )


@pytest.mark.parametrize(
    "command", ["evaluate anomalies", "train anomalies --out O", "train matcher --out O --pairs P"]
)
def test_the_others_say_the_same_of_their_files(
    offers: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    pairs = tmp_path / "pairs.csv"
    pairs.write_text("a,b,label\n1,3,1\n")
    words = [{"O": str(tmp_path / "out"), "P": str(pairs)}.get(word, word) for word in command.split()]
    words += ["--contract", CONTRACT, *(["--pair-columns", "a,b,label"] if "matcher" in command else [])]
    with Path(offers).open("ab") as file:
        file.write(b"7,short\n")
    with pytest.raises(SystemExit):
        main([*words, "--data", offers])
    said = capsys.readouterr().err.splitlines()[:2]
    assert said[0] == ("WARNING: 1 of 6 rows is not counted as a product of its own; all figures are of the rest:")
    assert said[1].startswith(f"  {offers}: 1 row, in line 7: it does not fit the header.")
    data = tmp_path / "other.csv"
    data.write_text("id,title\n1,lamp\n")
    with pytest.raises(SystemExit) as ended:
        main([*words, "--data", str(data)])
    assert ended.value.code == 1
    err = capsys.readouterr().err
    assert err.startswith(f"Error: {data}: The column 'name' (role title) of the contract is in none of the rows.")


def test_a_name_without_a_format_is_to_be_changed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = tmp_path / "p.yaml"
    data.write_text("id: 1")
    assert call("--data", str(data), "--truth-cluster", "product") == 1
    assert capsys.readouterr().err == (
        "Error: The name p.yaml does not tell the format: rename it to end in .csv, .tsv, .jsonl or .parquet.\n"
    )


def test_what_is_left_out_is_told_beside_the_figures(offers: str, capsys: pytest.CaptureFixture[str]) -> None:
    with Path(offers).open("ab") as file:
        file.write("6,台灯,,5,,lamp\n".encode("gb18030") + b"7,short\n")
    assert call("--data", offers, "--truth-cluster", "product", "--json") == 0
    out, err = capsys.readouterr()
    assert out.count("\n") == 1  # the object and nothing else
    report = json.loads(out)
    assert (report["records"], report["input"]["rows"]) == (5, 7)
    assert [(found["reason"], found["rows"], found["line"]) for found in report["input"]["left_out"]] == [
        ("wrong_encoding", 1, 7),
        ("not_a_row", 1, 8),
    ]
    assert err.splitlines()[0] == (
        "WARNING: 2 of 7 rows are not counted as products of their own; all figures are of the rest:"
    )
    assert err.splitlines()[1].startswith(f"  {offers}: 1 row, in line 7: the text is not UTF-8")


def test_variants_on_a_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = tmp_path / "offers.csv"
    lines = ["id,name,product", *(f"{n},Sony headphones WH-1000XM5 {c},a" for n, c in enumerate(("black", "silver")))]
    data.write_text("\n".join(lines))
    assert call("--data", str(data), "--truth-cluster", "product", "--errors", "1") == 0
    out = capsys.readouterr().out
    assert "1 pair of variants\n" in out
    assert "VARIANT 1  " in out
    assert "alike, one product by the truth\n" in out
    assert "finding   another colour of “Sony headphones WH-1000XM5 black”: silver here, black there; titles " in out
    assert "no price" in out


def test_curve_and_plot(offers: str, tmp_path: Path) -> None:
    curve, plot = tmp_path / "curve.csv", tmp_path / "curve.png"
    assert call("--data", offers, "--truth-cluster", "product", "--curve", str(curve), "--plot", str(plot)) == 0
    rows = list(csv.DictReader(curve.read_text().splitlines()))
    assert [(row["threshold"], row["f1"]) for row in rows if row["chosen"] == "1"] == [(str(THRESHOLD), "0.4")]
    assert plot.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "Nothing says which records are the same product. Give --truth FILE"),
        (["--truth", "t.csv", "--truth-cluster", "product"], "--truth and --truth-cluster are both given. Give one"),
        (["--truth", "t.csv"], "--truth-columns is missing. Write the two columns of --truth as idA,idB."),
        (["--truth", "t.csv", "--truth-columns", "a"], "--truth-columns 'a' does not name two columns."),
        (["--truth-cluster", "product", "--truth-columns", "a,b"], "--truth-columns belongs to --truth. Leave it out"),
        (
            ["--truth-cluster", "group"],
            "has no column 'group', it has id, name, description, price, manufacturer, prod",
        ),
        (["--truth-cluster", "product", "--plot", "no/plot.png"], "There is no folder no for plot.png. Make it first."),
        (["--truth-cluster", "manufacturer"], "No two products of the data have the same manufacturer"),
    ],
)
def test_what_is_asked_wrongly_is_said_in_a_sentence(
    offers: str, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    assert call("--data", offers, *arguments) == 1
    err = " ".join(capsys.readouterr().err.split())
    assert said in err
    assert "Traceback" not in err


def test_the_command_of_the_readme(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    root = Path(__file__).parents[3]
    monkeypatch.chdir(root)
    readme = (root / "README.md").read_text(encoding="utf-8").splitlines()
    [command] = [line for line in readme if line.startswith("streamgauge evaluate duplicates ")]
    with pytest.raises(SystemExit) as ended:
        main([*command.split()[1:], "--json"])
    out, err = capsys.readouterr()
    report = json.loads(out)
    assert (ended.value.code, err) == (0, "")
    assert (report["records"], report["truth_unknown"], report["precision"]) == (16, 0, 1)
    assert report["input"] == {"rows": 16, "left_out": [], "absent": {}, "looked": {}}


def test_help_teaches(capsys: pytest.CaptureFixture[str]) -> None:
    assert call("--help") == 0
    out = capsys.readouterr().out
    for word in ("--truth-cluster", "--errors", "--curve", "--plot", "--truth pairs.csv --truth-columns idA,idB"):
        assert word in out
    for meaning in (
        "truth unknown: true pairs that no other line counts.",
        "caution: 0 to 1.",
        f"from {THRESHOLD:.2f} on",
        "pairs: same are links, variant",
    ):
        assert meaning in " ".join(out.split())


def test_a_matcher_over_files_with_tabs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = [f"{brand} {thing}" for brand in ("Sony", "Bose", "Canon") for thing in ("lamp", "mouse", "camera", "desk")]
    names = [f"{words[n % len(words)]} kind{n} model" for n in range(60)]
    one, two, pairs = tmp_path / "one.tsv", tmp_path / "two.tsv", tmp_path / "pairs.txt"
    one.write_text("id\tname\tprice\n" + "".join(f"{n}\t{name}\t20\n" for n, name in enumerate(names)))
    two.write_text("id\tname\tprice\n" + "".join(f"{n}\tnew {name}\t21\n" for n, name in enumerate(names)) + "60\n")
    labels = [(n, m, int(n == m)) for n in range(60) for m in (n, (n + 12) % 60)]
    pairs.write_text("a\tb\tlabel\n" + "".join(f"{a}\t{b}\t{label}\n" for a, b, label in labels))
    files = ["--contract", CONTRACT, "--data", str(one), "--data", str(two), "--pairs", str(pairs)]
    files += ["--pair-columns", "a,b,label"]
    folder = str(tmp_path / "matcher")
    with pytest.raises(SystemExit) as ended:
        main(["train", "matcher", *files, "--out", folder])
    assert ended.value.code == 1
    assert capsys.readouterr().err == (
        f"Error: {pairs} has no column 'a': it has one column between commas and several between tabs: "
        "is --pairs-delimiter '\\t' meant?\n"
    )
    files += ["--pairs-delimiter", "\\t"]
    for command in (["train", "matcher", "--out", folder], ["evaluate", "matcher", "--model", folder]):
        with pytest.raises(SystemExit) as ended:
            main([*command, *files, "--json"])
        out, err = capsys.readouterr()
        assert (ended.value.code, out.count("\n")) == (0, 1)
        assert err.splitlines()[-2:] == [
            "WARNING: 1 of 121 rows is not counted as a product of its own; all figures are of the rest:",
            f"  {two}: 1 row, in line 62: it does not fit the header. Give it as many fields as the header has, "
            "and close its quotes.",
        ]
    report = json.loads(out)
    assert (report["pairs"], report["same"], report["unknown"]) == (120, 60, 0)
    assert report["input"]["rows"] == 121
    assert [(found["file"], found["reason"], found["line"]) for found in report["input"]["left_out"]] == [
        (str(two), "not_a_row", 62)
    ]
    lacking = ["description", "manufacturer"]
    assert {file: [column["name"] for column in columns] for file, columns in report["input"]["absent"].items()} == {
        str(one): lacking,
        str(two): lacking,
    }
    assert report["input"]["looked"] == {}
