"""A message of a broker."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Message:
    """One message. `packet` is what the broker wants acknowledged, of connection number `connection`; 0 = nothing."""

    payload: bytes
    packet: int
    connection: int

    def __len__(self) -> int:
        return len(self.payload)
