"""`drift --heal` and `apply --refresh-only`: drift is ended one way or the other, and always on purpose."""

from __future__ import annotations

import json

import pytest
from harness import LAB, Project

from reconciler.state.backends.local import LocalBackend

ALLOWED = '\n[policy]\nheal = ["update"]\n'


@pytest.fixture
def drifted(project: Project) -> Project:
    """*lab*, changed outside, *gone*, deleted outside, and a spec of *lab* that is ahead."""
    project.write("lab.toml", 'command = "bash"\n' + LAB)
    project.write("gone.toml", LAB)
    project.run("apply", "--auto-approve").succeeded()
    project.hand().edit("lab", image="python:3.10")
    project.write("lab.toml", 'command = "sh"\n' + LAB)
    return project


def image(project: Project) -> tuple[str, str]:
    """What *lab* is on the platform."""
    spec = project.hand().named("lab")["spec"]
    return spec["image"], spec["command"]


# --- heal ---


def test_nothing_is_healed_unless_the_policy_says_so(drifted: Project) -> None:
    """A cron job that may write is a decision."""
    result = drifted.run("drift", "--heal", "--auto-approve")
    assert (result.code, image(drifted)) == (3, ("python:3.10", "bash"))
    assert "the policy allows nothing to be put back" in result.err
    assert '[policy] heal = ["update"]' in result.err


def test_drift_is_put_back_to_what_was_applied(drifted: Project) -> None:
    """Not to the newest specs; in a run of the journal like any other, and what is left is told."""
    drifted.config(ALLOWED)
    result = drifted.run("drift", "--heal", "--auto-approve").succeeded()
    assert "~ runai.environment.lab: changed outside\n" in result.out
    assert "Apply complete! Resources: 0 added, 1 changed, 0 destroyed.\n" in result.out
    assert result.out.endswith("\nNo drift. 2 resources as last applied.\n")
    assert "Pending: 1 resource in the specs differs" in result.out
    assert image(drifted) == ("python:3.11", "bash")
    run = drifted.run("history", "--json").events[0]
    assert (run["command"], run["outcome"]) == ("drift --heal", "applied")
    assert drifted.run("drift", "--heal", "--auto-approve").succeeded().out.endswith("as last applied.\n")
    assert len(drifted.run("history", "--json").events) == 3


def test_what_the_policy_does_not_allow_is_left_and_counts(drifted: Project) -> None:
    """Exit code 2, and what would be needed."""
    drifted.hand().delete("gone")
    drifted.config(ALLOWED)
    result = drifted.run("drift", "--heal", "--auto-approve")
    assert (result.code, image(drifted)) == (2, ("python:3.11", "bash"))
    assert (
        "Left as it is: runai.environment.gone is gone, and would have to be made again; [policy] heal does "
        'not have "create"\n'
    ) in result.err
    assert result.out.endswith("Drift: 1 of 2 resources not as last applied.\n")
    drifted.config('\n[policy]\nheal = ["create"]\n')
    drifted.run("drift", "--heal", "--auto-approve").succeeded()
    assert drifted.hand().names() == ["gone", "lab"]


def test_healing_asks_like_any_apply(drifted: Project) -> None:
    """Where nobody can be asked, nothing is done."""
    drifted.config(ALLOWED)
    result = drifted.run("drift", "--heal")
    assert (result.code, image(drifted)) == (1, ("python:3.10", "bash"))
    assert "this needs your approval" in result.err


def test_a_healing_that_fails_is_rolled_back(drifted: Project) -> None:
    """With the exit code of an apply that was."""
    drifted.config('faults = [{ on = "PUT *", status = 400 }]\n' + ALLOWED)
    result = drifted.run("drift", "--heal", "--auto-approve")
    assert (result.code, image(drifted)) == (6, ("python:3.10", "bash"))
    assert result.out.endswith("Drift: 1 of 2 resources not as last applied.\n")


def test_accepted_and_ignored_fields_are_left(drifted: Project) -> None:
    """Both by what is written down today."""
    accept = (
        '\n[[accept_drift]]\naddress = "*.lab"\nfield = "image"\nreason = "a trial"\nowner = "ann"\n'
        "expires = 9999-12-31\n"
    )
    drifted.config(ALLOWED + accept)
    result = drifted.run("drift", "--heal", "--auto-approve").succeeded()
    assert "Left as it is: runai.environment.lab differs in what is accepted\n" in result.err
    drifted.config(ALLOWED)
    drifted.write("lab.toml", 'command = "sh"\n' + LAB + '\n[lifecycle]\nignore_changes = ["image"]\n')
    drifted.run("drift", "--heal", "--auto-approve").succeeded()
    assert image(drifted) == ("python:3.10", "bash")


def test_it_takes_the_lock(drifted: Project) -> None:
    """A heal is a run; beside another there is none."""
    drifted.config(ALLOWED)
    backend = LocalBackend(
        drifted.path / ".reconciler", "test", now=lambda: "2026-01-01T00:00:00Z", new_id=lambda: "1"
    )
    with backend.lock("test", timeout=0.0, waiting=lambda text: None):
        assert drifted.run("drift", "--heal", "--auto-approve", "--lock-timeout", "0s").code == 4


def test_healing_needs_specs_and_no_baseline(drifted: Project) -> None:
    """The one says what is left to others; the other is no decision."""
    drifted.config(ALLOWED)
    assert drifted.run("drift", "--heal", "--baseline", "x.json").code == 64
    drifted.write("lab.toml", "image = ")
    assert drifted.run("drift", "--heal", "--auto-approve").code == 1
    assert image(drifted) == ("python:3.10", "bash")


def test_every_line_is_json_and_the_last_sums_up(drifted: Project) -> None:
    """The plan, the run, what is left of the drift."""
    drifted.config(ALLOWED)
    events = drifted.run("drift", "--heal", "--auto-approve", "--json").succeeded().events
    kinds = [event["type"] for event in events]
    assert [kind for kind in kinds if kind in ("plan", "run", "drift", "summary")] == [
        "plan", "run", "drift", "summary"
    ]  # fmt: skip
    assert (events[-1]["drifted"], kinds[-1]) == (0, "summary")


# --- refresh-only ---


def test_what_is_live_becomes_what_was_applied(drifted: Project) -> None:
    """Shown and asked for like any plan; no platform is written to, and the specs stay ahead."""
    drifted.hand().delete("gone")
    before = drifted.hand().named("lab")
    assert drifted.run("apply", "--refresh-only").code == 1
    result = drifted.run("apply", "--refresh-only", "--auto-approve").succeeded()
    assert result.out.startswith(
        "= runai.environment.lab: changed outside; recorded as it is\n"
        '    ~ image = "python:3.11" -> "python:3.10"   (drift: changed outside)\n'
        "\n"
        "x runai.environment.gone: gone from the platform\n"
    ) or result.out.startswith(
        "x runai.environment.gone: gone from the platform\n"
        "\n"
        "= runai.environment.lab: changed outside; recorded as it is\n"
        '    ~ image = "python:3.11" -> "python:3.10"   (drift: changed outside)\n'
    )
    assert "Plan: 0 to add, 0 to change, 0 to destroy, 1 to forget.\n" in result.out
    assert "Only the state is to change; no platform is touched.\n" in result.out
    assert drifted.hand().named("lab") == before
    state = {one["address"]: one["attributes"] for one in drifted.state()["resources"]}
    assert list(state) == ["runai.environment.lab"]
    assert state["runai.environment.lab"]["image"] == "python:3.10"
    drifted.run("drift").succeeded()
    run = drifted.run("history", "--json").events[0]
    assert (run["command"], run["outcome"], run["counts"]) == ("apply --refresh-only", "applied", {"done": 2})
    plan = drifted.run("plan", "--json").events[0]
    assert {change["address"]: change["action"] for change in plan["changes"]} == {
        "runai.environment.gone": "create",
        "runai.environment.lab": "update",
    }
    assert {
        f["path"]: f["cause"] for c in plan["changes"] if c["action"] == "update" for f in c["fields"]
    } == {
        "command": "spec",
        "image": "spec",
    }


def test_nothing_to_record_is_said(drifted: Project) -> None:
    """And is no run."""
    drifted.run("apply", "--auto-approve").succeeded()
    result = drifted.run("apply", "--refresh-only", "--auto-approve").succeeded()
    assert "No changes." in result.out
    assert len(drifted.run("history", "--json").events) == 3


def test_no_secret_that_somebody_typed_in_gets_into_the_state(drifted: Project) -> None:
    """It is said, and stays drift."""
    secret = "hf_" + "aB3dE5fG7hJ9kL1mN3pQ5rS7tU9vW1xY3z"
    drifted.write("lab.toml", LAB.replace("\n\n", '\n\n[environment_variables]\nMODE = "a"\n\n', 1))
    drifted.run("apply", "--auto-approve").succeeded()
    drifted.hand().edit("lab", image="python:3.9", environmentVariables=[{"name": "MODE", "value": secret}])
    result = drifted.run("apply", "--refresh-only", "--auto-approve").succeeded()
    assert "environment_variables.MODE is not recorded: it holds a secret" in result.out
    kept = drifted.path / ".reconciler"
    files = [path for path in kept.rglob("*") if path.is_file() and path.parent.name != "embedded"]
    assert [path for path in files if secret in path.read_text(errors="replace")] == []
    assert drifted.run("drift").code == 2


@pytest.mark.parametrize(
    "words", [("saved.plan",), ("--resume", "x"), ("--replace", "a.b.c"), ("--refresh", "none")], ids=" ".join
)
def test_what_does_not_go_with_it_is_refused(drifted: Project, words: tuple[str, ...]) -> None:
    """Before anything is done."""
    assert drifted.run("apply", "--refresh-only", *words).code == 64


def test_the_digest_of_the_plan_can_be_expected(drifted: Project) -> None:
    """As reviewed: another plan is refused."""
    assert drifted.run("apply", "--refresh-only", "--expect", "sha256:" + "0" * 64).code == 5
    shown = drifted.run("apply", "--refresh-only", "--json").events
    digest = next(event["digest"] for event in shown if event["type"] == "plan")
    drifted.run("apply", "--refresh-only", "--expect", digest).succeeded()
    assert json.loads(json.dumps(drifted.state()))["serial"] == 2
