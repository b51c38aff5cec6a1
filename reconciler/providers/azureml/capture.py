"""Environments that are there already, as specs: of conda, of ``venv``, and definitions of the v1 SDK.

Nothing of the environment is run but ``conda env export``: a virtual
environment is read by its files.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import Distribution, distributions
from pathlib import Path as FilePath
from typing import Any, Final
from urllib.parse import urlsplit, urlunsplit

from reconciler.core.ports import Place, Problem
from reconciler.errors import ReconcilerError
from reconciler.providers.azureml.documents import DocumentBroken, read_json, read_yaml
from reconciler.providers.azureml.spec import read_spec
from reconciler.providers.azureml.spec.conda import conda_flaws
from reconciler.providers.azureml.spec.dockerfile import dockerfile_flaws
from reconciler.providers.azureml.spec.environment import CANNOT_CARRY
from reconciler.providers.azureml.spec.existing import v1_fields
from reconciler.providers.azureml.spec.requirements import requirement_flaw
from reconciler.providers.azureml.spec.secrets import CONNECTION, secret_in
from reconciler.providers.azureml.spec.wheels import conda_step
from reconciler.providers.azureml.spec.words import name_flaw

__all__ = ["DEFAULT_IMAGE", "Captured", "capture_conda", "capture_v1", "capture_venv", "problems_of"]

DEFAULT_IMAGE: Final = "mcr.microsoft.com/azureml/openmpi4.1.0-ubuntu22.04:20251130.v1"
"""A base image with conda and nothing else of note; Azure ML has none by itself."""

_PROGRAMS: Final = ("conda", "mamba", "micromamba")
_TOOLS: Final = frozenset({"pip", "setuptools", "wheel"})
_PYTHON: Final = re.compile(r"python\s*==?\s*(\d+(?:\.\d+){1,2})")
_WHEEL: Final = "Build a wheel of it and name that in `wheels`."
_READABLE: Final = "see that the service may read it."
_IMAGE_NOTE: Final = "The base image is a plain one of the vendor's: choose one with CUDA for GPUs."


@dataclass(slots=True)
class Captured:
    """Fields for Azure ML, the name that was found, and what a person has to look at, a line each."""

    name: str
    fields: dict[str, Any]
    notes: list[str] = field(default_factory=list)


def spec_name(text: str) -> str:
    """*text* as a name that the service takes."""
    found = re.sub(r"[^A-Za-z0-9_-]+", "-", text).strip("-_")[:255]
    return found if found and name_flaw(found) is None else f"captured-{found}".rstrip("-")[:255]


# --- conda ---


def capture_conda(which: str, environment: Mapping[str, str]) -> Captured:
    """What is installed in the conda environment *which*, a name or a prefix.

    Raises `ReconcilerError` when there is no conda, or no such environment.
    """
    program = environment.get("CONDA_EXE") or next(filter(None, map(shutil.which, _PROGRAMS)), None)
    if program is None:
        raise ReconcilerError(
            "there is no conda here",
            hint=f"Looked for {', '.join(_PROGRAMS)} and CONDA_EXE. Activate conda, or capture a `venv`.",
        )
    is_prefix = os.sep in which or FilePath(which).is_dir()
    where = ["--prefix", str(FilePath(which).resolve())] if is_prefix else ["--name", which]
    try:
        made = subprocess.run(  # noqa: S603 - the words are ours, and no shell reads them
            [program, "env", "export", "--no-builds", *where], capture_output=True, check=False, timeout=600
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ReconcilerError(f"{program} does not run: {error}", hint="Check CONDA_EXE.") from error
    if made.returncode != 0:
        said = made.stderr.decode(errors="replace").strip().splitlines() or ["no word why"]
        raise ReconcilerError(
            f"{FilePath(program).name} exports no environment {which!r}: {said[-1]}",
            hint="`conda env list` shows what there is.",
        )
    try:
        export = read_yaml(made.stdout).value
    except DocumentBroken as error:
        raise ReconcilerError(
            f"what {FilePath(program).name} exports cannot be read: {error.summary}",
            hint="Export it by hand, and name the file in `conda_file`.",
        ) from error
    if not isinstance(export, dict):
        raise ReconcilerError(f"{which!r} is empty", hint="Install something into it first.")
    export.pop("prefix", None)
    name = str(export.pop("name", None) or FilePath(which).name)
    captured = Captured(spec_name(FilePath(name).name), {"image": DEFAULT_IMAGE}, [_IMAGE_NOTE])
    captured.fields |= _of_export(export, captured.notes)
    return captured


def _of_export(export: Mapping[str, Any], notes: list[str]) -> dict[str, Any]:
    """The fields that say what an export of conda does; what the service cannot have are *notes*."""
    packages: list[str] = []
    pip: list[str] = []
    python = None
    for item in export.get("dependencies") or []:
        if isinstance(item, dict):
            pip += _taken(item.get("pip") or [], notes)
        elif found := _PYTHON.fullmatch(str(item)):
            python = found[1]
        else:
            packages.append(str(item))
    if export.get("variables"):
        # Only the whole definition has a place for these.
        dependencies: list[Any] = [*([f"python={python}"] if python else []), *packages]
        whole = {**export, "dependencies": [*dependencies, *([{"pip": pip}] if pip else [])]}
        whole["channels"] = _open_channels(export.get("channels") or [], notes)
        return {"conda": _without_flaws(whole, notes)}
    fields: dict[str, Any] = {"python": python} if python else {}
    fields["channels"] = _open_channels(export.get("channels") or [], notes)
    fields |= {key: value for key, value in (("packages", packages), ("pip", pip)) if value}
    return fields


def _without_flaws(conda: dict[str, Any], notes: list[str]) -> dict[str, Any]:
    """*conda* without the variables that the service should not see."""
    variables = dict(conda["variables"])
    for path, summary, _ in conda_flaws(conda):
        if path[:1] == ("variables",) and len(path) > 1 and path[1] in variables:
            del variables[path[1]]
            notes.append(f"Left out: the variable {path[1]}: {summary}.")
    rest = {key: value for key, value in conda.items() if key != "variables"}
    return {**rest, **({"variables": variables} if variables else {})}


def _open_channels(channels: Sequence[Any], notes: list[str]) -> list[str]:
    """The channels that need no secret."""
    kept = []
    for one in map(str, channels):
        if secret := secret_in(one):
            notes.append(f"Left out: a channel: {secret}. {CONNECTION}")
        else:
            kept.append(one)
    return kept


def _taken(lines: Sequence[Any], notes: list[str]) -> list[str]:
    """The requirements that the service can install."""
    kept = []
    for line in map(str, lines):
        if (flaw := requirement_flaw(line)) is None:
            kept.append(line)
        else:
            # The line may be what must not be seen.
            named = line.split("@")[0].strip() if re.match(r"[\w.-]+\s*@", line) else "a requirement"
            shown = named if secret_in(line) else line[:80]
            notes.append(f"Left out: {shown}: {flaw[0]}. {flaw[1]}")
    return kept


# --- venv ---


def capture_venv(directory: str) -> Captured:
    """What is installed in the virtual environment at *directory*, by its files alone.

    Raises `ReconcilerError` when that is none.
    """
    root = FilePath(directory).resolve()
    try:
        text = (root / "pyvenv.cfg").read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise ReconcilerError(
            f"{directory} is no virtual environment: it has no pyvenv.cfg",
            hint="Name the directory that `python -m venv` made.",
        ) from error
    settings = {
        key.strip().lower(): value.strip()
        for key, _, value in (line.partition("=") for line in text.splitlines())
    }
    version = re.match(r"\d+\.\d+(\.\d+)?", settings.get("version") or settings.get("version_info") or "")
    if version is None:
        raise ReconcilerError(
            f"{directory} does not say which Python it has", hint="Make it anew with `python -m venv`."
        )
    short = ".".join(version[0].split(".")[:2])
    site = root / "lib" / f"python{short}" / "site-packages"
    if not site.is_dir():
        site = root / "Lib" / "site-packages"  # on Windows
    if not site.is_dir():
        raise ReconcilerError(f"{directory} has no site-packages", hint="Make it anew with `python -m venv`.")
    captured = Captured(
        spec_name(root.parent.name if root.name in (".venv", "venv", "env") else root.name),
        {"image": DEFAULT_IMAGE, "python": version[0]},
        [_IMAGE_NOTE],
    )
    if settings.get("include-system-site-packages", "").lower() == "true":
        captured.notes.append("Packages of the Python below it are not looked at.")
    pip = list(_frozen(site, captured.notes))
    if pip:
        captured.fields["pip"] = pip
    return captured


def _frozen(site: FilePath, notes: list[str]) -> Iterator[str]:
    """What is installed in *site*, one requirement each, in the order of their names."""
    found: dict[str, Distribution] = {}
    for one in distributions(path=[str(site)]):
        name = one.metadata["Name"]
        if name and one.version:
            found.setdefault(re.sub(r"[-_.]+", "-", name).lower(), one)
    notes += (
        f"Left out: {link.stem} is installed editable. {_WHEEL}" for link in sorted(site.glob("*.egg-link"))
    )
    for key in sorted(found.keys() - _TOOLS):
        one = found[key]
        name = one.metadata["Name"]
        try:
            origin = json.loads(one.read_text("direct_url.json") or "{}")
        except ValueError:
            origin = {}
        line, why = _requirement(name, one.version, origin)
        flaw = requirement_flaw(line) if line else None
        if line and flaw is None:
            if why:
                notes.append(f"{name} {why}")
            yield line
        else:
            notes.append(f"Left out: {name} {flaw[0] if flaw else why}")


def _requirement(name: str, version: str, origin: Mapping[str, Any]) -> tuple[str, str]:
    """The requirement for a distribution, and what to look at; no requirement for what is only here."""
    url = str(origin.get("url", ""))
    inside = f"#subdirectory={origin['subdirectory']}" if origin.get("subdirectory") else ""
    line = f"{name}=={version}"
    if (origin.get("dir_info") or {}).get("editable"):
        return "", f"is installed editable, from {url}. {_WHEEL}"
    if url.startswith("file:"):
        return "", f"is installed from {url}. {_WHEEL}"
    if vcs := origin.get("vcs_info"):
        revision = vcs.get("commit_id") or vcs.get("requested_revision") or "HEAD"
        return (
            f"{name} @ {vcs.get('vcs', 'git')}+{url}@{revision}{inside}",
            f"comes out of a repository: {_READABLE}",
        )
    if url:
        return f"{name} @ {url}{inside}", f"comes from an address of its own: {_READABLE}"
    if "+" in version:
        return (
            line,
            "has a local version: add the index that has it, `--extra-index-url …`, to `pip`.",
        )
    return line, ""


# --- v1 ---


def capture_v1(data: bytes, source: str) -> Captured:
    """What a definition of the v1 SDK, out of the file *source*, is as a spec.

    Raises `ReconcilerError` when it is none.
    """
    try:
        definition = read_json(data).value
    except DocumentBroken as error:
        line, column = error.place
        raise ReconcilerError(
            f"{source} line {line}, column {column}: {error.summary}", hint=error.hint
        ) from error
    if not isinstance(definition, dict):
        raise ReconcilerError(f"there is no table in {source}", hint="Name the file of an environment.")
    found, flaws = v1_fields(definition)
    if flaws:
        raise ReconcilerError(f"{source}: {flaws[0].summary}", hint=flaws[0].hint)
    fields = {name: value for name, (value, _) in found.items()}
    captured = Captured(spec_name(str(fields.pop("name", FilePath(source).stem))), fields)
    for name, (nearest, harmless) in CANNOT_CARRY.items():
        if name in fields and fields.pop(name) not in harmless:
            captured.notes.append(f"Left out: {found[name][1]}. {nearest}")
    if "environment_variables" in fields:
        names = ", ".join(map(str, fields.pop("environment_variables")))
        captured.notes.append(
            f"Left out: the variables {names}. Give them to jobs and deployments, or write them into a "
            "Dockerfile."
        )
    _leave_out_secrets(fields, source, captured.notes)
    registry = fields.get("base_image_registry")
    if registry is not None:
        if registry.keys() - {"address"}:
            captured.notes.append(
                "Left out: who signs in to the registry. Give the workspace a connection "
                "(ContainerRegistry) to it."
            )
        address = registry.get("address")
        fields["base_image_registry"] = address
        if address is None or "image" not in fields:
            del fields["base_image_registry"]
    if "dockerfile" in fields and "conda" in fields:
        text = fields["dockerfile"]["text"].rstrip("\n") + "\n"
        step = "\n".join(conda_step(fields.pop("conda"), inline=True))
        fields["dockerfile"] = {"text": f"{text}{step}\n"}
        captured.notes.append("The Dockerfile installs the conda packages now: v2 does not combine the two.")
    return captured


def _leave_out_secrets(fields: dict[str, Any], source: str, notes: list[str]) -> None:
    """Take out of *fields* what the service should not see, nor git.

    Raises `ReconcilerError` for a Dockerfile that holds such: it would be
    another without.
    """
    conda, build, dockerfile = (fields.get(key) for key in ("conda", "build", "dockerfile"))
    if isinstance(conda, dict):
        fields["conda"] = _without_secrets(conda, notes)
    if build is not None and isinstance(path := build["path"], str) and (secret_in(path) or "?" in path):
        parts = urlsplit(path)
        fields["build"] = {
            **build,
            "path": urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2], query="")),
        }
        notes.append(
            "Left out: what signs in to the build context. "
            "The workspace reads its own storage by its identity."
        )
    if dockerfile is not None:
        for _, summary, hint in dockerfile_flaws(str(dockerfile["text"])):
            if hint is CONNECTION:
                raise ReconcilerError(f"{source}: the Dockerfile: {summary}", hint=hint)


def _without_secrets(conda: dict[str, Any], notes: list[str]) -> dict[str, Any]:
    """A conda definition of the v1 SDK, of which it checked nothing, without what must not be seen."""
    found = {key: value for key, value in conda.items() if key != "prefix"}
    if isinstance(found.get("channels"), list):
        found["channels"] = _open_channels(found["channels"], notes)
    if isinstance(found.get("dependencies"), list):
        items = []
        for item in found["dependencies"]:
            if isinstance(item, dict) and isinstance(item.get("pip"), list):
                item = {**item, "pip": _taken(item["pip"], notes)}
            items.append(item)
        found["dependencies"] = [item for item in items if item != {"pip": []}]
    return _without_flaws(found, notes) if isinstance(found.get("variables"), dict) else found


def problems_of(name: str, fields: Mapping[str, Any]) -> tuple[Problem, ...]:
    """What a person still has to put right in a spec with these *fields*."""
    nowhere = FilePath.cwd()
    return read_spec("environment", fields, Place("azureml", name, nowhere, nowhere)).problems
