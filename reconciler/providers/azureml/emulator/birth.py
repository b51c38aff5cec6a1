"""What a new store is given: a key, a service principal; and each new workspace: curated environments."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Final, Literal, NamedTuple

from reconciler.providers.azureml.emulator.definitions import Definition, VersionProperties
from reconciler.providers.azureml.emulator.options import CLIENT, Options, Registry, Workspace
from reconciler.providers.azureml.emulator.store import VENDOR, Place, born_by, envelope, insert, next_moment
from reconciler.providers.azureml.emulator.tokens import hashed
from reconciler.providers.emulator import Store

__all__ = ["add_principal", "give_birth", "open_places"]


class _Curated(NamedTuple):
    name: str
    version: str
    image: str
    conda: str = ""


_CURATED: Final = (
    _Curated(
        "AzureML-sklearn-0.24-ubuntu18.04-py37-cpu",
        "1",
        "mcr.microsoft.com/azureml/openmpi3.1.2-ubuntu18.04:20210301.v1",
        "dependencies: [python=3.7, {pip: [scikit-learn==0.24.1, azureml-defaults]}]\n",
    ),
    _Curated(
        "AzureML-acpt-pytorch-2.2-cuda12.1",
        "32",
        "mcr.microsoft.com/azureml/curated/acpt-pytorch-2.2-cuda12.1:32",
    ),
    _Curated(
        "AzureML-minimal-ubuntu20.04-py38-cpu-inference",
        "10",
        "mcr.microsoft.com/azureml/minimal-ubuntu20.04-py38-cpu-inference:10",
    ),
)


_PRINCIPAL: Final = "INSERT OR REPLACE INTO azureml_principal VALUES (?, ?, ?)"


def give_birth(db: sqlite3.Connection, key: str) -> None:
    """Fill an empty store. *key* signs its tokens."""
    db.execute("INSERT INTO azureml_setting VALUES ('key', ?)", (key,))
    db.execute(_PRINCIPAL, (CLIENT, hashed(CLIENT), "contributor"))


def add_principal(
    store: Store,
    *,
    client_id: str,
    client_secret: str,
    role: Literal["contributor", "reader"] = "contributor",
) -> None:
    """Let a service principal in, or give it a new secret and role. The store keeps a hash.

    The store must have been given to ``build_app`` before.
    """
    with store.write() as db:
        db.execute(_PRINCIPAL, (client_id, hashed(client_secret), role))


def open_places(store: Store, options: Options, now: int) -> tuple[Place, ...]:
    """The workspaces and registries of a store, after those of *options* that it lacks were made."""
    with store.write() as db:
        for kind, wanted in (("workspaces", options.workspaces), ("registries", options.registries)):
            _make(db, kind, wanted, now)
    return tuple(Place(*row) for row in store.rows("SELECT * FROM azureml_place ORDER BY id"))


def _make(db: sqlite3.Connection, kind: str, wanted: Sequence[Workspace | Registry], now: int) -> None:
    for one in wanted:
        made = db.execute(
            "INSERT OR IGNORE INTO azureml_place (kind, subscription, resource_group, name, region, born)"
            " VALUES (?, ?, ?, ?, ?, ?) RETURNING *",
            (kind, one.subscription, one.resource_group, one.name, one.region, now),
        ).fetchone()
        if made is not None and kind == "workspaces":
            for curated in _CURATED:
                _insert_curated(db, Place(*made), curated, now)


def _insert_curated(db: sqlite3.Connection, place: Place, curated: _Curated, now: int) -> None:
    definition = Definition(VersionProperties(image=curated.image, conda_file=curated.conda))
    empty: dict[str, object] = {"tags": {}, "properties": {}, "isArchived": False}
    for family, parent, name, properties, private in (
        (
            "environments",
            "",
            curated.name,
            {
                "description": "",
                **empty,
                "latestVersion": curated.version,
                "nextVersion": str(int(curated.version) + 1),
            },
            {"highest": int(curated.version)},
        ),
        (
            "environments/versions",
            curated.name,
            curated.version,
            {"description": None, **empty, **definition.shown, "environmentType": "Curated"},
            {"definition": definition.digest},
        ),
    ):
        created = next_moment(db, now)
        body = envelope(place, family, parent, name, properties, born_by(VENDOR, created))
        insert(db, place, family, parent, body, created=created, since=now, private=private)
