"""The paths of both servers, and who answers each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Final

from reconciler.providers.aenvironment.emulator.archives import Archives
from reconciler.providers.aenvironment.emulator.birth import BENCHMARK_IMAGES, give_birth
from reconciler.providers.aenvironment.emulator.environments import EnvHub, Profile
from reconciler.providers.aenvironment.emulator.gin import Engine, Route
from reconciler.providers.aenvironment.emulator.store import FORMAT, SCHEMA
from reconciler.providers.emulator import Answer, Call, Store

if TYPE_CHECKING:
    from starlette.types import ASGIApp

__all__ = ["Options", "create_app"]


@dataclass(frozen=True, slots=True)
class Options:
    """How the platform was installed.

    ``profile``: the release of the servers. ``bucket``: whether EnvHub has a
    bucket for archives.
    """

    profile: Profile = "v0.1"
    bucket: bool = False


def create_app(
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
    store.install("aenvironment", FORMAT, SCHEMA, lambda db: give_birth(db, new_id() + new_id()))
    return _hub(store, clock, options)


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


_CONSOLE: Final = b"<!doctype html><title>EnvHub</title><p>The console is a program of the browser.</p>"


def _console(call: Call) -> Answer:
    return Answer(200, _CONSOLE, ((b"content-type", b"text/html; charset=utf-8"),))
