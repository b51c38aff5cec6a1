"""A git repository with a stack in it: branches are planned, reviewed and merged as a forge does it."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import dataclass

from forge_servers import GitHubServer
from harness import LAB, Project, Result

from reconciler.render.markdown import marker

_WHO = {f"GIT_{role}_{what}": "a@b" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}

MARKER = marker("test")


def digest(project: Project, file: str = "p.json") -> str:
    """The digest of a saved plan."""
    found: str = json.loads(project.run("show", file, "--format", "json").succeeded().out)["digest"]
    return found


def replanned(project: Project) -> str:
    """Another plan in ``p.json``; its digest."""
    project.write("lab.toml", LAB.replace("3.11", "3.12"))
    project.run("plan", "--out", "p.json").succeeded()
    return digest(project)


@dataclass
class Repository:
    """The repository around *stack*, and the forge that has its pull request 7."""

    stack: Project
    forge: GitHubServer

    def git(self, *words: str) -> str:
        """What git says."""
        outside = {**os.environ, **_WHO, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}
        done = subprocess.run(
            ["git", *words], cwd=self.stack.path, env=outside, check=True, capture_output=True
        )
        return done.stdout.decode().strip()

    def start(self) -> None:
        """The first commit of main, with what is there."""
        self.git("-C", "..", "init", "-q", "-b", "main")
        (self.stack.path.parent / ".gitignore").write_text("*.json\n")
        self.commit("first")

    def commit(self, title: str, **files: str | None) -> str:
        """A commit with these specs changed (None: taken out); its id."""
        for name, text in files.items():
            if text is None:
                (self.stack.path / f"{name}.toml").unlink()
            else:
                self.stack.write(f"{name}.toml", text)
        self.git("-C", "..", "add", "-A")
        self.git("commit", "-q", "--allow-empty", "-m", title)
        return self.git("rev-parse", "HEAD")

    def event(self, **content: object) -> None:
        """The event that starts the next job."""
        path = self.stack.path.parent / "event.json"
        path.write_text(json.dumps(content))
        self.stack.environment["GITHUB_EVENT_PATH"] = str(path)

    def propose(self, branch: str, **files: str | None) -> str:
        """A branch with a commit; its head."""
        self.git("checkout", "-q", "-b", branch, "main")
        head = self.commit(f"change of {branch}", **files)
        self.git("checkout", "-q", "main")
        return head

    def review(self, branch: str) -> None:
        """Plan the branch merged with main, as the forge would merge it now; post and approve that."""
        head, base = self.git("rev-parse", branch), self.git("rev-parse", "main")
        self.git("checkout", "-q", "--detach", "main")
        self.git("merge", "-q", "--no-ff", "-m", "for the plan", branch)
        self.event(number=7, pull_request={"number": 7, "head": {"sha": head}, "base": {"sha": base}})
        self.forge.pull["head"] = {"sha": head}
        self.stack.run("plan", "--out", "p.json").succeeded()
        self.stack.run("review", "post", "p.json").succeeded()
        self.forge.reviewed("bob", commit=head)
        self.git("checkout", "-q", "main")

    def merge(self, branch: str, how: str = "--no-ff") -> str:
        """Merge the branch into main, a merge or a squash; the commit, whose job is the next one."""
        before = self.git("rev-parse", "main")
        self.git("merge", "-q", how, *(["-m", "merged"] if how == "--no-ff" else []), branch)
        if how == "--squash":
            self.git("commit", "-q", "-m", "squashed")
        commit = self.git("rev-parse", "HEAD")
        self.forge.merged(commit=commit)
        self.event(before=before, after=commit)
        self.stack.environment["GITHUB_SHA"] = commit
        return commit

    def apply(self) -> Result:
        """What the merge pipeline does."""
        digest = self.stack.run("review", "digest", "--out", "reviewed.json").succeeded().out.strip()
        return self.stack.run("apply", "--expect", digest, "--reviewed", "reviewed.json")
