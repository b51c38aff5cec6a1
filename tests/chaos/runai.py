"""Run:ai in the harness: environments in scopes, credentials whose secrets rotate, compute assets."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from chaos.secrets import old_secrets, stale_secrets
from chaos.vendor import Found, Proof, Vendor, line, rows
from chaos.wishes import NEEDLE, Wishes
from harness import Hand

_ALL = "* /api/v1/asset/*"
_PROJECT = 'scope = "project"\nscope_id = "4501234"'


@dataclass
class RunaiWishes(Wishes):
    """Environments, some of which take a credential or come with a compute asset, and credentials."""

    platform = "runai"
    reference = "credential"
    beside = "compute"

    def __post_init__(self) -> None:
        for number in range(3):
            self._rotate(number)

    def _rotate(self, number: int) -> None:
        value = f"{NEEDLE}-{number}-{self.chance.randint(1, 99)}"
        self.secrets[f"SECRET_{number}"] = value
        self.ever.add(value)

    def _change(self) -> None:
        chance = self.chance
        for number in range(3):
            if chance.random() < 0.3:
                self.specs.pop(f"key-{number}", None)
            if chance.random() < 0.6:
                self.specs[f"key-{number}"] = (
                    f'kind = "credential"\ntype = "generic-secret"\n'
                    f'data = {{ token = {{ env = "SECRET_{number}" }} }}\n'
                    f'description = "{chance.randint(1, 9)}"\n[on.runai]\nscope = "tenant"\n'
                )
            if chance.random() < 0.2:
                self._rotate(number)
        super()._change()

    def _is_outdated(self, name: str) -> bool:
        return "credential =" in self.specs.get(name, "")

    def _environment(self, name: str) -> str:
        chance = self.chance
        keys = sorted(one for one in self.specs if one.startswith("key-"))
        scope = chance.choice(('scope = "tenant"',) * 3 + (_PROJECT,))  # elsewhere: a replace
        lines = [
            f'image = "python:3.{chance.randint(8, 13)}"',
            f'description = "{chance.randint(1, 3)}"',
            "[environment_variables]",
            f'SEED = "{chance.randint(1, 9)}"',
        ]
        if keys and chance.random() < 0.4:
            lines.append(f'TOKEN = {{ credential = "{chance.choice(keys)}", key = "token" }}')
        if chance.random() < 0.2:
            lines += ["[compute]", f"cpu_cores = {chance.randint(1, 4)}"]
        lines += ["[on.runai]", scope]
        if chance.random() < 0.3:
            lines += ["[lifecycle]", "create_before_destroy = true"]
        return "\n".join(lines) + "\n"

    def kind_of(self, name: str) -> str:
        return "credential" if name.startswith("key-") else "environment"

    def is_blind(self, name: str) -> bool:
        return name.startswith("key-")


class Runai(Vendor):
    """An object is orphaned when the state does not know it, and lost when the state alone does."""

    platform = "runai"
    provider = "runai"
    calls = _ALL
    variables: ClassVar[Mapping[str, str]] = {"KEY": "embedded"}
    swept_variables: ClassVar[Mapping[str, str]] = {"SECRET0": f"{NEEDLE}-0", "SECRET1": f"{NEEDLE}-1"}
    profiles: ClassVar[Mapping[str, str]] = {
        "calm": "",
        "slow": f'{{ on = "{_ALL}", latency = 0.004 }}',
        "lossy": f'{{ on = "{_ALL}", rate = 0.04, drop = "after" }}, '
        f'{{ on = "{_ALL}", rate = 0.04, drop = "before" }}',
        "busy": f'{{ on = "{_ALL}", rate = 0.05, status = 503 }}, '
        f'{{ on = "{_ALL}", rate = 0.03, status = 429, retry_after = 0 }}',
        "refusing": '{ on = "POST /api/v1/asset/*", rate = 0.04, status = 400, message = "no" }, '
        '{ on = "PUT /api/v1/asset/*", rate = 0.04, status = 403, message = "no" }',
        "lagging": '{ on = "GET /api/v1/asset/*", rate = 0.3, lag = 0.02 }',
    }

    def wishes(self, chance: random.Random, size: int) -> Wishes:
        return RunaiWishes(chance, size)

    def outside(self, url: str) -> str:
        return (
            f'[platforms.runai]\nprovider = "runai"\nendpoint = "{url}"\nclient_id = "embedded"\n'
            'client_secret = { env = "KEY" }\npatience_seconds = 2.0\ntimeout_seconds = 5.0\n'
        )

    def live(self, store: Path) -> dict[str, Found]:
        found = {
            one: (name, text.decode(), json.loads(text))
            for one, name, text in rows(store, "SELECT id, name, text FROM runai_asset")
        }
        names = {one: name for one, (name, _, _) in found.items()}
        return {
            one: Found(name, text, _said(name, body["meta"], body["spec"], names))
            for one, (name, text, body) in found.items()
            if body["meta"]["createdBy"] != "Run:ai"
        }

    def meet_others(self, store: Path) -> None:
        hand = Hand(store)
        for number in range(3):
            hand.create(f"of-others-{number}")

    def wished(self, specs: Mapping[str, Mapping[str, Any]], files: Mapping[str, str]) -> Iterator[str]:
        names = {stem: spec["on"]["runai"].get("name", stem) for stem, spec in specs.items()}
        for stem, spec in specs.items():
            name = names[stem]
            place = spec["on"]["runai"]
            scope = place.get("scope_id", place["scope"])
            variables = {
                key: names[one["credential"]] if isinstance(one, dict) else one
                for key, one in spec.get("environment_variables", {}).items()
            }
            facts = {"description": spec.get("description"), "scope": scope}
            kind = "genericSecret" if spec.get("kind") == "credential" else "environment"
            yield line(kind, name, {**facts, "image": spec.get("image"), "variables": variables})
            if "compute" in spec:
                yield line("compute", name, {"scope": scope, "cpu": float(spec["compute"]["cpu_cores"])})

    def flaws(self, proof: Proof, live: Mapping[str, Found]) -> Iterator[str]:
        yield from stale_secrets(proof.store, proof.state, proof.wishes.ever)

    def shortcomings(self, proof: Proof, variables: Mapping[str, str]) -> Iterator[str]:
        addresses = {one["id"]: one["address"] for one in proof.state["resources"]}
        yield from old_secrets(proof.store, addresses, proof.wishes.specs, variables)

    def swept(self, *, after: bool) -> dict[str, str]:
        image = "python:3.12" if after else "python:3.11"
        secret = f'data = {{ token = {{ env = "SECRET{int(after)}" }} }}\n'
        key = f'kind = "credential"\ntype = "generic-secret"\n{secret}'
        specs = {f"update-{n}": _environment(image) for n in range(6)}
        specs |= {f"stay-{n}": _environment("python:3.11") for n in range(3)}
        specs |= {
            f"replace-{n}": _environment("python:3.11", scope=_PROJECT if after else 'scope = "tenant"')
            for n in range(3)
        }
        specs["key"] = key + 'on.runai.scope = "tenant"\n'
        uses = 'environment_variables = { T = { credential = "key", key = "token" } }'
        specs |= {f"user-{n}": _environment("python:3.11", uses) for n in range(2)}
        gone_or_new = "new" if after else "old"
        specs |= {f"{gone_or_new}-{n}": _environment("python:3.11") for n in range(5)}
        if after:
            specs["compute"] = _environment("python:3.11", "[compute]", "cpu_cores = 2")
        return specs


def _environment(image: str, *more: str, scope: str = 'scope = "tenant"') -> str:
    return "\n".join([f'image = "{image}"', *more, "[on.runai]", scope, ""])


def _said(name: str, meta: Mapping[str, Any], spec: Mapping[str, Any], names: Mapping[str, str]) -> str:
    variables = {
        each["name"]: names.get(each["credential"]["assetId"], "nothing")
        if "credential" in each
        else each["value"]
        for each in spec.get("environmentVariables", ())
    }
    facts = {
        "description": meta.get("description"),
        "scope": str(meta.get("projectId", meta["scope"])),
        "image": spec.get("image"),
        "cpu": spec.get("cpuCoreRequest"),
        "variables": variables,
    }
    return line(meta["kind"], name, facts)
