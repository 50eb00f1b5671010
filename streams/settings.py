"""Settings: from the environment (`STREAMGAUGE_*`) or a TOML file. Secrets are masked when printed."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal

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

    model_config = ConfigDict(frozen=True, extra="forbid")

    bootstrap_servers: str = "127.0.0.1:9092"
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = "SCRAM-SHA-512"
    sasl_username: str | None = None
    sasl_password: SecretStr | None = None
    ssl_ca_file: Path | None = None
    ssl_cert_file: Path | None = None
    ssl_key_file: Path | None = None
    ssl_check_hostname: bool = True

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

    model_config = ConfigDict(frozen=True, extra="forbid")

    prefix: str = ""
    findings: str = "quality.findings"
    review: str = "quality.review"
    dead_letters: str = "dead-letters"
    catalogue: str = "streamgauge.catalogue"
    links: str = "streamgauge.links"
    mapping: str = "products.mapping"
    golden: str = "products.golden"
    partitions: int = Field(default=4, ge=1)
    replication: int = Field(default=-1, ge=-1)

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
    )

    kafka: KafkaSettings = KafkaSettings()
    topics: TopicNames = TopicNames()
    app_id: str = "streamgauge"

    # Source topics, each with its contract: {"products": "contracts/products.yaml"}. Empty: the sample contracts.
    products: dict[str, Path | None] = {"products": None}
    behaviors: dict[str, Path | None] = {"behaviors": None}
    rekey: Annotated[frozenset[str], NoDecode] = frozenset()  # source topics not keyed by product: re-key them

    state_dir: Path = Path("~/.local/share/streamgauge")
    cache_dir: Path = Path("~/.cache/streamgauge")

    # encoder: "static" (CPU), "transformer" (GPU, quality), or "auto": transformer where there is a GPU
    encoder: Literal["auto", "static", "transformer"] = "auto"
    encoder_path: Path | None = None
    allow_download: bool = False
    anomaly_model: Path | None = None
    matcher_model: Path | None = None  # decides on duplicates; the same one in all workers

    # micro-batches
    batch_records: int = Field(default=512, ge=1, le=10_000)
    batch_inflight: int = Field(default=3, ge=1, le=64)
    batch_retries: int = Field(default=3, ge=0)
    retry_backoff_seconds: float = Field(default=0.2, gt=0)
    max_record_bytes: int = Field(default=1_048_576, ge=1024)
    max_nesting: int = Field(default=32, ge=1, le=200)
    commit_interval_seconds: float = Field(default=1.0, gt=0)
    session_timeout_seconds: float = Field(default=10.0, gt=0)
    broker_gone_seconds: float = Field(default=60.0, gt=0)
    view_wait_seconds: float = Field(default=120.0, gt=0)

    neighbours: int = Field(default=24, ge=10, le=200)
    auto_apply: dict[str, float] = {}  # per rule: the confidence from which a repair is applied; beside the defaults

    # what listens
    metrics_host: str = "127.0.0.1"
    metrics_port: int = Field(default=9464, ge=0, le=65535)
    log_format: Literal["auto", "json", "text"] = "auto"
    log_level: Literal["debug", "info", "warning", "error"] = "info"

    # the embedded Kafka
    kafka_home: Path | None = None  # an installation that exists already, used instead of the fetched one

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
                toml = TomlConfigSettingsSource(settings_cls, toml_file=path)
                return sources["init_settings"], sources["env_settings"], toml

        loaded: Settings = _WithFile(**overrides)
        return cls.model_construct(**{name: getattr(loaded, name) for name in cls.model_fields})
