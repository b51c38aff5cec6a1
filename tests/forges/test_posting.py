"""One comment for each stack, always the newest plan; a mark with the digest; nothing of others touched."""

from __future__ import annotations

import json

import pytest
from forge_repository import MARKER, digest, replanned
from forge_servers import HEAD, TOKEN, Fault, GitHubServer, GitLabServer
from harness import LAB, Project

from reconciler.forges.reviewed import Reviewed
from reconciler.render.markdown import marker

# --- GitHub ---


def test_a_plan_becomes_a_comment_and_a_check_run(stack: Project, github: GitHubServer) -> None:
    """The comment is the plan's Markdown, and says for machines of which commits it is."""
    said = stack.run("review", "post", "p.json").succeeded()
    (comment,) = github.comments
    shown = stack.run("show", "p.json", "--format", "markdown").succeeded().out
    assert comment["body"].startswith(f"{MARKER}\n") and comment["body"].startswith(shown)
    reviewed = Reviewed.in_text(comment["body"])
    assert reviewed is not None
    assert (reviewed.stack, reviewed.digest, reviewed.head) == ("test", digest(stack), HEAD)
    assert (reviewed.base, reviewed.changes.keys()) == (
        "b" * 40,
        {"runai.environment.lab", "runai.environment.other"},
    )
    (run,) = github.check_runs
    assert (run["name"], run["head_sha"], run["conclusion"]) == ("reconciler: test", HEAD, "success")
    assert (run["external_id"], run["output"]["title"]) == (
        digest(stack),
        "Plan: 2 to add, 0 to change, 0 to destroy.",
    )
    assert run["details_url"] == "https://github.example.com/team/stacks/actions/runs/99"
    assert said.out == (
        f"The comment was created: {comment['html_url']}\n"
        f"The check run 'reconciler: test' is on {HEAD[:12]}.\n"
    )


def test_every_request_says_who_and_which_version(stack: Project, github: GitHubServer) -> None:
    """As the documents ask for."""
    stack.run("review", "post", "p.json").succeeded()
    for one in github.asked:
        assert one.headers["accept"] == "application/vnd.github+json"
        assert one.headers["x-github-api-version"] == "2022-11-28"
        assert one.headers["user-agent"].startswith("reconciler/")


def test_the_same_plan_again_writes_nothing_new(stack: Project, github: GitHubServer) -> None:
    """An approval that is later than the comment stays later than it."""
    stack.run("review", "post", "p.json").succeeded()
    before = github.comments[0]["updated_at"]
    said = stack.run("review", "post", "p.json").succeeded()
    assert [one["updated_at"] for one in github.comments] == [before]
    assert len(github.check_runs) == 1
    assert said.out.startswith("The comment is up to date: ")


def test_another_plan_takes_the_place_of_the_first(stack: Project, github: GitHubServer) -> None:
    """In the same comment and the same check run; they do not pile up."""
    stack.run("review", "post", "p.json").succeeded()
    first = github.comments[0]["id"]
    new = replanned(stack)
    stack.run("review", "post", "p.json").succeeded()
    assert [one["id"] for one in github.comments] == [first]
    assert f"Digest `{new}`" in github.comments[0]["body"]
    assert [run["external_id"] for run in github.check_runs] == [new]


def test_comments_of_two_jobs_at_once_become_one(stack: Project, github: GitHubServer) -> None:
    """The newest has the plan; the others are a line that says so, and stay it."""
    for _ in range(2):
        github.said(github.account, f"{MARKER}\nan older plan")
    for _ in range(2):
        stack.run("review", "post", "p.json").succeeded()
        old, new = (one["body"] for one in github.comments)
        assert old == f"{MARKER}\n_This plan is outdated._ The plan is in a later comment.\n"
        assert digest(stack) in new
    assert github.writes.count(f"PATCH /repos/team/stacks/issues/comments/{github.comments[0]['id']}") == 1


def test_comments_of_others_are_left_alone(stack: Project, github: GitHubServer) -> None:
    """Also with our marker in them; and of our own those of another stack, and quotations."""
    bodies = [
        ("mallory", f"{MARKER}\nsha256:{'0' * 64}"),
        (github.account, f"{marker('prod')}\nanother stack"),
        (github.account, f"> {MARKER}\nquoted"),
        (github.account, f"see below\n{MARKER}\n"),
    ]
    for login, body in bodies:
        github.said(login, body)
    stack.run("review", "post", "p.json").succeeded()
    assert [(one["user"]["login"], one["body"]) for one in github.comments[:-1]] == bodies
    assert len(github.comments) == 5


@pytest.mark.parametrize("page_size", [100, 30])
def test_a_comment_is_found_on_a_later_page(stack: Project, github: GitHubServer, page_size: int) -> None:
    """Also where the server gives less at once than it was asked for."""
    github.page_size = page_size
    for number in range(210):
        github.said("bob", f"comment {number}")
    ours = github.said(github.account, f"{MARKER}\nold")
    github.said("bob", "last")
    stack.run("review", "post", "p.json").succeeded()
    assert len(github.comments) == 212
    assert digest(stack) in ours["body"]


def test_an_enterprise_server_has_its_api_below_a_path(stack: Project) -> None:
    """By flags alone, from a machine that is no pipeline, with the token of a person."""
    server = GitHubServer(prefix="/api/v3")
    server.is_app, server.account, server.checks_permitted = False, "ci-user", False
    with server.running():
        stack.environment["GH_TOKEN"] = TOKEN
        stack.run(
            *("review", "post", "p.json", "--forge", "github", "--repository", "team/stacks"),
            *("--api-url", f"{server.url}/api/v3", "--number", "7", "--commit", HEAD),
        ).succeeded()
    assert [one["user"]["login"] for one in server.comments] == ["ci-user"]


def test_where_no_check_run_may_be_made_it_is_a_commit_status(stack: Project, github: GitHubServer) -> None:
    """With the digest whole, once for each plan."""
    github.is_app, github.account, github.checks_permitted = False, "ci-user", False
    for _ in range(2):
        said = stack.run("review", "post", "p.json").succeeded()
    assert "The commit status 'reconciler: test' is on" in said.out
    (status,) = github.statuses
    assert (status["state"], status["sha"], status["context"]) == ("success", HEAD, "reconciler: test")
    assert status["description"] == f"{digest(stack)} Plan: 2 to add, 0 to change, 0 to destroy."
    new = replanned(stack)
    stack.run("review", "post", "p.json").succeeded()
    assert github.statuses[-1]["description"].startswith(new)


def test_a_token_that_may_mark_nothing_still_comments(stack: Project, github: GitHubServer) -> None:
    """And the user is told."""
    github.checks_permitted = github.statuses_permitted = False
    said = stack.run("review", "post", "p.json").succeeded()
    assert len(github.comments) == 1
    assert said.err == (
        f"Warning: GitHub takes neither a check run nor a commit status for {HEAD[:12]} from this token; "
        "the comment is there.\n"
    )


def test_an_app_that_cannot_be_asked_is_named(stack: Project, github: GitHubServer) -> None:
    """Outside of Actions nobody knows it; without its name nothing is written."""
    github.account = "planner[bot]"
    del stack.environment["GITHUB_ACTIONS"]
    said = stack.run("review", "post", "p.json")
    assert (said.code, github.writes) == (64, [])
    assert "--account 'my-app[bot]'" in said.err
    stack.run("review", "post", "p.json", "--account", "planner[bot]").succeeded()
    stack.run("review", "post", "p.json", "--account", "planner[bot]").succeeded()
    assert len(github.comments) == 1


def test_a_comment_that_would_not_be_found_again_is_removed(stack: Project, github: GitHubServer) -> None:
    """The token is that of another account than we were told."""
    github.account = "planner[bot]"
    said = stack.run("review", "post", "p.json")
    assert (said.code, github.comments) == (1, [])
    assert "the token writes as planner[bot], and not as github-actions[bot]" in said.err
    assert "Give --account 'planner[bot]'." in said.err


# --- GitLab ---


def test_gitlab_gets_a_note_and_a_commit_status(stack: Project, gitlab: GitLabServer) -> None:
    """Once; another plan takes their place."""
    gitlab.said("bob", f"{MARKER}\nnot ours")
    for _ in range(2):
        stack.run("review", "post", "p.json").succeeded()
    note = gitlab.notes[1]
    assert len(gitlab.notes) == 2
    reviewed = Reviewed.in_text(note["body"])
    assert reviewed is not None
    assert (reviewed.digest, reviewed.head, reviewed.base) == (digest(stack), HEAD, "b" * 40)
    (status,) = gitlab.statuses
    assert (status["status"], status["name"], status["sha"]) == ("success", "reconciler: test", HEAD)
    assert status["description"] == f"{digest(stack)} Plan: 2 to add, 0 to change, 0 to destroy."
    assert status["target_url"] == "https://gitlab.example.com/team/stacks/-/jobs/5"
    assert len([line for line in gitlab.writes if "notes" in line]) == 1
    new = replanned(stack)
    said = stack.run("review", "post", "p.json").succeeded()
    assert len(gitlab.notes) == 2 and new in note["body"]
    assert "Warning: GitLab takes neither" in said.err  # a success it had, and GitLab keeps that


def test_a_project_of_a_server_of_ones_own_by_its_path(stack: Project, gitlab: GitLabServer) -> None:
    """Its slash is spelled, as GitLab wants it."""
    for name in ("GITLAB_CI", "CI_API_V4_URL", "CI_PROJECT_ID", "CI_MERGE_REQUEST_IID", "CI_COMMIT_SHA"):
        del stack.environment[name]
    stack.run(
        *("review", "post", "p.json", "--forge", "gitlab", "--repository", "team/stacks"),
        *("--api-url", f"{gitlab.url}/api/v4/", "--number", "7", "--commit", HEAD),
    ).succeeded()
    assert len(gitlab.notes) == 1
    assert "POST /api/v4/projects/team%2Fstacks/merge_requests/7/notes" in gitlab.writes


def test_notes_on_later_pages(stack: Project, gitlab: GitLabServer) -> None:
    """Are looked through, the system's own left out."""
    for number in range(150):
        gitlab.said("bob", f"note {number}", system=number % 2 == 0)
    ours = gitlab.said(gitlab.account, f"{MARKER}\nold")
    stack.run("review", "post", "p.json").succeeded()
    assert len(gitlab.notes) == 151
    assert digest(stack) in ours["body"]


def test_the_token_of_a_job_is_refused_before_anything_is_sent(stack: Project, gitlab: GitLabServer) -> None:
    """GitLab lets it neither read nor write notes."""
    stack.environment["CI_JOB_TOKEN"] = stack.environment.pop("GITLAB_TOKEN")
    said = stack.run("review", "post", "p.json")
    assert (said.code, gitlab.asked) == (64, [])
    assert "CI_JOB_TOKEN may neither read nor write comments" in said.err
    assert "project access token" in said.err


# --- what is too long ---


def test_a_plan_over_the_limit_links_to_the_artifact(stack: Project, github: GitHubServer) -> None:
    """And fits, with all that is added to it; a plan that fits has no link."""
    url = "https://github.example.com/team/stacks/actions/runs/99/artifacts/3"
    stack.run("review", "post", "p.json", "--artifact-url", url).succeeded()
    assert url not in github.comments[0]["body"]
    for number in range(900):
        stack.write(f"copy-{number}-{'x' * 40}.toml", LAB + f'description = "{number}"\n')
    stack.run("plan", "--out", "p.json").succeeded()
    stack.run("review", "post", "p.json", "--artifact-url", url).succeeded()
    body = github.comments[0]["body"]
    assert f"[The whole plan]({url})" in body
    assert 50_000 < len(body.encode()) < 65_536
    reviewed = Reviewed.in_text(body)
    assert reviewed is not None and reviewed.changes == {}
    assert github.check_runs[0]["details_url"] == url


def test_max_bytes_makes_it_shorter(stack: Project, github: GitHubServer) -> None:
    """As it does for the document."""
    for number in range(100):
        stack.write(f"copy-{number}.toml", LAB + f'description = "{number}"\n')
    stack.run("plan", "--out", "p.json").succeeded()
    stack.run("review", "post", "p.json", "--max-bytes", "3000").succeeded()
    assert len(github.comments[0]["body"].encode()) < 3_000 + 4_200


@pytest.mark.parametrize("url", ["javascript:alert(1)", "https://x/)\n[a](http://b", "x", "https://a b"])
def test_an_artifact_is_at_an_address(stack: Project, github: GitHubServer, url: str) -> None:
    """Which Markdown reads as one."""
    assert stack.run("review", "post", "p.json", "--artifact-url", url).code == 64
    assert github.asked == []


# --- rehearsals ---


def test_a_dry_run_prints_what_it_would_send(stack: Project, github: GitHubServer) -> None:
    """Reads are sent, writes are not; in no line is the token."""
    said = stack.run("review", "post", "p.json", "--dry-run").succeeded()
    assert github.writes == []
    assert f"POST {github.url}/repos/team/stacks/issues/7/comments\n" in said.out
    assert f"POST {github.url}/repos/team/stacks/check-runs\n" in said.out
    assert digest(stack) in said.out
    assert TOKEN not in said.out + said.err
    stack.run("review", "post", "p.json").succeeded()
    replanned(stack)
    said = stack.run("review", "post", "p.json", "--dry-run", "--json").succeeded()
    sent = [event for event in said.events if event["type"] == "request"]
    number = github.comments[0]["id"]
    assert [(one["method"], one["url"].removeprefix(github.url)) for one in sent] == [
        ("PATCH", f"/repos/team/stacks/issues/comments/{number}"),
        ("PATCH", f"/repos/team/stacks/check-runs/{github.check_runs[0]['id']}"),
    ]


def test_a_dry_run_needs_no_token_and_no_network(stack: Project) -> None:
    """It says what a first post would send."""
    for forge, place in (
        ("github", "https://api.github.com/repos/a/b/issues/3/comments"),
        ("gitlab", "https://gitlab.com/api/v4/projects/a%2Fb/merge_requests/3/notes"),
    ):
        said = stack.run(
            *("review", "post", "p.json", "--forge", forge, "--repository", "a/b"),
            *("--number", "3", "--commit", HEAD, "--dry-run"),
        ).succeeded()
        assert f"POST {place}\n" in said.out


# --- what goes wrong ---


@pytest.mark.parametrize(
    ("fault", "said", "advice"),
    [
        (
            Fault("GET .*comments", 401, {"message": "Bad credentials"}),
            "answered 401: Bad credentials",
            "not accepted",
        ),
        (
            Fault("POST .*comments", 403, {"message": "Resource not accessible by integration"}),
            "answered 403: Resource not accessible by integration",
            "`pull-requests: write`",
        ),
        (
            Fault("POST .*comments", 403, {"message": "API rate limit exceeded for installation."}),
            "answered 403: API rate limit exceeded",
            "Run the job again in some minutes.",
        ),
        (
            Fault("GET .*comments", 404, {"message": "Not Found"}),
            "answered 404: Not Found",
            "--repository OWNER/NAME",
        ),
        (
            Fault(
                "POST .*comments",
                422,
                {"message": "Validation Failed", "errors": [{"field": "body", "code": "bad"}]},
            ),
            "answered 422: Validation Failed; body bad",
            "its reason stands above",
        ),
        (
            Fault("GET .*comments", 429, {"message": "slow down"}, {"retry-after": "0.01"}, times=9),
            "answered 429: slow down",
            "asks to go slower",
        ),
        (
            Fault("GET .*comments", 503, {"message": "down"}, {"retry-after": "0.01"}, times=9),
            "answered 503: down",
            "in trouble",
        ),
        (Fault("GET .*comments", 301, {"message": "Moved Permanently"}), "answered 301", "renamed or moved"),
        (Fault("GET .*comments", 200, b"<html>"), "not JSON", "--api-url"),
        (Fault("GET .*comments", 200, {"a": 1}), "no list", "--api-url"),
    ],
    ids=lambda value: value.what + str(value.status) if isinstance(value, Fault) else "",
)
def test_a_refusal_says_what_to_do(
    stack: Project, github: GitHubServer, fault: Fault, said: str, advice: str
) -> None:
    """In the forge's own words, then in ours; without the token."""
    github.faults.append(fault)
    result = stack.run("review", "post", "p.json")
    assert result.code == 1
    assert said in result.err and advice in result.err
    assert TOKEN not in result.out + result.err
    assert github.comments == []


@pytest.mark.parametrize("status", [0, 502])
@pytest.mark.parametrize("done", [True, False])
@pytest.mark.parametrize("what", ["POST .*comments", "POST .*check-runs"])
def test_a_lost_answer_is_settled_by_looking(
    stack: Project, github: GitHubServer, status: int, done: bool, what: str
) -> None:
    """Whether the comment was written or not: there is one, and one check run."""
    github.faults.append(Fault(what, status, {"message": "?"}, done=done))
    result = stack.run("review", "post", "p.json")
    result.succeeded()
    assert (len(github.comments), len(github.check_runs)) == (1, 1)


def test_a_note_whose_answer_was_lost_is_one_note(stack: Project, gitlab: GitLabServer) -> None:
    """On GitLab, too."""
    gitlab.faults.append(Fault("POST .*notes", 0, done=True))
    stack.run("review", "post", "p.json").succeeded()
    assert len(gitlab.notes) == 1


def test_what_is_never_answered_is_said(stack: Project, github: GitHubServer) -> None:
    """After three times."""
    github.faults.append(Fault("POST .*comments", 0, times=9))
    result = stack.run("review", "post", "p.json")
    assert (result.code, len([line for line in github.writes if "comments" in line])) == (1, 3)
    assert "It may have been done or not." in result.err


def test_a_status_whose_answer_was_lost_is_one_status(stack: Project, gitlab: GitLabServer) -> None:
    """Sent again, it is refused, because it is there."""
    gitlab.faults.append(Fault("POST .*statuses", 0, done=True))
    said = stack.run("review", "post", "p.json").succeeded()
    assert (len(gitlab.statuses), said.err) == (1, "")


@pytest.mark.parametrize("status", [0, 429, 503])
def test_what_only_reads_is_asked_again(stack: Project, github: GitHubServer, status: int) -> None:
    """And what was certainly not done, too."""
    slow = {"retry-after": "0.01"}
    github.faults.append(Fault("GET .*comments", status, {"message": "later"}, slow, times=2))
    github.faults.append(Fault("POST .*comments", 429, {"message": "later"}, slow))
    stack.run("review", "post", "p.json").succeeded()
    assert len(github.comments) == 1


@pytest.mark.parametrize(
    ("status", "body", "said", "advice"),
    [
        (401, {"message": "401 Unauthorized"}, "answered 401: 401 Unauthorized", "expired or revoked"),
        (403, {"message": "403 Forbidden"}, "answered 403: 403 Forbidden", "scope `api`"),
        (403, {"error": "insufficient_scope"}, "answered 403: insufficient_scope", "scope `api`"),
        (404, {"message": "404 Project Not Found"}, "answered 404: 404 Project Not Found", "--api-url"),
        (
            422,
            {"message": {"note": ["is too long"]}},
            "answered 422: note is too long",
            "its reason stands above",
        ),
        (500, {"message": "500 Internal Server Error"}, "answered 500", "It may have been done or not."),
    ],
)
def test_on_gitlab_a_refusal_says_what_to_do(
    stack: Project, gitlab: GitLabServer, status: int, body: object, said: str, advice: str
) -> None:
    """In its own words, of either shape, then in ours."""
    gitlab.faults.append(Fault("POST .*notes", status, body, times=9))
    result = stack.run("review", "post", "p.json")
    assert result.code == 1
    assert said in result.err and advice in result.err, result.err
    assert TOKEN not in result.out + result.err


@pytest.mark.parametrize(
    ("variables", "flags", "said"),
    [
        ({}, (), "which forge?"),
        ({"GITHUB_ACTIONS": "true"}, (), "which repository?"),
        ({"GITHUB_REPOSITORY": "a/b"}, (), "GH_TOKEN or GITHUB_TOKEN is not set"),
        ({"GITHUB_REPOSITORY": "a/b", "GH_TOKEN": TOKEN}, ("--commit", HEAD), "which pull or merge request?"),
        ({"GITHUB_REPOSITORY": "a/b", "GH_TOKEN": TOKEN}, ("--number", "1"), "which commit?"),
        ({"GITHUB_REPOSITORY": "ab", "GH_TOKEN": TOKEN}, ("--commit", HEAD), "OWNER/NAME"),
        ({"CI_PROJECT_ID": "x y", "GITLAB_TOKEN": TOKEN}, ("--commit", HEAD), "GROUP/NAME"),
        ({"CI_PROJECT_ID": "1"}, (), "GITLAB_TOKEN is not set"),
        (
            {"CI_PROJECT_ID": "1", "GITLAB_TOKEN": TOKEN, "CI_API_V4_URL": "http://git.example.com/api/v4"},
            ("--commit", HEAD, "--number", "1"),
            "in the clear",
        ),
        (
            {"GITHUB_REPOSITORY": "a/b", "GH_TOKEN": TOKEN},
            ("--commit", HEAD, "--number", "1", "--api-url", "ftp://x"),
            "no address of an API",
        ),
        ({"GITHUB_REPOSITORY": "a/b", "GITHUB_EVENT_PATH": "/nowhere"}, (), "cannot be read as the event"),
    ],
)
def test_what_is_not_known_is_asked_for(
    stack: Project, variables: dict[str, str], flags: tuple[str, ...], said: str
) -> None:
    """Wrong usage, before anything is sent."""
    stack.environment.update(variables)
    result = stack.run("review", "post", "p.json", *flags)
    assert (result.code, said in result.err) == (64, True), result.err
    assert TOKEN not in result.err


def test_a_plan_that_was_altered_is_not_posted(stack: Project, github: GitHubServer) -> None:
    """Nobody reviews what cannot be applied."""
    text = (stack.path / "p.json").read_text()
    (stack.path / "p.json").write_text(text.replace("3.11", "3.99"))
    assert stack.run("review", "post", "p.json").code == 5
    assert github.writes == []


# --- outdated ---


def test_a_commit_without_a_plan_makes_the_comment_outdated(stack: Project, github: GitHubServer) -> None:
    """One line, in the same comment; the next plan takes its place."""
    assert stack.run("review", "outdate").succeeded().out == "There was no comment with a plan.\n"
    stack.run("review", "post", "p.json").succeeded()
    stack.run("review", "outdate", "--dry-run").succeeded()
    assert digest(stack) in github.comments[0]["body"]
    stack.run("review", "outdate").succeeded()
    assert [one["body"] for one in github.comments] == [
        f"{MARKER}\n_This plan is outdated._ The newest commit has no plan: see the pipeline.\n"
    ]
    stack.run("review", "post", "p.json").succeeded()
    assert len(github.comments) == 1 and digest(stack) in github.comments[0]["body"]


def test_no_output_has_the_token(stack: Project, github: GitHubServer) -> None:
    """Not with --debug, nor in JSON; not where the forge quotes it."""
    for fault in (None, Fault("GET", 403, {"message": f"no rights for {TOKEN}"}, times=9)):
        github.faults[:] = [fault] if fault else []
        for flags in ((), ("--json",), ("--debug",), ("--dry-run",)):
            result = stack.run("review", "post", "p.json", *flags)
            assert TOKEN not in result.out + result.err
    assert all(TOKEN not in json.dumps(one) for one in (*github.comments, *github.check_runs))
