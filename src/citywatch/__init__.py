"""citywatch: city events in, rules find what needs a person, people act, history answers questions."""

__version__ = "0.1.0"
