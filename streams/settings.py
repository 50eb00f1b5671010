"""Settings: from the environment (`STREAMGAUGE_*`) or a TOML file. Secrets are masked when printed.

The text below each setting is what docs/settings.md says of it (`streams.settings_page`).
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator
from pydantic_settings import (
    BaseSettings,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

__all__ = ["KafkaSettings", "Settings", "TopicNames"]


class KafkaSettings(BaseModel):
    """How every client that we open reaches Kafka."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    bootstrap_servers: str = "127.0.0.1:9092"
    """The brokers that are asked first, as host:port with commas between."""
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    """Whether connections are encrypted (SSL) and whether we log in (SASL)."""
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = "SCRAM-SHA-512"
    """How we log in, where the protocol is one of SASL."""
    sasl_username: str | None = None
    """Who logs in; needed with SASL."""
    sasl_password: SecretStr | None = None
    """The password that goes with it; needed with SASL, and better kept in the environment than in a file."""
    ssl_ca_file: Path | None = None
    """PEM file of the certificates that a broker's is checked against; without it those that the system trusts."""
    ssl_cert_file: Path | None = None
    """PEM file of our own certificate, where the brokers ask for one."""
    ssl_key_file: Path | None = None
    """PEM file of the key to that certificate, without a password; not needed where the certificate's file has it."""
    ssl_check_hostname: bool = True
    """Whether a broker's certificate must name the host that we connect to."""

    @field_validator("bootstrap_servers")
    @classmethod
    def _names_a_broker(cls, value: str) -> str:
        if not any(server.strip() for server in value.split(",")):
            raise ValueError("bootstrap_servers names no broker; write host:port, with commas between")
        return value

    @model_validator(mode="after")
    def _sasl_is_complete(self) -> KafkaSettings:
        if self.security_protocol.startswith("SASL") and not (self.sasl_username and self.sasl_password):
            raise ValueError(f"{self.security_protocol} needs sasl_username and sasl_password")
        return self


class TopicNames(BaseModel):
    """The topics that we write. `prefix` goes before all of them."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    prefix: str = ""
    """What goes before the name of every topic that we write; the names of source topics stay as they are."""
    findings: str = "quality.findings"
    """Name of the topic of findings."""
    review: str = "quality.review"
    """Name of the topic of repairs that people are to decide on."""
    dead_letters: str = "dead-letters"
    """Name of the topic of records that could not be processed."""
    catalogue: str = "streamgauge.catalogue"
    """Name of the topic of all products, which every worker follows."""
    links: str = "streamgauge.links"
    """Name of the topic of what is said of pairs of products, from which their owner makes links."""
    mapping: str = "products.mapping"
    """Name of the topic that says which offers are one product."""
    golden: str = "products.golden"
    """Name of the topic of golden records."""
    partitions: int = Field(default=4, ge=1)
    """Partitions of topics that we make; of a source's topics as many as the source has, one where order counts."""
    replication: int = Field(default=-1, ge=-1)
    """Replicas of topics that we make; -1 is the broker's default."""

    def named(self, name: str) -> str:
        """The full name of the topic that this object calls `name`: `findings`, `catalogue` ..."""
        return self.prefix + str(getattr(self, name))

    def corrected(self, source_topic: str) -> str:
        """Where the corrected records of a source topic go."""
        return f"{self.prefix}{source_topic}.corrected"

    def written(self, sources: Iterable[str]) -> set[str]:
        """Every topic that a deployment over these sources writes to."""
        texts = (name for name in type(self).model_fields if isinstance(getattr(self, name), str))
        fixed = {self.named(name) for name in texts if name != "prefix"}
        return fixed | {name for source in sources for name in (self.corrected(source), self.rekeyed(source))}

    def rekeyed(self, source_topic: str) -> str:
        """The internal topic that carries the records of a source topic keyed by product."""
        return f"{self.prefix}streamgauge.rekeyed.{source_topic}"


class Settings(BaseSettings):
    """All settings of a worker. Nested ones are written `STREAMGAUGE_KAFKA__BOOTSTRAP_SERVERS` in the environment."""

    model_config = SettingsConfigDict(
        env_prefix="STREAMGAUGE_",
        env_nested_delimiter="__",
        frozen=True,
        extra="forbid",
        validate_default=True,
        use_attribute_docstrings=True,
    )

    kafka: KafkaSettings = KafkaSettings()
    topics: TopicNames = TopicNames()
    app_id: str = "streamgauge"
    """Name of the consumer group: workers of one name share the partitions, and another name reads from the start."""

    products: dict[str, Path | None] = {"products": None}
    """Source topics of products, each with the file of its contract."""
    behaviors: dict[str, Path | None] = {"behaviors": None}
    """Source topics of behaviour events, each with the file of its contract."""
    rekey: Annotated[frozenset[str], NoDecode] = frozenset()
    """Those of the product topics that are not keyed by product; they pass through an internal topic that is."""

    state_dir: Path = Path("~/.local/share/streamgauge")
    """Folder for what a worker keeps and can have again from Kafka, and for what `broker` and `send` keep."""
    cache_dir: Path = Path("~/.cache/streamgauge")
    """Folder for the encoder that was made at first use; workers may share it."""

    encoder: Literal["auto", "static", "transformer"] = "auto"
    """`static` for the CPU, `transformer` for a GPU or for quality; `auto` is the transformer where there is a GPU."""
    encoder_path: Path | None = None
    """Folder of an encoder, such as `streamgauge train encoder` writes; without it one is found or made."""
    allow_download: bool = False
    """Whether the transformer's weights may be fetched from the model hub where its cache has none."""
    anomaly_model: Path | None = None
    """Folder that `streamgauge train anomalies` wrote; without it the rules work alone."""
    matcher_model: Path | None = None
    """Folder that `streamgauge train matcher` wrote, which then decides on duplicates; the same one in all workers."""

    batch_records: int = Field(default=512, ge=1, le=10_000)
    """Most records that are handled at once."""
    batch_inflight: int = Field(default=3, ge=1, le=64)
    """Most batches of a topic whose outputs Kafka has not confirmed yet."""
    batch_retries: int = Field(default=3, ge=0)
    """How often a batch that failed is repeated whole, before the record at fault is looked for."""
    retry_backoff_seconds: float = Field(default=0.2, gt=0)
    """Wait before the first repetition, in seconds; it doubles with each."""
    max_record_bytes: int = Field(default=1_048_576, ge=1024)
    """Largest value of a record, in bytes; a larger one becomes a dead letter."""
    max_nesting: int = Field(default=32, ge=1, le=200)
    """Deepest nesting of objects and lists in a record; a deeper one becomes a dead letter."""
    commit_interval_seconds: float = Field(default=1.0, gt=0)
    """Time between two commits of what is acknowledged, in seconds."""
    session_timeout_seconds: float = Field(default=10.0, gt=0)
    """Time without a sign of life after which Kafka gives a worker's partitions to others, in seconds."""
    broker_gone_seconds: float = Field(default=60.0, gt=0)
    """Time without an answer of Kafka after which a worker stops with exit code 1, in seconds."""
    view_wait_seconds: float = Field(default=120.0, gt=0)
    """Time in which what a worker wrote to the catalogue must come back to it, or it stops, in seconds."""

    neighbours: int = Field(default=24, ge=10, le=200)
    """How many of the nearest products a product is judged against."""
    auto_apply: dict[str, float] = {}
    """By rule, the confidence from which its repairs are applied, over the defaults; above 1 only suggests."""

    metrics_host: str = "127.0.0.1"
    """Address on which metrics and health are served; they have no password."""
    metrics_port: int = Field(default=9464, ge=0, le=65535)
    """Port for them, or the next free one; 0 is any free one."""
    log_format: Literal["auto", "json", "text"] = "auto"
    """`auto` is text on a terminal and JSON elsewhere."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """The least important lines that are logged."""

    kafka_home: Path | None = None
    """Folder of an installed Apache Kafka, which `broker` and `demo` start instead of the one that they fetch."""

    @model_validator(mode="before")
    @classmethod
    def _no_topics_that_nobody_named(cls, values: Any) -> Any:
        """Who names topics of one kind has none of the other, unless they are named too."""
        if isinstance(values, dict) and ("products" in values) != ("behaviors" in values):
            values = {**values, ("behaviors" if "products" in values else "products"): {}}
        return values

    @model_validator(mode="after")
    def _topics_to_re_key_are_read(self) -> Settings:
        unknown = sorted(self.rekey - set(self.products))
        if unknown:
            raise ValueError(f"rekey names {unknown[0]!r}, which is none of the product topics")
        if not self.products and not self.behaviors:
            raise ValueError("neither products nor behaviors names a topic")
        return self

    @model_validator(mode="after")
    def _each_source_has_one_meaning(self) -> Settings:
        twice = sorted(set(self.products) & set(self.behaviors))
        if twice:
            raise ValueError(f"{twice[0]!r} is named under products and under behaviors; it can only be one of both")
        sources = [*self.products, *self.behaviors]
        for ours in self.topics.written(sources):
            if ours in sources:
                raise ValueError(f"{ours!r} is named as a source, and it is a topic that we write ourselves")
        return self

    @field_validator("rekey", mode="before")
    @classmethod
    def _split(cls, value: Any) -> Any:
        return frozenset(v.strip() for v in value.split(",") if v.strip()) if isinstance(value, str) else value

    @field_validator("state_dir", "cache_dir")
    @classmethod
    def _expand(cls, value: Path) -> Path:
        return value.expanduser()

    @classmethod
    def from_file(cls, path: Path | None, **overrides: Any) -> Settings:
        """Settings from a TOML file; the environment overrides it, `overrides` override both.

        Relative paths in the file are taken from its folder, those in the environment from the current one.

        Raises: FileNotFoundError, tomllib.TOMLDecodeError, pydantic.ValidationError.
        """
        if path is None:
            return cls(**overrides)
        if not path.is_file():
            raise FileNotFoundError(path)

        class _WithFile(cls):  # type: ignore[misc, valid-type]  # the file's path is known only now
            @classmethod
            def settings_customise_sources(
                cls, settings_cls: type[BaseSettings], **sources: PydanticBaseSettingsSource
            ) -> tuple[PydanticBaseSettingsSource, ...]:
                toml = _FileSource(settings_cls, toml_file=path)
                return sources["init_settings"], sources["env_settings"], toml

        loaded: Settings = _WithFile(**overrides)
        return cls.model_construct(**{name: getattr(loaded, name) for name in cls.model_fields})


class _FileSource(TomlConfigSettingsSource):
    """A TOML file; whoever reads it may be anywhere, so its relative paths are taken from its own folder."""

    def __call__(self) -> dict[str, Any]:
        assert isinstance(self.toml_file_path, Path)
        placed: dict[str, Any] = _placed(super().__call__(), Settings, self.toml_file_path.parent)
        return placed


def _placed(value: Any, kind: Any, folder: Path) -> Any:
    """A value of a settings file, with the paths in it taken from `folder`. kind: what the value should be."""
    if isinstance(value, dict) and isinstance(kind, type) and issubclass(kind, BaseModel):
        kinds = {name: field.annotation for name, field in kind.model_fields.items()}
        return {name: _placed(entry, kinds.get(name), folder) for name, entry in value.items()}
    if isinstance(value, dict) and get_origin(kind) is dict:
        return {name: _placed(entry, get_args(kind)[1], folder) for name, entry in value.items()}
    if isinstance(value, str) and Path in (kind, *get_args(kind)):
        return folder / os.path.expanduser(value)  # noqa: PTH111 -- Path's own fails where there is no such user
    return value
