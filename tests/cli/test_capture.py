"""``reconciler capture``: an environment that is there already, as a spec that validates."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest
from harness import Project

IMAGE = "mcr.microsoft.com/azureml/openmpi4.1.0-ubuntu22.04:20251130.v1"
CONFIG = '[stack]\nname = "t"\n\n[platforms.azureml]\nprovider = "azureml"\nendpoint = "embedded"\n'

EXPORT = """\
name: py_env
channels:
  - conda-forge
  - defaults
dependencies:
  - numpy=2.1.3
  - pip=24.3.1
  - python=3.12.7
  - pip:
      - torch==2.5.1
      - -e git+https://git.example.com/team/tool.git@main#egg=tool
      - --extra-index-url https://me:hunter2@pypi.example.com/simple
prefix: /home/me/conda/envs/py_env
"""


@pytest.fixture
def stack(project: Project) -> Project:
    """A stack on Azure ML and nowhere else."""
    project.write("reconciler.toml", CONFIG)
    return project


@pytest.fixture
def conda(stack: Project, tmp_path: Path) -> Path:
    """A conda that writes down what it is asked, and exports `EXPORT`."""
    program = tmp_path / "bin" / "conda"
    program.parent.mkdir()
    (tmp_path / "export.yml").write_text(EXPORT)
    program.write_text(
        f'#!/bin/sh\necho "$@" > {tmp_path}/asked\n'
        f'case "$*" in *nothing*) echo "EnvironmentLocationNotFound: no such" >&2; exit 1;; esac\n'
        f"cat {tmp_path}/export.yml\n"
    )
    program.chmod(0o755)
    stack.environment["CONDA_EXE"] = str(program)
    return tmp_path


def written(project: Project, name: str) -> dict[str, Any]:
    """A spec that was written, after `validate` took it."""
    project.run("validate").succeeded()
    return tomllib.loads((project.path / name).read_text())


def test_a_conda_environment_becomes_a_spec_that_validates(stack: Project, conda: Path) -> None:
    """Without the prefix, builds, and what the service cannot install, which is named; no secret is shown."""
    said = stack.run("capture", "conda", "py_env", "--out", "py_env.toml").succeeded()
    assert (conda / "asked").read_text() == "env export --no-builds --name py_env\n"
    assert written(stack, "py_env.toml") == {
        "image": IMAGE,
        "on": {
            "azureml": {
                "python": "3.12.7",
                "channels": ["conda-forge", "defaults"],
                "packages": ["numpy=2.1.3", "pip=24.3.1"],
                "pip": ["torch==2.5.1"],
            }
        },
    }
    text = (stack.path / "py_env.toml").read_text()
    assert "editable is on one machine only" in text
    assert "credentials in an address" in text
    assert "hunter2" not in text + said.out + said.err
    assert "Wrote py_env.toml: azureml.environment.py_env." in said.out


def test_a_prefix_is_one_by_its_slash(stack: Project, conda: Path, tmp_path: Path) -> None:
    """The name is that of the environment, or the one that is asked for."""
    where = tmp_path / "envs" / "a b.c"
    where.mkdir(parents=True)
    (conda / "export.yml").write_text(EXPORT.replace("name: py_env", f"name: {where}"))
    text = stack.run("capture", "conda", str(where)).succeeded().out
    assert (conda / "asked").read_text() == f"env export --no-builds --prefix {where}\n"
    assert tomllib.loads(text)["name"] == "a-b-c"
    text = stack.run("capture", "conda", str(where), "--name", "mine", "--image", "x:1").succeeded().out
    assert (tomllib.loads(text)["name"], tomllib.loads(text)["image"]) == ("mine", "x:1")


def test_variables_of_conda_are_kept_but_secrets(stack: Project, conda: Path) -> None:
    """In the whole definition, which has a place for them."""
    (conda / "export.yml").write_text(EXPORT + "variables:\n  A: b\n  HF_TOKEN: abcdefghijk\n")
    stack.run("capture", "conda", "py_env", "--out", "py_env.toml").succeeded()
    found = written(stack, "py_env.toml")["on"]["azureml"]["conda"]
    assert found["variables"] == {"A": "b"}
    assert found["dependencies"] == ["python=3.12.7", "numpy=2.1.3", "pip=24.3.1", {"pip": ["torch==2.5.1"]}]
    assert "Left out: the variable HF_TOKEN" in (stack.path / "py_env.toml").read_text()


def test_without_conda_it_says_so(stack: Project, tmp_path: Path) -> None:
    """And what was looked for."""
    stack.environment |= {"PATH": str(tmp_path), "CONDA_EXE": ""}
    failed = stack.run("capture", "conda", "py_env")
    assert (failed.code, failed.out) == (1, "")
    assert "Error: there is no conda here" in failed.err
    assert "Looked for conda, mamba, micromamba and CONDA_EXE." in failed.err


def test_what_conda_says_is_passed_on(stack: Project, conda: Path) -> None:
    """Its last words, with what to do."""
    failed = stack.run("capture", "conda", "nothing")
    assert failed.code == 1
    assert "exports no environment 'nothing': EnvironmentLocationNotFound: no such" in failed.err
    (conda / "export.yml").write_text("a: [\n")
    assert "cannot be read: YAML syntax" in stack.run("capture", "conda", "py_env").err


# --- virtual environments ---


def venv(root: Path, packages: dict[str, tuple[str, dict[str, Any] | None]], *, system: bool = False) -> Path:
    """The files of a virtual environment with *packages*: version, and what ``direct_url.json`` says."""
    site = root / "lib" / "python3.12" / "site-packages"
    site.mkdir(parents=True)
    (root / "pyvenv.cfg").write_text(
        f"home = /usr/bin\ninclude-system-site-packages = {str(system).lower()}\nversion = 3.12.7\n"
    )
    # Would run if the environment's own code did.
    (site / "sitecustomize.py").write_text(f"open({str(root / 'ran')!r}, 'w')\n")
    for name, (version, origin) in packages.items():
        info = site / f"{name}-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        if origin is not None:
            (info / "direct_url.json").write_text(json.dumps(origin))
    return root


def test_a_virtual_environment_is_read_by_its_files(stack: Project, tmp_path: Path) -> None:
    """Python, and what is installed, in order; what is only on this machine needs a person."""
    vcs = {"vcs": "git", "commit_id": "0123abc", "requested_revision": "main"}
    root = venv(
        tmp_path / "project" / ".venv",
        {
            "pip": ("24.3.1", None),
            "setuptools": ("75.0", None),
            "Zope.Interface": ("7.1", None),
            "numpy": ("2.1.3", None),
            "torch": ("2.5.1+cu124", None),
            "fromgit": ("1.0", {"url": "https://git.example.com/x.git", "vcs_info": vcs}),
            "inside": (
                "1.0",
                {"url": "https://git.example.com/y.git", "vcs_info": vcs, "subdirectory": "libs/inside"},
            ),
            "archived": ("1.0", {"url": "https://example.com/archived-1.0.tar.gz", "archive_info": {}}),
            "editable": ("1.0", {"url": "file:///home/me/editable", "dir_info": {"editable": True}}),
            "localfile": (
                "1.0",
                {"url": "file:///home/me/localfile-1.0-py3-none-any.whl", "archive_info": {}},
            ),
            "secret": ("1.0", {"url": "https://hunter2@git.example.com/x.git", "vcs_info": vcs}),
        },
        system=True,
    )
    (root / "lib" / "python3.12" / "site-packages" / "oldstyle.egg-link").write_text("/home/me/oldstyle\n.")
    said = stack.run("capture", "venv", str(root), "--out", "project.toml").succeeded()
    assert written(stack, "project.toml") == {
        "image": IMAGE,
        "on": {
            "azureml": {
                "python": "3.12.7",
                "pip": [
                    "archived @ https://example.com/archived-1.0.tar.gz",
                    "fromgit @ git+https://git.example.com/x.git@0123abc",
                    "inside @ git+https://git.example.com/y.git@0123abc#subdirectory=libs/inside",
                    "numpy==2.1.3",
                    "torch==2.5.1+cu124",
                    "Zope.Interface==7.1",
                ],
            }
        },
    }
    comments = [
        line[2:] for line in (stack.path / "project.toml").read_text().splitlines() if line[:1] == "#"
    ]
    needed = " ".join(comments)
    for words in (
        "Packages of the Python below it are not looked at.",
        "Left out: oldstyle is installed editable.",
        "archived comes from an address of its own",
        "Left out: editable is installed editable, from file:///home/me/editable.",
        "fromgit comes out of a repository",
        "Left out: localfile is installed from file:///home/me/localfile-1.0-py3-none-any.whl.",
        "Left out: secret credentials in an address",
        "torch has a local version",
    ):
        assert words in needed
    assert "hunter2" not in needed + said.out + said.err
    assert not (root / "ran").exists()


def test_what_is_no_virtual_environment_is_refused(stack: Project, tmp_path: Path) -> None:
    """By what is missing."""
    assert "it has no pyvenv.cfg" in stack.run("capture", "venv", str(tmp_path)).err
    root = venv(tmp_path / "v", {})
    (root / "pyvenv.cfg").write_text("home = /usr/bin\n")
    assert "does not say which Python it has" in stack.run("capture", "venv", str(root)).err
    (root / "pyvenv.cfg").write_text("version_info = 3.9.1.final.0\n")
    assert "has no site-packages" in stack.run("capture", "venv", str(root)).err


# --- v1 ---


def definition(**docker: Any) -> str:
    conda = {"name": "project_environment", "dependencies": ["python=3.8.13"], "channels": ["anaconda"]}
    return json.dumps(
        {
            "name": "training_environment",
            "version": "3",
            "environmentVariables": {"A": "hunter2"},
            "python": {"userManagedDependencies": False, "condaDependencies": conda},
            "docker": {"shmSize": "8g", **docker},
            "spark": {"packages": [{"group": "a", "artifact": "b", "version": "1"}]},
        }
    )


def test_a_v1_definition_becomes_a_spec_that_validates(stack: Project) -> None:
    """What v2 has no place for is named with the nearest thing; values of variables are not shown."""
    registry = {"address": "registry.example.com", "username": "u", "password": "hunter2"}
    stack.write("v1.json", definition(baseImage="team/app:1", baseImageRegistry=registry))
    said = stack.run("capture", "v1", "v1.json", "--out", "training_environment.toml").succeeded()
    assert written(stack, "training_environment.toml") == {
        "image": "team/app:1",
        "on": {
            "azureml": {
                "base_image_registry": "registry.example.com",
                "conda": {
                    "name": "project_environment",
                    "dependencies": ["python=3.8.13"],
                    "channels": ["anaconda"],
                },
            }
        },
    }
    text = (stack.path / "training_environment.toml").read_text()
    for words in ("docker.shmSize", "spark. Nearest", "the variables A.", "who signs in to the registry"):
        assert f"# Left out: {words}" in text
    assert "hunter2" not in text + said.out + said.err


def test_a_dockerfile_of_v1_gets_the_conda_step(stack: Project) -> None:
    """v2 does not install conda packages into what a Dockerfile builds."""
    stack.write("v1.json", definition(baseDockerfile="FROM python:3.12\nRUN echo it's"))
    stack.run("capture", "v1", "v1.json", "--out", "training_environment.toml").succeeded()
    text = written(stack, "training_environment.toml")["on"]["azureml"]["dockerfile"]["text"]
    lines = text.splitlines()
    assert lines[:2] == ["FROM python:3.12", "RUN echo it's"]
    assert lines[-1].startswith(
        "RUN conda env create -p $CONDA_PREFIX -f /opt/reconciler/conda_dependencies.yaml"
    )
    inline = lines[-2].partition("printf '%s' '")[2].partition("' > ")[0]
    assert json.loads(inline)["dependencies"] == ["python=3.8.13"]


def test_a_v1_definition_of_a_requirements_file_loses_its_comments(stack: Project) -> None:
    """The SDK copies the lines of the file as they stand; what v2 cannot do with one is named."""
    lines = ["# ours", "", "torch==2.2  # the GPU one", "-r other.txt", "azureml-defaults"]
    conda = {"dependencies": ["python=3.8.13", "pip", {"pip": lines}]}
    v1 = {"name": "e", "python": {"condaDependencies": conda}, "docker": {"baseImage": "team/app:1"}}
    stack.write("v1.json", json.dumps(v1))
    stack.run("capture", "v1", "v1.json", "--out", "e.toml").succeeded()
    found = written(stack, "e.toml")["on"]["azureml"]["conda"]["dependencies"]
    assert found[2] == {"pip": ["torch==2.2", "azureml-defaults"]}
    assert "# Left out: -r other.txt: the service has no such file." in (stack.path / "e.toml").read_text()


def test_secrets_of_a_v1_definition_are_left_out(stack: Project) -> None:
    """Of channels, indexes and the address of a build context; a Dockerfile with one is not written."""
    conda = {
        "channels": ["conda-forge", "https://conda.example.com/t/hunter2-hunter2/team"],
        "dependencies": [
            "python=3.8.13",
            {"pip": ["--extra-index-url https://me:hunter2@pypi.example.com/simple"]},
        ],
        "prefix": "/home/me",
    }
    python = {"condaDependencies": conda}
    stack.write("a.json", json.dumps({"name": "a", "python": python, "docker": {"baseImage": "team/app:1"}}))
    signed = {
        "locationType": "storageAccount",
        "location": "https://me.blob.core.windows.net/c/x/?sig=hunter2",
    }
    stack.write("b.json", json.dumps({"name": "b", "docker": {"buildContext": signed}}))
    said = [stack.run("capture", "v1", f"{name}.json", "--out", f"{name}.toml").succeeded() for name in "ab"]
    assert written(stack, "a.toml")["on"]["azureml"]["conda"] == {
        "channels": ["conda-forge"],
        "dependencies": ["python=3.8.13"],
    }
    build = written(stack, "b.toml")["on"]["azureml"]["build"]
    assert build["path"] == "https://me.blob.core.windows.net/c/x/"
    texts = [(stack.path / f"{name}.toml").read_text() for name in "ab"]
    assert texts[0].count("# Left out: ") == 2
    assert "# Left out: what signs in to the build context." in texts[1]
    docker = {"baseDockerfile": "FROM team/app:1\nENV API_TOKEN=hunter2\n"}
    stack.write("c.json", json.dumps({"name": "c", "docker": docker}))
    failed = stack.run("capture", "v1", "c.json", "--out", "c.toml")
    assert failed.code == 1
    assert "c.json: the Dockerfile: line 2: a secret" in failed.err
    assert not (stack.path / "c.toml").exists()
    assert not [one for one in [*texts, *(one.out + one.err for one in [*said, failed])] if "hunter2" in one]


def test_what_is_no_definition_is_refused(stack: Project) -> None:
    """With its place."""
    for content, words in {
        "{": "v1.json line 1, column 2: JSON syntax",
        "[]": "there is no table in v1.json",
        '{"dockr": {}}': "v1.json: unknown key `dockr`",
    }.items():
        stack.write("v1.json", content)
        failed = stack.run("capture", "v1", "v1.json")
        assert failed.code == 1
        assert words in failed.err
    assert "missing.json cannot be read" in stack.run("capture", "v1", "missing.json").err


# --- writing ---


def test_nothing_is_written_over(stack: Project) -> None:
    """Somebody wrote it."""
    stack.write("v1.json", definition(baseImage="team/app:1"))
    stack.write("mine.toml", "# mine\n")
    failed = stack.run("capture", "v1", "v1.json", "--out", "mine.toml")
    assert (failed.code, (stack.path / "mine.toml").read_text()) == (1, "# mine\n")
    assert "mine.toml exists already" in failed.err
    assert "cannot be written" in stack.run("capture", "v1", "v1.json", "--out", "no/where.toml").err


def test_the_name_and_platform_can_be_chosen(stack: Project) -> None:
    """The name is said when the file's is another."""
    stack.write("v1.json", definition(baseImage="team/app:1"))
    stack.run("capture", "v1", "v1.json", "--out", "a.toml", "--name", "b", "--platform", "ml").succeeded()
    found = tomllib.loads((stack.path / "a.toml").read_text())
    assert (found["name"], list(found["on"])) == ("b", ["ml"])


def test_what_still_has_to_be_put_right_is_a_failure(stack: Project) -> None:
    """A definition without an image, say: the spec is printed, and what is wrong with it."""
    stack.write("v1.json", definition())
    failed = stack.run("capture", "v1", "v1.json")
    assert failed.code == 1
    assert tomllib.loads(failed.out)["name"] == "training_environment"
    assert "Warning: `image` is missing." in failed.err


def test_a_program_gets_it_as_json(stack: Project) -> None:
    """The spec in one field, and what to look at."""
    stack.write("v1.json", definition(baseImage="team/app:1"))
    captured, summary = stack.run("capture", "v1", "v1.json", "--json").succeeded().events
    assert tomllib.loads(captured["spec"])["image"] == "team/app:1"
    assert (captured["type"], captured["name"], len(captured["notes"])) == (
        "captured",
        "training_environment",
        3,
    )
    assert summary == {
        "type": "summary",
        "exit_code": 0,
        "name": "training_environment",
        "file": None,
        "problems": 0,
    }
