"""What commits did to the wishes of a stack: for each of them, which addresses are wished for otherwise.

Git says which commits touched the stack's directory; each is laid out in a
directory of its own, read like any other stack, and compared with the one
before it. So a comment, a line that moved and a file that was renamed are no
change, and a spec that others extend is one of all of them.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from reconciler.core.model import Resource, ResourceAddress, Source
from reconciler.core.ports import ProviderPlugin
from reconciler.errors import ReconcilerError, SpecErrors, UsageError
from reconciler.specs.config import CONFIG_NAME, load_config
from reconciler.specs.load import load_specs

__all__ = ["Commit", "commits_between"]

_SECONDS: Final = 120
_ANYWHERE: Final = Source("", 0)
"""Places are not compared: a line that moved is no other wish."""


@dataclass(frozen=True, slots=True)
class Commit:
    """A commit of the target branch that changed what the stack wishes, or its settings."""

    id: str
    title: str
    addresses: tuple[ResourceAddress, ...]
    settings: bool


@dataclass(frozen=True, slots=True)
class _Wishes:
    """What a stack wished at a commit, and the bytes of its settings."""

    resources: Mapping[ResourceAddress, Resource]
    settings: bytes


def commits_between(
    directory: Path, old: str, new: str, plugins: Mapping[str, ProviderPlugin], *, version: str
) -> tuple[Commit, ...]:
    """What the commits after *old*, up to *new*, did to the stack in *directory*; oldest first.

    Along the first parents: a merge is one commit. One that broke the specs
    is told together with the one that mended them. Raises `ReconcilerError`
    when git does not have these commits, *new* does not come after *old*, or
    the specs of either are broken.
    """
    place = _git(directory, "rev-parse", "--show-prefix").strip() or "./"
    root = Path(_git(directory, "rev-parse", "--show-toplevel").strip())
    _git(directory, "merge-base", "--is-ancestor", old, new)
    touched = _git(root, "rev-list", "--first-parent", "--reverse", f"{old}..{new}", "--", place).split()
    if not touched:
        return ()
    with tempfile.TemporaryDirectory(prefix="reconciler-") as scratch:
        space = Path(scratch)

        def wishes(commit: str) -> _Wishes:
            return _wishes(root, place, commit, space / commit, plugins, version)

        before = wishes(old)
        found: list[Commit] = []
        for commit in touched:
            try:
                after = wishes(commit)
            except SpecErrors:
                if commit == touched[-1]:
                    raise
                continue
            addresses, settings = tuple(sorted(_differing(before, after))), before.settings != after.settings
            if addresses or settings:
                title = _git(root, "show", "--no-patch", "--format=%s", commit).strip()
                found.append(Commit(commit, title, addresses, settings))
            before = after
        return tuple(found)


def _differing(before: _Wishes, after: _Wishes) -> Iterator[ResourceAddress]:
    for address in before.resources.keys() | after.resources.keys():
        if before.resources.get(address) != after.resources.get(address):
            yield address


def _wishes(
    root: Path,
    place: str,
    commit: str,
    target: Path,
    plugins: Mapping[str, ProviderPlugin],
    version: str,
) -> _Wishes:
    target.mkdir(exist_ok=True)
    # An index of its own: that of the work tree, and the work tree, stay as they are.
    index = {"GIT_INDEX_FILE": str(target.with_suffix(".index"))}
    _git(root, "read-tree", commit, **index)
    _git(root, "checkout-index", "--all", f"--prefix={target}/", **index)
    directory = target / place
    if not (directory / CONFIG_NAME).is_file():
        return _Wishes({}, b"")  # the stack was not there yet
    specs = load_specs(load_config(directory, plugins, version=version))
    return _Wishes(
        {one.address: replace(one, source=_ANYWHERE) for one in specs.resources},
        (directory / CONFIG_NAME).read_bytes(),
    )


def _git(directory: Path, *words: str, **variables: str) -> str:
    try:
        done = subprocess.run(  # noqa: S603 - words of ours, and commits
            ["git", "--no-optional-locks", *words],  # noqa: S607 - the user's git, wherever it is
            cwd=directory,
            env={**os.environ, **variables},
            capture_output=True,
            timeout=_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise UsageError(
            "git cannot be run", hint="It has to be there, to say what changed since."
        ) from error
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().splitlines()
        raise ReconcilerError(
            f"git cannot say what changed: git {words[0]}" + (f": {said[-1]}" if said else " found no way"),
            hint="The whole history of the target branch has to be there: `fetch-depth: 0`, GIT_DEPTH: 0.",
        )
    return done.stdout.decode(errors="replace")
