"""The paths of the API, who answers each, and what every answer carries."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from reconciler.providers.azureml.emulator.answers import Refused, arm_error, refuse
from reconciler.providers.azureml.emulator.asking import Ask, Paths, Room
from reconciler.providers.azureml.emulator.birth import give_birth, open_places
from reconciler.providers.azureml.emulator.budgets import Budget, Budgets
from reconciler.providers.azureml.emulator.environments import Environments
from reconciler.providers.azureml.emulator.listings import Listings
from reconciler.providers.azureml.emulator.options import PLAIN, Options
from reconciler.providers.azureml.emulator.places import Places
from reconciler.providers.azureml.emulator.store import FORMAT, SCHEMA, Platform, Principal
from reconciler.providers.azureml.emulator.tokens import Tokens
from reconciler.providers.azureml.emulator.versions import Versions
from reconciler.providers.emulator import Answer, Call, Endpoint, Fault, Faults, Handler, Store

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

__all__ = ["build_app", "create_app"]

_Rooms = Mapping[str, Mapping[str, Room]]
"""For each path below a place, for each method, who answers."""


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
        self._rooms: Final[Mapping[str, Paths[Mapping[str, Room]]]] = {
            kind: Paths(rooms) for kind, rooms in _rooms(platform, self._places).items()
        }
        self._open: Final = Paths(self._open_paths())
        self._nowhere = Endpoint({}, lambda status, message: refuse(404, "There is no such path."))

    def _open_paths(self) -> dict[str, Endpoint]:
        """What is asked without a token."""
        tokens = self._tokens
        return {
            path: Endpoint(handlers, refuse)
            for path, handlers in {
                "{tenant}/oauth2/v2.0/token": {"POST": tokens.issue},
                "{tenant}/v2.0/.well-known/openid-configuration": {"GET": tokens.configuration},
                "common/discovery/instance": {"GET": tokens.instances},
                "metadata/identity/oauth2/token": {"GET": tokens.metadata_service},
                "msi/token": {"GET": tokens.app_service},
            }.items()
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            path: str = scope["path"]
            steps = path.removeprefix(scope.get("root_path", "")).split("/")[1:]
            endpoint, params = self._endpoint(steps)
            await endpoint({**scope, "path_params": params}, receive, send)

    def _endpoint(self, steps: list[str]) -> tuple[Endpoint, dict[str, str]]:
        found = self._open.find(steps)
        if found is not None:
            return found
        address = self._places.address(steps)
        if address is None:
            return self._nowhere, {}
        rooms = self._rooms[address.kind].find(address.rest)
        if rooms is None:
            return self._nowhere, {}
        handlers, params = rooms
        return self._checked(handlers), {**params, **address.params}

    def _checked(self, handlers: Mapping[str, Room]) -> Endpoint:
        return Endpoint({method: self._let_in(room) for method, room in handlers.items()}, refuse)

    def _let_in(self, room: Room) -> Handler:
        """*room*, asked only about a place that is there, by a caller with a token that may do it."""

        def handle(call: Call) -> Answer:
            budget = self._budgets.of(call.method)
            try:
                answer = self._admitted(call, budget, room)
            except Refused as refused:
                answer = refused.answer
            return self._budgets.labelled(answer, call, budget)

        return handle

    def _admitted(self, call: Call, budget: Budget, room: Room) -> Answer:
        who = self._tokens.principal(call)
        budget.spend(who)
        query = call.query
        if not query.get("api-version"):
            return _UNVERSIONED
        place = self._places.found(call.params)
        if call.method not in ("GET", "HEAD") and who.role == "reader":
            return _forbidden(who, call.path)
        return room(Ask(call, who, place, query, call.params))


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


def _rooms(platform: Platform, places: Places) -> dict[str, _Rooms]:
    """Who answers what, for each kind of place."""
    listings = Listings(platform)
    environments = Environments(platform, listings)
    versions = Versions(platform, environments, listings)
    assets: _Rooms = {
        "environments": {"GET": environments.list},
        "environments/{name}": {
            "GET": environments.read,
            "PUT": environments.write,
            "DELETE": environments.delete,
        },
        "environments/{name}/versions": {"GET": versions.list},
        "environments/{name}/versions/{version}": {
            "GET": versions.read,
            "PUT": versions.write,
            "DELETE": versions.delete,
        },
    }
    return {
        "workspaces": {"": {"GET": places.read}, **assets},
        "registries": {},
        "groups": {"": {"GET": places.list_in_group}},
        "subscriptions": {"": {"GET": places.list_in_subscription}},
    }
