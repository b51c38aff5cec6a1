"""A stack on Azure ML as a whole: what is left out, what the cache notices, what a policy sees."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from azureml_specs import write

from reconciler.core.model import SpecSet
from reconciler.errors import LimitErrors, SpecErrors
from reconciler.providers import discover
from reconciler.specs import load_config, load_specs

CONFIG = """\
[stack]
name = "t"

[platforms.azureml]
provider = "azureml"
endpoint = "embedded"

[platforms.runai]
provider = "runai"
endpoint = "embedded"
"""
IMAGE = "mcr.microsoft.com/azureml/openmpi4.1.0-ubuntu22.04:20251130.v1"


def load(stack: Path) -> SpecSet:
    """The specs, as every command reads them: through the cache."""
    return load_specs(load_config(stack, discover(), version="1"))


def definition(stack: Path) -> dict[str, object]:
    """The attributes of the one environment on Azure ML."""
    (found,) = [one for one in load(stack).resources if one.address.platform == "azureml"]
    return dict(found.attributes.values_)


@pytest.fixture
def stack(tmp_path: Path) -> Path:
    """A directory with its ``reconciler.toml``."""
    return write(tmp_path / "stack", {"reconciler.toml": CONFIG})


def test_shared_fields_arrive_or_are_left_out_by_name(stack: Path) -> None:
    """One spec on two platforms: what Azure ML cannot carry is an error unless it may be left out there."""
    text = f"""\
image = "{IMAGE}"
description = "a lab"
tools = ["jupyter"]
compute = {{ gpu = 1 }}

[environment_variables]
A = "b"

[on.runai]
scope = "tenant"
[on.azureml]
python = "3.12"
"""
    write(stack, {"lab.toml": text})
    with pytest.raises(SpecErrors) as caught:
        load(stack)
    assert [one.summary for one in caught.value.complaints] == [
        "azureml cannot carry `tools`",
        "azureml cannot carry `compute`",
        "an environment of Azure ML has no environment variables",
    ]
    write(stack, {"lab.toml": text + 'ignore = ["tools", "compute", "environment_variables"]\n'})
    made = definition(stack)
    assert (made["image"], made["description"]) == (IMAGE, "a lab")
    assert "environment_variables" not in made


def test_what_a_named_file_says_is_left_out_by_name_too(stack: Path) -> None:
    """The same words for what stands in the definition of the first SDK."""
    v1 = {
        "name": "lab",
        "docker": {"baseImage": IMAGE, "shmSize": "8g"},
        "environmentVariables": {"A": "b"},
        "spark": {"packages": [{"group": "a", "artifact": "b", "version": "1"}]},
    }
    write(stack, {"v1.json": json.dumps(v1), "lab.toml": '[on.azureml]\nfrom_v1 = "v1.json"\n'})
    with pytest.raises(SpecErrors) as caught:
        load(stack)
    assert len(caught.value.complaints) == 3
    ignore = 'ignore = ["spark", "shm_size", "environment_variables"]\n'
    write(stack, {"lab.toml": f'[on.azureml]\nfrom_v1 = "v1.json"\n{ignore}'})
    assert definition(stack)["image"] == IMAGE


def test_a_change_of_a_named_file_is_a_change_of_the_spec(stack: Path) -> None:
    """Of a conda file, of what a requirements file includes, of a file in a build context or a new one."""
    write(
        stack,
        {
            "teams/conda.yml": "dependencies: [python=3.12]\n",
            "teams/lab.toml": f'image = "{IMAGE}"\n[on.azureml]\nconda_file = "conda.yml"\n',
        },
    )
    first = definition(stack)
    assert definition(stack) == first
    write(stack, {"teams/conda.yml": "dependencies: [python=3.13]\n"})
    assert definition(stack)["conda"] == {"dependencies": ["python=3.13"]}
    write(
        stack,
        {
            "teams/lab.toml": f'image = "{IMAGE}"\n[on.azureml]\npython = "3.12"\n'
            'pip_requirements = "r.txt"\n',
            "teams/r.txt": "-r more/r.txt\n",
            "teams/more/r.txt": "six==1.16.0\n",
        },
    )
    before = load(stack)
    write(stack, {"teams/more/r.txt": "six==1.17.0\n"})
    assert load(stack).digest != before.digest
    assert "six==1.17.0" in str(definition(stack)["conda"])
    write(
        stack, {"teams/lab.toml": '[on.azureml]\nbuild = "ctx"\n', "teams/ctx/Dockerfile": f"FROM {IMAGE}\n"}
    )
    build = definition(stack)["build"]
    assert definition(stack)["build"] == build
    write(stack, {"teams/ctx/new/file": "1"})
    assert definition(stack)["build"] != build


def test_a_policy_on_images_holds_for_dockerfiles(stack: Path) -> None:
    """Or a FROM would be the way around it."""
    policy = '\n[policy]\nallowed_images = ["mcr.microsoft.com/*"]\n'
    write(
        stack,
        {
            "reconciler.toml": CONFIG + policy,
            "lab.toml": '[on.azureml]\nbuild = "ctx"\n',
            "ctx/Dockerfile": f"FROM {IMAGE} AS base\nFROM example.com/other:1\nCOPY --from=base /a /a\n",
        },
    )
    with pytest.raises(LimitErrors) as caught:
        load(stack)
    assert [one.summary for one in caught.value.complaints] == [
        "azureml.environment.lab asks for image 'example.com/other:1'; the policy allows mcr.microsoft.com/*"
    ]


def test_two_specs_of_one_name_are_noticed(stack: Path) -> None:
    """The name in the workspace counts, also when a file says it."""
    write(
        stack,
        {
            "a.toml": f'image = "{IMAGE}"\n[on.azureml]\nname = "lab"\n',
            "b.toml": '[on.azureml]\nfrom_yaml = "env.yml"\n',
            "env.yml": f"name: lab\nimage: {IMAGE}\n",
        },
    )
    with pytest.raises(SpecErrors) as caught:
        load(stack)
    assert "would be the same object on azureml" in str(caught.value.complaints[0].summary)
