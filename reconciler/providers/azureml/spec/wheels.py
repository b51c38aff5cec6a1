"""Wheels of our own: whether a file is one, and the build context that installs them.

A v2 environment cannot carry a wheel. A build context can: its address comes
from its content, so a wheel with other content is another version of the
environment, and it needs no secret. Source: vendor documentation; the conda
step is that of the vendor's curated environments.
"""

from __future__ import annotations

import json
import re
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path as FilePath
from pathlib import PurePosixPath
from typing import Any, Final

from reconciler.errors import ReconcilerError
from reconciler.providers.azureml.context import within
from reconciler.providers.azureml.spec.words import Flaw, Values

__all__ = ["conda_step", "wheel_context", "wheel_flaws"]

_WHEEL_NAME: Final = re.compile(
    r"(?P<name>[A-Za-z0-9_.]+)-(?P<version>[A-Za-z0-9_.!+]+)(?:-\d\w*)?-[\w.]+-[\w.]+-[\w.]+\.whl", re.ASCII
)
_PLACE: Final = "/opt/reconciler"
_CONDA_FILE: Final = "conda_dependencies.yaml"
_REQUIREMENTS: Final = "requirements.txt"
_PIP: Final = re.compile(r"(?:[\w./-]+::)?pip\b(?![\w.-])")


def _distribution(path: str) -> str:
    found = _WHEEL_NAME.fullmatch(PurePosixPath(path).name)
    return "" if found is None else re.sub(r"[-_.]+", "-", found["name"]).lower()


def wheel_flaws(paths: Sequence[str], stack: FilePath) -> Iterator[Flaw]:
    """What is wrong with the wheels at *paths* of the stack, by their numbers."""
    seen: dict[str, str] = {}
    for number, path in enumerate(paths):
        if flaw := _flaw(path, stack):
            yield Flaw((number,), *flaw)
            continue
        first = seen.setdefault(_distribution(path), path)
        if first is not path:
            yield Flaw((number,), f"{path} and {first} are of the same distribution", "Keep one of them.")


def _flaw(path: str, stack: FilePath) -> tuple[str, str] | None:
    name = PurePosixPath(path).name
    parts = _WHEEL_NAME.fullmatch(name)
    if parts is None:
        return (
            f"{name!r} is no name of a wheel",
            "It is NAME-VERSION-PYTHON-ABI-PLATFORM.whl, as `python -m build --wheel` writes it.",
        )
    build = "Build it anew: `python -m build --wheel`."
    try:
        with zipfile.ZipFile(within(path, stack)) as archive:
            inside = set(archive.namelist())
    except ReconcilerError as error:
        return str(error), error.hint
    except (zipfile.BadZipFile, NotImplementedError):
        return f"{path} is no wheel: it is not a zip archive", build
    except OSError as error:
        return f"{path} cannot be read: {error.strerror}", "Check that it is a file, and its permissions."
    folders = {one.partition("/")[0] for one in inside if one.endswith(".dist-info/WHEEL")}
    if len(folders) != 1:
        return f"{path} is no wheel: it has no WHEEL file in a .dist-info directory", build
    said = re.sub(r"[-_.]+", "-", folders.pop().removesuffix(".dist-info").rpartition("-")[0]).lower()
    if said != _distribution(path):
        return f"{path} is a wheel of {said}, by what is in it", "Give the file its own name back."
    return None


def wheel_context(
    image: str,
    wheels: Sequence[str],
    conda: Mapping[str, Any] | None,
    pip: Sequence[str],
    variables: Mapping[str, str],
) -> Values:
    """The manifest of a build context that installs *wheels* into *image*.

    With *conda*, into that environment; else, with the requirements *pip*,
    into the Python of the image.
    """
    files: dict[str, dict[str, str]] = {}
    lines = [f"FROM {image}"]
    if conda is not None:
        conda = _with_pip(conda)
        files[_CONDA_FILE] = {"text": _json(conda, indent=2) + "\n"}
        lines += conda_step(conda)
    elif pip:
        files[_REQUIREMENTS] = {"text": "".join(f"{line}\n" for line in pip)}
        lines += [
            f"COPY {_REQUIREMENTS} {_PLACE}/",
            f"RUN python -m pip install --no-cache-dir -r {_PLACE}/{_REQUIREMENTS}",
        ]
    by_name = {PurePosixPath(path).name: path for path in wheels}
    lines += [
        f"COPY wheels {_PLACE}/wheels",
        " ".join(
            [
                "RUN python -m pip install --no-cache-dir",
                *(f"{_PLACE}/wheels/{name}" for name in sorted(by_name)),
            ]
        ),
    ]
    lines += [f"ENV {name}={_quoted(value)}" for name, value in variables.items()]
    files["Dockerfile"] = {"text": "".join(f"{line}\n" for line in lines)}
    files |= {f"wheels/{name}": {"path": by_name[name]} for name in sorted(by_name)}
    return {"files": files}


def conda_step(conda: Mapping[str, Any], *, inline: bool = False) -> list[str]:
    """The lines of a Dockerfile that install *conda*: out of the context, or with it in themselves."""
    file = f"{_PLACE}/{_CONDA_FILE}"
    if inline:
        text = _json(conda).replace("'", "'\\''")
        copied = f"RUN mkdir -p {_PLACE} && printf '%s' '{text}' > {file}"
    else:
        copied = f"COPY {_CONDA_FILE} {_PLACE}/"
    return [
        "ENV CONDA_PREFIX=/azureml-envs/environment",
        "ENV CONDA_DEFAULT_ENV=$CONDA_PREFIX",
        "ENV PATH=$CONDA_PREFIX/bin:$PATH",
        "ENV LD_LIBRARY_PATH=$CONDA_PREFIX/lib:$LD_LIBRARY_PATH",
        copied,
        f"RUN conda env create -p $CONDA_PREFIX -f {file} -q && conda clean -a -y",
    ]


def _with_pip(conda: Mapping[str, Any]) -> Mapping[str, Any]:
    """*conda* with the pip that installs the wheels."""
    dependencies = conda["dependencies"]
    if any(isinstance(one, Mapping) or _PIP.match(one) for one in dependencies):
        return conda
    return {**conda, "dependencies": [*dependencies, "pip"]}


def _json(value: Any, indent: int | None = None) -> str:
    """JSON is YAML, and has one spelling whoever writes it."""
    return json.dumps(value, indent=indent, ensure_ascii=False)


def _quoted(value: str) -> str:
    """*value* as a Dockerfile takes it literally."""
    return '"' + re.sub(r'(["\\$])', r"\\\1", value) + '"'
