"""Which files below a directory are specs."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path as FilePath
from typing import Final

from reconciler.specs.config import CONFIG_NAME

CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


def spec_files(
    directory: FilePath, state_directory: FilePath, failed: Callable[[str, str, str], None]
) -> Iterator[tuple[str, str]]:
    """Every TOML file of the stack, with its name in it, but hidden folders and stacks below this one.

    *failed* is told of folders that are not looked into: which, why, and what to do.
    """
    waiting = [(str(directory), "")]
    while waiting:
        folder, prefix = waiting.pop()
        try:
            entries = list(os.scandir(folder))
        except OSError as error:
            why = f"this folder cannot be read: {error.strerror}"
            failed(prefix.rstrip("/") or ".", why, "Check its permissions.")
            continue
        if prefix and any(entry.name == CONFIG_NAME for entry in entries):
            continue
        for entry in entries:
            name = entry.name
            if name.startswith("."):
                continue
            if name.endswith(".toml"):
                if name != CONFIG_NAME:
                    yield entry.path, prefix + name
            elif entry.is_dir(follow_symlinks=False):
                waiting.append((entry.path, f"{prefix}{name}/"))
            elif entry.is_symlink() and _may_hold_specs(FilePath(entry.path), state_directory):
                failed(
                    f"{prefix}{name}",
                    "this folder is a link, which is not followed",
                    "Put the folder itself here, or begin the name of the link with a dot.",
                )


def spec_names(directory: FilePath) -> list[str]:
    """The names of all spec files of the stack in *directory*, as `spec_files` has them."""
    found = spec_files(directory, directory / ".reconciler", lambda *_: None)
    return sorted(name for _, name in found)


def _may_hold_specs(link: FilePath, state_directory: FilePath) -> bool:
    """Whether *link* leads to a folder, neither of another stack nor of our own state."""
    if not link.is_dir() or (link / CONFIG_NAME).exists():
        return False
    return not state_directory.resolve().is_relative_to(link.resolve())


def printable(name: str) -> str:
    """A file's name as it can be shown: what is not text, or would move the cursor, is replaced."""
    return CONTROL.sub("\ufffd", os.fsencode(name).decode(errors="replace"))


def content_digest(path: FilePath) -> str:
    """The digest of what is in the file, or in all files below the folder, at *path*; empty for nothing.

    What cannot be read counts as nothing: who reads it says so.
    """
    if not path.is_dir():
        try:
            return hashlib.sha256(read_bytes(str(path))).hexdigest()
        except OSError:
            return ""
    whole = hashlib.sha256(b"folder\n")
    for folder, folders, files in os.walk(path):
        folders.sort()
        for name in sorted(files):
            file = FilePath(folder, name)
            where = os.fsencode(file.relative_to(path))
            mode = "x" if os.access(file, os.X_OK) else "-"
            whole.update(where + f"\0{mode}{content_digest(file)}\n".encode())
    return whole.hexdigest()


def read_bytes(path: str) -> bytes:
    # A hundred thousand times in a row: the bare calls take a third of what a file object does.
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)  # a pipe must not hold us up
    try:
        parts = []
        while part := os.read(handle, 1 << 16):
            parts.append(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)
    finally:
        os.close(handle)
