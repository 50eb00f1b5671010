"""In which encoding bytes may be that are not UTF-8: a guess, for the person who has to mend the sender."""

from __future__ import annotations

import codecs
import re

__all__ = ["guess_encoding"]

_MARKS = (
    (codecs.BOM_UTF32_LE, "UTF-32"),
    (codecs.BOM_UTF32_BE, "UTF-32"),
    (codecs.BOM_UTF16_LE, "UTF-16"),
    (codecs.BOM_UTF16_BE, "UTF-16"),
)
_HIGH_RUNS = re.compile(rb"[\x80-\xff]+")
_LOOKED_AT = 4096  # bytes


def guess_encoding(raw: bytes) -> str | None:
    """The likely encoding of bytes that are not UTF-8 text; None where nothing speaks for one."""
    for mark, name in _MARKS:
        if raw.startswith(mark):
            return name
    head = raw[:_LOOKED_AT]
    if len(head) >= 4:
        half = len(head) // 2
        if head[1::2].count(0) > 0.4 * half:
            return "UTF-32" if head[2::4].count(0) > 0.4 * half / 2 else "UTF-16 (little endian)"
        if head[::2].count(0) > 0.4 * half:
            return "UTF-32" if head[1::4].count(0) > 0.4 * half / 2 else "UTF-16 (big endian)"
    if b"\x00" in head:
        return None
    if _decodes(raw, "utf-8", "surrogatepass"):
        return "CESU-8 (UTF-8 with surrogates)"
    runs = _HIGH_RUNS.findall(head)
    # Chinese in GBK comes in pairs of high bytes; accented letters of western text mostly stand alone.
    pairs = sum(len(run) % 2 == 0 for run in runs)
    if runs and pairs >= 0.8 * len(runs) and _decodes(raw, "gb18030"):
        return "GB18030 (GBK)"
    if runs and any(len(run) > 2 for run in runs):
        return next((name for codec, name in _EAST if _decodes(raw, codec)), None)
    return "Windows-1252 (Latin-1)" if _decodes(raw, "cp1252") else None


_EAST = (
    ("big5", "Big5"),
    ("shift_jis", "Shift JIS"),
    ("gb18030", "GB18030 (GBK)"),
    ("cp1252", "Windows-1252 (Latin-1)"),
)


def _decodes(raw: bytes, codec: str, errors: str = "strict") -> bool:
    try:
        raw.decode(codec, errors)
    except UnicodeDecodeError:
        return False
    return True
