"""What comes after a crash, a mistake or a review: recover, undo, apply --resume, --deadline, signatures."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path

import pytest
from chaos.victim import Command, Trouble
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from harness import LAB, Project

PEM = Encoding.PEM, PublicFormat.SubjectPublicKeyInfo


@pytest.fixture
def lab(project: Project) -> Project:
    """Four environments that are wished for, each waiting for the one before."""
    for number, name in enumerate("abcd"):
        needs = f'depends_on = ["runai.environment.{"abcd"[number - 1]}"]\n' if number else ""
        project.write(f"{name}.toml", needs + LAB)
    return project


def cut_off(project: Project, intents: int) -> str:
    """An apply that is killed right after so many steps were begun. Returns its run."""
    for at in range(1, 400):
        shutil.rmtree(project.path / ".reconciler", ignore_errors=True)
        command = Command(
            project.path,
            ["apply", "--auto-approve", "--parallelism", "1"],
            environment=project.environment,
            said=project.path.parent / "said.txt",
            trouble=Trouble("kill", at, "after"),
        )
        assert command.wait() == -9
        found = list(project.path.glob(".reconciler/runs/*.open"))
        if found and found[0].read_bytes().count(b'"Intended"') >= intents:
            return found[0].stem
    raise AssertionError("no call is the one")


# --- recover ---


def test_nothing_to_recover(lab: Project) -> None:
    """A stack whose runs all ended, and one that had none."""
    said = "Nothing to recover: every run was brought to an end.\n"
    assert lab.run("recover").succeeded().out == said
    lab.run("apply", "--auto-approve").succeeded()
    assert lab.run("recover").succeeded().out == said


def test_recover_says_what_came_of_each_open_step(lab: Project) -> None:
    """And what can be done next; the next plan finds nothing to settle."""
    run = cut_off(lab, 1)
    found = lab.run("recover").succeeded()
    assert found.out == (
        f"Run {run} is settled.\n`reconciler apply --resume {run}` finishes its plan; "
        "`reconciler plan` makes a new one.\n"
    )
    assert found.err.splitlines()[0] == f"Run {run} (apply) was cut off; it is settled now."
    assert found.err.splitlines()[1].startswith("  runai.environment.a: ")
    assert lab.run("recover").out.startswith("Nothing to recover")


def test_recover_ends_with_7_where_a_person_has_to_look(lab: Project) -> None:
    """An object of the name, but another content: it is left alone, and named."""
    cut_off(lab, 1)
    if "a" in lab.hand().names():
        lab.hand().delete("a")
    theirs = lab.hand().create("a", spec={"image": "theirs:1"})
    found = lab.run("recover", "--json")
    assert found.code == 7
    assert found.events[-1]["conflicts"] == [
        f"runai.environment.a: an object of this name (id {theirs}) differs in workload_types, image; "
        "it was left alone"
    ]


# --- apply --resume ---


def test_a_run_that_was_cut_off_is_finished(lab: Project) -> None:
    """Without a question: it was reviewed. Nothing is left to do after it."""
    run = cut_off(lab, 2)
    found = lab.run("apply", "--resume", run).succeeded()
    assert f"Resuming run {run}: " in found.out
    assert lab.run("plan", "--detailed-exitcode").code == 0
    assert lab.hand().names() == ["a", "b", "c", "d"]
    again = lab.run("apply", "--resume", run)
    assert (again.code, again.err.splitlines()[0]) == (5, f"Error: run {run} cannot be resumed")


def test_a_resumed_run_is_expected_by_the_digest_that_was_reviewed(lab: Project) -> None:
    """That of its whole plan: nobody ever saw one of the rest."""
    digest = lab.run("plan", "--json").succeeded().events[-1]["digest"]
    run = cut_off(lab, 2)
    found = lab.run("apply", "--resume", run, "--expect", "sha256:" + "0" * 64)
    assert found.code == 5
    assert f"the run carried out another plan than the expected one: its digest is {digest}" in found.err
    lab.run("apply", "--resume", run, "--expect", digest).succeeded()
    assert lab.hand().names() == ["a", "b", "c", "d"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("p.plan", "--resume", "x"), "a saved plan and --resume do not go together"),
        (("--resume", "x", "--target", "*"), "--target does not go with a plan that was made before"),
        (("--require-signature", "reconciler.toml"), "--require-signature is about a saved plan"),
    ],
)
def test_what_does_not_go_together_is_wrong_usage(lab: Project, words: tuple[str, ...], said: str) -> None:
    """Before anything is read."""
    found = lab.run("apply", *words)
    assert (found.code, found.err.startswith(f"Error: {said}")) == (64, True)


# --- undo ---


def test_a_past_run_is_undone_by_a_plan_like_any_other(lab: Project) -> None:
    """Shown, saved, applied; then the world is as before it."""
    lab.run("apply", "--auto-approve").succeeded()
    before = {name: lab.hand().named(name)["spec"] for name in "abcd"}
    lab.write("a.toml", LAB.replace("python:3.11", "python:3.12"))
    (lab.path / "d.toml").unlink()
    lab.run("apply", "--auto-approve", "--allow-deletes").succeeded()
    run = lab.run("history", "--json").events[0]["id"]
    shown = lab.run("undo", run, "--out", "back.plan").succeeded().out
    assert f"~ runai.environment.a: back to before run {run}\n" in shown
    assert "Plan: 1 to add, 1 to change, 0 to destroy.\n" in shown
    assert "Apply exactly it: reconciler apply back.plan\n" in shown
    view = json.loads(lab.run("show", "back.plan", "--format", "json").succeeded().out)
    assert view["undoes"] == run
    lab.run("apply", "back.plan").succeeded()
    assert {name: lab.hand().named(name)["spec"] for name in "abcd"} == before


def test_what_cannot_be_undone_says_why(lab: Project) -> None:
    """A run that there is not, and one that another one followed."""
    assert lab.run("undo", "nothing").code == 1
    lab.run("apply", "--auto-approve").succeeded()
    first = lab.run("history", "--json").events[0]["id"]
    lab.write("a.toml", LAB.replace("python:3.11", "python:3.12"))
    lab.run("apply", "--auto-approve").succeeded()
    found = lab.run("undo", first)
    assert (found.code, "runai.environment.a was changed again by run" in found.err) == (1, True)
    assert "Undo the later runs first" in found.err


def test_an_undoing_that_policy_forbids_is_not_saved(lab: Project) -> None:
    """It deletes all that there is: more than the policy lets pass."""
    lab.run("apply", "--auto-approve").succeeded()
    run = lab.run("history", "--json").events[0]["id"]
    assert lab.run("undo", run, "--out", "back.plan").code == 3
    assert not (lab.path / "back.plan").exists()
    lab.run("undo", run, "--out", "back.plan", "--allow-deletes").succeeded()


def test_a_saved_undoing_is_stale_once_the_policy_is_another(lab: Project) -> None:
    """It was checked against the one of then; a new plan is checked against the one of now."""
    lab.write("a.toml", LAB + "[compute]\ngpu = 4\n")
    lab.run("apply", "--auto-approve").succeeded()
    lab.write("a.toml", LAB)
    lab.run("apply", "--auto-approve", "--allow-deletes").succeeded()
    run = lab.run("history", "--json").events[0]["id"]
    lab.run("undo", run, "--out", "back.plan").succeeded()
    lab.config('[policy]\nmax_gpus = 2\nallowed_images = ["python:*"]\n')
    found = lab.run("apply", "back.plan")
    assert (found.code, "reconciler.toml is not as it was when the plan was made" in found.err) == (5, True)
    found = lab.run("undo", run, "--out", "back.plan")
    assert (found.code, "runai.compute.a: 4 GPUs; the policy allows 2" in found.err) == (3, True)


# --- --deadline ---


@pytest.mark.parametrize(("on_failure", "code", "left"), [("stop", 7, 1), ("rollback", 6, 0)])
def test_a_run_stops_early_enough_for_its_deadline(
    project: Project, on_failure: str, code: int, left: int
) -> None:
    """With a platform that takes its time: what was begun is finished, and taken back in time."""
    project.config('faults = [{ on = "POST */environment", latency = 0.25 }]\n')
    for number in range(6):
        project.write(f"lab-{number}.toml", LAB)
    began = time.monotonic()
    found = project.run(
        "apply", "--auto-approve", "--parallelism", "1", "--deadline", "1s", "--on-failure", on_failure
    )
    assert time.monotonic() - began < 30
    assert found.code == code
    assert "The deadline is near: nothing new is started." in found.err
    assert "not started" in found.out
    there = len(project.hand().names())
    assert left <= there < 6 if left else there == 0
    assert project.run("recover").out.startswith("Nothing to recover")


# --- --require-signature ---


@pytest.fixture
def signed(lab: Project) -> tuple[Project, Path, Ed25519PrivateKey]:
    """A saved plan, its signature, and the key."""
    lab.run("plan", "--out", "p.plan").succeeded()
    key = Ed25519PrivateKey.generate()
    lab.write("key.pub", key.public_key().public_bytes(*PEM).decode())
    plan = lab.path / "p.plan"
    Path(f"{plan}.sig").write_bytes(key.sign(plan.read_bytes()))
    return lab, plan, key


def test_a_signed_plan_is_applied(signed: tuple[Project, Path, Ed25519PrivateKey]) -> None:
    """The signature is that of the bytes of the file."""
    lab, _, _ = signed
    lab.run("apply", "p.plan", "--require-signature", "key.pub").succeeded()
    assert lab.hand().names() == ["a", "b", "c", "d"]


def test_a_plan_that_is_not_signed_by_the_key_is_refused(
    signed: tuple[Project, Path, Ed25519PrivateKey],
) -> None:
    """Another plan, another key, half a signature, none at all: 5 each time, and nothing is done."""
    lab, plan, _ = signed
    signature = Path(f"{plan}.sig")
    good = signature.read_bytes()
    for bad in (Ed25519PrivateKey.generate().sign(plan.read_bytes()), good[:-1], good[::-1], b""):
        signature.write_bytes(bad)
        found = lab.run("apply", "p.plan", "--require-signature", "key.pub")
        assert (found.code, "is not the signature of p.plan" in found.err) == (5, True)
    signature.unlink()
    found = lab.run("apply", "p.plan", "--require-signature", "key.pub")
    assert (found.code, "p.plan is not signed" in found.err) == (5, True)
    assert not lab.store.exists() or lab.hand().names() == []


def test_a_key_that_is_none_is_an_error(signed: tuple[Project, Path, Ed25519PrivateKey]) -> None:
    """Nothing is taken for signed by it."""
    lab, _, _ = signed
    lab.write("rsa.pub", generate_private_key(65537, 2048).public_key().public_bytes(*PEM).decode())
    for name, said in (("rsa.pub", "is no ed25519 key"), ("reconciler.toml", "is no public key")):
        found = lab.run("apply", "p.plan", "--require-signature", name)
        assert (found.code, said in found.err) == (1, True)
