"""The contract's sections 1 to 3 read as brute force: plain Python, quadratic, sharing no code with `citywatch`.

Read it beside the contract, line by line: `events` is section 1, `predicate` and `matches` are section 2, `alerts`
is the part about suppression and section 3. It knows no batches: alerts are a function of events and clock.
"""

from tests.oracle.alerts import Alert, Outcome, evaluate, identity
from tests.oracle.events import Counts, Event, Settings, duration, instant, read

__all__ = ["Alert", "Counts", "Event", "Outcome", "Settings", "duration", "evaluate", "identity", "instant", "read"]
