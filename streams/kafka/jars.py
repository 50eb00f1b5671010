"""Where the embedded Kafka's jars come from: a pinned list, fetched by jgo into Maven's local repository."""

from __future__ import annotations

import gc
import hashlib
import os
import sys
import tempfile
import warnings
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

from streams.errors import BrokerError

if TYPE_CHECKING:
    from jgo.maven import Artifact, MavenContext

__all__ = ["KAFKA_VERSION", "PinnedJar", "classpath", "pinned_jars"]

_NEXT_STEP = (
    "Connect once so that it can be fetched from Maven Central (42 MB), or point STREAMGAUGE_KAFKA_HOME at the folder "
    "of an Apache Kafka 4 that is installed already."
)


@dataclass(frozen=True, slots=True)
class PinnedJar:
    """A jar by its Maven coordinate, `group:artifact:version`, and what it must contain."""

    coordinate: str
    sha256: str


def pinned_jars() -> list[PinnedJar]:
    """Every jar of the embedded Kafka."""
    lines = files("streams.kafka").joinpath("jars.txt").read_text(encoding="ascii").splitlines()
    return [PinnedJar(*line.split()) for line in lines if line and not line.startswith("#")]


KAFKA_VERSION = next(jar.coordinate.rpartition(":")[2] for jar in pinned_jars() if ":kafka_2.13:" in jar.coordinate)


def classpath(kafka_home: Path | None = None) -> list[Path]:
    """The jars to start Kafka with; those that are missing are fetched, with progress on standard error.

    kafka_home: an installation that exists already; its jars are used and nothing is fetched.

    Raises: BrokerError.
    """
    if kafka_home is not None:
        installed = sorted(kafka_home.expanduser().glob("libs/*.jar"))
        if not any(jar.name.startswith("kafka_") for jar in installed):
            raise BrokerError(
                f"There is no Apache Kafka in {kafka_home}: it has no libs/kafka_*.jar.",
                "Set kafka_home to the folder that was unpacked from Kafka's archive, or leave it unset.",
            )
        return installed
    jars = pinned_jars()
    context = _context()
    found = [_in_repository(context, jar) for jar in jars]
    missing = [jar for jar, path in zip(jars, found, strict=True) if path is None]
    if missing:
        _fetch(missing)
        found = [_in_repository(context, jar) for jar in jars]
    return [path for path in found if path is not None]


def _context(repository: Path | None = None) -> MavenContext:
    from jgo.config import GlobalSettings
    from jgo.constants import MAVEN_CENTRAL_URL
    from jgo.maven import MavenContext

    settings = GlobalSettings.load()
    if repository is None and "M2_REPO" not in os.environ:
        repository = settings.repo_cache
    return MavenContext(
        repo_cache=repository, remote_repos={**settings.repositories, "central": MAVEN_CENTRAL_URL}, timeout=30
    )


def _artifact(context: MavenContext, jar: PinnedJar) -> Artifact:
    artifact: Artifact = context.create_dependency(jar.coordinate).artifact
    return artifact


def _in_repository(context: MavenContext, jar: PinnedJar) -> Path | None:
    path: Path | None = _artifact(context, jar).cached_path
    return path if path is not None and path.is_file() and _is_whole(path, jar) else None


def _is_whole(path: Path, jar: PinnedJar) -> bool:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() == jar.sha256


def _fetch(jars: list[PinnedJar]) -> None:
    """jgo leaves the sockets of its downloads to the garbage collector, which warns of them wherever it then runs."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        try:
            _fetch_all(jars)
        finally:
            gc.collect()


def _fetch_all(jars: list[PinnedJar]) -> None:
    """Into a folder of our own first: two processes may do this at once, and either may be stopped half-way."""
    import requests

    repository = _context().repo_cache
    try:
        repository.mkdir(parents=True, exist_ok=True)
        with (
            tempfile.TemporaryDirectory(prefix=".streamgauge-", dir=repository) as folder,
            ThreadPoolExecutor(8) as pool,
        ):
            context = _context(Path(folder))
            _tell(0, len(jars))
            fetches = [pool.submit(_fetch_one, context, jar, repository) for jar in jars]
            try:
                for done, fetch in enumerate(as_completed(fetches), start=1):
                    fetch.result()
                    _tell(done, len(jars))
            except BaseException:
                pool.shutdown(wait=True, cancel_futures=True)
                if sys.stderr.isatty():
                    sys.stderr.write("\n")
                raise
    except requests.RequestException as error:
        what = f"Apache Kafka {KAFKA_VERSION} is not on this machine yet and the network cannot be reached"
        raise BrokerError(f"{what} ({type(error).__name__}).", _NEXT_STEP) from error
    except RuntimeError as error:  # what jgo raises for a file that no repository has
        what = f"Apache Kafka {KAFKA_VERSION} is not on this machine yet and no repository gives all of it"
        raise BrokerError(f"{what}.", _NEXT_STEP) from error
    except OSError as error:
        raise BrokerError(
            f"Apache Kafka cannot be stored in {repository}: {error.strerror}.",
            "Make room there or set M2_REPO to a folder that can be written.",
        ) from error


def _fetch_one(context: MavenContext, jar: PinnedJar, repository: Path) -> None:
    path: Path = _artifact(context, jar).resolve()
    if not _is_whole(path, jar):
        raise BrokerError(
            f"The file fetched for {jar.coordinate} is not the one that is expected (its SHA-256 differs).",
            "Try again; if it stays so, a proxy or mirror on the way changes files.",
        )
    target = repository / path.relative_to(context.repo_cache)
    target.parent.mkdir(parents=True, exist_ok=True)
    path.replace(target)


def _tell(done: int, of: int) -> None:
    message = f"Fetching Apache Kafka {KAFKA_VERSION}: {done} of {of} files"
    if sys.stderr.isatty():
        sys.stderr.write(f"\r{message}" + ("\n" if done == of else ""))
    elif done in (0, of):
        sys.stderr.write(message + "\n")
    sys.stderr.flush()
