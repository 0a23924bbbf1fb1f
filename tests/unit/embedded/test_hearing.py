"""A live source that cannot be reached, or is silent while others go on, is noticed; a pause is not a silence."""

from __future__ import annotations

from citywatch.engine.embedded.hearing import Hearing, Silence
from citywatch.settings import SECOND


class Line:
    """A connection that a test cuts."""

    def __init__(self) -> None:
        self.cut: str | None = None

    def __call__(self) -> str | None:
        return self.cut


def _looks(hearing: Hearing, begin: int, end: int, *, others: bool = True, step: int = SECOND) -> list[Silence]:
    """What is noticed from one second to another."""
    found = (hearing.look(now * SECOND, others=others) for now in range(begin, end, step // SECOND))
    return [silence for silence in found if silence is not None]


def test_a_short_break_of_the_connection_is_no_silence() -> None:
    line = Line()
    hearing = Hearing("mqtt", 0, trouble=line)
    assert _looks(hearing, 1, 100) == []
    line.cut = "refused"
    assert _looks(hearing, 100, 109) == []
    line.cut = None
    assert _looks(hearing, 109, 200) == []


def test_a_break_is_told_when_it_is_over() -> None:
    line = Line()
    hearing = Hearing("mqtt", 0, trouble=line)
    _looks(hearing, 1, 100)
    line.cut = "refused"
    assert _looks(hearing, 100, 130) == []
    assert hearing.silent == "refused"
    line.cut = None
    assert _looks(hearing, 130, 200) == [Silence("mqtt", 99 * SECOND, 130 * SECOND, "refused", None)]
    assert hearing.silent is None


def test_a_long_break_is_told_while_it_lasts_and_again_when_it_is_over() -> None:
    line = Line()
    hearing = Hearing("mqtt", 0, trouble=line)
    _looks(hearing, 1, 100)
    line.cut = "refused"
    (begun,) = _looks(hearing, 100, 1000, others=False)
    assert begun == Silence("mqtt", 99 * SECOND, None, "refused", None)
    line.cut = None
    (ended,) = _looks(hearing, 1000, 1100)
    assert ended == Silence("mqtt", 99 * SECOND, 1000 * SECOND, "refused", None)


def test_a_source_that_is_out_of_reach_from_the_beginning_is_silent_from_the_beginning() -> None:
    hearing = Hearing("mqtt", 0, trouble=lambda: "not connected yet")
    assert [silence.since for silence in _looks(hearing, 1, 100)] == [0]


def _spoken(hearing: Hearing, *, until: int, every: int, speakers: tuple[str, ...] = ("a", "b")) -> None:
    for second in range(0, until, every):
        hearing.hear(speakers, second * SECOND)
        assert hearing.look(second * SECOND, others=True) is None


def test_several_speakers_that_fall_silent_together_while_others_go_on_are_an_outage() -> None:
    hearing = Hearing("http", 0)
    _spoken(hearing, until=660, every=5)
    (begun,) = _looks(hearing, 661, 900)
    assert (begun.since, begun.until, begun.speakers) == (655 * SECOND, None, frozenset("ab"))
    assert hearing.silent == "nothing comes while others are heard"
    hearing.hear(["a"], 900 * SECOND)
    (ended,) = _looks(hearing, 901, 950)
    assert (ended.since, ended.until) == (655 * SECOND, 901 * SECOND)
    assert hearing.silent is None


def test_one_speaker_that_falls_silent_is_silent_itself() -> None:
    hearing = Hearing("http", 0)
    _spoken(hearing, until=660, every=5, speakers=("a",))
    assert _looks(hearing, 661, 3000) == []


def test_when_all_are_silent_nobody_can_say_that_one_is() -> None:
    hearing = Hearing("http", 0)
    _spoken(hearing, until=660, every=5)
    assert _looks(hearing, 661, 3000, others=False) == []


def test_a_source_that_speaks_seldom_may_pause_as_long_as_it_uses_to() -> None:
    hearing = Hearing("http", 0)
    _spoken(hearing, until=3600, every=300)
    assert _looks(hearing, 3600, 3300 + 900) == []
    assert len(_looks(hearing, 4200, 4300)) == 1


def test_what_is_new_is_not_judged() -> None:
    hearing = Hearing("http", 0)
    _spoken(hearing, until=100, every=5)
    assert _looks(hearing, 101, 590) == []


def test_the_pause_of_an_outage_does_not_make_the_next_one_usual() -> None:
    hearing = Hearing("http", 0)
    _spoken(hearing, until=660, every=5)
    for begin in (661, 1661):
        assert len(_looks(hearing, begin, begin + 900)) == 1
        hearing.hear(["a"], (begin + 900) * SECOND)
        assert len(_looks(hearing, begin + 901, begin + 905)) == 1
        hearing.hear(["a"], (begin + 999) * SECOND)


def test_the_patience_is_that_of_the_lateness() -> None:
    hearing = Hearing("mqtt", 0, 10 * SECOND, lambda: "refused")
    assert [silence.since for silence in _looks(hearing, 1, 12)] == [0]
