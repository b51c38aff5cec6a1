"""EnvHub and api-service, embedded: environments, instances and services, kept in a ``Store``.

Facts are those of EnvHub, api-service and controller at 0.1.6 (profile
``v0.1``) and of the commits after it (profile ``next``), read in their
sources, and of ``aenvironment`` 0.1.7 as it behaves against a server. No
build hook is configured, so no change of an environment builds an image.

Times and ids come from the caller of ``create_app``. Read ``app`` first: the
paths, and who answers each.
"""

from __future__ import annotations

from reconciler.providers.aenvironment.emulator.answers import refuse
from reconciler.providers.aenvironment.emulator.app import Options, Part, create_app
from reconciler.providers.aenvironment.emulator.services import service_of, volumes
from reconciler.providers.aenvironment.emulator.store import damage, fail_store, lose_races

__all__ = [
    "Options",
    "Part",
    "create_app",
    "damage",
    "fail_store",
    "lose_races",
    "refuse",
    "service_of",
    "volumes",
]
