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

__all__ = ["ConfigOption", "JsonOption", "ServersOption", "load_settings"]

ConfigOption = Annotated[
    Path | None,
    typer.Option("--config", metavar="FILE", help="Settings in TOML; STREAMGAUGE_* in the environment override them."),
]
ServersOption = Annotated[
    str | None, typer.Option("--bootstrap-servers", metavar="HOST:PORT,...", help="Where Kafka is; overrides settings.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of text.")]


def load_settings(config: Path | None = None, bootstrap_servers: str | None = None) -> Settings:
    """The settings from a file and the environment. Raises: ConfigError."""
    from pydantic import ValidationError
    from pydantic_settings import SettingsError

    from streams.settings import Settings

    where = str(config) if config is not None else "the environment (STREAMGAUGE_*)"
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
        first, *more = error.errors(include_url=False, include_input=False)
        name = ".".join(str(step) for step in first["loc"]) or "settings"
        variable = "STREAMGAUGE_" + "__".join(str(step) for step in first["loc"]).upper()
        where = f"the environment ({variable})" if variable in os.environ else where
        others = f" ({len(more)} more)" if more else ""
        raise ConfigError(f"The setting {name} in {where} is wrong: {first['msg']}{others}.") from error
    if bootstrap_servers is not None:
        settings = settings.model_copy(
            update={"kafka": settings.kafka.model_copy(update={"bootstrap_servers": bootstrap_servers})}
        )
    return settings
