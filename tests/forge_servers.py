"""GitHub and GitLab as their REST documents have them: the calls we make, on a loopback port, remembered.

They answer in the documents' own shapes and refuse what the documents say is
refused: no token, an account that may not, a text that is too long, a page
that is not there.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

TOKEN = "ghs_the-token-of-the-job"
HEAD = "a" * 40
MERGE = "c" * 40


@dataclass(frozen=True)
class Asked:
    """A request that arrived."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: Any

    @property
    def line(self) -> str:
        return f"{self.method} {self.path}"


@dataclass
class Fault:
    """What becomes of the next requests whose method and path match: an answer, or none.

    ``status`` 0 cuts the connection, after the effect when ``done``.
    """

    what: str
    status: int
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    times: int = 1
    done: bool = False


class Refused(Exception):
    """An answer that is an error, in the forge's own shape."""

    def __init__(self, status: int, body: Any) -> None:
        super().__init__(status)
        self.status, self.body = status, body


class ForgeServer:
    """What both servers share: routes, pages, faults, a clock that ticks once for each write."""

    page_size = 100

    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self.faults: list[Fault] = []
        self.ticks = 0
        self.next_id = 1000
        self.url = ""
        self.routes: list[tuple[str, re.Pattern[str], Callable[..., Any]]] = []
        self.lock = threading.Lock()

    def route(self, method: str, pattern: str, answer: Callable[..., Any]) -> None:
        self.routes.append((method, re.compile(pattern), answer))

    @property
    def lines(self) -> list[str]:
        """Methods and paths, in order."""
        return [one.line for one in self.asked]

    @property
    def writes(self) -> list[str]:
        """Those that change something."""
        return [line for line in self.lines if not line.startswith("GET ")]

    def tick(self) -> str:
        self.ticks += 1
        return f"2025-06-01T10:{self.ticks // 60:02d}:{self.ticks % 60:02d}Z"

    def new_id(self) -> int:
        self.next_id += 1
        return self.next_id

    def answer(self, asked: Asked) -> tuple[int, Any, dict[str, str]]:
        self.authenticate(asked)
        for method, pattern, call in self.routes:
            found = pattern.fullmatch(asked.path)
            if method == asked.method and found:
                status, body = call(asked, *found.groups())
                if asked.method == "GET" and isinstance(body, list):
                    return (status, *self.paged(asked, body))
                return status, body, {}
        raise Refused(404, {"message": self.not_found})

    not_found = "Not Found"

    def authenticate(self, asked: Asked) -> None:
        if asked.headers.get("authorization") != f"Bearer {TOKEN}":
            raise Refused(401, {"message": "Bad credentials"})

    def paged(self, asked: Asked, items: list[Any]) -> tuple[list[Any], dict[str, str]]:
        size = min(int(asked.query.get("per_page", "30")), self.page_size)
        page = int(asked.query.get("page", "1"))
        shown = items[(page - 1) * size : page * size]
        link = f'<{self.url}{asked.path}?page={page + 1}&per_page={size}>; rel="next"'
        return shown, {"link": link} if page * size < len(items) else {}

    @contextmanager
    def running(self) -> Iterator[ForgeServer]:
        """Listen."""
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_any(self) -> None:
                parts = urlsplit(self.path)
                data = self.rfile.read(int(self.headers.get("content-length") or 0))
                asked = Asked(
                    self.command,
                    parts.path,
                    {key: values[-1] for key, values in parse_qs(parts.query).items()},
                    {key.lower(): value for key, value in self.headers.items()},
                    json.loads(data) if data else None,
                )
                with server.lock:
                    server.asked.append(asked)
                    fault = next(
                        (one for one in server.faults if one.times and re.search(one.what, asked.line)), None
                    )
                    if fault is not None:
                        fault.times -= 1
                        if fault.done:
                            server.answer(asked)
                        if not fault.status:
                            self.close_connection = True
                            return
                        status, body, headers = fault.status, fault.body, fault.headers
                    else:
                        try:
                            status, body, headers = server.answer(asked)
                        except Refused as refused:
                            status, body, headers = refused.status, refused.body, {}
                text = body if isinstance(body, bytes) else json.dumps(body).encode()
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(text) if status != 204 else 0))
                self.end_headers()
                if status != 204:
                    self.wfile.write(text)

            do_GET = do_POST = do_PATCH = do_PUT = do_DELETE = handle_any

            def log_message(self, *_: Any) -> None:
                pass

        listener = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        listener.daemon_threads = True
        self.url = f"http://127.0.0.1:{listener.server_port}"
        thread = threading.Thread(target=listener.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield self
        finally:
            listener.shutdown()
            listener.server_close()
            thread.join()


class GitHubServer(ForgeServer):
    """Source: GitHub's REST documents, version 2022-11-28."""

    def __init__(self, prefix: str = "") -> None:
        super().__init__()
        self.account = "github-actions[bot]"
        self.is_app = True
        self.checks_permitted = True
        self.statuses_permitted = True
        self.comments: list[dict[str, Any]] = []
        self.check_runs: list[dict[str, Any]] = []
        self.statuses: list[dict[str, Any]] = []
        self.reviews: list[dict[str, Any]] = []
        self.permissions = {"alice": "admin", "bob": "write", "eve": "read"}
        self.pull = {
            "number": 7,
            "html_url": "https://github.example.com/team/stacks/pull/7",
            "state": "open",
            "user": {"login": "alice"},
            "head": {"sha": HEAD},
            "base": {"sha": "b" * 40},
            "merged_at": None,
            "merge_commit_sha": "d" * 40,
            "merged_by": None,
        }
        repo = prefix + "/repos/team/stacks"
        self.route("GET", f"{prefix}/user", self._user)
        self.route("GET", repo + r"/issues/7/comments", lambda asked: (200, self.comments))
        self.route("POST", repo + r"/issues/7/comments", self._comment)
        self.route("PATCH", repo + r"/issues/comments/(\d+)", self._edit)
        self.route("DELETE", repo + r"/issues/comments/(\d+)", self._delete)
        self.route("GET", repo + r"/commits/(\w+)/check-runs", self._check_runs)
        self.route("POST", repo + r"/check-runs", self._check)
        self.route("PATCH", repo + r"/check-runs/(\d+)", self._recheck)
        self.route("GET", repo + r"/commits/(\w+)/statuses", self._statuses)
        self.route("POST", repo + r"/statuses/(\w+)", self._status)
        self.route("GET", repo + r"/commits/(\w+)/pulls", self._pulls)
        self.route("GET", repo + r"/pulls/7", lambda asked: (200, self.pull))
        self.route("GET", repo + r"/pulls/7/reviews", lambda asked: (200, self.reviews))
        self.route("GET", repo + r"/collaborators/([^/]+)/permission", self._permission)

    # --- what people do ---

    def said(self, login: str, body: str) -> dict[str, Any]:
        """Somebody comments."""
        now = self.tick()
        one = {
            "id": self.new_id(),
            "html_url": f"https://github.example.com/team/stacks/pull/7#issuecomment-{self.next_id}",
            "body": body,
            "user": {"login": login, "type": "Bot" if login.endswith("[bot]") else "User"},
            "created_at": now,
            "updated_at": now,
        }
        self.comments.append(one)
        return one

    def reviewed(self, login: str, state: str = "APPROVED", commit: str = HEAD) -> None:
        """Somebody reviews."""
        self.reviews.append(
            {
                "id": self.new_id(),
                "user": {"login": login},
                "state": state,
                "commit_id": commit,
                "submitted_at": self.tick(),
            }
        )

    def merged(self, login: str = "bob", commit: str = MERGE) -> None:
        """Somebody merges."""
        self.pull |= {
            "state": "closed",
            "merged_at": self.tick(),
            "merge_commit_sha": commit,
            "merged_by": {"login": login},
        }

    # --- the API ---

    def _user(self, asked: Asked) -> tuple[int, Any]:
        if self.is_app:
            raise Refused(403, {"message": "Resource not accessible by integration"})
        return 200, {"login": self.account, "id": 1, "type": "User"}

    def _comment(self, asked: Asked) -> tuple[int, Any]:
        return 201, self.said(self.account, self._body(asked))

    def _body(self, asked: Asked) -> str:
        body = asked.body["body"]
        if not isinstance(body, str) or len(body) > 65_536:
            error = {"resource": "IssueComment", "code": "unprocessable", "field": "data"}
            error["message"] = "Body is too long (maximum is 65536 characters)"
            raise Refused(422, {"message": "Validation Failed", "errors": [error]})
        return body

    def _one(self, number: str) -> dict[str, Any]:
        for one in self.comments:
            if one["id"] == int(number):
                return one
        raise Refused(404, {"message": self.not_found})

    def _edit(self, asked: Asked, number: str) -> tuple[int, Any]:
        one = self._one(number)
        one |= {"body": self._body(asked), "updated_at": self.tick()}
        return 200, one

    def _delete(self, asked: Asked, number: str) -> tuple[int, Any]:
        self.comments.remove(self._one(number))
        return 204, None

    def _check_runs(self, asked: Asked, commit: str) -> tuple[int, Any]:
        found = [
            one
            for one in self.check_runs
            if one["head_sha"] == commit and one["name"] == asked.query.get("check_name", one["name"])
        ]
        page = int(asked.query.get("page", "1"))
        return 200, {"total_count": len(found), "check_runs": found if page == 1 else []}

    def _check(self, asked: Asked) -> tuple[int, Any]:
        if not self.checks_permitted:
            raise Refused(403, {"message": "Resource not accessible by personal access token"})
        assert {"name", "head_sha", "status", "conclusion", "output"} <= asked.body.keys()
        assert {"title", "summary"} <= asked.body["output"].keys()
        one = {"id": self.new_id(), **asked.body, "app": {"slug": self.account.removesuffix("[bot]")}}
        self.check_runs.append(one)
        return 201, one

    def _recheck(self, asked: Asked, number: str) -> tuple[int, Any]:
        one = next(one for one in self.check_runs if one["id"] == int(number))
        one |= asked.body
        return 200, one

    def _statuses(self, asked: Asked, commit: str) -> tuple[int, Any]:
        return 200, [one for one in reversed(self.statuses) if one["sha"] == commit]

    def _status(self, asked: Asked, commit: str) -> tuple[int, Any]:
        if not self.statuses_permitted:
            raise Refused(403, {"message": "Resource not accessible by personal access token"})
        if len(asked.body["description"]) > 140:
            raise Refused(422, {"message": "Validation Failed", "errors": ["description is too long"]})
        one = {"id": self.new_id(), "sha": commit, **asked.body, "creator": {"login": self.account}}
        self.statuses.append(one)
        return 201, one

    def _pulls(self, asked: Asked, commit: str) -> tuple[int, Any]:
        return 200, [self.pull] if commit in (self.pull["merge_commit_sha"], HEAD) else []

    def _permission(self, asked: Asked, login: str) -> tuple[int, Any]:
        if unquote(login) not in self.permissions:
            raise Refused(404, {"message": self.not_found})
        return 200, {"permission": self.permissions[unquote(login)], "user": {"login": login}}


class GitLabServer(ForgeServer):
    """Source: GitLab's REST documents, version 4."""

    not_found = "404 Not found"

    def __init__(self) -> None:
        super().__init__()
        self.account = "project_41_bot_1f"
        self.notes: list[dict[str, Any]] = []
        self.statuses: list[dict[str, Any]] = []
        self.approved_by: list[str] = []
        self.request: dict[str, Any] = {
            "iid": 7,
            "web_url": "https://gitlab.example.com/team/stacks/-/merge_requests/7",
            "state": "opened",
            "sha": HEAD,
            "author": {"username": "alice"},
            "merge_user": None,
            "merged_at": None,
            "merge_commit_sha": None,
            "squash_commit_sha": None,
        }
        project = r"/api/v4/projects/(?:41|team%2Fstacks)"
        request = project + "/merge_requests/7"
        self.route("GET", "/api/v4/user", lambda asked: (200, {"id": 5, "username": self.account}))
        self.route("GET", request + "/notes", self._notes)
        self.route("POST", request + "/notes", self._note)
        self.route("PUT", request + r"/notes/(\d+)", self._edit)
        self.route("DELETE", request + r"/notes/(\d+)", self._delete)
        self.route("GET", request, lambda asked: (200, self.request))
        self.route("GET", request + "/approvals", self._approvals)
        self.route("GET", project + r"/repository/commits/(\w+)/statuses", self._statuses)
        self.route("POST", project + r"/statuses/(\w+)", self._status)
        self.route(
            "GET",
            project + r"/repository/commits/(\w+)/merge_requests",
            lambda asked, commit: (200, [self.request]),
        )

    def authenticate(self, asked: Asked) -> None:
        if asked.headers.get("authorization") != f"Bearer {TOKEN}":
            raise Refused(401, {"message": "401 Unauthorized"})

    # --- what people do ---

    def said(self, login: str, body: str, *, system: bool = False) -> dict[str, Any]:
        """Somebody comments, or GitLab itself does in their name."""
        now = self.tick().replace("Z", ".250Z")
        one = {
            "id": self.new_id(),
            "body": body,
            "author": {"username": login},
            "created_at": now,
            "updated_at": now,
            "system": system,
        }
        self.notes.append(one)
        return one

    def approved(self, login: str) -> None:
        """Somebody approves."""
        self.approved_by.append(login)
        self.said(login, "approved this merge request", system=True)

    def unapproved(self, login: str) -> None:
        """And thinks better of it."""
        self.approved_by.remove(login)
        self.said(login, "unapproved this merge request", system=True)

    def merged(self, login: str = "bob", commit: str | None = MERGE) -> None:
        """Somebody merges; with no *commit*, by fast-forward."""
        self.request |= {
            "state": "merged",
            "merged_at": self.tick(),
            "merge_commit_sha": commit,
            "merge_user": {"username": login},
        }

    # --- the API ---

    def _notes(self, asked: Asked) -> tuple[int, Any]:
        return 200, self.notes if asked.query.get("sort") == "asc" else self.notes[::-1]

    def _note(self, asked: Asked) -> tuple[int, Any]:
        return 201, self.said(self.account, asked.body["body"])

    def _one(self, number: str) -> dict[str, Any]:
        return next(one for one in self.notes if one["id"] == int(number))

    def _edit(self, asked: Asked, number: str) -> tuple[int, Any]:
        one = self._one(number)
        one |= {"body": asked.body["body"], "updated_at": self.tick()}
        return 200, one

    def _delete(self, asked: Asked, number: str) -> tuple[int, Any]:
        self.notes.remove(self._one(number))
        return 204, None

    def _approvals(self, asked: Asked) -> tuple[int, Any]:
        return 200, {"approved_by": [{"user": {"username": login}} for login in self.approved_by]}

    def _statuses(self, asked: Asked, commit: str) -> tuple[int, Any]:
        wanted = asked.query.get("name")
        return 200, [one for one in self.statuses if one["sha"] == commit and wanted in (None, one["name"])]

    def _status(self, asked: Asked, commit: str) -> tuple[int, Any]:
        body = asked.body
        if any(
            (one["sha"], one["name"], one["status"]) == (commit, body["name"], body["state"])
            for one in self.statuses
        ):
            raise Refused(
                400,
                {"message": "Cannot transition status via :succeed from :success"},
            )
        one = {
            "id": self.new_id(),
            "sha": commit,
            "status": body["state"],
            "name": body["name"],
            "description": body["description"],
            "target_url": body.get("target_url"),
            "author": {"username": self.account},
        }
        self.statuses.append(one)
        return 201, one
