"""The two blob datastores that every workspace has, and what lets a client write to them."""

from __future__ import annotations

from typing import Any, Final

import msgspec
from msgspec import Struct

from reconciler.providers.azureml.emulator.answers import answer, decoded, refused
from reconciler.providers.azureml.emulator.asking import Ask
from reconciler.providers.azureml.emulator.blobs import Keys
from reconciler.providers.azureml.emulator.store import Place, Platform, born_by, envelope, guid
from reconciler.providers.emulator import Answer

__all__ = ["Datastores"]

_DEFAULT: Final = "workspaceblobstore"
_ARTIFACTS: Final = "workspaceartifactstore"


class _Expiry(Struct, rename="camel"):
    expirable_secret: bool | None = None
    expire_after_hours: int | None = None


_EXPIRY: Final = msgspec.json.Decoder(_Expiry | None)


class Datastores:
    """Answers what is asked of datastores."""

    def __init__(self, platform: Platform, keys: Keys) -> None:
        self._platform = platform
        self._keys = keys

    def list(self, ask: Ask) -> Answer:
        """Both, or with ``isDefault`` one of them."""
        wanted = {"true": (_DEFAULT,), "false": (_ARTIFACTS,)}.get(
            ask.query.get("isDefault", "").lower(), (_DEFAULT, _ARTIFACTS)
        )
        return answer({"value": [self._told(ask.place, name) for name in wanted]})

    def read(self, ask: Ask) -> Answer:
        """One of them."""
        return answer(self._told(ask.place, self._named(ask)))

    def secrets(self, ask: Ask) -> Answer:
        """A SAS for the container, or the key of the account, as ``Options.datastore_tells`` says."""
        container = self._container(ask.place, self._named(ask))
        wanted = decoded(_EXPIRY, ask.call.body) if ask.call.body else None
        if self._platform.options.datastore_tells == "key":
            return answer({"secretsType": "AccountKey", "key": self._keys.account_key(ask.place.account)})
        hours = (wanted.expire_after_hours if wanted else None) or 1
        token = self._keys.sas(ask.place.account, container, hours=hours)
        return answer({"secretsType": "Sas", "sasToken": token})

    def _named(self, ask: Ask) -> str:
        name = ask.params["name"]
        if name not in (_DEFAULT, _ARTIFACTS):
            raise refused(404, f"Could not find datastore: {name}")
        return name

    def _container(self, place: Place, name: str) -> str:
        return place.container if name == _DEFAULT else "azureml"

    def _told(self, place: Place, name: str) -> dict[str, Any]:
        options = self._platform.options
        properties = {
            "description": None,
            "tags": None,
            "properties": None,
            "isDefault": name == _DEFAULT,
            "credentials": {"credentialsType": "AccountKey" if options.datastore_tells == "key" else "Sas"},
            "datastoreType": "AzureBlob",
            "accountName": place.account,
            "containerName": self._container(place, name),
            "endpoint": options.storage_suffix,
            "protocol": "https",
            "serviceDataAccessAuthIdentity": "WorkspaceSystemAssignedIdentity",
        }
        author = guid(f"application of {place.arm_id}"), "Application"
        return envelope(place, "datastores", "", name, properties, born_by(author, place.born))
