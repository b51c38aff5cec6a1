"""The documents say what is true."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import rtoml
from harness import LAB, Project
from pydantic import BaseModel

from reconciler.cli.app import cli
from reconciler.core.reading import SecretReference
from reconciler.engine.inventory import STATUSES
from reconciler.providers.azureml import settings_model as azureml_settings
from reconciler.providers.azureml import spec as azureml
from reconciler.providers.azureml.spec.environment import (
    CANNOT_CARRY,
    Build,
    DockerfileText,
    InferenceConfig,
    Route,
)
from reconciler.providers.runai.settings_model import SettingsModel
from reconciler.providers.runai.spec import MODELS
from reconciler.providers.runai.spec.compute import ComputeFields, ExtendedResource
from reconciler.providers.runai.spec.environment import WorkloadTypes
from reconciler.providers.runai.spec.tools import TOOLS, InferenceEndpoint, ReadinessProbe, Tool
from reconciler.providers.runai.spec.variables import EnvironmentVariable
from reconciler.specs.config_model import (
    AcceptedDriftTable,
    ApplyTable,
    ConfigModel,
    MovedTable,
    NotifyTable,
    PolicyTable,
    Reference,
    StackTable,
    StateTable,
)

ROOT = Path(__file__).parent.parent
SPECS = (ROOT / "docs" / "specs.md").read_text()
README = (ROOT / "README.md").read_text()
AZURE = (ROOT / "docs" / "azureml.md").read_text()

DOCUMENTED: list[type[BaseModel]] = [
    *MODELS.values(),
    ComputeFields,
    ExtendedResource,
    SecretReference,
    WorkloadTypes,
    InferenceEndpoint,
    EnvironmentVariable,
    Tool,
    ReadinessProbe,
    SettingsModel,
    StackTable,
    StateTable,
    PolicyTable,
    ApplyTable,
    MovedTable,
    AcceptedDriftTable,
    NotifyTable,
    Reference,
    ConfigModel,
]


DOCUMENTED_FOR_AZURE: list[type[BaseModel]] = [
    *azureml.MODELS.values(),
    Build,
    DockerfileText,
    InferenceConfig,
    Route,
    azureml_settings.SettingsModel,
]


@pytest.mark.parametrize("model", DOCUMENTED, ids=lambda model: model.__name__)
def test_every_field_is_documented(model: type[BaseModel]) -> None:
    """docs/specs.md names each field that a file may have."""
    names = {field.alias or name for name, field in model.model_fields.items()}
    assert {name for name in names if not re.search(rf"\b{name}\b", SPECS)} == set()


@pytest.mark.parametrize("model", DOCUMENTED_FOR_AZURE, ids=lambda model: model.__name__)
def test_every_field_for_azure_is_documented(model: type[BaseModel]) -> None:
    """docs/azureml.md does the same for Azure ML, with what it cannot carry."""
    assert {name for name in model.model_fields if not re.search(rf"\b{name}\b", AZURE)} == set()
    assert {name for name in CANNOT_CARRY if f"`{name}`" not in AZURE} == set()


def test_every_tool_is_documented_in_the_words_of_complaints() -> None:
    """What is suggested can be looked up."""
    assert {tool for tool in TOOLS if f'"{tool}"' not in SPECS} == set()


def test_the_readme_names_every_command() -> None:
    """No verb is hidden."""
    context = cli.make_context("reconciler", [], resilient_parsing=True)
    assert {
        name
        for name in cli.list_commands(context)
        if f"`{name}" not in README and f"`, `{name}" not in README
    } == set()


def test_every_status_is_explained(project: Project) -> None:
    """By the README and by `list --help`, a line each."""
    told = project.run("list", "--help").succeeded().out
    assert [
        status for status in STATUSES if f"`{status}`" not in README or f"\n    {status} " not in told
    ] == []


def test_the_readme_says_what_the_embedded_platform_has(project: Project) -> None:
    """Its clusters, departments with projects, and the paths and the token call of the example."""
    hand = project.hand()
    project.write("lab.toml", LAB)
    project.run("plan").succeeded()
    section = README.partition("## The embedded platforms\n")[2].partition("\n## ")[0]
    for cluster in hand.request("GET", "/api/v1/clusters"):
        assert f"| `{cluster['name']}` |" in section
    for family in ("departments", "projects"):
        for unit in hand.request("GET", f"/api/v1/org-unit/{family}")[family]:
            assert f"`{unit['name']}` ({unit['id']})" in section
    for path in re.findall(r"`(/api/[^`]+)`|\$url(/api/v1/[ao]\S+)", section):
        hand.request("GET", "".join(path))
    body = json.loads(re.findall(r"-d '(.*)'", section)[0])
    hand.request("POST", "/api/v1/token", body)


def test_the_spec_in_the_readme_is_valid(project: Project) -> None:
    """What a new user copies first works."""
    blocks = re.findall(r"^```toml\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
    spec = next(block for block in blocks if "llm-train.toml" in block)
    project.write("llm-train.toml", spec)
    project.write(
        "hf-token.toml",
        'kind = "credential"\ntype = "generic-secret"\n\n[data]\ntoken = { env = "HF_TOKEN" }\n\n'
        '[on.runai]\nscope = "project"\nscope_name = "nlp"\n',
    )
    planned = project.run("plan").succeeded()
    assert "Plan: 3 to add, 0 to change, 0 to destroy." in planned.out


@pytest.mark.parametrize("document", ["README.md", "docs/azureml.md", "docs/drift.md", "docs/specs.md"])
def test_every_toml_block_parses(document: str) -> None:
    """TOML in the documents is TOML."""
    for block in re.findall(r"^```toml\n(.*?)^```", (ROOT / document).read_text(), re.MULTILINE | re.DOTALL):
        rtoml.loads(block)


def test_every_link_leads_somewhere() -> None:
    """Relative links of the documents name files that exist."""
    for path in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]:
        for target in re.findall(r"\]\(([^)#]+)\)", path.read_text()):
            if not target.startswith("http"):
                assert (path.parent / target).exists(), f"{path.name} links to {target}"
