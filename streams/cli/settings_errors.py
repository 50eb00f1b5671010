"""What is wrong with settings, in our own words and with what was probably meant."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from streams.errors import ConfigError
from streams.settings import Settings

__all__ = ["check_environment", "check_names", "explained"]

_PREFIX = "STREAMGAUGE_"
_NESTED = "__"
# Kubernetes puts such names into every pod where a service is called streamgauge.
_OF_KUBERNETES = re.compile(r"STREAMGAUGE_(?:.+_)?(?:SERVICE_(?:HOST|PORT)|PORT)(?:_.*)?")
_TOPIC_TABLES = ("products", "behaviors")
_FREE_TABLES = (*_TOPIC_TABLES, "auto_apply")  # whose names are the user's own

_SENTENCES = {
    "greater_than_equal": "must be at least {ge}",
    "greater_than": "must be more than {gt}",
    "less_than_equal": "must be at most {le}",
    "less_than": "must be less than {lt}",
    "int_parsing": "must be a whole number",
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_parsing": "must be a number",
    "float_type": "must be a number",
    "bool_parsing": "must be true or false",
    "bool_type": "must be true or false",
    "string_type": 'must be a text in quotes, "like this"',
    "path_type": 'must be the path of a file, in quotes, "like this"',
    "dict_type": "must be a table",
    "model_type": "must be a table",
    "model_attributes_type": "must be a table",
    "literal_error": "must be {expected}",
    "frozen_set_type": "must be a list",
    "value_error": "cannot work: {error}",
}


def check_environment(environment: Mapping[str, str]) -> list[str]:
    """Names in the environment that look like settings of ours and are none, nor close to one.

    Raises: ConfigError for one that is close to a setting.
    """
    known = {_PREFIX + path.replace(".", _NESTED).upper(): path for path in _paths()}
    strange = []
    for name in environment:
        upper = name.upper()
        if not upper.startswith(_PREFIX) or upper in known or _OF_KUBERNETES.fullmatch(upper):
            continue
        table = upper.removeprefix(_PREFIX).partition(_NESTED)
        if table[1] and table[0].lower() in _FREE_TABLES:
            continue
        if near := get_close_matches(upper, known, 1, 0.85):
            raise ConfigError(f"{name} in the environment is no setting.", f"Did you mean {near[0]}?")
        strange.append(name)
    return strange


def check_names(file: Path) -> None:
    """Look for settings that TOML put into a table where they do not belong.

    Raises: ConfigError. What is no TOML is left to those who read it.
    """
    try:
        tables = tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return
    for table in _FREE_TABLES:
        entries = tables.get(table)
        for name, value in entries.items() if isinstance(entries, dict) else ():
            if name in Settings.model_fields and not _belongs(table, value, file.parent):
                raise ConfigError(
                    f"{name} stands under [{table}] in {file}, where TOML takes it for {_MEMBERS[table]}.",
                    "It is a setting: put it above the first [table] of the file.",
                )


_MEMBERS = {"products": "a topic", "behaviors": "a topic", "auto_apply": "a rule"}


def _belongs(table: str, value: Any, folder: Path) -> bool:
    """Whether a value can be meant for a table's own entry, though its name is a setting's. folder: of the file."""
    if table not in _TOPIC_TABLES:
        return False
    return isinstance(value, str) and (value.lower().endswith((".yaml", ".yml")) or (folder / value).is_file())


def explained(error: ValidationError, where: str) -> ConfigError:
    """The first fault of the settings in one sentence. where: the file, or the environment."""
    first, *more = error.errors(include_url=False, include_input=False)
    steps = [str(step) for step in first["loc"]]
    variable = _PREFIX + _NESTED.join(steps).upper()
    where = f"the environment ({variable})" if variable in os.environ else where
    others = f" ({len(more)} more)" if more else ""
    if first["type"] == "extra_forbidden":
        return _unknown(steps, where, others)
    name = ".".join(steps)
    context = first.get("ctx", {})
    sentence = _SENTENCES.get(first["type"])
    if first["type"] == "value_error" and not steps:
        return ConfigError(f"The settings in {where} cannot work: {context.get('error')}{others}.")
    what = sentence.format_map(context) if sentence else f"is wrong: {first['msg']}"
    return ConfigError(f"The setting {name or 'settings'} in {where} {what}{others}.")


def _unknown(steps: Sequence[str], where: str, others: str) -> ConfigError:
    name, table = steps[-1], ".".join(steps[:-1])
    paths = _paths()
    if table and name in Settings.model_fields:
        return ConfigError(
            f"{name} stands under [{table}] in {where}, where it is no setting{others}.",
            "Put it above the first [table] of the file.",
        )
    beside = [path for path in paths if path.rpartition(".")[0] == table]
    names = {path.rpartition(".")[2]: path for path in (*paths, *beside)}  # of one name twice, the one beside counts
    near = get_close_matches(name, names, 1, 0.7)
    shown = f"There is no setting {'.'.join(steps)}, as {where} has it{others}."
    if not near:
        inside = ", ".join(sorted({path.rpartition(".")[2] for path in beside}))
        return ConfigError(shown, f"Settings {f'under [{table}]' if table else 'there'}: {inside}.")
    return ConfigError(shown, f"Did you mean {_written(names[near[0]], table)}?")


def _written(path: str, table: str) -> str:
    """A setting as a file has it, for someone who wrote it in `table`."""
    above, _, name = path.rpartition(".")
    if path in Settings.model_fields and _is_table(path):
        return f"[{path}]"
    if above == table:
        return name
    return f"{name} under [{above}]" if above else f"{name} above the first [table] of the file"


def _is_table(name: str) -> bool:
    annotation = Settings.model_fields[name].annotation
    return name in _FREE_TABLES or (isinstance(annotation, type) and issubclass(annotation, BaseModel))


@cache
def _paths() -> tuple[str, ...]:
    """Every setting: `app_id`, `kafka`, `kafka.bootstrap_servers` ..."""
    return tuple(_below(Settings, ""))


def _below(model: type[BaseModel], prefix: str) -> Iterable[str]:
    for name, info in model.model_fields.items():
        yield prefix + name
        if isinstance(info.annotation, type) and issubclass(info.annotation, BaseModel):
            yield from _below(info.annotation, f"{prefix}{name}.")
