"""A simulated city: seeded, in order, as fast or as slow as is asked for."""
