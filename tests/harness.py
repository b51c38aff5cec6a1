"""A stack in a directory of its own, the command line to use it with, and a hand that interferes."""

from __future__ import annotations

import asyncio
import json
import os
import sqlite3
import subprocess
import sys
import uuid
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from reconciler.cli.app import run
from reconciler.providers.emulator import Store
from reconciler.providers.runai.emulator import add_workload, build_app

CONFIG = """\
[stack]
name = "test"

[platforms.runai]
provider = "runai"
endpoint = "embedded"
patience_seconds = 0.2
"""


@dataclass(frozen=True)
class Result:
    """How a command ended, and what it said."""

    code: int
    out: str
    err: str

    @property
    def events(self) -> list[dict[str, Any]]:
        """The JSON lines of a command under ``--json``."""
        return [json.loads(line) for line in self.out.splitlines()]

    def succeeded(self) -> Result:
        """This, when it ended with 0; else a failed test that shows what it said."""
        assert self.code == 0, f"exit code {self.code}\n--- out\n{self.out}\n--- err\n{self.err}"
        return self


@dataclass
class Project:
    """A stack in a directory. ``run`` runs the command line in this process, ``spawn`` in one of its own."""

    path: Path
    capture: pytest.CaptureFixture[str]
    environment: dict[str, str] = field(default_factory=dict)

    def write(self, name: str, text: str) -> Path:
        """Write a file of the stack."""
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    def config(self, more: str = "") -> None:
        """Write ``reconciler.toml``: the usual one, then *more*, which begins inside [platforms.runai]."""
        self.write("reconciler.toml", CONFIG + more)

    def run(self, *arguments: str) -> Result:
        """Run ``reconciler ARGUMENTS`` in the stack."""
        self.capture.readouterr()
        here = Path.cwd()
        os.chdir(self.path)
        before = dict(os.environ)
        os.environ.update(self.environment)
        try:
            code = run(list(arguments))
        finally:
            os.chdir(here)
            os.environ.clear()
            os.environ.update(before)
        said = self.capture.readouterr()
        return Result(code, said.out, said.err)

    def spawn(self, *arguments: str, **settings: Any) -> subprocess.Popen[str]:
        """Start ``reconciler ARGUMENTS`` in a process of its own."""
        return subprocess.Popen(
            [sys.executable, "-m", "reconciler", *arguments],
            cwd=self.path,
            env={**os.environ, **self.environment},
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            **settings,
        )

    # --- what stands behind the embedded platform ---

    @property
    def store(self) -> Path:
        """The file of the embedded platform."""
        return self.path / ".reconciler" / "embedded" / "runai.sqlite"

    def state(self) -> dict[str, Any]:
        """The state file, as JSON."""
        found: dict[str, Any] = json.loads((self.path / ".reconciler" / "state.json").read_text())
        return found

    def remembered(self) -> dict[str, str]:
        """Addresses and ids in the state."""
        return {one["address"]: one["id"] for one in self.state()["resources"]}

    def live(self) -> dict[str, str]:
        """Names (``kind.name``) and ids of what is on the embedded platform, the vendor's own left out."""
        with closing(sqlite3.connect(self.store)) as db:
            rows = db.execute("SELECT family, name, id, text FROM runai_asset").fetchall()
        return {
            f"{family}.{name}": remote_id
            for family, name, remote_id, text in rows
            if json.loads(text)["meta"]["createdBy"] != "Run:ai"
        }

    def hand(self) -> Hand:
        """Somebody who uses the embedded platform without us."""
        return Hand(self.store)


class Hand:
    """A person with an access key, at the embedded platform's own API. Answers are checked for success."""

    def __init__(self, store: Path) -> None:
        self._store = store

    def request(self, method: str, path: str, body: Any = None, *, expect: int | None = None) -> Any:
        """One request; the decoded answer."""
        return asyncio.run(self._request(method, path, body, expect))

    async def _request(self, method: str, path: str, body: Any, expect: int | None) -> Any:
        with Store(self._store) as store:
            app = build_app(store, clock=lambda: datetime.now(UTC), new_id=lambda: str(uuid.uuid4()))
            async with httpx.AsyncClient(
                transport=httpx.ASGITransport(app), base_url="http://hand"
            ) as client:
                key = {"grantType": "client_credentials", "clientID": "embedded", "clientSecret": "embedded"}
                token = (await client.post("/api/v1/token", json=key)).json()["accessToken"]
                answer = await client.request(
                    method, path, json=body, headers={"authorization": f"Bearer {token}"}
                )
        if expect is None:
            assert answer.is_success, f"{answer.status_code} {answer.text}"
        else:
            assert answer.status_code == expect, f"{answer.status_code} {answer.text}"
        return answer.json() if answer.content else None

    def named(self, name: str, kind: str = "environment") -> dict[str, Any]:
        """The one object of this name."""
        path = "credentials" if kind == "credential" else kind
        entries = self.request("GET", f"/api/v1/asset/{path}")["entries"]
        found: list[dict[str, Any]] = [one for one in entries if one["meta"]["name"] == name]
        assert len(found) == 1, f"{len(found)} objects are called {name}"
        return found[0]

    def names(self, kind: str = "environment") -> list[str]:
        """The names of what is there, the vendor's own left out."""
        path = "credentials" if kind == "credential" else kind
        entries = self.request("GET", f"/api/v1/asset/{path}")["entries"]
        return sorted(e["meta"]["name"] for e in entries if e["meta"]["createdBy"] != "Run:ai")

    def create(self, name: str, *, spec: Mapping[str, Any] | None = None, **meta: Any) -> str:
        """Make an environment. Returns its id."""
        body = {
            "meta": {"name": name, "scope": "tenant", **meta},
            "spec": {"image": "python:3.11", **(spec or {})},
        }
        found: str = self.request("POST", "/api/v1/asset/environment", body)["meta"]["id"]
        return found

    def edit(self, name: str, **spec: Any) -> None:
        """Change fields of an environment's spec, as the wire spells them."""
        one = self.named(name)
        meta = {"name": name, "description": one["meta"].get("description")}
        body = {"meta": meta, "spec": {**one["spec"], **spec}}
        self.request("PUT", f"/api/v1/asset/environment/{one['meta']['id']}", body)

    def delete(self, name: str) -> None:
        """Delete an environment."""
        self.request("DELETE", f"/api/v1/asset/environment/{self.named(name)['meta']['id']}")

    def use(
        self, name: str, *, workload: str = "job-1", kind: Any = "workspace", status: str = "Running"
    ) -> None:
        """Submit a workload from an environment."""
        remote_id = self.named(name)["meta"]["id"]
        with Store(self._store) as store:
            build_app(store, clock=lambda: datetime.now(UTC), new_id=lambda: str(uuid.uuid4()))
            add_workload(
                store,
                environment_id=remote_id,
                name=workload,
                kind=kind,
                status=status,
                project_id="4501234",
                clock=lambda: datetime.now(UTC),
                new_id=lambda: str(uuid.uuid4()),
            )


LAB = """\
image = "python:3.11"

[on.runai]
scope = "tenant"
"""
"""The smallest spec."""
