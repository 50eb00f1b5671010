"""The tree of our own errors. Each is one sentence for the person at the keyboard, and what to do next.

StreamgaugeError
├── BrokerError            the embedded Kafka cannot be fetched or started
├── KafkaUnavailableError  a Kafka cannot be reached or refuses us
├── ConfigError            settings are wrong
├── TopicError             a topic is missing or made differently than we need it
├── InputError             a file that should be sent cannot be read
└── InfrastructureError    what every record needs has failed: the worker stops, nothing is acknowledged
"""

from __future__ import annotations

__all__ = [
    "BrokerError",
    "ConfigError",
    "InfrastructureError",
    "InputError",
    "KafkaUnavailableError",
    "StreamgaugeError",
    "TopicError",
]


class StreamgaugeError(Exception):
    """Something that a person can put right.

    message: one sentence that says what is wrong. hint: what to do next.
    """

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} {self.hint}".strip()


class BrokerError(StreamgaugeError):
    """The embedded Kafka cannot be fetched or started."""


class KafkaUnavailableError(StreamgaugeError):
    """A Kafka cannot be reached, or it refuses us."""


class ConfigError(StreamgaugeError):
    """The settings are wrong."""


class TopicError(StreamgaugeError):
    """A topic is missing, or made differently than we need it."""


class InputError(StreamgaugeError):
    """A file that should be sent cannot be read."""


class InfrastructureError(StreamgaugeError):
    """What fails for every record alike, or what every record needs: the worker stops, nothing is acknowledged."""
