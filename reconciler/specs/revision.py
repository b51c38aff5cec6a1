"""The git revision that specs were read at."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

__all__ = ["parents", "revision"]


def revision(directory: Path, *, exact: bool) -> str:
    """The commit checked out around *directory*; empty outside git.

    With *exact*, ``+`` is added when files below *directory* differ from it.
    Without, only git's own files are read, which takes no time.
    """
    root = next((path for path in (directory, *directory.parents) if (path / ".git").exists()), None)
    if root is None:
        return ""
    found = _head(root / ".git")
    if not found or not exact:
        return found
    try:
        done = subprocess.run(
            # The user's git, wherever it is; it takes no lock, and our own files do not count.
            ["git", "--no-optional-locks", "status", "--porcelain", "--", ".", ":!.reconciler"],  # noqa: S607
            cwd=directory,
            capture_output=True,
            timeout=30,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return found
    return found + ("+" if done.returncode or done.stdout.strip() else "")


def parents(directory: Path, commit: str) -> tuple[str, ...]:
    """The parents of *commit* in the repository around *directory*, also where git did not fetch them.

    None where there is no such commit, or no git.
    """
    if not re.fullmatch("[0-9a-f]{40,64}", commit):
        return ()
    try:
        done = subprocess.run(  # noqa: S603 - nothing but a commit goes in
            # Not `git log`, which hides parents that a shallow clone lacks.
            ["git", "cat-file", "commit", commit],  # noqa: S607
            cwd=directory,
            capture_output=True,
            timeout=30,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ()
    head = done.stdout.decode(errors="replace").partition("\n\n")[0]
    return tuple(line.removeprefix("parent ") for line in head.split("\n") if line.startswith("parent "))


def _head(git: Path) -> str:
    """The commit that HEAD means, read from the files in which git keeps it."""
    try:
        if git.is_file():  # a work tree or submodule: the file says where its directory is
            git = (git.parent / git.read_text(encoding="utf-8").partition(":")[2].strip()).resolve()
        head = (git / "HEAD").read_text(encoding="utf-8").strip()
        if not head.startswith("ref:"):
            return head
        name = head.partition(":")[2].strip()
        common = git / "commondir"
        shared = (git / common.read_text(encoding="utf-8").strip()).resolve() if common.exists() else git
        for place in (git, shared):
            if (place / name).is_file():
                return (place / name).read_text(encoding="utf-8").strip()
        for line in (shared / "packed-refs").read_text(encoding="utf-8").splitlines():
            commit, _, ref = line.partition(" ")
            if ref == name:
                return commit
    except (OSError, ValueError):
        pass
    return ""
