"""Which plan was approved: only ours, only of what was merged, only as it was read."""

from __future__ import annotations

import json

import pytest
from forge_repository import MARKER, digest, replanned
from forge_servers import HEAD, MERGE, TOKEN, GitHubServer, GitLabServer
from harness import Project


@pytest.fixture
def posted(stack: Project, github: GitHubServer) -> GitHubServer:
    """GitHub with the plan on pull request 7; the stack's variables are those of a push to the branch."""
    stack.run("review", "post", "p.json").succeeded()
    event = stack.write(
        "push.json", json.dumps({"before": "e" * 40, "after": MERGE, "ref": "refs/heads/main"})
    )
    stack.environment.update(GITHUB_SHA=MERGE, GITHUB_REF="refs/heads/main", GITHUB_EVENT_PATH=str(event))
    return github


def test_the_digest_of_the_approved_comment_is_printed(stack: Project, posted: GitHubServer) -> None:
    """It alone on standard output; who let it through is said beside."""
    posted.reviewed("bob")
    posted.merged()
    said = stack.run("review", "digest").succeeded()
    assert said.out == f"{digest(stack)}\n"
    assert said.err == "Request 7, let through by bob: https://github.example.com/team/stacks/pull/7\n"
    assert stack.run("review", "digest", "--number", "7").succeeded().out == said.out


def test_what_was_reviewed_is_written_for_apply(stack: Project, posted: GitHubServer) -> None:
    """With where the branch was before the merge, which the push says."""
    posted.reviewed("bob")
    posted.merged()
    stack.run("review", "digest", "--out", "reviewed.json").succeeded()
    written = json.loads((stack.path / "reviewed.json").read_text())
    assert (written["digest"], written["head"]) == (digest(stack), HEAD)
    assert (written["base"], written["onto"]) == ("b" * 40, "e" * 40)


def refused(stack: Project, text: str, *flags: str) -> None:
    """The command ends with an error that says *text*, and prints no digest."""
    said = stack.run("review", "digest", *flags)
    assert (said.code, said.out) == (1, "")
    assert text in said.err, said.err


@pytest.mark.parametrize(
    ("login", "state", "commit", "text"),
    [
        ("eve", "APPROVED", HEAD, "nobody approved the plan"),  # may only read
        ("mallory", "APPROVED", HEAD, "nobody approved the plan"),  # is nobody there
        ("alice", "APPROVED", HEAD, "nobody approved the plan"),  # wrote the request
        ("bob", "COMMENTED", HEAD, "nobody approved the plan"),
        ("bob", "DISMISSED", HEAD, "nobody approved the plan"),
        ("bob", "APPROVED", "9" * 40, "nobody approved the plan"),  # of an earlier commit
        ("bob", "CHANGES_REQUESTED", HEAD, "bob asked for changes"),
    ],
)
def test_only_an_approval_of_the_last_commit_by_one_who_may_write_counts(
    stack: Project, posted: GitHubServer, login: str, state: str, commit: str, text: str
) -> None:
    """No other word does."""
    posted.reviewed(login, state, commit)
    posted.merged()
    refused(stack, text)


def test_without_a_review_nothing_is_approved(stack: Project, posted: GitHubServer) -> None:
    """However it was merged."""
    posted.merged()
    refused(stack, "nobody approved the plan")


def test_a_later_word_replaces_an_earlier_one(stack: Project, posted: GitHubServer) -> None:
    """A remark does not; changes that somebody else asks for stop it."""
    posted.permissions["carol"] = "write"
    posted.reviewed("bob", "CHANGES_REQUESTED")
    posted.reviewed("bob")
    posted.reviewed("bob", "COMMENTED")
    posted.merged()
    stack.run("review", "digest").succeeded()
    posted.reviewed("carol", "CHANGES_REQUESTED")
    refused(stack, "carol asked for changes")
    posted.reviewed("carol", "DISMISSED")
    stack.run("review", "digest").succeeded()


def test_a_plan_that_changed_after_the_approval_was_not_approved(
    stack: Project, posted: GitHubServer
) -> None:
    """Whether the pipeline made another, or somebody edited the comment."""
    posted.reviewed("bob")
    posted.merged()
    comment = posted.comments[0]
    comment["updated_at"] = posted.tick()
    refused(stack, "bob did so before")
    comment["updated_at"] = posted.reviews[0]["submitted_at"]  # in the same second
    refused(stack, "bob did so before")


def test_an_edited_comment_without_its_line_holds_no_plan(stack: Project, posted: GitHubServer) -> None:
    """Nor does one with two of them, or with a line that was tampered with."""
    body = posted.comments[0]["body"]
    line = next(line for line in body.splitlines() if "reconciler:reviewed" in line)
    for changed in (
        body.replace(line, ""),
        f"{body}\n{line}\n",
        body.replace(line, line.replace("reviewed ", "reviewed AAAA")),
        body.replace(digest(stack), f"sha256:{'0' * 64}"),  # what people read is another plan
        body.replace(line, "<!-- reconciler:reviewed eJyrrgUAAXUA+Q== -->"),
    ):
        posted.comments[0]["body"] = changed
        posted.reviews.clear()
        posted.reviewed("bob")
        posted.merged()
        refused(stack, "holds no plan")


def test_a_push_that_was_never_planned_was_not_approved(stack: Project, posted: GitHubServer) -> None:
    """The plan there is of an earlier commit than was merged."""
    posted.pull["head"] = {"sha": "9" * 40}
    posted.reviewed("bob", commit="9" * 40)
    posted.merged()
    refused(stack, f"is of commit {HEAD[:12]}, and 999999999999 was merged")


def test_an_outdated_comment_holds_no_plan(stack: Project, posted: GitHubServer) -> None:
    """The newest commit could not be planned."""
    stack.run("review", "outdate", "--number", "7").succeeded()
    posted.reviewed("bob")
    posted.merged()
    refused(stack, "holds no plan: it was made outdated")


def test_only_our_own_comment_counts(stack: Project, posted: GitHubServer) -> None:
    """Another account's does not, whatever it copies; nor that of another stack."""
    body = posted.comments[0]["body"]
    posted.said("mallory", body)
    posted.reviewed("bob")
    posted.merged()
    stack.run("review", "digest").succeeded()
    posted.comments[0]["user"] = {"login": "mallory"}
    refused(stack, "has no plan of the stack 'test' by github-actions[bot]")


def test_a_copy_of_another_stacks_plan_below_our_marker_is_refused(
    stack: Project, posted: GitHubServer
) -> None:
    """The line names its stack."""
    text = (stack.path / "reconciler.toml").read_text()
    stack.write("reconciler.toml", text.replace('"test"', '"prod"'))
    posted.comments[0]["body"] = posted.comments[0]["body"].replace(MARKER, "<!-- reconciler:plan:prod -->")
    posted.reviewed("bob")
    posted.merged()
    refused(stack, "holds no plan")


def test_a_commit_that_no_request_brought_was_not_reviewed(stack: Project, posted: GitHubServer) -> None:
    """Somebody pushed it; or it is a commit of the branch before it was merged."""
    posted.reviewed("bob")
    refused(stack, "is what no merged requests came to")
    posted.merged(commit="8" * 40)
    refused(stack, "is what no merged requests came to")
    refused(stack, "is what no merged requests came to", "--commit", HEAD)


def test_a_request_that_is_not_merged_is_not_applied(stack: Project, posted: GitHubServer) -> None:
    """Whatever was said of it."""
    posted.reviewed("bob")
    refused(stack, "request 7 is not merged", "--number", "7")


def test_a_merge_by_somebody_who_is_named_counts(stack: Project, posted: GitHubServer) -> None:
    """Where nobody else is there to approve; but only a merge after the plan was there."""
    posted.merged("alice")
    refused(stack, "nobody approved")
    refused(stack, "nobody approved", "--merged-by", "bob")
    said = stack.run("review", "digest", "--merged-by", "alice").succeeded()
    assert said.out == f"{digest(stack)}\n"
    posted.comments[0]["updated_at"] = posted.tick()
    refused(stack, "nobody approved", "--merged-by", "alice")


def test_reviews_on_later_pages_count(stack: Project, posted: GitHubServer) -> None:
    """All of them are looked at."""
    posted.page_size = 50
    posted.reviewed("bob")
    for _ in range(120):
        posted.reviewed("eve", "COMMENTED")
    posted.reviewed("bob", "CHANGES_REQUESTED")
    posted.merged()
    refused(stack, "bob asked for changes")


# --- GitLab ---


@pytest.fixture
def noted(stack: Project, gitlab: GitLabServer) -> GitLabServer:
    """GitLab with the plan on merge request 7; the stack's variables are those of a push to the branch."""
    stack.run("review", "post", "p.json").succeeded()
    del stack.environment["CI_MERGE_REQUEST_IID"], stack.environment["CI_MERGE_REQUEST_DIFF_BASE_SHA"]
    stack.environment.update(CI_COMMIT_SHA=MERGE, CI_COMMIT_BEFORE_SHA="0" * 40)
    return gitlab


def test_gitlab_says_when_somebody_approved_in_notes_of_its_own(stack: Project, noted: GitLabServer) -> None:
    """An approval later than the plan counts; the zeros before a first push are no commit."""
    noted.approved("bob")
    noted.merged()
    assert stack.run("review", "digest", "--out", "r.json").succeeded().out == f"{digest(stack)}\n"
    assert json.loads((stack.path / "r.json").read_text())["onto"] == ""


def test_on_gitlab_too_the_plan_is_the_one_that_was_approved(stack: Project, noted: GitLabServer) -> None:
    """Not after another plan, not by the author, not when it was taken back, not by a forged note."""
    noted.merged()
    noted.approved("alice")
    refused(stack, "nobody approved")
    noted.said("bob", "approved this merge request")
    refused(stack, "nobody approved")
    noted.approved("bob")
    stack.run("review", "digest").succeeded()
    noted.unapproved("bob")
    refused(stack, "nobody approved")
    noted.approved("bob")
    replanned(stack)
    stack.environment["CI_MERGE_REQUEST_IID"] = "7"
    stack.environment["CI_COMMIT_SHA"] = HEAD
    stack.run("review", "post", "p.json").succeeded()
    stack.environment["CI_COMMIT_SHA"] = MERGE
    refused(stack, "bob did so before")


def test_a_branch_that_was_fast_forwarded_is_what_was_merged(stack: Project, noted: GitLabServer) -> None:
    """There is no commit of the merge then; nor is any where it was squashed."""
    noted.approved("bob")
    noted.merged(commit=None)
    refused(stack, "is what no merged requests came to")
    stack.run("review", "digest", "--commit", HEAD).succeeded()
    noted.request["squash_commit_sha"] = "7" * 40
    refused(stack, "is what no merged requests came to", "--commit", HEAD)
    stack.run("review", "digest", "--commit", "7" * 40).succeeded()


def test_a_time_zone_of_the_servers_own_is_read(stack: Project, noted: GitLabServer) -> None:
    """Times are compared, not their texts."""
    noted.approved("bob")
    noted.merged()
    noted.notes[0]["updated_at"] = "2025-06-01T12:59:59.000+03:00"  # earlier than it looks
    stack.run("review", "digest").succeeded()
    noted.notes[0]["updated_at"] = "2025-06-01T09:59:59.000-03:00"  # later than it looks
    refused(stack, "bob did so before")


def test_no_output_of_it_has_the_token(stack: Project, posted: GitHubServer) -> None:
    """Nor has the file."""
    posted.reviewed("bob")
    posted.merged()
    for flags in ((), ("--json",), ("--debug",)):
        said = stack.run("review", "digest", "--out", "r.json", *flags)
        assert TOKEN not in said.out + said.err + (stack.path / "r.json").read_text()
