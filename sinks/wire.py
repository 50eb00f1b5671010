"""The words on the wire: findings, corrected records and review items as JSON.

Everything that leaves carries an id made from where it came from, so that a repeat after a crash is recognised:
the same record judged twice gives the same ids.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

import orjson

from detectors.duplicates.golden import GoldenChange
from detectors.duplicates.links import LinkChange, LinkStatus
from detectors.duplicates.score import DUPLICATE_EXACT, DUPLICATE_NEAR
from detectors.records import Correction, Evidence, Facts, Finding, Record, Rule, Severity

__all__ = [
    "Versions",
    "corrected_record",
    "evidence_fields",
    "finding_id",
    "finding_message",
    "golden_message",
    "link_message",
    "quality_score",
]

DETECTOR_VERSION = "1"
_LONGEST_SHOWN = 2_000  # characters
_TITLE_SHOWN = 200

LINK_RULES = {rule.name: rule for rule in (DUPLICATE_EXACT, DUPLICATE_NEAR)}

# What one finding takes from a record's score, times the finding's confidence.
_PENALTY = {Severity.INFO: 0.0, Severity.WARNING: 0.1, Severity.ERROR: 0.3, Severity.CRITICAL: 0.6}


@dataclass(frozen=True, slots=True)
class Versions:
    """What a record was judged by; goes out with everything that is said of it."""

    contract: str
    contract_version: str
    encoder: str | None = None


def finding_id(topic: str, partition: int, offset: int, rule: str, column: str | None, ordinal: int | str) -> str:
    """32 hexadecimal digits, the same for the same finding whenever it is made.

    ordinal: counts findings of one rule on one column of one record; of two products, the other one's identity.
    """
    text = f"{topic}\0{partition}\0{offset}\0{rule}\0{column or ''}\0{ordinal}"
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def quality_score(findings: Iterable[Finding]) -> float:
    """1 for a record without findings, less for each by its severity and confidence, never below 0."""
    score = 1.0
    for finding in findings:
        score *= 1.0 - _PENALTY[finding.rule.severity] * finding.confidence
    return round(score, 4)


def evidence_fields(evidence: Evidence) -> dict[str, Any]:
    """Evidence as it is written out; empty parts are left out."""
    out: dict[str, Any] = {"reason": evidence.reason}
    if evidence.neighbours:
        out["neighbours"] = [
            {"identity": n.identity, "score": min(1.0, round(float(n.score), 4)), "value": n.value}
            for n in evidence.neighbours
        ]
    if evidence.statistics:
        out["statistics"] = {name: round(float(value), 6) for name, value in evidence.statistics.items()}
    if evidence.spans:
        out["spans"] = [{"start": s.start, "end": s.end, "text": s.text} for s in evidence.spans]
    return out


def finding_message(
    record: Record,
    finding: Finding,
    identifier: str,
    versions: Versions,
    processing_time: int,
    *,
    status: str = "open",
) -> bytes:
    """A finding, or a review item, as JSON. `processing_time`: milliseconds since 1970, UTC."""
    source = record.source
    body = rule_fields(finding.rule)
    body |= {
        "id": identifier,
        "status": status,
        "topic": source.topic,
        "partition": source.partition,
        "offset": source.offset,
        "identity": record.identity,
        "key": _text_key(source.key),
        "field": finding.column,
        "observed": _short(finding.observed),
        "confidence": round(float(finding.confidence), 4),
        "evidence": evidence_fields(finding.evidence),
        "detector_version": DETECTOR_VERSION,
        "model": finding.model,
        "contract": versions.contract,
        "contract_version": versions.contract_version,
        "event_time": record.event_time,
        "processing_time": processing_time,
    }
    if finding.other is not None:
        body["other"] = finding.other
    if finding.suggestion is not None:
        body["suggested"] = _short(finding.suggestion.value)
    return dump(body)


def corrected_record(
    record: Record,
    values: Mapping[str, Any],
    findings: Sequence[tuple[str, Finding]],
    corrections: Sequence[Correction],
    canonical: str | None,
    versions: Versions,
    processing_time: int,
    *,
    keep_original: bool = False,
) -> bytes:
    """The record as it should be, with `_quality` beside its fields.

    findings: with their ids. keep_original: the bytes of the source could not be rebuilt from this message, so they
    travel in `_quality.original`, in base64.
    """
    source = record.source
    quality: dict[str, Any] = {
        "score": quality_score(finding for _, finding in findings) if findings else 1.0,
        "topic": source.topic,
        "partition": source.partition,
        "offset": source.offset,
        "version": list(record.version),
        "identity": record.identity,
        "canonical": canonical,
        "detector_version": DETECTOR_VERSION,
        "contract_version": versions.contract_version,
        "encoder": versions.encoder,
        "event_time": record.event_time,
        "processing_time": processing_time,
        "findings": [
            {"id": identifier, "rule": finding.rule.name, "field": finding.column} for identifier, finding in findings
        ],
        "corrections": [
            {
                "field": c.column,
                "before": c.before,
                "after": c.after,
                "confidence": round(float(c.confidence), 4),
                "rule": c.rule,
                "reason": c.reason,
            }
            for c in corrections
        ],
    }
    if keep_original and source.value is not None:
        quality["original"] = base64.b64encode(source.value).decode("ascii")
    return dump({**values, "_quality": quality})


def link_message(
    change: LinkChange,
    versions: Versions | None,
    later: Facts | None,
    earlier: Facts | None,
    processing_time: int,
) -> tuple[bytes, bytes]:
    """(key, value) of the finding that two offers are one product, or of its retraction, which has the same id.

    versions: of the later offer's topic. later, earlier: what is known of the offers, whose titles it shows. None
    where unknown.
    """
    link = change.link
    body = rule_fields(LINK_RULES[link.rule])
    body |= {
        "id": link.id,
        "status": "retracted" if change.status is LinkStatus.RETRACTED else "open",
        "topic": link.topic,
        "partition": link.partition,
        "offset": link.later_version.offset,
        "identity": link.later,
        "other": link.earlier,
        "key": None,
        "field": None,
        "observed": _title(later),
        "confidence": round(link.confidence, 4),
        "evidence": {
            "reason": link.reason,
            "neighbours": [{"identity": link.earlier, "score": min(1.0, link.similarity), "value": _title(earlier)}],
            "statistics": {"rule_score": link.score},
        },
        "detector_version": DETECTOR_VERSION,
        "model": None if versions is None else versions.encoder,
        "contract": None if versions is None else versions.contract,
        "contract_version": None if versions is None else versions.contract_version,
        "event_time": None if later is None else later.first_seen,
        "processing_time": processing_time,
    }
    return link.later.encode("utf-8"), dump(body)


def golden_message(change: GoldenChange, processing_time: int) -> tuple[bytes, bytes | None, list[tuple[str, bytes]]]:
    """(key, value, headers) of a golden record; the value of a product that ended is null.

    The headers say again what `GoldenState.load` takes: whoever takes over need not read the values.
    """
    key = change.id.encode("utf-8")
    if change.record is None:
        return key, None, []
    head = {"version": change.version, "digest": change.digest, "processing_time": processing_time}
    headers = [("version", b"%d" % change.version), ("digest", change.digest.encode("ascii"))]
    return key, orjson.dumps(head)[:-1] + b"," + change.body[1:], headers


def _title(offer: Facts | None) -> str | None:
    return None if offer is None else offer.title[:_TITLE_SHOWN]


def rule_fields(rule: Rule) -> dict[str, Any]:
    """A rule as every message names it."""
    return {"rule": rule.name, "dimension": rule.dimension.value, "severity": rule.severity.value}


def dump(body: Mapping[str, Any]) -> bytes:
    """JSON bytes. What orjson cannot write (an integer beyond 64 bits, a Decimal) goes out as text."""
    try:
        return orjson.dumps(body, default=str)
    except TypeError:
        return orjson.dumps(_writable(body), default=str)


def _writable(value: Any) -> Any:
    """The same value in what orjson writes: big integers as text, lone surrogates replaced, keys as text."""
    if isinstance(value, Mapping):
        return {_clean(str(k)): _writable(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_writable(v) for v in value]
    if isinstance(value, str):
        return _clean(value)
    if isinstance(value, int) and not isinstance(value, bool) and not -(2**63) <= value < 2**64:
        return str(value)
    return value


def _clean(text: str) -> str:
    return text.encode("utf-8", "replace").decode("utf-8")


def _short(value: Any) -> Any:
    """A value as a finding shows it; the record itself has it whole."""
    return value if not isinstance(value, str) or len(value) <= _LONGEST_SHOWN else value[: _LONGEST_SHOWN - 1] + "…"


def _text_key(key: bytes | None) -> str | None:
    return None if key is None else key.decode("utf-8", "replace")
