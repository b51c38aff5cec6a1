"""Environment variables: a value, or where it comes from."""

from __future__ import annotations

from typing import Annotated, Any, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from reconciler.core.attributes import ID, REF
from reconciler.core.reading import Table, refuse
from reconciler.providers.runai.spec.words import Text, Values, canonical_uuid


def _only_true(value: bool) -> bool:
    if not value:
        raise refuse("`exclude` is true, or not there", "Remove it.")
    return value


class EnvironmentVariable(Table):
    """One environment variable, by its source."""

    value: str | None = Field(None, description="The value; empty means: filled in at submission.")
    instructions: str | None = Field(None, description="Shown to whoever fills the value in.")
    credential: Text | None = Field(None, description="Name of a credential of this stack.")
    credential_id: Annotated[str, AfterValidator(canonical_uuid)] | None = Field(
        None, description="Id of a credential that this stack does not manage."
    )
    config_map: str | None = Field(
        None, pattern=r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?$", description="Config map."
    )
    key: Text | None = Field(None, description="Key inside the credential or config map.")
    pod_field: Text | None = Field(None, description="Field of the pod, such as metadata.name.")
    exclude: Annotated[bool, AfterValidator(_only_true)] | None = Field(
        None, description="Leave out a variable that policy defaults define."
    )

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        sources = [
            name
            for name in ("value", "credential", "credential_id", "config_map", "pod_field", "exclude")
            if getattr(self, name) is not None
        ]
        if len(sources) > 1:
            raise refuse(f"{' and '.join(sources)} exclude each other", "Keep one of them.")
        if not sources and not self.instructions:
            raise refuse("this variable has no source", 'Give it a value: { value = "…" }.')
        keyed = {"credential", "credential_id", "config_map"} & set(sources)
        if keyed and self.key is None:
            raise refuse(f"`key` is missing beside `{sources[0]}`", f'{{ {sources[0]} = "…", key = "…" }}')
        if self.key is not None and not keyed:
            raise refuse("`key` belongs to a credential or config map", "Remove it.")
        return self

    def canonical(self, platform: str) -> Any:
        """As the attributes hold it; a value alone is the value."""
        table: Values
        if self.exclude:
            table = {"exclude": True}
        elif self.credential is not None:
            table = {"credential": {REF: f"{platform}.credential.{self.credential}"}, "key": self.key}
        elif self.credential_id is not None:
            table = {"credential": {ID: self.credential_id}, "key": self.key}
        elif self.config_map is not None:
            table = {"config_map": self.config_map, "key": self.key}
        elif self.pod_field is not None:
            table = {"pod_field": self.pod_field}
        elif not self.instructions:
            return self.value
        else:
            table = {"value": self.value or ""}
        if self.instructions:
            table["instructions"] = self.instructions
        return table


def _variable(value: Any) -> Any:
    """A value alone is a variable with that value."""
    match value:
        case bool():
            return {"value": "true" if value else "false"}
        case str() | int():
            return {"value": str(value)}
        case float():
            raise refuse(
                "a number with a point has several spellings", "Put the one that is meant in quotes."
            )
        case {"env": _} | {"file": _} | {"command": _}:
            raise refuse(
                "Run:ai shows the values of environment variables to everybody who may see the environment",
                'Put the secret into a credential (kind = "credential") and refer to it: '
                '{ credential = "NAME", key = "KEY" }.',
            )
        case dict():
            return value
    raise refuse("the value of a variable is text", "Write it as one text, in quotes.")


Variable = Annotated[
    EnvironmentVariable,
    BeforeValidator(_variable, json_schema_input_type=str | int | bool | EnvironmentVariable),
]
