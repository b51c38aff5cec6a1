"""What is wrong with an environment in the form of ``config.json``, and what is doubtful.

EnvHub takes anything. These are the rules that bite later: in api-service, in
the controller, in the vendor's command line, in Kubernetes.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from reconciler.core.attributes import ID, LOOKUP, REF, SECRET
from reconciler.core.model import Path
from reconciler.core.reading import nearest
from reconciler.providers.aenvironment.kinds import IMAGE
from reconciler.providers.aenvironment.spec.document import DEPLOY_KEYS, SERVICE_KEYS, TOP_KEYS, wire_key
from reconciler.providers.aenvironment.spec.words import (
    Finding,
    environment_name,
    is_reference,
    wrong_version,
)
from reconciler.providers.quantity import quantity_bytes

__all__ = ["POD_TEMPLATES", "doubts", "image_of", "mistakes"]

POD_TEMPLATES: Final = ("singleContainer", "dualContainer")
"""Names of files that the vendor's chart ships."""

_DOCUMENTED_TEMPLATES: Final = {"default": "singleContainer"}
_TEXTS: Final = ("name", "version", "description", "status", "codeUrl")
_TABLES: Final = ("buildConfig", "testConfig", "deployConfig")
_AMOUNTS: Final = (
    "cpu",
    "memory",
    "ephemeralStorage",
    "cpuRequest",
    "cpuLimit",
    "memoryRequest",
    "memoryLimit",
    "ephemeralStorageRequest",
    "ephemeralStorageLimit",
)
_MUST_BE_TEXT: Final = ("imagePrefix", "ttl", "owner", "secondImageName", "dataSource")
"""Where anything else than text breaks the answers of the controller."""

_QUOTES: Final = "Put it in quotes."
_EXACT: Final = 2**53
_GO_DURATION: Final = re.compile(
    r"(\d+(\.\d*)?|\.\d+)(ns|us|µs|ms|s|m|h)((\d+(\.\d*)?|\.\d+)(ns|us|µs|ms|s|m|h))*"
)
_LOGGED: Final = "EnvHub and api-service write every request into their logs, and show it to whoever asks"


def image_of(values: Mapping[str, Any]) -> str:
    """The image that containers of this environment run; empty when there is none."""
    for one in values.get("artifacts") or ():
        if isinstance(one, Mapping) and one.get("type") == IMAGE:
            return str(one.get("content") or "")
    return ""


def mistakes(values: Mapping[str, Any], *, with_service: bool) -> Iterator[Finding]:
    """What cannot be meant, or cannot work. *with_service*: a service of it is wanted, too."""
    for key in _TEXTS:
        if key in values and not isinstance(values[key], str):
            yield Finding((key,), "this must be text", _QUOTES)
    name = values.get("name")
    if isinstance(name, str) and (found := environment_name(name, with_service=with_service)):
        yield found
    version = values.get("version")
    if isinstance(version, str) and (wrong := wrong_version(version)):
        yield Finding(("version",), *wrong)
    yield from _wrong_tags(values.get("tags"))
    yield from _wrong_artifacts(values.get("artifacts"))
    for key in _TABLES:
        if key in values and not isinstance(values[key], Mapping):
            yield Finding((key,), "this must be a table", "Write { … }.")
        else:
            yield from _wrong_values(values.get(key, {}), (key,))
    build, deploy = (values.get(key) for key in ("buildConfig", "deployConfig"))
    if isinstance(build, Mapping) and not isinstance(build.get("build_policy", ""), str):
        yield Finding(
            ("buildConfig", "build_policy"), "this must be text: EnvHub crashes on anything else", _QUOTES
        )
    if isinstance(deploy, Mapping):
        yield from _wrong_deployment(deploy)


def _wrong_tags(tags: Any) -> Iterator[Finding]:
    if tags is None:
        return
    if not isinstance(tags, list):
        yield Finding(("tags",), "tags are a list of text", 'Write ["linux", "gpu"].')
        return
    for number, tag in enumerate(tags):
        if not isinstance(tag, str):
            yield Finding(("tags", number), "a tag is text", _QUOTES)


def _wrong_artifacts(artifacts: Any) -> Iterator[Finding]:
    if artifacts is None:
        return
    if not isinstance(artifacts, list):
        yield Finding(
            ("artifacts",), "artifacts are a list of tables", '[{ type = "image", content = "NAME:TAG" }]'
        )
        return
    for number, one in enumerate(artifacts):
        at: Path = ("artifacts", number)
        if not isinstance(one, Mapping):
            yield Finding(at, "an artifact is a table", '{ type = "image", content = "NAME:TAG" }')
            continue
        for key in ("id", "type", "content"):
            if key in one and not isinstance(one[key], str):
                yield Finding((*at, key), f"the {key} of an artifact is text", _QUOTES)
        kind = one.get("type")
        if isinstance(kind, str) and kind != IMAGE and kind.lower() == IMAGE:
            yield Finding(
                (*at, "type"), f"{kind!r} is not taken for the container image", 'Write "image", exactly so.'
            )
        if isinstance(content := one.get("content"), str) and kind == IMAGE and re.search(r"\s", content):
            yield Finding((*at, "content"), f"{content!r} is no image: it has blanks", "Write NAME:TAG.")


def _wrong_values(value: Any, path: Path) -> Iterator[Finding]:
    """What no config table can hold: the wire is JSON, through doubles, into logs."""
    if isinstance(value, Mapping):
        if len(path) > 1 and is_reference(value):
            yield Finding(
                path,
                f"a secret does not belong here: {_LOGGED}",
                "Let the program in the container fetch it, or mount it by a pod template of the cluster.",
            )
            return
        for key, inner in value.items():
            if key in (REF, ID, SECRET, LOOKUP):
                yield Finding((*path, key), f"{key!r} cannot be a key", "No `$` in front.")
            else:
                yield from _wrong_values(inner, (*path, key))
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from _wrong_values(inner, (*path, number))
    elif isinstance(value, float) and not math.isfinite(value):
        yield Finding(path, f"`{value}` has no form in JSON", "Write a number that has an end.")
    elif isinstance(value, int) and not isinstance(value, bool) and abs(value) > _EXACT:
        yield Finding(path, f"{value} is too large to be kept exactly", "Write it as text, in quotes.")
    elif value is not None and not isinstance(value, str | int | float):
        yield Finding(path, "a date or time has no form in JSON", "Write it as text, in quotes.")


def _wrong_deployment(deploy: Mapping[str, Any]) -> Iterator[Finding]:
    at = "deployConfig"
    for key in _AMOUNTS:
        amount = deploy.get(key)
        if amount is None or amount == "":
            continue
        if not isinstance(amount, str):
            yield Finding((at, key), "an amount is text", f'Put it in quotes: "{amount}".')
        elif quantity_bytes(amount) is None:
            yield Finding((at, key), f"{amount!r} is no amount", 'Such as "2", "500m" or "4Gi".')
    for key in _MUST_BE_TEXT:
        if not isinstance(deploy.get(key, ""), str):
            yield Finding((at, key), "this must be text: the controller fails on anything else", _QUOTES)
    for key in ("environmentVariables", "environment_variables"):
        yield from _wrong_variables(deploy.get(key, {}), (at, key))
    yield from _wrong_template(deploy.get("podTemplate"), (at, "podTemplate"))
    block = deploy.get("service")
    if block is not None and not isinstance(block, Mapping):
        yield Finding((at, "service"), "this must be a table", "Write { … }.")
    elif block:
        yield from _wrong_service(block, (at, "service"))
    else:
        yield from _wrong_service(deploy, (at,))


def _wrong_variables(variables: Any, path: Path) -> Iterator[Finding]:
    if not isinstance(variables, Mapping):
        yield Finding(path, "environment variables are a table", '{ NAME = "VALUE" }')
        return
    for name, value in variables.items():
        if not isinstance(value, str) and not is_reference(value):  # that is said already
            yield Finding((*path, name), "the value of a variable is text", _QUOTES)
        if not re.fullmatch(r"[^=\s\x00-\x1f\x7f]+", name):
            yield Finding(
                (*path, name), f"{name!r} cannot name an environment variable", "No blanks and no `=`."
            )


def _wrong_template(name: Any, path: Path) -> Iterator[Finding]:
    if name is None or name in POD_TEMPLATES:
        return
    if not isinstance(name, str) or not name:
        yield Finding(path, "the name of a pod template is text", f"Known: {', '.join(POD_TEMPLATES)}.")
        return
    plain = re.sub(r"[\s_-]", "", name).lower()
    meant = _DOCUMENTED_TEMPLATES.get(plain) or next((t for t in POD_TEMPLATES if t.lower() == plain), "")
    if meant:
        yield Finding(
            path, f"{name!r} is no pod template: it names a file, and case counts", f"Write {meant!r}."
        )


def _wrong_service(block: Mapping[str, Any], path: Path) -> Iterator[Finding]:
    replicas, port, enabled = (block.get(key) for key in ("replicas", "port", "enableStorage"))
    if not isinstance(replicas, int | None) or isinstance(replicas, bool) or (replicas or 0) < 0:
        yield Finding((*path, "replicas"), "replicas are a whole number, 0 or more", "Such as 1.")
        replicas = None
    if not isinstance(port, int | None) or isinstance(port, bool) or not 1 <= (port or 1) <= 65535:
        yield Finding((*path, "port"), "a port is a whole number from 1 to 65535", "Such as 8081.")
    if not isinstance(enabled, bool | None):
        yield Finding((*path, "enableStorage"), "this is true or false", "Write it without quotes.")
    for key in ("storageName", "storageSize", "mountPath"):
        if not isinstance(block.get(key, ""), str):
            yield Finding((*path, key), "this must be text", _QUOTES)
    size = block.get("storageSize")
    if isinstance(size, str) and size and quantity_bytes(size) is None:
        yield Finding((*path, "storageSize"), f"{size!r} is no amount", 'Such as "10Gi".')
    if enabled is True:
        if replicas not in (None, 1):
            yield Finding(
                (*path, "replicas"),
                f"storage goes with one replica, not with {replicas}: api-service refuses it",
                "Write 1, or switch storage off.",
            )
        if not size:
            yield Finding(
                (*path, "enableStorage"), "storage needs a size", "Give `storageSize`, such as 10Gi."
            )


def doubts(values: Mapping[str, Any], *, with_service: bool, from_file: bool) -> Iterator[Finding]:
    """What can work, and is probably not what was meant. For an environment without `mistakes`."""
    for key in values:
        if key not in TOP_KEYS:
            meant = nearest(key, TOP_KEYS)
            yield Finding((key,), "EnvHub drops this key", f"Did you mean `{meant}`?" if meant else "")
    yield from _doubtful_image(values, from_file=from_file)
    for number, one in enumerate(values.get("artifacts") or ()):
        if strange := sorted(one.keys() - {"id", "type", "content"}):
            yield Finding(("artifacts", number), f"EnvHub drops {', '.join(strange)}")
    deploy = values.get("deployConfig") or {}
    yield from _doubtful_keys(deploy, ("deployConfig",), DEPLOY_KEYS)
    block = deploy.get("service") or {}
    yield from _doubtful_keys(block, ("deployConfig", "service"), SERVICE_KEYS)
    yield from _doubtful_template(deploy, with_service=with_service)
    ttl = deploy.get("ttl")
    if ttl and not _GO_DURATION.fullmatch(ttl):
        yield Finding(
            ("deployConfig", "ttl"), f"{ttl!r} is no duration: instances would live for ever", "Such as 30m."
        )
    if deploy.get("storageSize") and (block or not deploy.get("enableStorage")):
        yield Finding(
            ("deployConfig", "storageSize"),
            "at the top of deployConfig this switches storage on for every service of the environment",
            "Move it into `deployConfig.service`.",
        )
    storage = block or deploy
    if storage.get("enableStorage") and storage.get("storageName") == "aenv":
        at = ("deployConfig", "service", "storageName") if block else ("deployConfig", "storageName")
        yield Finding(
            at,
            "'aenv' is what `aenv init` writes into every project: all of them would share one volume",
            "Name it after the environment.",
        )


def _doubtful_image(values: Mapping[str, Any], *, from_file: bool) -> Iterator[Finding]:
    image = image_of(values)
    build = "`aenv build` in the project's folder builds it and writes it into config.json"
    if not image:
        hint = f"{build}." if from_file else 'Give `image = "NAME:TAG"`.'
        yield Finding(
            (), "there is no artifact of type image: instances and services would start with none", hint
        )
        return
    recipe = values.get("buildConfig") or {}
    if not from_file or not recipe or "@" in image:
        return
    name, _, tag = image.rpartition("/")[2].partition(":")
    wanted = (
        str(recipe.get("image_name") or values["name"]),
        str(recipe.get("image_tag") or values["version"]),
    )
    if (name, tag) != wanted:
        yield Finding(
            ("artifacts",),
            f"the image is {image}, and buildConfig builds {':'.join(wanted)}",
            f"If it was not built since: {build}.",
        )


def _doubtful_keys(table: Mapping[str, Any], path: Path, known: tuple[str, ...]) -> Iterator[Finding]:
    for key in table:
        # This one has a meaning of its own: what instances start with.
        if key in known or key == "environment_variables":
            continue
        meant = wire_key(key, known)
        if meant == key:
            meant = nearest(key, known)
        if meant:
            yield Finding((*path, key), "nothing reads this key", f"Did you mean `{meant}`?")


def _doubtful_template(deploy: Mapping[str, Any], *, with_service: bool) -> Iterator[Finding]:
    template, prefix = deploy.get("podTemplate"), deploy.get("imagePrefix")
    at = ("deployConfig", "podTemplate")
    if template is not None and template not in POD_TEMPLATES:
        yield Finding(
            at,
            f"{template!r} has to be installed in the cluster: the chart has {' and '.join(POD_TEMPLATES)}",
        )
    if template == "dualContainer" and not prefix:
        yield Finding(
            ("deployConfig",),
            "the second container of dualContainer runs `imagePrefix`:DATASOURCE, and there is no prefix",
            "Give one, without a colon at its end, unless every data source is a whole image name.",
        )
    if with_service and template == "dualContainer":
        yield Finding(at, "services always run one container; this counts for instances alone")
    if isinstance(prefix, str) and prefix.endswith(":"):
        yield Finding(
            ("deployConfig", "imagePrefix"),
            "a colon is put between prefix and data source anyway",
            "Remove the one at its end.",
        )
