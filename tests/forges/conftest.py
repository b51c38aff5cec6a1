"""A stack with a plan to review, and forges to review it on."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from forge_servers import TOKEN, GitHubServer, GitLabServer
from harness import LAB, Project


@pytest.fixture(autouse=True)
def no_pipeline(monkeypatch: pytest.MonkeyPatch) -> None:
    """No variable of the pipeline that runs the tests is seen by them."""
    for name in list(os.environ):
        if name.startswith(("GITHUB_", "GITLAB_", "GH_", "CI_")):
            monkeypatch.delenv(name)


@pytest.fixture
def stack(project: Project) -> Project:
    """A stack with a saved plan of two environments, ``p.json``."""
    for name in ("lab", "other"):
        project.write(f"{name}.toml", LAB)
    project.run("plan", "--out", "p.json").succeeded()
    return project


@pytest.fixture
def github(stack: Project) -> Iterator[GitHubServer]:
    """GitHub, and the variables of a workflow on pull request 7."""
    server = GitHubServer()
    with server.running():
        event = '{"number": 7, "pull_request": {"number": 7, "head": {"sha": "%s"}, "base": {"sha": "%s"}}}'
        path = stack.write("event.json", event % ("a" * 40, "b" * 40))
        stack.environment.update(
            GITHUB_ACTIONS="true",
            GITHUB_API_URL=server.url,
            GITHUB_EVENT_PATH=str(path),
            GITHUB_REPOSITORY="team/stacks",
            GITHUB_REF="refs/pull/7/merge",
            GITHUB_RUN_ID="99",
            GITHUB_SERVER_URL="https://github.example.com",
            GITHUB_SHA="f" * 40,
            GITHUB_TOKEN=TOKEN,
        )
        yield server


@pytest.fixture
def gitlab(stack: Project) -> Iterator[GitLabServer]:
    """GitLab, and the variables of a pipeline of merge request 7."""
    server = GitLabServer()
    with server.running():
        stack.environment.update(
            GITLAB_CI="true",
            CI_API_V4_URL=f"{server.url}/api/v4",
            CI_PROJECT_ID="41",
            CI_MERGE_REQUEST_IID="7",
            CI_COMMIT_SHA="a" * 40,
            CI_MERGE_REQUEST_DIFF_BASE_SHA="b" * 40,
            CI_JOB_URL="https://gitlab.example.com/team/stacks/-/jobs/5",
            GITLAB_TOKEN=TOKEN,
        )
        yield server
