"""The tables of the desk, as SQLite has them; those on PostgreSQL are made from the same text."""

from __future__ import annotations

from collections.abc import Iterator

VERSION = 8
"""Of the tables below; a desk says which one it has."""

# kinds      the words that many alerts share, and how many alerts there are of each.
# facts      what the engine says. `change` moves an alert to the end of the stream whenever anything about it changes,
#            `raised` only when it wants attention again: born, reopened, back from the shelf. Both come from one
#            ascending series and are given out inside the write lock, so that a reader who kept the highest number
#            it saw misses nothing. `n` counts births: with `notified`, decided at birth, it is the outbox.
# actions    what people do, append-only. states: where that leaves each alert that somebody touched.
# evidence   which alerts rest on an event; filled when the first correction asks (`evidence` in cursors).
_TABLES = """
CREATE TABLE kinds (
  kind INTEGER PRIMARY KEY, rule TEXT NOT NULL, rule_id TEXT NOT NULL, rule_version TEXT NOT NULL,
  title TEXT NOT NULL, level TEXT NOT NULL, status TEXT NOT NULL, alerts INTEGER NOT NULL,
  UNIQUE (rule, rule_id, rule_version, title, level, status)
);
CREATE TABLE facts (
  n INTEGER PRIMARY KEY, id BLOB NOT NULL UNIQUE, kind INTEGER NOT NULL, "group" TEXT, first_seen INTEGER NOT NULL,
  last_seen INTEGER NOT NULL, "count" INTEGER NOT NULL, late BOOLEAN, lat REAL, lon REAL, address TEXT, reason TEXT,
  "values" TEXT, evidence TEXT, inconclusive BOOLEAN, silent BOOLEAN, notified BOOLEAN NOT NULL,
  change INTEGER NOT NULL, raised INTEGER NOT NULL, updated_at INTEGER NOT NULL
);
CREATE INDEX facts_first_seen ON facts (first_seen);
CREATE INDEX facts_change ON facts (change);
CREATE INDEX facts_raised ON facts (raised);
CREATE INDEX facts_kind ON facts (kind, raised);
CREATE INDEX facts_outbox ON facts (notified) WHERE notified;
CREATE TABLE actions (
  seq INTEGER PRIMARY KEY AUTOINCREMENT, fact INTEGER NOT NULL, action TEXT NOT NULL, "by" TEXT NOT NULL,
  channel TEXT NOT NULL, at INTEGER NOT NULL, note TEXT, outcome TEXT, assignee TEXT, until INTEGER, code INTEGER,
  correction_source TEXT, correction_id TEXT, data TEXT, undoes INTEGER, before TEXT, state TEXT NOT NULL
);
CREATE INDEX actions_fact ON actions (fact, seq);
CREATE TABLE states (
  fact INTEGER PRIMARY KEY, state TEXT NOT NULL, outcome TEXT, assignee TEXT, until INTEGER, version INTEGER NOT NULL,
  closed_count INTEGER, reopened BOOLEAN NOT NULL, updated_at INTEGER NOT NULL
);
CREATE INDEX states_state ON states (state, until);
CREATE TABLE corrections (
  source TEXT NOT NULL, id TEXT NOT NULL, time INTEGER NOT NULL, corrects_source TEXT NOT NULL,
  corrects_id TEXT NOT NULL, violation_code INTEGER, undoes TEXT, PRIMARY KEY (source, id)
) WITHOUT ROWID;
CREATE INDEX corrections_event ON corrections (corrects_source, corrects_id);
CREATE TABLE evidence (
  source TEXT NOT NULL, id TEXT NOT NULL, fact INTEGER NOT NULL, PRIMARY KEY (source, id, fact)
) WITHOUT ROWID;
CREATE TABLE inbox (seq INTEGER PRIMARY KEY AUTOINCREMENT, event TEXT NOT NULL, at INTEGER NOT NULL);
CREATE TABLE rejected (
  id TEXT NOT NULL UNIQUE, source TEXT NOT NULL, line INTEGER, reason TEXT NOT NULL, raw BLOB NOT NULL,
  mapping TEXT, first_seen INTEGER NOT NULL, last_seen INTEGER NOT NULL, "count" INTEGER NOT NULL,
  size INTEGER NOT NULL, replayed_at INTEGER
);
CREATE TABLE status (key TEXT PRIMARY KEY, value TEXT NOT NULL, at INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE cursors (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE audit (
  seq INTEGER PRIMARY KEY AUTOINCREMENT, at INTEGER NOT NULL, who TEXT NOT NULL, what TEXT NOT NULL, alert TEXT,
  purpose TEXT
);
"""

# deliveries who is to be told of which alert: one row each, made once, whatever happens afterwards. `held`: it came in
#            quiet hours. `message`: what it was put into, alone or with others; that is fixed before it is sent, so
#            that a repeated message is the same one.
# messages   what is sent, with its tries. targets: how the receivers stand; `until` is when to try again.
_DELIVERIES = """
CREATE TABLE deliveries (
  seq INTEGER PRIMARY KEY, fact INTEGER NOT NULL, target TEXT NOT NULL, route TEXT NOT NULL, urgent BOOLEAN NOT NULL,
  held BOOLEAN NOT NULL, due INTEGER NOT NULL, message INTEGER, UNIQUE (fact, target)
);
CREATE INDEX deliveries_waiting ON deliveries (target, urgent, due) WHERE message IS NULL;
CREATE INDEX deliveries_message ON deliveries (message) WHERE message IS NOT NULL;
CREATE TABLE messages (
  message INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT NOT NULL, target TEXT NOT NULL, kind TEXT NOT NULL,
  urgent BOOLEAN NOT NULL, alerts INTEGER NOT NULL, state TEXT NOT NULL, attempts INTEGER NOT NULL,
  due INTEGER NOT NULL, made INTEGER NOT NULL, at INTEGER NOT NULL, error TEXT
);
CREATE INDEX messages_target ON messages (target, state, at);
CREATE TABLE targets (
  target TEXT PRIMARY KEY, failures INTEGER NOT NULL, until INTEGER NOT NULL, refused BOOLEAN NOT NULL, error TEXT,
  at INTEGER NOT NULL, sent INTEGER NOT NULL, told INTEGER NOT NULL, failed INTEGER NOT NULL, given_up INTEGER NOT NULL
) WITHOUT ROWID;
"""

# audit_subjects which vehicles and persons each read of the audit log showed, as hashes with the key in secrets.
_AUDIT_SUBJECTS = """
CREATE TABLE audit_subjects (digest BLOB NOT NULL, seq INTEGER NOT NULL, PRIMARY KEY (digest, seq)) WITHOUT ROWID;
CREATE INDEX audit_subjects_seq ON audit_subjects (seq);
CREATE TABLE secrets (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
"""

# violations what devices reported with a plate. `code` is theirs, `final` that after corrections; `summons` the number
#            of the ticket that one was issued for. proposals: see there; `version` is a hash of what a person saw.
# decisions  what people said, append-only. batches: tickets that are exported together; `done` when that is finished.
_TICKETS = """
CREATE TABLE violations (
  source TEXT NOT NULL, id TEXT NOT NULL, time INTEGER NOT NULL, plate TEXT NOT NULL, plate_state TEXT, code INTEGER,
  details TEXT NOT NULL, final INTEGER, proposal TEXT, summons INTEGER, PRIMARY KEY (source, id)
) WITHOUT ROWID;
CREATE INDEX violations_offence ON violations (plate, final, time);
CREATE INDEX violations_proposal ON violations (proposal);
CREATE TABLE proposals (
  id TEXT PRIMARY KEY, plate TEXT NOT NULL, plate_state TEXT, code INTEGER NOT NULL, source TEXT NOT NULL,
  event TEXT NOT NULL, time INTEGER NOT NULL, last INTEGER NOT NULL, sightings INTEGER NOT NULL, details TEXT NOT NULL,
  state TEXT NOT NULL, version TEXT NOT NULL, decided_by TEXT, decided_at INTEGER, reason TEXT, batch INTEGER,
  summons INTEGER UNIQUE, made_at INTEGER NOT NULL, updated_at INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX proposals_offence ON proposals (plate, code);
CREATE INDEX proposals_time ON proposals (time, id);
CREATE INDEX proposals_state ON proposals (state, batch, time);
CREATE TABLE decisions (
  seq INTEGER PRIMARY KEY AUTOINCREMENT, proposal TEXT NOT NULL, action TEXT NOT NULL, "by" TEXT NOT NULL,
  channel TEXT NOT NULL, at INTEGER NOT NULL, reason TEXT
);
CREATE INDEX decisions_proposal ON decisions (proposal, seq);
CREATE TABLE batches (
  batch INTEGER PRIMARY KEY, at INTEGER NOT NULL, "by" TEXT NOT NULL, file TEXT NOT NULL, done BOOLEAN NOT NULL
);
"""

# deliveries.told  how the alert stood when the receiver was told last, `closed/corrected/high/outcome`, for those who
#                  follow it: the last word says how closely. Version 5 wrote the first two.
_FOLLOWING = """
ALTER TABLE deliveries ADD COLUMN told TEXT;
"""

# risen      alerts whose level has risen since it was decided who is told of them.
_RISEN = """
CREATE TABLE risen (fact INTEGER PRIMARY KEY);
"""

# So that what is asked of rules and times is answered without the alerts themselves, which are long.
_SEEN = """
DROP INDEX facts_first_seen;
CREATE INDEX facts_first_seen ON facts (first_seen, kind);
"""

# decided    when it was decided who is told of the alerts after number `after` up to `upto`.
_DECIDED = """
CREATE TABLE decided (upto INTEGER PRIMARY KEY, after INTEGER NOT NULL, at INTEGER NOT NULL);
"""

_ADDED = {
    1: _TABLES,
    2: _DELIVERIES,
    3: _AUDIT_SUBJECTS,
    4: _TICKETS,
    5: _FOLLOWING,
    6: _RISEN,
    7: _SEEN,
    8: _DECIDED,
}
"""Version -> the tables that came with it; a desk of an older version gets them when it is opened."""

AUDIT_KEY = "INSERT INTO secrets VALUES ('audit', ?) ON CONFLICT DO NOTHING"
"""Comes with version 3."""


def statements(version: int) -> Iterator[str]:
    """What makes the tables that came with a version, one at a time."""
    return filter(str.strip, _ADDED[version].split(";"))
