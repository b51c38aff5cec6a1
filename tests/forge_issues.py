"""Servers that answer as GitHub's and GitLab's REST documents say, and one that takes webhooks."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

TOKEN = "forge-token-0123456789"
REPOSITORY = "team/stacks"


@dataclass
class Forge:
    """What stands behind a server: issues, comments, and what it was asked.

    ``broken`` maps the beginning of a request (``"POST /repos"``) to a status
    with which it is answered; ``most`` is how many entries a page has.
    """

    kind: str
    issues: list[dict[str, Any]] = field(default_factory=list)
    comments: list[tuple[int, str]] = field(default_factory=list)
    hooks: list[Any] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    broken: dict[str, int] = field(default_factory=dict)
    url: str = ""

    def put(self, count: int, **more: Any) -> None:
        """Issues of other people."""
        for _ in range(count):
            self._add({"title": "other", "body": None, "description": None, **more})

    def _add(self, issue: dict[str, Any]) -> dict[str, Any]:
        number = len(self.issues) + 1
        opened = "open" if self.kind == "github" else "opened"
        self.issues.append({"number": number, "iid": number, "state": opened, **issue})
        return self.issues[-1]

    @property
    def ours(self) -> list[dict[str, Any]]:
        """The issues that are not other people's."""
        return [one for one in self.issues if one["title"] != "other"]

    def answer(self, method: str, target: str, headers: dict[str, str], body: Any) -> tuple[int, Any]:
        """A status and a JSON value."""
        url = urlsplit(target)
        self.asked.append(f"{method} {url.path}")
        for start, status in self.broken.items():
            if f"{method} {url.path}".startswith(start):
                return status, {"message": f"as broken as {headers.get('authorization', '')}"}
        if self.kind == "hook":
            self.hooks.append(body)
            return 200, "ok"
        if headers.get("authorization") != f"Bearer {TOKEN}":
            return 401, {"message": "Bad credentials" if self.kind == "github" else "401 Unauthorized"}
        return self._github(method, url, body) if self.kind == "github" else self._gitlab(method, url, body)

    def _github(self, method: str, url: Any, body: Any) -> tuple[int, Any]:
        parts = url.path.strip("/").split("/")
        if parts[:1] != ["repos"] or "/".join(parts[1:3]) != REPOSITORY or parts[3] != "issues":
            return 404, {"message": "Not Found", "documentation_url": "https://docs.github.com/rest"}
        return self._issues(method, parts[4:], parse_qs(url.query), body, "comments")

    def _gitlab(self, method: str, url: Any, body: Any) -> tuple[int, Any]:
        parts = url.path.strip("/").split("/")
        if parts[:3] != ["api", "v4", "projects"] or unquote(parts[3]) != REPOSITORY or parts[4] != "issues":
            return 404, {"message": "404 Project Not Found"}
        return self._issues(method, parts[5:], parse_qs(url.query), body, "notes")

    def _issues(
        self, method: str, rest: list[str], query: dict[str, list[str]], body: Any, comments: str
    ) -> tuple[int, Any]:
        github = self.kind == "github"
        match method, rest:
            case "GET", []:
                wanted = query["state"][0]
                size, page = min(100, int(query["per_page"][0])), int(query["page"][0])
                # The newest come first.
                found = [one for one in reversed(self.issues) if one["state"] == wanted]
                return 200, found[(page - 1) * size : page * size]
            case "POST", []:
                if not body.get("title"):
                    return 422, {"message": "Validation Failed", "errors": [{"code": "missing_field"}]}
                assert isinstance(body["labels"], list if github else str)
                return 201, self._add(body)
            case (("PATCH" | "PUT"), [number]) if (method == "PATCH") == github:
                issue = self.issues[int(number) - 1]
                if body.pop("state_event", None) == "close":
                    issue["state"] = "closed"
                issue.update(body)
                return 200, issue
            case "POST", [number, word] if word == comments:
                self.comments.append((int(number), body["body"]))
                return 201, {}
        return 404, {"message": "Not Found"}


@contextlib.contextmanager
def serving(kind: str) -> Iterator[Forge]:
    """A forge, or a taker of webhooks (``hook``), on a port of this machine."""
    forge = Forge(kind)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _serve(self) -> None:
            data = self.rfile.read(int(self.headers.get("content-length") or 0))
            headers = {name.lower(): value for name, value in self.headers.items()}
            status, found = forge.answer(self.command, self.path, headers, json.loads(data or b"null"))
            answer = json.dumps(found).encode()
            self.send_response(status)
            self.send_header("content-length", str(len(answer)))
            if status == 429:
                self.send_header("retry-after", "0.01")
            self.end_headers()
            self.wfile.write(answer)

        do_GET = do_POST = do_PATCH = do_PUT = _serve

        def log_message(self, *_: Any) -> None:
            """Nothing is written."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    forge.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield forge
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
