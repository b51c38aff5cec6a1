"""The paths of the API, and who answers each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Literal

from starlette.routing import Route, Router

from reconciler.providers.emulator import Endpoint, Store
from reconciler.providers.runai import api
from reconciler.providers.runai.emulator.answers import counted, refuse
from reconciler.providers.runai.emulator.assets import (
    COMPUTE,
    CREDENTIAL,
    ENVIRONMENT,
    Assets,
    Resource,
    Update,
)
from reconciler.providers.runai.emulator.birth import give_birth
from reconciler.providers.runai.emulator.listings import DEPARTMENTS, PROJECTS, Listing
from reconciler.providers.runai.emulator.organisation import Organisation
from reconciler.providers.runai.emulator.secrets import install_secrets
from reconciler.providers.runai.emulator.store import FORMAT, SCHEMA
from reconciler.providers.runai.emulator.tokens import Checked, Tokens

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

__all__ = ["Options", "build_app"]


@dataclass(frozen=True, slots=True)
class Options:
    """What the sources leave open, as switches.

    ``put``: whether PUT replaces the spec, or merges the fields it mentions
    into it. ``unique``: whether a name is unique at one scope, or in the
    tenant. ``page_size``: entries of a paged list when ``limit`` is not
    given, 1 to 500. ``token_lifetime``: seconds an access token is good for.
    """

    put: Literal["replace", "merge"] = "replace"
    unique: Literal["scope", "tenant"] = "scope"
    page_size: int = 50
    token_lifetime: int = 3600


def build_app(
    store: Store,
    *,
    clock: Callable[[], datetime],
    new_id: Callable[[], str],
    options: Options = Options(),
) -> ASGIApp:
    """The platform that lives in *store*, which a new store is given its first objects.

    *clock* answers the present with its zone; *new_id* answers an unused
    UUID each time. Raises ValueError when the store holds another format.
    """
    store.install("runai", FORMAT, SCHEMA, lambda db: give_birth(db, new_id() + new_id()))
    install_secrets(store)
    tokens = Tokens(store, clock, lifetime=options.token_lifetime)
    assets = Assets(store, clock=clock, new_id=new_id, put=options.put, unique=options.unique)
    organisation = Organisation(store, page_size=options.page_size)
    routes = _routes(tokens, assets, organisation)
    return Router(routes, redirect_slashes=False, default=_nowhere)


def _routes(tokens: Tokens, assets: Assets, organisation: Organisation) -> list[Route]:
    """Every path, those asked most first: the router tries them in order."""

    def route(path: str, **handlers: Checked) -> Route:
        checked = {method: tokens.checked(handle) for method, handle in handlers.items()}
        return Route(path, Endpoint(checked, refuse))

    def asset_routes(path: str, resource: Resource, create: Checked, update: Update) -> list[Route]:
        return [
            route(path, GET=lambda call, who: assets.list_assets(call, resource), POST=create),
            route(
                path + "/{id}",
                GET=lambda call, who: assets.read(call, resource),
                PUT=lambda call, who: update(call, who, resource),
                DELETE=lambda call, who: assets.delete(call, resource),
            ),
        ]

    def unit_routes(path: str, listing: Listing) -> list[Route]:
        return [
            route(path, GET=lambda call, who: organisation.list_units(call, listing)),
            route(path + "/count", GET=lambda call, who: organisation.count_units(call, listing)),
            route(path + "/{id}", GET=lambda call, who: organisation.read_unit(call, listing.kind)),
        ]

    routes = [
        *asset_routes(api.ENVIRONMENTS, ENVIRONMENT, assets.create_environment, assets.update_environment),
        *asset_routes(api.COMPUTE, COMPUTE, assets.create_compute, assets.update_compute),
        route(api.CREDENTIALS, GET=lambda call, who: assets.list_assets(call, CREDENTIAL)),
    ]
    for kind in api.CREDENTIAL_KINDS:
        resource = Resource("credential", kind.kind, kind)
        create = assets.credential_creator(kind)
        routes += asset_routes(kind.path, resource, create, assets.update_credential)
    return [
        *routes,
        route(api.CLUSTERS, GET=organisation.list_clusters),
        route(api.CLUSTERS + "/{id}", GET=organisation.read_cluster),
        *unit_routes(api.PROJECTS, PROJECTS),
        *unit_routes(api.DEPARTMENTS, DEPARTMENTS),
        route(api.WORKLOADS, GET=organisation.list_workloads),
        route(api.WORKLOADS + "/count", GET=organisation.count_workloads),
        route(api.TEMPLATES, GET=organisation.list_templates),
        route(api.ACCESS_RULES, GET=organisation.list_access_rules),
        route(api.ACCESS_RULES + "/count", GET=lambda call, who: counted(1)),
        Route(api.TOKEN_V1, Endpoint({"POST": tokens.v1}, refuse)),
        Route(api.TOKEN_V2, Endpoint({"POST": tokens.v2}, refuse)),
    ]


async def _nowhere(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "http":
        await refuse(404, "Resource not found.", f"no such path: {scope['path']}").send(send)
