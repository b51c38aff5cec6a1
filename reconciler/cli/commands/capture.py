"""``reconciler capture``: an environment that is there already, as a spec."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from reconciler.cli.context import Context, Exit
from reconciler.cli.options import common, option
from reconciler.errors import ReconcilerError

if TYPE_CHECKING:
    from reconciler.providers.azureml.capture import Captured

F = TypeVar("F", bound=Callable[..., Any])


def _writing(function: F) -> F:
    """What every kind of capture takes."""
    for one in reversed(
        (
            option("--out", metavar="FILE", help="Write the spec there, over nothing. Default: print it."),
            option("--name", metavar="NAME", help="Its name. Default: that of what is captured."),
            option(
                "--platform", metavar="P", default="azureml", show_default=True, help="The platform's name."
            ),
            option("--image", metavar="IMAGE", help="Base image, where what is captured has none."),
        )
    ):
        function = one(function)
    return function


@click.group("capture")
@common
def command() -> None:
    """Write a spec for an environment that is there already, for Azure Machine Learning."""


@command.command("conda")
@click.argument("which", metavar="NAME|PREFIX")
@_writing
@common
@click.pass_obj
def conda(context: Context, /, which: str, **options: Any) -> int:
    """Capture a conda environment of this machine, by `conda env export`."""
    from reconciler.providers.azureml.capture import capture_conda

    return _write(context, capture_conda(which, os.environ), f"the conda environment {which}", **options)


@command.command("venv")
@click.argument("directory", metavar="DIR")
@_writing
@common
@click.pass_obj
def venv(context: Context, /, directory: str, **options: Any) -> int:
    """Capture a virtual environment of this machine, by its files: none of its code runs."""
    from reconciler.providers.azureml.capture import capture_venv

    return _write(context, capture_venv(directory), f"the virtual environment {directory}", **options)


@command.command("v1")
@click.argument("file", metavar="FILE.json")
@_writing
@common
@click.pass_obj
def v1(context: Context, /, file: str, **options: Any) -> int:
    """Turn a definition that the v1 SDK saved (azureml_environment.json) into a spec."""
    from reconciler.providers.azureml.capture import capture_v1

    try:
        data = Path(file).read_bytes()
    except OSError as error:
        raise ReconcilerError(f"{file} cannot be read: {error.strerror}", hint="Check its name.") from error
    return _write(context, capture_v1(data, file), file, **options)


def _write(
    context: Context,
    captured: Captured,
    source: str,
    *,
    out: str | None,
    name: str | None,
    platform: str,
    image: str | None,
) -> int:
    """Write what was *captured*, and say what a person has to look at."""
    from reconciler.providers.azureml.capture import problems_of
    from reconciler.specs.writing import spec_text

    name = name or captured.name
    fields = {**captured.fields, **({"image": image} if image is not None else {})}
    head = {} if out is not None and Path(out).stem == name else {"name": name}
    shared = {key: fields.pop(key) for key in ("image",) if key in fields}
    text = spec_text(
        {**head, **shared, "on": {platform: fields}}, [f"Captured from {source}.", *captured.notes]
    )
    problems = problems_of(name, {**shared, **fields})
    for problem in problems:
        context.output.warning(f"{problem.summary}. {problem.hint}")
    if out is None:
        if not context.output.as_json:
            context.output.document(text)
    else:
        try:
            with Path(out).open("x", encoding="utf-8") as file:
                file.write(text)
        except FileExistsError as error:
            raise ReconcilerError(f"{out} exists already", hint="Nothing was written.") from error
        except OSError as error:
            raise ReconcilerError(f"{out} cannot be written: {error.strerror}") from error
        for note in captured.notes:
            context.output.note(note)
        context.output.lines([f"Wrote {out}: {platform}.environment.{name}."])
    context.output.record("captured", name=name, source=source, file=out, notes=captured.notes, spec=text)
    code = Exit.ERROR if problems else Exit.DONE
    context.output.summary(code, name=name, file=out, problems=len(problems))
    return code
