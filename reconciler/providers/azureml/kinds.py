"""The kind of Azure ML object that is managed, and its attributes in one form for specs and answers alike.

Canonical attributes of an environment, which are always there unless it says otherwise:

====================  ================================================================================
``name``              text; the container
``version``           text; ``{"$lookup": {"version": ""}}`` while the platform's strategy has to say
``image``             text or None
``conda``             the conda definition as a table, or None: ``dependencies`` and whatever else it has
``build``             None, or ``context_uri`` and ``dockerfile``; the URI of a local context is
                      ``{"$lookup": {"context": "HASH/DIRECTORY"}}`` until the datastore is known
``inference_config``  None, or ``liveness_route readiness_route scoring_route startup_route``, those that
                      are there, each with ``path`` and ``port``
``os_type``           ``Linux`` or ``Windows``
``auto_rebuild``      ``Disabled`` or ``OnBaseImageUpdate``
``description``       text
``tags``              table of texts
``properties stage``  only when the spec sets them
``context``           only with a local build context: its manifest, see ``context``
``keep_versions``     only when the spec sets it
====================  ================================================================================

Source: vendor client azure-ai-ml 1.35.2, API 2025-12-01.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Final

from reconciler.core.model import Removal
from reconciler.core.ports import ResourceKind

__all__ = ["DEFINITION", "DELETED", "ENVIRONMENT", "INFERENCE_ROUTES", "KINDS"]

DEFINITION: Final = (
    "image",
    "conda",
    "build",
    "inference_config",
    "os_type",
    "auto_rebuild",
)
"""The attributes that a version can never change."""

INFERENCE_ROUTES: Final = ("liveness_route", "readiness_route", "scoring_route", "startup_route")

ENVIRONMENT: Final = ResourceKind(
    name="environment",
    identity=("name",),
    immutable=frozenset({"name"}),
    defaults=MappingProxyType(
        {
            "image": None,
            "conda": None,
            "build": None,
            "inference_config": None,
            "os_type": "Linux",
            "auto_rebuild": "Disabled",
            "description": "",
            "tags": {},
            "properties": {},
        }
    ),
    versioned=frozenset({*DEFINITION, "version"}),
    removal=Removal.ARCHIVE,
    local=frozenset({"context", "keep_versions"}),
)

KINDS: Final[Mapping[str, ResourceKind]] = MappingProxyType({ENVIRONMENT.name: ENVIRONMENT})

DELETED: Final[Mapping[str, ResourceKind]] = MappingProxyType(
    {
        ENVIRONMENT.name: replace(
            ENVIRONMENT,
            removal=Removal.DELETE,
            unreadable="all versions of the environment go with it",
        )
    }
)
"""The same, where a stack asks for real deletion."""
