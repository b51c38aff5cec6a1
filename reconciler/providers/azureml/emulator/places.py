"""Subscriptions, resource groups, workspaces and registries: which there are, and where a path leads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from reconciler.providers.azureml.emulator.answers import Refused, answer, arm_error, timestamp
from reconciler.providers.azureml.emulator.asking import Ask
from reconciler.providers.azureml.emulator.options import TENANT
from reconciler.providers.azureml.emulator.store import Place, Platform, guid
from reconciler.providers.emulator import Answer

__all__ = ["Address", "Places"]

_PROVIDER: Final = "microsoft.machinelearningservices"


_DOORS: Final = {
    "mferp": ["mferp", "managementfrontend"],
    "v1.0": ["environment", "v1.0"],
    "v2.0": ["environment", "v2.0"],
}
"""What stands before an address that is asked about elsewhere than at the resource manager."""


class Address(NamedTuple):
    """Where a path leads: to something in a workspace or a registry, or to a list of workspaces.

    ``kind`` is ``workspaces``, ``registries``, ``groups``, ``subscriptions`` or
    ``locations``; with the name of a door before it when it is not the resource
    manager's. ``params`` name the place; ``rest`` is the path below it.
    """

    kind: str
    params: dict[str, str]
    rest: list[str]


class Places:
    """Finds places by their address, in any case, and answers what is asked of them."""

    def __init__(self, platform: Platform, places: Sequence[Place]) -> None:
        self._platform = platform
        self._places = tuple(places)
        self._by_address = {
            (one.kind, one.subscription.lower(), one.resource_group.lower(), one.name.lower()): one
            for one in places
        }

    def address(self, steps: list[str]) -> Address | None:
        """The place that a path is below, whether it is there or not; None for other paths."""
        for door, prefix in _DOORS.items():
            if [step.lower() for step in steps[:2]] == prefix:
                found = self.address(steps[2:])
                return found and found._replace(kind=f"{door} {found.kind}")
        lower = [step.lower() for step in steps[:8]]
        if lower[:1] != ["subscriptions"] or len(steps) < 5:
            return None
        params = {"subscription": steps[1]}
        if lower[2:] == ["providers", _PROVIDER, "workspaces"]:
            return Address("subscriptions", params, [])
        if lower[2:5] == ["providers", _PROVIDER, "locations"] and len(steps) > 5:
            return Address("locations", params, steps[6:])
        if lower[2] != "resourcegroups" or lower[4:6] != ["providers", _PROVIDER]:
            return None
        params["resource_group"] = steps[3]
        if len(steps) == 7 and lower[6] == "workspaces":
            return Address("groups", params, [])
        if len(steps) < 8 or lower[6] not in ("workspaces", "registries"):
            return None
        return Address(lower[6], {**params, "kind": lower[6], "place": steps[7]}, steps[8:])

    def found(self, params: Mapping[str, str]) -> Place:
        """The place that a request is about; for a list, any in its scope. Refuses what is not there."""
        subscription = params["subscription"].lower()
        near = [one for one in self._places if one.subscription.lower() == subscription]
        if not near:
            raise _missing(
                "SubscriptionNotFound", f"The subscription '{params['subscription']}' could not be found."
            )
        group = params.get("resource_group")
        if group is None:
            return near[0]
        near = [one for one in near if one.resource_group.lower() == group.lower()]
        if not near:
            raise _missing("ResourceGroupNotFound", f"Resource group '{group}' could not be found.")
        if "place" not in params:
            return near[0]
        place = self._by_address.get((params["kind"], subscription, group.lower(), params["place"].lower()))
        if place is None:
            raise _missing(
                "ResourceNotFound",
                f"The Resource 'Microsoft.MachineLearningServices/{params['kind']}/{params['place']}'"
                f" under resource group '{group}' was not found.",
            )
        return place

    def registry(self, name: str) -> Place | None:
        """A registry by its name, in any case."""
        return next(
            (one for one in self._places if one.kind == "registries" and one.name.lower() == name.lower()),
            None,
        )

    def workspace(self, subscription: str, group: str, name: str) -> Place | None:
        """A workspace by its address, in any case."""
        return self._by_address.get(("workspaces", subscription.lower(), group.lower(), name.lower()))

    def workspace_of(self, found: str) -> Place | None:
        """A workspace by its ``workspaceId``."""
        return next((one for one in self._places if one.guid == found.lower()), None)

    def read(self, ask: Ask) -> Answer:
        """The workspace itself."""
        return answer(self._workspace(ask.place, ask.call.origin))

    def list_in_group(self, ask: Ask) -> Answer:
        """The workspaces of a resource group, on one page."""
        wanted = ask.place.group_id.lower()
        return self._listed(ask, lambda one: one.group_id.lower() == wanted)

    def list_in_subscription(self, ask: Ask) -> Answer:
        """The workspaces of a subscription, on one page."""
        wanted = ask.place.subscription.lower()
        return self._listed(ask, lambda one: one.subscription.lower() == wanted)

    def _listed(self, ask: Ask, is_wanted: Any) -> Answer:
        workspaces = [
            self._workspace(one, ask.call.origin)
            for one in self._places
            if one.kind == "workspaces" and is_wanted(one)
        ]
        return answer({"value": workspaces[: -ask.call.hide] if ask.call.hide else workspaces})

    def _workspace(self, place: Place, origin: str) -> dict[str, Any]:
        group, moment = place.group_id, timestamp(place.born)
        registry = f"{group}/providers/Microsoft.ContainerRegistry/registries/{place.account}"
        return {
            "id": place.arm_id,
            "name": place.name,
            "type": place.type,
            "location": place.region,
            "tags": {},
            "kind": "Default",
            "identity": {
                "type": "SystemAssigned",
                "principalId": guid(f"identity of {place.arm_id}"),
                "tenantId": TENANT,
            },
            "sku": {"name": "Basic", "tier": "Basic"},
            "properties": {
                "friendlyName": place.name,
                "description": "",
                "storageAccount": f"{group}/providers/Microsoft.Storage/storageAccounts/{place.account}",
                "keyVault": f"{group}/providers/Microsoft.KeyVault/vaults/{place.account}",
                "applicationInsights": f"{group}/providers/Microsoft.Insights/components/{place.account}",
                "containerRegistry": registry,
                "hbiWorkspace": False,
                "imageBuildCompute": None,
                "provisioningState": "Succeeded",
                "v1LegacyMode": False,
                "softDeleteEnabled": False,
                "storageHnsEnabled": False,
                "workspaceId": place.guid,
                "tenantId": TENANT,
                "privateLinkCount": 0,
                "publicNetworkAccess": "Enabled",
                "discoveryUrl": f"{origin}/discovery",
                "mlFlowTrackingUri": f"azureml://{place.region}.api.azureml.ms/mlflow/v1.0{place.arm_id}",
            },
            "systemData": {
                "createdAt": moment,
                "createdBy": "user@example.com",
                "createdByType": "User",
                "lastModifiedAt": moment,
                "lastModifiedBy": "user@example.com",
                "lastModifiedByType": "User",
            },
        }


def _missing(code: str, message: str) -> Refused:
    return Refused(arm_error(404, code, message))
