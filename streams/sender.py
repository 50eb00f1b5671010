"""Rows of files into a topic: keyed, confirmed, resumable."""

from __future__ import annotations

import hashlib
import time
from collections import deque
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from detectors.contract.key import KeyTemplate
from detectors.contract.model import Role
from detectors.decode import identifier
from streams.errors import InputError

if TYPE_CHECKING:
    from detectors.contract.model import Contract
    from streams.files import Row

__all__ = ["Bookmark", "Sender", "Sent", "header_source", "keys_from_columns", "keys_from_contract"]

_IN_FLIGHT = 20_000  # rows that are sent and not yet confirmed
_ROLES = {
    "source": Role.SOURCE,
    "id": Role.ID,
    "event_id": Role.EVENT_ID,
    "user": Role.USER,
    "session": Role.SESSION,
    "product": Role.PRODUCT,
}

KeyOf = Callable[[Mapping[str, Any]], bytes | None]


@dataclass(slots=True)
class Sent:
    """What became of the rows. as_text: those sent as the text they are. refused: row number to Kafka's reason."""

    rows: int = 0
    as_text: int = 0
    without_key: int = 0
    refused: dict[int, str] = field(default_factory=dict)


def keys_from_columns(template: str) -> KeyOf:
    """Keys by a template over the names of columns, such as `{shop}/{sku}`. Raises: InputError."""
    keys = KeyTemplate(template)
    problem = keys.problem(frozenset(keys.names) or frozenset({"column"}))
    if problem:
        raise InputError(f"This is no key: {problem}.")
    key_of = _keys(keys, {name: (name, frozenset()) for name in keys.names}, {})
    first = True

    def checked(fields: Mapping[str, Any]) -> bytes | None:
        nonlocal first
        missing = next((name for name in keys.names if name not in fields), None) if first else None
        if missing is not None:
            raise InputError(
                f"The key {template} names the column {missing!r}, which the data has not.",
                f"Its columns are: {', '.join(fields)}.",
            )
        first = False
        return key_of(fields)

    return checked


def keys_from_contract(contract: Contract, file_source: str) -> KeyOf:
    """Keys as a contract says; `file_source` is the source where neither a column nor the contract names one."""
    columns: dict[str, tuple[str, Collection[str]]] = {}
    fixed = {} if contract.column_of(Role.SOURCE) else {"source": contract.source or file_source}
    for name, role in _ROLES.items():
        column = contract.roles.get(role)
        if column is not None:
            columns[name] = column.name, column.missing
    return _keys(KeyTemplate(contract.key), columns, fixed)


def _keys(template: KeyTemplate, columns: Mapping[str, tuple[str, Collection[str]]], fixed: Mapping[str, str]) -> KeyOf:
    """columns: of each name in the template the column, and what means "not known" there."""
    needed = [(name, *columns.get(name, (None, ()))) for name in template.names]

    def key_of(fields: Mapping[str, Any]) -> bytes | None:
        values = {}
        for name, column, missing in needed:
            # As the worker reads it: of 552, "552 " and 552.0 one product is made, which must have one key.
            value = identifier(fixed.get(name) if column is None else fields.get(column), missing)
            if not value:
                return None
            values[name] = value
        return template.make(values).encode()

    return key_of


def header_source(contract: Contract | None, file_source: str) -> str | None:
    """What the header `source` should say: nothing where a column or the contract names the source."""
    if contract is not None and (contract.source or contract.column_of(Role.SOURCE)):
        return None
    return file_source


class Bookmark:
    """How far a file was sent to a topic: rows confirmed, and what tells whether it is still the same file."""

    def __init__(self, folder: Path, path: Path, topic: str, servers: str) -> None:
        name = hashlib.sha256(f"{path.resolve()}\0{topic}\0{servers}".encode()).hexdigest()[:24]
        self._state = folder / f"{name}.json"
        self._path = path
        self._topic = topic

    def rows(self) -> int:
        """Rows that were confirmed before. Raises: InputError where the file is another one now."""
        try:
            state = orjson.loads(self._state.read_bytes())
            beginning, digest, rows = int(state["beginning"]), str(state["sha256"]), int(state["rows"])
        except FileNotFoundError:
            return 0
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InputError(
                f"What was remembered of sending {self._path} cannot be read ({self._state}).",
                "Send it without --resume: all rows are sent again.",
            ) from error
        if self._digest(beginning) != digest:
            raise InputError(
                f"{self._path} is not the file that was sent to {self._topic} before: its beginning has changed.",
                "Send it without --resume.",
            )
        return rows

    def keep(self, rows: int) -> None:
        """Remember that this many rows are confirmed. Raises: InputError."""
        beginning = min(65_536, self._path.stat().st_size)
        state = {"file": str(self._path.resolve()), "topic": self._topic, "rows": rows,
                 "beginning": beginning, "sha256": self._digest(beginning)}  # fmt: skip
        try:
            self._state.parent.mkdir(parents=True, exist_ok=True)
            temporary = self._state.with_suffix(".new")
            temporary.write_bytes(orjson.dumps(state))
            temporary.replace(self._state)
        except OSError as error:
            raise InputError(
                f"How far {self._path} was sent cannot be remembered in {self._state.parent}: {error.strerror}.",
                "Set state_dir to a folder that can be written.",
            ) from error

    def _digest(self, beginning: int) -> str:
        with self._path.open("rb") as file:
            return hashlib.sha256(file.read(beginning)).hexdigest()


class Sender:
    """Sends rows in order and knows which of them are confirmed.

    options: of kafka-python's producer. largest: bytes that the topic takes in one record; a larger one must not reach
    Kafka, because kafka-python 3.0 fails every record in flight with it. rate: rows a second, None for as many as
    possible.
    on_progress: called with the rows confirmed so far, several times a second.

    A context manager; not safe for threads.
    """

    def __init__(
        self,
        topic: str,
        options: Mapping[str, Any],
        *,
        largest: int = 1_048_588,
        rate: float | None = None,
        on_progress: Callable[[int], None] = lambda rows: None,
    ) -> None:
        from kafka import KafkaProducer

        self._topic = topic
        self._rate = rate
        self._on_progress = on_progress
        self._producer = KafkaProducer(
            **options, acks="all", linger_ms=20, batch_size=262_144, max_request_size=largest
        )

    def __enter__(self) -> Sender:
        return self

    def __exit__(self, *_: object) -> None:
        self._producer.close(timeout=5)

    def send(
        self,
        rows: Iterable[Row],
        key_of: KeyOf | None,
        source: str | None,
        *,
        limit: int | None = None,
        on_confirmed: Callable[[int], None] = lambda row: None,
    ) -> Sent:
        """Send these rows; returns when all of them are confirmed or refused.

        on_confirmed: called with the number of the last row of which all before it are done too, about once a second
        and at the end, also when the sending is broken off. A row that is too large is refused and the rest goes on.

        Raises: InputError where Kafka takes no rows.
        """
        result = Sent()
        headers = [("source", source.encode())] if source is not None else []
        waiting: deque[tuple[int, Any]] = deque()
        confirmed = 0
        started = reported = kept = time.monotonic()

        def settle(most: int) -> None:
            """Look at the oldest rows; wait only while more than `most` are in flight."""
            nonlocal confirmed
            while waiting and (len(waiting) > most or waiting[0][1].is_done):
                number, future = waiting[0]
                self._outcome(number, future, result)
                waiting.popleft()
                confirmed = number

        try:
            for row in islice(rows, limit):
                key = None if row.fields is None or key_of is None else key_of(row.fields)
                waiting.append((row.number, self._send(row.value, key, headers)))
                result.rows += 1
                result.as_text += row.fields is None
                result.without_key += key is None
                if result.rows % 256 == 0 or self._rate is not None:
                    settle(_IN_FLIGHT)
                    now = time.monotonic()
                    if now - reported > 0.1:
                        self._on_progress(result.rows)
                        reported = now
                    if now - kept > 1 and confirmed:
                        on_confirmed(confirmed)
                        kept = now
                if self._rate is not None:
                    ahead = result.rows / self._rate - (time.monotonic() - started)
                    if ahead > 0.005:
                        time.sleep(ahead)
            settle(0)
        except KeyboardInterrupt:
            self._producer.flush(5)
            settle(len(waiting))
            raise
        finally:
            if confirmed:
                on_confirmed(confirmed)
            self._on_progress(result.rows)
        return result

    def _send(self, value: bytes, key: bytes | None, headers: list[tuple[str, bytes]]) -> Any:
        from kafka.errors import KafkaError

        try:
            return self._producer.send(self._topic, value=value, key=key, headers=headers)
        except KafkaError as error:
            return _NotSent(error)

    def _outcome(self, number: int, future: Any, result: Sent) -> None:
        from kafka import errors

        try:
            future.get(timeout=60)
        except errors.MessageSizeTooLargeError as error:
            if isinstance(future, _NotSent):
                result.refused[number] = "it is larger than the topic takes (max.message.bytes)"
                return
            raise InputError(
                f"Kafka refuses row {number} or one sent with it: it is larger than {self._topic} takes.",
                "Raise the topic's max.message.bytes.",
            ) from error
        except errors.InvalidRecordError as error:
            # What was sent after it is lost with the producer: kafka-python 3.0 fails all later sends.
            raise InputError(
                f"Kafka refuses row {number}: {self._topic} is compacted and takes no records without a key.",
                "Name the columns that make the key with --contract or --key.",
            ) from error
        except errors.KafkaError as error:
            raise InputError(
                f"Kafka did not confirm row {number} for {self._topic}: {type(error).__name__}.",
                "When Kafka answers again (`streamgauge doctor`), go on with --resume.",
            ) from error


class _NotSent:
    """The future of a row that the producer refused by itself."""

    is_done = True

    def __init__(self, error: Exception) -> None:
        self._error = error

    def get(self, timeout: float) -> None:
        raise self._error
