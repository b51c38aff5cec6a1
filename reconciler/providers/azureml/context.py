"""What is in a build context on this machine, and the hash that its address has.

A context is said by a *manifest*, the attribute ``context`` of an environment,
with paths from the stack's directory:

``{"directory": "docker/train"}``
    what is in that directory, but what its ignore file leaves out;
``{"files": {"Dockerfile": {"text": "…"}, "wheels/x.whl": {"path": "dist/x.whl"}}}``
    these files.

The hash is that of the vendor's client: the same content has the same address
whoever uploads it, and is uploaded once. Of a directory it takes, in the order
of the names in lower case, the name of each entry and then what is in it.
Source: vendor client azure-ai-ml 1.35.2.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path as FilePath
from typing import Any, Final

from reconciler.errors import ReconcilerError
from reconciler.providers.azureml.ignoring import IGNORE_FILES, ignoring

__all__ = ["BuildContext", "ContextFile", "open_context", "within"]

_SEED: Final = b"Initialize for october 2021 AML CLI version"
_MOST_FILES: Final = 10_000
_GENERATED: Final = "context"
"""The directory in the address of a context that is made of single files."""


@dataclass(frozen=True, slots=True)
class ContextFile:
    """One file of a context: its path in it, with slashes, and how to get at its bytes."""

    name: str
    read: Callable[[], bytes]


_Tree = dict[str, "ContextFile | _Tree"]


@dataclass(frozen=True, slots=True)
class BuildContext:
    """A context that was found complete.

    ``directory`` is the last part of its address.
    """

    directory: str
    _tree: _Tree

    @property
    def files(self) -> tuple[ContextFile, ...]:
        """Every file, in the order of the hash."""
        return tuple(_files(self._tree))

    def digest(self, sums: dict[str, bytes] | None = None) -> str:
        """64 hexadecimal digits: the vendor's hash of what is in it now.

        *sums* gets the SHA-256 of what was read of each file: reading one
        again may give something else.
        """
        hasher = hashlib.sha256(_SEED)
        _hash_into(hasher, self._tree, sums if sums is not None else {})
        return hasher.hexdigest()


def open_context(manifest: Mapping[str, Any], stack: FilePath) -> BuildContext:
    """The context that *manifest* says, in the directory of the *stack*.

    Raises `ReconcilerError` when it is not there, is empty, leads out of the
    stack, or holds what is neither a file nor a directory.
    """
    try:
        if "directory" in manifest:
            return _of_directory(manifest["directory"], stack)
        return _of_files(manifest["files"], stack)
    except OSError as error:
        name = FilePath(str(error.filename)).name if error.filename else "the build context"
        raise ReconcilerError(
            f"{name} cannot be read: {error.strerror}", hint="Check that it is there, and its permissions."
        ) from error


def within(path: str, stack: FilePath) -> FilePath:
    """What *path* names in the directory of the *stack*, links followed.

    Raises `ReconcilerError` when that is not in the directory, or not there.
    """
    if FilePath(path).is_absolute():
        raise ReconcilerError(
            f"{path!r} is an absolute path", hint="Write it from the directory of the stack."
        )
    root = stack.resolve()
    found = (root / path).resolve()
    if not found.is_relative_to(root):
        raise ReconcilerError(
            f"{path!r} leads out of the directory of the stack",
            hint="Put what it names into the stack: a plan depends on nothing else.",
        )
    if not found.exists():
        raise ReconcilerError(
            f"there is no {path!r}",
            hint="In a spec, paths are from its own folder; this one is shown from the stack's directory.",
        )
    return found


def _of_directory(path: str, stack: FilePath) -> BuildContext:
    root = within(path, stack)
    if not root.is_dir():
        raise ReconcilerError(f"{path!r} is no directory", hint="Name the directory of the build context.")
    if root == stack.resolve():
        raise ReconcilerError(
            "the build context would be the whole stack", hint="Give it a directory of its own."
        )
    lines: list[str] = []
    for name in IGNORE_FILES:
        if (root / name).is_file():
            lines = (root / name).read_text(encoding="utf-8", errors="replace").splitlines()
            break
    walk = _Walk(root, ignoring(lines))
    tree = walk.tree(stack / path, "", (root,))
    if not walk.count:
        raise ReconcilerError(f"there is no file in {path!r}", hint="Put a Dockerfile there.")
    return BuildContext(root.name, tree)


def _of_files(files: Mapping[str, Mapping[str, str]], stack: FilePath) -> BuildContext:
    tree: _Tree = {}
    for name, source in files.items():
        *folders, last = name.split("/")
        here = tree
        for folder in folders:
            inner = here.setdefault(folder, {})
            assert isinstance(inner, dict), name
            here = inner
        if "text" in source:
            read: Callable[[], bytes] = partial(str.encode, source["text"])
        else:
            read = within(source["path"], stack).read_bytes
        here[last] = ContextFile(name, read)
    return BuildContext(_GENERATED, tree)


class _Walk:
    """Reads a directory, following links that stay in it."""

    def __init__(self, root: FilePath, ignored: Callable[[str], bool]) -> None:
        self._root = root
        self._ignored = ignored
        self.count = 0

    def tree(self, directory: FilePath, name: str, above: tuple[FilePath, ...]) -> _Tree:
        """What is in *directory*, *name* in the context; the last of *above* is where it really is."""
        found: _Tree = {}
        # Two names that differ in capitals only have no order in the vendor's client.
        for path in sorted(directory.iterdir(), key=lambda path: (path.name.lower(), path.name)):
            # Behind a link, by where it really is, as in the vendor's client.
            if self._ignored((above[-1] / path.name).relative_to(self._root).as_posix()):
                continue
            inside = f"{name}/{path.name}" if name else path.name
            real = self._followed(path, inside) if path.is_symlink() else above[-1] / path.name
            if real.is_dir():
                if real in above:
                    raise ReconcilerError(
                        f"the link {inside!r} leads to a directory that it is in",
                        hint="Remove it, or name it in .amlignore.",
                    )
                found[path.name] = self.tree(path, inside, (*above, real))
            elif real.is_file():
                self.count += 1
                if self.count > _MOST_FILES:
                    raise ReconcilerError(
                        f"the build context has more than {_MOST_FILES} files",
                        hint="Name what does not belong into it in .amlignore.",
                    )
                found[path.name] = ContextFile(inside, path.read_bytes)
            else:
                raise ReconcilerError(
                    f"{inside!r} is neither a file nor a directory",
                    hint="Remove it, or name it in .amlignore.",
                )
        return found

    def _followed(self, link: FilePath, inside: str) -> FilePath:
        try:
            real = link.resolve(strict=True)
        except (OSError, RuntimeError) as error:  # in a circle, a RuntimeError up to Python 3.12
            raise ReconcilerError(
                f"the link {inside!r} leads nowhere", hint="Remove it, or name it in .amlignore."
            ) from error
        if not real.is_relative_to(self._root):
            raise ReconcilerError(
                f"the link {inside!r} leads out of the build context",
                hint="Put what it names into the context, or name the link in .amlignore.",
            )
        return real


def _ordered(tree: _Tree) -> Iterator[tuple[str, ContextFile | _Tree]]:
    yield from sorted(tree.items(), key=lambda item: (item[0].lower(), item[0]))


def _files(tree: _Tree) -> Iterator[ContextFile]:
    for _, item in _ordered(tree):
        if isinstance(item, ContextFile):
            yield item
        else:
            yield from _files(item)


def _hash_into(hasher: Any, tree: _Tree, sums: dict[str, bytes]) -> None:
    for name, item in _ordered(tree):
        hasher.update(name.encode())
        if isinstance(item, ContextFile):
            content = item.read()
            hasher.update(content)
            sums[item.name] = hashlib.sha256(content).digest()
        else:
            _hash_into(hasher, item, sums)
