"""Generated bad inputs through decode, contract and standardise: nothing escapes, nothing is lost.

    python -m tests.benchmarks.bad_input --count 200000

Good records of both kinds are damaged at the level of bytes, of JSON and of fields, up to three times each. What must
hold is in `check`; the same seed gives the same inputs.
"""

from __future__ import annotations

import argparse
import gzip
import json
import random
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from detectors.contract.load import sample_contract
from detectors.contract.model import Kind
from detectors.contract.rules import ContractRules
from detectors.decode import Limits
from detectors.intake import Intake, Taken
from detectors.records import StoredRecord

__all__ = ["Summary", "check", "generate", "run"]

LIMITS = Limits(max_record_bytes=20_000)
_BATCH = 512

_PRODUCTS: tuple[dict[str, Any], ...] = (
    {
        "supplier": "acme",
        "sku": "A-1001",
        "title": "Sony Turntable PS-LX350H, belt drive",
        "description": "Static balance tonearm, 33 and 45 rpm, with a magnetic cartridge.",
        "brand": "Sony",
        "category": "Audio > Turntables",
        "price": 199.0,
        "currency": "USD",
        "gtin": "4006381333931",
        "mpn": "PSLX350H",
        "url": "https://example.com/p/A-1001",
        "image": "https://example.com/p/A-1001.jpg",
        "updated_at": "2024-05-01T10:00:00Z",
    },
    {
        "supplier": "远东",
        "sku": "9001",
        "title": "自然堂 活泉补水洁面乳 125g 深层清洁滋润",
        "brand": "自然堂",
        "price": "￥1,299.00",
        "updated_at": "2016/11/9",
    },
)
_EVENTS: tuple[dict[str, Any], ...] = (
    {
        "event_id": "e-1",
        "event_type": "view",
        "user_id": "541312140",
        "session_id": "72d76fde-8bb3-4e00-8c23-a032dfed738c",
        "supplier": "acme",
        "sku": "A-1001",
        "price": 199.0,
        "currency": "USD",
        "occurred_at": "2024-05-01T10:00:00Z",
    },
    {"event_type": "search", "user_id": 7, "occurred_at": 1714557600000, "query": "洁面乳 补水"},
)
_GOOD = {Kind.PRODUCTS: _PRODUCTS, Kind.BEHAVIORS: _EVENTS}

_ODD_TEXTS = (
    "",
    " ",
    "\u0000",
    "\u0000\u0001\u001b[31m",
    "\ufeff\u200b\u202e",
    "\ufffd",
    "cafÃ© â€œbonâ€\u009d",
    "&lt;script&gt;alert(1)&lt;/script&gt;<b>bold</b><!--",
    "<" * 300,
    "&#x110000;&#0;&amp;amp;amp;",
    "👩‍👩‍👧‍👦" * 20,
    "e\u0301" * 200,
    "ｆｕｌｌ　ｗｉｄｔｈ",
    "\u0644\u0627" * 50,
    "null",
    "NaN",
    "-Infinity",
    "None",
    "0",
    "-1",
    "1e400",
    "1e-400",
    "9" * 400,
    "￥1.2万",
    "１２３",
    "1,2,3,4",
    "1.2.3",
    "--5",
    "$-0.00",
    "五百元",
    "99.99 USD or 89,99 €",
    "٣٤٥",
    "²³",
    "0000-00-00",
    "9999-12-31T23:59:59+14:00",
    "0001-01-01T00:00:00-14:00",
    "2024-02-30T25:61:61Z",
    "Thu, 32 Foo 2024",
    "yesterday",
    "20240501",
    "99999999999999999999",
    "T" * 2_000,
    "word " * 1_000,
    "(" * 500 + ")" * 500,
    "http://[::1",
    "://",
    "0000000000000",
    "4006381333932",
    "../../etc/passwd",
    "'; DROP TABLE products; --",
    "{source}/{id}",
    "a/b%2Fc/../",
)
_ODD_VALUES: tuple[Any, ...] = (
    None,
    True,
    False,
    0,
    -0.0,
    -1,
    1e308,
    5e-324,
    2**63,
    2**64 - 1,
    -(2**63),
    0.1 + 0.2,
    253402300800,
    -62135596801,
    1e18,
    [],
    {},
    [None],
    [[1, [2, [3]]]],
    {"a": {"b": []}},
    ["x"] * 200,
    {"": None},
)
_ODD_TOKENS = (
    b"NaN",
    b"Infinity",
    b"-Infinity",
    b"nan",
    b"1e400",
    b"-1e400",
    b"1e-400",
    b"1e999999999",
    b"123456789012345678901234567890",
    b"-9223372036854775809",
    b"18446744073709551616",
    b"9" * 5_000,
    b"0." + b"1234567890" * 5,
    b"0.30000000000000004",
    b"-0",
    b"01",
    b"1.",
    b".5",
    b"+1",
    b"0x10",
    b"'x'",
    b"undefined",
    b'"\\ud800"',
    b'"\\udc00\\ud800"',
    b'"\\ud83d\\ude00"',
    b'"\\u0000"',
    b'"\\x"',
    b'"\x01"',
    b'"\xff"',
    b'"\xed\xa0\x80"',
    b'"\xc0\xaf"',
    b"[" * 40 + b"]" * 40,
    b"[" * 5_000,
    b'{"a":' * 40 + b"1" + b"}" * 40,
    b'{"a":1,"a":2}',
    b'{"a" : 1, "a"\n: 2}',
    b'"\\":"',
    b"",
)
_WHOLE = (
    b"",
    b" \n",
    b"null",
    b"true",
    b"0",
    b'"text"',
    b"[]",
    b"[{}]",
    b"{}",
    b"{",
    b"}",
    b"\x00",
    b"\xff\xfe",
    b"\xef\xbb\xbf",
    b"[" * 10_000,
    b'{"a":' * 3_000,
    b"2019-10-01 02:50:00 UTC,view,10900305,2053013555069845885",
    b"<?xml version='1.0'?><product/>",
    b"{'sku': 'A-1'}",
    b'{"sku": "A-1"} {"sku": "A-2"}',
    b'{"sku": "A-1",}',
    b'// sku\n{"sku": "A-1"}',
)
_CODECS = ("utf-16", "utf-16-le", "utf-16-be", "utf-32", "gbk", "gb18030", "big5", "shift_jis", "cp1252", "utf-8-sig")

# --- damage -------------------------------------------------------------------------------------------------------

_Fields = dict[str, Any]


def _of_fields(rng: random.Random, fields: _Fields) -> _Fields:
    """Damage one field."""
    name = rng.choice(list(fields)) if fields else "sku"
    match rng.randrange(7):
        case 0:
            fields.pop(name, None)
        case 1:
            fields[name] = rng.choice(_ODD_VALUES)
        case 2 | 3:
            fields[name] = rng.choice(_ODD_TEXTS)
        case 4:
            fields[name] = str(fields.get(name)) + rng.choice(_ODD_TEXTS)
        case 5:
            fields[rng.choice(("", "unknown", "SKU", "sku ", "\u0000", "k" * 500, f"column{rng.randrange(5_000)}"))] = 1
        case _:
            fields[name] = "".join(
                chr(rng.choice((rng.randrange(0xD800), rng.randrange(0xE000, 0x110000)))) for _ in range(9)
            )
    return fields


def _of_json(rng: random.Random, text: bytes) -> bytes:
    """Damage what makes bytes JSON."""
    match rng.randrange(7):
        case 0:
            return rng.choice(_WHOLE)
        case 1 | 2:  # another token for a value
            start = text.find(b":", rng.randrange(len(text) + 1))
            end = text.find(b",", start)
            if start < 0 or end < 0:
                return text + rng.choice(_ODD_TOKENS)
            return text[: start + 1] + rng.choice(_ODD_TOKENS) + text[end:]
        case 3:  # a key twice, or one that is no text
            if rng.random() < 0.5:
                return text.replace(b"{", b'{"\\ud800":"\\udfff","\\ud801":NaN,', 1)
            return text.replace(b"{", b'{"sku":"A-0","price" : 1,', 1)
        case 4:
            return text.replace(b":", rng.choice((b" : ", b"\t:", b"\n:", b"::", b"=")))
        case 5:
            return text + rng.choice((b"\n", b"\x00", b"}", b" {}", b",", b"\xef\xbb\xbf"))
        case _:
            return text.replace(b'"', rng.choice((b"'", b'\\"', b"")), rng.randrange(1, 5))


def _of_bytes(rng: random.Random, raw: bytes) -> bytes:
    """Damage bytes as such."""
    at = rng.randrange(len(raw) + 1)
    match rng.randrange(8):
        case 0:
            return raw[:at]
        case 1:
            return raw[:at] + rng.randbytes(rng.randrange(1, 9)) + raw[at:]
        case 2:
            return raw[:at] + raw[at + rng.randrange(1, 9) :]
        case 3:
            return raw[:at] + bytes([rng.randrange(256)]) + raw[at + 1 :]
        case 4:
            return raw[:at] + raw[rng.randrange(len(raw) + 1) :]
        case 5:
            codec = rng.choice(_CODECS)
            return raw.decode("utf-8", "replace").encode(codec, "replace")
        case 6:
            return b"\xef\xbb\xbf" + raw if rng.random() < 0.5 else gzip.compress(raw, mtime=0)
        case _:
            return raw + b" " * LIMITS.max_record_bytes if rng.random() < 0.2 else rng.randbytes(rng.randrange(60))


def _damaged(rng: random.Random, good: _Fields) -> bytes | None:
    fields = dict(good)
    levels = sorted(rng.choices((0, 1, 2), (5, 3, 2), k=rng.randrange(1, 4)))
    for _ in range(levels.count(0)):
        fields = _of_fields(rng, fields)
    raw = orjson.dumps(fields) if rng.random() < 0.5 else json.dumps(fields, ensure_ascii=rng.random() < 0.5).encode()
    steps: dict[int, Callable[[random.Random, bytes], bytes]] = {1: _of_json, 2: _of_bytes}
    for level in levels:
        if level:
            raw = steps[level](rng, raw)
    return raw


def generate(seed: int, count: int) -> Iterator[tuple[Kind, StoredRecord]]:
    """`count` bad inputs, each for a topic of its kind; offsets count up per kind."""
    rng = random.Random(seed)
    offsets: Counter[Kind] = Counter()
    keys = (None, b"", b"acme/A-1001", b"A-1001", b"/", b"acme/", b"\xff\xfe", "远东/9001".encode(), b"x" * 3_000)
    headers = ((), (), (("source", b"acme"),), (("source", b"\xff"),), (("source", None), ("x", b"")))
    for _ in range(count):
        kind = rng.choice((Kind.PRODUCTS, Kind.BEHAVIORS))
        value = None if rng.random() < 0.02 else _damaged(rng, rng.choice(_GOOD[kind]))
        yield (
            kind,
            StoredRecord(
                kind.value,
                rng.randrange(4),
                offsets[kind],
                rng.choice((-1, 0, 1_714_557_600_000)),
                rng.choice(keys),
                value,
                rng.choice(headers),  # type: ignore[arg-type]  # Kafka allows a header without a value
            ),
        )
        offsets[kind] += 1


# --- what must hold -----------------------------------------------------------------------------------------------


def check(records: Sequence[StoredRecord], taken: Taken, rules: ContractRules) -> Counter[str]:
    """What became of the records. Raises AssertionError where one is lost, or something cannot be sent on."""
    kept = taken.batch.records
    outcome: Counter[str] = Counter(f"dead letter: {r.error}" for r in taken.rejections)
    outcome["tombstone"] = len(taken.tombstones)
    outcome["record"] = len(kept)
    offsets = [r.source.offset for r in (*kept, *taken.rejections, *taken.tombstones)]
    assert sorted(offsets) == [record.offset for record in records], "a record is lost or there twice"
    findings = [*taken.findings, *rules.detect(taken.batch)]
    outcome.update(f"finding: {finding.rule.name}" for finding in findings)
    assert all(0 <= f.row < len(kept) for f in (*findings, *taken.corrections))
    for row, record in enumerate(kept):
        assert record.identity
        assert type(record.event_time) is int
        sent = orjson.loads(orjson.dumps(record.original))
        orjson.dumps(record.values)
        record.identity.encode()
        if row not in taken.keep_original:
            raw = record.source.value
            assert raw is not None
            assert sent == json.loads(raw), f"the original cannot be rebuilt: {raw[:200]!r}"
    for finding in findings:
        orjson.dumps([finding.observed, finding.column, finding.evidence.reason])
        if finding.suggestion is not None:
            orjson.dumps(finding.suggestion.value)
    for correction in taken.corrections:
        orjson.dumps([correction.before, correction.after, correction.reason])
    for rejection in taken.rejections:
        assert rejection.message.endswith((".", "?"))
        rejection.message.encode()
    return outcome


@dataclass
class Summary:
    """What became of all inputs."""

    inputs: int = 0
    seconds: float = 0.0
    outcomes: Counter[str] = field(default_factory=Counter)


def run(count: int, seed: int = 0) -> Summary:
    """Generate and check `count` inputs in batches."""
    summary = Summary()
    intakes = {kind: Intake(sample_contract(kind), LIMITS) for kind in Kind}
    rules = {kind: ContractRules(sample_contract(kind)) for kind in Kind}
    waiting: dict[Kind, list[StoredRecord]] = {kind: [] for kind in Kind}

    def flush(kind: Kind) -> None:
        records, waiting[kind] = waiting[kind], []
        start = time.perf_counter()
        taken = intakes[kind].take(records)
        summary.seconds += time.perf_counter() - start
        summary.inputs += len(records)
        summary.outcomes += check(records, taken, rules[kind])

    for kind, record in generate(seed, count):
        waiting[kind].append(record)
        if len(waiting[kind]) == _BATCH:
            flush(kind)
    for kind in Kind:
        flush(kind)
    return summary


def main() -> int:
    """Print what became of the inputs."""
    parser = argparse.ArgumentParser(description="Generated bad inputs through decode, contract and standardise.")
    parser.add_argument("--count", type=int, default=200_000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    summary = run(options.count, options.seed)
    accounted = sum(n for name, n in summary.outcomes.items() if not name.startswith("finding"))
    result = {"inputs": summary.inputs, "accounted": accounted, "take_seconds": round(summary.seconds, 1)}
    sys.stdout.write(json.dumps(result | dict(sorted(summary.outcomes.items())), indent=2) + "\n")
    return 0 if accounted == summary.inputs == options.count else 1


if __name__ == "__main__":
    sys.exit(main())
