"""A first contract out of a sample of records: what the columns seem to be, each guess with its reason.

A draft is a proposal for a person: it says what was guessed and from what, and it passes the check wherever the sample
shows an id and a title (of events: a product).
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from stdnum import ean

from detectors.contract.model import ColumnType, Kind, Role
from detectors.contract.terms import NEEDED_ROLES
from detectors.standardise.price import NoPrice, currency_code, parse_price
from detectors.standardise.time import is_time

__all__ = ["SAMPLE", "draft_contract", "names_of"]

SAMPLE = 10_000
"""Rows that are looked at, from the start."""

_MOST = 0.9  # of the values there are: what is said of a column holds for this share of them
_FEW = 12  # values of an enumeration, at most
_ENOUGH = 20  # values below which nothing is said of uniqueness, and five times that for enumerations
_ENOUGH_TO_REQUIRE = 300  # rows below which a column that is never empty may be so by chance
_WORTH_HAVING = (Role.BRAND, Role.CATEGORY, Role.PRICE, Role.CURRENCY)  # without them much is not checked
_HALF = 0.5  # of the values of a column called like a price that must be prices
_IN_BRACKETS = re.compile(r"[(（\[【][^)）\]】]*[)）\]】]")  # the unit of 售价(元)

_PRODUCT_NAMES: Mapping[Role, str] = {
    Role.ID: "id sku skuid spuid productid itemid listingid asin uniqid offerid 商品id 商品编号 编号 货号 宝贝id",
    Role.TITLE: "title name productname producttitle itemname itemtitle 标题 商品标题 "
    "商品名称 商品名 名称 品名 宝贝标题",
    Role.DESCRIPTION: "description desc details productdescription longdescription longdesc "
    "描述 商品描述 详情 商品详情 简介 卖点",
    Role.BRAND: "brand brandname manufacturer maker marke 品牌 品牌名 品牌名称 牌子 厂商 制造商 生产商",
    Role.CATEGORY: "category categorypath categoryname categorycode breadcrumb producttype catpath "
    "类目 分类 类别 品类 商品分类 商品类目 类目路径",
    Role.PRICE: "price saleprice finalprice currentprice unitprice listprice "
    "价格 售价 销售价 单价 现价 吊牌价 标价 商品价格 价钱 preis",
    Role.CURRENCY: "currency currencycode pricecurrency curr 币种 币别 货币 货币单位",
    Role.GTIN: "gtin gtin13 gtin14 ean ean13 upc barcode isbn isbn13 条码 条形码 商品条码",
    Role.MPN: "mpn model modelnumber modelno partnumber manufacturerpartnumber 型号 商品型号 规格型号",
    Role.URL: "url link productlink producturl itemurl 链接 网址 商品链接",
    Role.IMAGE: "image imageurl imagelink mainimage picture img thumbnail 图片 主图 图片链接",
    Role.SOURCE: "source shop shopname store storename supplier seller merchant vendor channel "
    "店名 店铺 店铺名称 卖家 供应商 供货商 商家 商户 门店 来源 渠道 平台",
    Role.UPDATED_AT: "updatedat updatetime lastmodified modifiedat modified crawledat timestamp 更新时间 日期 时间",
}
_EVENT_NAMES: Mapping[Role, str] = {
    Role.EVENT_ID: "eventid id messageid uuid 事件id",
    Role.TYPE: "eventtype event action behaviortype behaviourtype type eventname 行为 行为类型 事件 事件类型",
    Role.USER: "userid user visitorid customerid clientid buyerid bidderid 用户 用户id 买家",
    Role.SESSION: "sessionid session usersession visitid 会话 会话id",
    Role.PRODUCT: "productid sku skuid itemid product item asin auctionid 商品 商品id 商品编号 宝贝id",
    Role.TIME: "eventtime occurredat timestamp time createdat ts datetime 时间 事件时间 发生时间",
    Role.PRICE: _PRODUCT_NAMES[Role.PRICE],
    Role.CURRENCY: _PRODUCT_NAMES[Role.CURRENCY],
    Role.QUERY: "query searchquery searchterm searchtext keyword keywords 搜索词 关键词 查询",
    Role.REVIEW: "review reviewtext reviewbody comment 评论 评价 评论内容",
    Role.SOURCE: _PRODUCT_NAMES[Role.SOURCE],
}
_SHOPPER_NAMES = frozenset(
    (
        f"{_EVENT_NAMES[Role.USER]} {_EVENT_NAMES[Role.SESSION]} "
        "eventtype eventid eventtime action behaviortype behaviourtype 行为 行为类型 事件类型"
    ).split()
)
_MISSING_WORDS = frozenset(
    "n/a na null none nil nan - -- ? unknown undefined 无 暂无 未知 空 不详".split()  # noqa: SIM905 -- a list of words
)

# Only of a price: elsewhere they may say something.
_NO_PRICE = re.compile(
    r"\s*(?:(?:价格)?(?:面议|待定|未定)|(?:暂)?无(?:报价|价格)|暂无价|请?询价|电询|电议|议价|咨询客服"
    r"|tb[acd]|poa|(?:price )?on request|call for price|contact us|not available)\s*",
    re.IGNORECASE,
)
_SOURCE_NAME = re.compile(
    r".*(?:来源|店铺|店名|门店|供应商|供货商|卖家|商家|商户|渠道)(?:名称|名|id|编号|编码)?"
    r"|(?:data|feed|product|item|offer|web|online|e)?(?:source|shop|store|supplier|seller|vendor|merchant)(?:name|id|code|no)?"
)

_INTEGER = re.compile(r"[+-]?(?:0|[1-9][0-9]{0,14})")  # longer ones are names of something, and no float holds them
_NUMBER = re.compile(r"[+-]?(?:0|[1-9][0-9]{0,14})(?:\.[0-9]+)?(?:[eE][+-]?[0-9]{1,3})?")
_NAMES_SOMETHING = re.compile(r"(?:^|[_\W])(?:id|ID|code|no|number|sku)$|Id$|编号$|号$")
_MONEY = re.compile(r"(?:[$€£¥￥₹₩]|元|[A-Z]{2,3}\$?)\s*[0-9][0-9.,]*|[0-9][0-9.,]*\s*(?:[$€£¥￥₹₩]|元|[A-Z]{3})")
_DATED = re.compile(r"[0-9]{4}[-/.年][0-9]{1,2}[-/.月][0-9]{1,2}|[0-9]{1,2}[-/.][0-9]{1,2}[-/.][0-9]{4}|.*:[0-9]{2}")
_URL = re.compile(r"https?://\S+", re.IGNORECASE)
_IMAGE = re.compile(r"https?://\S+\.(?:jpe?g|png|webp|gif|avif|bmp)(?:\?\S*)?", re.IGNORECASE)
_PLAIN_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_]*|[\u4e00-\u9fff]+")
_YAML_WORDS = frozenset(["y", "n", "yes", "no", "on", "off", "true", "false", "null"])


@dataclass
class _Seen:
    """One column of the sample. texts: its values that are there, as texts. types: of all values that are there."""

    name: str
    rows: int = 0
    texts: list[str] = field(default_factory=list)
    types: Counter[type] = field(default_factory=Counter)
    missing: Counter[str] = field(default_factory=Counter)
    zeros: Counter[str] = field(default_factory=Counter)

    def add(self, value: Any) -> None:
        self.rows += 1
        if value is None or value == "":
            return
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
        if text.strip().lower() in _MISSING_WORDS:
            self.missing[text] += 1
            return
        if isinstance(value, str | int | float) and not isinstance(value, bool) and re.fullmatch(r"0(\.0+)?", text):
            self.zeros[text] += 1
        self.types[type(value)] += 1
        self.texts.append(text)

    def without_price(self) -> Counter[str]:
        """How often each text stands that says there is no price."""
        return Counter(text for text in self.texts if _NO_PRICE.fullmatch(text))

    def no_amounts(self) -> list[str]:
        """Texts that are no amount and do not say that there is none."""
        known = [text for text in self.texts if not _NO_PRICE.fullmatch(text)]
        return [text for text in known if isinstance(parse_price(text[:200]), NoPrice)]

    def most(self, test: Callable[[str], object]) -> bool:
        """Whether a test holds for most of the values; False where there are none."""
        return bool(self.texts) and sum(bool(test(text)) for text in self.texts) >= _MOST * len(self.texts)

    @property
    def distinct(self) -> int:
        return len(set(self.texts))

    @property
    def unique(self) -> bool:
        return len(self.texts) >= _ENOUGH and self.distinct == len(self.texts)


@dataclass
class _Proposal:
    """What is proposed for one column. why: reasons, as they go into its comment."""

    seen: _Seen
    type: ColumnType = ColumnType.STRING
    role: Role | None = None
    required: bool = False
    missing: tuple[str, ...] = ()
    values: tuple[str, ...] = ()
    options: dict[str, Any] = field(default_factory=dict)
    why: list[str] = field(default_factory=list)


def draft_contract(rows: Iterable[Mapping[str, Any]], topic: str, malformed: int = 0) -> str:
    """A contract as YAML, proposed from the first `SAMPLE` rows. Raises ValueError where there are no rows.

    malformed: rows beside those that do not read, so that the draft can say so.
    """
    columns: dict[str, _Seen] = {}
    count = 0
    for count, row in enumerate(islice(rows, SAMPLE), start=1):  # noqa: B007 -- the count is used after the loop
        for name, value in row.items():
            seen = columns.get(name)
            if seen is None:
                seen = columns[name] = _Seen(name)
            seen.add(value)
    if not columns:
        raise ValueError("there are no rows to draft a contract from")
    kind = _kind(columns)
    proposals = {name: _Proposal(seen) for name, seen in columns.items()}
    _roles_by_name(proposals, _PRODUCT_NAMES if kind is Kind.PRODUCTS else _EVENT_NAMES)
    _roles_by_content(proposals, kind)
    for proposal in proposals.values():
        _describe(proposal, count, kind)
    return "\n".join(_yaml(topic, kind, list(proposals.values()), count, malformed)) + "\n"


def names_of(role: Role, kind: Kind, columns: Iterable[str]) -> list[str]:
    """Those of these columns whose names are usual for a role, the most usual first."""
    words = (_PRODUCT_NAMES if kind is Kind.PRODUCTS else _EVENT_NAMES).get(role, "").split()
    place = {word: n for n, word in reversed(list(enumerate(words)))}
    return sorted((c for c in columns if _folded(c) in place), key=lambda c: place[_folded(c)])


def _folded(name: str) -> str:
    return re.sub(r"[\W_]+", "", _IN_BRACKETS.sub("", name)).lower()


def _kind(columns: Iterable[str]) -> Kind:
    return Kind.BEHAVIORS if any(_folded(name) in _SHOPPER_NAMES for name in columns) else Kind.PRODUCTS


# --- roles --------------------------------------------------------------------------------------------------------


def _roles_by_name(proposals: Mapping[str, _Proposal], names: Mapping[Role, str]) -> None:
    """Earlier words of a role's list win over later ones; a column has one role."""
    by_folded = {_folded(name): proposal for name, proposal in reversed(list(proposals.items()))}
    for role, words in names.items():
        for word in words.split():
            proposal = by_folded.get(word)
            if proposal is not None and proposal.role is None and _fits(proposal.seen, role):
                proposal.role = role
                proposal.why.append(f"role {role}: its name")
                break
    if all(proposal.role is not Role.SOURCE for proposal in proposals.values()):
        for name, proposal in proposals.items():
            if proposal.role is None and _SOURCE_NAME.fullmatch(_folded(name)) and _fits(proposal.seen, Role.SOURCE):
                proposal.role = Role.SOURCE
                proposal.why.append("role source: its name")
                break


def _fits(seen: _Seen, role: Role) -> bool:
    """Whether the values do not speak against a role that the name suggests."""
    if not seen.texts:
        return True
    if role is Role.PRICE:
        known = len(seen.texts) - seen.without_price().total()
        return known == 0 or known - len(seen.no_amounts()) >= _HALF * known
    if role is Role.SOURCE:
        return seen.most(lambda t: len(t) <= 100 and not _URL.match(t))
    if role in (Role.URL, Role.IMAGE):
        return seen.most(lambda t: _URL.match(t) or "/" in t)
    if role in (Role.UPDATED_AT, Role.TIME):
        return seen.most(_is_time) or seen.most(lambda t: re.fullmatch(r"[0-9]{9,13}(\.[0-9]+)?", t))
    if role in (Role.ID, Role.EVENT_ID):
        return seen.distinct > 1 or len(seen.texts) == 1
    return True


def _roles_by_content(proposals: Mapping[str, _Proposal], kind: Kind) -> None:
    def free() -> list[_Proposal]:
        return [p for p in proposals.values() if p.role is None and p.seen.texts]

    def give(role: Role, test: Callable[[_Seen], bool], why: str) -> None:
        if all(p.role is not role for p in proposals.values()):
            for proposal in free():
                if test(proposal.seen):
                    proposal.role = role
                    proposal.why.append(f"role {role}: {why}")
                    return

    if kind is Kind.PRODUCTS:
        give(Role.GTIN, lambda s: len(s.texts) >= 5 and s.most(_is_gtin), "its check digits are right")
        give(Role.IMAGE, lambda s: s.most(_IMAGE.fullmatch), "addresses of pictures")
        give(Role.URL, lambda s: s.most(_URL.fullmatch), "web addresses")
        give(Role.UPDATED_AT, lambda s: s.most(_is_time), "dates or times")
    else:
        give(Role.TIME, lambda s: s.most(_is_time), "dates or times")
    give(Role.PRICE, lambda s: s.most(_MONEY.fullmatch), "amounts with a currency")
    give(Role.CURRENCY, lambda s: s.distinct <= 30 and s.most(_is_currency), "currencies of ISO 4217")
    if kind is Kind.PRODUCTS:
        give(Role.ID, lambda s: s.unique and s.most(_is_id), "short and different in every row")
        texts = sorted(free(), key=lambda p: -_title_likeness(p.seen))
        if texts and _title_likeness(texts[0].seen) > 0 and all(p.role is not Role.TITLE for p in proposals.values()):
            texts[0].role = Role.TITLE
            texts[0].why.append("role title: texts of the length of titles, mostly different")


def _title_likeness(seen: _Seen) -> float:
    """Share of values that are different, 0 where the texts are not as long as titles are."""
    words = sum(len(text) for text in seen.texts) / max(1, len(seen.texts))
    letters = seen.most(lambda text: any(c.isalpha() for c in text))
    return seen.distinct / len(seen.texts) if letters and 8 <= words <= 250 and str in seen.types else 0.0


def _is_time(text: str) -> bool:
    return len(text) < 40 and _DATED.match(text) is not None and is_time(text)


def _is_gtin(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) in (8, 12, 13, 14) and bool(ean.is_valid(text))


def _is_currency(text: str) -> bool:
    return text.isascii() and len(text) == 3 and text.isupper() and currency_code(text) == text


def _is_id(text: str) -> bool:
    return len(text) <= 64 and not re.search(r"\s", text)


# --- types and rules ----------------------------------------------------------------------------------------------

_NAMES_OF_THINGS = frozenset({Role.ID, Role.EVENT_ID, Role.PRODUCT, Role.USER, Role.SESSION, Role.GTIN, Role.MPN})
_FREE_TEXTS = _NAMES_OF_THINGS | {Role.TITLE, Role.DESCRIPTION, Role.QUERY, Role.REVIEW, Role.URL, Role.IMAGE}


def _describe(proposal: _Proposal, rows: int, kind: Kind) -> None:
    seen = proposal.seen
    proposal.type = _type(proposal)
    proposal.missing = _missing(proposal)
    there = len(seen.texts) - sum(text in proposal.missing for text in seen.texts)
    if proposal.role in NEEDED_ROLES[kind]:
        proposal.required = True
        if there == rows:
            proposal.why.append("required: nothing goes without it")
    elif there == rows >= _ENOUGH_TO_REQUIRE:
        proposal.required = True
        proposal.why.append("required: never empty in the sample")
    if there < rows:
        proposal.why.append(f"empty in {rows - there} of {rows} rows")
    if proposal.role in (Role.ID, Role.EVENT_ID) and seen.distinct < len(seen.texts):
        proposal.why.append("values repeat: a later row of the same id is an update")
    _limits(proposal)
    closed = (
        proposal.type is ColumnType.STRING and proposal.role not in _FREE_TEXTS and proposal.role is not Role.SOURCE
    )
    if closed and len(seen.texts) >= 5 * _ENOUGH and seen.distinct <= min(_FEW, len(seen.texts) // _ENOUGH):
        proposal.values = tuple(sorted(set(seen.texts)))
        proposal.why.append(f"{seen.distinct} different values in the sample")


def _type(proposal: _Proposal) -> ColumnType:
    seen, role = proposal.seen, proposal.role
    if role is Role.PRICE:
        odd = seen.no_amounts()
        if not odd:
            return ColumnType.NUMBER
        shown = ", ".join(f"“{text[:30]}”" for text in list(dict.fromkeys(odd))[:3])
        proposal.why.append(f"a string, because of values that are no amounts ({len(odd)} of {seen.rows}): {shown}")
        return ColumnType.STRING
    if role in (Role.TIME, Role.UPDATED_AT):
        return ColumnType.TIMESTAMP
    if role is not None or not seen.texts:
        return ColumnType.STRING
    plain = {dict: ColumnType.OBJECT, list: ColumnType.ARRAY, bool: ColumnType.BOOLEAN}
    if len(seen.types) == 1 and (only := next(iter(seen.types))) in plain:
        return plain[only]
    if all(map(_INTEGER.fullmatch, seen.texts)):
        return ColumnType.STRING if _NAMES_SOMETHING.search(seen.name) else ColumnType.INTEGER
    if all(map(_NUMBER.fullmatch, seen.texts)):
        return ColumnType.NUMBER
    return ColumnType.TIMESTAMP if seen.most(_is_time) else ColumnType.STRING


def _missing(proposal: _Proposal) -> tuple[str, ...]:
    seen = proposal.seen
    counts = Counter(seen.missing)
    words = list(seen.missing)
    if proposal.role is Role.PRICE:
        counts += seen.without_price()
        words = list(counts)
        # Nobody sells a share of the shelves for nothing; a single free article may be one.
        words += [text for text, count in seen.zeros.items() if count >= max(3, 0.01 * seen.rows)]
    if words:
        shown = ", ".join(f"{word!r} in {counts[word] or seen.zeros[word]}" for word in words[:3])
        proposal.why.append(f"missing: {shown} of {seen.rows} rows")
    return tuple(sorted(words)[:10])


def _limits(proposal: _Proposal) -> None:
    if proposal.type not in (ColumnType.NUMBER, ColumnType.INTEGER):
        return
    known = [text for text in proposal.seen.texts if text not in proposal.missing]
    if not known or any(text.lstrip().startswith("-") for text in known):
        return
    zero = any(proposal.seen.zeros[text] for text in set(known))
    proposal.options = {"minimum": 0} if zero or proposal.role is not Role.PRICE else {"exclusiveMinimum": 0}


# --- YAML ---------------------------------------------------------------------------------------------------------


def _quoted(text: str) -> str:
    """A text as YAML: plain where that is safe, else in double quotes."""
    if _PLAIN_WORD.fullmatch(text) and text.lower() not in _YAML_WORDS:
        return text
    return json.dumps(text, ensure_ascii=not text.isprintable())


def _comment(text: str) -> str:
    return "".join(c if c.isprintable() else " " for c in text)


def _yaml(topic: str, kind: Kind, proposals: Sequence[_Proposal], rows: int, malformed: int) -> list[str]:
    roles = {p.role: p.seen.name for p in proposals if p.role is not None}
    name = _quoted(topic)
    read = f"{rows} of {rows + malformed}" if malformed else str(rows)
    lines = [
        f"# Drafted from {read} rows. Every guess has its reason beside it: read, correct, then",
        "# streamgauge contract check FILE",
        "apiVersion: v3.1.0",
        "kind: DataContract",
        f"id: {_quoted(re.sub(r'[^A-Za-z0-9_-]+', '-', topic).strip('-') or 'contract')}",
        f"name: {name}",
        "version: 0.1.0",
        "status: draft",
        "schema:",
        f"  - name: {name}",
        "    logicalType: object",
        "    customProperties:",
        f"      - {{property: kind, value: {kind}}}",
    ]
    if kind is Kind.PRODUCTS:
        lines += [
            "      # clean: no source lists one product twice. marketplace: it may.",
            "      - {property: feed, value: marketplace}",
        ]
        key = "{source}/{id}" if Role.SOURCE in roles else "{id}"
        lines.append(f'      - {{property: key, value: "{key}"}}')
        wanted = {Role.ID: "the id of the product", Role.TITLE: "the title"}
    else:
        wanted = {Role.PRODUCT: "the id of the product that the event is about"}
    if Role.SOURCE not in roles:
        lines += [
            "      # No column names the shop or supplier. Name it here, or let a header `source` say it:",
            "      # - {property: source, value: my-shop}",
        ]
    lines.append("    properties:")
    for role, meaning in wanted.items():
        if role not in roles:
            lines.append(f"      # TODO: no column looks like {meaning}; give one {{property: role, value: {role}}}.")
    if kind is Kind.PRODUCTS and (more := [role for role in _WORTH_HAVING if role not in roles]):
        lines.append(f"      # No column looks like: {', '.join(more)}. Give the role where there is one.")
    for proposal in proposals:
        lines += _column(proposal)
    return lines


def _column(proposal: _Proposal) -> list[str]:
    lines = [f"      - name: {_quoted(proposal.seen.name)}"]
    if proposal.why:
        lines[0] += f"  # {_comment('; '.join(proposal.why))}"
    lines.append(f"        logicalType: {proposal.type}")
    if proposal.required:
        lines.append("        required: true")
    if proposal.options:
        options = ", ".join(f"{key}: {value}" for key, value in proposal.options.items())
        lines.append(f"        logicalTypeOptions: {{{options}}}")
    if proposal.values:
        values = ", ".join(json.dumps(v, ensure_ascii=not v.isprintable()) for v in proposal.values)
        lines += [
            "        quality:",
            f"          - {{metric: invalidValues, arguments: {{validValues: [{values}]}}, mustBe: 0}}",
        ]
    custom = []
    if proposal.role is not None:
        custom.append(f"{{property: role, value: {proposal.role}}}")
    if proposal.missing:
        values = ", ".join(json.dumps(v, ensure_ascii=not v.isprintable()) for v in proposal.missing)
        custom.append(f"{{property: missing, value: [{values}]}}")
    if custom:
        lines.append("        customProperties:")
        lines += [f"          - {item}" for item in custom]
    return lines
