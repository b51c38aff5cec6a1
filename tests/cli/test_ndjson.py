"""--json: every line on standard output is a JSON object, and the last one a summary, whatever happens."""

from __future__ import annotations

import json
from typing import Any

import pytest
from harness import LAB, Project

SUMMARIES: list[tuple[tuple[str, ...], dict[str, Any], list[str]]] = [
    (
        ("init", "new"),
        {"exit_code": 0, "directory": "new", "files": ["reconciler.toml", "notebook.toml", ".gitignore"]},
        [],
    ),
    (("validate",), {"exit_code": 0, "valid": True, "errors": 0, "warnings": 0, "resources": 1}, []),
    (("apply", "--auto-approve"), {"exit_code": 0, "outcome": "nothing to do"}, ["plan"]),
    (("drift",), {"exit_code": 0, "checked": 1, "drifted": 0}, ["drift"]),
    (("list", "--search", "lab.toml"), {"exit_code": 0, "rows": 0}, []),
    (("list", "--filter", "status=in sync"), {"exit_code": 0, "rows": 1}, ["environment"]),
    (("show", "runai.environment.lab"), {"exit_code": 0}, ["resource"]),
    (("show", "plan.bin"), {"exit_code": 0}, ["plan"]),
    (("history",), {"exit_code": 0, "runs": 1}, ["run"]),
    (("state", "list"), {"exit_code": 0, "resources": 1}, ["resource"]),
    (("state", "show", "runai.environment.lab"), {"exit_code": 0}, ["resource"]),
    (("state", "mv", "runai.environment.lab", "runai.environment.new"), {"exit_code": 0}, []),
    (("state", "rm", "*"), {"exit_code": 0}, []),
    (("state", "pull"), {"exit_code": 0}, ["state"]),
    (("state", "push", "state.json"), {"exit_code": 0, "resources": 1, "serial": 2}, []),
    (("state", "verify"), {"exit_code": 0, "serial": 1, "resources": 1, "runs": 1, "open_run": None}, []),
    (("graph",), {"exit_code": 0, "resources": 1}, ["graph"]),
    (("schema",), {"exit_code": 0}, ["schema"]),
    (("version",), {"exit_code": 0}, []),
]
"""A command line, what its summary holds at least, and the types of the lines before it."""


@pytest.fixture
def applied(project: Project) -> Project:
    """A stack with one environment, applied, a saved plan and a copy of its state."""
    project.write("lab.toml", LAB)
    project.run("apply", "--auto-approve").succeeded()
    project.run("plan", "--out", "plan.bin").succeeded()
    project.write("state.json", (project.path / ".reconciler" / "state.json").read_text())
    return project


@pytest.mark.parametrize(
    ("words", "summary", "types"),
    SUMMARIES,
    ids=lambda value: " ".join(value)[:40] if isinstance(value, tuple) else "",
)
def test_a_verb_ends_with_its_summary(
    applied: Project, words: tuple[str, ...], summary: dict[str, Any], types: list[str]
) -> None:
    """Every verb: JSON lines of known types, then the summary; nothing on standard error."""
    result = applied.run(*words, "--json").succeeded()
    *lines, last = result.events
    assert (result.err, [line["type"] for line in lines]) == ("", types)
    assert last == {**last, "type": "summary", **summary}


FAILURES = [
    (("validate",), "broken", 1),
    (("plan",), "broken", 1),
    (("apply", "--auto-approve"), "broken", 1),
    (("apply",), "", 1),
    (("destroy",), "applied", 1),
    (("apply", "plan.txt"), "", 5),
    (("apply", "missing.bin"), "", 1),
    (("apply", "--expect", f"sha256:{64 * '1'}"), "", 5),
    (("plan", "--target", "x"), "", 1),
    (("plan", "--bogus"), "", 64),
    (("frobnicate",), "", 64),
    (("plan", "-C", "nowhere"), "", 64),
    (("show", "runai.environment.ghost"), "", 64),
    (("show", "ghost"), "", 64),
    (("list", "--columns", "size"), "", 64),
    (("state", "show", "runai.environment.ghost"), "", 64),
    (("state", "rm", "ghost"), "", 64),
    (("state", "push", "plan.txt"), "", 1),
    (("unlock", "1234"), "", 1),
    (("init",), "", 1),
    (("state", "verify"), "torn", 1),
    (("drift",), "torn", 1),
]


@pytest.mark.parametrize(("words", "how", "code"), FAILURES)
def test_a_failure_is_told_and_summed_up(
    project: Project, words: tuple[str, ...], how: str, code: int
) -> None:
    """An error or a diagnostic says why, and the summary has the exit code; nothing on standard error."""
    project.write("lab.toml", LAB)
    project.write("plan.txt", "no plan at all")
    if how in ("applied", "torn"):
        project.run("apply", "--auto-approve").succeeded()
    if how == "torn":
        state = project.path / ".reconciler" / "state.json"
        state.write_bytes(state.read_bytes()[:-20])
    if how == "broken":
        project.write("other.toml", "image = 1")
    result = project.run(*words, "--json")
    assert (result.code, result.err) == (code, "")
    *lines, last = result.events
    assert last == {**last, "type": "summary", "exit_code": code}
    assert {"error", "diagnostic"} & {line["type"] for line in lines}
    assert [line["type"] for line in lines].count("summary") == 0


def test_json_may_be_asked_for_before_the_verb(project: Project) -> None:
    """`reconciler --json validate` is `reconciler validate --json`."""
    project.write("lab.toml", LAB)
    assert project.run("--json", "validate").out == project.run("validate", "--json").out


def test_an_error_of_a_spec_is_a_diagnostic_with_its_place(project: Project) -> None:
    """What the text says of a complaint, the record says in fields."""
    project.write("lab.toml", LAB + 'colour = "red"\n')
    first, last = project.run("validate", "--json").events
    assert first == {
        "type": "diagnostic",
        "severity": "error",
        "summary": "unknown key `colour`",
        "file": "lab.toml",
        "line": 5,
        "column": 1,
        "excerpt": 'colour = "red"',
        "hint": first["hint"],
        "limit": False,
    }
    assert last == {"type": "summary", "exit_code": 1, "valid": False, "errors": 1}


def test_a_circle_is_one_summary(project: Project) -> None:
    """Text has a line for each reference; tools get them all at once."""
    for name, other in ("ab", "ba"):
        project.write(f"{name}.toml", f'depends_on = ["runai.environment.{other}"]\n{LAB}')
    first, _ = project.run("validate", "--json").events
    assert first["summary"] == (
        "specs need one another in a circle: runai.environment.a needs runai.environment.b (a.toml:1); "
        "runai.environment.b needs runai.environment.a (b.toml:1)"
    )


def test_a_warning_is_a_diagnostic_too(project: Project) -> None:
    """Warnings of validate have a severity of their own; without --json --quiet does not hide them."""
    project.write("lab.toml", LAB.replace("image", 'workload_types = ["inference"]\nimage'))
    first, last = project.run("validate", "--json").succeeded().events
    assert (first["type"], first["severity"], last["warnings"]) == ("diagnostic", "warning", 1)
    assert project.run("validate", "-q").err == f"Warning: {first['summary']}\n"


def test_an_apply_tells_its_steps_as_they_happen(project: Project) -> None:
    """The plan, the run, each step as it begins and ends, the end, the summary."""
    project.write("lab.toml", LAB)
    events = project.run("apply", "--auto-approve", "--json").succeeded().events
    assert [event["type"] for event in events] == [
        "plan",
        "run_started",
        "step_started",
        "step_done",
        "run_ended",
        "summary",
    ]
    plan, started, begun, done, ended, summary = events
    assert started == {"type": "run_started", "run": summary["run"], "steps": 1}
    assert begun == {
        "type": "step_started",
        "step": 0,
        "address": "runai.environment.lab",
        "verb": "create",
        "reverse": False,
    }
    assert done == {
        **begun,
        "type": "step_done",
        "remote_id": project.remembered()["runai.environment.lab"],
        "seconds": done["seconds"],
    }
    assert ended == {"type": "run_ended", "run": summary["run"], "outcome": "applied", "counts": {"done": 1}}
    assert (
        plan["summary"]
        == summary["summary"]
        == {"import": 0, "add": 1, "change": 0, "destroy": 0, "forget": 0, "move": 0}
    )
    assert summary["steps"] == [
        {
            "step": 0,
            "address": "runai.environment.lab",
            "verb": "create",
            "outcome": "done",
            "error": None,
            "remedy": None,
        }
    ]


def test_a_failed_apply_is_summed_up_with_every_step(project: Project) -> None:
    """What failed, what was rolled back: in the events and in the summary, with the exit code."""
    project.config(
        'faults = [{ on = "POST /api/v1/asset/environment", nth = [2], status = 403 }]\n'
        "[apply]\nparallelism = 1\n"
    )
    project.write("a.toml", LAB)
    project.write("b.toml", LAB)
    result = project.run("apply", "--auto-approve", "--json")
    summary = result.events[-1]
    assert (result.code, summary["exit_code"], summary["outcome"]) == (6, 6, "rolled back")
    assert [(s["address"], s["outcome"]) for s in summary["steps"]] == [
        ("runai.environment.a", "rolled back"),
        ("runai.environment.b", "failed"),
    ]
    assert [event["type"] for event in result.events[1:]] == [
        "run_started",
        "step_started",
        "step_done",
        "step_started",
        "step_failed",
        "rollback_started",
        "step_started",
        "step_done",
        "run_ended",
        "error",
        "summary",
    ]


def test_a_saved_json_view_is_the_record(project: Project) -> None:
    """--json-out, --json and `show PLANFILE` give one and the same plan."""
    project.write("lab.toml", LAB)
    record = (
        project.run("plan", "--out", "plan.bin", "--json-out", "plan.json", "--json").succeeded().events[0]
    )
    view = json.loads((project.path / "plan.json").read_text())
    assert {"type": "plan", **view} == record
    assert json.loads(project.run("show", "plan.bin", "--format", "json").succeeded().out) == view
    assert project.run("show", "plan.bin", "--json").succeeded().events[0] == record


def test_the_view_of_a_plan_has_what_the_contract_names(project: Project) -> None:
    """format_version, stack, digest, base, specs, summary, changes, steps, drift, warnings, policy."""
    project.write("lab.toml", LAB)
    view = project.run("plan", "--json").succeeded().events[0]
    change = view["changes"][0]
    promised = "format_version stack digest base specs summary changes steps drift warnings policy"
    assert set(view) >= set(promised.split())
    assert (view["base"], set(view["specs"])) == ({"lineage": "", "serial": 0}, {"digest", "revision"})
    assert set(change) >= {"address", "action", "reason", "risk", "source", "fields"}
    assert change["source"] == {"file": "lab.toml", "line": 3}
    assert set(change["fields"][0]) == {"path", "before", "after", "cause", "sensitive", "forces_replace"}


def test_a_masked_secret_leaves_json_whole(project: Project) -> None:
    """A secret that is a word of the JSON itself is taken out of texts, not out of the syntax."""
    project.environment["WORD"] = "true"
    project.write(
        "key.toml",
        'kind = "credential"\ntype = "password"\nuser = "true story"\npassword = { env = "WORD" }\n'
        '[on.runai]\nscope = "tenant"\n',
    )
    result = project.run("apply", "--auto-approve", "--json", "-v").succeeded()
    assert result.events[-1]["outcome"] == "applied"
    project.run("plan", "--json-out", "plan.json").succeeded()
    json.loads((project.path / "plan.json").read_text())
