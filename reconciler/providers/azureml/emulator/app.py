"""The paths of the API, who answers each, and what every answer carries."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from reconciler.providers.azureml.emulator.answers import Refused, arm_error, refuse
from reconciler.providers.azureml.emulator.asking import Ask, Paths, Room
from reconciler.providers.azureml.emulator.birth import give_birth, open_places
from reconciler.providers.azureml.emulator.blobs import Blobs
from reconciler.providers.azureml.emulator.budgets import Budget, Budgets
from reconciler.providers.azureml.emulator.options import PLAIN, Options
from reconciler.providers.azureml.emulator.places import Places
from reconciler.providers.azureml.emulator.rooms import Rooms
from reconciler.providers.azureml.emulator.store import FORMAT, SCHEMA, Platform, Principal
from reconciler.providers.azureml.emulator.tokens import Tokens
from reconciler.providers.emulator import Answer, Call, Endpoint, Fault, Faults, Handler, Store

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

__all__ = ["build_app", "create_app"]


def create_app(
    file: Path | None,
    *,
    clock: Callable[[], datetime],
    new_id: Callable[[], str],
    options: Options = PLAIN,
    faults: Sequence[Fault] = (),
    served: bool = False,
) -> ASGIApp:
    """The platform that lives in *file*, or in memory when that is None, with these faults.

    *clock* and *new_id* are those of `build_app`. *served* says that a server
    runs it, so that connections can be cut. Raises ValueError when the file
    holds another format.
    """
    app = build_app(Store(file), clock=clock, new_id=new_id, options=options)
    return Faults(faults).around(app, refuse=refuse, cut_connections=served) if faults else app


def build_app(
    store: Store,
    *,
    clock: Callable[[], datetime],
    new_id: Callable[[], str],
    options: Options = PLAIN,
) -> ASGIApp:
    """The platform that lives in *store*, which a new store is given its first objects.

    *clock* answers the present with its zone; *new_id* answers an unused
    UUID each time. Raises ValueError when the store holds another format.
    """
    store.install("azureml", FORMAT, SCHEMA, lambda db: give_birth(db, new_id() + new_id()))
    found = store.row("SELECT value FROM azureml_setting WHERE name = 'key'")
    assert found is not None
    platform = Platform(store, clock, new_id, options, str(found[0]).encode())
    return _Door(platform)


class _Door:
    """Finds who answers a path, lets in who may ask, and puts the usual headers on what they answer."""

    def __init__(self, platform: Platform) -> None:
        self._tokens = Tokens(platform)
        self._places = Places(platform, open_places(platform.store, platform.options, platform.now()))
        self._budgets = Budgets(platform)
        rooms = Rooms(platform, self._places)
        self._rooms: Final = {
            kind: Paths(
                {path: self._checked(handlers, is_arm=" " not in kind) for path, handlers in table.items()}
            )
            for kind, table in rooms.tables.items()
        }
        self._open: Final = Paths(self._open_paths(rooms))
        self._blobs: Final = Endpoint(Blobs(platform, rooms.keys).handlers, refuse)
        self._nowhere: Final = Endpoint(dict.fromkeys(_METHODS, _nowhere), refuse)

    def _open_paths(self, rooms: Rooms) -> dict[str, Endpoint]:
        """What is asked without a token."""
        tokens = self._tokens
        handlers: dict[str, dict[str, Handler]] = {
            "{tenant}/oauth2/v2.0/token": {"POST": tokens.issue},
            "{tenant}/v2.0/.well-known/openid-configuration": {"GET": tokens.configuration},
            "common/discovery/instance": {"GET": tokens.instances},
            "metadata/identity/oauth2/token": {"GET": tokens.metadata_service},
            "msi/token": {"GET": tokens.app_service},
            "discovery": {"GET": rooms.service.discovery},
            "_log/{place}/{build}": {"GET": rooms.builds.log},
            "registrymanagement/v1.0/registries/{name}/discovery": {"GET": rooms.registries.discovery},
            "environment/v1.0/operations/{operation}": {"GET": rooms.operations.plain},
        }
        return {path: Endpoint(answers, refuse) for path, answers in handlers.items()}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            path: str = scope["path"]
            steps = path.removeprefix(scope.get("root_path", "")).split("/")[1:]
            endpoint, params = self._endpoint(_account(scope), steps)
            await endpoint({**scope, "path_params": params}, receive, send)

    def _endpoint(self, account: str, steps: list[str]) -> tuple[Endpoint, dict[str, str]]:
        if not account and steps[0] == "_blob" and len(steps) > 1:
            account, steps = steps[1], steps[2:]
        if account:
            container, name = (steps or [""])[0], "/".join(steps[1:])
            return self._blobs, {"account": account, "container": container, "name": name}
        found = self._open.find(steps)
        if found is not None:
            return found
        address = self._places.address(steps)
        rooms = self._rooms[address.kind].find(address.rest) if address is not None else None
        if address is None or rooms is None:
            return self._nowhere, {}
        endpoint, params = rooms
        return endpoint, {**params, **address.params}

    def _checked(self, handlers: Mapping[str, Room], *, is_arm: bool) -> Endpoint:
        return Endpoint(
            {method: self._let_in(room, is_arm=is_arm) for method, room in handlers.items()}, refuse
        )

    def _let_in(self, room: Room, *, is_arm: bool) -> Handler:
        """*room*, asked only about a place that is there, by a caller with a token that may do it."""

        def handle(call: Call) -> Answer:
            budget = self._budgets.of(call.method)
            try:
                answer = self._admitted(call, budget, room, is_arm=is_arm)
            except Refused as refused:
                answer = refused.answer
            return self._budgets.labelled(answer, call, budget)

        return handle

    def _admitted(self, call: Call, budget: Budget, room: Room, *, is_arm: bool) -> Answer:
        who = self._tokens.principal(call)
        budget.spend(who)
        query = call.query
        if is_arm and not query.get("api-version"):
            return _UNVERSIONED
        place = self._places.found(call.params)
        if call.method not in ("GET", "HEAD") and who.role == "reader":
            return _forbidden(who, call.path)
        return room(Ask(call, who, place, query, call.params))


_METHODS: Final = ("DELETE", "GET", "HEAD", "PATCH", "POST", "PUT")


def _nowhere(call: Call) -> Answer:
    return refuse(404, f"There is no {call.path}")


def _account(scope: Scope) -> str:
    """The storage account that a request is addressed to by its host; empty when it is none."""
    for name, value in scope["headers"]:
        if name == b"host":
            account, blob, _ = value.decode("latin-1").partition(".blob.")
            return account if blob else ""
    return ""


_UNVERSIONED: Final = arm_error(
    400,
    "MissingApiVersionParameter",
    "The api-version query parameter (?api-version=) is required for all requests.",
)


def _forbidden(who: Principal, path: str) -> Answer:
    return arm_error(
        403,
        "AuthorizationFailed",
        f"The client '{who.client_id}' with object id '{who.object_id}' does not have authorization to"
        f" perform an action over scope '{path}' or the scope is invalid.",
    )
