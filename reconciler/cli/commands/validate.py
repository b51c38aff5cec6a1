"""``reconciler validate``."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from typing import Any

import click

from reconciler import __version__
from reconciler.cli.annotating import about_complaints, about_warnings, below_root
from reconciler.cli.context import Context, Exit
from reconciler.cli.options import common, option
from reconciler.cli.session import Session, find_stack
from reconciler.errors import SpecErrors
from reconciler.render.annotations import Annotation, github, junit, sarif
from reconciler.render.warnings import grouped
from reconciler.specs import spec_names


@click.command("validate")
@common
@option(
    "--format",
    "form",
    type=click.Choice(["text", "github", "sarif", "junit"]),
    default="text",
    help="How to report: text; GitHub's workflow commands, which mark lines of a pull request; SARIF 2.1.0; "
    "JUnit XML.",
)
@click.pass_obj
def command(context: Context, /, form: str, **options: Any) -> int:
    """Check every spec and the policy, without asking any platform.

    Every problem of every file is shown at once, with its place and what to do.
    With another --format than text, the report is on standard output, and what
    is wrong on standard error all the same.
    """
    output = context.output
    root = below_root(find_stack(context.chdir), os.environ)
    try:
        session = Session.open(context, **options)
        specs = session.specs()
    except SpecErrors as error:
        _report(context, form, about_complaints(error.complaints, root), root)
        if form != "github":  # there, one line says both to the log and to the pull request
            output.failure(error)
        output.summary(Exit.ERROR, valid=False, errors=len(error.complaints))
        return Exit.ERROR
    _report(context, form, about_warnings(specs.warnings, root), root)
    if form != "github":
        for text in specs.warnings if output.as_json else grouped(specs.warnings):
            output.warning(text)
    count = len(specs.resources)
    if form == "text":
        output.lines([f"Success! {count} resource{'' if count == 1 else 's'} in the specs, no problems."])
    output.summary(Exit.DONE, valid=True, errors=0, warnings=len(specs.warnings), resources=count)
    return Exit.DONE


def _report(context: Context, form: str, found: Sequence[Annotation], root: str) -> None:
    """The report as a document; none where it is text."""
    match form:
        case "github":
            text = github(found)
        case "sarif":
            text = json.dumps(sarif(found, version=__version__), ensure_ascii=False, indent=2) + "\n"
        case "junit":
            wrong = {one.file for one in found if one.level == "error"}
            files = {f"{root}{name}" for name in spec_names(find_stack(context.chdir))}
            text = junit(found, files - wrong)
        case _:
            return
    context.output.record("document", format=form, text=text)
    if not context.output.as_json:
        context.output.document(text)
