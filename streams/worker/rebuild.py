"""What the catalogue topic says of its rebuilding with another encoder: that it is wanted, and how far it has come."""

from __future__ import annotations

from dataclasses import dataclass

import orjson

__all__ = ["REBUILD_KEY", "Rebuild", "read_rebuild"]

REBUILD_KEY = b"\x00rebuild"  # no identity begins with it


@dataclass(frozen=True, slots=True)
class Rebuild:
    """A wish that every product have a vector of one encoder, and be looked up with it.

    number: 1, 2, 3 ... of the catalogue's rebuilds; the newest is the one that holds. encoder: the name of the encoder
    that is wanted; workers with another one leave the catalogue as it is.
    looked_up, products: how many were looked up again, of how many; None before all have their vector.
    """

    number: int
    encoder: str
    looked_up: int | None = None
    products: int = 0
    done: bool = False

    def encode(self) -> tuple[bytes, bytes]:
        """(key, value) for the catalogue topic."""
        body = {
            "number": self.number,
            "encoder": self.encoder,
            "looked_up": self.looked_up,
            "products": self.products,
            "done": self.done,
        }
        return REBUILD_KEY, orjson.dumps(body)

    def follows(self, known: Rebuild | None) -> bool:
        """Whether this says something newer than `known`: a paused worker may say again what was long ago."""
        return known is None or self._place() >= known._place()

    def _place(self) -> tuple[int, bool, int]:
        return self.number, self.done, -1 if self.looked_up is None else self.looked_up


def read_rebuild(value: bytes) -> Rebuild:
    """What `encode` wrote. Raises: ValueError."""
    try:
        body = orjson.loads(value)
        looked_up = body["looked_up"]
        return Rebuild(
            int(body["number"]),
            str(body["encoder"]),
            None if looked_up is None else int(looked_up),
            int(body["products"]),
            bool(body["done"]),
        )
    except (ValueError, TypeError, KeyError, OverflowError) as error:
        raise ValueError(f"A rebuild of the catalogue does not read: {type(error).__name__} {error}.") from error
