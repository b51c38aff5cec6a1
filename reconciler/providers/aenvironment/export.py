"""An environment as the files that the vendor's command line reads."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from reconciler.errors import UsageError
from reconciler.providers.aenvironment.conversion import environment_body

__all__ = ["exported"]

_ALL: Final[Mapping[str, Any]] = {
    "tags": [],
    "status": "Ready",
    "codeUrl": "",
    "artifacts": [],
    "buildConfig": {},
    "testConfig": {},
    "deployConfig": {},
}
"""What ``aenv init`` writes, in its order; ``aenv push`` sends the whole file."""


def exported(form: str, kind: str, attributes: Mapping[str, Any]) -> Mapping[str, bytes]:
    """The ``config.json`` of an environment with these attributes. See `Exporter.export`."""
    if (form, kind) != ("aenv", "environment"):
        raise UsageError(
            f"a {kind} has no form in the format {form}",
            hint="Export its environment: `aenv service create` reads `deployConfig.service` of that.",
        )
    body = environment_body(attributes)
    heads = ("name", "version", "description")
    document: dict[str, Any] = {key: body[key] for key in heads if key in body}
    document |= {key: body.get(key, empty) for key, empty in _ALL.items()}
    return {"config.json": (json.dumps(document, indent=2, ensure_ascii=False) + "\n").encode()}
