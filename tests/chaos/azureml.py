"""Azure ML in the harness: environments whose change is a version, of images, conda packages and contexts."""

from __future__ import annotations

import hashlib
import json
import random
import tomllib
import uuid
from collections import defaultdict
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import urlsplit

from chaos.vendor import Found, Proof, Vendor, ask, line, rows
from chaos.wishes import Wishes

from reconciler.providers.azureml.emulator import build_app
from reconciler.providers.emulator import Store

_PLACE = {
    "subscription_id": "00000000-0000-4000-8000-000000000001",
    "resource_group": "embedded",
    "workspace": "embedded",
}
_ROOT = (
    f"/subscriptions/{_PLACE['subscription_id']}/resourceGroups/{_PLACE['resource_group']}"
    f"/providers/Microsoft.MachineLearningServices/workspaces/{_PLACE['workspace']}"
)
_ALL = "* /*/workspaces/*"
_BLOBS = "* /_blob/*"
_CONTEXTS = {
    f"contexts/{number}/{name}": text
    for number in range(4)
    for name, text in (
        ("Dockerfile", f"FROM python:3.{number + 9}\nCOPY serve.py model/words.txt /\n"),
        ("serve.py", f"print({number})\n"),
        ("model/words.txt", "one two three\n" * (number + 1)),
    )
}
_SHOWN = ("image", "condaFile", "build", "inferenceConfig", "osType", "autoRebuild")


class AzuremlWishes(Wishes):
    """Environments of an image, with packages or without, or of a build context; a few keep two versions."""

    platform = "azureml"
    files = _CONTEXTS

    def _environment(self, name: str) -> str:
        chance = self.chance
        lines = [f'description = "{chance.randint(1, 3)}"', f'tags = {{ seed = "{chance.randint(1, 9)}" }}']
        of_context = chance.random() < 0.25
        if not of_context:
            lines.append(f'image = "python:3.{chance.randint(8, 11)}"')
        lines.append("[on.azureml]")
        if of_context:
            lines.append(f'build = "contexts/{chance.randint(0, 3)}"')
        elif chance.random() < 0.4:
            lines += ['python = "3.11"', f'pip = ["numpy==1.{chance.randint(24, 26)}"]']
        if chance.random() < 0.25:
            lines.append("keep_versions = 2")
        return "\n".join(lines) + "\n"


class Azureml(Vendor):
    """An environment is its container: orphaned when the state does not know an active one.

    It is lost when the state knows one that is archived, or has no active
    version. Two versions, one after the other and of one definition, are a
    double.
    """

    platform = "azureml"
    provider = "azureml"
    calls = "* /*"
    variables: ClassVar[Mapping[str, str]] = {"AZURE_CLIENT_SECRET": "embedded"}
    profiles: ClassVar[Mapping[str, str]] = {
        "calm": "",
        "slow": f'{{ on = "{_ALL}", latency = 0.004 }}',
        "lossy": ", ".join(
            f'{{ on = "{calls}", rate = 0.04, drop = "{moment}" }}'
            for calls in (_ALL, _BLOBS)
            for moment in ("after", "before")
        ),
        "busy": ", ".join(
            f'{{ on = "{calls}", rate = 0.05, status = 503 }}, '
            f'{{ on = "{calls}", rate = 0.03, status = 429, retry_after = 0 }}'
            for calls in (_ALL, _BLOBS)
        ),
        "refusing": '{ on = "PUT */environments/*", rate = 0.04, status = 400, message = "no" }, '
        '{ on = "PUT /_blob/*", rate = 0.04, status = 403, message = "no" }',
        "lagging": '{ on = "GET */environments*", rate = 0.3, lag = 0.02 }',
    }

    def wishes(self, chance: random.Random, size: int) -> Wishes:
        return AzuremlWishes(chance, size)

    def outside(self, url: str) -> str:
        place = "".join(f'{key} = "{value}"\n' for key, value in _PLACE.items())
        return (
            f'[platforms.azureml]\nprovider = "azureml"\nendpoint = "{url}"\nauthority = "{url}"\n{place}'
            f'tenant_id = "embedded"\nclient_id = "embedded"\nblob_endpoint = "{self._blobs(url)}"\n'
            'client_secret = { env = "AZURE_CLIENT_SECRET" }\npatience_seconds = 2.0\ntimeout_seconds = 5.0\n'
        )

    @staticmethod
    def _blobs(url: str) -> str:
        """The address of the blob service: it has the storage account in it, which follows from the place."""
        arm_id = _ROOT.lower()
        return f"{url}/_blob/ml{hashlib.sha256(arm_id.encode()).hexdigest()[:16]}"

    # --- what is there ---

    def live(self, store: Path) -> dict[str, Found]:
        versions = _versions(store)
        contents = _contents(store)
        found = {}
        for name, archived, text in rows(
            store, "SELECT name, archived, text FROM azureml_thing WHERE family = 'environments'"
        ):
            active = [one for one in versions[name] if not one["properties"]["isArchived"]]
            if archived or not active or name.startswith("AzureML-"):
                continue
            whole = "\n".join([text.decode(), *(json.dumps(one) for one in versions[name])])
            numbers = ",".join(one["name"] for one in active)
            said = _said(name, active[-1], contents)
            found[name] = Found(name, whole, said, f"version={active[-1]['name']}", f"active={numbers}")
        return found

    def flaws(self, proof: Proof, live: Mapping[str, Found]) -> Iterator[str]:
        for name, versions in _versions(proof.store).items():
            if name.startswith("AzureML-"):
                continue
            for older, newer in pairwise(versions):
                one, other = older["properties"], newer["properties"]
                if all(one.get(key) == other.get(key) for key in _SHOWN):
                    yield f"doubled: {name} has one definition as {older['name']} and {newer['name']}"

    def shortcomings(self, proof: Proof, variables: Mapping[str, str]) -> Iterator[str]:
        specs = _parsed(proof.wishes.specs)
        versions = _versions(proof.store)
        for stem, spec in specs.items():
            place = spec["on"]["azureml"]
            keep, name = place.get("keep_versions"), place.get("name", stem)
            active = sum(not one["properties"]["isArchived"] for one in versions[name])
            if keep is not None and active > keep:
                yield f"{name} has {active} active versions, and keeps {keep}"

    def meet_others(self, store: Path) -> None:
        body = {"properties": {"image": "python:3.11", "tags": {"of": "others"}}}
        self.hand(store, *(("PUT", f"environments/of-others-{n}/versions/1", body) for n in range(3)))

    def hand(self, store: Path, *requests: tuple[str, str, Any]) -> None:
        """Send requests below the workspace as somebody else."""
        with Store(store) as opened:
            app = build_app(opened, clock=lambda: datetime.now(UTC), new_id=lambda: str(uuid.uuid4()))
            form = {"grant_type": "client_credentials", "client_id": "embedded", "client_secret": "embedded"}
            form["scope"] = "https://management.azure.com/.default"
            [token] = ask(app, [("POST", "/embedded/oauth2/v2.0/token", form)], {})
            whole = [(verb, f"{_ROOT}/{path}?api-version=2025-12-01", body) for verb, path, body in requests]
            ask(app, whole, {"authorization": f"Bearer {token['access_token']}"})

    # --- what should be there ---

    def wished(self, specs: Mapping[str, Mapping[str, Any]], files: Mapping[str, str]) -> Iterator[str]:
        for stem, spec in specs.items():
            place = spec["on"]["azureml"]
            facts: dict[str, Any] = {
                "description": spec.get("description"),
                "tags": spec.get("tags"),
                "image": spec.get("image"),
            }
            if "python" in place:
                facts["packages"] = [f"python={place['python']}", "pip", *place["pip"]]
            if "build" in place:
                start = f"{place['build']}/"
                facts["context"] = {
                    path.removeprefix(start): text
                    for path, text in sorted(files.items())
                    if path.startswith(start)
                }
            yield line("environment", place.get("name", stem), facts)

    def swept(self, *, after: bool) -> dict[str, str]:
        image = "python:3.12" if after else "python:3.11"
        specs = {"version": _environment(f'image = "{image}"')}
        specs["words"] = _environment('image = "python:3.11"', f'description = "{image}"')
        specs["stays"] = _environment('image = "python:3.11"')
        specs["context"] = _environment(place=f'build = "contexts/{int(after)}"')
        specs["kept"] = _environment(f'image = "{image}"', place="keep_versions = 1")
        gone_or_new = "new" if after else "old"
        specs |= {f"{gone_or_new}-{n}": _environment('image = "python:3.11"') for n in range(2)}
        return specs


def _environment(*lines: str, place: str = "") -> str:
    return "\n".join([*lines, "[on.azureml]", place, ""])


def _parsed(specs: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    return {stem: tomllib.loads(text) for stem, text in specs.items()}


def _versions(store: Path) -> dict[str, list[dict[str, Any]]]:
    """Every version by the name of its environment, the oldest first."""
    found: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for name, text in rows(
        store, "SELECT parent, text FROM azureml_thing WHERE family = 'environments/versions' ORDER BY seq"
    ):
        found[name].append(json.loads(text))
    return found


def _contents(store: Path) -> dict[str, str]:
    """What is in blob storage, by container and path."""
    return {
        f"/{container}/{name}": content.decode()
        for container, name, content in rows(store, "SELECT container, name, content FROM azureml_blob")
    }


def _said(name: str, version: Mapping[str, Any], contents: Mapping[str, str]) -> str:
    properties = version["properties"]
    facts: dict[str, Any] = {key: properties.get(key) for key in ("description", "tags", "image")}
    if properties.get("condaFile"):
        facts["packages"] = list(_flat(json.loads(properties["condaFile"])["dependencies"]))
    if properties.get("build"):
        start = urlsplit(properties["build"]["contextUri"]).path
        facts["context"] = {
            path.removeprefix(start): text
            for path, text in sorted(contents.items())
            if path.startswith(start)
        }
    return line("environment", name, facts)


def _flat(dependencies: list[Any]) -> Iterator[str]:
    for one in dependencies:
        if isinstance(one, dict):
            yield from one["pip"]
        else:
            yield one
