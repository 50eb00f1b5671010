from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors.contract.check import check_contract
from detectors.contract.draft import draft_contract
from detectors.contract.load import parse_contract
from detectors.contract.model import ColumnType, ConstraintKind, Contract, Kind, Role
from streams.files import read_rows


def drafted(rows: list[dict[str, Any]], topic: str = "goods") -> Contract:
    return parse_contract(draft_contract(rows, topic), "draft")


def roles(contract: Contract) -> dict[str, str]:
    return {role.value: column.name for role, column in contract.roles.items()}


def test_english_names() -> None:
    rows = [
        {
            "SKU": f"A{i}",
            "Product Name": f"Lamp number {i}",
            "Manufacturer": "Sony",
            "Sale-Price": 5 + i,
            "shop_name": "acme",
        }
        for i in range(30)
    ]
    contract = drafted(rows)
    assert contract.kind is Kind.PRODUCTS
    assert roles(contract) == {
        "id": "SKU",
        "title": "Product Name",
        "brand": "Manufacturer",
        "price": "Sale-Price",
        "source": "shop_name",
    }
    assert contract.key == "{source}/{id}"
    assert contract.roles[Role.ID].constraint(ConstraintKind.REQUIRED) is not None


def test_chinese_names() -> None:
    rows = [
        {
            "商品编号": str(i),
            "标题": f"自然堂 洁面乳 {i}号",
            "价格": "￥1,299.00",
            "品牌": "自然堂",
            "店名": "天猫",
            "更新时间": "2016/11/9",
        }
        for i in range(30)
    ]
    contract = drafted(rows)
    assert roles(contract) == {
        "id": "商品编号",
        "title": "标题",
        "price": "价格",
        "brand": "品牌",
        "source": "店名",
        "updated_at": "更新时间",
    }


def test_content_speaks_where_names_do_not() -> None:
    rows = [
        {
            "c1": f"x-{i}",
            "c2": f"A lamp with {i} bulbs for the table",
            "c3": "4006381333931",
            "c4": f"https://example.com/{i}",
            "c5": f"https://example.com/{i}.jpg",
            "c6": f"$ {i}.50",
            "c7": "EUR",
            "c8": "2024-05-01T10:00:00Z",
        }
        for i in range(30)
    ]
    assert roles(drafted(rows)) == {
        "id": "c1",
        "title": "c2",
        "gtin": "c3",
        "url": "c4",
        "image": "c5",
        "price": "c6",
        "currency": "c7",
        "updated_at": "c8",
    }


def test_events() -> None:
    rows = [
        {
            "event": ["view", "cart"][i % 2],
            "user_id": i,
            "item_id": "7",
            "ts": 1_714_557_600 + i,
            "device": ["phone", "desk"][i % 2],
        }
        for i in range(200)
    ]
    contract = drafted(rows)
    assert contract.kind is Kind.BEHAVIORS
    assert roles(contract) == {"type": "event", "user": "user_id", "product": "item_id", "time": "ts"}
    listed = contract.roles[Role.TYPE].constraint(ConstraintKind.ENUM)
    assert listed is not None
    assert listed.arguments["values"] == ("cart", "view")


def test_types_and_missing_values() -> None:
    rows: list[dict[str, Any]] = [
        {
            "id": str(i),
            "title": f"Lamp {i}",
            "price": "0.0" if i % 3 else "5.5",
            "stock": str(i),
            "rating": "4.5",
            "code": "0012",
            "big": "2103807459595387724",
            "tags": ["a"],
            "new": True,
            "colour": "N/A" if i == 3 else f"c{i}",
            "seen": "2024-05-01",
        }
        for i in range(60)
    ]
    text = draft_contract(rows, "goods")
    contract = parse_contract(text, "draft")
    types = {c.name: c.type for c in contract.columns}
    assert types["stock"] is ColumnType.INTEGER
    assert types["rating"] is ColumnType.NUMBER
    assert types["code"] is ColumnType.STRING
    assert types["big"] is ColumnType.STRING
    assert types["tags"] is ColumnType.ARRAY
    assert types["new"] is ColumnType.BOOLEAN
    missing = {c.name: c.missing for c in contract.columns if c.missing}
    assert missing == {"price": {"0.0"}, "colour": {"N/A"}}
    assert contract.roles[Role.PRICE].constraint(ConstraintKind.REQUIRED) is None
    assert "role price: its name; missing: '0.0' in 40 of 60 rows" in text


def required(contract: Contract) -> set[str]:
    return {c.name for c in contract.columns if c.constraint(ConstraintKind.REQUIRED) is not None}


@pytest.mark.parametrize(
    ("count", "expected"), [(3, {"sku", "标题"}), (299, {"sku", "标题"}), (300, {"sku", "标题", "品牌"})]
)
def test_id_and_title_are_required_and_others_only_after_many_rows(count: int, expected: set[str]) -> None:
    rows = [{"sku": f"A{i}", "标题": f"自然堂 洁面乳 {i}号", "品牌": "自然堂"} for i in range(count)]
    assert required(drafted(rows)) == expected
    rows[0]["标题"] = ""
    assert required(drafted(rows)) == expected


@pytest.mark.parametrize(
    "name",
    [
        "来源",
        "店铺",
        "店铺名称",
        "供应商编码",
        "渠道",
        "数据来源",
        "shop",
        "supplier",
        "vendor",
        "seller_id",
        "data_source",
    ],
)
def test_where_offers_come_from_is_their_source(name: str) -> None:
    contract = drafted([{"sku": f"A{i}", "title": f"Lamp number {i}", name: "north"} for i in range(30)])
    assert contract.column_of(Role.SOURCE) == name
    assert contract.key == "{source}/{id}"


@pytest.mark.parametrize("name", ["seller_rating", "resource", "restore_date", "store_url", "出口渠道价"])
def test_what_is_no_source(name: str) -> None:
    value = "https://example.com/a" if name.endswith("url") else "4.5"
    contract = drafted([{"sku": f"A{i}", "title": f"Lamp number {i}", name: value} for i in range(30)])
    assert (contract.column_of(Role.SOURCE), contract.key) == (None, "{id}")


def test_prices_with_words_for_no_price_and_with_odd_values() -> None:
    words = ["面议", "待定", "暂无报价", "N/A", "-"]
    rows = [{"sku": f"A{i}", "标题": f"洁面乳 {i}号", "价格": words[i] if i < 5 else f"￥{i}.00"} for i in range(30)]
    text = draft_contract(rows, "goods")
    price = parse_contract(text, "draft").roles[Role.PRICE]
    assert (price.name, price.type, price.missing) == ("价格", ColumnType.NUMBER, frozenset(words))
    for i in range(5, 15):
        rows[i]["价格"] = "两件八折"
    text = draft_contract(rows, "goods")
    price = parse_contract(text, "draft").roles[Role.PRICE]
    assert (price.type, price.missing) == (ColumnType.STRING, frozenset(words))
    assert "a string, because of values that are no amounts (10 of 30): “两件八折”" in text
    for row in rows:
        row["价格"] = "两件八折"
    assert Role.PRICE not in drafted(rows).roles


def test_rows_that_do_not_read_are_counted() -> None:
    rows = [{"sku": "A1", "title": "Lamp"}]
    assert draft_contract(rows, "goods").startswith("# Drafted from 1 rows. Every guess")
    assert draft_contract(rows, "goods", 2).startswith("# Drafted from 1 of 3 rows. Every guess")


def test_what_was_not_found_is_said() -> None:
    text = draft_contract([{"x": 1.5}], "goods")
    assert "TODO: no column looks like the id of the product" in text
    assert {p.message for p in check_contract(text)} == {
        "no column has the role id, which products need.",
        "no column has the role title, which products need.",
    }


def test_no_rows() -> None:
    with pytest.raises(ValueError, match="no rows"):
        draft_contract([], "goods")


_VALUES = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.lists(st.text(), max_size=2)
)


@settings(max_examples=40)  # each goes through the whole check
@given(st.lists(st.dictionaries(st.text(min_size=1), _VALUES, max_size=5), min_size=1, max_size=6), st.text(min_size=1))
def test_any_draft_is_a_contract_but_for_roles(rows: list[dict[str, Any]], topic: str) -> None:
    if not any(rows):
        return
    found = check_contract(draft_contract(rows, topic))
    assert all("no column has the role" in problem.message for problem in found), found


@pytest.mark.shared_data
@pytest.mark.parametrize(
    ("file", "delimiter", "expected"),
    [
        (
            "products-abt-buy/abtbuy.csv",
            ",",
            {"id": "id", "title": "name", "description": "description", "price": "price", "brand": "manufacturer"},
        ),
        (
            "products-amazon-google/amazon.csv",
            "#",
            {"id": "id", "title": "title", "description": "description", "price": "price", "brand": "manufacturer"},
        ),
        (
            "behaviors/rees46-2019-10-01.csv",
            ",",
            {
                "time": "event_time",
                "type": "event_type",
                "product": "product_id",
                "price": "price",
                "user": "user_id",
                "session": "user_session",
            },
        ),
        (
            "chinese/tmall-cosmetics.csv",
            ",",
            {"updated_at": "update_time", "id": "id", "title": "title", "price": "price", "source": "店名"},
        ),
    ],
)
def test_real_feeds(shared_data: Path, file: str, delimiter: str, expected: dict[str, str]) -> None:
    rows = [row.fields for row in islice(read_rows(shared_data / file, delimiter), 3_000) if row.fields]
    contract = drafted(rows)
    assert roles(contract) == expected
    if "amazon" in file:
        assert contract.roles[Role.PRICE].missing == {"0.0"}


def test_everyday_chinese_headers_and_what_is_missing() -> None:
    rows = [
        {"货号": f"A{n}", "商品名称": f"保温杯 {n} 号", "牌子": "米家", "售价（元）": f"{n}.90", "类目路径": "杯"}
        for n in range(1, 40)
    ]
    text = draft_contract(rows, "shop.products")
    assert roles(parse_contract(text, "draft")) == {
        "id": "货号",
        "title": "商品名称",
        "brand": "牌子",
        "price": "售价（元）",
        "category": "类目路径",
    }
    assert "# No column looks like: currency. Give the role where there is one." in text
