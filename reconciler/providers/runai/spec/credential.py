"""Credentials: their kinds, and secrets by reference only."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from reconciler.core.ports import Place
from reconciler.core.reading import REFERENCES, SecretReference, refuse
from reconciler.providers.runai.spec.scope import Scoped
from reconciler.providers.runai.spec.words import Conflict, Text, Values, marking, translated


def _secrets(value: Any) -> Any:
    if not isinstance(value, dict):
        raise refuse("`data` is a table of secrets by their keys", f"Each one by reference. {REFERENCES}")
    return value


CREDENTIAL_FIELDS: Mapping[str, tuple[str, ...]] = {
    "generic-secret": ("data",),
    "docker-registry": ("url", "user", "password"),
    "access-key": ("access_key_id", "secret_access_key"),
    "password": ("user", "password"),
    "ngc-api-key": ("ngc_api_key",),
}


_CREDENTIAL_WORDS = {
    "generic": "generic-secret",
    "secret": "generic-secret",
    "docker": "docker-registry",
    "registry": "docker-registry",
    "git": "password",
    "username-password": "password",
    "username-&-password": "password",
    "username-and-password": "password",
    "ngc": "ngc-api-key",
}


class Credential(Scoped):
    """A Run:ai credential. Its secret values are references, never values."""

    type: Annotated[str, translated(_CREDENTIAL_WORDS, CREDENTIAL_FIELDS)] = Field(
        description="generic-secret, docker-registry, access-key, password or ngc-api-key."
    )
    data: Annotated[dict[str, SecretReference], BeforeValidator(_secrets), Field(min_length=1)] | None = (
        Field(None, description="generic-secret: each key with the reference of its value.")
    )
    url: Text | None = Field(None, description="docker-registry: address of the registry.")
    user: Text | None = Field(None, description="docker-registry, password: user name.")
    password: SecretReference | None = Field(None, description="docker-registry, password: reference.")
    access_key_id: Text | None = Field(None, description="access-key: id of the key.")
    secret_access_key: SecretReference | None = Field(None, description="access-key: reference.")
    ngc_api_key: SecretReference | None = Field(None, description="ngc-api-key: reference.")
    existing_secret_name: Text | None = Field(
        None, description="A labelled Kubernetes secret of the cluster, instead of values."
    )

    def conflicts(self) -> Iterator[Conflict]:
        """See `Scoped.conflicts`."""
        yield from super().conflicts()
        if "" in (self.data or {}):
            yield Conflict(("data",), "a key must not be empty", "Name it.", ("data", ""))
        for key in marking(self.data or ()):
            yield Conflict(("data",), f"{key!r} cannot be a key", "No `$` in front.", ("data", key))
        wanted = CREDENTIAL_FIELDS[self.type]
        every = dict.fromkeys(name for names in CREDENTIAL_FIELDS.values() for name in names)
        given = [name for name in every if getattr(self, name) is not None]
        if self.existing_secret_name is not None:
            fields = ("existing_secret_name", "type", *every)
            if self.type == "ngc-api-key":
                yield Conflict(
                    fields, "an NGC key cannot come from an existing secret", "Give `ngc_api_key`."
                )
            elif given:
                names = ", ".join(f"`{name}`" for name in given)
                yield Conflict(
                    fields, f"`existing_secret_name` and {names} exclude each other", "Keep one of them."
                )
            return
        for name in given:
            if name not in wanted:
                yield Conflict(
                    (name, "type"),
                    f"a credential of type {self.type} has no `{name}`",
                    f"It has: {', '.join(wanted)}.",
                )
        for name in wanted:
            if name not in given:
                yield Conflict(
                    ("type", name), f"a credential of type {self.type} needs `{name}`", f"Add `{name} = …`."
                )

    @property
    def keys(self) -> tuple[str, ...] | None:
        """The keys that it is sure to have: a generic secret gives its own, all others get the platform's."""
        return None if self.type != "generic-secret" or self.data is None else tuple(self.data)

    def canonical(self, place: Place) -> Values:
        """The attributes of the credential."""
        values = self.placed(place)
        values["type"] = self.type
        for name in ("url", "user", "access_key_id", "existing_secret_name"):
            if (text := getattr(self, name)) is not None:
                values[name] = text
        for name in ("password", "secret_access_key", "ngc_api_key"):
            if (reference := getattr(self, name)) is not None:
                values[name] = reference.canonical()
        if self.data is not None:
            values["keys"] = sorted(self.data)
            values["data"] = {key: reference.canonical() for key, reference in self.data.items()}
        return values
