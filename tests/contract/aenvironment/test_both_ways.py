"""What the vendor's tools make we read as it is; what we make they load."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from harness import Project

NOTHING = "No changes. Your infrastructure matches the configuration."
PROJECT = 'config = "demo-env/config.json"\n\n[on.aenv]\n'
SERVED = """\
image = "registry.example.com/mine:1"
tags = ["linux"]

[environment_variables]
LEVEL = "info"

[on.aenv]
version = "1.0.0"

[on.aenv.service]
replicas = 2
port = 9000
"""


@pytest.fixture
def stack(project: Project, served: Any) -> Project:
    """A stack on the servers that the vendor's tools use, with the vendor's projects beside its specs."""
    project.write(
        "reconciler.toml",
        f'[stack]\nname = "test"\n\n[platforms.aenv]\nprovider = "aenvironment"\n'
        f'endpoint = "{served.hub_url}"\napi_service = "{served.api_url}"\npatience_seconds = 0.2\n',
    )
    return project


def built(folder: Path) -> None:
    """Add to a project's config.json what `aenv build` adds, for which it would need Docker."""
    file = folder / "config.json"
    config = json.loads(file.read_text())
    config["artifacts"] = [{"type": "image", "content": f"registry.example.com/{config['name']}:1.0.0"}]
    file.write_text(json.dumps(config, indent=2))


def test_what_they_pushed_is_taken_over_without_a_difference(stack: Project, served: Any) -> None:
    """Made by its own `init`, pushed by its own `push`, wished for by the same file."""
    served.aenv("init", "demo-env", "-v", "1.0.0", cwd=stack.path)
    built(stack.path / "demo-env")
    served.aenv("push", cwd=stack.path / "demo-env")
    stack.write("demo-env.toml", PROJECT)
    said = stack.run("plan").succeeded().out
    assert "<- aenv.environment.demo-env: already on the platform, equal" in said
    assert "Plan: 1 to import, 0 to add, 0 to change, 0 to destroy." in said
    stack.run("apply", "--auto-approve").succeeded()
    assert NOTHING in stack.run("plan").succeeded().out
    served.aenv("push", cwd=stack.path / "demo-env")
    assert NOTHING in stack.run("plan").succeeded().out


def test_a_service_that_they_made_is_taken_over(stack: Project, served: Any) -> None:
    """What can be seen of it is as the same config.json says; its image is set, for it is never shown."""
    served.aenv("init", "demo-env", "-v", "1.0.0", cwd=stack.path)
    built(stack.path / "demo-env")
    served.aenv("push", cwd=stack.path / "demo-env")
    served.aenv("service", "create", "demo-env@1.0.0", "-s", "demo-env", cwd=stack.path / "demo-env")
    stack.write("demo-env.toml", PROJECT + "[on.aenv.service]\n[lifecycle]\nadopt = true\n")
    said = stack.run("plan", "--json").succeeded().events
    plan = next(one for one in said if one["type"] == "plan")
    found = {
        one["address"]: (one["action"], [field["path"] for field in one["fields"]]) for one in plan["changes"]
    }
    assert found == {
        "aenv.environment.demo-env": ("adopt", []),
        "aenv.service.demo-env": ("adopt", ["image"]),
    }
    stack.run("apply", "--auto-approve").succeeded()
    assert NOTHING in stack.run("plan").succeeded().out


def test_what_we_make_they_load(stack: Project, served: Any) -> None:
    """Environment and service, by the models of their SDK and by their command line."""
    stack.write("mine.toml", SERVED)
    stack.run("apply", "--auto-approve").succeeded()
    found = served.load("Env", served.hub("get_environment", name="mine", version="1.0.0"))
    assert (found["tags"], found["status"], found["artifacts"]) == (
        ["linux"],
        6,
        [{"id": "", "type": "image", "content": "registry.example.com/mine:1"}],
    )
    assert found["deploy_config"] == {"environmentVariables": {"LEVEL": "info"}}
    service = served.scheduler("get_env_service", service_id="mine")
    assert (service["replicas"], service["environment_variables"]) == (2, {"LEVEL": "info"})
    assert service["service_url"].endswith(":9000")
    assert "mine" in served.aenv("list")
    assert json.loads(served.aenv("get", "mine", "-v", "1.0.0", "-f", "json"))["name"] == "mine"
    assert "mine" in served.aenv("service", "list")


def test_what_they_change_is_drift(stack: Project, served: Any) -> None:
    """By their own commands; put right by the next apply."""
    stack.write("mine.toml", SERVED)
    stack.run("apply", "--auto-approve").succeeded()
    served.aenv("service", "update", "mine", "--replicas", "5")
    result = stack.run("drift")
    assert (result.code, "replicas" in result.out) == (2, True)
    stack.run("apply", "--auto-approve").succeeded()
    assert served.scheduler("get_env_service", service_id="mine")["replicas"] == 2
    served.aenv("service", "delete", "mine", "--yes")
    assert "+ aenv.service.mine: gone from the platform" in stack.run("plan").succeeded().out


def test_what_we_export_they_push_and_serve(stack: Project, served: Any) -> None:
    """The file is a project to them: pushed it changes nothing, and a service is made of it."""
    stack.write("mine.toml", SERVED)
    stack.run("apply", "--auto-approve").succeeded()
    folder = stack.path / "exported"
    stack.run("export", "aenv.environment.mine", "--format", "aenv", "--out", str(folder)).succeeded()
    served.aenv("push", cwd=folder)
    assert NOTHING in stack.run("plan").succeeded().out
    served.aenv("service", "create", "-s", "second", cwd=folder)
    found = served.scheduler("get_env_service", service_id="second")
    assert found["environment_variables"] == {"LEVEL": "info"}
