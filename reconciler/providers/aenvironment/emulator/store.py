"""What is stored: one table for everything, one for what lists that lag still show, one for troubles.

A record is the text of one object; what it means belongs to its kind's room.
"""

from __future__ import annotations

import sqlite3
from typing import Final, Literal, TypeVar

from reconciler.providers.emulator import LONGEST_LAG, Call, Store

T = TypeVar("T")


FORMAT: Final = 1


SCHEMA: Final = (
    "CREATE TABLE aenv_setting (name TEXT PRIMARY KEY, value TEXT NOT NULL)",
    """CREATE TABLE aenv_record (
        kind TEXT NOT NULL, key TEXT NOT NULL, since INTEGER NOT NULL, damaged INTEGER NOT NULL,
        text BLOB NOT NULL, PRIMARY KEY (kind, key)) WITHOUT ROWID""",
    """CREATE TABLE aenv_past (
        kind TEXT NOT NULL, key TEXT NOT NULL, since INTEGER NOT NULL, damaged INTEGER NOT NULL,
        text BLOB NOT NULL, until INTEGER NOT NULL)""",
    "CREATE INDEX aenv_past_until ON aenv_past (until)",
)


Kind = Literal["environment", "archive", "instance", "service", "volume"]


def find(db: sqlite3.Connection, kind: Kind, key: str) -> bytes | None:
    """The text of a record, None when there is none that can be read."""
    found = db.execute(
        "SELECT text FROM aenv_record WHERE kind = ? AND key = ? AND NOT damaged", (kind, key)
    ).fetchone()
    return None if found is None else bytes(found[0])


def keep(db: sqlite3.Connection, kind: Kind, key: str, text: bytes, moment: int) -> None:
    """Store a record, instead of the one with this key."""
    _keep_past(db, kind, key, moment)
    db.execute("INSERT OR REPLACE INTO aenv_record VALUES (?, ?, ?, 0, ?)", (kind, key, moment, text))


def drop(db: sqlite3.Connection, kind: Kind, key: str, moment: int) -> None:
    """Forget a record, if there is one."""
    _keep_past(db, kind, key, moment)
    db.execute("DELETE FROM aenv_record WHERE kind = ? AND key = ?", (kind, key))


def _keep_past(db: sqlite3.Connection, kind: Kind, key: str, moment: int) -> None:
    db.execute(
        "INSERT INTO aenv_past SELECT *, ? FROM aenv_record WHERE kind = ? AND key = ?", (moment, kind, key)
    )
    db.execute("DELETE FROM aenv_past WHERE until < ?", (moment - int(LONGEST_LAG * 1_000_000),))


def texts(db: sqlite3.Connection, kind: Kind, call: Call, moment: int) -> list[bytes]:
    """The texts of all records of a kind that can be read, by key; as old as a fault wants them."""
    if not call.lag:
        found = db.execute(
            "SELECT text FROM aenv_record WHERE kind = ? AND NOT damaged ORDER BY key", (kind,)
        ).fetchall()
    else:
        seen = moment - int(call.lag * 1_000_000)
        found = db.execute(
            "SELECT text, key FROM aenv_record WHERE kind = :kind AND since <= :seen AND NOT damaged"
            " UNION ALL SELECT text, key FROM aenv_past"
            " WHERE kind = :kind AND since <= :seen AND until > :seen AND NOT damaged ORDER BY key",
            {"kind": kind, "seen": seen},
        ).fetchall()
    return [bytes(row[0]) for row in found]


def shown(entries: list[T], call: Call) -> list[T]:
    """What a list shows of its entries: all of them, unless a fault hides the last."""
    return entries[: max(0, len(entries) - call.hide)]


# --- troubles: what a real store does now and then; in the file, so from any process ----------------------
# The store must have been given to `create_app` before.


def damage(store: Store, name: str, version: str) -> None:
    """Make the record of an environment one that EnvHub cannot read any more.

    Reading it is a 404, lists skip it, its key stays taken. Raises LookupError
    when there is no such environment.
    """
    with store.write() as db:
        changed = db.execute(
            "UPDATE aenv_record SET damaged = 1 WHERE kind = 'environment' AND key = ?",
            (f"{name}-{version}",),
        )
        if not changed.rowcount:
            raise LookupError(f"no environment {name} {version}")


def is_damaged(db: sqlite3.Connection, key: str) -> bool:
    """Whether there is an environment with this key that cannot be read."""
    found = db.execute(
        "SELECT 1 FROM aenv_record WHERE kind = 'environment' AND key = ? AND damaged", (key,)
    ).fetchone()
    return found is not None


def fail_store(store: Store, fails: bool = True) -> None:
    """Cut EnvHub off from its database, or connect it again, until told otherwise."""
    _set(store, "outage", "1" if fails else "0")


def is_failing(db: sqlite3.Connection) -> bool:
    """Whether EnvHub is cut off from its database."""
    return setting(db, "outage") == "1"


def lose_races(store: Store, writes: int) -> None:
    """Let the next *writes* creations and updates of environments lose against somebody else's."""
    _set(store, "races", str(writes))


def is_race_lost(db: sqlite3.Connection) -> bool:
    """Whether this write loses; asked once for each write."""
    left = int(setting(db, "races"))
    if left:
        db.execute("UPDATE aenv_setting SET value = ? WHERE name = 'races'", (str(left - 1),))
    return left > 0


def setting(db: sqlite3.Connection, name: str) -> str:
    """A value that the store was born with or has been set since."""
    return str(db.execute("SELECT value FROM aenv_setting WHERE name = ?", (name,)).fetchone()[0])


def _set(store: Store, name: str, value: str) -> None:
    with store.write() as db:
        db.execute("UPDATE aenv_setting SET value = ? WHERE name = ?", (value, name))
