"""What ``reconciler.toml`` may say, as pydantic models. Imported only to check a file."""

from __future__ import annotations

from collections import Counter
from datetime import date, datetime
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from reconciler.core.acceptance import Acceptance
from reconciler.core.model import ResourceAddress
from reconciler.core.notification import Notification
from reconciler.core.policy import Policy
from reconciler.core.reading import Table, refuse
from reconciler.errors import UsageError

__all__ = ["ConfigModel"]


def _address(text: str) -> str:
    try:
        ResourceAddress.parse(text)
    except UsageError as error:
        raise refuse(str(error), error.hint) from error
    return text


Address = Annotated[str, AfterValidator(_address)]
Limit = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class StackTable(Table):
    """``[stack]``."""

    name: str = Field(min_length=1, description="The stack's name; its state and plans carry it.")


class StateTable(Table):
    """``[state]``."""

    backend: Literal["local"] = Field("local", description="Where the state lives.")
    directory: str = Field(
        ".reconciler",
        min_length=1,
        description="Directory of state, journals and lock, from the stack's own.",
    )


class PolicyTable(Table):
    """``[policy]``."""

    max_cpu_cores: Limit | None = Field(None, description="Most CPU cores that one spec may ask for.")
    max_memory_gb: Limit | None = Field(None, description="Most memory, in GiB as the guides count.")
    max_gpus: Limit | None = Field(None, description="Most GPUs that one spec may ask for.")
    allowed_scopes: list[str] | None = Field(None, description="Scopes that specs may choose.")
    allowed_images: list[str] | None = Field(None, description="Globs that images must match.")
    not_secret: list[str] = Field(
        default_factory=list,
        description="Globs over keys of specs (environment_variables.PAD_TOKEN) that look like secrets "
        "and are none.",
    )
    max_delete_fraction: float = Field(
        Policy().max_delete_fraction,
        ge=0,
        le=1,
        description="Largest share of the managed resources that a plan may delete or replace "
        "without --allow-deletes.",
    )

    heal: list[Literal["update", "create", "replace"]] = Field(
        default_factory=list,
        description="What `drift --heal` may do: update fields, create what is gone, replace what cannot "
        "be updated. Nothing when absent.",
    )

    def value(self) -> Policy:
        """As the core wants it."""
        return Policy(
            max_cpu_cores=self.max_cpu_cores,
            max_memory_gb=self.max_memory_gb,
            max_gpus=self.max_gpus,
            allowed_scopes=None if self.allowed_scopes is None else tuple(self.allowed_scopes),
            allowed_images=None if self.allowed_images is None else tuple(self.allowed_images),
            max_delete_fraction=self.max_delete_fraction,
            heal=tuple(dict.fromkeys(self.heal)),
        )


class ApplyTable(Table):
    """``[apply]``."""

    parallelism: int = Field(10, ge=1, le=256, description="How many steps run at once.")
    on_failure: Literal["rollback", "stop", "continue"] = Field(
        "rollback", description="What a failed step means for the rest of the run."
    )


class MovedTable(Table):
    """One ``[[moved]]``."""

    old: Address = Field(alias="from", description="The address that the state knows the object by.")
    new: Address = Field(alias="to", description="Its address in the specs now.")

    @model_validator(mode="after")
    def _fits(self) -> Self:
        old, new = ResourceAddress.parse(self.old), ResourceAddress.parse(self.new)
        if old == new:
            raise refuse(f"{old} is moved to itself", "Remove this entry.")
        if old.kind != new.kind:
            # Its id would be looked for among objects that it is none of, and its object forgotten.
            raise refuse(f"{old} and {new} are of different kinds", "Keep the kind; change the name.")
        return self


def _day(value: Any) -> Any:
    """A day in TOML has no quotes; a moment would leave open in which time zone it ends."""
    if isinstance(value, datetime) or not isinstance(value, date):
        raise refuse("`expires` is a day", "Write it without quotes: expires = 2027-03-31.")
    return value


def _glob(text: str) -> str:
    if len(text.split(".")) < 3 and "*" not in text:
        raise refuse(
            f"{text!r} is no address and no glob over addresses",
            'Write PLATFORM.KIND.NAME, such as "runai.environment.lab", or "runai.environment.lab-*".',
        )
    return text


class AcceptedDriftTable(Table):
    """One ``[[accept_drift]]``: a field that may differ from what was applied, until a day."""

    address: Annotated[str, AfterValidator(_glob)] = Field(
        description="An address, or a glob over addresses."
    )
    field: str | None = Field(
        None, min_length=1, description="The field, with dots: environment_variables.NCCL_DEBUG; or a glob."
    )
    fields: list[Annotated[str, Field(min_length=1)]] | None = Field(
        None, min_length=1, description="Several fields."
    )
    reason: str = Field(min_length=1, description="Why it may differ.")
    owner: str = Field(min_length=1, description="Who answers for it.")
    expires: Annotated[date, BeforeValidator(_day)] = Field(
        description="The last day (UTC) on which it is accepted."
    )

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if self.field is not None and self.fields is not None:
            raise refuse("`field` and `fields` exclude each other", "Keep one of them.")
        if self.field is None and self.fields is None:
            raise refuse(
                "which field? `field` is missing",
                'Add `field = "image"`; `field = "*"` accepts every field of the resource.',
            )
        return self

    def value(self) -> Acceptance:
        """As the core wants it."""
        fields = (self.field,) if self.field is not None else tuple(self.fields or ())
        return Acceptance(self.address, fields, self.reason, self.owner, self.expires.isoformat())


_REFERENCE = 'Refer to it: { env = "NAME" }, { file = "PATH" } or { command = ["pass", "show", "NAME"] }.'


class Reference(Table):
    """Where a secret comes from: an environment variable, a file, or a command's output."""

    env: str | None = Field(None, min_length=1, description="Name of an environment variable.")
    file: str | None = Field(None, min_length=1, description="Path of a file, from the stack's directory.")
    command: list[str] | None = Field(
        None, min_length=1, description="A program and its arguments; no shell."
    )

    @model_validator(mode="before")
    @classmethod
    def _is_none(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            raise refuse("a secret must not stand here", _REFERENCE)
        return value

    @model_validator(mode="after")
    def _one(self) -> Self:
        if sum(getattr(self, name) is not None for name in ("env", "file", "command")) != 1:
            raise refuse("a secret has one source", "Give one of `env`, `file` and `command`.")
        return self


_NEEDS = {
    "webhook": ("url",),
    "slack": ("url",),
    "github": ("repository", "token"),
    "gitlab": ("project", "token"),
}
_MAY_HAVE = {
    "webhook": {"token"},
    "slack": set[str](),
    "github": {"endpoint", "labels"},
    "gitlab": {"endpoint", "labels"},
}
_FORGES = {"github": "https://api.github.com", "gitlab": "https://gitlab.com"}


def _address_of_api(text: str) -> str:
    parts = urlsplit(text)
    here = parts.hostname in ("localhost", "127.0.0.1", "::1")
    if parts.username is not None or parts.password is not None:
        raise refuse("credentials do not belong into an address", "Use `token`.")
    if not parts.hostname or not (parts.scheme == "https" or (parts.scheme == "http" and here)):
        raise refuse("this is no address of an API", 'Give "https://HOST", of GitHub with its path: /api/v3.')
    return text.rstrip("/")


class NotifyTable(Table):
    """One ``[[notify]]``: whom `drift --notify` tells."""

    kind: Literal["webhook", "slack", "github", "gitlab"] = Field(
        description="webhook: JSON; slack: a chat; github, gitlab: an issue."
    )
    name: str | None = Field(None, min_length=1, description="Its name, when not its kind.")
    url: Reference | None = Field(None, description="Address of the hook, by reference.")
    token: Reference | None = Field(None, description="Access token, by reference.")
    endpoint: Annotated[str, AfterValidator(_address_of_api)] | None = Field(
        None, description="Address of the forge's API; that of its cloud when absent."
    )
    repository: str | None = Field(
        None, pattern=r"^[\w.-]+/[\w.-]+$", description="github: OWNER/NAME of the repository."
    )
    project: str | None = Field(None, min_length=1, description="gitlab: path or id of the project.")
    labels: list[str] | None = Field(None, description="Labels of the issue.")

    @model_validator(mode="after")
    def _fits(self) -> Self:
        wanted, allowed = _NEEDS[self.kind], {*_NEEDS[self.kind], *_MAY_HAVE[self.kind]}
        for name in ("url", "token", "endpoint", "repository", "project", "labels"):
            if getattr(self, name) is None and name in wanted:
                raise refuse(f"a {self.kind} notification needs `{name}`", f"Add `{name} = …`.")
            if getattr(self, name) is not None and name not in allowed:
                raise refuse(f"a {self.kind} notification has no `{name}`", "Remove it.")
        return self

    def value(self) -> Notification:
        """As the core wants it."""
        return Notification(
            name=self.name or self.kind,
            kind=self.kind,
            url=self.url.model_dump(exclude_none=True) if self.url is not None else None,
            token=self.token.model_dump(exclude_none=True) if self.token is not None else None,
            endpoint=self.endpoint or _FORGES.get(self.kind, ""),
            project=self.repository or self.project or "",
            labels=tuple(self.labels or ()),
        )


def _named_apart(entries: list[NotifyTable]) -> list[NotifyTable]:
    for name, count in Counter(one.name or one.kind for one in entries).items():
        if count > 1:
            raise refuse(f"{count} notifications are called {name!r}", "Give each a `name` of its own.")
    return entries


def _unambiguous(moves: list[MovedTable]) -> list[MovedTable]:
    for end, addresses in (
        ("from", Counter(move.old for move in moves)),
        ("to", Counter(move.new for move in moves)),
    ):
        for address, count in addresses.items():
            if count > 1:
                raise refuse(f"{count} entries have `{end}` = {address}", "Keep the one that is meant.")
    return moves


class ConfigModel(Table):
    """``reconciler.toml``."""

    stack: StackTable
    state: StateTable = StateTable()
    platforms: dict[str, dict[str, Any]] = Field(min_length=1, description="The platforms, by name.")
    policy: PolicyTable = PolicyTable()
    apply: ApplyTable = ApplyTable()
    accept_drift: list[AcceptedDriftTable] = Field(
        default_factory=list, description="Drift that is accepted until a day."
    )
    notify: Annotated[list[NotifyTable], AfterValidator(_named_apart)] = Field(
        default_factory=list, description="Whom `drift --notify` tells."
    )
    moved: Annotated[list[MovedTable], AfterValidator(_unambiguous)] = Field(default_factory=list)
