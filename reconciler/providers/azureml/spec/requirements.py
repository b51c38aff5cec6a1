"""pip requirements: one line, or a file with what it includes.

Read as pip reads them: comments go, a backslash joins lines, ``-r`` is
followed. What stays is what pip can do in the service, where none of our files
are.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path as FilePath
from typing import Final

from reconciler.errors import ReconcilerError
from reconciler.providers.azureml.context import within
from reconciler.providers.azureml.spec.secrets import CONNECTION, secret_in
from reconciler.providers.azureml.spec.words import Flaw

__all__ = ["Requirements", "is_pinned", "name_of", "requirement_flaw", "without_comment"]

_NAME: Final = re.compile(r"([A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)\s*(\[[^\]]*\])?\s*(.*)", re.DOTALL)
_REST: Final = re.compile(r"(?:@|===|==|~=|!=|<=|>=|<|>|;|\(|--)")
_OPTION: Final = re.compile(r"(--?[A-Za-z][\w-]*)(?:[\s=]+(.*))?", re.DOTALL)
_SHORT: Final = re.compile(r"(-[rcefi])\s*=?\s*(\S.*)", re.DOTALL)
_ALLOWED: Final = frozenset(
    {
        "-i",
        "--index-url",
        "--extra-index-url",
        "--no-index",
        "-f",
        "--find-links",
        "--pre",
        "--prefer-binary",
        "--no-binary",
        "--only-binary",
        "--require-hashes",
        "--trusted-host",
        "--use-feature",
    }
)
_WHEELS: Final = "Build a wheel of it and name that in `wheels`."


def _option(line: str) -> tuple[str, str]:
    """The option that *line* is, and its value; empty for a requirement."""
    if not line.startswith("-"):
        return "", ""
    found = _SHORT.fullmatch(line) if not line.startswith("--") else None
    found = found or _OPTION.fullmatch(line)
    return (found[1], (found[2] or "").strip()) if found else (line.split()[0], "")


def name_of(line: str) -> str:
    """The distribution that a requirement is for, as an index spells it; empty for an option."""
    found = _NAME.match(line)
    return re.sub(r"[-_.]+", "-", found[1]).lower() if found and not line.startswith("-") else ""


def is_pinned(line: str) -> bool:
    """Whether a requirement always means the same version. Options always do."""
    if line.startswith("-"):
        return True
    if "://" in line:
        # An archive does; a repository when it says which revision.
        address = re.sub(r"^[^/]*?@\s*(?=[a-z+]+:)", "", line.partition(";")[0].strip())
        return not address.startswith(("git+", "hg+", "svn+", "bzr+")) or "@" in address.partition("://")[2]
    return re.search(r"===?\s*[^\s*;,]+\s*(?:$|[;,)\s])", line.partition(";")[0]) is not None


def requirement_flaw(line: str) -> tuple[str, str] | None:
    """Why pip in the service could not do what *line* says, and what to do; None when it could."""
    if secret := secret_in(line):
        return f"{secret} would be shown to everybody who may see the environment", CONNECTION
    option, value = _option(line)
    match option:
        case "-r" | "--requirement":
            return (
                "the service has no such file",
                "Name the file in `pip_requirements`: what it includes is read.",
            )
        case "-c" | "--constraint":
            return (
                "a constraints file has no place in a definition",
                "Write the versions into the requirements: `pip freeze`, or a lock tool, gives them.",
            )
        case "-e" | "--editable":
            return "what is installed editable is on one machine only", _WHEELS
        case "-f" | "--find-links" if "://" not in value or value.startswith("file:"):
            return "the service has no such directory", _WHEELS
        case "":
            return _requirement_flaw(line)
    if option not in _ALLOWED:
        return f"{option} is no option of a requirements file", f"Allowed: {', '.join(sorted(_ALLOWED))}."
    return None


def _requirement_flaw(line: str) -> tuple[str, str] | None:
    local = re.match(r"(?:\.{0,2}/|~|[A-Za-z]:\\|file:)", line) or re.search(r"@\s*(?:file:|\.{0,2}/)", line)
    if local or ("://" not in line and line.partition(";")[0].strip().endswith((".whl", ".tar.gz", ".zip"))):
        return "the service has no such file", _WHEELS
    if re.match(r"(?:git|hg|svn|bzr)\+|https?://", line):
        return None
    found = _NAME.fullmatch(line)
    if found is None or (found[3] and not _REST.match(found[3])):
        return f"{line[:60]!r} is no requirement", 'Write NAME==VERSION, such as "numpy==2.1.3".'
    return None


class Requirements:
    """A requirements file and all that it includes.

    ``lines`` are its requirements and options, each once; ``files`` what was
    read; ``flaws`` what is wrong, with the file and line in words.
    """

    def __init__(self, path: str, stack: FilePath) -> None:
        self.lines: list[str] = []
        self.files: list[FilePath] = []
        self.flaws: list[Flaw] = []
        self._stack = stack
        self._read(path, (), self._complain_here)

    def _complain_here(self, summary: str, hint: str) -> None:
        self.flaws.append(Flaw((), summary, hint))

    def _read(self, path: str, above: tuple[FilePath, ...], complain: Callable[[str, str], None]) -> None:
        try:
            file = within(path, self._stack)
            data = file.read_bytes()
        except ReconcilerError as error:
            return complain(str(error), error.hint)
        except OSError as error:
            return complain(f"{path} cannot be read: {error.strerror}", "Check that it is a file.")
        if file in above:
            return complain(f"{path} includes itself", "Remove one of these `-r` lines.")
        self.files.append(self._stack / path)
        try:
            text = data.decode("utf-8-sig")
        except UnicodeDecodeError:
            return complain(f"{path} is not UTF-8", "Save the file as UTF-8.")
        for number, line in _logical(text):
            say = partial(self._complain_at, f"{path} line {number}")
            option, value = _option(line)
            if option in ("-r", "--requirement"):
                if "://" in value or not value:
                    say("what is included must be a file of the stack", "Put the file into the stack.")
                else:
                    self._read(
                        posixpath.normpath(posixpath.join(posixpath.dirname(path), value)),
                        (*above, file),
                        say,
                    )
            elif flaw := requirement_flaw(line):
                say(*flaw)
            elif line not in self.lines:
                self.lines.append(line)
        return None

    def _complain_at(self, place: str, summary: str, hint: str) -> None:
        self._complain_here(f"{place}: {summary}", hint)


def without_comment(line: str) -> str:
    """What pip takes of a line; empty when that is nothing."""
    return re.sub(r"(?:^|\s+)#.*$", "", line).strip()


def _logical(text: str) -> Iterator[tuple[int, str]]:
    """The lines of a requirements file as pip sees them, with their numbers."""
    held: list[str] = []
    first = 0
    for number, raw in enumerate(text.splitlines(), 1):
        first = first if held else number
        is_comment = raw.lstrip().startswith("#")
        if raw.endswith("\\") and not is_comment:
            held.append(raw[:-1])
            continue
        whole = "".join([*held, "" if is_comment else raw])
        held = []
        if line := without_comment(whole):
            yield first, line
    if line := "".join(held).strip():
        yield first, line
