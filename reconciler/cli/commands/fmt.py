"""``reconciler fmt``."""

from __future__ import annotations

import difflib
import re
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path

import click

from reconciler.cli.context import Context, Exit
from reconciler.cli.files import write_private
from reconciler.cli.options import common, option
from reconciler.cli.session import find_stack
from reconciler.errors import Complaint, SpecErrors, UsageError
from reconciler.render.characters import printable
from reconciler.specs import spec_names
from reconciler.specs.config import CONFIG_NAME
from reconciler.specs.fmt import laid_out


@click.command("fmt")
@click.argument("paths", nargs=-1, metavar="[FILE|DIR]...")
@common
@option("--check", is_flag=True, help="Change nothing; exit with 1 when a file is not laid out, and name it.")
@option("--diff", "as_diff", is_flag=True, help="Change nothing; show what would be; exit as with --check.")
@click.pass_obj
def command(context: Context, /, paths: Sequence[str], check: bool, as_diff: bool) -> int:
    """Lay out specs and reconciler.toml in the one way there is. Comments stay; values are never changed.

    All files of the stack, or the FILEs and those in each DIR. A file that is
    in no stack is left alone. docs/review.md says what the layout is.
    """
    output = context.output
    complaints: list[Complaint] = []
    others: list[str] = []
    for path in _files(context, paths):
        name = path.as_posix()
        found = laid_out(path, name)
        if isinstance(found, Complaint):
            complaints.append(found)
            continue
        before, after = found
        if before == after:
            continue
        others.append(name)
        output.record("file", file=name)
        if as_diff:
            output.lines(_diff(name, before, after))
        else:
            output.lines([printable(name)])
            if not check:
                write_private(str(path), after, mode=stat.S_IMODE(path.stat().st_mode))
    if complaints:
        raise SpecErrors(complaints)
    code = Exit.ERROR if others and (check or as_diff) else Exit.DONE
    output.summary(code, files=len(others))
    return code


def _files(context: Context, paths: Sequence[str]) -> Iterator[Path]:
    """The files that are meant, each once, in their order; of those named, only what a stack has."""
    if not paths:
        yield from _stack_files(find_stack(context.chdir))
        return
    seen: set[Path] = set()
    for name in paths:
        path = Path(context.chdir or ".") / name
        if not path.exists():
            raise UsageError(f"there is no file {name}")
        several = _stack_files(path) if path.is_dir() else [path] if _in_stack(path) else []
        for one in several:
            if one.resolve() not in seen:
                seen.add(one.resolve())
                yield one


def _stack_files(directory: Path) -> list[Path]:
    config = directory / CONFIG_NAME
    return [*([config] if config.is_file() else []), *(directory / name for name in spec_names(directory))]


def _in_stack(path: Path) -> bool:
    """Whether *path* is a spec or the configuration of a stack: the tools of others have TOML files, too."""
    folders = path.resolve().parents
    return path.suffix == ".toml" and any((folder / CONFIG_NAME).is_file() for folder in folders)


def _diff(name: str, before: bytes, after: bytes) -> Iterator[str]:
    """The lines of a patch. Tabs and carriage returns stay, so that it can be applied."""
    old, new = (re.findall(r"[^\n]*\n|[^\n]+", data.decode()) for data in (before, after))
    for line in difflib.unified_diff(old, new, f"a/{name}", f"b/{name}"):
        yield "".join(c if c in "\t\r" else printable(c) for c in line.removesuffix("\n"))
        if not line.endswith("\n"):
            yield "\\ No newline at end of file"
