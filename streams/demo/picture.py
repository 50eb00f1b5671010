"""The demo's screen as an SVG picture."""

from __future__ import annotations

import html
import io
import re
from pathlib import Path

from rich.cells import cell_len
from rich.console import Console

from streams.demo.screen import render
from streams.demo.state import DemoState

__all__ = ["save_picture"]


def save_picture(state: DemoState, path: Path, width: int = 120, height: int = 44) -> None:
    """Write the screen of a terminal with this many columns and lines. Raises: OSError."""
    console = Console(record=True, width=width, height=height, file=io.StringIO(), force_terminal=True)
    console.print(render(state, width, height))
    picture = _FONT.sub("", console.export_svg(title="streamgauge demo"))
    path.write_text(_TEXT.sub(_widened, picture), encoding="utf-8")


_FONT = re.compile(r"@font-face \{.*?\}\s*", re.DOTALL)  # fetched from elsewhere; the system's own does


_TEXT = re.compile(r'(<text [^>]*textLength=")([\d.]+)("[^>]*>)([^<]*)(?=</text>)')


def _widened(match: re.Match[str]) -> str:
    """The text element with room for its wide characters: Rich gives each character, Chinese too, one cell."""
    before, length, between, text = match.groups()
    plain = html.unescape(text)
    return f"{before}{float(length) * cell_len(plain) / len(plain):.1f}{between}{text}" if plain else match.group()
