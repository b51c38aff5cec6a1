"""Who answers what: for each kind of place, the paths below it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from reconciler.providers.azureml.emulator.asking import Room
from reconciler.providers.azureml.emulator.assets import Assets, Plain
from reconciler.providers.azureml.emulator.blobs import Keys
from reconciler.providers.azureml.emulator.builds import Builds
from reconciler.providers.azureml.emulator.datastores import Datastores
from reconciler.providers.azureml.emulator.deployments import BATCH, ONLINE, Deployments
from reconciler.providers.azureml.emulator.environment_service import EnvironmentService
from reconciler.providers.azureml.emulator.environments import Environments
from reconciler.providers.azureml.emulator.jobs import Jobs
from reconciler.providers.azureml.emulator.listings import Listings
from reconciler.providers.azureml.emulator.operations import Operations
from reconciler.providers.azureml.emulator.places import Places
from reconciler.providers.azureml.emulator.references import References
from reconciler.providers.azureml.emulator.registries import Registries
from reconciler.providers.azureml.emulator.store import Platform
from reconciler.providers.azureml.emulator.versions import Versions

__all__ = ["Rooms"]

_Table = Mapping[str, Mapping[str, Room]]
"""For each path below a place, for each method, who answers."""

_ASSETS: Final = ("codes", "data", "models", "components")

_PLAIN: Final = ("connections", "schedules")


class Rooms:
    """Every room of the platform, and who of them answers a path below which kind of place."""

    def __init__(self, platform: Platform, places: Places) -> None:
        self._places = places
        self._platform = platform
        self.keys = Keys(platform)
        self.builds = Builds(platform)
        self.operations = Operations(platform)
        self._listings = Listings(platform)
        self._environments = Environments(platform, self._listings)
        self._versions = Versions(platform, self._environments, self._listings, self.builds)
        self._references = References(platform, places)
        self.registries = Registries(
            platform,
            places,
            self.operations,
            self._environments,
            self._versions,
            self._references,
            self.keys,
        )
        self.service = EnvironmentService(platform, self._versions, self.builds, self.keys)

    @property
    def tables(self) -> dict[str, _Table]:
        """By the kinds of an ``Address``."""
        operations = self.operations
        return {
            "workspaces": self._workspace(),
            "registries": self.registries.rooms,
            "mferp registries": self.registries.side_rooms,
            "v1.0 workspaces": self.service.rooms("v1.0"),
            "v2.0 workspaces": self.service.rooms("v2.0"),
            "groups": {"": {"GET": self._places.list_in_group}},
            "subscriptions": {"": {"GET": self._places.list_in_subscription}},
            "locations": {
                "mfeOperationsStatus/{operation}": {"GET": operations.status},
                "mfeOperationResults/{operation}": {"GET": operations.result},
            },
        }

    def _workspace(self) -> _Table:
        environments, versions = self._environments, self._versions
        datastores = Datastores(self._platform, self.keys)
        references = self._references
        jobs = Jobs(self._platform, self._listings, references, self.operations)
        table: dict[str, Mapping[str, Room]] = {
            "": {"GET": self._places.read},
            "environments": {"GET": environments.list},
            "environments/{name}": {
                "GET": environments.read,
                "PUT": environments.write,
                "DELETE": environments.delete,
            },
            "environments/{name}/versions": {"GET": versions.list},
            "environments/{name}/versions/{version}": {
                "GET": versions.read,
                "PUT": versions.write,
                "DELETE": versions.delete,
            },
            "environments/{name}/versions/{version}/publish": {"POST": self.registries.share},
            "datastores": {"GET": datastores.list},
            "datastores/{name}": {"GET": datastores.read},
            "datastores/{name}/listSecrets": {"POST": datastores.secrets},
            "jobs": {"GET": jobs.list},
            "jobs/{id}": {"GET": jobs.read, "PUT": jobs.write, "DELETE": jobs.delete},
            "jobs/{id}/cancel": {"POST": jobs.cancel},
        }
        for kind in (ONLINE, BATCH):
            table |= Deployments(self._platform, self._listings, references, self.operations, kind).rooms
        for family in _ASSETS:
            table |= Assets(self._platform, self._listings, self.keys, family).rooms
        for family in _PLAIN:
            table |= Plain(self._platform, self._listings, family).rooms
        return table
