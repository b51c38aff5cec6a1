"""One resource from its three sides."""

from __future__ import annotations

import json
from types import MappingProxyType
from typing import Any

from render.plans import golden

from reconciler.core.attributes import Attributes
from reconciler.core.model import Remote, UsedBy
from reconciler.render.resource import resource_lines, resource_view

TOOLS = {
    "Jupyter": {"type": "jupyter-notebook", "connection": "external-url", "container_port": 8888},
    "TensorBoard": {
        "type": "tensorboard",
        "connection": "node-port",
        "container_port": 6006,
        "custom": True,
    },
    "Mine": {
        "type": "custom",
        "connection": "external-url",
        "container_port": 1,
        "custom": True,
        "url": "https://x",
    },
    "Weights & Biases": {"type": "wandb", "url": "https://wandb.ai"},
}
WANTED = {
    "name": "lab",
    "image": "python:3.11",
    "environment_variables": {"HF": {"credential": {"$id": "c-1"}, "key": "token"}},
    "tools": TOOLS,
    "tty": True,
}
LIVE = Remote(
    "environment",
    "e-1",
    ("tenant", "", "lab"),
    Attributes(
        {
            "name": "lab",
            "image": "python:3.12",
            "environment_variables": {"HF": {"credential": {"$id": "c-1"}, "key": "token"}, "KEY": "hunter2"},
            "tools": {"Jupyter": TOOLS["Jupyter"]},
        }
    ),
    details=MappingProxyType({"created_by": "ann@example.com", "created_at": "", "cluster": "c"}),
    used_by=(UsedBy("workspace", "lab-1", "Running", active=True), UsedBy("template", "tpl")),
)


def view(**sides: Any) -> dict[str, Any]:
    """A resource, each side there unless said otherwise."""
    given: dict[str, Any] = {
        "address": "runai.environment.lab",
        "status": "conflict",
        "source": "lab.toml:3",
        "desired": Attributes(WANTED),
        "prior": Attributes(WANTED),
        "live": LIVE,
        "names": {"c-1": "runai.credential.hub"},
        "shown": lambda path, value: value != "hunter2",
    }
    return resource_view(**{**given, **sides})


def text(shown: dict[str, Any]) -> str:
    """A resource as it is printed."""
    return "".join(f"{line}\n" for line in resource_lines(shown))


def test_all_three_sides() -> None:
    """What is there, what the specs want where that differs, tools, and who uses it."""
    golden("resource.txt", text(view()))
    golden("resource.json", json.dumps(view(), ensure_ascii=False, indent=2) + "\n")


def test_a_resource_that_is_not_made_yet() -> None:
    """What the specs want, and no word about users."""
    golden("resource-new.txt", text(view(status="new", live=None, prior=None)))


def test_an_object_that_nobody_manages() -> None:
    """What is there; nobody uses it."""
    sides = {"address": None, "status": "unmanaged", "source": None, "desired": None, "prior": None}
    bare = Remote("environment", "e-2", ("x",), Attributes({"name": "x", "tools": {}, "args": []}))
    assert text(view(live=bare, **sides)) == (
        'x  unmanaged\n  id           e-2\n\n  name = "x"\n  args = []\n\nUsed by nothing.\n'
    )


def test_tools_that_the_specs_want_are_shown_when_there_are_none() -> None:
    """And the other way round."""
    none = Remote("environment", "e-1", ("x",), Attributes({"name": "lab", "tools": {}}))
    one = {"Jupyter": TOOLS["Jupyter"]}
    shown = text(view(live=none, desired=Attributes({"name": "lab", "tools": one})))
    jupyter = "Jupyter: jupyter-notebook, external-url, container port 8888"
    assert f"Tools and connections\n  the spec wants\n    {jupyter}\n\n" in shown
    some = Remote("environment", "e-1", ("x",), Attributes({"name": "lab", "tools": one}))
    shown = text(view(live=some, desired=Attributes({"name": "lab", "tools": {}})))
    assert f"Tools and connections\n  {jupyter}\n  the spec wants none\n\n" in shown


def test_what_somebody_typed_into_the_platform_does_not_repaint_the_terminal() -> None:
    """Names of variables and tools, values, users and details come from there."""
    bad = "\x1b[2J\u202e"
    nasty = Remote(
        "environment",
        bad,
        (bad,),
        Attributes({"name": bad, "vars": {bad: bad}, "tools": {bad: {"type": bad, "url": bad}}}),
        details=MappingProxyType({"created_by": bad}),
        used_by=(UsedBy("workspace", bad),),
    )
    shown = list(resource_lines(view(address=f"a.b.{bad}", live=nasty, desired=None, prior=None)))
    assert all(line.isprintable() for line in shown)
