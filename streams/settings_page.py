"""The page of settings, docs/settings.md, made from the models of `streams.settings`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo

from streams.settings import Settings

__all__ = ["settings_page"]

_HEAD = """\
# Settings

From a TOML file (`--config FILE`, or `streamgauge.toml` in the current folder) and from the environment, which
overrides the file. In the file a name such as `kafka.bootstrap_servers` is `bootstrap_servers` under `[kafka]`; names
without a dot stand above the first `[table]`. In the environment a table is written as JSON, as in
`STREAMGAUGE_PRODUCTS='{"shop.products": "products.yaml"}'`; it is joined with the file's, entry by entry.
`STREAMGAUGE_REKEY` takes names with commas between. `streamgauge doctor` says what is wrong with settings.

A relative path in the file is taken from the file's folder, and `~` there is the home folder; a relative path in the
environment is taken from the folder in which the command is started.
"""
_TAIL = """\
Where only one of `products` and `behaviors` is given, the other is empty. A topic whose contract is left out (`null`,
in the environment alone) has the sample contract of its kind, as the demo's topics do.
"""
_WORDS: dict[Any, str] = {
    str: "text",
    int: "whole number",
    float: "number",
    bool: "true or false",
    Path: "path",
    SecretStr: "text, **secret**: masked when printed",
}


def settings_page() -> str:
    """Every setting as a page of Markdown, ending in a newline."""
    rows = ["| setting | in the environment | type | default | what it does |", "|---|---|---|---|---|"]
    prefix, between = str(Settings.model_config["env_prefix"]), str(Settings.model_config["env_nested_delimiter"])
    for path, field in _below(Settings):
        variable = prefix + between.join(path).upper()
        said = (field.description or "").rstrip(".").replace("|", "\\|")
        cells = (f"`{'.'.join(path)}`", f"`{variable}`", _type(field), _default(field.default), said)
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join([_HEAD, *rows, "", _TAIL])


def _below(model: type[BaseModel], *above: str) -> Iterator[tuple[tuple[str, ...], FieldInfo]]:
    """Every setting of a model with its path; first those that belong to no table, as a file must have them."""
    tables = []
    for name, field in model.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            tables.append((name, field.annotation))
        else:
            yield (*above, name), field
    for name, table in tables:
        yield from _below(table, *above, name)


def _type(field: FieldInfo) -> str:
    words = _in_words(field.annotation)
    least, most, above = (_bound(field, name) for name in ("ge", "le", "gt"))
    if least is not None:
        return f"{words}, at least {least}" if most is None else f"{words}, {least} to {most}"
    return words if above is None else f"{words}, more than {above}"


def _bound(field: FieldInfo, name: str) -> Any:
    """The bound that a setting's `Field(ge=..., le=..., gt=...)` gives under this name; None where it gives none."""
    return next((getattr(one, name) for one in field.metadata if hasattr(one, name)), None)


def _in_words(annotation: Any) -> str:
    """A type for people; that a setting may be left out is told by its default."""
    if annotation in _WORDS:
        return _WORDS[annotation]
    origin, of = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return ", ".join(f"`{value}`" for value in of[:-1]) + f" or `{of[-1]}`"
    if origin in (UnionType, Union):
        return " or ".join(_in_words(one) for one in of if one is not NoneType)
    if origin is dict:
        return f"table, {_in_words(of[0])} to {_in_words(of[1])}"
    if origin is frozenset:
        return f"list of {_in_words(of[0])}s"
    raise TypeError(f"There are no words for the type {annotation} of a setting. Add them to streams/settings_page.py.")


def _default(value: Any) -> str:
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, dict):
        return ", ".join(f"`{name}`" for name in value)
    return f"`{value}`" if isinstance(value, int | float) or value else ""
