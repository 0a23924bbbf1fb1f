"""A simulated city: seeded, in order, as fast or as slow as is asked for."""

from citywatch.sources.simulator.source import open_simulator

__all__ = ["open_simulator"]
