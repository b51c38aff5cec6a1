"""Whether each secret on the platform is the one that it should be, by the digests that are kept of them."""

from __future__ import annotations

import sqlite3
import tomllib
from collections.abc import Collection, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from reconciler.engine.secrets import keyed_hash
from reconciler.providers.runai.emulator.secrets import digest_of


def stale_secrets(store: Path, state: Mapping[str, Any], ever: Collection[str]) -> list[str]:
    """Credentials whose secret is not the one that *state* says was sent; *ever* are all that there were."""
    kept, salt = _kept(store)
    values = {keyed_hash(state["secret_key"], value): value for value in ever}
    wrong = []
    for one in state["resources"]:
        for path, known in one.get("secrets", {}).items():
            value = values.get(known)
            found = kept.get((one["id"], path.removeprefix("data.")))
            if value is None or found != digest_of(salt, value):
                wrong.append(f"{one['address']}: its {path} is not what the state says")
    return wrong


def old_secrets(
    store: Path, remembered: Mapping[str, str], specs: Mapping[str, str], variables: Mapping[str, str]
) -> list[str]:
    """Credentials whose secret is not what its reference gives now. *remembered* are addresses by id."""
    kept, salt = _kept(store)
    ids = {address: one for one, address in remembered.items()}
    wrong = []
    for stem, text in specs.items():
        for key, reference in tomllib.loads(text).get("data", {}).items():
            name = reference["env"]
            if kept.get((ids.get(f"runai.credential.{stem}", ""), key)) != digest_of(salt, variables[name]):
                wrong.append(f"{stem}: its {key} is not the present value of {name}")
    return wrong


def _kept(store: Path) -> tuple[dict[tuple[str, str], str], str]:
    """The digests by id and key, and their salt."""
    with closing(sqlite3.connect(store)) as db:
        rows = db.execute("SELECT asset_id, name, digest FROM runai_secret").fetchall()
        (salt,) = db.execute("SELECT value FROM runai_setting WHERE name = 'signing_key'").fetchone()
    return {(one, name): digest for one, name, digest in rows}, salt
