from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.standardise.outcome import SURE
from detectors.standardise.price import (
    Money,
    NoPrice,
    currency_code,
    parse_number,
    parse_price,
    resolve_currency,
)


def read(text: str, column: str | None = None, beside: str = "") -> tuple[Any, str | None] | None:
    money = parse_price(text, column)
    return None if isinstance(money, NoPrice) else (money.amount, resolve_currency(money, column, beside)[0])


@pytest.mark.parametrize(
    ("text", "amount", "currency"),
    [
        ("399", "399", None),
        ("399.00", "399", None),
        ("35.79", "35.79", None),
        ("2.794000000000000e+01", "27.94", None),
        ("1.000000000000000e-02", "0.01", None),
        ("1.299", "1.299", None),
        ("1,299", "1299", None),
        ("0.500", "0.5", None),
        ("0,500", "0.5", None),
        ("1299.000", "1299", None),
        ("1.234.567", "1234567", None),
        ("1,234.567", "1234.567", None),
        ("1.234,56", "1234.56", None),
        ("12,5", "12.5", None),
        (".99", "0.99", None),
        ("$399.00", "399", "USD"),
        ("$1.299", "1299", "USD"),
        ("$ .75", "0.75", "USD"),
        ("-$5.00", "-5", "USD"),
        ("$-5.00", "-5", "USD"),
        ("(5.00)", "-5", None),
        ("US$ 1,234.5", "1234.5", "USD"),
        ("USD $12", "12", "USD"),
        ("12 US dollars", "12", "USD"),
        ("HK$99", "99", "HKD"),
        ("NT$1,200", "1200", "TWD"),
        ("A$ 20", "20", "AUD"),
        ("R$ 1.234,56", "1234.56", "BRL"),
        ("S/ 12.90", "12.90", "PEN"),
        ("1.299,00 €", "1299", "EUR"),
        ("€1.299", "1299", "EUR"),
        ("35€99", "35.99", "EUR"),
        ("35 € 99", "35.99", "EUR"),
        ("19,- €", "19", "EUR"),
        ("EUR 12", "12", "EUR"),
        ("ab 19,99 EUR", "19.99", "EUR"),
        ("£7.50", "7.50", "GBP"),
        ("CHF 1'299.00", "1299", "CHF"),
        ("1 299,00 zł", "1299", "PLN"),
        ("1\u00a0299,00\u00a0zł", "1299", "PLN"),
        ("1 299 Kč", "1299", "CZK"),
        ("₹1,29,999.00", "129999", "INR"),
        ("Rp10.000", "10000", "IDR"),
        ("Rp 1.250.000", "1250000", "IDR"),
        ("Rp 1,5jt", "1500000", "IDR"),
        ("10rb", "10000", None),
        ("RM 12.50", "12.50", "MYR"),
        ("₩12,000", "12000", "KRW"),
        ("฿1,290", "1290", "THB"),
        ("450.000 ₫", "450000", "VND"),
        ("KWD 1.250", "1.250", "KWD"),
        ("1 500 руб.", "1500", "RUB"),
        ("￥1,299.00", "1299", "CNY"),
        ("¥1299", "1299", "CNY"),
        ("¥1.2万", "12000", "CNY"),
        ("1.5w", "15000", None),
        ("１２９９元", "1299", "CNY"),
        ("￥１，２９９．００", "1299", "CNY"),
        ("人民币 1299", "1299", "CNY"),
        ("人民币1299元", "1299", "CNY"),
        ("1299元起", "1299", "CNY"),
        ("约 1299 元", "1299", "CNY"),
        ("特价：99.9元/件", "99.9", "CNY"),
        ("RMB 88", "88", "CNY"),
        ("港币 99", "99", "HKD"),
        ("99 美元", "99", "USD"),
        ("新台幣 1,200", "1200", "TWD"),
        ("1299円", "1299", "JPY"),
        ("1299円(税込)", "1299", "JPY"),
        ("199 yuan", "199", "CNY"),
        ("三千元", "3000", "CNY"),
        ("1万2千", "12000", None),
        ("1万2", "12000", None),
        ("壹佰元", "100", "CNY"),
        ("贰仟叁佰元整", "2300", "CNY"),
        ("三百八十八元起", "388", "CNY"),
        ("19块9", "19.9", "CNY"),
        ("99块90", "99.9", "CNY"),
        ("一百二十块五", "120.5", "CNY"),
        ("12元5角", "12.5", "CNY"),
        ("12元5角3分", "12.53", "CNY"),
        ("12元零5分", "12.05", "CNY"),
        ("二十块零五毛", "20.5", "CNY"),
        ("5毛", "0.5", "CNY"),
        ("一口价99元", "99", "CNY"),
        (" 1.299 ", "1.299", None),
        ("１．２９９", "1.299", None),
        ("99.00 - 99.00", "99", None),
        ("Free", "0", None),
        ("免费", "0", None),
        ("12kr", "12", None),
        ("Rs. 500", "500", None),
    ],
)
def test_notations(text: str, amount: str, currency: str | None) -> None:
    assert read(text) == (Decimal(amount), currency)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("99.00-129.00", "is a range, from 99.00 to 129.00"),
        ("¥99~129", "is a range, from 99 to 129"),
        ("99至129元", "is a range, from 99 to 129"),
        ("$5 to $9", "is a range, from 5 to 9"),
        ("1.2万-1.5万", "is a range, from 1.2万 to 1.5万"),
        ("1.2-1.5万元", "is a range, from 1.2 to 1.5万"),
        ("was $20 now $15", "holds 2 numbers"),
        ("99元3件", "holds 2 numbers"),
        ("99块一件", "holds 2 numbers"),
        ("万元", "holds no number"),
        ("一亿亿亿万", "holds no number"),
        ("1.2.3", "holds “1.2.3”, which is not a number"),
        ("1,23,4", "holds “1,23,4”, which is not a number"),
        ("50%", "is a percentage"),
        ("100 ml", "holds words that are no currency"),
        ("99¢", "is in cents of nobody knows which currency"),
        ("面议", "holds no number"),
        ("on request", "holds no number"),
        ("", "holds no number"),
        ("N/A", "holds no number"),
        ("$5 €", "names two currencies"),
    ],
)
def test_what_is_no_price(text: str, reason: str) -> None:
    assert parse_price(text) == NoPrice(reason)


def test_the_record_decides_what_a_sign_means() -> None:
    assert read("¥1,299", "JPY") == (1299, "JPY")
    assert read("￥1,299", None, "キヤノン カメラ") == (1299, "JPY")
    assert read("￥1,299.50", None, "キヤノン カメラ") == (Decimal("1299.50"), "CNY")
    assert read("￥1,299", None, "佳能相机") == (1299, "CNY")
    assert read("$199", "MXN") == (199, "MXN")
    assert read("12 kr", "SEK") == (12, "SEK")
    assert read("1299元", "TWD") == (1299, "TWD")


def test_the_record_decides_what_a_separator_means() -> None:
    assert read("10.000", "IDR") == (10000, None)
    assert read("10.000", "USD") == (10, None)
    assert read("10.500", "KWD") == (Decimal("10.5"), None)
    peso = parse_price("$1.299", "CLP")
    assert isinstance(peso, Money)
    assert (peso.amount, peso.confidence) == (Decimal(1299), 0.95)


@pytest.mark.parametrize(
    ("text", "beside", "usual", "currency", "sure"),
    [
        ("$399.00", "Turntable", [], "USD", False),
        ("$399.00", "Turntable", ["USD", "EUR"], "USD", True),
        ("$399.00", "Turntable", ["CAD"], "CAD", True),
        ("$399.00", "Turntable", ["USD", "CAD"], "USD", False),
        ("¥1299", "", [], "CNY", False),
        ("¥1299", "", ["JPY"], "JPY", True),
        ("¥1299", "佳能相机", [], "CNY", True),
        ("¥1299", "キヤノン カメラ", [], "JPY", True),
        ("￥1,299.00", "", [], "CNY", True),
        ("1299元", "", [], "CNY", False),
        ("1299元", "佳能相机", [], "CNY", True),
        ("1299元", "佳能相機", [], "TWD", False),
        ("£5", "", [], "GBP", True),
    ],
)
def test_how_sure_a_currency_is(text: str, beside: str, usual: list[str], currency: str, sure: bool) -> None:
    money = parse_price(text)
    assert isinstance(money, Money)
    found, confidence = resolve_currency(money, None, beside, frozenset(usual))
    assert (found, confidence >= SURE) == (currency, sure)


def test_confidence_is_lower_where_a_notation_can_mean_two_things() -> None:
    def confidence(text: str) -> float:
        money = parse_price(text)
        assert isinstance(money, Money)
        return money.confidence

    assert confidence("$1,299.00") == 1.0
    assert confidence("$1.299") == confidence("¥1.299") == confidence("€1,299") == confidence("¥1,2999") == 0.75
    assert min(map(confidence, ("€1.299", "1.299,00 €", "1,299.00", "$1,299", "1.299"))) >= SURE
    assert confidence("¥1.2万") == 0.9


@pytest.mark.parametrize(
    ("text", "amount"),
    [
        ("-5", -5),
        ("−5", -5),
        ("- 12.99 €", "-12.99"),
        ("-¥99", -99),
        ("$-5", -5),
        ("$ -5", -5),
        ("US$-5", -5),
        ("（99）", -99),
        ("特价 - 99元", 99),
        ("售价-99", 99),
        ("RMB-99", 99),
        ("USD - 12.99", "12.99"),
        ("Sale - $5", 5),
        ("Price - 12.99", "12.99"),
        ("$ - 5", 5),
        ("特价-¥99", 99),
        ("￥1299(含税)", 1299),
        ("特价(99)", 99),
    ],
)
def test_a_dash_behind_a_word_is_no_minus(text: str, amount: Any) -> None:
    money = parse_price(text)
    assert isinstance(money, Money)
    assert (money.amount, money.confidence) == (Decimal(amount), 1.0)


@pytest.mark.parametrize("text", ["–99", "—99", "Price: -99", "USD -99", "Sale -$99", "--99", "99-", "99元-", "(99元)"])
def test_what_may_be_a_minus_is_not_taken(text: str) -> None:
    money = parse_price(text)
    assert isinstance(money, Money)
    assert (money.amount, money.confidence) == (99, 0.75)


@pytest.mark.parametrize(
    "text",
    [
        *("<99", "≥99", "≤ 99元", "99+", "￥99+", "+99+", "99元起", "from 99", "ab 99 €", "desde 99", "约99", "~99"),
        *("99元左右", "低至99元", "up to $99", "99元以上", "99 + VAT"),
    ],
)
def test_a_bound_is_not_taken(text: str) -> None:
    money = parse_price(text)
    assert isinstance(money, Money)
    assert (money.amount, money.confidence, money.doubt) == (99, 0.8, "is a bound or an estimate")


@pytest.mark.parametrize(
    ("text", "number"),
    [
        *(("12", 12), (" 1,299 ", 1299), ("1 299,5", "1299.5"), ("1.299", "1.299"), ("-1,299", -1299), ("+5", 5)),
        *(("１２", 12), ("1.2万", 12000), ("3千", 3000), ("2 亿", 200_000_000), ("三千", 3000), ("1万2千", 12000)),
    ],
)
def test_numbers_in_other_notations(text: str, number: Any) -> None:
    read = parse_number(text)
    assert read is not None
    assert (read.amount, read.confidence >= SURE) == (Decimal(number), True)


@pytest.mark.parametrize(
    "text",
    [
        *("60W", "100 W", "~60W", "4K", "1.2w", "10rb", "(3)", "（3）", "3件", "约3", "3+", "<3", "50%", "3-5", "5-"),
        *("up to 60W", "temperature -5", "$5", "5元", "12元5角", "5 €", "1 1/2", "½", "", "万", "0x10", "1e5000"),
        "9" * 90,
    ],
)
def test_a_text_with_anything_beside_the_number_is_no_number(text: str) -> None:
    assert parse_number(text) is None


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("USD", "USD"),
        ("usd", "USD"),
        (" Eur ", "EUR"),
        ("€", "EUR"),
        ("RMB", "CNY"),
        ("人民币", "CNY"),
        ("人民幣", "CNY"),
        ("美元", "USD"),
        ("US$", "USD"),
        ("Rp", "IDR"),
        ("$", None),
        ("￥", None),
        ("kr", None),
        ("gold", None),
        ("", None),
    ],
)
def test_currency_codes(text: str, code: str | None) -> None:
    assert currency_code(text) == code


@given(st.text(max_size=100), st.none() | st.sampled_from(["USD", "IDR", "KWD", "XYZ"]))
def test_any_text_is_fine(text: str, column: str | None) -> None:
    assert isinstance(parse_price(text, column), Money | NoPrice)


@given(st.text(alphabet="0123456789.,' €$¥元万-起kr%（）１\u00a0三十百零块角", max_size=20))
def test_anything_like_a_price_is_fine(text: str) -> None:
    money, number = parse_price(text), parse_number(text)
    assert isinstance(money, NoPrice) or money.amount.is_finite()
    assert number is None or number.amount.is_finite()


@given(st.decimals(min_value=0, max_value=10**9, places=2))
def test_written_amounts_are_read_back(amount: Decimal) -> None:
    english, german = f"{amount:,.2f}", f"{amount:,.2f}".translate(str.maketrans(".,", ",."))
    for text in (f"${english}", f"{english} USD", f"￥{english}", f"{german} €", f"{amount}元"):
        money = parse_price(text)
        assert isinstance(money, Money)
        assert money.amount == amount
