"""Files that people have already: for the vendor's command line, and of its first SDK."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from azureml_specs import attributes, reading, says, write

from reconciler.core.ports import Fact

IMAGE = "mcr.microsoft.com/azureml/openmpi4.1.0-ubuntu22.04:20251130.v1"
ROUTE = {"path": "/live", "port": 8080}
NOTHING = "does not go with `{}`: into what it builds, Azure ML installs nothing"

# --- YAML for `az ml environment create` ---

YAML = f"""\
$schema: https://azuremlschemas.azureedge.net/latest/environment.schema.json
name: docker-image-plus-conda
version: 3
description: Environment created from a Docker image plus Conda environment.
tags:
  team: nlp
properties:
  a: b
image: {IMAGE}
conda_file: conda/pydata.yml
os_type: linux
inference_config:
  liveness_route: {{path: /live, port: 8080}}
  readiness_route: {{path: /live, port: 8080}}
  scoring_route: {{path: /live, port: 8080}}
datastore: azureml:workspaceblobstore
"""
CONDA = {"name": "pydata", "channels": ["conda-forge"], "dependencies": ["python=3.12"]}


def test_a_file_for_the_command_line_says_all_that_a_spec_can(tmp_path: Path) -> None:
    """Every key that the command line knows; paths are from the folder of that file."""
    write(tmp_path, {"az/env.yml": YAML, "az/conda/pydata.yml": json.dumps(CONDA)})
    found = reading(tmp_path, 'from_yaml = "az/env.yml"')
    assert found.problems == ()
    assert found.drafts[0].attributes == {
        "name": "docker-image-plus-conda",
        "version": "3",
        "image": IMAGE,
        "conda": CONDA,
        "build": None,
        "inference_config": {"liveness_route": ROUTE, "readiness_route": ROUTE, "scoring_route": ROUTE},
        "os_type": "Linux",
        "auto_rebuild": "Disabled",
        "description": "Environment created from a Docker image plus Conda environment.",
        "tags": {"team": "nlp"},
        "properties": {"a": "b"},
    }
    assert found.drafts[0].facts == (Fact("image", IMAGE, ("from_yaml",)),)
    assert found.files == (tmp_path / "az/env.yml", tmp_path / "az/conda/pydata.yml")


def test_its_build_context_and_inline_conda_are_taken(tmp_path: Path) -> None:
    """A path is from its folder, an address stays."""
    write(tmp_path, {"az/build.yml": "build: {path: ctx, dockerfile_path: D}\n", "az/ctx/D": "FROM x:1\n"})
    made = attributes(tmp_path, 'from_yaml = "az/build.yml"')
    assert (made["build"]["dockerfile"], made["context"]) == ("D", {"directory": "az/ctx"})
    write(tmp_path, {"az/far.yml": "build: {path: https://a.example.com/c/}\n"})
    assert (
        attributes(tmp_path, 'from_yaml = "az/far.yml"')["build"]["context_uri"] == "https://a.example.com/c/"
    )
    write(tmp_path, {"az/inline.yml": f"image: {IMAGE}\nconda_file: {json.dumps(CONDA)}\n"})
    assert attributes(tmp_path, 'from_yaml = "az/inline.yml"')["conda"] == CONDA


def test_what_the_spec_says_goes_before_it(tmp_path: Path) -> None:
    """Field by field; another thing to build on takes the place of the one there."""
    write(
        tmp_path,
        {"env.yml": YAML.replace("conda/pydata.yml", json.dumps(CONDA)), "ctx/Dockerfile": "FROM x:1\n"},
    )
    made = attributes(tmp_path, 'from_yaml = "env.yml"\nname = "mine"\nimage = "a:1"\ntags = { b = "c" }')
    assert (made["name"], made["image"], made["tags"], made["conda"]) == ("mine", "a:1", {"b": "c"}, CONDA)
    assert says(tmp_path, 'from_yaml = "env.yml"\nbuild = "ctx"') == [
        (
            "from_yaml",
            f"env.yml line 10, column 1: `conda` {NOTHING.format('build')}",
        )
    ]


WRONG: dict[str, tuple[str, str]] = {
    "conda file by mistake": ("channels: [a]\ndependencies: [b]\n", "env.yml is a conda file"),
    "unknown key": ("image: a:1\nconda_fil: x\n", "env.yml line 2, column 1: unknown key `conda_fil`"),
    "image and build": (
        "image: a:1\nbuild: {path: https://a.example.com/c/}\n",
        "env.yml line 2, column 1: `image` and `build` exclude each other",
    ),
    "no image": (
        "image: a b\n",
        "env.yml line 1, column 1: 'a b' is no image: it has blanks or control characters",
    ),
    "missing conda file": (
        "image: a:1\nconda_file: no.yml\n",
        "env.yml line 2, column 1: there is no 'no.yml'",
    ),
    "another type": (
        "image: a:1\ntags: [a]\n",
        "env.yml line 2, column 1: `tags` must be a table, not a list",
    ),
    "inner key": (
        "image: a:1\nbuild: {paths: x}\n",
        "env.yml line 2, column 1: path: `path` is missing",
    ),
    "reserved name": (
        "name: AzureML-x\nimage: a:1\n",
        "env.yml line 1, column 1: 'AzureML-x' is a name that Azure ML keeps for itself",
    ),
    "another datastore": (
        "image: a:1\ndatastore: mine\n",
        "env.yml line 2, column 1: an environment of Azure ML cannot carry `datastore`",
    ),
    "syntax": ("image: [\n", "env.yml line 2, column 1: YAML syntax: did not find expected node content"),
    "no table": ("- a\n", "env.yml: there is no table in it"),
    "nothing to build on": ("name: a\n", "`image` is missing"),
}


@pytest.mark.parametrize(("content", "summary"), WRONG.values(), ids=WRONG)
def test_what_is_wrong_in_it_is_found_there(content: str, summary: str, tmp_path: Path) -> None:
    """By its line and column, at the field that names the file."""
    write(tmp_path, {"env.yml": content})
    assert ("from_yaml", summary) in says(tmp_path, 'from_yaml = "env.yml"')


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    """For either kind."""
    for key in ("from_yaml", "from_v1"):
        assert (key, "there is no 'env'") in says(tmp_path, f'{key} = "env"')


# --- JSON of azureml-core ---

V1: dict[str, Any] = {
    "name": "training_environment",
    "version": None,
    "environmentVariables": {"EXAMPLE_ENV_VAR": "EXAMPLE_VALUE"},
    "python": {
        "userManagedDependencies": False,
        "interpreterPath": "python",
        "condaDependenciesFile": None,
        "baseCondaEnvironment": None,
        "condaDependencies": {
            "name": "project_environment",
            "dependencies": ["python=3.8.13", {"pip": ["azureml-defaults"]}],
            "channels": ["anaconda", "conda-forge"],
        },
    },
    "docker": {
        "enabled": False,
        "baseImage": IMAGE,
        "baseDockerfile": None,
        "buildContext": None,
        "sharedVolumes": True,
        "shmSize": "2g",
        "arguments": [],
        "baseImageRegistry": {"address": None, "username": None, "password": None, "registryIdentity": None},
        "platform": {"os": "Linux", "architecture": "amd64"},
    },
    "spark": {"repositories": [], "packages": [], "precachePackages": True},
    "databricks": {
        "mavenLibraries": [],
        "pypiLibraries": [],
        "rcranLibraries": [],
        "jarLibraries": [],
        "eggLibraries": [],
    },
    "r": None,
    "inferencingStackVersion": None,
    "assetId": None,
}
"""What `Environment("training_environment")` of azureml-core 1.61.0 saves."""


def v1(**changes: Any) -> str:
    """`V1` with *changes* of its tables, as the file has it."""
    table = json.loads(json.dumps(V1))
    for key, value in changes.items():
        merges = isinstance(table.get(key), dict) and isinstance(value, dict)
        table[key] = {**table[key], **value} if merges else value
    return json.dumps(table, indent=4)


def test_a_definition_of_the_first_sdk_says_what_it_meant(tmp_path: Path) -> None:
    """Its defaults mean nothing, its conda definition stays as it is."""
    write(tmp_path, {"env.json": v1(version="4", assetId="azureml://x")})
    found = reading(tmp_path, 'from_v1 = "env.json"')
    assert found.problems == ()
    (draft,) = found.drafts
    assert (draft.attributes["name"], draft.attributes["image"]) == ("training_environment", IMAGE)
    assert draft.attributes["conda"] == V1["python"]["condaDependencies"]
    assert "4" not in str(draft.attributes["version"])


def test_what_is_sent_in_other_capitals_is_the_same(tmp_path: Path) -> None:
    """The SDK sends some keys in PascalCase."""
    table = json.loads(v1())
    sent = {
        key[:1].upper() + key[1:]: table[key] for key in ("name", "environmentVariables", "docker", "spark")
    }
    write(tmp_path, {"a.json": v1(), "b.json": json.dumps({**sent, "python": table["python"]})})
    assert attributes(tmp_path, 'from_v1 = "a.json"') == attributes(tmp_path, 'from_v1 = "b.json"')


MEANT: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "user-managed": (
        {"python": {"userManagedDependencies": True}},
        {"image": IMAGE, "conda": None},
    ),
    "interpreter that counts for nothing": ({"python": {"interpreterPath": "/opt/python"}}, {"image": IMAGE}),
    "registry": (
        {"docker": {"baseImage": "team/app:1", "baseImageRegistry": {"address": "registry.example.com"}}},
        {"image": "registry.example.com/team/app:1"},
    ),
    "registry as an old guide has it": (
        {"docker": {"baseImage": "team/app:1", "baseImageRegistry": "registry.example.com"}},
        {"image": "registry.example.com/team/app:1"},
    ),
    "Windows": ({"docker": {"platform": {"os": "Windows"}}}, {"os_type": "Windows"}),
    "uploaded build context": (
        {
            "docker": {
                "baseImage": None,
                "buildContext": {
                    "locationType": "storageAccount",
                    "location": "https://a.example.com/c/",
                    "dockerfilePath": "D",
                },
            },
            "python": {"userManagedDependencies": True},
        },
        {"build": {"context_uri": "https://a.example.com/c/", "dockerfile": "D"}, "image": None},
    ),
    "Dockerfile": (
        {
            "docker": {"baseImage": None, "baseDockerfile": "FROM python:3.12\n"},
            "python": {"userManagedDependencies": True},
        },
        {"context": {"files": {"Dockerfile": {"text": "FROM python:3.12\n"}}}, "image": None},
    ),
    "docker enabled, GPUs": ({"docker": {"enabled": True, "gpuSupport": False}}, {"image": IMAGE}),
}


@pytest.mark.parametrize(("changes", "said"), MEANT.values(), ids=MEANT)
def test_each_part_of_it_has_its_place(changes: dict[str, Any], said: dict[str, Any], tmp_path: Path) -> None:
    """Where v2 has one."""
    write(tmp_path, {"env.json": v1(**changes)})
    made = attributes(tmp_path, 'from_v1 = "env.json"')
    assert {key: made.get(key) for key in said} == said


LOST: dict[str, tuple[dict[str, Any], str, str]] = {
    "variables": (
        {"environmentVariables": {"A": "b"}},
        "environment_variables",
        "environmentVariables: an environment of Azure ML has no environment variables",
    ),
    "interpreter": (
        {"python": {"userManagedDependencies": True, "interpreterPath": "/opt/python"}},
        "interpreter_path",
        "python.interpreterPath: an environment of Azure ML cannot carry `interpreter_path`",
    ),
    "conda environment of the image": (
        {"python": {"baseCondaEnvironment": "base"}},
        "base_conda_environment",
        "python.baseCondaEnvironment: an environment of Azure ML cannot carry `base_conda_environment`",
    ),
    "arguments": (
        {"docker": {"arguments": ["--gpus", "all"]}},
        "docker_arguments",
        "docker.arguments: an environment of Azure ML cannot carry `docker_arguments`",
    ),
    "shared memory": (
        {"docker": {"shmSize": "8g"}},
        "shm_size",
        "docker.shmSize: an environment of Azure ML cannot carry `shm_size`",
    ),
    "volumes": (
        {"docker": {"sharedVolumes": False}},
        "shared_volumes",
        "docker.sharedVolumes: an environment of Azure ML cannot carry `shared_volumes`",
    ),
    "architecture": (
        {"docker": {"platform": {"architecture": "arm64"}}},
        "architecture",
        "docker.platform.architecture: an environment of Azure ML cannot carry `architecture`",
    ),
    "Spark": (
        {"spark": {"packages": [{"group": "a", "artifact": "b", "version": "1"}]}},
        "spark",
        "spark: an environment of Azure ML cannot carry `spark`",
    ),
    "Databricks": (
        {"databricks": {"jarLibraries": [{"library": "x"}]}},
        "databricks",
        "databricks: an environment of Azure ML cannot carry `databricks`",
    ),
    "R": ({"r": {"rVersion": "4"}}, "r", "r: an environment of Azure ML cannot carry `r`"),
    "inferencing stack": (
        {"inferencingStackVersion": "latest"},
        "inferencing_stack_version",
        "inferencingStackVersion: an environment of Azure ML cannot carry `inferencing_stack_version`",
    ),
}


@pytest.mark.parametrize(("changes", "name", "summary"), LOST.values(), ids=LOST)
def test_what_v2_has_no_place_for_is_not_lost_silently(
    changes: dict[str, Any], name: str, summary: str, tmp_path: Path
) -> None:
    """It is refused where the file says it, unless the spec says that it may be left out."""
    write(tmp_path, {"env.json": v1(**changes)})
    assert says(tmp_path, 'from_v1 = "env.json"') == [("from_v1", f"env.json, {summary}")]
    made = attributes(tmp_path, 'from_v1 = "env.json"', ignored=frozenset({name}))
    assert made["image"] == IMAGE


BROKEN: dict[str, tuple[str, str]] = {
    "password of a registry": (
        v1(
            docker={"baseImageRegistry": {"address": "a.example.com", "username": "u", "password": "hunter2"}}
        ),
        "env.json, docker.baseImageRegistry: password: the credentials of a registry do not belong into an "
        "environment",
    ),
    "identity of a registry": (
        v1(
            docker={
                "baseImageRegistry": {"address": "a.example.com", "registryIdentity": {"resourceId": "x"}}
            }
        ),
        "env.json, docker.baseImageRegistry: registry_identity: a v2 environment has no identity for its "
        "registry",
    ),
    "Dockerfile and conda": (
        v1(docker={"baseImage": None, "baseDockerfile": "FROM x:1\n"}),
        f"env.json, python.condaDependencies: `conda` {NOTHING.format('dockerfile')}",
    ),
    "unknown key": (v1(docker={"baseimag": "x"}), "env.json: unknown key `docker.baseimag`"),
    "no table": ("[]", "env.json: there is no table in it"),
    "syntax": ('{\n  "name": x\n}', "env.json line 2, column 11: JSON syntax: expecting value"),
    "no number": ('{"name": NaN}', "env.json line 1, column 1: NaN is no value of JSON"),
    "a list for a table": (v1(spark=[1]), "env.json: `spark` must be a table"),
    "wrong type": (
        v1(docker={"baseImage": 3}),
        "env.json, docker.baseImage: `image` must be text in quotes, not 3",
    ),
    "password of an index": (
        v1(
            python={
                "condaDependencies": {
                    "dependencies": [{"pip": ["-i https://me:hunter2@pypi.example.com/simple"]}]
                }
            }
        ),
        "env.json, python.condaDependencies: dependencies.0.pip.0: credentials in an address would be shown "
        "to everybody who may see the environment",
    ),
}


@pytest.mark.parametrize(("content", "summary"), BROKEN.values(), ids=BROKEN)
def test_what_is_wrong_in_a_definition_is_said(content: str, summary: str, tmp_path: Path) -> None:
    """By its part, and never with a password."""
    write(tmp_path, {"env.json": content})
    found = says(tmp_path, 'from_v1 = "env.json"')
    assert ("from_v1", summary) in found
    assert "hunter2" not in str(found)
