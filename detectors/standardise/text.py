"""Text: wrong encodings, markup, control characters, compatibility forms, white space, repeated phrases.

Unicode NFKC is applied in part, because the whole of it destroys meaning in a record (10² becomes 102, ™ becomes TM,
½ becomes 1⁄2, ① becomes 1). What is applied:

- NFC, which also folds the compatibility ideographs (U+F900-FAFF) onto the ordinary ones;
- full-width letters, digits and symbols (Ａ１％), half-width katakana, Kangxi radicals, Latin ligatures (ﬁ) and
  mathematical letters used as decoration (𝐒𝐚𝐥𝐞);
- full-width punctuation （，：！） only in texts without Chinese, Japanese or Korean, where it is proper typography.

What is kept: ™ ® ² ³ ½ ℃ ㎡ № ① … and everything else. The whole of NFKC belongs to comparison (`chinese.fold`).
"""

from __future__ import annotations

import html
import re
import unicodedata
from collections.abc import Sequence
from enum import Enum
from itertools import pairwise

from ftfy import fix_encoding
from ftfy.badness import is_bad
from ftfy.chardata import CHARMAP_ENCODINGS
from ftfy.fixes import fix_c1_controls

from detectors.records import Suggestion
from detectors.standardise.memoised import memoised
from detectors.standardise.outcome import (
    CONTROL_CHARACTERS,
    HTML,
    MOJIBAKE,
    REPEATED_PHRASE,
    Fault,
    Outcome,
    Step,
)

__all__ = ["TextKind", "ordinary_characters", "standardise_text", "suspects"]


class TextKind(Enum):
    """How a text is written.

    NAME: one line (title, brand, category, query); markup in it is damage.
    PHRASE: as NAME, and a phrase that is said twice in a row is damage (title).
    PROSE: lines of their own, markup is a supplier's habit (description, review).
    """

    NAME = "name"
    PHRASE = "phrase"
    PROSE = "prose"


_MAX_REPAIR_LENGTH = 100_000  # longer texts are only trimmed: the libraries behind the repairs are not linear

# --- wrong encodings ---------------------------------------------------------------------------------------------


def _decoded(codecs: Sequence[str], lead: range) -> str:
    """The characters that the bytes of `lead` become under any of the codecs, as the inside of a character class."""
    found = {bytes([byte]).decode(codec, "replace") for codec in codecs for byte in lead}
    return "".join(re.escape(c) for c in sorted(found - {"\ufffd"}))


# UTF-8 read by a one-byte codec leaves the characters of a lead byte and of a continuation byte side by side. A text
# without such a pair cannot be repaired by ftfy, so that it need not be asked.
_LEADS = _decoded(CHARMAP_ENCODINGS, range(0xC2, 0xF5))
_CONTINUATIONS = _decoded(CHARMAP_ENCODINGS, range(0x80, 0xC0))
_ONE_BYTE_PAIR = re.compile(f"[{_LEADS}][{_CONTINUATIONS}]|[ÂÃ][ \\xa0]")

_CJK_CLASS = "\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uff66-\uff9d\U00020000-\U0003ffff"
_CJK = re.compile(f"[{_CJK_CLASS}]")
_COMMON_HAN = frozenset(  # everyday Chinese: GB 2312 (6,763 simplified) and the first level of Big5 (5,401 traditional)
    char
    for codec, leads, trails in (
        ("gb2312", range(0xB0, 0xF8), range(0xA1, 0xFF)),
        ("big5", range(0xA4, 0xC7), (*range(0x40, 0x7F), *range(0xA1, 0xFF))),
    )
    for lead in leads
    for trail in trails
    for char in bytes((lead, trail)).decode(codec, "ignore")
    if "\u4e00" <= char <= "\u9fff"
)
_HAN_PUNCTUATION = frozenset("，。、；：？！“”‘’（）【】《》〈〉「」『』·—…～￥％＋－／　×Ø°℃™®©")
_C1 = re.compile("[\x80-\x84\x86-\x9f]")  # U+0085 is a line break
_LOST = re.compile("\ufffd|锟斤拷|锟斤|斤拷")  # U+FFFD, and U+FFFD in UTF-8 read as GBK


def _pairs_of_gbk() -> re.Pattern[str]:
    """Three characters in a row whose GBK bytes are those of two three-byte characters in UTF-8."""
    leads, tails = range(0xE2, 0xF0), range(0x80, 0xC0)

    def chars(first: range, second: range) -> str:
        found = {bytes((a, b)).decode("gbk", "ignore") for a in first for b in second}
        return "".join(sorted(c for c in found if len(c) == 1))

    return re.compile(f"[{chars(leads, tails)}][{chars(tails, leads)}][{chars(tails, tails)}]")


_GBK_TRIPLE = _pairs_of_gbk()


def _unread_gbk(text: str) -> str | None:
    """The text whose UTF-8 bytes were read as GBK, None where that is not what happened or bytes were lost.

    Chinese text almost never has GBK bytes that are valid UTF-8 for everyday Chinese; damaged text always has.
    """
    try:
        repaired = text.encode("gb18030").decode("utf-8")
    except UnicodeError:
        return None
    strange = [c for c in repaired if not c.isascii()]
    han = sum(c in _COMMON_HAN for c in strange)
    if han < 2 or any(c not in _COMMON_HAN and c not in _HAN_PUNCTUATION for c in strange):
        return None
    return repaired


def _mojibake(text: str) -> tuple[Step | None, Fault | None]:
    if len(text) > _MAX_REPAIR_LENGTH:
        return None, None
    if _ONE_BYTE_PAIR.search(text) and is_bad(text):
        repaired = fix_encoding(text)
        if repaired != text and not is_bad(repaired) and repaired.count("\ufffd") <= text.count("\ufffd"):
            reason = "UTF-8 was read in a one-byte encoding; read as UTF-8 again"
            return Step(repaired, MOJIBAKE.name, reason, 0.98), Fault(MOJIBAKE, reason, 0.98, repaired=True)
        if repaired != text:
            reason = "UTF-8 was read in a one-byte encoding and characters were lost, so it cannot be read back"
            return None, Fault(MOJIBAKE, reason, 0.8)
    if _GBK_TRIPLE.search(text):
        unread = _unread_gbk(text)
        if unread is not None:
            reason = "UTF-8 was read as GBK; read as UTF-8 again"
            return Step(unread, MOJIBAKE.name, reason, 0.95), Fault(MOJIBAKE, reason, 0.95, repaired=True)
    if _C1.search(text):
        if _CJK.search(text):  # half of a rare character in GBK, whose other half is an ordinary letter now
            reason = "bytes of Chinese characters were torn apart in a wrong encoding"
            return None, Fault(MOJIBAKE, reason, 0.9)
        named = fix_c1_controls(text)
        if not _C1.search(named):
            reason = "Windows-1252 was read as ISO 8859-1; its quotes and signs put back"
            return Step(named, MOJIBAKE.name, reason, 0.9), Fault(MOJIBAKE, reason, 0.9, repaired=True)
    lost = _LOST.search(text)
    if lost:
        reason = f"characters were lost in a wrong encoding (“{lost.group()}”) and cannot be read back"
        return None, Fault(MOJIBAKE, reason, 0.9)
    return None, None


# --- markup ------------------------------------------------------------------------------------------------------

_ENTITY = re.compile(r"&(?:#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|[a-zA-Z][a-zA-Z0-9]{1,31});")
_INLINE = "a|abbr|b|bdi|big|cite|code|del|em|font|i|ins|label|mark|o:p|s|small|span|strike|strong|sub|sup|tt|u"
_BLOCK = (
    "article|aside|blockquote|body|br|button|center|dd|details|div|dl|dt|figcaption|figure|footer|form|h[1-6]|head|"
    "header|hr|html|iframe|img|input|li|link|main|meta|nav|object|ol|option|p|pre|section|select|source|summary|svg|"
    "table|tbody|td|tfoot|th|thead|title|tr|ul|video"
)
_HIDDEN = re.compile(r"<(?:(script|style)\b[^<>]*>|!--)", re.IGNORECASE)
_HIDDEN_ENDS = {
    "script": re.compile(r"</script\s*>", re.IGNORECASE),
    "style": re.compile(r"</style\s*>", re.IGNORECASE),
    None: re.compile("-->"),
}
_BLANK_LINES = re.compile(r"\n\s*\n")
_INLINE_TAG = re.compile(rf"</?(?:{_INLINE})(?:\s[^<>]*)?/?>", re.IGNORECASE)
_BLOCK_TAG = re.compile(rf"</?(?:{_BLOCK})(?:\s[^<>]*)?/?>", re.IGNORECASE)


def _without_hidden(text: str) -> str:
    """The text without scripts, style sheets and comments that are closed. Linear: each end is looked for once."""
    kept, place = [], 0
    ends = dict(_HIDDEN_ENDS)
    for start in _HIDDEN.finditer(text):
        name = start.group(1).lower() if start.group(1) else None
        if start.start() < place or name not in ends:
            continue
        end = ends[name].search(text, start.end())
        if end is None:
            del ends[name]
            continue
        kept.append(text[place : start.start()])
        place = end.end()
    return " ".join([*kept, text[place:]])


def _without_markup(text: str, kind: TextKind) -> str:
    """The text without tags, its entities resolved; texts escaped twice are resolved twice."""
    for _ in range(2):
        if "<" in text:
            text = _without_hidden(text)
            text = _INLINE_TAG.sub("", text)
            text = _BLOCK_TAG.sub("\n" if kind is TextKind.PROSE else " ", text)
            if kind is TextKind.PROSE:
                text = _BLANK_LINES.sub("\n", text)  # in markup they mean nothing
        if "&" not in text:
            break
        resolved = _ENTITY.sub(lambda m: html.unescape(m.group()), text)
        if resolved == text:
            break
        text = resolved
    return text


# --- characters --------------------------------------------------------------------------------------------------

_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\ud800-\udfff]")
_CONTROL_BUT_C1 = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")  # see `_mojibake`
_INVISIBLE = re.compile("[\u00ad\u180e\u200b\u2060-\u2064\ufeff]")
_DIRECTION = re.compile("[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
_RIGHT_TO_LEFT = re.compile("[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc]")
_IDLE_JOINER = re.compile(  # between emoji or Indic letters a joiner has a meaning, beside these it has none
    f"(?:(?<=[\x00-\x7f{_CJK_CLASS}])|^)[\u200c\u200d]+|[\u200c\u200d]+(?=[\x00-\x7f{_CJK_CLASS}]|$)"
)

_FULL_WIDTH_PUNCTUATION = "！＂＇（），：；？［］｛｝～｜｟｠｡｢｣､･"
_PUNCTUATION = re.compile(f"[{_FULL_WIDTH_PUNCTUATION}]")
_COMPATIBILITY_CLASS = (
    "".join(re.escape(c) for c in map(chr, range(0xFF01, 0xFF5F)) if c not in _FULL_WIDTH_PUNCTUATION)
    + "\uff66-\uff9f\uffa1-\uffdc\uffe0-\uffe6\u2e9f\u2ef3\u2f00-\u2fd5\ufb00-\ufb06\U0001d400-\U0001d7ff"
)
_COMPATIBILITY = re.compile(f"[{_COMPATIBILITY_CLASS}]+")


def _without_controls(text: str, kind: TextKind) -> tuple[Step | None, Fault | None]:
    pattern = _CONTROL if not _CJK.search(text) else _CONTROL_BUT_C1
    cleaned = pattern.sub("", text)
    if cleaned != text:
        reason = "control characters removed"
        return (
            Step(cleaned, CONTROL_CHARACTERS.name, reason, 0.99),
            Fault(CONTROL_CHARACTERS, "the text holds control characters", 0.99, repaired=True),
        )
    return None, None


def _without_invisible(text: str) -> str:
    text = _IDLE_JOINER.sub("", _INVISIBLE.sub("", text))
    if _DIRECTION.search(text) and not _RIGHT_TO_LEFT.search(text):
        text = _DIRECTION.sub("", text)
    return text


def _composed(text: str) -> str:
    """The text without compatibility forms, as the module's docstring says."""
    text = _COMPATIBILITY.sub(lambda m: unicodedata.normalize("NFKC", m.group()), text)
    if _PUNCTUATION.search(text) and not _CJK.search(text):
        text = _PUNCTUATION.sub(lambda m: unicodedata.normalize("NFKC", m.group()), text)
    return unicodedata.normalize("NFC", text)


def ordinary_characters(text: str) -> str:
    """The text with full-width letters, digits and all punctuation as ordinary ones: for reading numbers and dates."""
    if text.isascii():
        return text
    text = _COMPATIBILITY.sub(lambda m: unicodedata.normalize("NFKC", m.group()), text)
    return _PUNCTUATION.sub(lambda m: unicodedata.normalize("NFKC", m.group()), text)


_LINE_END = re.compile("\r\n?|[\x85\u2028\u2029]")
_AROUND_LINE_END = re.compile(" ?\n ?")
_GAP = re.compile(r"[^\S\n]+")


def _trimmed(text: str, kind: TextKind) -> str:
    if kind is TextKind.PROSE:
        return _AROUND_LINE_END.sub("\n", _GAP.sub(" ", _LINE_END.sub("\n", text))).strip()
    return " ".join(text.split())


# --- repeated phrases --------------------------------------------------------------------------------------------

_HAN_RUN = re.compile(f"([{_CJK_CLASS}][{_CJK_CLASS}0-9A-Za-z]{{3,39}}?)\\1(?!(?<=[0-9A-Za-z])[0-9A-Za-z])")
_LIST_MARKS = (",", "/", ";", "|", "、", "，")
_LETTERS = re.compile(r"[^\W\d_]{2,}")


def _may_repeat(text: str) -> bool:
    """Whether a phrase of two words, or of four ideographs, can be there twice. Cheap, never wrong with `False`."""
    words = text.split()
    if len(words) - len(set(words)) >= 2:
        return True
    return not text.isascii() and len(text) - 1 - len(set(pairwise(text))) >= 3


def _is_phrase(words: list[str]) -> bool:
    """Whether the words can be one phrase: two of them are words, and no list goes through (pro max/ 14, bag, red)."""
    return sum(map(bool, map(_LETTERS.search, words))) >= 2 and not any(w.endswith(_LIST_MARKS) for w in words[:-1])


def _said_once(text: str) -> str:
    """The text with a phrase that comes twice in a row said once.

    A phrase has three words, or two at the start or the end of the text, or four ideographs. In the middle two words
    are too often two names that meet (Star Wars Clone Wars Clone Commander), and one word twice is a name or a word
    of its own (Bora Bora, 高高兴兴). A text with ideographs that is nothing but twice the same needs no blank between.
    """
    half = None if text.isascii() else _doubled(text)
    if half is not None and len(half) >= 8 and len(set(half)) > 4 and _CJK.search(half):
        text = half
    words = text.split(" ")
    size = len(words) // 2
    while size >= 2:
        start = 0
        while start + 2 * size <= len(words):
            phrase, end = words[start : start + size], start + 2 * size
            at_an_edge = start == 0 or end == len(words)
            if phrase == words[start + size : end] and (size > 2 or at_an_edge) and _is_phrase(phrase):
                del words[start + size : end]
                start = max(0, start - size)  # what was in the middle may be at the end now
            else:
                start += 1
        size = min(size - 1, len(words) // 2)
    text = " ".join(words)
    if not text.isascii():
        text = _HAN_RUN.sub(lambda m: m.group(1) if len(set(m.group(1))) > 2 else m.group(), text)
    return text


_MAX_PHRASE_LENGTH = 500  # of a title; the search is quadratic in its words


def _doubled(text: str) -> str | None:
    """The half of a text that consists of the same text twice, None for other texts."""
    for gap in (0, 1, 2):
        half, odd = divmod(len(text) - gap, 2)
        if half >= 4 and not odd and text[:half] == text[half + gap :] and not text[half : half + gap].strip("\n ,-|/"):
            return text[:half]
    return None


_MIN_DOUBLED = 40  # of a description's half; shorter ones can be a chorus


def _may_be_twice(text: str) -> bool:
    """Whether a description can consist of the same text twice. Cheap, never wrong with `False`."""
    half = len(text) // 2
    return half >= _MIN_DOUBLED and text.find(text[:16], half - 1, half + 18) > 0


def _repeated(text: str, kind: TextKind) -> tuple[Step | None, Fault | None]:
    if kind is TextKind.PHRASE:
        once = _said_once(text) if len(text) <= _MAX_PHRASE_LENGTH and _may_repeat(text) else text
    elif kind is TextKind.PROSE:
        half = _doubled(text)
        once = text if half is None or len(half) < _MIN_DOUBLED else half
    else:
        once = text
    if once == text:
        return None, None
    confidence = 0.97 if len(once) * 2 <= len(text) else 0.9
    reason = "the same phrase stood there twice in a row; said once"
    return (
        Step(once, REPEATED_PHRASE.name, reason, confidence),
        Fault(REPEATED_PHRASE, "the same phrase stands there twice in a row", confidence, repaired=True),
    )


# --- the whole ---------------------------------------------------------------------------------------------------


@memoised(8_192, 2_000)
def standardise_text(text: str, kind: TextKind, apply_from: tuple[tuple[str, float], ...] = ()) -> Outcome | None:
    """The text in standard form, step by step; None where nothing is to be done. Any text is fine.

    apply_from: rules of damage (`text.html`, ...) and the confidence from which each is repaired; below it the damage
    stays, and the whole repair is suggested.
    """
    steps: list[Step] = []
    faults: list[Fault] = []
    limits = dict(apply_from)

    def note(now: str, step: Step | None, fault: Fault | None = None) -> str:
        """The text after the step, where it may be made."""
        if step is not None and step.confidence < limits.get(step.rule, 0.0):
            whole = standardise_text(text, kind)
            assert whole is not None
            fault = fault or Fault(HTML, "HTML tags or entities stand in the text", step.confidence)
            faults.append(fault._replace(repaired=False, suggestion=Suggestion(whole.steps[-1].after or None)))
            return now
        if fault is not None:
            faults.append(fault)
        if step is None:
            return now
        steps.append(step)
        return str(step.after)

    now = note(text, *_mojibake(text))

    if len(now) <= _MAX_REPAIR_LENGTH and ("<" in now or "&" in now):
        plain = _without_markup(now, kind)
        if plain != now:
            step = Step(_trimmed(plain, kind), HTML.name, "HTML tags removed and entities resolved", 0.98)
            fault = Fault(HTML, "HTML tags or entities stand in a text of one line", 0.98, repaired=True)
            now = note(now, step, None if kind is TextKind.PROSE else fault)

    now = note(now, *_without_controls(now, kind))

    if not now.isascii():
        visible = _without_invisible(now)
        if visible != now:
            now = note(now, Step(visible, "text.invisible", "invisible characters removed", 0.99))
        composed = _composed(now)
        if composed != now:
            reason = "full-width and compatibility forms replaced by ordinary characters"
            now = note(now, Step(composed, "text.compatibility", reason))

    trimmed = _trimmed(now, kind)
    if trimmed != now:
        now = note(now, Step(trimmed, "text.white_space", "white space trimmed and collapsed"))

    note(now, *_repeated(now, kind))
    if not steps and not faults:
        return None
    return Outcome(tuple(steps), tuple(faults))


_SEAM = "`"  # printable, ASCII and rare: joins the texts of a column, so that one look serves them all


def suspects(texts: Sequence[str], kind: TextKind) -> list[int]:
    """The places of texts that may not be in standard form; all others are.

    The common case costs a few passes over the whole column instead of a dozen looks at each text.
    """
    if kind is TextKind.PHRASE:
        found = {i for i, text in enumerate(texts) if _may_repeat(text)}
    elif kind is TextKind.PROSE:
        found = {i for i, text in enumerate(texts) if _may_be_twice(text) or text[:1] == "\n" or text[-1:] == "\n"}
    else:
        found = set()
    if _is_plain(_SEAM.join(texts), kind):
        return sorted(found)
    found.update(i for i, text in enumerate(texts) if i not in found and not _is_plain(text, kind))
    return sorted(found)


def _is_plain(text: str, kind: TextKind) -> bool:
    """Whether nothing but a repeated phrase can be wrong with a text, or with texts joined by the seam."""
    if kind is TextKind.PROSE:
        text = text.replace("\n", _SEAM)
    if (
        not text.isprintable()
        or "  " in text
        or text[:1] == " "
        or text[-1:] == " "
        or _SEAM + " " in text
        or " " + _SEAM in text
        or ("<" in text and (_INLINE_TAG.search(text) or _BLOCK_TAG.search(text) or _HIDDEN.search(text)))
        or ("&" in text and _ENTITY.search(text))
    ):
        return False
    if text.isascii():
        return True
    return not (
        _COMPATIBILITY.search(text)
        or _ONE_BYTE_PAIR.search(text)
        or _GBK_TRIPLE.search(text)
        or _LOST.search(text)
        or _PUNCTUATION.search(text)
        or not unicodedata.is_normalized("NFC", text)
    )
