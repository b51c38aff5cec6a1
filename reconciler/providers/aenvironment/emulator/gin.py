"""Routing as the web framework of both servers does it.

An unknown path or a wrong method is the same plain 404; a path that only has
a slash too many or too few is redirected, 301 for GET and 307 for the others,
its query kept. Source: gin 1.9.1.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final, NamedTuple
from urllib.parse import quote

from reconciler.providers.aenvironment.emulator.answers import TEXT, answered, refuse
from reconciler.providers.emulator import Answer, Endpoint, Handler

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send


_NOT_FOUND: Final = Answer(404, b"404 page not found", TEXT)


_KEPT: Final = "/$&+,:;=@~"
"""What Go leaves as it is in a path."""


class Route(NamedTuple):
    """``:name`` in *path* stands for one segment, ``*name`` at its end for the rest."""

    method: str
    path: str
    handler: Handler


class Engine:
    """The routes of one server as an ASGI app."""

    def __init__(self, routes: Iterable[Route], *, redirects: bool) -> None:
        self._redirects = redirects
        self._routes = [
            (route.method, _pattern(route.path), Endpoint({route.method: answered(route.handler)}, refuse))
            for route in routes
        ]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        method, root = scope["method"], scope.get("root_path", "")
        path: str = scope["path"].removeprefix(root)
        found = self._find(method, path)
        if found is not None:
            endpoint, params = found
            await endpoint({**scope, "path_params": params}, receive, send)
            return
        other = path.removesuffix("/") if path.endswith("/") else f"{path}/"
        if self._redirects and path != "/" and self._find(method, other) is not None:
            answer = _redirect(method, quote(root + other, safe=_KEPT), scope["query_string"])
        else:
            answer = _NOT_FOUND
        # By way of an endpoint, which reads the body that nobody wants: a client that is still sending
        # it may not see an answer.
        await Endpoint({method: lambda call: answer}, refuse)({**scope, "path_params": {}}, receive, send)

    def _find(self, method: str, path: str) -> tuple[ASGIApp, dict[str, str]] | None:
        for wanted, pattern, endpoint in self._routes:
            if wanted == method:
                match = pattern.fullmatch(path)
                if match is not None:
                    return endpoint, match.groupdict()
        return None


def _pattern(path: str) -> re.Pattern[str]:
    spelled = re.sub(r":(\w+)", r"(?P<\1>[^/]+)", re.sub(r"\*(\w+)$", r"(?P<\1>.*)", path))
    return re.compile(spelled, re.DOTALL)


def _redirect(method: str, path: str, query: bytes) -> Answer:
    location = path.encode() + (b"?" + query if query else b"")
    if method == "GET":
        page = b'<a href="%b">Moved Permanently</a>.\n\n' % location.replace(b"&", b"&amp;")
        return Answer(301, page, ((b"content-type", b"text/html; charset=utf-8"), (b"location", location)))
    return Answer(307, b"", ((b"location", location),))
