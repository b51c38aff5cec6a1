"""Canonical attributes in, the table of a spec out: the way back of `reading`.

Packages are written inline, as `conda` has them; a build context by its
address, since the files that it was made from are not to be had. What a spec
cannot say (a conda file that is no YAML, an address with a signature) is left
out.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from types import MappingProxyType
from typing import Any, Final

from reconciler.core.ports import Place, Problem, SpecWriting
from reconciler.providers.azureml.kinds import ENVIRONMENT
from reconciler.providers.azureml.spec.environment import PACKAGES
from reconciler.providers.azureml.spec.reading import read_spec
from reconciler.providers.writing import what_comes_back

__all__ = ["write_spec"]

_IMAGE: Final = ("image", "base_image", "base_image_registry")
_INSTALLED: Final = (*PACKAGES, "user_managed_dependencies")
_SAID_BY: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "image": _IMAGE,
        "conda": _INSTALLED,
        # Wheels are a build context to the platform, made of all that a spec says beside them.
        "build": ("build", "dockerfile", "wheels", "environment_variables", *_IMAGE, *_INSTALLED),
    }
)
_AS_THEY_ARE: Final = (
    "name",
    "version",
    "description",
    "image",
    "conda",
    "tags",
    "properties",
    "stage",
    "inference_config",
    "os_type",
    "auto_rebuild",
    "keep_versions",
)


def write_spec(
    kind: str, attributes: Mapping[str, Any], place: Place, settings: Mapping[str, Any] | None = None
) -> SpecWriting:
    """See `ProviderPlugin.write_spec`. A version is said only where the platform numbers none by itself."""
    given = {key: value for key, value in attributes.items() if value is not None}
    left_out: list[Problem] = []
    if given.pop("context", None) is not None:
        left_out.append(Problem(("context",), "the build context is named by its address, not by its files"))
    if "build" in given and "://" not in given["build"]["context_uri"]:
        # Read again, it would be a directory of the stack.
        del given["build"]
        left_out.append(Problem(("build",), "its build context has no address that a spec can name"))
    chosen = {}
    if (settings or {}).get("versions") != "explicit" and "version" in given:
        chosen["version"] = given.pop("version")
    table = {
        key: given[key]
        for key in _AS_THEY_ARE
        if key in given and given[key] != ENVIRONMENT.defaults.get(key)
    }
    if "build" in given:
        table["build"] = _build(given["build"])
    table, unsaid = what_comes_back(table, given, ENVIRONMENT, partial(read_spec, kind, place=place))
    return SpecWriting(table, left_out=(*left_out, *unsaid), chosen=chosen, said_by=_SAID_BY)


def _build(build: Mapping[str, Any]) -> Any:
    if build["dockerfile"] == "Dockerfile":
        return build["context_uri"]
    return {"path": build["context_uri"], "dockerfile_path": build["dockerfile"]}
