"""What was reviewed is what is applied: though the branch, the specs or the platform moved in between."""

from __future__ import annotations

import json
import re

import pytest
from forge_repository import Repository
from forge_servers import GitHubServer
from harness import LAB, Project

NEW = LAB.replace("3.11", "3.12")
NEWER = LAB.replace("3.11", "3.13")


@pytest.fixture
def repository(stack: Project, github: GitHubServer) -> Repository:
    """Main with two environments, applied; a branch that wants ``lab`` otherwise, reviewed."""
    found = Repository(stack, github)
    found.start()
    stack.run("apply", "--auto-approve").succeeded()
    found.propose("change", lab=NEW)
    found.review("change")
    return found


def images(repository: Repository) -> dict[str, str]:
    """The images that are live, by name."""
    names = repository.stack.hand().names()
    shown = {
        name: repository.stack.run("show", f"runai.environment.{name}", "--json").events[0] for name in names
    }
    return {name: one["live"]["image"] for name, one in shown.items()}


@pytest.mark.parametrize("how", ["--no-ff", "--squash"])
def test_the_approved_plan_is_applied_when_nothing_moved(repository: Repository, how: str) -> None:
    """However it was merged; nothing is asked."""
    repository.merge("change", how)
    repository.apply().succeeded()
    assert images(repository) == {"lab": "python:3.12", "other": "python:3.11"}


@pytest.mark.parametrize("how", ["--no-ff", "--squash"])
@pytest.mark.parametrize("applied", [True, False])
def test_what_others_merged_since_is_named_and_is_no_part_of_it(
    repository: Repository, applied: bool, how: str
) -> None:
    """Whether it was applied before, or is still to be: only what was reviewed is done."""
    commit = repository.commit("A newer image for the other", other=NEW)
    if applied:
        repository.stack.run("apply", "--auto-approve").succeeded()
    repository.merge("change", how)
    said = repository.apply().succeeded()
    what = "and changed nothing of this plan" if applied else "and what they wish is left out"
    assert said.err == (
        f"Since the review, these came onto the target branch, {what}:\n"
        f"  {commit[:12]} (A newer image for the other): runai.environment.other\n"
    )
    other = "python:3.12" if applied else "python:3.11"
    assert images(repository) == {"lab": "python:3.12", "other": other}
    left = repository.stack.run("plan", "--json").succeeded().events[0]["changes"]
    assert [one["address"] for one in left] == ([] if applied else ["runai.environment.other"])


def test_the_plan_made_again_keeps_its_approval(repository: Repository) -> None:
    """At another commit of the target branch and another state: it is the same plan, and the same text."""
    before = dict(repository.forge.comments[0])
    repository.commit("A newer image for the other", other=NEW)
    repository.stack.run("apply", "--auto-approve").succeeded()
    repository.forge.reviews.clear()
    repository.review("change")
    assert repository.forge.comments == [before]
    repository.merge("change")
    repository.apply().succeeded()
    assert images(repository) == {"lab": "python:3.12", "other": "python:3.12"}


def test_another_plan_of_the_same_commit_needs_another_approval(repository: Repository) -> None:
    """The platform moved, and the comment with it."""
    repository.stack.hand().edit("lab", image="python:3.9")
    approved = list(repository.forge.reviews)
    repository.review("change")
    repository.forge.reviews[:] = approved
    repository.merge("change")
    said = repository.stack.run("review", "digest")
    assert (said.code, "bob did so before" in said.err) == (1, True)


def test_the_same_address_changed_by_others_stops_it(repository: Repository) -> None:
    """Object and commit are named, and nothing is done."""
    commit = repository.commit("Tools for the lab", lab=LAB + 'description = "by others"\n')
    repository.merge("change")
    said = repository.apply()
    assert said.code == 5
    assert re.search(
        r"otherwise than reviewed: update runai\.environment\.lab: .* \(description, image\), "
        rf"changed by {commit[:12]} \(Tools for the lab\)",
        said.err,
    ), said.err
    assert images(repository)["lab"] == "python:3.11"


def test_an_object_that_was_changed_outside_stops_it(repository: Repository) -> None:
    """It is named with the field; whether the plan would touch it or not."""
    repository.merge("change")
    repository.stack.hand().edit("other", image="python:3.9")
    said = repository.apply()
    assert said.code == 5
    assert "not reviewed: update runai.environment.other: changed outside (image)" in said.err
    repository.stack.hand().edit("other", image="python:3.11")
    repository.stack.hand().edit("lab", image="python:3.9")
    said = repository.apply()
    assert said.code == 5
    assert "otherwise than reviewed: update runai.environment.lab" in said.err
    assert "not reviewed" not in said.err


def test_a_change_that_is_there_already_stops_it(repository: Repository) -> None:
    """What was reviewed is no longer to do."""
    repository.merge("change")
    repository.stack.run("apply", "--auto-approve").succeeded()
    said = repository.apply()
    assert said.code == 5
    assert "  - reviewed, and no longer to do: runai.environment.lab\n" in said.err


def test_other_settings_of_the_stack_stop_it(repository: Repository) -> None:
    """They decide on every object."""
    text = (repository.stack.path / "reconciler.toml").read_text()
    commit = repository.commit("Limits", reconciler=text + "[policy]\nmax_gpus = 8\n")
    repository.merge("change")
    said = repository.apply()
    assert said.code == 5
    assert said.err == (
        "Error: reconciler.toml changed on the target branch since the review\n"
        f"  - {commit[:12]} (Limits)\n"
        "  Nothing was done. It decides on every object: make the plan again, and have it reviewed.\n"
    )


def test_a_spec_that_others_extend_is_one_of_all_of_them(repository: Repository) -> None:
    """And a file that was renamed, or got a comment, is no change."""
    repository.merge("change")
    repository.apply().succeeded()
    repository.commit("A copy", copy='extends = "other"\n', base=LAB)
    repository.stack.run("apply", "--auto-approve").succeeded()
    repository.propose("next", lab=NEWER)
    repository.forge.pull["merged_at"] = None
    repository.review("next")
    noise = repository.commit("Only words", base=f"# a comment\n{LAB}")
    real = repository.commit("All of them", other=NEW)
    repository.merge("next")
    said = repository.apply().succeeded()
    assert f"  {real[:12]} (All of them): runai.environment.copy, runai.environment.other\n" in said.err
    assert noise[:12] not in said.err


def test_a_commit_that_broke_the_specs_is_told_with_the_one_that_mended_them(repository: Repository) -> None:
    """What stands between them cannot be read."""
    repository.commit("Broken", other="image = \n")
    mended = repository.commit("Mended", other=NEW)
    repository.merge("change")
    said = repository.apply().succeeded()
    assert f"  {mended[:12]} (Mended): runai.environment.other\n" in said.err


def test_without_the_history_only_the_very_plan_is_applied(repository: Repository) -> None:
    """In a shallow clone nobody can say what came in between; it is said what to fetch."""
    repository.commit("Other", other=NEW)
    repository.merge("change")
    digest = repository.stack.run("review", "digest", "--out", "reviewed.json").succeeded().out.strip()
    reviewed = json.loads((repository.stack.path / "reviewed.json").read_text())
    reviewed["base"] = "1" * 40
    repository.stack.write("reviewed.json", json.dumps(reviewed))
    said = repository.stack.run("apply", "--expect", digest, "--reviewed", "reviewed.json")
    assert said.code == 5
    assert "commits since the review are not known: git cannot say what changed" in said.err
    assert "not reviewed: update runai.environment.other" in said.err


def test_too_many_changes_to_remember_are_named_all_the_same(repository: Repository) -> None:
    """The comment then knows only the digest; the plan of now is told whole."""
    repository.merge("change")
    repository.stack.run("review", "digest", "--out", "reviewed.json").succeeded()
    reviewed = json.loads((repository.stack.path / "reviewed.json").read_text())
    repository.stack.write("reviewed.json", json.dumps({**reviewed, "changes": {}}))
    repository.stack.hand().edit("other", image="python:3.9")
    said = repository.stack.run("apply", "--reviewed", "reviewed.json")
    assert said.code == 5
    assert "  - update runai.environment.other: changed outside (image)\n" in said.err


@pytest.mark.parametrize(
    ("flags", "text"),
    [
        (
            ("--reviewed", "reviewed.json", "--expect", f"sha256:{'0' * 64}"),
            "and --expect about another plan",
        ),
        (("--reviewed", "p.json"), "does not say what was reviewed"),
        (("p.json", "--reviewed", "reviewed.json"), "made anew"),
        (("--refresh-only", "--reviewed", "reviewed.json"), "do not go together"),
        (("--resume", "x", "--reviewed", "reviewed.json"), "made anew"),
    ],
)
def test_what_does_not_go_with_it(repository: Repository, flags: tuple[str, ...], text: str) -> None:
    """Wrong usage."""
    repository.merge("change")
    repository.stack.run("review", "digest", "--out", "reviewed.json").succeeded()
    said = repository.stack.run("apply", *flags)
    assert (said.code, text in said.err) == (64, True), said.err


def test_what_was_reviewed_for_another_stack_is_not_applied(repository: Repository) -> None:
    """Though its digest might be the same."""
    repository.merge("change")
    repository.stack.run("review", "digest", "--out", "reviewed.json").succeeded()
    text = (repository.stack.path / "reviewed.json").read_text()
    repository.stack.write("reviewed.json", text.replace('"test"', '"prod"'))
    said = repository.stack.run("apply", "--reviewed", "reviewed.json")
    assert (said.code, "is the stack 'prod', not 'test'" in said.err) == (64, True)
