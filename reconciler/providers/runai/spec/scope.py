"""What all assets share: name, description, and where in the organisation they are."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field

from reconciler.core.attributes import LOOKUP
from reconciler.core.ports import Place
from reconciler.core.reading import Table
from reconciler.providers.runai.spec.words import Conflict, Name, Text, Values, translated

_SCOPE_WORDS = {"account": "tenant"}


_SCOPES = ("tenant", "cluster", "department", "project")


Scope = Annotated[Literal["tenant", "cluster", "department", "project"], translated(_SCOPE_WORDS, _SCOPES)]


class Scoped(Table):
    """Where an asset is placed."""

    name: Name | None = Field(None, description="Its name on the platform, when not that of the spec.")
    description: Annotated[str, Field(min_length=1, max_length=250)] | None = Field(
        None, description="At most 250 characters."
    )
    scope: Scope = Field(description="tenant, cluster, department or project.")
    scope_id: Text | int | None = Field(None, description="Id of the cluster, department or project.")
    scope_name: Text | None = Field(None, description="Its name; turned into the id when planning.")
    cluster: Text | None = Field(
        None, description="Name or id of the cluster that `scope_name` is in, when the name is there twice."
    )

    def conflicts(self) -> Iterator[Conflict]:
        """What does not go together in this table."""
        ways = ("scope_id", "scope_name", "cluster")
        fields = ("scope", *ways)
        given = [name for name in ways if getattr(self, name) is not None]
        named = " and ".join(f"`{name}`" for name in given)
        if self.scope == "tenant":
            if given:
                yield Conflict(
                    fields, f"the tenant has no {named}", "Remove that, or choose another scope.", (given[0],)
                )
        elif len(given) > 1 and (self.scope == "cluster" or self.scope_id is not None):
            yield Conflict(fields, f"{named} exclude each other", "Keep one of them.", (given[0],))
        elif self.scope != "cluster" and self.scope_id is None and self.scope_name is None:
            yield Conflict(
                fields,
                f"which {self.scope}? `scope_id` or `scope_name` is missing",
                f'Add `scope_name = "…"` with the name of the {self.scope}, or its `scope_id`.',
            )
        elif self.scope_id is not None and self._scope_id() is None:
            kind = "Run:ai numbers its projects" if self.scope == "project" else "it is a UUID"
            yield Conflict(
                fields,
                f"{self.scope_id!r} is no id of a {self.scope}: {kind}",
                f"Give the id, or the name of the {self.scope} as `scope_name`.",
                ("scope_id",),
            )

    def _scope_id(self) -> str | None:
        """The id in the platform's own spelling, or None when it cannot be one."""
        text = str(self.scope_id)
        match self.scope:
            case "project":
                number = int(text) if re.fullmatch("[0-9]{1,10}", text) else -1
                return str(number) if 0 <= number < 2**31 else None
            case "cluster":
                try:
                    return str(UUID(text))
                except ValueError:
                    return None
        return text

    def placed(self, place: Place) -> Values:
        """Name, description and scope, as the attributes hold them."""
        values: Values = {"name": self.name or place.name}
        if self.description is not None:
            values["description"] = self.description
        values["scope"] = self.scope
        if self.scope == "tenant":
            return values
        if self.scope_id is not None:
            values["scope_id"] = self._scope_id()
            return values
        wanted: Values = {"kind": self.scope, "name": self.scope_name}
        if self.scope == "cluster":
            wanted["name"] = self.scope_name or self.cluster
        elif self.cluster is not None:
            wanted["cluster"] = self.cluster
        values["scope_id"] = {LOOKUP: wanted}
        return values
