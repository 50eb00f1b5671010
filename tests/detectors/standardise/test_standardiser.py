from __future__ import annotations

import copy
import csv
import pickle
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors.contract.model import Column, ColumnType, Constraint, ConstraintKind, Contract, Kind, Role
from detectors.contract.rules import ContractRules
from detectors.records import Batch, Correction, Dimension, Record, Severity, StoredRecord, Suggestion
from detectors.repair import RepairPolicy
from detectors.standardise.standardiser import ADDED, Standardised, Standardiser, restore


def contract(*columns: Column) -> Contract:
    return Contract("test", "1", "products", Kind.PRODUCTS, columns, frozenset(column.name for column in columns))


def column(name: str, role: Role | None = None, type_: ColumnType | None = None, missing: Sequence[str] = ()) -> Column:
    return Column(name, type_, role, (), frozenset(missing))


PRODUCTS = contract(
    column("id", Role.ID),
    column("title", Role.TITLE),
    column("text", Role.DESCRIPTION),
    column("brand", Role.BRAND, missing=["N/A"]),
    column("category", Role.CATEGORY),
    column("price", Role.PRICE, ColumnType.NUMBER, ["0.0", "TBA"]),
    column("currency", Role.CURRENCY),
    column("gtin", Role.GTIN),
    column("mpn", Role.MPN),
    column("url", Role.URL),
    column("image", Role.IMAGE),
    column("updated", Role.UPDATED_AT),
    column("stock", None, ColumnType.INTEGER, ["-1"]),
    column("weight", None, ColumnType.NUMBER),
    column("released", None, ColumnType.DATE),
    column("seen", None, ColumnType.TIMESTAMP),
    column("active", None, ColumnType.BOOLEAN),
)


def by_row(corrections: Sequence[Correction]) -> Mapping[int, list[Correction]]:
    found: dict[int, list[Correction]] = defaultdict(list)
    for correction in corrections:
        found[correction.row].append(correction)
    return found


def run(*rows: dict[str, Any], of: Contract = PRODUCTS) -> Standardised:
    """Standardises and holds what always holds: the input untouched, everything reversible, ordered by row."""
    before = copy.deepcopy(rows)
    result = Standardiser(of).standardise(rows)
    assert repr(rows) == repr(before)
    assert [c.row for c in result.corrections] == sorted(c.row for c in result.corrections)
    assert [f.row for f in result.findings] == sorted(f.row for f in result.findings)
    undo = by_row(result.corrections)
    for row, (original, values) in enumerate(zip(rows, result.values, strict=True)):
        restored = restore(values, undo[row])
        assert repr(restored) == repr(original)  # equal in value, type and the order of columns
        assert (values is original) == (not undo[row])
    return result


def one(row: dict[str, Any], of: Contract = PRODUCTS) -> tuple[dict[str, Any], list[str], list[str]]:
    """The values, the rules of the corrections and the rules of the findings of one row."""
    result = run(row, of=of)
    return result.values[0], [c.rule for c in result.corrections], [f.rule.name for f in result.findings]


CLEAN = {
    "id": "1",
    "title": "Sony Bravia 55 电视",
    "text": "A television.\nBlack.",
    "brand": "Sony",
    "category": "TV & Video > TV",
    "price": 399.5,
    "currency": "USD",
    "gtin": "5901234123457",
    "url": "https://example.com/1",
    "updated": "2019-10-01T00:00:00Z",
    "stock": 5,
    "unknown": [1, {"a": None}],
}


def test_a_clean_row_is_given_back_as_it_is() -> None:
    assert one(CLEAN) == (CLEAN, [], [])


def test_no_rows_are_no_work() -> None:
    assert run() == Standardised([], [], [])


def test_every_role_and_type() -> None:
    values, rules, findings = one(
        {
            "id": " 1 ",
            "title": "  Ｓony  TV",
            "text": "<p>Black</p>",
            "brand": "Sony ",
            "category": "TV &amp; Video",
            "price": "￥1,299.00",
            "currency": "rmb",
            "gtin": 36000291452,
            "mpn": " X 1 ",
            "url": " https://example.com/1\n",
            "image": ["a ", "b"],
            "updated": 1569888000,
            "stock": "1,200",
            "weight": "0.5",
            "released": "2019年10月1日",
            "seen": "2019/10/1 08:00",
            "active": "是",
        }
    )
    assert values == {
        "id": " 1 ",
        "title": "Sony TV",
        "text": "Black",
        "brand": "Sony",
        "category": "TV & Video",
        "price": 1299.0,
        "currency": "CNY",
        "gtin": "0036000291452",
        "mpn": " X 1 ",
        "url": "https://example.com/1",
        "image": ["a ", "b"],
        "updated": "2019-10-01T00:00:00Z",
        "stock": 1200,
        "weight": 0.5,
        "released": "2019-10-01",
        "seen": "2019-10-01T08:00:00Z",
        "active": True,
    }
    assert Counter(rules) == Counter(
        {
            "text.compatibility": 1,
            "text.white_space": 3,
            "text.html": 2,
            "price.notation": 1,
            "currency.code": 1,
            "gtin.notation": 1,
            "time.notation": 2,
            "date.notation": 1,
            "number.notation": 2,
            "boolean.notation": 1,
        }
    )
    assert findings == ["text.html"]


def test_a_finding_has_the_value_that_came_in_and_the_repair() -> None:
    result = run(CLEAN, {**CLEAN, "title": " Sony &amp; TV \x07"})
    html, control = result.findings
    assert (html.row, html.column, html.rule.name) == (1, "title", "text.html")
    assert html.observed == control.observed == " Sony &amp; TV \x07"
    assert html.suggestion == control.suggestion == Suggestion("Sony & TV")
    assert html.evidence.reason == "HTML tags or entities stand in a text of one line."


@pytest.mark.parametrize("value", ["", None])
def test_the_currency_of_a_price_fills_an_empty_column(value: Any) -> None:
    values, rules, findings = one({"price": "€5", "currency": value})
    assert values == {"price": 5.0, "currency": "EUR"}
    assert rules[-2:] == ["price.notation", "price.currency"]
    assert findings == []


def test_the_currency_of_a_price_adds_a_column() -> None:
    values, rules, _ = one({"price": "€5"})
    assert values == {"price": 5.0, "currency": "EUR"}
    assert rules == ["price.notation", ADDED]


def test_currencies_that_contradict_each_other_are_found_and_left() -> None:
    values, rules, findings = one({"price": "€5", "currency": "usd"})
    assert values == {"price": 5.0, "currency": "USD"}
    assert rules == ["currency.code", "price.notation"]
    assert findings == ["price.currency_conflict"]
    assert one({"price": "$5", "currency": "MXN"}) == ({"price": 5.0, "currency": "MXN"}, ["price.notation"], [])
    assert one({"price": "$5", "currency": "?"})[2] == []


def test_a_contract_without_a_currency_column_has_none_added() -> None:
    prices = contract(column("p", Role.PRICE))
    assert one({"p": "€5"}, prices) == ({"p": 5.0}, ["price.notation"], [])


def test_the_language_of_the_title_says_what_a_yuan_sign_means() -> None:
    assert one({"title": "キヤノン カメラ", "price": "¥5,000"})[0]["currency"] == "JPY"
    assert one({"title": "佳能相机", "price": "¥5,000"})[0]["currency"] == "CNY"


@pytest.mark.parametrize(
    ("price", "finding"),
    [
        ("99-129", "price.unparseable"),
        ("call us", "price.unparseable"),
        (True, "price.unparseable"),
        ([399.0], "price.unparseable"),
        ({"amount": 3}, "price.unparseable"),
        (10**400, "price.unparseable"),
        (1e300, "price.unparseable"),
        ("9" * 70, "price.unparseable"),
        (float("nan"), "price.unparseable"),
        (-5, "price.negative"),
        (-0.01, "price.negative"),
    ],
)
def test_prices_that_are_none_are_left(price: Any, finding: str) -> None:
    values, rules, findings = one({"price": price})
    assert values["price"] is price
    assert (rules, findings) == ([], [finding])


def test_a_negative_price_has_a_proposal_and_is_not_changed() -> None:
    result = run({"price": "-US$5.00"})
    assert result.values == [{"price": -5.0, "currency": "USD"}]
    assert result.findings[0].suggestion == Suggestion(5.0)
    assert result.findings[0].observed == "-US$5.00"


SOURCES = contract(
    column("shop", Role.SOURCE),
    column("price", Role.PRICE, ColumnType.NUMBER),
    column("currency", Role.CURRENCY),
    column("updated", Role.UPDATED_AT),
    column("released", None, ColumnType.DATE),
    column("seen", None, ColumnType.TIMESTAMP),
)


def test_a_price_that_can_be_read_in_two_ways_stays_and_goes_to_review() -> None:
    row = {"price": "$1.299"}
    result = run(row)
    assert result.values == [row]
    (finding,) = result.findings
    assert (finding.rule.name, finding.column, finding.observed) == ("price.ambiguous", "price", "$1.299")
    assert (finding.suggestion, finding.confidence) == (Suggestion(1299.0), 0.75)
    batch = Batch(
        PRODUCTS, [Record(StoredRecord("p", 0, 0, 0, None, None), "a/1", row, values, 0) for values in result.values]
    )
    assert RepairPolicy().repair(batch, result.findings, result.corrections).reviews == [finding]
    assert RepairPolicy({"price.ambiguous": 0.7}).repair(batch, result.findings).batch.records[0].values == {
        "price": 1299.0
    }


def test_a_bare_sign_gives_the_amount_and_suggests_the_currency() -> None:
    result = run({"price": "$399.00"})
    assert result.values == [{"price": 399.0}]
    (finding,) = result.findings
    assert (finding.rule.name, finding.column, finding.observed) == ("price.currency_ambiguous", "currency", None)
    assert (finding.suggestion, finding.confidence) == (Suggestion("USD"), 0.85)
    assert one({"p": "$399.00"}, contract(column("p", Role.PRICE))) == ({"p": 399.0}, ["price.notation"], [])


def test_what_a_source_declares_elsewhere_settles_a_bare_sign() -> None:
    result = run(
        {"shop": "a", "price": "$5"},
        {"shop": "a", "price": 7, "currency": "CAD"},
        {"shop": "b", "price": "$5"},
        of=SOURCES,
    )
    assert [values.get("currency") for values in result.values] == ["CAD", "CAD", None]
    assert [(f.row, f.rule.name) for f in result.findings] == [(2, "price.currency_ambiguous")]


def test_a_date_that_can_be_read_in_two_ways_stays() -> None:
    row = {"updated": "05/03/2024", "released": "05/03/2024", "seen": "05/03/2024"}
    result = run(row, of=SOURCES)
    assert result.values == [row]
    assert [(f.column, f.rule.name, f.suggestion, f.confidence) for f in result.findings] == [
        ("updated", "time.ambiguous", Suggestion("2024-05-03T00:00:00Z"), 0.6),
        ("released", "time.ambiguous", Suggestion("2024-05-03"), 0.6),
        ("seen", "time.ambiguous", Suggestion("2024-05-03T00:00:00Z"), 0.6),
    ]


def test_other_dates_of_the_source_settle_the_order_of_day_and_month() -> None:
    texts = [
        *(("a", "05/03/2024"), ("a", "31/03/2024"), ("b", "05/03/2024"), ("b", "03/31/2024")),
        *(("c", "05/03/2024"), ("d", "05/03/2024"), ("d", "31/03/2024"), ("d", "03/31/2024"), ("a", "05-03-2024")),
    ]
    result = run(*({"shop": shop, "updated": text, "released": text} for shop, text in texts), of=SOURCES)
    assert [values["released"] for values in result.values] == [
        *("2024-03-05", "2024-03-31", "2024-05-03", "2024-03-31"),
        *("05/03/2024", "05/03/2024", "2024-03-31", "2024-03-31", "05-03-2024"),
    ]
    assert [values["updated"][:10] for values in result.values] == [values["released"] for values in result.values]
    assert [f.row for f in result.findings if f.rule.name == "time.ambiguous"] == [4, 4, 5, 5, 8, 8]


@pytest.mark.parametrize("price", [0.0, 0, "0.0", "0.00", " 0.0 ", "TBA", "$0"])
def test_what_the_contract_calls_missing_is_not_known(price: Any) -> None:
    values, rules, findings = one({"price": price})
    assert values["price"] is None
    assert (rules, findings) == (["missing.value"], [])


def test_missing_holds_for_any_column() -> None:
    values, rules, _ = one({"brand": "N/A", "stock": "-1", "title": "", "mpn": "", "url": "   ", "unknown": ""})
    assert values == {"brand": None, "stock": None, "title": None, "mpn": None, "url": None, "unknown": ""}
    assert Counter(rules) == Counter({"missing.value": 2, "missing.empty": 3, "text.white_space": 1})
    assert one({"stock": False})[0] == {"stock": False}


def test_values_of_other_types_are_left_to_the_contract() -> None:
    row = {"id": 7, "title": 7, "text": ["a"], "brand": True, "stock": "many", "active": "maybe", "released": "soon"}
    assert one(row) == (row, [], [])


def test_an_integer_keeps_all_its_digits() -> None:
    assert one({"stock": "12345678901234567890"})[0] == {"stock": 12345678901234567890}
    assert one({"stock": "1.5"})[0] == {"stock": "1.5"}
    assert one({"weight": "1e400"})[0] == {"weight": "1e400"}


@pytest.mark.parametrize("text", ["60W", "~60W", "100 W", "4K", "(3)", "temperature -5", "up to 60", "3件", "5元"])
def test_a_number_column_takes_no_unit_for_a_multiplier(text: str) -> None:
    row = {"weight": text, "stock": text}
    assert one(row) == (row, [], [])
    records = [Record(StoredRecord("p", 0, 0, 0, None, None), "a/1", row, row, 0)]
    demands = (Constraint(ConstraintKind.TYPE, Dimension.CONFORMITY, Severity.ERROR),)
    typed = contract(Column("weight", ColumnType.NUMBER, None, demands))
    assert [f.rule.name for f in ContractRules(typed).detect(Batch(typed, records))] == ["contract.type"]


def test_an_amount_becomes_a_number_of_the_unit_that_the_contract_names() -> None:
    weighed = contract(Column("weight", ColumnType.NUMBER, unit="g"), Column("pieces", ColumnType.INTEGER, unit="pcs"))
    rows = [
        {"weight": "0.5 kg", "pieces": "3件"},
        {"weight": "500 ml", "pieces": "1,200"},
        {"weight": 500, "pieces": 3},
    ]
    done = Standardiser(weighed).standardise(rows)
    assert done.values == [{"weight": 500, "pieces": 3}, {"weight": "500 ml", "pieces": 1200}, rows[2]]
    assert [(c.row, c.before, c.rule, c.reason) for c in done.corrections] == [
        (0, "0.5 kg", "number.unit", "“0.5 kg” as a number of g"),
        (0, "3件", "number.unit", "“3件” as a number of pcs"),
        (1, "1,200", "number.notation", "“1,200” written as a number"),
    ]
    assert restore(done.values[0], [c for c in done.corrections if c.row == 0]) == rows[0]


@pytest.mark.parametrize(("text", "number"), [("1,299", 1299), ("1.2万", 12000), ("三千", 3000), ("-5", -5)])
def test_a_number_column_reads_other_notations(text: str, number: int) -> None:
    assert one({"weight": text, "stock": text}) == (
        {"weight": number, "stock": number},
        ["number.notation", "number.notation"],
        [],
    )


def test_a_dash_before_a_price_is_no_minus_and_a_bound_is_only_suggested() -> None:
    assert one({"price": "特价 - 99元", "currency": "CNY"}) == (
        {"price": 99.0, "currency": "CNY"},
        ["price.notation"],
        [],
    )
    result = run({"price": "1299元起"})
    assert result.values == [{"price": "1299元起"}]
    (finding,) = result.findings
    assert (finding.rule.name, finding.suggestion, finding.confidence) == ("price.ambiguous", Suggestion(1299.0), 0.8)
    assert finding.evidence.reason == "The price “1299元起” is a bound or an estimate; most likely it is 1299."


def test_numbers_too_long_to_be_written_out_go_through() -> None:
    row = dict.fromkeys(PRODUCTS.known_columns, 10**5000)
    result = Standardiser(PRODUCTS).standardise([row])
    assert result.values[0] is row
    assert {f.rule.name for f in result.findings} == {"price.unparseable", "time.unparseable", "gtin.format"}


def test_rows_need_not_be_dicts() -> None:
    class Row(Mapping[str, Any]):
        def __getitem__(self, key: str) -> Any:
            return CLEAN[key]

        def __iter__(self) -> Any:
            return iter(CLEAN)

        def __len__(self) -> int:
            return len(CLEAN)

    assert Standardiser(PRODUCTS).standardise([Row()]) == Standardised([CLEAN], [], [])


def limited(row: dict[str, Any], **auto_apply: float) -> tuple[dict[str, Any], list[Correction], list[Any]]:
    """The row's values, its corrections, and what goes to review, with the same thresholds for both who repair."""
    limits = {name.replace("__", "."): confidence for name, confidence in auto_apply.items()}
    result = Standardiser(PRODUCTS, limits).standardise([row])
    assert restore(result.values[0], result.corrections) == row
    batch = Batch(PRODUCTS, [Record(StoredRecord("p", 0, 0, 0, None, None), "a/1", row, result.values[0], 0)])
    done = RepairPolicy(limits).repair(batch, result.findings, result.corrections)
    assert done.corrections == []
    return (
        result.values[0],
        result.corrections,
        [(f.rule.name, f.suggestion and f.suggestion.value) for f in done.reviews],
    )


@pytest.mark.parametrize(
    ("text", "rule", "repaired"),
    [
        ("New York New York CD", "text.repeated_phrase", "New York CD"),
        ("CafÃ© au lait", "text.mojibake", "Café au lait"),
        ("<b>Bold</b> shirt", "text.html", "Bold shirt"),
        ("a\x01b", "text.control_characters", "ab"),
        ("<br>", "text.html", None),
    ],
)
def test_a_repair_below_its_threshold_goes_to_review(text: str, rule: str, repaired: str | None) -> None:
    row = {"title": text}
    assert limited(row, **{rule: 2.0}) == (row, [], [(rule, repaired)])
    values, corrections, reviews = limited(row, **{rule: 0.5})
    assert (values["title"], corrections[0].rule, reviews) == (repaired, rule, [])


def test_the_confidence_of_a_repair_decides() -> None:
    row = {"title": "red <b>shoe</b> \u00a0 CafÃ© Noir Bar CafÃ© Noir Bar"}
    whole = "red shoe Café Noir Bar"
    assert limited(row)[0] == {"title": whole}
    values, _, reviews = limited(row, text__mojibake=0.99, text__html=0.98)
    assert values == {"title": "red shoe CafÃ© Noir Bar"}
    assert reviews == [("text.mojibake", whole)]
    values, corrections, reviews = limited(row, text__mojibake=2, text__html=2, text__repeated_phrase=2)
    assert [c.rule for c in corrections] == ["text.white_space"]
    assert reviews == [(name, whole) for name in ("text.mojibake", "text.html", "text.repeated_phrase")]


def test_markup_of_a_description_stays_where_it_may_not_be_taken_out() -> None:
    row = {"text": "<p>Warm wool</p>"}
    assert limited(row)[2] == []
    assert limited(row, text__html=2) == (row, [], [("text.html", "Warm wool")])


def test_the_currency_that_a_price_names_is_taken_from_its_threshold_on() -> None:
    row = {"price": "5 EUR"}
    assert limited(row)[0] == limited(row, price__currency=0.98)[0] == {"price": 5.0, "currency": "EUR"}
    values, _, reviews = limited(row, price__currency=2)
    assert (values, reviews) == ({"price": 5.0}, [("price.currency_ambiguous", "EUR")])


def test_a_standardiser_can_be_pickled() -> None:
    again = pickle.loads(pickle.dumps(Standardiser(PRODUCTS)))
    assert again.standardise([{"price": "US$5"}]).values == [{"price": 5.0, "currency": "USD"}]


def test_rules_have_names_of_their_own() -> None:
    names = [rule.name for rule in Standardiser(PRODUCTS).rules]
    assert len(set(names)) == len(names)


texts = st.text(max_size=30) | st.sampled_from(
    ["", " ", "N/A", "0.0", "$399.00", "99-129", "￥1.2万", "2016/11/9", "CafÃ©", "鎵嬫満鍏呯數", "<b>x</b>", "a\x00b"]
)
scalars = st.none() | st.booleans() | st.integers() | st.floats() | texts | st.just(10**400)
json = st.recursive(scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3))
rows = st.lists(st.dictionaries(st.sampled_from([*PRODUCTS.known_columns, "unknown"]), json), max_size=6)


@given(rows)
@settings(max_examples=300, deadline=None)
def test_any_json_goes_through_and_can_be_undone(table: list[dict[str, Any]]) -> None:
    result = run(*table)
    for finding in result.findings:
        assert 0 <= finding.confidence <= 1
        assert finding.rule in Standardiser.rules
    for correction in result.corrections:
        assert 0 <= correction.confidence <= 1
        assert correction.reason


@given(rows)
@settings(max_examples=100, deadline=None)
def test_a_row_comes_to_the_same_alone_and_in_a_batch(table: list[dict[str, Any]]) -> None:
    together = Standardiser(PRODUCTS).standardise(table).values
    alone = [Standardiser(PRODUCTS).standardise([row]).values[0] for row in table]
    assert repr(together) == repr(alone)


# --- real data ----------------------------------------------------------------------------------------------------


def read(path: Path, delimiter: str = ",") -> list[dict[str, Any]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file, delimiter=delimiter))


@pytest.mark.shared_data
def test_abt_buy(shared_data: Path) -> None:
    table = read(shared_data / "products-abt-buy" / "abtbuy.csv")
    shop = contract(column("name", Role.TITLE), column("description", Role.DESCRIPTION), column("price", Role.PRICE))
    result = run(*table, of=shop)
    assert Counter(f.rule.name for f in result.findings) == {}
    counts = Counter((c.column, c.rule) for c in result.corrections)
    assert counts["price", "price.notation"] == 1008
    assert counts["price", "missing.empty"] == 1153
    assert counts["description", "text.mojibake"] == 0
    for row, values in zip(table, result.values, strict=True):
        if row["price"]:
            assert values["price"] == float(row["price"].lstrip("$").replace(",", ""))


@pytest.mark.shared_data
def test_tmall(shared_data: Path) -> None:
    table = read(shared_data / "chinese" / "tmall-cosmetics.csv")
    shop = contract(column("update_time", Role.UPDATED_AT), column("title", Role.TITLE), column("price", Role.PRICE))
    result = run(*table, of=shop)
    assert set(Counter(f.rule.name for f in result.findings)) <= {"text.repeated_phrase"}
    assert len(result.findings) < 40
    assert all(values["update_time"].startswith("2016-") for values in result.values)
    assert not [c for c in result.corrections if c.rule == "text.mojibake"]


@pytest.mark.shared_data
def test_lazada_and_shein(shared_data: Path) -> None:
    csv.field_size_limit(10**8)
    for name, title, text in (
        ("lazada", "title", "product_description"),
        ("shein", "product_name", "description"),
        ("shopee", "title", "Product Description"),
    ):
        table = read(shared_data / "catalogues" / f"{name}-products.csv")
        shop = contract(
            column(title, Role.TITLE),
            column(text, Role.DESCRIPTION),
            column("final_price", Role.PRICE),
            column("currency", Role.CURRENCY),
        )
        result = run(*table, of=shop)
        counts = Counter(f.rule.name for f in result.findings)
        assert counts["price.unparseable"] == counts["price.currency_conflict"] == 0
        assert not [c for c in result.corrections if c.rule == "text.mojibake"]
        for row, values in zip(table, result.values, strict=True):
            assert values["final_price"] == float(row["final_price"])
