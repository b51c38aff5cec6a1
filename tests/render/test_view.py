"""The public JSON of plans, runs and drift: its exact shape, and what must never be in it."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from render.plans import DRIFT, EMPTY, PAST, PLAN, address, field, golden, run, step

from reconciler.core.attributes import Attributes
from reconciler.core.model import Action, Cause, Change, FieldChange, Reversal, Source, Stamp, Verb
from reconciler.core.planner import plan_digest
from reconciler.core.report import Drifted, DriftReport, Outcome, PastRun, RunReport
from reconciler.render.resource import resource_lines, resource_view
from reconciler.render.run import past_run_lines, past_run_view
from reconciler.render.text import drift_lines, ledger_lines, plan_lines
from reconciler.render.view import dotted, drift_view, plan_view, run_view, shown, summary


def as_json(view: Any) -> str:
    """A view as it is printed."""
    return json.dumps(view, ensure_ascii=False, indent=2) + "\n"


def test_the_whole_view_of_a_plan() -> None:
    """Every key, in its order."""
    golden("plan.json", as_json(plan_view(PLAN)))


def test_a_plan_has_the_keys_that_the_contract_names() -> None:
    """Tools look for these."""
    view = plan_view(PLAN)
    contract = {"format_version", "stack", "digest", "base", "specs", "summary", "changes", "steps", "drift"}
    assert {*contract, "warnings", "policy"} <= set(view)
    assert (view["format_version"], view["digest"]) == (1, plan_digest(PLAN))
    assert (view["base"], view["specs"]) == (
        {"lineage": "5f0e", "serial": 7},
        {"digest": "sha256:aa", "revision": "1234abc+"},
    )
    for change in view["changes"]:
        assert {"address", "action", "reason", "risk", "source", "fields"} <= set(change)
        assert change["source"] is None or set(change["source"]) == {"file", "line"}
        for one in change["fields"]:
            assert set(one) == {"path", "before", "after", "cause", "sensitive", "forces_replace"}


def test_the_digest_of_a_view_does_not_move_with_places_and_serials() -> None:
    """What stands in it beside the digest may."""
    other = replace(PLAN, base=Stamp("5f0e", 8), revision="elsewhere")
    assert plan_view(other)["digest"] == plan_view(PLAN)["digest"]


def test_the_view_of_an_empty_plan() -> None:
    """No changes, no steps, and every key all the same."""
    view = plan_view(EMPTY)
    assert set(view) == set(plan_view(PLAN))
    assert [view[key] for key in ("changes", "steps", "drift", "warnings", "policy", "partial")] == [[]] * 6


def test_what_drifted_is_listed_beside_what_is_done_about_it() -> None:
    """Fields changed outside, by themselves or besides; objects gone, made again or forgotten."""
    drift = plan_view(PLAN)["drift"]
    assert [(one["address"], one["gone"], [field["path"] for field in one["fields"]]) for one in drift] == [
        ("runai.environment.forgotten", True, []),
        ("runai.environment.gone", True, []),
        ("runai.environment.lab", False, ["image", "password", "tools[0].port"]),
    ]


def test_what_a_creation_writes_is_shown_field_by_field() -> None:
    """Tables two deep, in the order of the spec, references and secrets in words."""
    [change] = [one for one in plan_view(PLAN)["changes"] if one["address"] == "runai.environment.new"]
    assert [(one["path"], one["after"]) for one in change["fields"]] == [
        ("name", "new"),
        ("workload_types", ["training"]),
        (
            "environment_variables.HF",
            {"credential": "(id of runai.credential.hub, known after apply)", "key": "token"},
        ),
        ("environment_variables.PLAIN", "1"),
        ("probe.path", "/ready"),
        ("probe.nested", {"deep": [1, 2]}),
        ("password", "(secret from env PASSWORD)"),
        ("token", "(secret from command pass)"),
        ("capabilities", []),
    ]
    assert {(one["before"], one["cause"], one["sensitive"]) for one in change["fields"]} == {
        (None, "spec", False)
    }


@pytest.mark.parametrize(
    ("action", "fields", "counted"),
    [
        (Action.CREATE, (), {"add": 1}),
        (Action.UPDATE, (), {"change": 1}),
        (Action.REPLACE, (), {"add": 1, "destroy": 1}),
        (Action.DELETE, (), {"destroy": 1}),
        (Action.ADOPT, (), {"import": 1}),
        (Action.ADOPT, (field("a", 1, 2),), {"import": 1, "change": 1}),
        (Action.FORGET, (), {"forget": 1}),
        (Action.MOVE, (), {"move": 1}),
        (Action.RECORD, (), {}),
    ],
)
def test_what_each_action_counts_as(
    action: Action, fields: tuple[FieldChange, ...], counted: dict[str, int]
) -> None:
    """As Terraform counts, so that its tools understand."""
    nothing = dict.fromkeys(("import", "add", "change", "destroy", "forget", "move"), 0)
    assert summary([Change(address("environment.a"), action, "", fields)]) == nothing | counted


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ((), ""),
        (("image",), "image"),
        (("tools", "Jupyter", "container_port"), "tools.Jupyter.container_port"),
        (("extended_resources", 0, "quantity"), "extended_resources[0].quantity"),
        (("vars", "with-dash_and.dot"), 'vars."with-dash_and.dot"'),
        (("vars", "a b"), 'vars."a b"'),
        (("vars", 'a"b'), 'vars."a\\"b"'),
        (("vars", ""), 'vars.""'),
        (("vars", "é"), "vars.é"),
        (("matrix", 1, 2), "matrix[1][2]"),
    ],
)
def test_a_path_as_people_write_it(path: tuple[Any, ...], text: str) -> None:
    """Names that need quotes get them."""
    assert dotted(path) == text


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ({"$secret": {"env": "A"}}, "(secret from env A)"),
        ({"$secret": {"file": "a/b"}}, "(secret from file a/b)"),
        ({"$secret": {"command": ["pass", "show", "x"]}}, "(secret from command pass)"),
        ({"$secret": {"command": []}}, "(secret from command)"),
        ({"$secret": {}}, "(secret from nowhere)"),
        ({"$ref": "a.b.c"}, "(id of a.b.c, known after apply)"),
        ({"$id": "7"}, "7"),
        ([{"$id": "7"}, {"a": {"$ref": "a.b.c"}}], ["7", {"a": "(id of a.b.c, known after apply)"}]),
        ({"$secret": "typed by hand"}, {"$secret": "typed by hand"}),
        ({"$secret": {"env": "A"}, "beside": 1}, {"$secret": {"env": "A"}, "beside": 1}),
        (None, None),
    ],
)
def test_markers_in_words(value: Any, words: Any) -> None:
    """Only markers: a platform may have a variable of that name."""
    assert shown(value) == words


def test_the_whole_view_of_a_run() -> None:
    """How each step ended, and what a person can do."""
    golden("run.json", as_json(run_view(run(error="the disk is full"))))


@pytest.mark.parametrize(
    ("outcome", "word"),
    [
        (Outcome(done={0}), "done"),
        (Outcome(failed={0}), "failed"),
        (Outcome(uncertain={0}), "not known"),
        (Outcome(not_started={0}), "not started"),
        (Outcome(rolled_back={0}), "rolled back"),
        (Outcome(not_rolled_back={0}), "could not be rolled back"),
        (Outcome(failed={0}, rolled_back={0}), "rolled back"),
        (Outcome(failed={0}, not_rolled_back={0}), "could not be rolled back"),
        (Outcome(done={0}, uncertain={0}), "not known"),
        (Outcome(), "not started"),
    ],
)
def test_how_a_step_ended_in_words(outcome: Outcome, word: str) -> None:
    """The worst that is known of it."""
    one = step(0, Verb.CREATE, "environment.a", Reversal.DELETE)
    [row] = run_view(RunReport("r", replace(EMPTY, steps=(one,)), "failed", outcome))["steps"]
    assert row["outcome"] == word


def test_the_whole_view_of_drift() -> None:
    """What is gone, what changed, and what nobody manages."""
    golden("drift.json", as_json(drift_view(DRIFT)))
    assert drift_view(DriftReport(0, ()))["in_sync"] is True


def test_the_whole_view_of_a_past_run() -> None:
    """What each step wrote, over what."""
    golden("past-run.json", as_json(seen_whole(PAST)))


def seen_whole(past: PastRun) -> dict[str, Any]:
    """The view of a past run in which nothing looks like a secret."""
    return past_run_view(past, shown=lambda path, value: True)


# --- secrets ---

SECRET = "hunter2-and-more"


def test_a_sensitive_value_is_in_no_view_and_no_text() -> None:
    """Not even when a change that is marked sensitive carries it by mistake."""
    leaky = FieldChange(("password",), SECRET, {"deep": [SECRET]}, Cause.BOTH, sensitive=True)
    change = Change(address("environment.lab"), Action.UPDATE, "because", (leaky,), Source("a.toml", 1))
    plan = replace(EMPTY, changes=(change,))
    drifted = DriftReport(1, (Drifted(change.address, (leaky,)),))
    reference = {"$secret": {"command": ["pass", SECRET]}}
    step_with_secret = step(
        0, Verb.CREATE, "environment.new", Reversal.DELETE, attributes=Attributes({"password": reference})
    )
    creation = replace(
        EMPTY,
        changes=(Change(step_with_secret.address, Action.CREATE, "new"),),
        steps=(step_with_secret,),
    )
    resource = resource_view(
        address="a.b.c",
        status="drifted",
        source=None,
        desired=Attributes({"password": reference}),
        prior=Attributes({"password": reference}),
        live=replace(DRIFT.drifted[1].live, attributes=Attributes({"v": {"PASSWORD": SECRET}})),  # type: ignore[type-var]
        names={},
        shown=lambda path, _: path != ("v", "PASSWORD"),
    )
    views = [plan_view(plan), plan_view(creation), drift_view(drifted), run_view(run()), resource]
    texts = [
        *plan_lines(plan_view(plan)),
        *plan_lines(plan_view(creation)),
        *drift_lines(drift_view(drifted)),
        *ledger_lines(run_view(run())),
        *resource_lines(resource),
    ]
    assert SECRET not in json.dumps(views)
    assert SECRET not in "\n".join(texts)
    assert "(sensitive)" in json.dumps(views[0])
    assert "password changed (secret)" in "\n".join(texts)


def test_a_step_is_shown_by_the_names_of_what_it_writes() -> None:
    """The values of a step are for the machine."""
    one = step(
        0, Verb.UPDATE, "environment.lab", Reversal.RESTORE, attributes=Attributes({"b": SECRET, "a": 1})
    )
    assert plan_view(replace(EMPTY, steps=(one,)))["steps"] == [
        {
            "number": 0,
            "verb": "update",
            "address": "runai.environment.lab",
            "phase": "replacing",
            "waits": [],
            "undo": "restore",
            "id": None,
            "fields": ["a", "b"],
        }
    ]


def test_views_are_the_same_bytes_under_any_hash_seed() -> None:
    """Same input, same bytes."""
    tests = str(Path(__file__).parents[1])
    code = (
        f"import sys; sys.path.insert(0, {tests!r})\n"
        "from render.test_view import *\n"
        "print(as_json([plan_view(PLAN), run_view(run()), drift_view(DRIFT), seen_whole(PAST)]))"
    )
    said = {
        subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            check=True,
            env={"PYTHONHASHSEED": seed, "PYTHONIOENCODING": "utf-8"},
        ).stdout
        for seed in ("0", "1", "31415")
    }
    assert len(said) == 1


def test_a_past_run_as_text() -> None:
    """What was done, what it wrote over what, and the call that would still be needed."""
    golden("past-run.txt", "".join(f"{line}\n" for line in past_run_lines(seen_whole(PAST))))


def test_what_somebody_typed_into_the_platform_before_a_run_is_masked() -> None:
    """The object as a step found it may hold a secret in plain text."""
    before = Attributes({"vars": {"PASSWORD": SECRET, "PLAIN": "1"}, "list": [SECRET], "name": "lab"})
    past = replace(PAST, steps=(replace(PAST.steps[3], before=before),))
    view = past_run_view(past, shown=lambda _, value: SECRET not in str(value))
    assert view["steps"][0]["before"] == {
        "vars": {"PASSWORD": "(sensitive)", "PLAIN": "1"},
        "list": "(sensitive)",
        "name": "lab",
    }
    assert SECRET not in "\n".join(past_run_lines(view))


def test_a_run_that_is_still_open_has_no_end() -> None:
    """Empty texts are null for tools, and not shown to people."""
    open_run = PastRun("r-2", "apply", "ann@desk", "2024-01-01T00:00:00Z", "", "open", "", "")
    view = seen_whole(open_run)
    assert (view["ended"], view["digest"], view["revision"]) == (None, None, None)
    assert list(past_run_lines(view)) == [
        "Run r-2  open",
        "  command   apply",
        "  who       ann@desk",
        "  started   2024-01-01T00:00:00Z",
    ]
