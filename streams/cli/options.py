"""Options that several commands share, and the settings they lead to."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from streams.errors import ConfigError

if TYPE_CHECKING:
    from streams.settings import Settings

__all__ = [
    "ConfigOption",
    "DelimiterOption",
    "JsonOption",
    "PairsDelimiterOption",
    "ServersOption",
    "load_settings",
]

ConfigOption = Annotated[
    Path | None,
    typer.Option(
        "--config",
        metavar="FILE",
        help="Settings in TOML, with paths as seen from its folder; STREAMGAUGE_* in the environment override them. "
        "Default: streamgauge.toml in the current folder, where there is one.",
    ),
]
ServersOption = Annotated[
    str | None, typer.Option("--bootstrap-servers", metavar="HOST:PORT,...", help="Where Kafka is; overrides settings.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of text.")]
DelimiterOption = Annotated[
    str | None, typer.Option("--delimiter", help="Between the fields of the data. Default: a comma; a tab for .tsv.")
]
PairsDelimiterOption = Annotated[
    str | None,
    typer.Option("--pairs-delimiter", help="Between the fields of the pairs. Default: a comma; a tab for .tsv."),
]


_DEFAULT = Path("streamgauge.toml")


def load_settings(config: Path | None = None, bootstrap_servers: str | None = None, *, look: bool = True) -> Settings:
    """The settings from a file and the environment. Raises: ConfigError.

    look: without a file take the streamgauge.toml of the current folder, where there is one, and say so.
    """
    from pydantic import ValidationError
    from pydantic_settings import SettingsError

    from streams.cli.screen import errors
    from streams.cli.settings_errors import check_environment, check_names, explained
    from streams.settings import Settings

    if config is None and look and _DEFAULT.is_file():
        config = _DEFAULT
        errors.print(f"Settings are those of {_DEFAULT} in this folder.", markup=False, soft_wrap=True)
    where = str(config) if config is not None else "the environment (STREAMGAUGE_*)"
    for name in check_environment(os.environ):
        errors.print(f"{name} in the environment is no setting; it is not used.", markup=False, soft_wrap=True)
    if config is not None:
        check_names(config)
    try:
        settings = Settings.from_file(config)
    except FileNotFoundError as error:
        raise ConfigError(f"There is no settings file {config}.", "Check the path after --config.") from error
    except OSError as error:
        raise ConfigError(f"The settings file {config} cannot be read: {error.strerror}.") from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{config} is no TOML: {error}.", "Correct that line.") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{config} is no TOML: it is not UTF-8.") from error
    except SettingsError as error:
        raise ConfigError(
            f"A setting in {where} cannot be read: {error}.", "Write lists and tables as JSON."
        ) from error
    except ValidationError as error:
        raise explained(error, where) from error
    if settings.auto_apply:
        from streams.rule_settings import check_auto_apply  # knows every detector, which takes a second

        check_auto_apply(settings.auto_apply)
    if bootstrap_servers is not None:
        settings = settings.model_copy(
            update={"kafka": settings.kafka.model_copy(update={"bootstrap_servers": bootstrap_servers})}
        )
    return settings
