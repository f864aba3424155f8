"""What is to be told, what was told, and how far events have been read: one SQLite file in the home.

An alert and the reading position behind it are written in one transaction, and delivered from here. So a kill
between reading and telling loses nothing, and a restart tells nothing again. A kill between a channel's "accepted"
and the note of it sends that one message twice, under the same id.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from pdx_assets.alerts.model import Alert, Resolved

MAX_ATTEMPTS = 30
FIRST_PAUSE, LONGEST_PAUSE = 60.0, 3600.0  # seconds; thirty attempts take 25 hours
# A claimed delivery whose process was killed is due again after this.
LEASE = 300.0

_TABLES = """
CREATE TABLE IF NOT EXISTS begun (at REAL NOT NULL);
CREATE TABLE IF NOT EXISTS positions (source TEXT PRIMARY KEY, cursor INTEGER NOT NULL, anchor REAL);
CREATE TABLE IF NOT EXISTS seen (key TEXT PRIMARY KEY);
CREATE TABLE IF NOT EXISTS alerts (
    key TEXT PRIMARY KEY, topic TEXT, words_sha256 TEXT NOT NULL, occurred REAL NOT NULL,
    resolved INTEGER NOT NULL DEFAULT 0, body TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS alerts_by_topic ON alerts (topic);
CREATE TABLE IF NOT EXISTS deliveries (
    key TEXT NOT NULL, channel TEXT NOT NULL, state TEXT NOT NULL, attempts INTEGER NOT NULL,
    due REAL NOT NULL, error TEXT, PRIMARY KEY (key, channel)
);
CREATE INDEX IF NOT EXISTS deliveries_due ON deliveries (channel, state, due);
"""


@dataclass(frozen=True)
class Position:
    """How far a source has been read: the last event's id, and its time, which tells whether it is still that event."""

    cursor: int = -1
    anchor: float | None = None


@dataclass(frozen=True)
class Due:
    """An alert claimed for a channel; ``attempts`` counts this one."""

    alert: Alert
    attempts: int


class Outbox:
    """Safe to use from several processes at once.

    Args:
        clock: seconds since 1970.
    """

    def __init__(self, path: Path, clock: Callable[[], float] = time.time) -> None:
        self._path, self._clock, self._is_made = path, clock, False

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        connection = sqlite3.connect(self._path, timeout=30, isolation_level=None)
        try:
            if not self._is_made:
                connection.executescript(_TABLES)
                self._is_made = True
            connection.execute("BEGIN IMMEDIATE")
            yield connection
            connection.execute("COMMIT")
        finally:
            # Without a COMMIT, closing undoes what was begun.
            connection.close()

    # --- reading --------------------------------------------------------------------------------

    def begin(self, old: Callable[[], Iterable[str]]) -> float:
        """When alerts were first on in this home; events from before are not told.

        Args:
            old: keys of what was there before, asked for the first time only.
        """
        with self._transaction() as db:
            row = db.execute("SELECT at FROM begun").fetchone()
            if row is None:
                row = (self._clock(),)
                db.executemany("INSERT OR IGNORE INTO seen VALUES (?)", [(key,) for key in old()])
                db.execute("INSERT INTO begun VALUES (?)", row)
            return float(row[0])

    def position(self, source: str) -> Position:
        with self._transaction() as db:
            row = db.execute("SELECT cursor, anchor FROM positions WHERE source = ?", (source,)).fetchone()
        return Position(*row) if row else Position()

    def unseen(self, keys: Sequence[str]) -> list[str]:
        """Those of the keys that were never posted, in their order."""
        with self._transaction() as db:
            return [k for k in keys if not db.execute("SELECT 1 FROM seen WHERE key = ?", (k,)).fetchone()]

    def post(
        self,
        events: Iterable[Alert | Resolved],
        *,
        channels: Sequence[str],
        seen: Iterable[str] = (),
        moved: tuple[str, Position] | None = None,
    ) -> int:
        """Take alerts in, each once, in the order they happened; how many are to be told.

        Args:
            channels: who is told of these.
            seen: keys that need no alert and need not be looked at again.
            moved: a source and its new position, written with them or not at all.
        """
        with self._transaction() as db:
            told = sum(self._take(db, event, channels) for event in events)
            db.executemany("INSERT OR IGNORE INTO seen VALUES (?)", [(key,) for key in seen])
            if moved:
                source, position = moved
                db.execute(
                    "INSERT OR REPLACE INTO positions VALUES (?, ?, ?)", (source, position.cursor, position.anchor)
                )
        return told

    def _take(self, db: sqlite3.Connection, event: Alert | Resolved, channels: Sequence[str]) -> bool:
        if isinstance(event, Resolved):
            db.execute("UPDATE alerts SET resolved = 1 WHERE topic = ? AND occurred < ?", (event.topic, event.occurred))
            return False
        if not db.execute("INSERT OR IGNORE INTO seen VALUES (?)", (event.key,)).rowcount:
            return False
        standing = "SELECT 1 FROM alerts WHERE topic = ? AND words_sha256 = ? AND NOT resolved"
        if event.topic and db.execute(standing, (event.topic, event.words_sha256)).fetchone():
            return False
        row = (event.key, event.topic, event.words_sha256, event.occurred, json.dumps(asdict(event)))
        db.execute("INSERT INTO alerts (key, topic, words_sha256, occurred, body) VALUES (?, ?, ?, ?, ?)", row)
        db.executemany(
            "INSERT INTO deliveries VALUES (?, ?, 'waiting', 0, ?, NULL)",
            [(event.key, channel, self._clock()) for channel in channels],
        )
        return True

    # --- telling --------------------------------------------------------------------------------

    def claim(self, channel: str, limit: int) -> list[Due]:
        """Alerts due on a channel, those never tried first; nobody else gets them while this process lives."""
        now = self._clock()
        with self._transaction() as db:
            rows = db.execute(
                "SELECT d.key, d.attempts, a.body FROM deliveries d JOIN alerts a USING (key) "
                "WHERE channel = ? AND state = 'waiting' AND due <= ? ORDER BY attempts, occurred, a.rowid LIMIT ?",
                (channel, now, limit),
            ).fetchall()
            db.executemany(
                "UPDATE deliveries SET attempts = attempts + 1, due = ? WHERE key = ? AND channel = ?",
                [(now + LEASE, key, channel) for key, _, _ in rows],
            )
        return [Due(Alert(**json.loads(body)), attempts + 1) for _, attempts, body in rows]

    def sent(self, channel: str, due: Sequence[Due]) -> None:
        with self._transaction() as db:
            db.executemany(
                "UPDATE deliveries SET state = 'sent', error = NULL WHERE key = ? AND channel = ?",
                [(d.alert.key, channel) for d in due],
            )

    def failed(self, channel: str, due: Sequence[Due], error: str) -> int:
        """Try again later, with growing pauses; how many are given up, since they were tried often enough."""
        now = self._clock()
        with self._transaction() as db:
            for d in due:
                pause = min(FIRST_PAUSE * 2 ** (d.attempts - 1), LONGEST_PAUSE)
                state = "given_up" if d.attempts >= MAX_ATTEMPTS else "waiting"
                db.execute(
                    "UPDATE deliveries SET state = ?, due = ?, error = ? WHERE key = ? AND channel = ?",
                    (state, now + pause, error, d.alert.key, channel),
                )
        return sum(d.attempts >= MAX_ATTEMPTS for d in due)

    def put_back(self, channel: str, due: Sequence[Due], *, pause: float) -> None:
        """Not tried after all: due again after a pause, as if never claimed."""
        now = self._clock()
        with self._transaction() as db:
            db.executemany(
                "UPDATE deliveries SET attempts = attempts - 1, due = ? WHERE key = ? AND channel = ?",
                [(now + pause, d.alert.key, channel) for d in due],
            )
