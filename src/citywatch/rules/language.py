"""The words of the rule language, as tables: the loader, the JSON Schema and the reference page read them."""

from __future__ import annotations

from dataclasses import dataclass

from citywatch.alert import Level
from citywatch.rules.forms import Exact, Free, Key, Many, Object, Raw, Settable, Single, Span, Table, Text, Truth, Whole
from citywatch.rules.model import CorrelationType, Status

NAME = r"[^\s/](?:[^\n\r\t/]*[^\s/])?"
PARAMETER_NAME = r"[A-Za-z_][A-Za-z0-9_]*"
_UUID = r"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}"
_INSTANT = r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]+)?(?:[Zz]|[+-][0-9]{2}:[0-9]{2})"

OPERATORS = ("gte", "gt", "lte", "lt", "eq", "neq")

_texts = Many(Text(), single=True)
_name = Text(NAME, "a name")
_span = Settable(Span())

CONDITION = Object(
    (
        *(
            Key(name, Settable(Whole()), f"the count must be {words}")
            for name, words in zip(
                OPERATORS,
                ("at least this", "above this", "at most this", "below this", "this", "other than this"),
                strict=True,
            )
        ),
        Key("field", Text(), "field whose distinct values are counted (value_count)"),
    )
)

CORRELATION = Object(
    (
        Key("type", Text(choices=tuple(CorrelationType)), "what is looked for", required=True),
        Key("rules", Many(_name, single=True, least=1), "names of plain rules whose events are the base events"),
        Key("generate", Truth(), "true: the named rules raise their own alerts, too"),
        Key("group-by", Many(Text(), single=True), "fields whose values make the key; none = one key for all"),
        Key("aliases", Table(Table(Text(), called="rule"), called="alias"), "alias: {rule: field} where names differ"),
        Key("timespan", _span, "length of the window: a whole number and s, m, h, d or w", required=True),
        Key("condition", CONDITION, "what the count has to satisfy; several operators must all hold"),
        Key("field", Text(), "field that is compared (new_terms, change)"),
        Key(
            "spike_height",
            Settable(Exact(positive=True)),
            "the window must hold so many times the count of the one before",
        ),
        Key("threshold_cur", Settable(Whole()), "least count in the window (spike; 1)"),
        Key("threshold_ref", Settable(Whole()), "least count in the window before (spike; 1)"),
        Key("max_gap", _span, "longest silence inside a stay (dwell)"),
        Key("max_speed_kmh", Settable(Exact()), "fastest believable speed, kilometres an hour (impossible_travel)"),
        Key("min_distance_km", Settable(Exact()), "shortest distance that counts, kilometres (impossible_travel; 0)"),
    )
)


@dataclass(frozen=True, slots=True)
class Shape:
    """What a correlation type asks for beside type, timespan, group-by, aliases, rules and generate.

    `rules`: least and most named rules, or None where an own logsource serves as well; (0, 0) = none are allowed.
    """

    meaning: str
    required: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()
    rules: tuple[int, int] | None = None


COMMON = ("type", "timespan", "group-by", "aliases", "rules", "generate")

SHAPES: dict[CorrelationType, Shape] = {
    CorrelationType.EVENT_COUNT: Shape("so many events in the window", ("condition",)),
    CorrelationType.VALUE_COUNT: Shape("so many distinct values in the window", ("condition",)),
    CorrelationType.TEMPORAL: Shape("all named rules in one window, in any order", rules=(1, 64)),
    CorrelationType.TEMPORAL_ORDERED: Shape("all named rules in one window, in the order given", rules=(1, 64)),
    CorrelationType.ABSENCE: Shape("the first rule, and not the second within the timespan after", rules=(2, 2)),
    CorrelationType.FLATLINE: Shape("an event, and then none for the timespan"),
    CorrelationType.SPIKE: Shape(
        "many more events than in the window before", ("spike_height",), ("threshold_cur", "threshold_ref")
    ),
    CorrelationType.NEW_TERMS: Shape("a value not seen in the timespan before", ("field",)),
    CorrelationType.CHANGE: Shape("a value other than that of the event before", ("field",)),
    CorrelationType.DWELL: Shape("a state that lasts at least the timespan", ("max_gap",), rules=(0, 0)),
    CorrelationType.IMPOSSIBLE_TRAVEL: Shape(
        "two places too far apart for the time between", ("max_speed_kmh",), ("min_distance_km",)
    ),
}

TEST_EVENT = Object(
    (
        Key("at", Span(zero=True), "when, from the start of the test", required=True),
        Key("tick", Truth(), "true: no event, the clock moves to `at`"),
        Key("received_at", Raw(), "when it is received: from the start of the test, or RFC 3339; default `at`"),
        Key("data", Raw(), "further members of the payload"),
    ),
    rest=Raw(),
)

EXPECTED = Object(
    (
        Key("at", Span(zero=True), "first_seen of the alert, from the start of the test", required=True),
        Key("group", Table(Raw()), "values of the key, those that matter"),
        Key("count", Whole(1), "number of match events"),
    )
)

TEST = Object(
    (
        Key("name", Text(), "what is shown", required=True),
        Key("start", Text(_INSTANT, "an instant as RFC 3339"), "time of `at: 0s`; default 2026-01-05T12:00:00Z"),
        Key("defaults", Table(Raw(), called="field"), "fields of every event of the test"),
        Key("events", Many(TEST_EVENT), "flat events: at, type, source, id and fields", required=True),
        Key("expect", Many(EXPECTED), "the alerts, all of them; [] = none", required=True),
    )
)

RULE = Object(
    (
        Key("title", Text(), "one line for the person who gets the alert", required=True),
        Key("id", Text(_UUID, "a UUID"), "a UUID, for ever; part of every alert's id", required=True),
        Key("name", _name, "short unique name; needed where another rule refers to it; default: that of the file"),
        Key("status", Text(choices=tuple(Status)), "how far the rule is trusted; default experimental"),
        Key("level", Text(choices=tuple(Level)), "how urgent; default medium"),
        Key("description", Text(), "what happens in the world and why it matters"),
        Key(
            "logsource",
            Object((Key("category", Many(Text(), single=True, least=1), "event types", required=True),)),
            "which events; absent = all types",
        ),
        Key("where", Text(called="a SQL predicate"), "SQL predicate over the known fields and data; absent = true"),
        Key("correlation", CORRELATION, "what several events must do together"),
        Key(
            "suppression",
            Object(
                (
                    Key("duration", _span, "matches in the same period of this length are one alert"),
                    Key(
                        "group-by",
                        Many(Text(), single=True),
                        "fields whose values make the key (plain rules); [] = one key",
                    ),
                )
            ),
            "which matches are one alert",
        ),
        Key("params", Table(Single(), PARAMETER_NAME, "parameter"), "numbers and texts used as $name, settable"),
        Key("runbook", Text(), "what to do"),
        Key("falsepositives", _texts, "what looks like it and is not"),
        Key("tags", _texts, "words to find it by"),
        Key("references", _texts, "where to read more"),
        Key("author", Text(), "who wrote it"),
        Key("date", Text(), "when"),
        Key("modified", Text(), "last change"),
        Key("related", Free(), "other rules"),
        Key("license", Text(), "licence of the rule"),
        Key("close_reasons", _texts, "reasons offered when its alerts are closed"),
        Key("tests", Many(TEST), "examples that must hold, or the rule does not load"),
    )
)
