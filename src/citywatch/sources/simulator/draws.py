"""Random numbers that are a function of what they are for, not of what was drawn before.

A number is the hash of (seed, stream, number of the event, purpose). So any event can be made at any time, alone or
among a million others, and is always the same: batches, restarts and the order of generation change nothing.
"""

from __future__ import annotations

import hashlib
from functools import cache

import numpy as np
from numpy.typing import NDArray

Integers = NDArray[np.int64]
Floats = NDArray[np.float64]
Bits = NDArray[np.uint64]

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_FIRST = np.uint64(0xBF58476D1CE4E5B9)
_SECOND = np.uint64(0x94D049BB133111EB)


class Draws:
    """The random numbers of one stream of events."""

    def __init__(self, seed: int, stream: str) -> None:
        self._prefix = f"{seed}/{stream}/"

    def bits(self, numbers: Integers, purpose: str) -> Bits:
        """64 random bits for each number (the finaliser of SplitMix64)."""
        x = numbers.astype(np.uint64)
        x *= _GOLDEN
        x += _salt(self._prefix + purpose)
        x ^= x >> np.uint64(30)
        x *= _FIRST
        x ^= x >> np.uint64(27)
        x *= _SECOND
        x ^= x >> np.uint64(31)
        return x

    def unit(self, numbers: Integers, purpose: str) -> Floats:
        """A float in [0, 1) for each number."""
        return (self.bits(numbers, purpose) >> np.uint64(11)).astype(np.float64) * 2.0**-53

    def below(self, numbers: Integers, limit: int, purpose: str) -> Integers:
        """An integer in [0, limit) for each number; limit up to 2**31."""
        high = self.bits(numbers, purpose) >> np.uint64(32)
        return ((high * np.uint64(limit)) >> np.uint64(32)).astype(np.int64)

    def chosen(self, numbers: Integers, weights: tuple[float, ...], purpose: str) -> Integers:
        """An index into `weights` for each number, as often as its weight says."""
        edges = np.cumsum(weights) / sum(weights)
        return np.minimum(np.searchsorted(edges, self.unit(numbers, purpose), side="right"), len(weights) - 1)


@cache
def _salt(text: str) -> np.uint64:
    return np.uint64(int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little"))
