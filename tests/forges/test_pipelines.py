"""The pipelines in ``examples/`` are what their vendors take, ask for no more than they need, and work."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from forge_pipelines import ARTIFACT, GITHUB, GITLAB, Checkout, Outcome, actions, gitlab_job, load
from forge_servers import TOKEN, GitHubServer, GitLabServer
from harness import Hand

from reconciler.forges.reviewed import Reviewed

WORKFLOWS = sorted((GITHUB / ".github/workflows").glob("*.yml"))
IMAGE = "jupyter/scipy-notebook:2024-10-07"
NEWER = "jupyter/scipy-notebook:2025-03-14"


def live(checkout: Checkout) -> Hand:
    """The embedded platform of the runner."""
    return Hand(checkout.state / "embedded" / "runai.sqlite")


# --- as their vendors have it ---


@pytest.mark.parametrize(
    ("schema", "files"),
    [
        (["--builtin-schema", "vendor.github-workflows"], WORKFLOWS),
        (
            ["--builtin-schema", "vendor.gitlab-ci", "--data-transform", "gitlab-ci"],
            [GITLAB / ".gitlab-ci.yml"],
        ),
    ],
    ids=["github", "gitlab"],
)
def test_each_keeps_to_the_schema_that_its_vendor_publishes(schema: list[str], files: list[Path]) -> None:
    """And the check notices what does not."""
    check = [sys.executable, "-m", "check_jsonschema", *schema]
    done = subprocess.run([*check, *map(str, files)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("file", WORKFLOWS, ids=lambda path: path.stem)
def test_a_workflow_asks_for_no_more_than_it_needs(file: Path) -> None:
    """No right that is not named for its job, no stranger's code with secrets, no action that may change."""
    workflow = load(file)
    text = file.read_text()
    assert workflow["permissions"] == {}
    rights = {
        "plan": {"contents": "read", "pull-requests": "write", "checks": "write"},
        "apply": {"contents": "read", "pull-requests": "read"},
        "drift": {"contents": "read"},
    }
    (job,) = workflow["jobs"].values()
    assert job["permissions"] == rights[file.stem]
    assert "pull_request_target" not in load(file)[_on(workflow)]
    for used in re.findall(r"uses: (\S+)", text):
        assert re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40}", used), f"{used} is not pinned"
    for step in job["steps"]:
        # What others typed (a branch, a title) is no part of a script.
        assert "${{" not in step.get("run", "")
        if "checkout" in step.get("uses", ""):
            assert step["with"]["persist-credentials"] is False
    assert {"group", "cancel-in-progress"} <= workflow["concurrency"].keys()
    assert workflow["concurrency"]["cancel-in-progress"] is (file.stem != "apply")
    assert job["timeout-minutes"] and job["environment"] == ("production" if file.stem == "apply" else "plan")


def _on(workflow: dict[Any, Any]) -> Any:
    return "on" if "on" in workflow else True  # YAML 1.1 reads `on` as a truth


def test_a_forks_request_is_not_planned() -> None:
    """Neither on a runner of ours, nor with anything of ours."""
    (job,) = load(GITHUB / ".github/workflows/plan.yml")["jobs"].values()
    assert job["if"] == "github.event.pull_request.head.repo.full_name == github.repository"
    rule = load(GITLAB / ".gitlab-ci.yml")["plan"]["rules"][0]["if"]
    assert rule.endswith("&& $CI_MERGE_REQUEST_SOURCE_PROJECT_ID == $CI_PROJECT_ID")


def test_only_one_job_applies_at_a_time() -> None:
    """On GitLab, too; and whoever may read the project as a stranger reads no plan there."""
    jobs = load(GITLAB / ".gitlab-ci.yml")
    for name in ("apply", "apply-digest"):
        assert (jobs[name]["resource_group"], jobs[name]["environment"]["name"]) == ("prod", "production")
        assert "interruptible" not in jobs[name]
    assert all(jobs[name]["artifacts"]["access"] == "developer" for name in ("plan", "drift"))


# --- at work: GitHub ---


class OnGitHub:
    """A repository whose workflows run, one after another, against a forge."""

    def __init__(self, place: Path, forge: GitHubServer) -> None:
        self.checkout = Checkout(GITHUB, place)
        self.forge = forge
        self.variables = {
            "GITHUB_API_URL": forge.url,
            "GITHUB_REPOSITORY": "team/stacks",
            "GITHUB_SERVER_URL": "https://github.example.com",
            "GITHUB_RUN_ID": "99",
        }

    def _event(self, name: str, sha: str, ref: str, **event: Any) -> dict[str, str]:
        path = self.checkout.temp / "event.json"
        path.write_text(json.dumps(event))
        return {
            **self.variables,
            "GITHUB_EVENT_NAME": name,
            "GITHUB_EVENT_PATH": str(path),
            "GITHUB_SHA": sha,
            "GITHUB_REF": ref,
        }

    def dispatch(self) -> Outcome:
        """Somebody looks at a plan, and starts apply with its digest."""
        plan = self.checkout.temp / "view.json"
        outcome = Outcome()
        self.checkout.shell(f"reconciler -C stacks/prod plan --json-out {plan}", {}, outcome, "plan")
        outcome.passed()
        variables = self._event("workflow_dispatch", "", "refs/heads/main")
        digest = json.loads(plan.read_text())["digest"]
        return actions(self.checkout, "apply", "apply", variables, {"digest": digest})

    def propose(self, **replaced: str) -> str:
        """A branch that changes the spec; its head."""
        self.checkout.git("checkout", "-q", "-B", "change", "main")
        self.checkout.spec(**replaced)
        head = self.checkout.commit("A change")
        self.checkout.git("checkout", "-q", "main")
        self.forge.pull |= {"head": {"sha": head}, "merged_at": None}
        return head

    def plan(self) -> Outcome:
        """The job of the pull request, on the merge that the forge makes."""
        git = self.checkout.git
        head, base = git("rev-parse", "change"), git("rev-parse", "main")
        git("checkout", "-q", "--detach", "main")
        git("merge", "-q", "--no-ff", "-m", "for the job", "change")
        pull = {"number": 7, "head": {"sha": head}, "base": {"sha": base}}
        variables = self._event(
            "pull_request", git("rev-parse", "HEAD"), "refs/pull/7/merge", pull_request=pull
        )
        done = actions(self.checkout, "plan", "plan", variables)
        git("checkout", "-q", "main")
        return done

    def merge(self) -> Outcome:
        """The job of the push that merging is."""
        git = self.checkout.git
        before = git("rev-parse", "main")
        git("merge", "-q", "--no-ff", "-m", "Merge", "change")
        commit = git("rev-parse", "HEAD")
        self.forge.merged(commit=commit)
        variables = self._event("push", commit, "refs/heads/main", before=before, after=commit)
        return actions(self.checkout, "apply", "apply", variables)

    def drift(self) -> Outcome:
        """The job of the morning."""
        return actions(self.checkout, "drift", "drift", self._event("schedule", "", "refs/heads/main"))


@pytest.fixture
def on_github(tmp_path: Path) -> Iterator[OnGitHub]:
    """A repository with the example, applied for the first time."""
    forge = GitHubServer()
    with forge.running():
        found = OnGitHub(tmp_path, forge)
        found.dispatch().passed()
        assert live(found.checkout).named("lab")["spec"]["image"] == IMAGE
        yield found


def test_from_the_pull_request_to_the_platform(on_github: OnGitHub) -> None:
    """Plan, comment, approval, merge, apply; then no drift, until there is some."""
    head = on_github.propose(image=NEWER)
    planned = on_github.plan().passed()
    assert list(planned.steps) == ["Check the specs", "Plan", "Comment"]
    (comment,) = on_github.forge.comments
    reviewed = Reviewed.in_text(comment["body"])
    assert reviewed is not None and reviewed.head == head
    assert reviewed.base == on_github.checkout.git("rev-parse", "main")
    assert [run["head_sha"] for run in on_github.forge.check_runs] == [head]
    assert on_github.forge.check_runs[0]["details_url"] == ARTIFACT
    # Remarks at the lines, in the paths of the repository.
    assert "file=stacks/prod/lab.toml,line=2::spec changed" in planned.said
    assert live(on_github.checkout).named("lab")["spec"]["image"] == IMAGE

    on_github.forge.reviewed("bob", commit=head)
    applied = on_github.merge().passed()
    assert list(applied.steps) == ["Find what was approved", "Apply what was approved"]
    assert live(on_github.checkout).named("lab")["spec"]["image"] == NEWER

    on_github.drift().passed()
    live(on_github.checkout).edit("lab", image="python:3.9")
    drifted = on_github.drift()
    assert (drifted.succeeded, "Drift: 1 of 1 resource" in drifted.said) == (False, True)
    assert "python:3.9" in (on_github.checkout.temp / "summary.md").read_text()
    assert all(TOKEN not in one.said for one in (planned, applied, drifted))


def test_a_merge_that_nobody_approved_applies_nothing(on_github: OnGitHub) -> None:
    """The job fails and says why."""
    on_github.propose(image=NEWER)
    on_github.plan().passed()
    done = on_github.merge()
    assert done.steps == {"Find what was approved": False}
    assert "nobody approved the plan on request 7" in done.said
    assert live(on_github.checkout).named("lab")["spec"]["image"] == IMAGE


def test_a_commit_that_cannot_be_planned_makes_the_comment_outdated(on_github: OnGitHub) -> None:
    """So that nobody approves the plan of the commit before."""
    on_github.propose(image=NEWER)
    on_github.plan().passed()
    on_github.propose(image="not an image")
    done = on_github.plan()
    assert done.steps == {"Check the specs": False, "Say that there is no plan": True}
    assert [one["body"].splitlines()[1][:24] for one in on_github.forge.comments] == [
        "_This plan is outdated._"
    ]


# --- at work: GitLab ---


class OnGitLab:
    """A project whose jobs run, one after another, against a forge."""

    def __init__(self, place: Path, forge: GitLabServer) -> None:
        self.checkout = Checkout(GITLAB, place)
        self.forge = forge
        self.variables = {
            "GITLAB_CI": "true",
            "GITLAB_TOKEN": TOKEN,
            "CI_API_V4_URL": f"{forge.url}/api/v4",
            "CI_PROJECT_ID": "41",
            "CI_JOB_URL": "https://gitlab.example.com/team/stacks/-/jobs/5",
        }

    def by_hand(self) -> Outcome:
        """Somebody looks at a plan, and starts a pipeline with its digest."""
        plan = self.checkout.temp / "view.json"
        outcome = Outcome()
        self.checkout.shell(f"reconciler -C stacks/prod plan --json-out {plan}", {}, outcome, "plan")
        outcome.passed()
        digest = json.loads(plan.read_text())["digest"]
        return gitlab_job(self.checkout, "apply-digest", {**self.variables, "DIGEST": digest})

    def propose(self, **replaced: str) -> str:
        """A branch that changes the spec; its head."""
        self.checkout.git("checkout", "-q", "-B", "change", "main")
        self.checkout.spec(**replaced)
        head = self.checkout.commit("A change")
        self.checkout.git("checkout", "-q", "main")
        self.forge.request |= {"sha": head}
        return head

    def plan(self) -> Outcome:
        """The job of the merge request, on its branch."""
        git = self.checkout.git
        git("checkout", "-q", "--detach", "change")
        done = gitlab_job(
            self.checkout,
            "plan",
            {
                **self.variables,
                "CI_PIPELINE_SOURCE": "merge_request_event",
                "CI_COMMIT_SHA": git("rev-parse", "change"),
                "CI_MERGE_REQUEST_IID": "7",
                "CI_MERGE_REQUEST_TARGET_BRANCH_NAME": "main",
                "CI_MERGE_REQUEST_DIFF_BASE_SHA": git("merge-base", "main", "change"),
            },
        )
        git("checkout", "-q", "main")
        return done

    def merge(self) -> Outcome:
        """The job of the push that merging is."""
        git = self.checkout.git
        before = git("rev-parse", "main")
        git("merge", "-q", "--no-ff", "-m", "Merge", "change")
        commit = git("rev-parse", "HEAD")
        self.forge.merged(commit=commit)
        push = {"CI_PIPELINE_SOURCE": "push", "CI_COMMIT_SHA": commit, "CI_COMMIT_BEFORE_SHA": before}
        return gitlab_job(self.checkout, "apply", {**self.variables, **push})


@pytest.fixture
def on_gitlab(tmp_path: Path) -> Iterator[OnGitLab]:
    """A project with the example, applied for the first time."""
    forge = GitLabServer()
    with forge.running():
        found = OnGitLab(tmp_path, forge)
        found.by_hand().passed()
        assert live(found.checkout).named("lab")["spec"]["image"] == IMAGE
        yield found


@pytest.mark.parametrize("behind", [False, True])
def test_from_the_merge_request_to_the_platform(on_gitlab: OnGitLab, behind: bool) -> None:
    """Also when the branch is behind its target: what is planned is the merge of both."""
    head = on_gitlab.propose(image=NEWER)
    if behind:
        text = (on_gitlab.checkout.work / "stacks/prod/lab.toml").read_text()
        (on_gitlab.checkout.work / "stacks/prod/other.toml").write_text(text)
        on_gitlab.checkout.commit("Others")
        on_gitlab.by_hand().passed()
    planned = on_gitlab.plan().passed()
    (note,) = on_gitlab.forge.notes
    reviewed = Reviewed.in_text(note["body"])
    assert reviewed is not None
    assert (reviewed.head, reviewed.base) == (head, on_gitlab.checkout.git("rev-parse", "main"))
    assert list(reviewed.changes) == ["runai.environment.lab"]  # and `other` is not taken away
    assert [one["sha"] for one in on_gitlab.forge.statuses] == [head]

    on_gitlab.forge.approved("bob")
    applied = on_gitlab.merge().passed()
    assert live(on_gitlab.checkout).named("lab")["spec"]["image"] == NEWER

    schedule = {**on_gitlab.variables, "CI_PIPELINE_SOURCE": "schedule"}
    gitlab_job(on_gitlab.checkout, "drift", schedule).passed()
    live(on_gitlab.checkout).edit("lab", image="python:3.9")
    drifted = gitlab_job(on_gitlab.checkout, "drift", schedule)
    assert not drifted.succeeded
    assert "python:3.9" in (on_gitlab.checkout.work / "drift.xml").read_text()
    assert all(TOKEN not in one.said for one in (planned, applied, drifted))


def test_on_gitlab_a_merge_that_nobody_approved_applies_nothing(on_gitlab: OnGitLab) -> None:
    """The job fails and says why."""
    on_gitlab.propose(image=NEWER)
    on_gitlab.plan().passed()
    done = on_gitlab.merge()
    assert (done.succeeded, "nobody approved the plan on request 7" in done.said) == (False, True)
    assert live(on_gitlab.checkout).named("lab")["spec"]["image"] == IMAGE


def test_on_gitlab_a_commit_that_cannot_be_planned_makes_the_note_outdated(on_gitlab: OnGitLab) -> None:
    """Whether its specs are wrong or it cannot be merged."""
    on_gitlab.propose(image=NEWER)
    on_gitlab.plan().passed()
    on_gitlab.propose(image="not an image")
    done = on_gitlab.plan()
    assert done.steps == {"script": False, "after_script": True}
    assert [one["body"].splitlines()[1][:24] for one in on_gitlab.forge.notes] == ["_This plan is outdated._"]
