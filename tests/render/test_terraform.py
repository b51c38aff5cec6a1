"""A plan as Terraform's plan JSON: what each action becomes, and what tools need to find."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from render.plans import EMPTY, HUB, NEW, PLAN, address, field, golden

from reconciler.core.attributes import Attributes
from reconciler.core.model import (
    Action,
    Cause,
    Change,
    FieldChange,
    Plan,
    ResourceAddress,
    ResourceState,
    Reversal,
    Step,
    Surroundings,
    Verb,
)
from reconciler.render.objects import objects_view
from reconciler.render.terraform import terraform_view
from reconciler.render.view import plan_view

PROVIDERS = {"runai": "runai", "aml": "azureml", "west": "runai"}


def records(*found: tuple[ResourceAddress, str, dict[str, Any]]) -> dict[ResourceAddress, ResourceState]:
    """What a state knows: addresses, ids, attributes."""
    return {where: ResourceState(where, remote_id, Attributes(values)) for where, remote_id, values in found}


def shaped(plan: Plan, prior: dict[ResourceAddress, ResourceState] | None = None) -> dict[str, Any]:
    """*plan* as Terraform would have it."""
    return terraform_view(plan_view(plan), objects_view(plan, Surroundings(PROVIDERS, prior or {})))


LAB = address("environment.lab")
BEFORE = {"name": "lab", "image": "python:3.11", "environment_variables": {"A": "1"}, "args": ["x", "y"]}
AFTER = {**BEFORE, "image": "python:3.12"}
IMAGE = field("image", "python:3.11", "python:3.12")


def one(action: Action, *fields: FieldChange, steps: tuple[Step, ...] = (), **more: Any) -> Plan:
    """A plan that does one thing to *lab*."""
    remote_id = "" if action is Action.CREATE else "e-1"
    change = Change(LAB, action, "because", fields, **{"remote_id": remote_id, **more})
    return replace(EMPTY, changes=(change,), steps=steps)


def writing(verb: Verb, values: dict[str, Any] | None, number: int = 0, **more: Any) -> Step:
    """A step on *lab*."""
    attributes = Attributes(values) if values is not None else None
    return Step(number, verb, LAB, Reversal.NONE, attributes=attributes, remote_id="e-1", **more)


MADE = {"id": True, "environment_variables": {}, "args": [False, False]}
STATE = records((LAB, "e-1", BEFORE))
REPLACED = (writing(Verb.DELETE, None), writing(Verb.CREATE, AFTER, 1))
MADE_FIRST = (writing(Verb.CREATE, AFTER, deposes=True), writing(Verb.DELETE, None, 1, deposes=True))

CASES: dict[str, tuple[Plan, dict[ResourceAddress, ResourceState], dict[str, Any]]] = {
    "create": (
        one(Action.CREATE, steps=(writing(Verb.CREATE, AFTER),)),
        {},
        {"actions": ["create"], "before": None, "after": AFTER, "after_unknown": MADE},
    ),
    "update": (
        one(Action.UPDATE, IMAGE, steps=(writing(Verb.UPDATE, AFTER),)),
        STATE,
        {"actions": ["update"], "before": {"id": "e-1", **BEFORE}, "after": {"id": "e-1", **AFTER}},
    ),
    "replace": (
        one(Action.REPLACE, replace(IMAGE, forces_replace=True), steps=REPLACED),
        STATE,
        {
            "actions": ["delete", "create"],
            "before": {"id": "e-1", **BEFORE},
            "after": AFTER,
            "after_unknown": MADE,
            "replace_paths": [["image"]],
            "action_reason": "replace_because_cannot_update",
        },
    ),
    "replace, the new one first, asked for": (
        one(Action.REPLACE, IMAGE, steps=MADE_FIRST),
        STATE,
        {"actions": ["create", "delete"], "action_reason": "replace_by_request"},
    ),
    "delete": (
        one(Action.DELETE, steps=(writing(Verb.DELETE, None),)),
        STATE,
        {
            "actions": ["delete"],
            "before": {"id": "e-1", **BEFORE},
            "after": None,
            "after_unknown": {},
            "after_sensitive": False,
            "action_reason": "delete_because_no_resource_config",
        },
    ),
    "forget": (
        one(Action.FORGET),
        STATE,
        {"actions": ["forget"], "before": {"id": "e-1", **BEFORE}, "after": None},
    ),
    "no-op": (
        EMPTY,
        STATE,
        {"actions": ["no-op"], "before": {"id": "e-1", **BEFORE}, "after": {"id": "e-1", **BEFORE}},
    ),
    "adopt": (
        one(Action.ADOPT, steps=(writing(Verb.RECORD, BEFORE),)),
        {},
        {
            "actions": ["no-op"],
            "before": {"id": "e-1", **BEFORE},
            "after": {"id": "e-1", **BEFORE},
            "importing": {"id": "e-1"},
        },
    ),
    "adopt and update": (
        one(Action.ADOPT, IMAGE, steps=(writing(Verb.UPDATE, AFTER),)),
        {},
        {"actions": ["update"], "before": {"id": "e-1", **BEFORE}, "importing": {"id": "e-1"}},
    ),
    "move": (
        one(Action.MOVE, steps=(writing(Verb.RECORD, BEFORE),), moved_from=address("environment.old")),
        STATE,
        {"actions": ["no-op"], "previous_address": "runai_environment.old"},
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_what_each_action_becomes(case: str) -> None:
    """In Terraform's words, with the whole object on both sides."""
    plan, prior, wanted = CASES[case]
    [row] = shaped(plan, prior)["resource_changes"]
    assert (row["address"], row["mode"], row["type"], row["name"], row["provider_name"]) == (
        "runai_environment.lab",
        "managed",
        "runai_environment",
        "lab",
        "reconciler/runai",
    )
    said = {**row["change"], **row}
    assert {key: said.get(key) for key in wanted} == wanted


def test_the_whole_of_a_plan() -> None:
    """Byte for byte, with something of everything."""
    prior = records(
        (address("credential.hub"), "c-1", HUB.values_),
        (address("environment.deleted"), "e-2", {"name": "deleted", "image": "python:3.11"}),
        (LAB, "e-1", {"name": "lab", "image": "python:3.11", "tools": [{"port": 8888}]}),
        (address("environment.same"), "e-5", {"name": "same", "image": "python:3.11"}),
    )
    view = shaped(PLAN, prior)
    golden("plan-terraform.json", json.dumps(view, ensure_ascii=False, indent=2) + "\n")


def test_what_tools_look_for_is_there() -> None:
    """All that checkov and terraform-compliance need, for each object that there will be."""
    view = shaped(*CASES["update"][:2])
    assert (view["format_version"], view["terraform_version"].count(".")) == ("1.2", 2)
    [planned] = view["planned_values"]["root_module"]["resources"]
    assert {"address", "mode", "type", "name", "provider_name", "values"} <= planned.keys()
    [configured] = view["configuration"]["root_module"]["resources"]
    assert {"address", "mode", "type", "name", "expressions"} <= configured.keys()
    assert planned["address"] == configured["address"] == view["resource_changes"][0]["address"]
    assert (view["applyable"], view["complete"], view["errored"]) == (True, True, False)


def test_what_goes_is_in_no_plan_for_later() -> None:
    """Neither planned nor configured; its change is listed."""
    view = shaped(*CASES["delete"][:2])
    assert view["planned_values"]["root_module"]["resources"] == []
    assert view["configuration"]["root_module"]["resources"] == []
    assert len(view["resource_changes"]) == 1


def test_an_empty_stack_has_all_the_parts() -> None:
    """A tool that finds no list of resources would say that all is well."""
    view = shaped(EMPTY)
    assert view["planned_values"] == {"root_module": {"resources": []}}
    assert (view["resource_changes"], view["applyable"]) == ([], False)
    assert "resource_drift" not in view


def test_platforms_stay_apart() -> None:
    """A platform that is not called as its provider is a module, with the provider's types in it."""
    wheres = [ResourceAddress(platform, "environment", "lab") for platform in ("aml", "runai", "west")]
    view = shaped(EMPTY, records(*((where, where.platform, BEFORE) for where in wheres)))
    assert [(row["address"], row.get("module_address"), row["type"]) for row in view["resource_changes"]] == [
        ("module.aml.azureml_environment.lab", "module.aml", "azureml_environment"),
        ("module.west.runai_environment.lab", "module.west", "runai_environment"),
        ("runai_environment.lab", None, "runai_environment"),
    ]
    root = view["planned_values"]["root_module"]
    assert [one["address"] for one in root["resources"]] == ["runai_environment.lab"]
    assert [one["address"] for one in root["child_modules"]] == ["module.aml", "module.west"]
    calls = view["configuration"]["root_module"]["module_calls"]
    assert calls["aml"]["module"]["resources"][0]["address"] == "azureml_environment.lab"
    assert sorted(view["configuration"]["provider_config"]) == ["azureml", "runai"]


@pytest.mark.parametrize("name", ["a.b", "with space", '"', "1st", "é"])
def test_a_name_that_terraform_cannot_have_is_a_key(name: str) -> None:
    """``each["NAME"]``, so that an address says one thing only."""
    where = LAB._replace(name=name)
    view = shaped(EMPTY, records((where, "x", BEFORE)))
    [row] = view["resource_changes"]
    assert (row["name"], row["index"]) == ("each", name)
    assert row["address"] == f"runai_environment.each[{json.dumps(name, ensure_ascii=False)}]"
    assert view["configuration"]["root_module"]["resources"][0]["address"] == "runai_environment.each"


def test_what_is_not_known_yet_is_unknown() -> None:
    """It is absent from the values, true in the shape beside them, and a reference in the configuration."""
    where = address("environment.new")
    step = Step(
        0, Verb.CREATE, where, Reversal.DELETE, attributes=NEW, depends_on=(address("credential.hub"),)
    )
    plan = replace(EMPTY, changes=(Change(where, Action.CREATE, "new"),), steps=(step,))
    view = shaped(plan, records((address("credential.hub"), "c-1", HUB.values_)))
    row = next(row for row in view["resource_changes"] if row["name"] == "new")
    assert row["change"]["after_unknown"] == {
        "id": True,
        "workload_types": [False],
        "environment_variables": {"HF": {"credential": True}},
        "probe": {"nested": {"deep": [False, False]}},
        "capabilities": [],
    }
    assert row["change"]["after"]["environment_variables"] == {"HF": {"key": "token"}, "PLAIN": "1"}
    configured = next(
        one for one in view["configuration"]["root_module"]["resources"] if one["name"] == "new"
    )
    assert configured["expressions"]["environment_variables"] == {
        "references": ["runai_credential.hub.id", "runai_credential.hub"]
    }
    assert configured["depends_on"] == ["runai_credential.hub"]


def test_in_a_list_the_place_of_what_is_unknown_is_kept() -> None:
    """As Terraform does: null there, true in the shape."""
    values = {"needs": ["a", {"$ref": "runai.credential.hub"}], "name": "lab"}
    [row] = shaped(one(Action.CREATE, steps=(writing(Verb.CREATE, values),)))["resource_changes"]
    assert row["change"]["after"]["needs"] == ["a", None]
    assert row["change"]["after_unknown"]["needs"] == [False, True]


def test_a_secret_is_its_reference_and_marked() -> None:
    """Terraform writes it out; here is nothing to write."""
    [row] = shaped(EMPTY, records((address("credential.hub"), "c-1", HUB.values_)))["resource_changes"]
    assert row["change"]["after"]["data"] == {"token": "(secret from env T)"}
    assert row["change"]["after_sensitive"] == {"data": {"token": True}}


def test_a_sensitive_change_shows_no_value_on_either_side() -> None:
    """Not even when the change, the state or the spec carries one by mistake."""
    leak = "hunter2-and-more"
    prior = records((LAB, "e-1", {**BEFORE, "password": leak, "environment_variables": {"P": leak}}))
    fields = (
        FieldChange(("password",), leak, leak, Cause.BOTH, sensitive=True),
        FieldChange(("environment_variables", "P"), leak, leak, sensitive=True),
    )
    after = {**AFTER, "password": leak, "environment_variables": {"P": leak}}
    view = shaped(one(Action.UPDATE, *fields, steps=(writing(Verb.UPDATE, after),)), prior)
    change = view["resource_changes"][0]["change"]
    assert leak not in json.dumps(
        [change, view["planned_values"], view["configuration"], view["prior_state"]]
    )
    assert change["before"]["password"] == change["after"]["password"] == "(sensitive)"
    assert change["after_sensitive"]["password"] is True


def test_before_is_what_is_live() -> None:
    """What somebody changed outside is in it: values, list elements, keys that are new or gone."""
    fields = (
        field("args.1", None, "y", cause=Cause.DRIFT),
        field("environment_variables.A", None, "1", cause=Cause.DRIFT),
        field("environment_variables.B", "2", None, cause=Cause.DRIFT),
        field("image", "python:3.9", "python:3.11", cause=Cause.DRIFT),
        field("probe.path", "/x", None, cause=Cause.DRIFT),
    )
    view = shaped(one(Action.UPDATE, *fields, steps=(writing(Verb.UPDATE, BEFORE),)), STATE)
    [row] = view["resource_changes"]
    live = {
        "id": "e-1",
        "name": "lab",
        "image": "python:3.9",
        "environment_variables": {"B": "2"},
        "args": ["x"],
        "probe": {"path": "/x"},
    }
    assert row["change"]["before"] == live
    assert {key: row["change"]["after"][key] for key in BEFORE} == BEFORE
    [drift] = view["resource_drift"]
    assert drift["change"]["actions"] == ["update"]
    assert (drift["change"]["before"], drift["change"]["after"]) == ({"id": "e-1", **BEFORE}, live)


def test_what_a_replacement_left_behind_is_deposed() -> None:
    """It is listed beside the object that took its place."""
    steps = (Step(0, Verb.DELETE, LAB, Reversal.RECREATE, remote_id="e-0", deposes=True),)
    change = Change(LAB, Action.DELETE, "left behind by a replacement", remote_id="e-0")
    view = shaped(replace(EMPTY, changes=(change,), steps=steps), STATE)
    assert [(row.get("deposed"), row["change"]["actions"]) for row in view["resource_changes"]] == [
        (None, ["no-op"]),
        ("e-0", ["delete"]),
    ]


def test_a_plan_that_policy_forbids_or_that_is_partial_says_so() -> None:
    """Not applyable, not complete."""
    view = shaped(PLAN)
    assert (view["applyable"], view["complete"]) == (False, False)
