"""What commits did to the wishes of a stack."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from harness import CONFIG, LAB

from reconciler.errors import ReconcilerError, SpecErrors
from reconciler.providers import discover
from reconciler.specs.since import commits_between

WHO = {f"GIT_{role}_{what}": "a@b" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}


class Repository:
    """A git repository with a stack at *place* in it."""

    def __init__(self, root: Path, place: str) -> None:
        self.root = root
        self.stack = root / place
        self.stack.mkdir(parents=True)
        self.git("init", "-q", "-b", "main")

    def git(self, *words: str) -> str:
        outside = {**os.environ, **WHO, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}
        done = subprocess.run(["git", *words], cwd=self.root, env=outside, check=True, capture_output=True)
        return done.stdout.decode().strip()

    def commit(self, title: str, **files: str | None) -> str:
        for name, text in files.items():
            path = self.stack / f"{name}.toml"
            path.unlink() if text is None else path.write_text(text)
        self.git("add", "-A")
        self.git("commit", "-q", "--allow-empty", "-m", title)
        return self.git("rev-parse", "HEAD")

    def between(self, old: str, new: str = "HEAD") -> list[tuple[str, list[str], bool]]:
        """Title, addresses, and whether the settings changed, of each commit."""
        found = commits_between(self.stack, old, self.git("rev-parse", new), discover(), version="1")
        return [(one.title, list(map(str, one.addresses)), one.settings) for one in found]


@pytest.fixture(params=[".", "stacks/with a space"])
def repository(request: pytest.FixtureRequest, tmp_path: Path) -> Repository:
    """One whose stack is all of it, and one whose stack is a folder."""
    return Repository(tmp_path / "repository", request.param)


def test_each_commit_has_the_addresses_that_it_wishes_otherwise(repository: Repository) -> None:
    """Made, changed and taken out; comments, renamed files and other folders are nothing."""
    old = repository.commit("first", reconciler=CONFIG, lab=LAB, other=LAB)
    repository.commit("new", new=LAB)
    repository.commit("words", lab=f"# words\n\n{LAB}")
    (repository.root / "README").write_text("hello")
    repository.commit("beside")
    (repository.stack / "team").mkdir()
    (repository.stack / "other.toml").rename(repository.stack / "team" / "other.toml")
    repository.commit("elsewhere")
    repository.commit("changed and gone", lab=LAB.replace("3.11", "3.12"), new=None)
    assert repository.between(old) == [
        ("new", ["runai.environment.new"], False),
        ("changed and gone", ["runai.environment.lab", "runai.environment.new"], False),
    ]
    assert repository.between(old, old) == []


def test_a_merge_is_one_commit(repository: Repository) -> None:
    """What was on its branch is told as its."""
    old = repository.commit("first", reconciler=CONFIG, lab=LAB)
    repository.git("checkout", "-q", "-b", "side")
    repository.commit("a", a=LAB)
    repository.commit("b", b=LAB)
    repository.git("checkout", "-q", "main")
    repository.git("merge", "-q", "--no-ff", "-m", "Merge side", "side")
    assert repository.between(old) == [("Merge side", ["runai.environment.a", "runai.environment.b"], False)]


def test_other_settings_are_said(repository: Repository) -> None:
    """Whatever they do to addresses."""
    old = repository.commit("first", reconciler=CONFIG, lab=LAB)
    repository.commit("limits", reconciler=f"{CONFIG}[policy]\nmax_gpus = 1\n")
    assert repository.between(old) == [("limits", [], True)]


def test_a_stack_that_was_not_there_wished_for_nothing(repository: Repository) -> None:
    """Its first commit made all of it."""
    old = repository.commit("empty")
    repository.commit("first", reconciler=CONFIG, lab=LAB)
    assert repository.between(old) == [("first", ["runai.environment.lab"], True)]


def test_what_is_in_the_work_tree_and_the_index_stays(repository: Repository) -> None:
    """And counts for nothing."""
    old = repository.commit("first", reconciler=CONFIG, lab=LAB)
    repository.commit("second", new=LAB)
    (repository.stack / "lab.toml").write_text("half a th")
    repository.git("add", "-A")
    (repository.stack / "untracked.toml").write_text("x")
    before = repository.git("status", "--porcelain")
    assert [title for title, *_ in repository.between(old)] == ["second"]
    assert repository.git("status", "--porcelain") == before
    assert (repository.stack / "lab.toml").read_text() == "half a th"


def test_what_git_does_not_have_is_said(repository: Repository) -> None:
    """A commit that was not fetched; one that does not come after the other; specs that cannot be read."""
    old = repository.commit("first", reconciler=CONFIG, lab=LAB)
    repository.git("checkout", "-q", "-b", "side")
    side = repository.commit("side", a=LAB)
    repository.git("checkout", "-q", "main")
    repository.commit("main", b=LAB)
    for wrong in ("1" * 40, side):
        with pytest.raises(ReconcilerError, match="git cannot say what changed") as caught:
            repository.between(wrong)
        assert "fetch-depth: 0" in caught.value.hint
    repository.commit("broken", lab="image = ")
    with pytest.raises(SpecErrors):
        repository.between(old)
