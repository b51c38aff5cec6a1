"""The paths of both servers, and who answers each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Final, Literal

from reconciler.providers.aenvironment.emulator.archives import Archives
from reconciler.providers.aenvironment.emulator.birth import BENCHMARK_IMAGES, give_birth
from reconciler.providers.aenvironment.emulator.cluster import refused
from reconciler.providers.aenvironment.emulator.environments import EnvHub, Profile
from reconciler.providers.aenvironment.emulator.gate import Gate
from reconciler.providers.aenvironment.emulator.gin import Engine, Route
from reconciler.providers.aenvironment.emulator.instances import Instances
from reconciler.providers.aenvironment.emulator.services import Services
from reconciler.providers.aenvironment.emulator.store import FORMAT, SCHEMA
from reconciler.providers.emulator import Answer, Call, Handler, Store

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

__all__ = ["Options", "Part", "create_app"]


Part = Literal["both", "hub", "api-service"]
"""EnvHub and api-service are two servers at two addresses; inside a process, one app can be both."""


@dataclass(frozen=True, slots=True)
class Options:
    """How the platform was installed.

    ``profile``: the release of the servers. ``bucket``: whether EnvHub has a
    bucket for archives.

    Of the api-service: ``tokens`` is None when it asks for none; otherwise
    those it lets in, and none at all with an EnvHub that cannot be asked
    about tokens, as released. ``qps``: creations a second. ``startup``:
    seconds until a new pod is ready. ``cleanup``: seconds between two looks
    for instances whose time is over. ``services``: False for the stock
    chart, with which every call about services fails. ``pod_templates`` and
    ``template_variables``: what the chart ships for instances, and what its
    template for services puts into the environment of the container.
    """

    profile: Profile = "v0.1"
    bucket: bool = False
    tokens: tuple[str, ...] | None = None
    qps: int = 100
    startup: float = 0.0
    cleanup: float = 300.0
    services: bool = True
    pod_templates: tuple[str, ...] = ("singleContainer", "dualContainer")
    template_variables: Mapping[str, str] = field(default_factory=dict)


def create_app(
    store: Store,
    *,
    clock: Callable[[], datetime],
    new_id: Callable[[], str],
    options: Options = Options(),
    part: Part = "both",
) -> ASGIApp:
    """The platform that lives in *store*, which a new store is given its first objects.

    *part* is the server that the app is; two apps on one store are one
    platform. *clock* answers the present with its zone; *new_id* answers an unused
    UUID each time. Raises ValueError when the store holds another format.
    """
    store.install("aenvironment", FORMAT, SCHEMA, lambda db: give_birth(db, new_id() + new_id()))
    hub = _hub(store, clock, options)
    api_service = _api_service(store, clock, new_id, options)
    if part != "both":
        return hub if part == "hub" else api_service

    async def both(scope: Scope, receive: Receive, send: Send) -> None:
        path: str = scope.get("path", "").removeprefix(scope.get("root_path", ""))
        server = api_service if path.startswith(("/env-instance", "/env-service")) else hub
        await server(scope, receive, send)

    return both


def _hub(store: Store, clock: Callable[[], datetime], options: Options) -> Engine:
    hub = EnvHub(store, clock, options.profile)
    archives = Archives(store, clock, bucket=options.bucket, images=BENCHMARK_IMAGES)
    one = "/env/:name/:version"
    routes = [
        Route("GET", one, hub.read),
        Route("PUT", one, hub.update),
        Route("GET", f"{one}/exists", hub.exists),
        Route("GET", f"{one}/status", hub.status),
        Route("POST", f"{one}/release", hub.release),
        Route("POST", f"{one}/sign", archives.sign),
        Route("POST", f"{one}/aci_trigger", hub.trigger),
        Route("GET", "/env/", hub.list_all),
        Route("POST", "/env/", hub.create),
        Route("GET", "/data", archives.data),
        Route("GET", "/health", hub.health),
        Route("PUT", "/oss/aenv/:name", archives.upload),
        Route("GET", "/oss/aenv/:name", archives.download),
    ]
    if options.profile == "next":
        routes += [
            Route("GET", "/env", hub.list_all),
            Route("POST", "/env", hub.create),
            Route("GET", "/console", _console),
            Route("GET", "/console/*rest", _console),
        ]
    return Engine(routes, redirects=options.profile == "v0.1")


def _api_service(
    store: Store, clock: Callable[[], datetime], new_id: Callable[[], str], options: Options
) -> Engine:
    gate = Gate(clock, tokens=options.tokens, qps=options.qps)
    instances = Instances(
        store,
        clock=clock,
        new_id=new_id,
        profile=options.profile,
        startup=options.startup,
        cleanup=options.cleanup,
        templates=options.pod_templates,
    )
    services = Services(
        store, clock=clock, new_id=new_id, startup=options.startup, variables=options.template_variables
    )

    def served(doing: str, handle: Handler) -> Handler:
        return handle if options.services else lambda call: _unserved(doing)

    instance, service = "/env-instance/:id", "/env-service/:id"
    routes = [
        Route("POST", "/env-instance", gate.limited(instances.create)),
        Route("GET", instance, gate.checked(instances.read)),
        Route("DELETE", instance, gate.checked(instances.delete)),
        Route("GET", "/env-instance/:selection/list", gate.checked(instances.list_all)),
        Route("POST", "/env-service", gate.limited(served("create service", services.create))),
        Route("GET", service, gate.checked(served("query service", services.read))),
        Route("PUT", service, gate.checked(served("update service", services.update))),
        Route("DELETE", service, gate.checked(served("delete service", services.delete))),
        Route(
            "GET", "/env-service/:selection/list", gate.checked(served("list services", services.list_all))
        ),
    ]
    if options.profile == "next":
        routes.append(Route("POST", f"{instance}/presign-url", gate.checked(instances.presign)))
    return Engine(routes, redirects=True)


def _unserved(doing: str) -> Answer:
    """The controller of the stock chart may touch pods only."""
    raise refused(doing, 403, "deployments.apps is forbidden: cannot access resource in API group apps")


_CONSOLE: Final = b"<!doctype html><title>EnvHub</title><p>The console is a program of the browser.</p>"


def _console(call: Call) -> Answer:
    return Answer(200, _CONSOLE, ((b"content-type", b"text/html; charset=utf-8"),))
