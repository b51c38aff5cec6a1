"""What the platform keeps of the secrets that it is given: enough to know one again, and no value.

A digest for each value, salted by what each store drew at its birth to sign its
tokens. No call answers it; it is for tests that hold what a platform has
against what it was to get.
"""

from __future__ import annotations

import hashlib
import hmac
import sqlite3
from collections.abc import Mapping
from typing import Final

from reconciler.providers.emulator import Store

__all__ = ["digest_of", "drop_secrets", "install_secrets", "keep_secrets"]

_FORMAT: Final = 1


_SCHEMA: Final = (
    """CREATE TABLE runai_secret (
        asset_id TEXT NOT NULL, name TEXT NOT NULL, digest TEXT NOT NULL,
        PRIMARY KEY (asset_id, name)) WITHOUT ROWID""",
)


def install_secrets(store: Store) -> None:
    """Make sure that there is a place for digests, in a store from before there were any, too."""
    store.install("runai secrets", _FORMAT, _SCHEMA, lambda db: None)


def keep_secrets(db: sqlite3.Connection, asset_id: str, values: Mapping[str, str]) -> None:
    """Keep the digests of the secrets of a new asset, by the name of their key or field."""
    if values:
        (salt,) = db.execute("SELECT value FROM runai_setting WHERE name = 'signing_key'").fetchone()
        rows = [(asset_id, name, digest_of(salt, value)) for name, value in values.items()]
        db.executemany("INSERT INTO runai_secret VALUES (?, ?, ?)", rows)


def drop_secrets(db: sqlite3.Connection, asset_id: str) -> None:
    """Keep nothing more of an asset that is deleted."""
    db.execute("DELETE FROM runai_secret WHERE asset_id = ?", (asset_id,))


def digest_of(salt: str, value: str) -> str:
    """What a store with this *salt* keeps of *value*."""
    # Told from what else is signed with it: a token is three parts with dots between.
    return hmac.new(salt.encode(), b"secret " + value.encode(), hashlib.sha256).hexdigest()
