"""Holds what the monitor said against what was planted.

How things are counted:

- A planted fault is **found** when a finding at its source position is of a rule that names such a fault (`NAMES`), or,
  for what cannot be processed at all, when it became a dead letter.
- A finding is **right** when it names a planted fault of its record. A duplicate finding is right when both products
  are offers of one article, a variant finding when they are of two articles of one family. That an event contradicts
  the catalogue's price is right too while the catalogue's price is a planted fault. Everything else that is said, dead
  letters of sound records included, is a **false accusation**. Retracted findings do not count.
- A **repair** is the changing of a field of which the record has a finding of the same rule. It is right when the
  field's last value is the true one: prices within rounding, texts apart from white space, case and compatibility
  forms, brands and categories in any supplier's notation, and empty where nobody can know the value. Standardising
  (another notation of the same value) is no repair; where it changes what a sound field means it counts as a repair
  gone wrong.
- Natural **duplicates** and **variants** are no faults and not among those planted; they are counted beside them. An
  article with n offers has n - 1 links to be found, a family of n articles that are offered n - 1 relations.
- An event is **lost** while neither a corrected record, a deletion nor a dead letter accounts for its source position.
  Of a run that was broken off it is only not worked off yet.
"""

from __future__ import annotations

import html
import math
import re
import unicodedata
from collections import Counter, defaultdict, deque
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import Any, NamedTuple, TypeVar

from streams.marketplace.events import Event, FaultKind, Planted

__all__ = ["DUPLICATE", "NAMES", "VARIANT", "Example", "KindCount", "Position", "Report", "Truth"]

DUPLICATE, VARIANT = "duplicate", "variant"
_Name = TypeVar("_Name", bound=Hashable)
_VARIANT_RULE = "duplicate.variant"

_PRICE = ("price.*", "currency.*", "contract.range", "anomaly.price*", "anomaly.currency*")

NAMES: Mapping[FaultKind, tuple[str, ...]] = {
    FaultKind.NOT_JSON: ("decode.*",),
    FaultKind.WRONG_ENCODING: ("decode.*", "text.mojibake"),
    FaultKind.DUPLICATE_KEYS: ("decode.duplicate_key*",),
    FaultKind.MISSING_TITLE: ("contract.required",),
    FaultKind.MISSING_ID: ("contract.required",),
    FaultKind.WRONG_TYPE: ("contract.type",),
    FaultKind.BAD_DATE: ("time.*", "contract.type", "contract.required", "behavior.time"),
    FaultKind.BAD_ENUM: ("contract.enum",),
    FaultKind.MOJIBAKE: ("text.mojibake", "text.control_characters"),
    FaultKind.HTML_ENTITIES: ("text.html",),
    FaultKind.CONTROL_CHARACTERS: ("text.control_characters", "text.invisible"),
    FaultKind.REPEATED_PHRASE: ("text.repeated_phrase",),
    FaultKind.PRICE_TIMES_100: _PRICE,
    FaultKind.PRICE_DIV_100: _PRICE,
    FaultKind.PRICE_TEXT_BROKEN: _PRICE,
    FaultKind.NEGATIVE_PRICE: _PRICE,
    FaultKind.CURRENCY_LABEL: _PRICE,
    FaultKind.PLACEHOLDER_PRICE: _PRICE,
    FaultKind.BRAND_TYPO: ("brand.*", "anomaly.brand*"),
    FaultKind.BRAND_SWAP: ("brand.*", "anomaly.brand*"),
    FaultKind.CATEGORY_SWAP: ("category.*", "anomaly.category*"),
    FaultKind.DESCRIPTION_OF_ANOTHER: ("text.mismatch", "anomaly.description*"),
    FaultKind.GTIN_CHECK_DIGIT: ("gtin.*",),
    FaultKind.REPEATED_EVENT: ("behavior.repeat", "behavior.replay"),
    FaultKind.REPLAYED_BLOCK: ("behavior.repeat", "behavior.replay"),
    FaultKind.UNKNOWN_PRODUCT: ("behavior.unknown_product",),
    FaultKind.PRICE_CONTRADICTION: ("behavior.price",),
    FaultKind.IMPOSSIBLE_TIME: ("behavior.time", "time.*"),
}
"""Which rules name which fault, as patterns over the rules' names."""

_DEADLY = frozenset(
    {FaultKind.NOT_JSON, FaultKind.WRONG_ENCODING, FaultKind.DUPLICATE_KEYS, FaultKind.MISSING_ID, FaultKind.WRONG_TYPE}
)
_CONTRADICTS_CATALOGUE = "behavior.price"


class Position(NamedTuple):
    """Where a record is in Kafka."""

    topic: str
    partition: int
    offset: int


@dataclass(frozen=True, slots=True)
class Example:
    """One fault that was found: the value as it was sent, what became of it (None: nothing), and why.

    suggested: `after` is only proposed to people.
    """

    kind: str
    before: str
    after: str | None
    reason: str
    suggested: bool = False


@dataclass(frozen=True, slots=True)
class KindCount:
    """Figures of one kind of fault. false: findings whose rule is for this kind and that name nothing planted."""

    planted: int = 0
    found: int = 0
    repaired: int = 0
    repaired_right: int = 0
    false: int = 0


@dataclass(frozen=True, slots=True)
class Report:
    """The score so far; see the module for what is counted.

    first_finding_seconds: from `Truth.started` to the first right finding; None where there is none.
    links_right, variants_right: the right duplicate and variant findings among the right findings.
    by_kind: also `duplicate`, whose `planted` are the links between offers of one article, and `variant`, whose
    `planted` are the relations between articles of one family.
    false_by_rule: false accusations by rule; dead letters of sound records as `dead letter`.
    """

    events: int
    planted: int
    found: int
    findings: int
    findings_right: int
    links_right: int
    variants_right: int
    repairs: int
    repairs_right: int
    lost: int
    dead_letters: int
    corrected: int
    first_finding_seconds: float | None
    by_kind: Mapping[str, KindCount]
    false_by_rule: Mapping[str, int]
    examples: Mapping[str, Example]

    @property
    def recall(self) -> float:
        """Planted faults that were found, of those planted; 1 where nothing was planted."""
        return self.found / self.planted if self.planted else 1.0

    @property
    def precision(self) -> float:
        """Findings that name a planted fault, of all findings; 1 where nothing was said.

        Offers of one article and variants were not planted: findings of them that are right are left out of both,
        wrong ones are false.
        """
        return self.faults_named / self.faults_said if self.faults_said else 1.0

    @property
    def faults_said(self) -> int:
        """Findings without the duplicates and variants that are so."""
        return self.findings - self.links_right - self.variants_right

    @property
    def faults_named(self) -> int:
        """The right ones among `faults_said`."""
        return self.findings_right - self.links_right - self.variants_right

    @property
    def repairs_right_share(self) -> float:
        """Repairs that put the true value there, of all repairs; 1 where nothing was repaired."""
        return self.repairs_right / self.repairs if self.repairs else 1.0


class _Verdict(NamedTuple):
    """What a finding comes to: right or not, the kind it is counted under, the link or relation that it claims."""

    right: bool
    kind: str
    rule: str
    pair: tuple[Any, Any] | None = None


@dataclass(slots=True)
class _Sent:
    event: Event
    at: float


class Truth:
    """Collects what was sent and what came of it, in whatever order it is told; `report` scores it.

    started: when the worker was started, seconds on the clock whose times `finding` and `sent` are given.
    Memory grows with the faults planted and the findings made, not with the events.
    """

    def __init__(self, started: float = 0.0) -> None:
        self.started = started
        self._events = 0
        self._corrected = 0
        self._dead_letters = 0
        self._confirmed: dict[tuple[str, int], int] = defaultdict(lambda: -1)
        self._open: dict[Position, _Sent] = {}
        self._planted_at: dict[Position, tuple[Planted, ...]] = {}
        self._shadows: dict[Position, FaultKind] = {}
        self._tombstones: dict[tuple[str, bytes | None], deque[Position]] = defaultdict(deque)
        self._early_deletions: Counter[tuple[str, bytes | None]] = Counter()
        self._article: dict[str, int] = {}
        self._family: dict[int, int | None] = {}  # by article
        self._planted: Counter[str] = Counter()
        self._found: Counter[str] = Counter()
        self._found_positions: set[Position] = set()
        self._verdicts: dict[str, _Verdict] = {}
        self._false: Counter[str] = Counter()
        self._false_by_rule: Counter[str] = Counter()
        self._right = 0
        self._pairs: set[tuple[str, str]] = set()
        self._related: Counter[tuple[int, int]] = Counter()  # pairs of articles, as often as that was said
        self._repaired: Counter[str] = Counter()
        self._repaired_right: Counter[str] = Counter()
        self._first: float | None = None
        self._examples: dict[str, Example] = {}
        self._early: deque[tuple[str, Position, Mapping[str, Any], float]] = deque()

    # --- what is told ----------------------------------------------------------------------------------------------

    def sent(self, event: Event, position: Position, at: float = 0.0) -> None:
        """The broker confirmed the event at this position. Positions of one partition come in order."""
        self._events += 1
        self._confirmed[position.topic, position.partition] = position.offset
        self._open[position] = _Sent(event, at)
        if event.planted:
            self._planted_at[position] = event.planted
            self._planted.update(planted.kind for planted in event.planted)
        if event.shadow is not None:
            self._shadows[position] = event.shadow
        if event.article is not None and event.identity is not None:
            self._article[event.identity] = event.article
            self._family[event.article] = event.family
        if event.value is None:
            if self._early_deletions[position.topic, event.key]:
                self._early_deletions[position.topic, event.key] -= 1
                self._corrected += 1
                del self._open[position]
            else:
                self._tombstones[position.topic, event.key].append(position)

    def finding(self, message: Mapping[str, Any], at: float = 0.0) -> None:
        """A message of quality.findings."""
        self._tell("finding", message, at)

    def corrected(self, record: Mapping[str, Any], at: float = 0.0) -> float | None:
        """A corrected record. Returns the seconds since its event was confirmed, None where that is not known."""
        quality = record["_quality"]
        position = Position(quality["topic"], quality["partition"], quality["offset"])
        sent = self._open.get(position)
        self._tell("corrected", record, at, position)
        return None if sent is None else at - sent.at

    def deleted(self, topic: str, key: bytes | None) -> None:
        """A deletion in the corrected topic of source topic `topic`."""
        waiting = self._tombstones.get((topic, key))
        if waiting:
            self._open.pop(waiting.popleft(), None)
            self._corrected += 1
        elif waiting is None:
            self._early_deletions[topic, key] += 1

    def dead_letter(self, position: Position, message: str, at: float = 0.0) -> None:
        """A dead letter of the record at this position."""
        self._tell("dead_letter", {"message": message}, at, position)

    def waiting(self) -> int:
        """Events that nothing accounts for yet."""
        self._settle()
        return len(self._open)

    # --- what follows ----------------------------------------------------------------------------------------------

    def _tell(self, what: str, message: Mapping[str, Any], at: float, position: Position | None = None) -> None:
        if position is None:
            position = Position(message["topic"], message["partition"], message["offset"])
        if position.offset > self._confirmed[position.topic, position.partition]:
            self._early.append((what, position, message, at))  # the worker was quicker than the confirmation
        else:
            self._judge(what, position, message, at)

    def _settle(self) -> None:
        for _ in range(len(self._early)):
            what, position, message, at = self._early.popleft()
            if position.offset > self._confirmed[position.topic, position.partition]:
                self._early.append((what, position, message, at))
            else:
                self._judge(what, position, message, at)

    def _judge(self, what: str, position: Position, message: Mapping[str, Any], at: float) -> None:
        if what == "finding":
            self._judge_finding(position, message, at)
        elif what == "corrected":
            sent = self._open.pop(position, None)
            if sent is not None:  # else it was delivered again
                self._corrected += 1
                self._judge_repairs(sent.event, message)
        else:
            sent = self._open.pop(position, None)
            if sent is not None:
                self._dead_letters += 1
                self._judge_dead_letter(position, str(message["message"]), at)

    def _judge_finding(self, position: Position, finding: Mapping[str, Any], at: float) -> None:
        identifier = str(finding["id"])
        before = self._verdicts.pop(identifier, None)
        if before is not None:
            self._count(before, -1)
        if finding.get("status") == "retracted":
            return
        verdict = self._verdict(position, finding)
        self._verdicts[identifier] = verdict
        self._count(verdict, 1)
        if not verdict.right:
            return
        if self._first is None:
            self._first = at
        if before is None and (verdict.pair is not None or position in self._planted_at):
            self._show(verdict.kind, position, finding)

    def _count(self, verdict: _Verdict, step: int) -> None:
        if verdict.right:
            self._right += step
            if verdict.kind == VARIANT and verdict.pair is not None:
                self._related[verdict.pair] += step
            elif verdict.pair is not None:
                (self._pairs.add if step > 0 else self._pairs.discard)(verdict.pair)
        else:
            self._false[verdict.kind] += step
            self._false_by_rule[verdict.rule] += step

    def _verdict(self, position: Position, finding: Mapping[str, Any]) -> _Verdict:
        rule, column = str(finding["rule"]), finding.get("field")
        if rule.startswith("duplicate."):
            a, b = str(finding.get("identity")), str(finding.get("other"))
            article, other = self._article.get(a), self._article.get(b)
            if rule == _VARIANT_RULE:
                return self._variant_verdict(article, other)
            right = article is not None and article == other
            return _Verdict(right, DUPLICATE, rule, (min(a, b), max(a, b)) if right else None)
        for planted in self._planted_at.get(position, ()):
            if _names(rule, column, planted):
                self._found_at(position, planted)
                return _Verdict(True, planted.kind, rule)
        shadow = self._shadows.get(position)
        if shadow is not None and rule == _CONTRADICTS_CATALOGUE:
            return _Verdict(True, shadow, rule)
        return _Verdict(False, _kind_of_rule(rule), rule)

    def _variant_verdict(self, article: int | None, other: int | None) -> _Verdict:
        if article is None or other is None or article == other:
            return _Verdict(False, VARIANT, _VARIANT_RULE)
        family = self._family[article]
        right = family is not None and family == self._family[other]
        pair = (min(article, other), max(article, other))
        return _Verdict(right, VARIANT, _VARIANT_RULE, pair if right else None)

    def _found_at(self, position: Position, planted: Planted) -> None:
        if position not in self._found_positions:
            self._found_positions.add(position)
            self._found[planted.kind] += 1

    def _judge_dead_letter(self, position: Position, message: str, at: float) -> None:
        kind = next((p.kind for p in self._planted_at.get(position, ()) if p.kind in _DEADLY), None)
        verdict = _Verdict(kind is not None, kind or "other", "dead letter")
        self._verdicts[f"dead letter {position}"] = verdict
        self._count(verdict, 1)
        if kind is None:
            return
        planted = self._planted_at[position][0]
        self._found_at(position, planted)
        if self._first is None:
            self._first = at
        self._examples[kind] = Example(kind, _shown(planted.observed), "dead letter", message)

    def _show(self, kind: str, position: Position, finding: Mapping[str, Any]) -> None:
        reason = str(finding.get("evidence", {}).get("reason", ""))
        if kind in (DUPLICATE, VARIANT):
            self._examples[kind] = Example(kind, str(finding["identity"]), str(finding["other"]), reason)
            return
        known = self._examples.get(kind)
        if known is not None and known.after is not None and not known.suggested:
            return  # a repair says more
        planted = next((p for p in self._planted_at.get(position, ()) if p.kind == kind), None)
        observed = finding.get("observed")
        if observed is None and planted is not None:
            observed = planted.observed
        # What is proposed for another field than that with the fault would be read as the fault's repair.
        proposed = "suggested" in finding and (planted is None or planted.field == finding.get("field"))
        after = _shown(finding["suggested"]) if proposed else None
        if after is not None or known is None or known.after is None:
            self._examples[kind] = Example(kind, _shown(observed), after, reason, suggested=after is not None)

    def _judge_repairs(self, event: Event, record: Mapping[str, Any]) -> None:
        quality = record["_quality"]
        corrections: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
        for correction in quality.get("corrections", ()):
            corrections[str(correction["field"])].append(correction)
        said = {(finding.get("rule"), finding.get("field")) for finding in quality.get("findings", ())}
        for column, steps in corrections.items():
            repair = any((step.get("rule"), column) in said for step in steps)
            planted = next((p for p in event.planted if p.field == column), None)
            if planted is not None:
                if repair:
                    accepted = planted.accepted or event.clean.get(column, ())
                    self._repaired[planted.kind] += 1
                    self._repaired_right[planted.kind] += _equal(
                        column, steps[-1]["after"], accepted, planted.tolerance
                    )
                    self._examples[planted.kind] = Example(
                        planted.kind,
                        _shown(planted.observed),
                        _shown(steps[-1]["after"]),
                        str(steps[-1].get("reason", "")),
                    )
                continue
            right = _equal(column, steps[-1]["after"], event.clean.get(column, ()), 0.005)
            if repair or not right:
                kind = _kind_of_rule(str(steps[-1]["rule"]))
                self._repaired[kind] += 1
                self._repaired_right[kind] += right

    # --- the score -------------------------------------------------------------------------------------------------

    def report(self) -> Report:
        """The score so far."""
        self._settle()
        kinds = sorted({*self._planted, *self._false, *self._repaired})
        by_kind = {
            str(kind): KindCount(
                planted=self._planted[kind],
                found=self._found[kind],
                repaired=self._repaired[kind],
                repaired_right=self._repaired_right[kind],
                false=self._false[kind],
            )
            for kind in kinds
        }
        offers = Counter(self._article.values())
        by_kind[DUPLICATE] = KindCount(
            planted=sum(n - 1 for n in offers.values()), found=_links(self._pairs), false=self._false[DUPLICATE]
        )
        families = Counter(self._family[article] for article in offers)
        by_kind[VARIANT] = KindCount(
            planted=sum(n - 1 for family, n in families.items() if family is not None),
            found=_links(+self._related),
            false=self._false[VARIANT],
        )
        return Report(
            events=self._events,
            planted=self._planted.total(),
            found=self._found.total(),
            findings=len(self._verdicts),
            findings_right=self._right,
            links_right=len(self._pairs),
            variants_right=self._related.total(),
            repairs=self._repaired.total(),
            repairs_right=self._repaired_right.total(),
            lost=len(self._open),
            dead_letters=self._dead_letters,
            corrected=self._corrected,
            first_finding_seconds=None if self._first is None else self._first - self.started,
            by_kind=by_kind,
            false_by_rule={rule: n for rule, n in self._false_by_rule.most_common() if n},
            examples=dict(self._examples),
        )


def _names(rule: str, column: str | None, planted: Planted) -> bool:
    """Whether a finding of this rule at this field names the planted fault, its record being the right one."""
    if rule.startswith("anomaly.") and column is not None and column == planted.field:
        return True
    if not any(fnmatchcase(rule, pattern) for pattern in NAMES[planted.kind]):
        return False
    if column is None or planted.field is None or column == planted.field:
        return True
    return {column, planted.field} == {"price", "currency"}


@lru_cache(maxsize=256)
def _kind_of_rule(rule: str) -> str:
    """The first kind that the rule is for, `other` where there is none."""
    return next((kind for kind, patterns in NAMES.items() if any(fnmatchcase(rule, p) for p in patterns)), "other")


def _links(pairs: Iterable[tuple[_Name, _Name]]) -> int:
    """Edges of a spanning forest of these pairs: links that are found, however often they are said."""
    parent: dict[_Name, _Name] = {}

    def root(name: _Name) -> _Name:
        while (above := parent.setdefault(name, name)) != name:
            parent[name] = name = parent.setdefault(above, above)
        return name

    joined = 0
    for a, b in pairs:
        a, b = root(a), root(b)
        if a != b:
            parent[a] = b
            joined += 1
    return joined


def _shown(value: Any) -> str:
    return "nothing" if value is None or value == "" else str(value)


# --- whether a value is the true one -----------------------------------------------------------------------------

_TAG = re.compile(r"<[^<>]{1,200}>")
_SPACE = re.compile(r"\s+")


def _equal(column: str, value: Any, accepted: Sequence[Any], tolerance: float) -> bool:
    """Whether the value means one of those accepted."""
    return any(_means(column, value, true, tolerance) for true in accepted)


def _means(column: str, value: Any, true: Any, tolerance: float) -> bool:
    if true is None or value is None:
        return true is value
    if isinstance(true, datetime):
        when = _instant(value)
        return when is not None and abs((when - true).total_seconds()) < 1.0
    if isinstance(true, int | float):
        try:
            number = float(value)
        except (TypeError, ValueError):
            return False
        return abs(number - true) <= tolerance or math.isclose(number, true, rel_tol=1e-6)
    if isinstance(true, str) and isinstance(value, str):
        return _folded(column, value) == _folded(column, true)
    return bool(value == true)


def _instant(value: Any) -> datetime | None:
    try:
        if isinstance(value, int | float):
            return datetime.fromtimestamp(value / 1000 if value > 1e11 else value, UTC)
        when = datetime.fromisoformat(str(value))
    except (ValueError, OverflowError, OSError):
        return None
    return when if when.tzinfo is not None else when.replace(tzinfo=UTC)


def _folded(column: str, text: str) -> str:
    """A text apart from white space, case and compatibility forms; a description also apart from markup."""
    if column == "description":
        return _SPACE.sub("", unicodedata.normalize("NFKC", html.unescape(_TAG.sub("", text)))).casefold()
    return _SPACE.sub(" ", unicodedata.normalize("NFKC", text)).strip().casefold()
