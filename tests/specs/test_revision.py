"""Which commit the specs were read at."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from reconciler.specs.revision import revision

WHO = {
    "GIT_AUTHOR_NAME": "a",
    "GIT_AUTHOR_EMAIL": "a@example.com",
    "GIT_COMMITTER_NAME": "a",
    "GIT_COMMITTER_EMAIL": "a@example.com",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_SYSTEM": os.devnull,
}


def git(directory: Path, *arguments: str) -> str:
    """Run git, and return what it says."""
    done = subprocess.run(
        ["git", *arguments],
        cwd=directory,
        env={**os.environ, **WHO},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository with a stack in a folder, committed."""
    path = tmp_path / "repository"
    (path / "states" / "dev").mkdir(parents=True)
    (path / "states" / "dev" / "lab.toml").write_text("")
    git(path, "init", "--quiet", "--initial-branch=main")
    git(path, "add", ".")
    git(path, "commit", "--quiet", "--message=one")
    return path


@pytest.fixture
def head(repository: Path) -> str:
    """The commit that is checked out."""
    return git(repository, "rev-parse", "HEAD")


def both(directory: Path) -> tuple[str, str]:
    """The revision, at a glance and exactly."""
    return revision(directory, exact=False), revision(directory, exact=True)


def test_the_commit_of_a_clean_work_tree(repository: Path, head: str) -> None:
    """From the repository, or any folder of it."""
    assert both(repository) == (head, head)
    assert both(repository / "states" / "dev") == (head, head)


def test_a_branch_with_a_slash_in_it(repository: Path, head: str) -> None:
    """Its reference is in a folder."""
    git(repository, "switch", "--quiet", "--create", "team/feature")
    assert both(repository) == (head, head)


def test_a_detached_head(repository: Path, head: str) -> None:
    """As a build has it."""
    git(repository, "checkout", "--quiet", "--detach")
    assert both(repository) == (head, head)


def test_packed_references(repository: Path, head: str) -> None:
    """After ``git gc`` no file has the branch's name; a tag with the same commit misleads nobody."""
    git(repository, "tag", "--annotate", "--message=t", "v1")
    git(repository, "pack-refs", "--all")
    assert not (repository / ".git" / "refs" / "heads" / "main").exists()
    assert both(repository) == (head, head)


def test_a_second_work_tree(repository: Path, head: str, tmp_path: Path) -> None:
    """Its ``.git`` is a file, and its branch is kept elsewhere."""
    other = tmp_path / "other"
    git(repository, "worktree", "add", "--quiet", str(other))
    assert (other / ".git").is_file()
    assert both(other / "states" / "dev") == (head, head)
    git(other, "commit", "--quiet", "--allow-empty", "--message=two")
    assert both(other) == (git(other, "rev-parse", "HEAD"),) * 2
    assert both(repository) == (head, head)
    git(repository, "pack-refs", "--all")
    assert both(other) == (git(other, "rev-parse", "HEAD"),) * 2


@pytest.mark.parametrize("change", ["edited", "added", "staged", "deleted"])
def test_files_that_differ_from_the_commit_are_said(repository: Path, head: str, change: str) -> None:
    """When they are below the stack, and when somebody asks exactly."""
    stack = repository / "states" / "dev"
    match change:
        case "edited":
            (stack / "lab.toml").write_text("# more\n")
        case "added":
            (stack / "new.toml").write_text("")
        case "staged":
            (stack / "lab.toml").write_text("# more\n")
            git(repository, "add", ".")
        case "deleted":
            (stack / "lab.toml").unlink()
    assert both(stack) == (head, f"{head}+")


def test_what_does_not_belong_to_the_stack_does_not_count(repository: Path, head: str) -> None:
    """Files elsewhere in the repository, and what we keep ourselves."""
    stack = repository / "states" / "dev"
    (repository / "other.txt").write_text("")
    (stack / ".reconciler").mkdir()
    (stack / ".reconciler" / "state.json").write_text("{}")
    assert both(stack) == (head, head)


def test_looking_changes_nothing(repository: Path) -> None:
    """Not even git's index, which a plain ``git status`` refreshes."""
    stamp = repository / "states" / "dev" / "lab.toml"
    os.utime(stamp, (1, 1))
    before = (repository / ".git" / "index").read_bytes()
    revision(repository, exact=True)
    assert (repository / ".git" / "index").read_bytes() == before


def test_outside_git_there_is_none(tmp_path: Path) -> None:
    """No error: git is not needed."""
    assert both(tmp_path) == ("", "")


def test_before_the_first_commit_there_is_none(tmp_path: Path) -> None:
    """A branch that does not exist yet."""
    git(tmp_path, "init", "--quiet")
    assert both(tmp_path) == ("", "")


@pytest.mark.parametrize("content", ["", "gitdir: /nowhere", "nonsense", "\x00", "gitdir: \udcff"])
def test_a_broken_repository_is_none(tmp_path: Path, content: str) -> None:
    """Nor is one that cannot be understood an error."""
    (tmp_path / ".git").write_text(content, errors="surrogateescape")
    assert both(tmp_path) == ("", "")


def test_without_git_the_files_alone_are_asked(
    repository: Path, head: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a machine that has only the checkout."""
    monkeypatch.setenv("PATH", "")
    assert both(repository) == (head, head)
