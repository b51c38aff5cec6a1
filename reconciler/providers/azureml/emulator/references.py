"""The environment that a job or a deployment names: in which forms, and whether it is there."""

from __future__ import annotations

import re
from typing import Final

from reconciler.providers.azureml.emulator.answers import refused
from reconciler.providers.azureml.emulator.environments import ENVIRONMENTS, VERSIONS
from reconciler.providers.azureml.emulator.places import Places
from reconciler.providers.azureml.emulator.store import Place, Platform, Thing

__all__ = ["References"]

_ASSET: Final = r"environments/(?P<name>[^/]+)/(?:versions/(?P<version>[^/]+)|labels/(?P<label>[^/]+))"

_FORMS: Final = tuple(
    re.compile(form, re.IGNORECASE)
    for form in (
        r"(?:azureml:)?/subscriptions/(?P<subscription>[^/]+)/resourceGroups/(?P<group>[^/]+)/providers"
        rf"/Microsoft\.MachineLearningServices/workspaces/(?P<workspace>[^/]+)/{_ASSET}",
        rf"azureml://registries/(?P<registry>[^/]+)/{_ASSET}",
        rf"azureml://locations/[^/]+/workspaces/(?P<guid>[^/]+)/{_ASSET}",
        r"azureml:(?P<name>[^:/@]+)(?::(?P<version>[^/]+)|@(?P<label>[^/]+))",
    )
)

_PUBLIC: Final = "azureml"
"""The vendor's own registry, which is not here: what is said to be in it is believed."""


class References:
    """Looks environments up that are named in any of the forms."""

    def __init__(self, platform: Platform, places: Places) -> None:
        self._platform = platform
        self._places = places

    def find(self, place: Place, reference: str) -> Thing | None:
        """The version or environment that is named; None in the vendor's registry, which is not here.

        Refuses what names none. An archived one can be used.
        """
        parsed = next((found for form in _FORMS if (found := form.fullmatch(reference))), None)
        if parsed is None:
            raise refused(400, f"environmentId refers to no environment: {reference}", "ValidationError")
        parts = parsed.groupdict()
        where = self._where(place, parts)
        if where is None:
            if (parts.get("registry") or "").lower() == _PUBLIC:
                return None
            raise refused(400, f"environmentId leads nowhere: {reference}", "NotFoundError")
        name, version = parts["name"], parts["version"]
        thing = (
            self._platform.find(where, ENVIRONMENTS, "", name)
            if version is None
            else self._platform.find(where, VERSIONS, name, version)
        )
        if thing is None:
            what = f"name: {name}, version: {version or ''}, label: {parts['label'] or ''}"
            raise refused(400, f"No environment exists for {what}", "NotFoundError")
        return thing

    def _where(self, place: Place, parts: dict[str, str | None]) -> Place | None:
        if parts.get("registry"):
            return self._places.registry(str(parts["registry"]))
        if parts.get("workspace"):
            return self._places.workspace(
                *(str(parts[key]) for key in ("subscription", "group", "workspace"))
            )
        if parts.get("guid"):
            return self._places.workspace_of(str(parts["guid"]))
        return place
