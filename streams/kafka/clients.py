"""From our settings to the options of each Kafka client, TLS and SASL included; and whether Kafka can be reached."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import ssl
from collections.abc import AsyncIterator, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from streams.errors import ConfigError, KafkaUnavailableError

if TYPE_CHECKING:
    from aiokafka import AIOKafkaConsumer
    from faust.types.auth import CredentialsT
    from kafka import KafkaAdminClient

    from streams.settings import KafkaSettings

_GOODBYE_SECONDS = 1.0
_going: set[asyncio.Future[None]] = set()

__all__ = [
    "admin_client",
    "aiokafka_options",
    "brief_consumer",
    "check_reachable",
    "faust_broker_credentials",
    "faust_broker_url",
    "kafka_python_options",
    "reach",
    "silenced",
    "ssl_context",
]


def kafka_python_options(settings: KafkaSettings) -> dict[str, Any]:
    """Keyword arguments for every class of kafka-python. Raises: ConfigError."""
    return {"bootstrap_servers": _servers(settings), **_options(settings)}


def aiokafka_options(settings: KafkaSettings) -> dict[str, Any]:
    """Keyword arguments for every class of aiokafka. Raises: ConfigError."""
    return {"bootstrap_servers": _servers(settings), **_options(settings)}


def faust_broker_credentials(settings: KafkaSettings) -> CredentialsT | None:
    """What Faust calls `broker_credentials`. Raises: ConfigError."""
    import faust

    context = ssl_context(settings)
    if settings.security_protocol.startswith("SASL"):
        return faust.SASLCredentials(
            username=settings.sasl_username,
            password=_password(settings),
            mechanism=settings.sasl_mechanism,
            ssl_context=context,
        )
    return None if context is None else faust.SSLCredentials(context=context)


def faust_broker_url(settings: KafkaSettings, scheme: str = "kafka") -> str:
    """The brokers' addresses as Faust takes them: `kafka://a:9092;kafka://b:9092`."""
    return ";".join(f"{scheme}://{server}" for server in _servers(settings))


def ssl_context(settings: KafkaSettings) -> ssl.SSLContext | None:
    """One context for all clients; None where the connection is not encrypted. Raises: ConfigError."""
    if not settings.security_protocol.endswith("SSL"):
        return None
    try:
        context = ssl.create_default_context(cafile=settings.ssl_ca_file)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(
            f"The certificates in {settings.ssl_ca_file} cannot be read: {_reason(error)}.",
            "Set kafka.ssl_ca_file to a file with the CA's certificate in PEM.",
        ) from error
    context.check_hostname = settings.ssl_check_hostname
    if settings.ssl_cert_file is not None:
        try:
            # Without a password of its own OpenSSL would ask at the terminal.
            context.load_cert_chain(settings.ssl_cert_file, settings.ssl_key_file, password=lambda: b"")
        except (OSError, ssl.SSLError) as error:
            raise ConfigError(
                f"The client's certificate {settings.ssl_cert_file} or its key cannot be read: {_reason(error)}.",
                "kafka.ssl_cert_file and kafka.ssl_key_file must be PEM files that belong together, without password.",
            ) from error
    return context


def check_reachable(settings: KafkaSettings, timeout: float = 10.0) -> None:
    """Connect, encrypt and log in as the settings say, without sending anything.

    Raises: KafkaUnavailableError with the cause in one sentence, ConfigError. Clients themselves retry for up to half a
    minute and then name no cause.
    """
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        asyncio.run(reach(settings, timeout))
    else:
        with ThreadPoolExecutor(1) as pool:
            pool.submit(asyncio.run, reach(settings, timeout)).result()


async def reach(settings: KafkaSettings, timeout: float = 10.0) -> None:  # noqa: ASYNC109 -- becomes part of the message
    """`check_reachable` for a running event loop. One broker that lets us in is enough."""
    from aiokafka.conn import AIOKafkaConnection
    from aiokafka.protocol.metadata import MetadataRequest

    options = _options(settings)
    failures: list[KafkaUnavailableError] = []
    with silenced("aiokafka"):
        for server in _servers(settings):
            host, _, port = server.rpartition(":")
            if not host or not port.isdigit():
                raise ConfigError(
                    f"{server!r} is no address of a broker.",
                    "Write bootstrap_servers as host:port, with commas between.",
                )
            connection = AIOKafkaConnection(host.strip("[]"), int(port), **options)
            try:
                async with asyncio.timeout(timeout):
                    await connection.connect()
                    # A broker that wants a login answers the request for its versions without one, but nothing else.
                    await connection.send(MetadataRequest([]))
                return
            except Exception as error:
                failures.append(_explained(error, server, settings, timeout))
            finally:
                with contextlib.suppress(Exception):
                    await asyncio.wait_for(connection.close(), 0.2)
    raise failures[0]


@contextlib.asynccontextmanager
async def brief_consumer(options: Mapping[str, Any], **more: Any) -> AsyncIterator[AIOKafkaConsumer]:
    """aiokafka's consumer for a question or two, outside any group. options: as `aiokafka_options` gives them.

    Over TLS its end can take half a minute, in which asyncio waits for the broker's goodbye; nobody else does.
    """
    from aiokafka import AIOKafkaConsumer

    consumer = AIOKafkaConsumer(**options, enable_auto_commit=False, **more)
    try:
        await consumer.start()
        yield consumer
    finally:
        ending = asyncio.ensure_future(consumer.stop())
        _going.add(ending)
        ending.add_done_callback(_gone)
        await asyncio.wait([ending], timeout=_GOODBYE_SECONDS)


def _gone(ending: asyncio.Future[None]) -> None:
    _going.discard(ending)
    if not ending.cancelled():
        ending.exception()  # a connection that is lost is closed


@contextlib.contextmanager
def admin_client(settings: KafkaSettings, timeout: float = 10.0) -> Iterator[KafkaAdminClient]:
    """kafka-python's admin client, after `check_reachable`. Raises: KafkaUnavailableError, ConfigError."""
    from kafka import KafkaAdminClient
    from kafka.errors import KafkaError

    check_reachable(settings, timeout)
    try:
        admin = KafkaAdminClient(**kafka_python_options(settings), bootstrap_timeout_ms=int(timeout * 1000))
    except KafkaError as error:
        raise KafkaUnavailableError(
            f"Kafka at {settings.bootstrap_servers} lets us in but does not say which brokers it has: {error}.",
            "Check the brokers' advertised.listeners: clients must be able to reach those addresses too.",
        ) from error
    try:
        yield admin
    finally:
        admin.close()


def _servers(settings: KafkaSettings) -> list[str]:
    return [server.strip() for server in settings.bootstrap_servers.split(",") if server.strip()]


def _password(settings: KafkaSettings) -> str | None:
    return None if settings.sasl_password is None else settings.sasl_password.get_secret_value()


def _options(settings: KafkaSettings) -> dict[str, Any]:
    options: dict[str, Any] = {"security_protocol": settings.security_protocol}
    if (context := ssl_context(settings)) is not None:
        options["ssl_context"] = context
    if settings.security_protocol.startswith("SASL"):
        options["sasl_mechanism"] = settings.sasl_mechanism
        options["sasl_plain_username"] = settings.sasl_username
        options["sasl_plain_password"] = _password(settings)
    return options


def _explained(error: BaseException, server: str, settings: KafkaSettings, timeout: float) -> KafkaUnavailableError:
    from aiokafka import errors

    cause = error
    while not isinstance(cause, OSError) and cause.__cause__ is not None:
        cause = cause.__cause__
    protocol = settings.security_protocol
    other = (
        f"kafka.security_protocol is {protocol}: check whether this port of the broker wants another, "
        "and whether it is a broker at all."
    )
    match error, cause:
        case _, ssl.SSLCertVerificationError():
            what, todo = (
                f"The certificate of the Kafka at {server} is not trusted: {cause.verify_message}.",
                "Set kafka.ssl_ca_file to the certificate of the CA that signed it, or name the broker as the "
                "certificate does.",
            )
        case _, ssl.SSLError():
            what, todo = f"{server} does not speak TLS with us: {_reason(cause)}.", other
        case _, socket.gaierror():
            what, todo = (
                f"Kafka cannot be reached: the name in {server} is not known.",
                "Check --bootstrap-servers or kafka.bootstrap_servers.",
            )
        case _, ConnectionRefusedError():
            what, todo = (
                f"Kafka cannot be reached: nothing listens at {server}.",
                "Start it (`streamgauge broker` runs one here), or name another with --bootstrap-servers.",
            )
        case ((TimeoutError() | asyncio.TimeoutError()), _):
            what, todo = f"Kafka cannot be reached: {server} gave no answer within {timeout:g} s.", other
        case ((errors.AuthenticationFailedError() | errors.SaslAuthenticationFailed()), _):
            what, todo = (
                f"Kafka at {server} refuses the user {settings.sasl_username!r}: {_reason(error)}.",
                "Check kafka.sasl_username, kafka.sasl_password and kafka.sasl_mechanism "
                f"(now {settings.sasl_mechanism}).",
            )
        case ((errors.UnsupportedSaslMechanismError() | errors.IllegalSaslStateError()), _):
            what, todo = (
                f"Kafka at {server} does not offer {settings.sasl_mechanism}: {_reason(error)}.",
                "Set kafka.sasl_mechanism and kafka.security_protocol as its listener has them.",
            )
        case _, ConnectionError():
            what, todo = f"{server} closed the connection.", other
        case _:
            what, todo = f"Kafka at {server} cannot be used: {_reason(error)}.", other
    return KafkaUnavailableError(what, todo)


def _reason(error: BaseException) -> str:
    if isinstance(error, OSError) and error.strerror and not isinstance(error, ssl.SSLError):
        return error.strerror
    return str(getattr(error, "reason", None) or error or type(error).__name__).rstrip(".")


@contextlib.contextmanager
def silenced(name: str) -> Iterator[None]:
    """Nothing is logged by this logger meanwhile: what it would say of a failure is in our error already."""
    logger = logging.getLogger(name)
    level = logger.level
    logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        logger.setLevel(level)
