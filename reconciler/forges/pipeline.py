"""What a pipeline's variables say: which forge, which repository, which request, which commits.

Source: the documents of GitHub Actions' default variables and event payloads,
and of GitLab's predefined variables.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from reconciler.errors import UsageError
from reconciler.forges import github, gitlab

__all__ = ["ACTIONS", "Pipeline", "find_token", "read_pipeline"]

ACTIONS: Final = "github-actions[bot]"
"""The account of the token that GitHub gives to a workflow."""
_REQUEST: Final = re.compile(r"refs/pull/([0-9]+)/(?:merge|head)")
_NO_COMMIT: Final = re.compile(r"0*")


@dataclass(frozen=True, slots=True)
class Pipeline:
    """Where we are. What the variables do not say is empty, or 0.

    ``head`` is the last commit of a request's branch, ``base`` one of its
    target branch, ``commit`` what is checked out, ``before`` what the branch
    was at before the push that started the job. ``link`` is the job's page.
    """

    forge: str
    api: str
    repository: str = ""
    number: int = 0
    head: str = ""
    base: str = ""
    commit: str = ""
    before: str = ""
    link: str = ""
    app: str = ""


def read_pipeline(
    environment: Mapping[str, str], read: Callable[[str], str], forge: str | None = None
) -> Pipeline:
    """What *environment* says; *read* gives the text of a file. *forge* is what is wanted, if it is known.

    Raises `UsageError` when it is neither known nor said.
    """
    if forge is None:
        if environment.get("GITLAB_CI") or environment.get("CI_PROJECT_ID"):
            forge = "gitlab"
        elif environment.get("GITHUB_ACTIONS") or environment.get("GITHUB_REPOSITORY"):
            forge = "github"
        else:
            raise UsageError(
                "which forge? this is no job of GitHub or GitLab",
                hint="Give --forge github or --forge gitlab, with --repository and --number.",
            )
    return _gitlab(environment) if forge == "gitlab" else _github(environment, read)


def find_token(forge: str, environment: Mapping[str, str]) -> str | None:
    """The token for *forge*; None when there is none. Raises `UsageError` for one that is of no use."""
    if forge == "github":
        return _first(environment, "GH_TOKEN", "GITHUB_TOKEN") or None
    token = _first(environment, "GITLAB_TOKEN")
    if not token and environment.get("CI_JOB_TOKEN"):
        raise UsageError(
            "GITLAB_TOKEN is not set, and CI_JOB_TOKEN may neither read nor write comments",
            hint="Make a project access token (role Developer, scope `api`), and of it a masked variable "
            "GITLAB_TOKEN.",
        )
    return token or None


def _github(environment: Mapping[str, str], read: Callable[[str], str]) -> Pipeline:
    event = _event(environment.get("GITHUB_EVENT_PATH", ""), read)
    pull = event.get("pull_request") or {}
    named = _REQUEST.fullmatch(environment.get("GITHUB_REF", ""))
    server, run = environment.get("GITHUB_SERVER_URL", ""), environment.get("GITHUB_RUN_ID", "")
    repository = environment.get("GITHUB_REPOSITORY", "")
    return Pipeline(
        "github",
        _first(environment, "GITHUB_API_URL") or github.API,
        repository,
        int(pull.get("number") or (named.group(1) if named else 0)),
        # Not GITHUB_SHA, which is a merge that nobody made when a request is what started the job.
        str((pull.get("head") or {}).get("sha") or ""),
        str((pull.get("base") or {}).get("sha") or ""),
        environment.get("GITHUB_SHA", ""),
        _commit(event.get("before")),
        f"{server}/{repository}/actions/runs/{run}" if server and run else "",
        ACTIONS if environment.get("GITHUB_ACTIONS") else "",
    )


def _event(file: str, read: Callable[[str], str]) -> Mapping[str, Any]:
    if not file:
        return {}
    try:
        event = json.loads(read(file))
    except (OSError, ValueError) as error:
        raise UsageError(
            f"GITHUB_EVENT_PATH: {file} cannot be read as the event of a workflow",
            hint="Give --number and --commit instead, and unset the variable.",
        ) from error
    return event if isinstance(event, Mapping) else {}


def _gitlab(environment: Mapping[str, str]) -> Pipeline:
    number = environment.get("CI_MERGE_REQUEST_IID", "")
    commit = environment.get("CI_COMMIT_SHA", "")
    # In a pipeline for merged results, CI_COMMIT_SHA is a merge that nobody made.
    head = environment.get("CI_MERGE_REQUEST_SOURCE_BRANCH_SHA", "") or commit
    return Pipeline(
        "gitlab",
        _first(environment, "CI_API_V4_URL") or gitlab.API,
        # Of a request from a fork, the notes are in the project that it is for.
        _first(environment, "CI_MERGE_REQUEST_PROJECT_ID", "CI_PROJECT_ID"),
        int(number) if number.isdecimal() else 0,
        head if number else "",
        _first(environment, "CI_MERGE_REQUEST_TARGET_BRANCH_SHA", "CI_MERGE_REQUEST_DIFF_BASE_SHA"),
        commit,
        _commit(environment.get("CI_COMMIT_BEFORE_SHA")),
        _first(environment, "CI_JOB_URL"),
    )


def _commit(text: object) -> str:
    """A commit, or empty for the zeros that stand for none."""
    return "" if not isinstance(text, str) or _NO_COMMIT.fullmatch(text) else text


def _first(environment: Mapping[str, str], *names: str) -> str:
    return next(filter(None, (environment.get(name, "").strip() for name in names)), "")
