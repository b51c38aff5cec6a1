"""AEnvironment in the harness: environments that are never deleted, and services with and without storage."""

from __future__ import annotations

import json
import random
import uuid
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar

from chaos.vendor import Found, Proof, Vendor, ask, line, rows
from chaos.wishes import Wishes

from reconciler.providers.aenvironment.emulator import create_app
from reconciler.providers.emulator import Store

_ALL = "* /env*"
_SIZE = "1Gi"
_BORN = frozenset({"browser", "notes", "terminal"})
"""Names of what every embedded platform starts with."""


class AenvironmentWishes(Wishes):
    """Environments, some with a service of the same name beside them, and services in files of their own.

    What was let go of stays, so an environment that is wished for again is
    always taken over.
    """

    platform = "aenv"
    reference = "environment"
    beside = "service"

    def _change(self) -> None:
        super()._change()
        there = sorted(one for one in self.specs if one.startswith("env-"))
        for name in (f"svc-{number}" for number in range(max(1, self.size // 8))):
            if self.chance.random() < 0.2:
                self.specs.pop(name, None)
            elif there and (self.chance.random() < 0.5 or self._is_stranded(name)):
                self.specs[name] = self._service(self.chance.choice(there))
            elif self._is_stranded(name):
                self.specs.pop(name, None)

    def _is_stranded(self, name: str) -> bool:
        """Whether a service is of an environment that nobody wishes for."""
        text = self.specs.get(name)
        return text is not None and text.split('environment = "')[1].split('"')[0] not in self.specs

    def _environment(self, name: str) -> str:
        chance = self.chance
        lines = [
            f'image = "registry.example.com/lab:{chance.randint(1, 5)}"',
            f'tags = {{ seed = "{chance.randint(1, 5)}" }}',
            "[environment_variables]",
            f'SEED = "{chance.randint(1, 4)}"',
            "[on.aenv]",
            f'version = "{chance.choice(("1.0.0",) * 5 + ("2.0.0",))}"',  # another one is another object
        ]
        if chance.random() < 0.35:
            lines += ["[on.aenv.service]", *self._settings()]
            if chance.random() < 0.4:
                lines += [f'storage_size = "{_SIZE}"']
            else:
                lines += [f"replicas = {chance.randint(0, 3)}"]
        return "\n".join([*lines, "[lifecycle]", "adopt = true", ""])

    def _service(self, environment: str) -> str:
        lines = [
            'kind = "service"',
            f'environment = "{environment}"',
            f"replicas = {self.chance.randint(1, 3)}",
        ]
        return "\n".join([*lines, "[on.aenv]", *self._settings(), ""])

    def _settings(self) -> list[str]:
        """The port, which needs a new service, and variables, which need one when they are taken out."""
        chance = self.chance
        more = f', MODE = "{chance.randint(1, 2)}"' if chance.random() < 0.5 else ""
        return [
            f"port = {chance.choice((8080, 8080, 8080, 8081))}",
            f'environment_variables = {{ LEVEL = "{chance.randint(1, 3)}"{more} }}',
        ]

    def kind_of(self, name: str) -> str:
        return "service" if name.startswith("svc-") else "environment"

    def is_always_adopted(self, name: str) -> bool:
        return name.partition("env-")[1] != ""

    def is_blind(self, name: str) -> bool:
        return name.startswith("svc-")  # the image of a service is never shown


class Aenvironment(Vendor):
    """A service is orphaned when the state does not know it; an environment when it never did.

    One that the stack let go of stays, and is nobody's. A volume outlives its
    service: one that is gone is lost.
    """

    platform = "aenv"
    provider = "aenvironment"
    calls = _ALL
    profiles: ClassVar[Mapping[str, str]] = {
        "calm": "",
        "slow": f'{{ on = "{_ALL}", latency = 0.004 }}',
        "lossy": f'{{ on = "{_ALL}", rate = 0.04, drop = "after" }}, '
        f'{{ on = "{_ALL}", rate = 0.04, drop = "before" }}',
        "busy": f'{{ on = "{_ALL}", rate = 0.05, status = 503 }}, '
        f'{{ on = "{_ALL}", rate = 0.03, status = 429, retry_after = 0 }}',
        "refusing": '{ on = "POST /env*", rate = 0.04, status = 400, message = "no" }, '
        '{ on = "PUT /env*", rate = 0.04, status = 403, message = "no" }',
        "lagging": '{ on = "GET /env*", rate = 0.3, lag = 0.02 }',
    }

    def wishes(self, chance: random.Random, size: int) -> Wishes:
        return AenvironmentWishes(chance, size)

    def outside(self, url: str) -> str:
        return (
            f'[platforms.aenv]\nprovider = "aenvironment"\nendpoint = "{url}"\napi_service = "{url}"\n'
            "patience_seconds = 2.0\ntimeout_seconds = 5.0\nready_timeout_seconds = 5\n"
        )

    # --- what is there ---

    def live(self, store: Path) -> dict[str, Found]:
        found = {}
        for kind, text in rows(store, "SELECT kind, text FROM aenv_record ORDER BY kind, key"):
            body = json.loads(text)
            if kind in ("environment", "service") and body["name"] not in _BORN:
                one = _environment_of(body, text) if kind == "environment" else _service_of(body, text)
                found[body["id"] if kind == "service" else f"{body['name']}@{body['version']}"] = one
        return found

    def flaws(self, proof: Proof, live: Mapping[str, Found]) -> Iterator[str]:
        there = {key for (key,) in rows(proof.store, "SELECT key FROM aenv_record WHERE kind = 'volume'")}
        for one in proof.state["resources"]:
            volume = one["attributes"].get("storage_name")
            if volume and volume not in there:
                yield f"lost: the volume {volume} of {one['address']}"

    def meet_others(self, store: Path) -> None:
        image = [{"id": "", "type": "image", "content": "registry.example.com/theirs:1"}]
        name = "of-others-{}".format
        environments = (
            {"name": name(n), "version": "1", "status": "Ready", "artifacts": image} for n in range(2)
        )
        service = {"envName": f"{name(0)}@1", "service_name": name(2), "replicas": 1}
        made = (("POST", "/env/", one) for one in environments)
        self.hand(store, *made, ("POST", "/env-service", service))

    def hand(self, store: Path, *requests: tuple[str, str, Any]) -> None:
        """Send requests to either server as somebody else."""
        with Store(store) as opened:
            app = create_app(opened, clock=lambda: datetime.now(UTC), new_id=lambda: str(uuid.uuid4()))
            ask(app, requests, {})

    # --- what should be there ---

    def wished(self, specs: Mapping[str, Mapping[str, Any]], files: Mapping[str, str]) -> Iterator[str]:
        named = {stem: spec["on"]["aenv"].get("name", stem) for stem, spec in specs.items()}
        for stem, spec in specs.items():
            place, name = spec["on"]["aenv"], named[stem]
            variables = spec.get("environment_variables", {})
            if spec.get("kind") == "service":
                environment = specs[spec["environment"]]
                settings = {"replicas": spec["replicas"], **place}
                yield _service_line(name, named[spec["environment"]], environment, settings, {})
                continue
            facts = {
                "image": spec["image"],
                "tags": [f"{key}={value}" for key, value in spec.get("tags", {}).items()],
                "variables": variables,
            }
            yield line("environment", f"{name}@{place['version']}", facts)
            if "service" in place:
                yield _service_line(name, name, spec, place["service"], variables)

    def swept(self, *, after: bool) -> dict[str, str]:
        image = "registry.example.com/lab:2" if after else "registry.example.com/lab:1"
        port = "port = 8081" if after else "port = 8080"
        return {
            "stays": _environment("registry.example.com/lab:1"),
            "image": _environment(image, "[on.aenv.service]", f'storage_size = "{_SIZE}"'),
            "replace": _environment("registry.example.com/lab:1", "[on.aenv.service]", port),
            "version": _environment("registry.example.com/lab:1", version="2" if after else "1"),
            "scale": f'kind = "service"\nenvironment = "stays"\nreplicas = {1 + after}\n[on.aenv]\n',
            "new" if after else "old": _environment("registry.example.com/lab:1", "[on.aenv.service]"),
        }


def _environment(image: str, *more: str, version: str = "1") -> str:
    return "\n".join(
        [
            f'image = "{image}"',
            "[on.aenv]",
            f'version = "{version}"',
            *more,
            "[lifecycle]",
            "adopt = true",
            "",
        ]
    )


def _environment_of(body: Mapping[str, Any], text: bytes) -> Found:
    facts = {
        "image": next((one["content"] for one in body["artifacts"] or () if one["type"] == "image"), None),
        "tags": body["tags"],
        "variables": (body["deploy_config"] or {}).get("environmentVariables"),
    }
    said = line("environment", f"{body['name']}@{body['version']}", facts)
    return Found(body["name"], text.decode(), said, stays=True)


def _service_of(body: Mapping[str, Any], text: bytes) -> Found:
    facts = {
        "of": f"{body['name']}@{body['version']}",
        "image": body["image"],
        "replicas": body["replicas"],
        "port": body["port"],
        "variables": dict(sorted(body["variables"].items())),
        "volume": body["pvc_name"],
    }
    return Found(body["id"], text.decode(), line("service", body["id"], facts))


def _service_line(
    name: str,
    environment_name: str,
    environment: Mapping[str, Any],
    settings: Mapping[str, Any],
    variables: Mapping[str, str],
) -> str:
    facts = {
        "of": f"{environment_name}@{environment['on']['aenv']['version']}",
        "image": environment["image"],
        "replicas": settings.get("replicas", 1),
        "port": settings.get("port", 8080),
        "variables": dict(sorted({**variables, **settings.get("environment_variables", {})}.items())),
        "volume": environment_name if "storage_size" in settings else "",
    }
    return line("service", name, facts)
