"""What an environment or a credential must be, beyond what the struct of its request says."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

import msgspec
from msgspec import Struct

from reconciler.providers.runai import api
from reconciler.providers.runai.emulator.answers import Refused
from reconciler.providers.runai.emulator.store import Place


def check_environment(spec: api.EnvironmentSpec) -> None:
    """Refuse what the vendor refuses of an environment."""
    for n, variable in enumerate(spec.environment_variables or ()):
        sources = (variable.value, variable.credential, variable.config_map, variable.pod_field_ref)
        at = f"spec.environmentVariables[{n}]"
        if sum(source is not None for source in sources) > 1:
            raise Refused(
                400,
                "Invalid request",
                f"{at}: value, credential, configMap and podFieldRef exclude each other",
            )
        if variable.credential is not None and variable.credential.asset_id is None:
            raise Refused(400, "Invalid request", f"{at}.credential.assetId: required")
    if spec.connections is msgspec.UNSET:
        return
    names: set[str] = set()
    for n, connection in enumerate(spec.connections):
        at = f"spec.connections[{n}]"
        if connection.name in names:
            raise Refused(400, "Invalid request", f"{at}.name: used by another connection")
        names.add(connection.name)
        if (connection.internal_tool_info is None) == (connection.external_tool_info is None):
            raise Refused(
                400,
                "Invalid request",
                f"{at}: exactly one of internalToolInfo and externalToolInfo is needed",
            )
        if (connection.external_tool_info is not None) != (connection.is_external is True):
            raise Refused(400, "Invalid request", f"{at}.isExternal: does not fit the tool")


def credentials_in(spec: api.EnvironmentSpec) -> list[str]:
    """The ids of the credentials that the variables take their values from, each once."""
    return list(
        dict.fromkeys(
            str(variable.credential.asset_id)
            for variable in spec.environment_variables or ()
            if variable.credential is not None
        )
    )


def refer(db: sqlite3.Connection, environment_id: str, place: Place, credential_ids: Sequence[str]) -> None:
    """Note which credentials an environment takes values from. Refuses those out of its reach."""
    for credential_id in credential_ids:
        found = db.execute(
            "SELECT scope, scope_id FROM runai_asset WHERE id = ? AND family = 'credential'", (credential_id,)
        ).fetchone()
        if found is None or tuple(found) not in place.nodes:
            raise Refused(
                400,
                "Invalid request",
                f"spec.environmentVariables: no credential {credential_id} at or above this scope",
            )
        db.execute("INSERT INTO runai_reference VALUES (?, ?)", (credential_id, environment_id))


def without_secrets(credential: api.CredentialKind, spec: Struct) -> dict[str, object]:
    """What is stored of a credential's spec: no value of a secret, only the names of its keys.

    Refuses a spec that names no existing secret and lacks a part of the credential.
    """
    sent = _sent(spec)
    if sent.get("existingSecretName") is None:
        missing = [name for name, value in sent.items() if name != "existingSecretName" and not value]
        if missing:
            raise Refused(
                400,
                "Required parameter is missing",
                f"spec: {', '.join(missing)} or existingSecretName needed",
            )
    kept: dict[str, object] = {name: sent[name] for name in credential.keeps if sent[name] is not None}
    if isinstance(spec, api.GenericSecretSpec) and spec.key_value_pairs is not None:
        kept["keyValuePairs"] = [{"key": pair.key} for pair in spec.key_value_pairs]
    return {**kept, "keyId": 1}


def secrets_in(credential: api.CredentialKind, spec: Struct) -> dict[str, str]:
    """The values of a credential's spec that are secret, by the name of their key or field."""
    if isinstance(spec, api.GenericSecretSpec):
        return {pair.key: pair.value for pair in spec.key_value_pairs or () if pair.value is not None}
    return {
        name: str(value)
        for name, value in _sent(spec).items()
        if value is not None and name not in credential.keeps
    }


def _sent(spec: Struct) -> dict[str, object]:
    """The fields of *spec* under the names that they have on the wire."""
    return {
        name: getattr(spec, attribute)
        for name, attribute in zip(spec.__struct_encode_fields__, spec.__struct_fields__, strict=True)
    }
